//! Words for what the YAML parser cannot read.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use crate::config::findings::finding::quoted;

/// What is wrong, and how to mend it.
pub(super) struct Explanation {
    /// Where the parser's own place is misleading: a byte offset of the file.
    pub at: Option<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// Explains an error that the parser places at byte `at` of `file`.
pub(super) fn explain(error: &ScanError, file: &str, at: usize) -> Explanation {
    let line = line_around(file, at);
    let mut place = None;
    let (message, hint): (String, Option<String>) = match error.kind() {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::InvalidBlockEntryWhitespace => {
            place = first_tab(file, at);
            ("a tab in the indentation".into(), Some("YAML is indented with spaces".into()))
        }
        // A plain value goes on in the next line, whose indentation is the tab.
        _ if error.info().contains("found a tab") => {
            place = tab_of_a_later_line(file, at).or_else(|| first_tab(file, at));
            ("a tab in the indentation".into(), Some("YAML is indented with spaces".into()))
        }
        ErrorKind::MappingValueNotAllowed => {
            ("`: ` cannot stand here".into(), Some("put a value that holds `: ` in quotes, or check this line's indentation".into()))
        }
        ErrorKind::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => (
            format!("a value cannot begin with `{character}`"),
            Some(if *character == '@' { "put it in quotes; a path needs no `@.` at its start".into() } else { "put it in quotes".into() }),
        ),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => (
            format!("the control character {} cannot stand in YAML", quoted(&character.to_string())),
            Some("take it out; in a text in double quotes it is written `\\u001b`; is this a file of rules at all?".into()),
        ),
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed".into(), None),
        ErrorKind::UnclosedFlowCollection { open: '{' } | ErrorKind::MismatchedFlowCollectionEnd { open: '{', .. }
            if file.get(..at).is_some_and(|before| before.ends_with('$')) =>
        {
            place = Some(at - 1);
            ("`${` without `}`".into(), Some("close it: `${NAME}`".into()))
        }
        ErrorKind::UnclosedFlowCollection { open } => (format!("this `{open}` is never closed"), None),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => (format!("`{open}` is closed with `{close}`"), None),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("the value goes on behind its closing quote".into(), Some("put the whole value in quotes: `'\"a\" == b'`".into()))
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            place = unknown_escape(file, at);
            let shown = place.and_then(|at| file.get(at..)).map_or_else(String::new, |rest| rest.chars().take(2).collect());
            (
                format!("{} is no escape that YAML knows in double quotes", quoted(&shown)),
                Some("write `\\\\` for a backslash, or use single quotes".into()),
            )
        }
        ErrorKind::RecursionLimitExceeded => (format!("nested more than {} levels deep", super::parse::DEPTH_MAX), None),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::InvalidIndentation => (
            "this line fits no level of indentation above it".into(),
            Some("entries of one list or mapping begin in the same column".into()),
        ),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => (
            format!("not YAML: {}", error.info()),
            Some("between `{ }` or `[ ]`, put a value that holds one of `[ ] { } ,` in quotes, as conditions with `in [...]` do".into()),
        ),
        _ => {
            let hint = match error.info() {
                info if info.contains("simple key expected") => Some("a key is followed by a colon and a blank: `key: value`".to_owned()),
                info if info.contains("document start") => {
                    Some("a file of rules is YAML: `source:`, and below it, indented, `path: /webhooks/wiza`".to_owned())
                }
                _ => None,
            };
            (format!("not YAML: {}", error.info()), hint)
        }
    };
    let entry = line.trim_start().trim_start_matches("- ").trim_start();
    let (key, value) = entry.split_once(": ").unwrap_or(("", entry));
    let value = value.trim_start();
    let hint = if value.starts_with("{{") {
        Some("put a value that begins with `{{` in quotes: YAML reads `{` as a mapping".into())
    } else if value.starts_with(['{', '[']) && value.contains("{{") {
        Some("between `{ }` or `[ ]`, put a value that holds `{{` in quotes".into())
    } else {
        hint
    };
    if value.starts_with('!') {
        let (message, hint) = tag(key, value.split(' ').next().unwrap_or(value));
        return Explanation { at: place, message, hint: Some(hint) };
    }
    Explanation { at: place, message, hint }
}

/// What to say of a tag: a word that begins with `!`. It has no meaning here; most are a `not` whose quotes were
/// forgotten.
pub(super) fn tag(key: &str, written: &str) -> (String, String) {
    if key == "when" {
        (
            "YAML reads the `!` at its start as a tag, so this is no condition".into(),
            "write `not` in place of the `!`, or put the whole condition in quotes".into(),
        )
    } else {
        (format!("the YAML tag {} has no meaning here", quoted(written)), "put a value that begins with `!` in quotes".into())
    }
}

fn line_around(file: &str, at: usize) -> &str {
    let start = file.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    file.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

/// The first tab in the blanks at the start of the line, or the last before `at`.
fn first_tab(file: &str, at: usize) -> Option<usize> {
    let start = file.get(..at)?.rfind('\n').map_or(0, |at| at + 1);
    let line = file.get(start..)?.lines().next()?;
    let indentation = line.len() - line.trim_start().len();
    line.get(..indentation)?.find('\t').map(|tab| start + tab).or_else(|| {
        let before = file.get(start..=at)?;
        before.rfind('\t').map(|tab| start + tab)
    })
}

/// The tab with which the first line after `at` begins that begins with one.
fn tab_of_a_later_line(file: &str, at: usize) -> Option<usize> {
    let rest = file.get(at..)?;
    let line = rest.match_indices('\n').map(|(end, _)| end + 1).find(|start| {
        let line = rest.get(*start..).unwrap_or_default();
        line.trim_start_matches(' ').starts_with('\t')
    })?;
    let blanks = rest.get(line..)?.find('\t')?;
    Some(at + line + blanks)
}

/// The first escape in the double-quoted scalar at `at` that YAML 1.2.2 (chapter 5.7) does not have.
fn unknown_escape(file: &str, at: usize) -> Option<usize> {
    let scalar = file.get(at..)?;
    let mut escaped = false;
    for (offset, character) in scalar.char_indices() {
        if escaped {
            if !"0abt\tnvfre \"/\\N_LPxuU\r\n".contains(character) {
                return Some(at + offset - 1);
            }
            escaped = false;
        } else {
            escaped = character == '\\';
        }
    }
    None
}
