//! The paths that a condition uses, for warnings about what Wiza is not known to send.

use std::ops::Range;

use super::explain::{each_term, paths_of};
use crate::condition::ast::{Key, Logical, Path, Root, Segment, Selector, Term};

/// A path of a condition, from its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedPath {
    /// Where the path starts.
    pub root: PathRoot,
    /// As far as it is plain: the steps stop before `..`, and before a choice of names (`["a", "b"]`). Only the first
    /// [`STEPS_MAX`].
    pub steps: Vec<Step>,
    /// Where it is written, in bytes of the condition's or query's text.
    pub span: Range<usize>,
}

impl UsedPath {
    /// The names on the path, without its steps into lists.
    pub fn names(&self) -> Vec<&str> {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Element => None,
        });
        names.collect()
    }
}

/// How many steps of a path are told: more than any path has that is known. Filters repeat the steps of the path
/// around them, so without a limit the paths of a long condition could be longer than it many times over.
pub const STEPS_MAX: usize = 16;

/// What a path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRoot {
    /// At the payload.
    Payload,
    /// The relay's facts about the event.
    Event,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// To a member of an object.
    Name(String),
    /// To elements of a list, or members, without naming them: an index, a slice, `*` or a filter.
    Element,
}

pub(in crate::condition) fn used(logical: &Logical) -> Vec<UsedPath> {
    let mut walk = Walk { paths: Vec::new(), term: &mut |_, _, _| {} };
    walk.logical(logical, PathRoot::Payload, Some(&[]));
    walk.paths
}

/// `element`: the steps to what `@` stands for at the query's start, if it begins there.
pub(in crate::condition) fn used_by_query(path: &Path, element: Option<&[Step]>) -> Vec<UsedPath> {
    let mut walk = Walk { paths: Vec::new(), term: &mut |_, _, _| {} };
    walk.path(path, PathRoot::Payload, element);
    walk.paths
}

/// A path outside of all filters; those inside its own are left out.
pub(in crate::condition) fn of_path(path: &Path) -> Option<UsedPath> {
    let mut walk = Walk { paths: Vec::new(), term: &mut |_, _, _| {} };
    walk.path(path, PathRoot::Payload, Some(&[]));
    walk.paths.into_iter().next()
}

/// Is given a term, and where `@` stands in it, unless that cannot be said.
pub(in crate::condition) type OnTerm<'f> = dyn FnMut(&Term, PathRoot, Option<&[Step]>) + 'f;

/// Every term of a condition, those inside `[?...]` included.
pub(in crate::condition) fn each_term_within(logical: &Logical, found: &mut OnTerm<'_>) {
    Walk { paths: Vec::new(), term: found }.logical(logical, PathRoot::Payload, Some(&[]));
}

/// Every term of a query's filters.
pub(in crate::condition) fn each_term_within_query(path: &Path, found: &mut OnTerm<'_>) {
    Walk { paths: Vec::new(), term: found }.path(path, PathRoot::Payload, None);
}

/// A path that finds one value at most, from its root. `current` is where `@` stands.
pub(in crate::condition) fn singular(path: &Path, root: PathRoot, current: Option<&[Step]>) -> Option<UsedPath> {
    let (root, mut steps) = from_root(path, root, current);
    let steps = steps.as_mut().filter(|_| path.is_singular())?;
    steps.extend(path.keys.iter().map(step));
    steps.truncate(STEPS_MAX);
    Some(UsedPath { root, steps: std::mem::take(steps), span: path.span.clone() })
}

fn from_root(path: &Path, root: PathRoot, current: Option<&[Step]>) -> (PathRoot, Option<Vec<Step>>) {
    match path.root {
        Root::Payload => (PathRoot::Payload, Some(Vec::new())),
        Root::Event => (PathRoot::Event, Some(Vec::new())),
        Root::Current => (root, current.map(<[Step]>::to_vec)),
    }
}

struct Walk<'w, 'f> {
    paths: Vec<UsedPath>,
    term: &'w mut OnTerm<'f>,
}

impl Walk<'_, '_> {
    /// `current` is where `@` stands, unless it cannot be said.
    fn logical(&mut self, logical: &Logical, root: PathRoot, current: Option<&[Step]>) {
        each_term(logical, &mut |term, _| {
            (self.term)(term, root, current);
            for path in paths_of(term) {
                self.path(path, root, current);
            }
        });
    }

    fn path(&mut self, path: &Path, root: PathRoot, current: Option<&[Step]>) {
        let (root, mut steps) = from_root(path, root, current);
        let index = self.paths.len();
        if let Some(steps) = &mut steps {
            let room = STEPS_MAX.saturating_sub(steps.len());
            steps.extend(path.keys.iter().take(room).map(step));
        }
        let mut known = steps.clone();
        for segment in &path.rest {
            let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
            let before = match segment {
                Segment::Child(_) => known.take(),
                Segment::Descendant(_) => None,
            };
            for selector in selectors {
                if let Selector::Filter(filter) = selector {
                    let element: Option<Vec<Step>> = before.as_ref().map(|before| before.iter().cloned().chain([Step::Element]).collect());
                    self.logical(filter, root, element.as_deref());
                }
            }
            let next = match selectors.as_slice() {
                [Selector::Key(key)] => Some(step(key)),
                _ if selectors.iter().any(|selector| matches!(selector, Selector::Key(Key::Name(_)))) => None,
                _ => Some(Step::Element),
            };
            known = before.filter(|before| before.len() < STEPS_MAX).zip(next).map(|(mut before, next)| {
                before.push(next);
                before
            });
            if known.is_some() {
                steps.clone_from(&known);
            }
        }
        if let Some(steps) = steps {
            self.paths.insert(index, UsedPath { root, steps, span: path.span.clone() });
        }
    }
}

fn step(key: &Key) -> Step {
    match key {
        Key::Name(name) => Step::Name(name.clone()),
        Key::Index(_) => Step::Element,
    }
}
