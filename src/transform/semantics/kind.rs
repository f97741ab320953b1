//! What kind of JSON value a template's value is, and how the relay refuses one that cannot be meant.

use minijinja::value::{StringInput, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::digits::Digits;
use crate::transform::marks::{NULL_USED, SAYS};

/// What JSON can say, and what it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Kind {
    /// Not there.
    Absent,
    Null,
    Boolean,
    Number,
    Text,
    /// A list, or what a filter makes of one.
    List,
    Map,
    /// A function or a macro.
    Other,
}

impl Kind {
    pub(in crate::transform) fn of(value: &Value) -> Self {
        match value.kind() {
            ValueKind::Undefined => Self::Absent,
            ValueKind::None => Self::Null,
            ValueKind::Bool => Self::Boolean,
            ValueKind::Number => Self::Number,
            ValueKind::String => Self::Text,
            ValueKind::Seq | ValueKind::Iterable => Self::List,
            ValueKind::Map => Self::Map,
            // An integer of more than 128 bits has a type of its own.
            _ if Digits::of(value).is_some() => Self::Number,
            _ => Self::Other,
        }
    }

    /// How a sentence names it.
    pub(in crate::transform) fn noun(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "an object",
            Self::Other => "a function",
        }
    }
}

/// An error in the relay's own words. They name filters and kinds, never a value.
pub(in crate::transform) fn refusal(reason: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{SAYS}{}", reason.as_ref()))
}

/// Refuses a null, and what is absent by the name that minijinja knows for it; gives the kind of all else.
pub(in crate::transform) fn present(state: &State, value: &Value) -> Result<Kind, Error> {
    let kind = Kind::of(value);
    match kind {
        // The conversion to text fails and names what is undefined; only the empty `else` of an `if` passes it.
        Kind::Absent => StringInput::new(state, value).map(|_| Kind::Absent).and_then(|_| Err(Error::from(ErrorKind::UndefinedError))),
        Kind::Null => Err(Error::new(ErrorKind::InvalidOperation, NULL_USED)),
        kind => Ok(kind),
    }
}

/// Whether a text reads as a number. Jinja would repeat it where a product is meant.
pub(in crate::transform) fn looks_like_number(text: &str) -> bool {
    let text = text.trim();
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok()
}
