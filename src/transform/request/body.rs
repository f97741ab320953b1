//! Bodies of requests, written straight into bytes.

use std::cell::Cell;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::present::{LeftOut, Notes, Why};
use super::selection::{Found, Selection};
use crate::transform::errors::{Failures, RenderError, index_part, key_part};
use crate::transform::names::context::ElementNames;
use crate::transform::names::view;
use crate::transform::templates::template::{Template, Templates};

/// The longest body that is sent, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep the maps and lists of a body may nest.
pub const BODY_DEPTH_MAX: usize = 64;
/// How many elements all `$each` of a body may make together: those of the largest batch, several of each.
pub const ELEMENTS_MAX: usize = 10_000;

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
    /// The value of a template's `{{ }}`, with its type: `$value`.
    Value(Template),
    /// `$each`.
    Each(Box<Each>),
    /// `$present`: left out where nothing is there to send. A mapping or list in it has one around each of its own values.
    Present(Box<Tree>),
    /// A value as it stands.
    Literal(Value),
}

/// A list made of another: `$each` and `$do`. As an item of a list it gives its elements to that list.
#[derive(Debug)]
pub struct Each {
    /// Finds the elements: many, or one list.
    pub list: Selection,
    /// What each of them becomes. Where it selects nothing, the element is left out.
    pub element: Tree,
}

/// Where the values of a body come from.
pub(in crate::transform) struct Source<'s> {
    /// What `$` finds.
    pub(in crate::transform) root: &'s dyn Fn() -> &'s Value,
    /// The same as JSON, where it is at hand: then `$` alone copies it.
    pub(in crate::transform) text: Option<&'s [u8]>,
    /// The names that templates see, made on first use.
    pub(in crate::transform) names: &'s dyn Fn() -> minijinja::Value,
}

/// Writes trees; holds what all their leaves need.
pub(in crate::transform) struct Writer<'t, 's> {
    templates: &'t Templates,
    source: Source<'s>,
    bytes_max: usize,
    elements_left: Cell<usize>,
    notes: Notes,
}

/// What `$each` adds to the names and paths inside of it.
#[derive(Clone, Copy)]
struct Inside<'i> {
    /// `@`; outside of all `$each` the root.
    element: Option<&'i Value>,
    names: &'i dyn Fn() -> minijinja::Value,
}

impl<'t, 's> Writer<'t, 's> {
    /// A writer of one body of at most so many bytes.
    pub(in crate::transform) fn new(templates: &'t Templates, source: Source<'s>, bytes_max: usize) -> Self {
        Self { templates, source, bytes_max, elements_left: Cell::new(ELEMENTS_MAX), notes: Notes::default() }
    }

    /// What each `$present` of the tree leaves out. Nothing where the body cannot be written.
    pub(in crate::transform) fn left_out(mut self, tree: &Tree) -> Vec<LeftOut> {
        self.notes = Notes::kept();
        match self.json(tree) {
            Ok(_) => self.notes.into_all(),
            Err(_) => Vec::new(),
        }
    }

    /// The tree as JSON.
    pub(in crate::transform) fn json(&self, tree: &Tree) -> Result<Vec<u8>, RenderError> {
        let mut bytes = Vec::with_capacity(256);
        if self.write(tree, &mut bytes, 0, Inside { element: None, names: self.source.names })? {
            Ok(bytes)
        } else if matches!(tree, Tree::Present(_)) {
            Err(RenderError::new("`$present` leaves nothing of the body for this event, so there is no body to send"))
        } else {
            Err(RenderError::new("the path finds nothing in this event, so there is no body to send"))
        }
    }

    /// Writes a tree behind what is in `bytes`; `false`, and nothing written, where its selection finds nothing.
    fn write(&self, tree: &Tree, bytes: &mut Vec<u8>, depth: usize, inside: Inside<'_>) -> Result<bool, RenderError> {
        if depth > BODY_DEPTH_MAX {
            return Err(RenderError::limit(format!("the body nests deeper than {BODY_DEPTH_MAX} levels")));
        }
        match tree {
            Tree::Map(entries) => {
                bytes.push(b'{');
                let first = bytes.len();
                let mut failures = Failures::default();
                for (key, tree) in entries {
                    let before = bytes.len();
                    if before > first {
                        bytes.push(b',');
                    }
                    json(key, bytes)?;
                    bytes.push(b':');
                    let noted = self.notes.count();
                    let written = self.write(tree, bytes, depth + 1, inside).map_err(|error| error.under_key(key));
                    self.notes.under(noted, || key_part(key));
                    if failures.take(written)? != Some(true) {
                        bytes.truncate(before);
                    }
                }
                failures.end()?;
                bytes.push(b'}');
            }
            Tree::List(items) => {
                bytes.push(b'[');
                let first = bytes.len();
                let mut failures = Failures::default();
                for (index, tree) in items.iter().enumerate() {
                    let before = bytes.len();
                    let noted = self.notes.count();
                    let written = self.item(tree, bytes, first, depth + 1, inside).map_err(|error| error.under_index(index));
                    self.notes.under(noted, || index_part(index));
                    if failures.take(written)?.is_none() {
                        bytes.truncate(before);
                    }
                }
                failures.end()?;
                bytes.push(b']');
            }
            Tree::Each(each) => {
                bytes.push(b'[');
                let first = bytes.len();
                self.each(each, bytes, first, depth + 1, inside)?;
                bytes.push(b']');
            }
            Tree::Select(selection) => match self.source.text.filter(|_| selection.is_whole() && inside.element.is_none()) {
                Some(text) => bytes.extend_from_slice(text),
                None => match self.find(selection, inside)? {
                    Found::One(None) => return Ok(false),
                    Found::One(Some(value)) => json(value, bytes)?,
                    Found::Many(values) => json(&values, bytes)?,
                },
            },
            Tree::Template(template) => json(&template.text(self.templates, inside.names)?, bytes)?,
            Tree::Value(template) => bytes.extend_from_slice(template.text(self.templates, inside.names)?.trim().as_bytes()),
            Tree::Literal(value) => json(value, bytes)?,
            Tree::Present(tree) => return self.present(tree, bytes, depth, inside),
        }
        if bytes.len() > self.bytes_max {
            return Err(RenderError::limit(format!("the body would be longer than {} bytes", self.bytes_max)));
        }
        Ok(true)
    }

