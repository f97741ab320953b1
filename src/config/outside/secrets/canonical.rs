//! What a text says once every escape in it is undone: JSON's, those of URLs and forms, those of HTML. A value that comes back
//! escaped in whatever way, even twice, is then the same bytes as the value undone in the same way.

/// So often escapes are undone at most: a JSON text in a JSON text in a URL, and one more.
const ROUNDS_MAX: usize = 4;

/// Bytes without escapes, and where each of them came from.
#[derive(Debug)]
pub(super) struct Canonical {
    pub bytes: Vec<u8>,
    /// For each byte the offset in the text at which it, or the escape that stood for it, begins.
    starts: Vec<usize>,
    text_bytes: usize,
}

impl Canonical {
    /// `None` where the text holds no escapes, so that it is canonical as it is.
    pub fn of(text: &str) -> Option<Self> {
        // Most replies have no escape at all, and cost no more than this.
        if !text.bytes().any(|byte| b"\\%&+".contains(&byte)) {
            return None;
        }
        let mut canonical = Self { bytes: text.into(), starts: (0..text.len()).collect(), text_bytes: text.len() };
        let mut any = false;
        for _ in 0..ROUNDS_MAX {
            if !canonical.undo() {
                break;
            }
            any = true;
        }
        any.then_some(canonical)
    }

    /// The range of the text that a range of the bytes came from.
    pub fn source(&self, start: usize, end: usize) -> (usize, usize) {
        let at = |place: usize| self.starts.get(place).copied().unwrap_or(self.text_bytes);
        (at(start), at(end))
    }

    /// Undoes every escape once; whether there was any.
    fn undo(&mut self) -> bool {
        let (mut bytes, mut starts) = (Vec::with_capacity(self.bytes.len()), Vec::with_capacity(self.bytes.len()));
        let mut any = false;
        let mut rest = self.bytes.as_slice();
        let mut places = self.starts.as_slice();
        while let (Some((&first, after)), Some(&start)) = (rest.split_first(), places.first()) {
            let (meant, length) = match escape(rest) {
                Some(escape) => {
                    any = true;
                    escape
                }
                None => (Meant::Byte(first), 1),
            };
            let before = bytes.len();
            match meant {
                Meant::Byte(byte) => bytes.push(byte),
                Meant::Character(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            starts.resize(starts.len() + bytes.len() - before, start);
            rest = rest.get(length..).unwrap_or(&after[after.len()..]);
            places = places.get(length..).unwrap_or_default();
        }
        (self.bytes, self.starts) = (bytes, starts);
        any
    }
}

/// What an escape stands for.
enum Meant {
    Byte(u8),
    Character(char),
}

/// The escape that the bytes begin with, and its length.
fn escape(bytes: &[u8]) -> Option<(Meant, usize)> {
    match bytes {
        [b'+', ..] => Some((Meant::Byte(b' '), 1)),
        [b'%', digits @ ..] => Some((Meant::Byte(hex(digits, 2)?.try_into().ok()?), 3)),
        [b'\\', b'u', digits @ ..] => {
            let unit = hex(digits, 4)?;
            // Two of them stand for one character beyond the first 65,536.
            let low = bytes.get(6..8).filter(|next| next == b"\\u").and_then(|_| hex(bytes.get(8..)?, 4));
            let pair = low.filter(|low| (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(low));
            match pair {
                Some(low) => Some((Meant::Character(char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?), 12)),
                None => Some((Meant::Character(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)), 6)),
            }
        }
        [b'\\', b'x', digits @ ..] => Some((Meant::Byte(hex(digits, 2)?.try_into().ok()?), 4)),
        [b'\\', escaped, ..] => {
            let byte = match escaped {
                b'/' | b'"' | b'\\' | b'\'' => *escaped,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                _ => return None,
            };
            Some((Meant::Byte(byte), 2))
        }
        [b'&', ..] => entity(bytes),
        _ => None,
    }
}

/// A number of exactly so many hexadecimal digits.
fn hex(bytes: &[u8], digits: usize) -> Option<u32> {
    bytes.get(..digits)?.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// `&amp;`, `&#38;`, `&#x26;`. A number may end without its `;`, as in HTML.
fn entity(bytes: &[u8]) -> Option<(Meant, usize)> {
    const LENGTH_MAX: usize = 12;
    if let [b'&', b'#', number @ ..] = bytes {
        let (radix, before) = if matches!(number.first(), Some(b'x' | b'X')) { (16, 3) } else { (10, 2) };
        let digits = bytes.iter().skip(before).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let end = Some(before + digits).filter(|end| *end < LENGTH_MAX)?;
        let number = u32::from_str_radix(std::str::from_utf8(bytes.get(before..end)?).ok()?, radix).ok()?;
        return Some((Meant::Character(char::from_u32(number)?), end + usize::from(bytes.get(end) == Some(&b';'))));
    }
    let end = bytes.iter().take(LENGTH_MAX).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(bytes.get(1..end)?).ok()?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "sol" => '/',
        "plus" => '+',
        "equals" => '=',
        "lowbar" => '_',
        "num" => '#',
        "percnt" => '%',
        "period" => '.',
        "colon" => ':',
        "semi" => ';',
        "quest" => '?',
        "excl" => '!',
        "dollar" => '$',
        "commat" => '@',
        "ast" => '*',
        "comma" => ',',
        "lpar" => '(',
        "rpar" => ')',
        "bsol" => '\\',
        "Tab" => '\t',
        "NewLine" => '\n',
        _ => return None,
    };
    Some((Meant::Character(character), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Canonical::of(text).map_or_else(|| text.to_owned(), |canonical| String::from_utf8_lossy(&canonical.bytes).into_owned())
    }

    #[test]
    fn every_escape_is_undone() {
        for (text, meant) in [
            (r"a\/b", "a/b"),
            (r"a\u002Fb\u00e9\uD83D\uDE00", "a/b\u{e9}\u{1f600}"),
            (r"\ud83d!", "\u{fffd}!"),
            ("a%2fb%2Fc", "a/b/c"),
            ("a+b%20c", "a b c"),
            ("&amp;&#39;&#x27;&quot;&lt;", "&''\"<"),
            (r"say \x22hi\x22", "say \"hi\""),
            ("%252f", "/"),
            ("a&#47b&#x2fg&#x2D&#61;", "a/b/g-="),
            ("&sol;&plus;&equals;&lowbar;", "/ =_"),
            (r"\\\/", "/"),
            ("&amp;lt;", "<"),
            ("100% &c. \\q %zz &#; &#xffffffff; \\u12", "100% &c. \\q %zz &#; &#xffffffff; \\u12"),
        ] {
            assert_eq!(canonical(text), meant, "{text}");
        }
        assert!(Canonical::of("plain").is_none());
    }

    #[test]
    fn a_range_leads_back_to_the_escapes_that_it_came_from() {
        let text = r"x%2522y\u00e9z";
        let canonical = Canonical::of(text).unwrap();
        assert_eq!(canonical.bytes, "x\"y\u{e9}z".as_bytes());
        let source = |start, end| {
            let (start, end) = canonical.source(start, end);
            &text[start..end]
        };
        assert_eq!((source(0, 1), source(1, 2), source(2, 3), source(3, 5), source(5, 6)), ("x", "%2522", "y", r"\u00e9", "z"));
    }
}
