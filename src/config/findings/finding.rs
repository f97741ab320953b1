//! What is wrong with a routes.yaml, where, and how to mend it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthChar;

use crate::visible::{self, is_obeyed};

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as findings have it.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

/// The widest excerpt of a source line that is shown, in terminal columns. Longer lines are cut around the caret.
const EXCERPT_COLUMNS_MAX: usize = 120;
/// What of a cut line is shown left of the caret, in terminal columns.
const EXCERPT_COLUMNS_BEFORE: usize = 50;
/// A tab is shown as this many spaces.
const TAB: &str = "    ";

/// An error keeps a file from taking effect; a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file works, but probably not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing to say about one place of a file. Serializes as an element of `findings` in `check --json`.
///
/// Neither the message nor the hint ever holds the value of a `${...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name, as it was given.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong, with the value.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// How many characters of the line are meant; at least 1.
    #[serde(skip)]
    pub width: usize,
    /// Which characters of the line are a secret that is written out, and are shown by none.
    #[serde(skip)]
    pub covered: Vec<Range<usize>>,
}

impl Finding {
    /// The finding as a compiler shows it: the place and the message, then the line of `source` (the file's whole
    /// text) with carets under the place, then the hint. Ends with a line feed.
    pub fn render(&self, source: &str, colour: bool) -> String {
        let paint = Paint { colour };
        let severity = match self.severity {
            Severity::Error => paint.style(AnsiColor::Red),
            Severity::Warning => paint.style(AnsiColor::Yellow),
        };
        let bold = if colour { Style::new().bold() } else { Style::new() };
        let gutter = paint.style(AnsiColor::Blue);
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());

        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{bold}{}{bold:#}", Headline { finding: self, severity, bold });
        if let Some(line) = source.split('\n').nth(self.line.saturating_sub(1)) {
            let excerpt = Excerpt::new(&self.uncovered(line.trim_end_matches('\r')), self.column.saturating_sub(1), self.width);
            let _ = writeln!(out, "{gutter} {number} |{gutter:#} {}", excerpt.text);
            let _ = writeln!(
                out,
                "{gutter} {margin} |{gutter:#} {}{severity}{}{severity:#}",
                " ".repeat(excerpt.before),
                "^".repeat(excerpt.carets)
            );
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{gutter} {margin} ={gutter:#} {bold}help{bold:#}: {}", visible::lines(hint));
        }
        out
    }
}

impl Finding {
    /// The line without the secrets in it.
    fn uncovered<'l>(&self, line: &'l str) -> Cow<'l, str> {
        if self.covered.is_empty() {
            return Cow::Borrowed(line);
        }
        let is_covered = |at: usize| self.covered.iter().any(|range| range.contains(&at));
        Cow::Owned(line.chars().enumerate().map(|(at, character)| if is_covered(at) { '*' } else { character }).collect())
    }
}

impl fmt::Display for Finding {
    /// One line: `routes.yaml:3:7: error: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity, self.message)
    }
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn style(&self, colour: AnsiColor) -> Style {
        if self.colour { Style::new().bold().fg_color(Some(colour.into())) } else { Style::new() }
    }
}

struct Headline<'a> {
    finding: &'a Finding,
    severity: Style,
    bold: Style,
}

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, line, column, severity: word, message, .. } = self.finding;
        let Self { severity, bold, .. } = self;
        let (file, message) = (visible::one_line(file), visible::lines(message));
        write!(f, "{file}:{line}:{column}:{bold:#} {severity}{word}{severity:#}{bold}: {message}")
    }
}

/// A source line made fit for a terminal: no control characters, no more than the allowed width.
struct Excerpt {
    text: String,
    /// Columns left of the first caret.
    before: usize,
    carets: usize,
}

