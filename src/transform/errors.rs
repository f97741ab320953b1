//! What goes wrong with templates and requests, as values.

use std::fmt;

/// Why a text cannot be a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte offset in the scalar's parsed string.
    pub offset: usize,
    /// What is wrong, in plain words. Never holds a value of a `${...}`.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl TemplateError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TemplateError {}

/// Why a request cannot be rendered. Never holds values of the payload or secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// Which part of the request: `url`, `headers.authorization`, `body.text`, `body.items[2]`. Empty where a template
    /// was rendered by itself.
    pub place: String,
    /// What is wrong, and the fix where there is one.
    pub message: String,
}

impl RenderError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into() }
    }

    pub(super) fn under_key(mut self, key: &str) -> Self {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let step = if plain && !key.is_empty() { format!(".{key}") } else { format!("[{key:?}]") };
        self.place.insert_str(0, &step);
        self
    }

    pub(super) fn under_index(mut self, index: usize) -> Self {
        self.place.insert_str(0, &format!("[{index}]"));
        self
    }

    pub(super) fn under(mut self, part: &str) -> Self {
        self.place.insert_str(0, part);
        self
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.place, self.message) }
    }
}

impl std::error::Error for RenderError {}