    /// Writes what stands in a `$present`; `false`, and nothing written, where there is nothing to send.
    fn present(&self, tree: &Tree, bytes: &mut Vec<u8>, depth: usize, inside: Inside<'_>) -> Result<bool, RenderError> {
        let before = bytes.len();
        let why = match self.write(tree, bytes, depth, inside) {
            Ok(true) => match bytes.get(before..).and_then(Why::of) {
                Some(why) => why,
                None => return Ok(true),
            },
            Ok(false) => Why::Absent,
            // Only of a template of its own: what fails somewhere in a mapping or list is not hidden with all that stands beside it.
            Err(error) if error.needs_value() && matches!(tree, Tree::Template(_) | Tree::Value(_)) => Why::needs(&error),
            Err(error) => return Err(error),
        };
        bytes.truncate(before);
        self.notes.note(why);
        Ok(false)
    }

    /// Writes an item of a list that begins at `first`; of a `$each` all that it makes.
    fn item(&self, tree: &Tree, bytes: &mut Vec<u8>, first: usize, depth: usize, inside: Inside<'_>) -> Result<(), RenderError> {
        let bare = if let Tree::Present(inner) = tree { inner } else { tree };
        if let Tree::Each(each) = bare {
            return self.each(each, bytes, first, depth, inside);
        }
        let before = bytes.len();
        if before > first {
            bytes.push(b',');
        }
        if !self.write(tree, bytes, depth, inside)? {
            bytes.truncate(before);
        }
        Ok(())
    }

    /// Writes what a `$each` makes as items of the list that begins at `first`.
    fn each(&self, each: &Each, bytes: &mut Vec<u8>, first: usize, depth: usize, inside: Inside<'_>) -> Result<(), RenderError> {
        let elements: Vec<&Value> = match self.find(&each.list, inside)? {
            Found::Many(values) => values,
            Found::One(None | Some(Value::Null)) => Vec::new(),
            Found::One(Some(Value::Array(values))) => values.iter().collect(),
            Found::One(Some(_)) => {
                return Err(RenderError::new("what the path finds is not a list, so there is nothing to take `$each` of"));
            }
        };
        let length = elements.len();
        let mut failures = Failures::default();
        for (index, element) in elements.into_iter().enumerate() {
            let Some(left) = self.elements_left.get().checked_sub(1) else {
                return Err(RenderError::limit(format!("`$each` makes more than {ELEMENTS_MAX} elements of this body")));
            };
            self.elements_left.set(left);
            let names = || {
                let item = view::of(Arc::new(element.clone()));
                minijinja::Value::from_object(ElementNames { outer: (inside.names)(), item, index, length })
            };
            let inside = Inside { element: Some(element), names: &names };
            let before = bytes.len();
            let noted = self.notes.count();
            let written = self.item(&each.element, bytes, first, depth, inside).map_err(|error| error.under_index(index));
            self.notes.under(noted, || index_part(index));
            if failures.take(written)?.is_none() {
                bytes.truncate(before);
            }
        }
        failures.end()
    }

    fn find<'v>(&'v self, selection: &Selection, inside: Inside<'v>) -> Result<Found<'v>, RenderError> {
        let root = (self.source.root)();
        selection
            .find_from(root, inside.element.unwrap_or(root))
            .map_err(|_| RenderError::new("the path takes too many steps through this event"))
    }
}

fn json(value: &(impl Serialize + ?Sized), bytes: &mut Vec<u8>) -> Result<(), RenderError> {
    // Strings and JSON values always serialize, into memory always writes.
    serde_json::to_writer(bytes, value).map_err(|_| RenderError::new("the value cannot be written as JSON"))
}