impl Excerpt {
    fn new(line: &str, skipped: usize, width: usize) -> Self {
        let mut before: usize = line.chars().take(skipped).map(columns).sum();
        // A place past the end of the line (a value that is missing) is shown just behind it.
        before += skipped.saturating_sub(line.chars().count());
        let marked: usize = line.chars().skip(skipped).take(width).map(columns).sum();

        let cut_left = before.saturating_sub(EXCERPT_COLUMNS_BEFORE);
        let cut_left = if line.chars().map(columns).sum::<usize>() <= EXCERPT_COLUMNS_MAX { 0 } else { cut_left };
        let mut text = String::new();
        let mut passed = 0;
        let mut shown = 0;
        let mut cut_right = false;
        for character in line.chars() {
            let wide = columns(character);
            if passed >= cut_left {
                if shown + wide > EXCERPT_COLUMNS_MAX {
                    cut_right = true;
                    break;
                }
                push_visible(&mut text, character);
                shown += wide;
            } else if passed + wide > cut_left {
                // A wide character that straddles the cut: its visible half becomes spaces.
                let rest = passed + wide - cut_left;
                text.push_str(&" ".repeat(rest));
                shown += rest;
            }
            passed += wide;
        }
        let mut before = before - cut_left;
        let carets = marked.max(1).min((EXCERPT_COLUMNS_MAX + 1).saturating_sub(before).max(1));
        if cut_left > 0 {
            text.insert_str(0, "...");
            before += 3;
        }
        if cut_right {
            text.push_str("...");
        }
        Self { text: text.trim_end().to_owned(), before, carets }
    }
}

/// The terminal columns that `push_visible` uses for a character.
fn columns(character: char) -> usize {
    match character {
        '\t' => TAB.len(),
        _ if is_obeyed(character) => 1,
        _ => character.width().unwrap_or(1),
    }
}

fn push_visible(text: &mut String, character: char) {
    match character {
        '\t' => text.push_str(TAB),
        // A terminal would obey these, or show the rest in another order.
        _ if is_obeyed(character) => text.push('\u{fffd}'),
        _ => text.push(character),
    }
}

/// A value as it stands in a message: in backquotes, without control characters, and cut where it is long.
pub(in crate::config) fn quoted(value: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let mut text = String::from("`");
    for (count, character) in value.chars().enumerate() {
        if count == SHOWN_MAX {
            text.push_str("...");
            break;
        }
        if is_obeyed(character) {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('`');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: usize, column: usize, width: usize) -> Finding {
        Finding {
            severity: Severity::Error,
            file: "routes.yaml".into(),
            line,
            column,
            message: "no such thing".into(),
            hint: Some("make one".into()),
            width,
            covered: Vec::new(),
        }
    }

    #[test]
    fn renders_like_a_compiler() {
        assert_eq!(
            finding(2, 4, 3).render("a: 1\nb: \u{4f60}xyz\n", false),
            "routes.yaml:2:4: error: no such thing\n 2 | b: \u{4f60}xyz\n   |    ^^^^\n   = help: make one\n"
        );
    }

    #[test]
    fn shows_no_control_characters_and_keeps_carets_aligned_after_tabs() {
        let text = finding(1, 3, 1).render("\t\u{1b}x", false);
        assert!(text.contains("     \u{fffd}x\n"), "{text}");
        assert!(text.contains("|      ^\n"), "{text}");
    }

    #[test]
    fn cuts_long_lines_around_the_caret() {
        let line = format!("{}HERE{}", "a".repeat(500_000), "b".repeat(500_000));
        let text = finding(1, 500_001, 4).render(&line, false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].len() < 200, "{}", lines[1].len());
        assert_eq!(lines[1].find("HERE"), lines[2].find("^^^^"));
    }

    #[test]
    fn points_behind_the_end_of_a_line() {
        assert!(finding(1, 6, 1).render("when:", false).contains("|      ^\n"));
    }

    #[test]
    fn colour_changes_nothing_else() {
        let coloured = finding(1, 1, 1).render("a: 1", true);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, escape)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = escape.split_once('m').map_or("", |(_, after)| after);
        }
        plain.push_str(rest);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(plain, finding(1, 1, 1).render("a: 1", false));
    }

    #[test]
    fn serializes_as_check_json_promises() {
        let json = serde_json::to_value(finding(1, 2, 9)).unwrap();
        let expected = serde_json::json!({"severity": "error", "file": "routes.yaml", "line": 1, "column": 2,
            "message": "no such thing", "hint": "make one"});
        assert_eq!(json, expected);
    }

    #[test]
    fn quotes_values_safely() {
        assert_eq!(quoted("a\u{1b}[0m\n"), "`a\\u{1b}[0m\\n`");
        assert_eq!(quoted(&"x".repeat(100)).len(), 60 + 5);
    }
}
