//! What is wrong with a value from outside the file, as far as the value alone shows it: it is empty, or something around it
//! came along by mistake. Says what is there, and never the value.

/// What came along with a value, or that nothing came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Flaw {
    /// There is nothing, or nothing but blanks.
    Empty(&'static str),
    /// No one-line value has this: a line break, another control character, a byte order mark.
    Foreign { message: String, hint: &'static str },
    /// Some receivers pass over it, most do not.
    Blank { message: String, hint: &'static str },
}

/// A byte order mark, as editors on Windows put it before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Looks at both ends of a value; what stands inside is for the place to judge that the value is for.
pub(in crate::config) fn find(value: &str) -> Option<Flaw> {
    if value.is_empty() {
        return Some(Flaw::Empty("is empty"));
    }
    if value.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
        return Some(Flaw::Empty("holds nothing but blanks"));
    }
    let ends = [("begins", value.chars().next()), ("ends", value.chars().next_back())];
    let ends = ends.into_iter().filter_map(|(verb, end)| Some((verb, end?)));
    let foreign = ends.clone().find_map(|(verb, end)| {
        let (what, hint) = match end {
            '\n' | '\r' => ("a line break", "`echo` adds one, `printf %s` does not"),
            BYTE_ORDER_MARK => ("a byte order mark (BOM)", "save the value as UTF-8 without BOM"),
            _ if end.is_control() => ("a control character", "copy the value again, without what stands around it"),
            _ if is_invisible(end) => ("an invisible character", "copy the value again, without what stands around it"),
            _ => return None,
        };
        let code = if matches!(end, '\n' | '\r') { String::new() } else { format!(", U+{:04X}", u32::from(end)) };
        Some(Flaw::Foreign { message: format!("{verb} with {what}{code}"), hint })
    });
    let blank = || {
        let (verb, _) = ends.clone().find(|(_, end)| end.is_whitespace())?;
        let hint = "take it out of the value; a blank that is meant can stand beside the `${...}`";
        Some(Flaw::Blank { message: format!("{verb} with a blank"), hint })
    };
    foreign.or_else(blank)
}

/// What takes no room where it is shown, and is no control character to Unicode.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | BYTE_ORDER_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_around_a_value() {
        for (value, found) in [
            ("", "is empty"),
            (" \t\n", "holds nothing but blanks"),
            ("\u{feff}", "holds nothing but blanks"),
            ("secret\n", "ends with a line break"),
            ("secret\r", "ends with a line break"),
            ("\nsecret", "begins with a line break"),
            ("\u{feff}secret", "begins with a byte order mark (BOM), U+FEFF"),
            ("secret\0", "ends with a control character, U+0000"),
            ("\tsecret", "begins with a control character, U+0009"),
            ("secret\u{200b}", "ends with an invisible character, U+200B"),
            (" secret\n", "ends with a line break"),
            (" secret", "begins with a blank"),
            ("secret\u{a0}", "ends with a blank"),
        ] {
            let message = match find(value) {
                Some(Flaw::Empty(message)) => message.to_owned(),
                Some(Flaw::Foreign { message, .. } | Flaw::Blank { message, .. }) => message,
                None => "nothing".to_owned(),
            };
            assert_eq!(message, found, "{value:?}");
        }
        for fine in ["x", "two words", "line one\nline two", "s\u{200b}s"] {
            assert_eq!(find(fine), None, "{fine:?}");
        }
    }
}
