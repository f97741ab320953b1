//! What a compiled condition or query means on a payload. Nothing is copied: values are borrowed throughout.
//!
//! Nodes are visited depth first, each handed to a closure that goes on with the rest of the path. That gives RFC
//! 9535's order without building lists in between, and lets an existence test stop at the first node.

use std::cell::Cell;

use serde_json::Value;

use super::compare::Side;
use crate::condition::ast::{Key, Logical, Operand, Path, Pattern, Root, Segment, Selector, Term, Test, TextMatch};
use crate::condition::pattern::{self, Compiled};
use crate::condition::{EVALUATION_STEPS_MAX, TooManySteps};

/// How many visits may be open inside one another: a payload's depth (128 by serde_json) once or a few times over.
/// Only filters nested for the sake of it need more.
pub(in crate::condition) const VISIT_DEPTH_MAX: u32 = 512;
/// The steps that compiling a pattern counts for: it takes as long as visiting that many nodes.
pub(in crate::condition) const PATTERN_STEPS: usize = 10_000;
/// A step pays for so many bytes of text times bytes of compiled pattern: the worst case. A search is mostly far
/// quicker, but whoever sends the text may choose it.
pub(in crate::condition) const SEARCHED_PRODUCT_PER_STEP: usize = 8 * 1024;
/// Up to so many members of an object it is quicker to look at each name than to hash the one that is wanted. Most objects of a
/// payload have fewer, and most conditions begin with one of them.
const FEW_MEMBERS: usize = 8;
/// The longest pattern that is taken from a payload, in bytes.
const FOUND_PATTERN_BYTES_MAX: usize = 1024;

/// Why a visit ends early.
enum Stop {
    /// Enough was found.
    Enough,
    Exhausted,
}

type Visit = Result<(), Stop>;
type EventFacts<'v> = dyn Fn() -> &'v Value + 'v;

pub(in crate::condition) struct Evaluation<'v> {
    payload: &'v Value,
    event: Option<&'v EventFacts<'v>>,
    steps_left: Cell<u32>,
    depth_left: Cell<u32>,
}

impl<'v> Evaluation<'v> {
    pub fn new(payload: &'v Value, event: Option<&'v EventFacts<'v>>) -> Self {
        Self { payload, event, steps_left: Cell::new(EVALUATION_STEPS_MAX), depth_left: Cell::new(VISIT_DEPTH_MAX) }
    }

    pub fn spend(&self, steps: usize) -> Result<(), TooManySteps> {
        let steps = u32::try_from(steps).map_err(|_| TooManySteps)?;
        let left = self.steps_left.get().checked_sub(steps).ok_or(TooManySteps)?;
        self.steps_left.set(left);
        Ok(())
    }

