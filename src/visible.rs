//! Texts of strangers, made fit to be looked at: a payload or a reply may hold characters that a terminal obeys, or that show
//! the rest of a line in another order than it is. Pure.

use std::borrow::Cow;

/// A text on one line: whatever is obeyed and not shown is written as in Rust, `\n`, `\u{1b}`, `\u{202e}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

/// A text of several lines, whose line feeds and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_obeyed(character) && !matches!(character, '\n' | '\t'))
}

/// A JSON text with the same meaning, in which these characters are written as `\u202e`. They can stand in its strings only, for
/// between values JSON has no others than line feed and tab.
pub fn json(text: &str) -> Cow<'_, str> {
    let unfit = |character: char| is_obeyed(character) && !matches!(character, '\n' | '\r' | '\t');
    replaced(text, unfit, |out, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// Whether a character does something to what stands around it, or hides, in place of being shown: control characters, those
/// that change the direction of writing, line separators, and the invisible ones but for the joiners, which names and emoji need.
pub fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn escaped(text: &str, unfit: impl Fn(char) -> bool) -> Cow<'_, str> {
    replaced(text, unfit, |out, character| out.extend(character.escape_default()))
}

fn replaced(text: &str, unfit: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some((first, _)) = text.char_indices().find(|(_, character)| unfit(*character)) else { return Cow::Borrowed(text) };
    let (sound, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(sound);
    for character in rest.chars() {
        if unfit(character) {
            write(&mut out, character);
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each kind one, and what a terminal makes of it.
    const OBEYED: [char; 14] = [
        '\u{1b}',    // begins a command
        '\u{9b}',    // the same, in one character
        '\u{7}',     // rings
        '\u{8}',     // goes back, so that what follows hides what was before
        '\r',        // goes back to the beginning
        '\u{7f}',    // deletes
        '\u{202e}',  // from here on right to left
        '\u{2066}',  // a part with a direction of its own
        '\u{200f}',  // a mark of direction
        '\u{61c}',   // another
        '\u{2028}',  // a new line, for some
        '\u{200b}',  // not to be seen
        '\u{feff}',  // nor this
        '\u{e0041}', // nor this, which spells an A
    ];

    #[test]
    fn what_is_obeyed_is_written_and_nothing_else_is_changed() {
        let plain = "Zoë 北京 👩\u{200d}💻 \\u{1b} می\u{200c}خواهم ~!";
        assert!(matches!(one_line(plain), Cow::Borrowed(text) if text == plain));
        for character in OBEYED {
            let written: String = character.escape_default().collect();
            let text = format!("a{character}b");
            assert_eq!(one_line(&text), format!("a{written}b"));
            assert_eq!(lines(&text), format!("a{written}b"));
        }
        assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(lines("a\nb\tc\u{1b}"), "a\nb\tc\\u{1b}");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let all: String = OBEYED.iter().collect();
        let value = serde_json::json!({ "name": all, "list": [1, "\n"] });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&text);
            assert!(!shown.chars().any(|character| is_obeyed(character) && character != '\n'), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
        assert_eq!(json("\"\u{e0041}\""), "\"\\udb40\\udc41\"");
    }
}
