//! What a `$present` leaves out of a body, and why. Pure.

use std::cell::RefCell;
use std::fmt;

use serde_json::Value;

use crate::transform::errors::RenderError;

/// The most places that are told of one body. More are left out all the same.
pub const LEFT_OUT_TOLD_MAX: usize = 100;

/// A place of a body that a `$present` left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which place: `body.properties.phone`, `body.emails[0]`.
    pub place: String,
    /// Why.
    pub why: Why,
}

/// Why there is nothing to send at a place. Never holds a value of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The path finds nothing.
    Absent,
    /// The value is null.
    Null,
    /// The value is a text without a character, or of white space only.
    EmptyText,
    /// The value is a list without items.
    EmptyList,
    /// The value is an object without keys.
    EmptyObject,
    /// A template needs what is absent or null. The text says which.
    Needs(String),
}

impl Why {
    /// What a template needs. How one would mend that elsewhere is not said.
    pub(super) fn needs(error: &RenderError) -> Self {
        let message = error.message.as_str();
        Self::Needs(message.split_once("; ").map_or(message, |(what, _)| what).to_owned())
    }

    /// Whether this JSON says nothing, and why.
    pub(super) fn of(json: &[u8]) -> Option<Self> {
        match json.trim_ascii() {
            b"null" => Some(Self::Null),
            [b'"', text @ .., b'"'] => is_white(text).then_some(Self::EmptyText),
            [b'[', items @ .., b']'] => items.trim_ascii().is_empty().then_some(Self::EmptyList),
            [b'{', entries @ .., b'}'] => entries.trim_ascii().is_empty().then_some(Self::EmptyObject),
            _ => None,
        }
    }
}

/// Whether a value that a file gives says nothing, so that `$present` always leaves it out.
pub fn says_nothing(value: &Value) -> bool {
    Why::of(value.to_string().as_bytes()).is_some()
}

/// Whether what stands between the quotes of a JSON text is white space only.
fn is_white(text: &[u8]) -> bool {
    let Ok(mut text) = std::str::from_utf8(text) else { return false };
    loop {
        text = text.trim_start();
        match ["\\n", "\\r", "\\t"].iter().find_map(|escape| text.strip_prefix(escape)) {
            Some(rest) => text = rest,
            None => return text.is_empty(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the path finds nothing"),
            Self::Null => f.write_str("the value is null"),
            Self::EmptyText => f.write_str("the text is empty"),
            Self::EmptyList => f.write_str("the list is empty"),
            Self::EmptyObject => f.write_str("the object has no key"),
            Self::Needs(what) => f.write_str(what),
        }
    }
}

impl LeftOut {
    pub(super) fn under(mut self, part: &str) -> Self {
        self.place.insert_str(0, part);
        self
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.place, self.why)
    }
}

/// Notes what is left out, if anybody wants to know.
#[derive(Default)]
pub(super) struct Notes(Option<RefCell<Vec<LeftOut>>>);

impl Notes {
    /// Notes that are kept.
    pub(super) fn kept() -> Self {
        Self(Some(RefCell::default()))
    }

    /// Notes the value that is being written.
    pub(super) fn note(&self, why: Why) {
        if let Some(all) = &self.0
            && all.borrow().len() < LEFT_OUT_TOLD_MAX
        {
            all.borrow_mut().push(LeftOut { place: String::new(), why });
        }
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.borrow().len())
    }

    /// Says of the notes behind the first `before` that they stand below this part of the body.
    pub(super) fn under(&self, before: usize, part: impl FnOnce() -> String) {
        if let Some(all) = self.0.as_ref().filter(|_| self.count() > before) {
            let part = part();
            all.borrow_mut().iter_mut().skip(before).for_each(|note| note.place.insert_str(0, &part));
        }
    }

    pub(super) fn into_all(self) -> Vec<LeftOut> {
        self.0.map(RefCell::into_inner).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Why;

    #[test]
    fn says_which_json_says_nothing() {
        for (json, why) in [
            ("null", Some(Why::Null)),
            ("\"\"", Some(Why::EmptyText)),
            ("\" \\n\\t\\r \u{a0}\"", Some(Why::EmptyText)),
            ("[]", Some(Why::EmptyList)),
            ("{ }", Some(Why::EmptyObject)),
            ("0", None),
            ("false", None),
            ("\"null\"", None),
            ("\"\\\\n\"", None),
            ("\" x \"", None),
            ("[null]", None),
            ("{\"a\":null}", None),
        ] {
            assert_eq!(Why::of(json.as_bytes()), why, "{json}");
        }
    }
}
