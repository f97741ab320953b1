//! Conditions (`when: ...`) and queries (`$...`): RFC 9535 (JSONPath) with three pieces of sugar.
//!
//! A condition is the logical expression that RFC 9535 puts inside `[?...]`:
//!
//! ```text
//! condition  = all *( ("||" / "or") all )
//! all        = factor *( ("&&" / "and") factor )
//! factor     = [ "!" / "not" ] ( "(" condition ")" / test ) / comparison / membership
//! test       = path / match(value, value) / search(value, value)
//! comparison = value ("==" / "!=" / "<" / "<=" / ">" / ">=") value     ; many-valued paths are refused
//! membership = value "in" "[" literal *( "," literal ) "]"             ; sugar: alternatives by ==
//! value      = literal / path / length(value) / count(path) / value(path)
//! path       = ("@" / "$" / name) *segment                             ; sugar: name = @.name
//! segment    = "." name / ".*" / ".." ... / "[" selector *( "," selector ) "]"
//! selector   = string / integer / slice / "*" / "?" condition
//! ```
//!
//! - A bare path works outside of `[?...]` only, and one that starts with the name `event` addresses the relay's own
//!   facts (`event.path`); the payload's key of that name is `@.event`.
//! - `$` is the payload at every depth, `@` is the payload at the top and the element under test inside `[?...]`.
//! - The words `and or not in` count only where an operator or an operand can stand: `data.in` is a plain path.
//! - One bare word on the right of a comparison is taken for text that lost its quotes, and refused.
//!
//! What surprises: `absent == null` is false, `absent != 5` is true, and a path alone tests for existence, so a `null`
//! or a `false` that is there counts as true (RFC 9535, 2.3.5.2.2 and 2.3.5.1).
//!
//! Reading order: `syntax` (text to tokens to `ast`, and errors with their fix), `meaning` (evaluating), `printing`, `index` (many
//! conditions at once), `foresight` (what is known before any event).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

mod ast;
mod foresight;
mod index;
mod meaning;
mod pattern;
mod printing;
mod strings;
mod syntax;

#[cfg(test)]
mod tests;

pub use foresight::compared::Compared;
pub use foresight::contradictions::{Contradiction, Demands};
pub use foresight::dead_ends::{Shape, Shapes};
pub use foresight::surprises::Surprise;
pub use index::{Candidates, Index};
pub use printing::explain::{Finding, Found};
pub use printing::paths::{PathRoot, STEPS_MAX, Step, UsedPath};

use foresight::{compared, contradictions, dead_ends, guarantees, pinned, surprises};
use meaning::evaluate;
use printing::{canonical, explain, paths};
use syntax::parser;

/// The longest condition or query, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// How deep parentheses, negations, filters and function calls may nest, together.
pub const NESTING_DEPTH_MAX: usize = 64;
/// How many nodes one evaluation may visit. Long texts that are compared or searched count as several.
pub const EVALUATION_STEPS_MAX: u32 = 1_000_000;

/// A compiled condition. Cloning shares it.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

struct Compiled {
    text: String,
    logical: ast::Logical,
}

impl Condition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// Text that is not a condition, with the place in it and, where one is known, the fix.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let logical = parser::condition(text)?;
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), logical })))
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// The evaluation visited more than [`EVALUATION_STEPS_MAX`] nodes, or nested too deeply.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, TooManySteps> {
        let event = || (scope.event)();
        evaluate::Evaluation::new(scope.payload, Some(&event)).logical(&self.0.logical, scope.payload)
    }

    /// Every comparison, existence test, function test and `in` of the condition in the order of the text, with what
    /// was found; also those that a short-circuit would skip. Each has its own [`EVALUATION_STEPS_MAX`]; a term that
    /// exceeds it is reported as not holding.
    pub fn explain(&self, scope: &Scope<'_>) -> Vec<Finding> {
        explain::explain(&self.0.text, &self.0.logical, scope)
    }

    /// What it says that is hardly ever meant.
    pub fn surprises(&self) -> Vec<Surprise> {
        surprises::of_condition(&self.0.logical)
    }

    /// Steps that never find anything, by the shapes that are known.
    pub fn dead_ends(&self, shapes: Shapes<'_>) -> Vec<Surprise> {
        dead_ends::of_condition(&self.0.logical, shapes)
    }

    /// The values that it compares the payload's with, those inside `[?...]` included.
    pub fn compared_values(&self) -> Vec<Compared> {
        compared::by_condition(&self.0.logical, &self.0.text)
    }

    /// Two terms because of which the condition, or an alternative of it, never holds.
    pub fn contradiction(&self) -> Option<Contradiction> {
        contradictions::contradiction(&self.0.logical)
    }

    /// The alternatives of which one must hold: where all of another's demands are among those of each, it holds too.
    /// `None` where they are too long to be told.
    pub fn alternatives(&self) -> Option<Vec<Demands>> {
        contradictions::alternatives(&self.0.logical)
    }

    /// Whether something that is not null is at a path of the payload in every event for which the condition holds. The
    /// path is told by its names (`data`, `phones`, `number`); of the elements of a list, one that is there is enough.
    pub fn ensures(&self, names: &[String]) -> bool {
        guarantees::is_ensured(&self.0.logical, names)
    }

    /// Whether something, be it null, is at a path of the payload in every event for which the condition holds.
    pub fn needs(&self, names: &[String]) -> bool {
        guarantees::is_needed(&self.0.logical, names)
    }

    /// The values one of which is at the path of these names in every event for which the condition holds; `None` where
    /// there may be any, or none at all.
    pub fn pinned(&self, root: PathRoot, names: &[&str]) -> Option<Vec<&Value>> {
        pinned::pinned(&self.0.logical, root, names)
    }

    /// Every text that the path of these names is compared with by `==` or `in`, but for those below a `not`, and the place of
    /// the term that does it, in bytes of the condition's text.
    pub fn compared(&self, root: PathRoot, names: &[&str]) -> Vec<(Range<usize>, &str)> {
        pinned::compared(&self.0.logical, root, names)
    }

    /// Every pattern that a text at the path of these names is matched with or searched for, but for those below a `not`, and the
    /// place of the term.
    pub fn matched(&self, root: PathRoot, names: &[&str]) -> Vec<(Range<usize>, &str)> {
        pinned::matched(&self.0.logical, root, names)
    }

    /// Every path that the condition uses, those inside `[?...]` included.
    pub fn paths(&self) -> Vec<UsedPath> {
        paths::used(&self.0.logical)
    }
}

