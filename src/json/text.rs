//! Strings, and their escapes.

use super::fault::Problem;

/// What stands for half a surrogate pair.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Reads the string whose opening quote stands before `at`, and moves `at` behind its closing quote; where there is a fault, to it.
pub(super) fn string(source: &str, at: &mut usize) -> Result<String, Problem> {
    let end = plain_up_to(source.as_bytes(), *at);
    if source.as_bytes().get(end) != Some(&b'"') {
        return escaped(source, at, end);
    }
    let text = source.get(*at..end).unwrap_or_default().to_owned();
    *at = end + 1;
    Ok(text)
}

/// The same of a string that has more than plain text, which few have. The plain text at its front goes up to `end`.
#[cold]
fn escaped(source: &str, at: &mut usize, mut end: usize) -> Result<String, Problem> {
    let bytes = source.as_bytes();
    let mut text = String::with_capacity(end - *at + 16);
    loop {
        text.push_str(source.get(*at..end).unwrap_or_default());
        *at = end;
        match bytes.get(*at) {
            None => return Err(Problem::Unfinished),
            Some(b'"') => {
                *at += 1;
                return Ok(text);
            }
            Some(b'\\') => {
                let (character, length) = escape(bytes.get(*at..).unwrap_or_default()).inspect_err(|problem| {
                    if *problem == Problem::Unfinished {
                        *at = bytes.len();
                    }
                })?;
                text.push(character);
                *at += length;
            }
            Some(_) => return Err(Problem::ControlCharacter),
        }
        end = plain_up_to(bytes, *at);
    }
}

/// Where the first byte from `from` on is that does not stand for itself. Looks at eight bytes at a time, as most do.
fn plain_up_to(bytes: &[u8], from: usize) -> usize {
    let (words, rest) = bytes.get(from..).unwrap_or_default().as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return from + place * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    from + words.len() * 8 + special.unwrap_or(rest.len())
}

/// Has the highest bit of each byte that is a quote, a backslash or a control character. Exact up to the first of them; behind it
/// a bit may be set for nothing.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    // Subtracting sets a byte's highest bit where it was below; a byte that had the bit before is not ASCII.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHEST;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

/// Reads an escape from its `\` on: the character, and how many bytes the escape has.
fn escape(bytes: &[u8]) -> Result<(char, usize), Problem> {
    let character = match bytes.get(1).ok_or(Problem::Unfinished)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        _ => return Err(Problem::UnknownEscape),
    };
    Ok((character, 2))
}

/// `\uXXXX`, or two of them that are a surrogate pair (RFC 8259, section 7). Half of one is read as U+FFFD, and what follows
/// it is read for itself.
fn unicode_escape(bytes: &[u8]) -> Result<(char, usize), Problem> {
    let first = hexadecimal(bytes, 2)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 6));
    }
    let is_high = (0xd800..0xdc00).contains(&first);
    if is_high && bytes.get(6..8) == Some(br"\u".as_slice()) {
        let second = hexadecimal(bytes, 8)?;
        if (0xdc00..0xe000).contains(&second) {
            let character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            return Ok((character.unwrap_or(REPLACEMENT), 12));
        }
    }
    Ok((REPLACEMENT, 6))
}

fn hexadecimal(bytes: &[u8], from: usize) -> Result<u32, Problem> {
    let digits = bytes.get(from..from + 4).ok_or(Problem::Unfinished)?;
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Problem::UnknownEscape)?;
        Ok(number << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_does_not_stand_for_itself_is_found_wherever_it_is() {
        let naive = |bytes: &[u8]| bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
        // Neighbours of the special ones, in ASCII and 128 above it.
        for filler in [b'!', b'#', b' ', b'[', b']', 0x7f, 0x80, 0x9f, 0xa2, 0xdc, 0xff] {
            for length in 0..20 {
                for place in 0..length {
                    for byte in 0..=u8::MAX {
                        let mut bytes = vec![filler; length];
                        bytes[place] = byte;
                        assert_eq!(plain_up_to(&bytes, 0), naive(&bytes), "{bytes:?}");
                        // What follows the first changes nothing.
                        bytes[length - 1] = b'"';
                        assert_eq!(plain_up_to(&bytes, 0), naive(&bytes), "{bytes:?}");
                        assert_eq!(plain_up_to(&bytes, place), place + naive(&bytes[place..]), "{bytes:?}");
                    }
                }
            }
        }
    }
}
