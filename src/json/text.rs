//! Strings, and their escapes.

use super::fault::Problem;

/// What stands for half a surrogate pair.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A fault, and how many bytes before the place it is found at.
pub(super) type At = (Problem, usize);

/// Reads the string behind an opening quote: its text, and how many bytes it has with the closing quote.
pub(super) fn string(source: &str) -> Result<(String, usize), At> {
    let bytes = source.as_bytes();
    let plain = plain_length(bytes, 0);
    if bytes.get(plain) == Some(&b'"') {
        return Ok((source.get(..plain).unwrap_or_default().to_owned(), plain + 1)); // Most strings have no escape.
    }
    let mut text = String::with_capacity(plain + 16);
    let mut at = 0;
    loop {
        let end = plain_length(bytes, at);
        text.push_str(source.get(at..end).unwrap_or_default());
        at = end;
        match bytes.get(at) {
            None => return Err((Problem::Unfinished, at)),
            Some(b'"') => return Ok((text, at + 1)),
            Some(b'\\') => {
                let (character, length) = escape(bytes.get(at..).unwrap_or_default()).map_err(|problem| match problem {
                    Problem::Unfinished => (problem, bytes.len()),
                    problem => (problem, at),
                })?;
                text.push(character);
                at += length;
            }
            Some(_) => return Err((Problem::ControlCharacter, at)),
        }
    }
}

/// Where the next byte is that does not stand for itself.
fn plain_length(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len())
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
