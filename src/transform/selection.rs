//! Selections: `$...` strings of routes.yaml, which pick values out of the payload and keep their JSON types.

use std::fmt;

use serde_json::Value;

use crate::condition::{Query, SyntaxError, TooManySteps};

/// A compiled JSONPath query (RFC 9535) over the payload.
#[derive(Clone)]
pub struct Selection {
    query: Query,
    is_singular: bool,
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
pub(super) enum Found<'v> {
    One(Option<&'v Value>),
    Many(Vec<&'v Value>),
}

impl Selection {
    /// Compiles a query.
    ///
    /// # Errors
    /// Text that is not a query, with the place in it.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let query = Query::parse(text)?;
        let is_singular = query.is_singular();
        Ok(Self { query, is_singular })
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

    pub(super) fn find<'v>(&self, payload: &'v Value) -> Result<Found<'v>, TooManySteps> {
        let values = self.query.select(payload)?;
        Ok(if self.is_singular { Found::One(values.into_iter().next()) } else { Found::Many(values) })
    }
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
