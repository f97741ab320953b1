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

/// The most failures that are told of one request. More are not looked for: a dead letter's reason is kept with it, and whoever mends
/// ten fields sees the others at the next try.
pub const FAILURES_TOLD_MAX: usize = 10;

/// Why a request cannot be rendered: each of its parts that cannot. Never holds values of the payload or secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// Which part, of several the first: `url`, `headers.authorization`, `body.text`, `body.items[2]`. Empty where a template
    /// was rendered by itself.
    pub place: String,
    /// What is wrong there, and the fix where there is one.
    pub message: String,
    /// What else fails, in the order of the request; with the first [`FAILURES_TOLD_MAX`] at the most.
    pub others: Vec<Failure>,
    /// A limit was reached, so that nothing behind it is worth a look.
    is_limit: bool,
    /// A template needs what is absent or null in this event, and nothing else is wrong.
    needs_value: bool,
}

/// Why a part of a request cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which part.
    pub place: String,
    /// What is wrong there, and the fix where there is one.
    pub message: String,
}

impl RenderError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into(), others: Vec::new(), is_limit: false, needs_value: false }
    }

    /// A template needs what is absent or null.
    pub(super) fn needing_value(self) -> Self {
        Self { needs_value: true, ..self }
    }

    /// Whether a template needs what is absent or null in this event, and nothing else is wrong.
    pub(super) fn needs_value(&self) -> bool {
        self.needs_value
    }

    /// A limit of the whole request.
    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self { is_limit: true, ..Self::new(message) }
    }

    /// Each failure as one text, in the order of the request.
    pub fn each(&self) -> impl Iterator<Item = String> {
        let others = self.others.iter().map(|failure| told(&failure.place, &failure.message));
        std::iter::once(told(&self.place, &self.message)).chain(others)
    }

    pub(super) fn under_key(self, key: &str) -> Self {
        self.under(&key_part(key))
    }

    pub(super) fn under_index(self, index: usize) -> Self {
        self.under(&index_part(index))
    }

    pub(super) fn under(mut self, part: &str) -> Self {
        self.place.insert_str(0, part);
        self.others.iter_mut().for_each(|failure| failure.place.insert_str(0, part));
        self
    }
}

/// How a place below a key is written.
pub(super) fn key_part(key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if plain && !key.is_empty() { format!(".{key}") } else { format!("[{key:?}]") }
}

/// How a place in a list is written.
pub(super) fn index_part(index: usize) -> String {
    format!("[{index}]")
}

fn told(place: &str, message: &str) -> String {
    if place.is_empty() { message.to_owned() } else { format!("{place}: {message}") }
}

/// Gathers what fails of a request, so that all of it is told at once.
#[derive(Default)]
pub(super) struct Failures(Option<RenderError>);

impl Failures {
    /// The value; or nothing, and the failure is kept.
    ///
    /// # Errors
    /// All failures so far, where no more are looked for.
    pub(super) fn take<T>(&mut self, result: Result<T, RenderError>) -> Result<Option<T>, RenderError> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        let mut all = match self.0.take() {
            None => error,
            Some(mut all) => {
                all.others.push(Failure { place: error.place, message: error.message });
                all.others.extend(error.others);
                all.is_limit |= error.is_limit;
                all
            }
        };
        if all.is_limit || all.others.len() + 1 >= FAILURES_TOLD_MAX {
            all.others.truncate(FAILURES_TOLD_MAX - 1);
            all.is_limit = true;
            return Err(all);
        }
        self.0 = Some(all);
        Ok(None)
    }

    /// # Errors
    /// What failed.
    pub(super) fn end(self) -> Result<(), RenderError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// All failures in one line: `body.a: ...; also body.b: ...`.
impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failure) in self.each().enumerate() {
            write!(f, "{}{failure}", if index == 0 { "" } else { "; also " })?;
        }
        Ok(())
    }
}

impl std::error::Error for RenderError {}
