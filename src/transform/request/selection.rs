//! Selections: `$...` strings of routes.yaml, which pick values out of the payload and keep their JSON types.
//!
//! Queries are parsed by `condition::Query`, so that paths are one language everywhere, and evaluated by jsonpath-rust,
//! compiled once, where it answers as RFC 9535 says and in time that is bounded by the payload's size; [`serves`] says
//! where. The others, and those that find one value at most (a plain walk, 0.05 us against 0.2 us), are evaluated by
//! `condition::Query` itself.

use std::fmt;
use std::sync::Arc;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use crate::condition::{Query, Shapes, Step, Surprise, SyntaxError, TooManySteps, UsedPath};

/// A compiled JSONPath query (RFC 9535) over the payload. Cloning shares it.
#[derive(Clone)]
pub struct Selection {
    query: Query,
    is_singular: bool,
    compiled: Option<Arc<JpQuery>>,
}

/// What a selection found.
#[derive(Debug, Clone, PartialEq)]
pub enum Selected {
    /// By a query that can find one value at most (RFC 9535, 2.3.5.1): that value.
    One(Option<Value>),
    /// By any other query: all values, in order.
    Many(Vec<Value>),
}

/// The same, borrowed from the payload.
pub(in crate::transform) enum Found<'v> {
    One(Option<&'v Value>),
    Many(Vec<&'v Value>),
}

impl Selection {
    /// Whether a text of a body is a query, to be compiled, and no text to be sent: it is `$`, or begins with `$.` or `$[`.
    /// All that selects asks this one function. `$5`, `$$`, `$x` and `$ ` are texts; a text `$` is written `{{ "$" }}`.
    pub fn is_written_in(text: &str) -> bool {
        text.strip_prefix('$').is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Whether a text inside of `$each` is a query that begins at the element: it is `@`, or begins with `@.` or `@[`.
    pub fn is_of_element(text: &str) -> bool {
        text.strip_prefix('@').is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Whether it can find one value at most.
    pub fn is_singular(&self) -> bool {
        self.is_singular
    }

    /// Every path that it uses; `element` are the steps to what `@` stands for, where they are known.
    pub fn paths_from(&self, element: Option<&[Step]>) -> Vec<UsedPath> {
        element.map_or_else(|| self.query.paths(), |element| self.query.paths_from(element))
    }

    /// What it says that is hardly ever meant.
    pub fn surprises(&self) -> Vec<Surprise> {
        self.query.surprises()
    }

    /// Steps of it that never find anything, by the shapes that are known.
    pub fn dead_ends(&self, shapes: Shapes<'_>) -> Vec<Surprise> {
        self.query.dead_ends(shapes)
    }

    /// Compiles a query that begins at an element, `@...`.
    ///
    /// # Errors
    /// Text that is not such a query, with the place in it.
    pub fn parse_of_element(text: &str) -> Result<Self, SyntaxError> {
        let query = Query::parse_of_element(text)?;
        Ok(Self { is_singular: query.is_singular(), query, compiled: None })
    }

    /// Compiles a query.
    ///
    /// # Errors
    /// Text that is not a query, with the place in it.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let query = Query::parse(text)?;
        let is_singular = query.is_singular();
        let canonical = if is_singular { None } else { query.canonical().filter(|canonical| serves(canonical)) };
        let compiled = canonical.and_then(|canonical| parse_json_path(&canonical).ok()).map(Arc::new);
        Ok(Self { query, is_singular, compiled })
    }

    /// Whether it is `$`, which finds the whole payload.
    pub fn is_whole(&self) -> bool {
        self.query.is_root()
    }

    /// What the query finds in a payload.
    ///
    /// # Errors
    /// The search took too many steps.
    pub fn select(&self, payload: &Value) -> Result<Selected, TooManySteps> {
        Ok(match self.find(payload)? {
            Found::One(value) => Selected::One(value.cloned()),
            Found::Many(values) => Selected::Many(values.into_iter().cloned().collect()),
        })
    }

    /// Every path that it uses: itself, and those inside its `[?...]`.
    pub fn paths(&self) -> Vec<UsedPath> {
        self.query.paths()
    }

    /// What it finds as a text that is the same for the same values and no others. `None`: it finds nothing (or nothing
    /// within the limit of steps), which says nothing of what the event is about.
    pub fn key_text(&self, payload: &Value) -> Option<String> {
        match self.find(payload) {
            Ok(Found::One(Some(value))) if !value.is_null() => Some(value.to_string()),
            Ok(Found::Many(values)) if !values.is_empty() => serde_json::to_string(&values).ok(),
            Ok(_) | Err(_) => None,
        }
    }

    pub(in crate::transform) fn find<'v>(&self, payload: &'v Value) -> Result<Found<'v>, TooManySteps> {
        self.find_from(payload, payload)
    }

    /// The same, where `element` is what `@` stands for.
    pub(in crate::transform) fn find_from<'v>(&self, payload: &'v Value, element: &'v Value) -> Result<Found<'v>, TooManySteps> {
        let found = self.compiled.as_ref().and_then(|compiled| js_path_process(compiled.as_ref(), payload).ok());
        let values = match found {
            Some(found) => found.into_iter().map(|found| found.val).collect(),
            None => self.query.select_from(payload, element)?,
        };
        Ok(if self.is_singular { Found::One(values.into_iter().next()) } else { Found::Many(values) })
    }

    #[cfg(test)]
    pub(in crate::transform) fn is_by_jsonpath_rust(&self) -> bool {
        self.compiled.is_some()
    }
}

/// Whether jsonpath-rust 1.0.12 evaluates a many-valued query, given in canonical text, rightly and in bounded time. Not these:
/// - `..`: with several selectors behind it the order is not the RFC's (2.5.2.2), each further `..` multiplies the
///   work, and it builds a path text for every node (10 us against 0.6 us for `$..email` on 1.3 KB);
/// - functions: ill-typed ones are accepted, and a regular expression is compiled anew at every evaluation (75 us);
/// - a filter inside a filter: `$[?@[?@>1]]` finds nothing;
/// - integers from 2^53, which it compares as floating-point numbers: those written, and two paths compared with each other;
/// - several selectors in one pair of brackets, whose repetition could multiply the work beyond the payload's size.
fn serves(canonical: &str) -> bool {
    /// 2^53 has 16 digits.
    const DIGITS_MAX: usize = 15;
    let mut quote = None;
    let mut filters = 0_usize;
    let mut digits = 0_usize;
    let mut last_visible = '$';
    let mut characters = canonical.chars().peekable();
    while let Some(character) = characters.next() {
        if let Some(open) = quote {
            match character {
                '\\' => _ = characters.next(),
                _ if character == open => quote = None,
                _ => {}
            }
            continue;
        }
        digits = if character.is_ascii_digit() { digits + 1 } else { 0 };
        let refused = match character {
            '.' => characters.peek() == Some(&'.'),
            '(' | ',' => true,
            '?' => {
                filters += 1;
                filters > 1
            }
            '@' | '$' => matches!(last_visible, '=' | '<' | '>'),
            _ => digits > DIGITS_MAX,
        };
        if refused {
            return false;
        }
        if character == '"' || character == '\'' {
            quote = Some(character);
        }
        if !character.is_whitespace() {
            last_visible = character;
        }
    }
    true
}

/// The canonical RFC 9535 text.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selection({self})")
    }
}
