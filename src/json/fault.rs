//! Why a text is not JSON.

use std::fmt;

use super::DEPTH_MAX;

/// What is wrong with a text that should be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// RFC 8259, section 8.1: JSON between systems is UTF-8.
    NotUtf8,
    /// There is nothing in it.
    Empty,
    /// It ends in the middle of a value.
    Unfinished,
    /// Something else stands where this is expected.
    Expected(&'static str),
    /// More than one value.
    MoreFollows,
    /// A control character in a string, which must be escaped (RFC 8259, section 7).
    ControlCharacter,
    /// `\` and something that RFC 8259, section 7, does not name.
    UnknownEscape,
    /// Not a number of RFC 8259, section 6.
    MalformedNumber,
    /// JSON, but a number that no 64-bit float holds (RFC 8259, section 6, lets a reader set limits).
    NumberTooLarge,
    /// JSON, but nested deeper than [`DEPTH_MAX`].
    TooDeep,
}

/// What is wrong with a text that should be JSON, and where. Safe to show: it says nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub problem: Problem,
    /// The line, counted from 1.
    pub line: usize,
    /// The character in it, counted from 1.
    pub column: usize,
}

impl Fault {
    /// The place is the end of what comes before it.
    pub(super) fn new(problem: Problem, before: &str) -> Self {
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Self { problem, line, column }
    }
}

/// A sentence that goes on where `it` or `the body` stands.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, line, column } = self;
        let wrong = match problem {
            Problem::Empty => return f.write_str("is empty"),
            Problem::NotUtf8 => {
                return write!(f, "is not valid JSON: its bytes are not UTF-8 (RFC 8259, section 8.1), at line {line}, column {column}");
            }
            Problem::NumberTooLarge => {
                return write!(f, "has a number beyond 1.8e308, the range of a 64-bit float, at line {line}, column {column}");
            }
            Problem::TooDeep => return write!(f, "nests deeper than {DEPTH_MAX} levels, at line {line}, column {column}"),
            Problem::Expected(what) => {
                return write!(f, "is not valid JSON: {what} is expected at line {line}, column {column}");
            }
            Problem::Unfinished => "it ends in the middle of a value",
            Problem::MoreFollows => "something follows the value",
            Problem::ControlCharacter => "a string has a control character that is not escaped",
            Problem::UnknownEscape => "a string has an unknown escape",
            Problem::MalformedNumber => "a number is malformed",
        };
        write!(f, "is not valid JSON: {wrong}, at line {line}, column {column}")
    }
}

impl std::error::Error for Fault {}
