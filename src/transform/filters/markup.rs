//! Values in texts that their receiver reads as markup: Slack's `mrkdwn`, Discord's Markdown, XML.

use minijinja::{Error, State, Value};

use crate::transform::semantics::printing::text_of;

/// Stands between `@` and a word that would call people together. It takes no room where it is shown.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// What Discord takes for a mention behind an `@` alone. All others stand in angle brackets.
const CALLING_ALL: [&str; 2] = ["everyone", "here"];

/// `slack`: what Slack documents for texts, `&`, `<` and `>`. Mentions (`<!channel>`, `<@U1>`), links (`<https://...|text>`) and
/// dates all stand in angle brackets, so none of them is left. Nothing else is changed: Slack has no way to write a literal `*`.
pub(super) fn slack(state: &State, value: &Value) -> Result<String, Error> {
    replaced(state, value, entity)
}

/// What stands for the three characters that every markup here gives a meaning to.
fn entity(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

/// The text of a value, where `replacement` says what stands for a character; the others stay as they are.
fn replaced(state: &State, value: &Value, replacement: impl Fn(char) -> Option<&'static str>) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let mut replaced = String::with_capacity(text.len());
    for character in text.chars() {
        match replacement(character) {
            Some(text) => replaced.push_str(text),
            None => replaced.push(character),
        }
    }
    Ok(replaced)
}

/// `discord`: a backslash before every character that Discord's Markdown gives a meaning to, `:` and `/` among them, so that no
/// address becomes a link. A backslash does not help against `@everyone` and `@here`; a zero-width space behind the `@` does.
pub(super) fn discord(state: &State, value: &Value) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '-' | '+' | '[' | ']' | '(' | ')' | ':' | '/' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '@' => {
                escaped.push('@');
                if CALLING_ALL.iter().any(|word| rest.as_str().starts_with(word)) {
                    escaped.push(ZERO_WIDTH_SPACE);
                }
            }
            _ => escaped.push(character),
        }
    }
    Ok(escaped)
}

/// `xml`: for text and for attributes in quotes of either kind. Tabs and line breaks are written as references, because a parser
/// would change them in an attribute; what XML 1.0 cannot hold at all becomes U+FFFD.
pub(super) fn xml(state: &State, value: &Value) -> Result<String, Error> {
    replaced(state, value, |character| match character {
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => entity(character),
    })
}
