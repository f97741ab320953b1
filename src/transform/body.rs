//! Bodies of requests, written straight into bytes.

use serde::Serialize;
use serde_json::Value;

use super::errors::RenderError;
use super::selection::{Found, Selection};
use super::template::{Template, Templates};

/// The longest body that is sent, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep the maps and lists of a body may nest.
pub const BODY_DEPTH_MAX: usize = 64;

/// The body of a request, as a file describes it.
#[derive(Debug)]
pub enum Body {
    /// Sent as JSON.
    Tree(Tree),
    /// Sent as plain text.
    Text(Template),
}

/// A JSON value with gaps to fill in.
#[derive(Debug)]
pub enum Tree {
    /// An object. A key whose selection finds nothing is left out.
    Map(Vec<(String, Tree)>),
    /// An array. An item whose selection finds nothing is left out.
    List(Vec<Tree>),
    /// Values of the payload, with their types; an array where the query can find many.
    Select(Selection),
    /// A string.
    Template(Template),
    /// A value as it stands.
    Literal(Value),
}

/// Writes trees; holds what all their leaves need.
pub(super) struct Writer<'w, N> {
    pub(super) templates: &'w Templates,
    pub(super) payload: &'w Value,
    /// The names that templates see, made on first use.
    pub(super) names: N,
}

impl<N: Fn() -> minijinja::Value> Writer<'_, N> {
    /// The tree as JSON.
    pub(super) fn json(&self, tree: &Tree) -> Result<Vec<u8>, RenderError> {
        let mut bytes = Vec::with_capacity(256);
        if self.write(tree, &mut bytes, 0)? {
            Ok(bytes)
        } else {
            Err(RenderError::new("the path finds nothing in this event, so there is no body to send"))
        }
    }

    /// Writes a tree behind what is in `bytes`; `false`, and nothing written, where its selection finds nothing.
    fn write(&self, tree: &Tree, bytes: &mut Vec<u8>, depth: usize) -> Result<bool, RenderError> {
        if depth > BODY_DEPTH_MAX {
            return Err(RenderError::new(format!("the body nests deeper than {BODY_DEPTH_MAX} levels")));
        }
        match tree {
            Tree::Map(entries) => {
                bytes.push(b'{');
                let first = bytes.len();
                for (key, tree) in entries {
                    let before = bytes.len();
                    if before > first {
                        bytes.push(b',');
                    }
                    json(key, bytes)?;
                    bytes.push(b':');
                    let written = self.write(tree, bytes, depth + 1).map_err(|error| error.under_key(key))?;
                    if !written {
                        bytes.truncate(before);
                    }
                }
                bytes.push(b'}');
            }
            Tree::List(items) => {
                bytes.push(b'[');
                let first = bytes.len();
                for (index, tree) in items.iter().enumerate() {
                    let before = bytes.len();
                    if before > first {
                        bytes.push(b',');
                    }
                    let written = self.write(tree, bytes, depth + 1).map_err(|error| error.under_index(index))?;
                    if !written {
                        bytes.truncate(before);
                    }
                }
                bytes.push(b']');
            }
            Tree::Select(selection) => match selection.find(self.payload) {
                Ok(Found::One(None)) => return Ok(false),
                Ok(Found::One(Some(value))) => json(value, bytes)?,
                Ok(Found::Many(values)) => json(&values, bytes)?,
                Err(_) => return Err(RenderError::new("the path takes too many steps through this event")),
            },
            Tree::Template(template) => json(&template.text(self.templates, &self.names)?, bytes)?,
            Tree::Literal(value) => json(value, bytes)?,
        }
        if bytes.len() > BODY_BYTES_MAX {
            return Err(RenderError::new(format!("the body would be longer than {BODY_BYTES_MAX} bytes")));
        }
        Ok(true)
    }
}

fn json(value: &(impl Serialize + ?Sized), bytes: &mut Vec<u8>) -> Result<(), RenderError> {
    // Strings and JSON values always serialize, into memory always writes.
    serde_json::to_writer(bytes, value).map_err(|_| RenderError::new("the value cannot be written as JSON"))
}