    pub fn logical(&self, logical: &Logical, current: &'v Value) -> Result<bool, TooManySteps> {
        match logical {
            Logical::Term(term) => self.term(term, current),
            Logical::Not(inner) => Ok(!self.logical(inner, current)?),
            Logical::All(conditions) => {
                for condition in conditions {
                    if !self.logical(condition, current)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Logical::Any(alternatives) => {
                for alternative in alternatives {
                    if self.logical(alternative, current)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    pub fn term(&self, term: &Term, current: &'v Value) -> Result<bool, TooManySteps> {
        self.spend(1)?;
        match &term.test {
            Test::Exists(path) => self.exists(path, current),
            Test::Compare { left, operator, right } => self.compare(self.side(left, current)?, *operator, self.side(right, current)?),
            Test::OneOf { operand, values } => {
                let side = self.side(operand, current)?;
                for value in values {
                    self.spend(1)?;
                    if self.is_equal(side, Side::Value(value))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::Matches(matches) => self.matches(matches, current),
        }
    }

    /// The value of one side of a comparison, or of a function's argument.
    fn side<'o>(&self, operand: &'o Operand, current: &'v Value) -> Result<Side<'o>, TooManySteps>
    where
        'v: 'o,
    {
        let found = |value: Option<&'v Value>| value.map_or(Side::Absent, Side::Value);
        Ok(match operand {
            Operand::Literal(value) => Side::Value(value),
            Operand::Path(path) if path.is_singular() => found(self.single(path, current)?),
            // The parser lets only singular paths through; if several were found, RFC 9535's value() would say Nothing.
            Operand::Path(path) | Operand::Value(path) => match self.list(path, current, 2)?.as_slice() {
                [only] => Side::Value(only),
                _ => Side::Absent,
            },
            Operand::Count(path) => {
                let mut count = 0;
                self.each(path, current, &mut |_| {
                    count += 1;
                    Ok(())
                })?;
                Side::Count(count)
            }
            Operand::Length(operand) => match self.side(operand, current)? {
                Side::Value(Value::String(text)) => {
                    self.spend_on(text.len())?;
                    Side::Count(text.chars().count() as u64)
                }
                Side::Value(Value::Array(elements)) => Side::Count(elements.len() as u64),
                Side::Value(Value::Object(members)) => Side::Count(members.len() as u64),
                _ => Side::Absent,
            },
        })
    }

    fn matches(&self, matches: &TextMatch, current: &'v Value) -> Result<bool, TooManySteps> {
        let Side::Value(Value::String(text)) = self.side(&matches.text, current)? else {
            return Ok(false);
        };
        match &matches.pattern {
            Pattern::Written { compiled, .. } => self.search(compiled, text),
            Pattern::Found(operand) => {
                let Side::Value(Value::String(written)) = self.side(operand, current)? else {
                    return Ok(false);
                };
                if written.len() > FOUND_PATTERN_BYTES_MAX {
                    return Ok(false);
                }
                self.spend(PATTERN_STEPS)?;
                // RFC 9535, 2.4.6: what is not a pattern matches nothing.
                pattern::compile(written, matches.whole).map_or(Ok(false), |compiled| self.search(&compiled, text))
            }
        }
    }

    fn search(&self, compiled: &Compiled, text: &str) -> Result<bool, TooManySteps> {
        self.spend(text.len().saturating_mul(compiled.bytes) / SEARCHED_PRODUCT_PER_STEP)?;
        Ok(compiled.regex.is_match(text))
    }

    fn exists(&self, path: &Path, current: &'v Value) -> Result<bool, TooManySteps> {
        if path.is_singular() {
            return Ok(self.single(path, current)?.is_some());
        }
        Ok(!self.list(path, current, 1)?.is_empty())
    }

    /// The values that the path finds, the first `limit` of them.
    pub fn list(&self, path: &Path, current: &'v Value, limit: usize) -> Result<Vec<&'v Value>, TooManySteps> {
        let mut found = Vec::new();
        self.each(path, current, &mut |value| {
            found.push(value);
            if found.len() < limit { Ok(()) } else { Err(Stop::Enough) }
        })?;
        Ok(found)
    }

    fn each(&self, path: &Path, current: &'v Value, found: &mut dyn FnMut(&'v Value) -> Visit) -> Result<(), TooManySteps> {
        let Some(node) = self.single(path, current)? else {
            return Ok(());
        };
        match self.visit(node, &path.rest, found) {
            Ok(()) | Err(Stop::Enough) => Ok(()),
            Err(Stop::Exhausted) => Err(TooManySteps),
        }
    }

    /// Where the path's leading names and indices lead; for a singular path that is all of it.
    pub fn single(&self, path: &Path, current: &'v Value) -> Result<Option<&'v Value>, TooManySteps> {
        self.spend(1 + path.keys.len())?;
        let mut node = match path.root {
            Root::Payload => self.payload,
            Root::Current => current,
            Root::Event => match self.event {
                Some(event) => event(),
                None => return Ok(None),
            },
        };
        for key in &path.keys {
            match child(node, key) {
                Some(value) => node = value,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    fn visit(&self, node: &'v Value, segments: &[Segment], found: &mut dyn FnMut(&'v Value) -> Visit) -> Visit {
        let Some((segment, rest)) = segments.split_first() else {
            return found(node);
        };
        self.deeper(|| match segment {
            Segment::Child(selectors) => self.select(node, selectors, rest, found),
            Segment::Descendant(selectors) => self.descend(node, selectors, rest, found),
        })
    }

    /// The node itself, then everything below it (RFC 9535, 2.5.2.2).
    fn descend(&self, node: &'v Value, selectors: &[Selector], rest: &[Segment], found: &mut dyn FnMut(&'v Value) -> Visit) -> Visit {
        self.select(node, selectors, rest, found)?;
        children(node).try_for_each(|child| {
            self.spend(1).map_err(|_| Stop::Exhausted)?;
            // Nothing can be below what is no list and no object.
            if !child.is_array() && !child.is_object() {
                return Ok(());
            }
            self.deeper(|| self.descend(child, selectors, rest, found))
        })
    }

    fn select(&self, node: &'v Value, selectors: &[Selector], rest: &[Segment], found: &mut dyn FnMut(&'v Value) -> Visit) -> Visit {
        let mut go_on = |child: &'v Value| {
            self.spend(1).map_err(|_| Stop::Exhausted)?;
            self.visit(child, rest, found)
        };
        for selector in selectors {
            match selector {
                Selector::Key(key) => {
                    self.spend(1).map_err(|_| Stop::Exhausted)?;
                    child(node, key).map_or(Ok(()), &mut go_on)?;
                }
                Selector::Wildcard => children(node).try_for_each(&mut go_on)?,
                Selector::Slice { start, end, step } => slice(node, *start, *end, *step).try_for_each(&mut go_on)?,
                Selector::Filter(logical) => {
                    for child in children(node) {
                        self.spend(1).map_err(|_| Stop::Exhausted)?;
                        if self.logical(logical, child).map_err(|_| Stop::Exhausted)? {
                            go_on(child)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Guards the stack.
    fn deeper(&self, visit: impl FnOnce() -> Visit) -> Visit {
        let left = self.depth_left.get().checked_sub(1).ok_or(Stop::Exhausted)?;
        self.depth_left.set(left);
        let result = visit();
        self.depth_left.set(left + 1);
        result
    }
}

/// Where one key leads.
pub(in crate::condition) fn child<'v>(node: &'v Value, key: &Key) -> Option<&'v Value> {
    match (key, node) {
        (Key::Name(name), Value::Object(members)) if members.len() <= FEW_MEMBERS => {
            members.iter().find_map(|(other, value)| (other == name).then_some(value))
        }
        (Key::Name(name), Value::Object(members)) => members.get(name.as_str()),
        (Key::Index(index), Value::Array(elements)) => {
            let index = if *index < 0 { index + elements.len() as i64 } else { *index };
            elements.get(usize::try_from(index).ok()?)
        }
        _ => None,
    }
}

/// The elements of a list or the members' values of an object.
fn children(node: &Value) -> impl Iterator<Item = &Value> {
    let (elements, members) = match node {
        Value::Array(elements) => (Some(elements), None),
        Value::Object(members) => (None, Some(members)),
        _ => (None, None),
    };
    elements.into_iter().flatten().chain(members.into_iter().flat_map(|members| members.values()))
}

/// RFC 9535, 2.3.4.2.2.
fn slice(node: &Value, start: Option<i64>, end: Option<i64>, step: Option<i64>) -> impl Iterator<Item = &Value> {
    let elements: &[Value] = node.as_array().map_or(&[], Vec::as_slice);
    let length = elements.len() as i64;
    let step = step.unwrap_or(1);
    let from_end = |index: i64| if index < 0 { index + length } else { index };
    let (first, last) = if step >= 0 {
        (from_end(start.unwrap_or(0)).clamp(0, length), from_end(end.unwrap_or(length)).clamp(0, length))
    } else {
        let first = start.map_or(length - 1, |start| from_end(start).clamp(-1, length - 1));
        (first, end.map_or(-1, |end| from_end(end).clamp(-1, length - 1)))
    };
    let mut index = first;
    std::iter::from_fn(move || {
        let inside = if step > 0 { index < last } else { step < 0 && index > last };
        if !inside {
            return None;
        }
        let element = elements.get(usize::try_from(index).ok()?);
        index += step;
        element
    })
}
