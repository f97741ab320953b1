//! YAML as a tree in which every node knows its place in the file.
//!
//! The parser's events are read, and not Serde's data model, because findings need the place of every value, the
//! style and the source text of every scalar, and all defects at once instead of the first.

mod parse;
mod place;
mod resolve;
mod syntax;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

pub(super) use parse::{Parsed, parse, parse_file};
pub(super) use place::word_at;
pub(super) use resolve::{looks_like_boolean, looks_like_number};

/// A value of a YAML file, with its place.
#[derive(Debug)]
pub struct Node {
    /// Bytes of the file. Of a block scalar: its content, without the `|`.
    pub span: Range<usize>,
    /// What stands there.
    pub content: Content,
    /// How many nodes this one is made of, aliases counted in full.
    weight: usize,
    /// Bytes of all texts and keys in it, one more a text, aliases counted in full.
    pub(super) bytes: usize,
    /// How many levels of nodes this one holds; a scalar has 1.
    depth: usize,
}

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// One value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Arc<Node>>),
    /// In the order of the file; keys are unique.
    Mapping(Vec<(Key, Arc<Node>)>),
    /// Something whose error has been reported already.
    Invalid,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it means, after quotes, escapes and folding.
    pub text: String,
    /// Bytes of the file.
    pub span: Range<usize>,
}

/// A scalar as it was written, and what it means.
#[derive(Debug)]
pub struct Scalar {
    /// The parsed string: escapes and line folding resolved, everything else as in the file (`0123` stays `0123`).
    pub text: String,
    /// How it is written.
    pub style: Style,
    /// What it is by itself, where nothing else is asked for.
    pub kind: Kind,
    /// The content's indentation in a block scalar, else 0.
    indent: usize,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In `'`.
    SingleQuoted,
    /// In `"`.
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// What a scalar means. Only plain ones can mean something else than a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number of JSON's grammar.
    Number,
    /// Everything else.
    String,
}

impl Node {
    /// A node at a place, measured.
    pub(super) fn new(span: Range<usize>, content: Content) -> Self {
        let Measure { weight, bytes, depth } = match &content {
            Content::Sequence(items) => measure(items.iter().map(|node| (0, node))),
            Content::Mapping(entries) => measure(entries.iter().map(|(key, node)| (key.text.len(), node))),
            Content::Scalar(scalar) => Measure { weight: 1, bytes: scalar.text.len() + 1, depth: 1 },
            Content::Invalid => Measure { weight: 1, bytes: 0, depth: 1 },
        };
        Self { span, content, weight, bytes, depth }
    }

    /// What to call this node in a message.
    pub fn noun(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Scalar { kind: Kind::Null, .. }) => "nothing",
            Content::Scalar(Scalar { kind: Kind::Boolean(_), .. }) => "a boolean",
            Content::Scalar(Scalar { kind: Kind::Number, .. }) => "a number",
            Content::Scalar(_) => "a string",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
            Content::Invalid => "invalid",
        }
    }

    /// Whether it is a null.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// The value of a mapping's key.
    pub fn get(&self, name: &str) -> Option<&Arc<Node>> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The node as JSON. `${...}` is left as it is written; a number that JSON cannot hold becomes a string.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.to_json().unwrap_or_else(|| Value::String(scalar.text.clone())),
            Content::Sequence(items) => Value::Array(items.iter().map(|item| item.to_json()).collect()),
            Content::Mapping(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect::<Map<_, _>>())
            }
            Content::Invalid => Value::Null,
        }
    }

    /// The file's bytes that a range of a scalar's parsed string came from.
    pub(super) fn place_in(&self, file: &str, range: Range<usize>) -> Range<usize> {
        let Content::Scalar(scalar) = &self.content else { return self.span.clone() };
        place::in_file(file, &self.span, scalar, range)
    }
}

impl Scalar {
    /// The scalar as JSON; `None` for a number beyond 1.8e308, the range of a 64-bit float.
    pub fn to_json(&self) -> Option<Value> {
        match self.kind {
            Kind::Null => Some(Value::Null),
            Kind::Boolean(value) => Some(Value::Bool(value)),
            Kind::Number => resolve::number(&self.text).map(Value::Number),
            Kind::String => Some(Value::String(self.text.clone())),
        }
    }
}

struct Measure {
    weight: usize,
    bytes: usize,
    depth: usize,
}

/// The measures of a node with these children, each with the length of its key.
fn measure<'n>(children: impl Iterator<Item = (usize, &'n Arc<Node>)>) -> Measure {
    children.fold(Measure { weight: 1, bytes: 0, depth: 1 }, |sum, (key, child)| Measure {
        weight: sum.weight.saturating_add(child.weight),
        bytes: sum.bytes.saturating_add(key).saturating_add(child.bytes),
        depth: sum.depth.max(child.depth + 1),
    })
}