/// Canonical RFC 9535 text, the sugar resolved. Only paths into the relay's facts stay `event...`: the RFC has no
/// word for them.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.logical.fmt(f)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.0.text)
    }
}

/// A compiled `$...` query: RFC 9535 to the letter, but that `and or not in` work in its filters too.
#[derive(Clone)]
pub struct Query(Arc<ast::Path>);

impl Query {
    /// Compiles a query.
    ///
    /// # Errors
    /// Text that is not a query, with the place in it and, where one is known, the fix.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parser::query(text).map(|path| Self(Arc::new(path)))
    }

    /// Compiles a query that begins at an element, `@...`: the current node, as RFC 9535 has it inside of `[?...]`. In its own
    /// filters `@` is the node that they test, and `$` is the payload everywhere.
    ///
    /// # Errors
    /// Text that is not such a query, with the place in it and, where one is known, the fix.
    pub fn parse_of_element(text: &str) -> Result<Self, SyntaxError> {
        parser::query_of_element(text).map(|path| Self(Arc::new(path)))
    }

    /// Whether the query can find one value at most (RFC 9535, 2.3.5.1: names and indices only).
    pub fn is_singular(&self) -> bool {
        self.0.is_singular()
    }

    /// Whether it is `$` alone.
    pub fn is_root(&self) -> bool {
        self.0.keys.is_empty() && self.0.rest.is_empty()
    }

    /// The canonical text, unless it is longer than a query may be: `in` is written out in it.
    pub fn canonical(&self) -> Option<String> {
        canonical::within(&self.0, TEXT_BYTES_MAX)
    }

    /// Every path that the query uses: itself, and those inside its `[?...]`.
    pub fn paths(&self) -> Vec<UsedPath> {
        paths::used_by_query(&self.0, None)
    }

    /// The same of a query that begins at an element to which these steps lead.
    pub fn paths_from(&self, element: &[Step]) -> Vec<UsedPath> {
        paths::used_by_query(&self.0, Some(element))
    }

    /// What it says that is hardly ever meant.
    pub fn surprises(&self) -> Vec<Surprise> {
        surprises::of_query(&self.0)
    }

    /// Steps that never find anything, by the shapes that are known.
    pub fn dead_ends(&self, shapes: Shapes<'_>) -> Vec<Surprise> {
        dead_ends::of_query(&self.0, shapes)
    }

    /// The values that its filters compare the payload's with; `text` is what was parsed.
    pub fn compared_values(&self, text: &str) -> Vec<Compared> {
        compared::by_query(&self.0, text)
    }

    /// The values found, in the RFC's order.
    ///
    /// # Errors
    /// The evaluation visited more than [`EVALUATION_STEPS_MAX`] nodes, or nested too deeply.
    pub fn select<'v>(&self, payload: &'v Value) -> Result<Vec<&'v Value>, TooManySteps> {
        self.select_from(payload, payload)
    }

    /// The same, where `element` is what `@` stands for.
    ///
    /// # Errors
    /// As [`Query::select`].
    pub fn select_from<'v>(&self, payload: &'v Value, element: &'v Value) -> Result<Vec<&'v Value>, TooManySteps> {
        evaluate::Evaluation::new(payload, None).list(&self.0, element, usize::MAX)
    }
}

/// Canonical RFC 9535 text, the words `and or not in` resolved.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({self})")
    }
}

/// What a condition is evaluated over.
pub struct Scope<'a> {
    /// The webhook's payload.
    pub payload: &'a Value,
    /// The relay's facts about the event; called only when a path needs them.
    pub event: &'a (dyn Fn() -> &'a Value + 'a),
}

/// Text that is not a condition or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The bytes of the text that are to blame; empty at the end of the text when something is missing there.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl SyntaxError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SyntaxError {}

/// An evaluation was given up: the payload is too large for what the condition asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySteps;

impl fmt::Display for TooManySteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "given up after {EVALUATION_STEPS_MAX} steps: the payload is too large for this path or condition")
    }
}

impl std::error::Error for TooManySteps {}
