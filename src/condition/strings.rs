//! String literals (RFC 9535, 2.3.1.1) and names that need no quotes (2.5.1.1).

use crate::condition::SyntaxError;

/// Whether `character` may begin a name that is written without quotes.
pub(in crate::condition) fn starts_name(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_' || character >= '\u{80}'
}

/// Whether `character` may stand inside a name that is written without quotes.
pub(in crate::condition) fn continues_name(character: char) -> bool {
    starts_name(character) || character.is_ascii_digit()
}

/// Whether `name` may be written without quotes.
pub(in crate::condition) fn is_plain_name(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

/// Reads the literal whose opening quote stands at byte `start`. Gives its value and the byte after the closing quote.
pub(in crate::condition) fn read(text: &str, start: usize, quote: char) -> Result<(String, usize), SyntaxError> {
    let mut value = String::new();
    let body = start + quote.len_utf8();
    let mut characters = text.get(body..).unwrap_or_default().char_indices();
    while let Some((offset, character)) = characters.next() {
        let at = body + offset;
        match character {
            _ if character == quote => return Ok((value, at + quote.len_utf8())),
            '\\' => {
                let (escaped, length) = escape(text, at, quote)?;
                value.push(escaped);
                // The backslash itself is already consumed; what `escape` read is ASCII.
                for _ in 1..length {
                    characters.next();
                }
            }
            control if control < ' ' => {
                return Err(SyntaxError::new(
                    at..at + 1,
                    format!("the character U+{:04X} may not stand in a string as it is", u32::from(control)),
                )
                .hint(format!("write {}", escape_for(control))));
            }
            other => value.push(other),
        }
    }
    Err(SyntaxError::new(start..text.len(), "this string never ends").hint(format!("close it with {quote} where the text ends")))
}

/// Reads the escape whose backslash stands at byte `at`. Gives the character and the escape's length in bytes.
fn escape(text: &str, at: usize, quote: char) -> Result<(char, usize), SyntaxError> {
    let rest = text.get(at..).unwrap_or_default();
    let Some(kind) = rest.chars().nth(1) else {
        return Err(SyntaxError::new(at..text.len(), "the text ends within an escape of a string"));
    };
    let plain = match kind {
        _ if kind == quote => quote,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '/' => '/',
        '\\' => '\\',
        'u' => return unicode_escape(text, at),
        other => {
            let span = at..at + 1 + other.len_utf8();
            let error = SyntaxError::new(span, format!("`\\{}` is no escape of a JSONPath string", other.escape_debug()));
            return Err(match other {
                '"' | '\'' => error.hint(format!("{other} needs no backslash between {quote} and {quote}")),
                _ => error.hint(format!("write `\\\\{}` for a backslash (in patterns too)", other.escape_debug())),
            });
        }
    };
    Ok((plain, 2))
}

/// Reads `\uXXXX`, or the two of them that make a surrogate pair.
fn unicode_escape(text: &str, at: usize) -> Result<(char, usize), SyntaxError> {
    let malformed = |length: usize, message: &str| {
        let end = text.char_indices().map(|(offset, _)| offset).find(|offset| *offset >= at + length);
        Err(SyntaxError::new(at..end.unwrap_or(text.len()), message)
            .hint("write four hexadecimal digits, and a character above U+FFFF as it is or as a surrogate pair"))
    };
    let Some(first) = hexadecimal(text, at) else {
        return malformed(2, "`\\u` needs four hexadecimal digits");
    };
    match first {
        0xDC00..=0xDFFF => malformed(6, "a low surrogate stands without its high one"),
        0xD800..=0xDBFF => match hexadecimal(text, at + 6) {
            Some(second @ 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                match char::from_u32(code) {
                    Some(character) => Ok((character, 12)),
                    None => malformed(12, "this surrogate pair is no character"),
                }
            }
            _ => malformed(6, "a high surrogate stands without its low one"),
        },
        code => match char::from_u32(code) {
            Some(character) => Ok((character, 6)),
            None => malformed(6, "this is no character"),
        },
    }
}

/// The number in the `\uXXXX` at byte `at`.
fn hexadecimal(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    // `from_str_radix` alone would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// `value` as a string literal in double quotes.
pub(in crate::condition) fn quoted(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for character in value.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            control if control < ' ' => literal.push_str(&escape_for(control)),
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

fn escape_for(control: char) -> String {
    match control {
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        other => format!("\\u{:04x}", u32::from(other)),
    }
}
