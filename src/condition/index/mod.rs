//! An index over many conditions: which of them can hold on an event, found without evaluating all of them.
//!
//! What is indexed are equalities: `path == literal`, either way round, and `path in [literals]`, with paths of names and
//! indices. From each condition is read which of them it cannot do without (`requirement`), all conditions' equalities
//! are kept by path and value so that an event's values lead to those that hold (`equalities`), and those that hold lead
//! to the conditions that then can (`tree`).
//!
//! A condition is left out only if its evaluation would come to a plain `false`: not where it would come to an error
//! ([`super::TooManySteps`]). So whoever evaluates the candidates in their order finds what he would have found by
//! evaluating everything. Whether an evaluation can come to an error depends on the payload's size (`cost`); therefore
//! large payloads have an index of their own, which leaves fewer out.

mod cost;
mod equalities;
mod requirement;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;

use super::{Condition, Scope};
use cost::Payloads;
use equalities::Equalities;
use requirement::{Reader, Requirement};
use tree::{Merged, Tree};

/// So many conditions are evaluated in less time than the index is asked.
const INDEXED_MIN: usize = 12;
/// A person's reveal has 2 to 4 KiB. With this one a filter over a list, or a search in a text, is sure to end well, so
/// that an equality behind it counts.
const ORDINARY_BYTES_MAX: usize = 16 * 1024;

/// Finds, of a list of conditions, those that can hold on an event. Built once, in time that follows the conditions'
/// text; its size follows it too.
pub struct Index {
    ordinary: Indexed,
    /// For larger payloads; `None`: the same.
    large: Option<Indexed>,
    conditions: usize,
}

struct Indexed {
    equalities: Equalities,
    tree: Tree,
}

impl Index {
    /// An index over these conditions, which are known by their places from now on. `None` always holds.
    pub fn new<'c>(conditions: impl IntoIterator<Item = Option<&'c Condition>>) -> Self {
        Self::for_at_least(INDEXED_MIN, conditions)
    }

    /// `indexed_min`: the index is empty, and everything a candidate, where there are fewer conditions.
    fn for_at_least<'c>(indexed_min: usize, conditions: impl IntoIterator<Item = Option<&'c Condition>>) -> Self {
        let conditions: Vec<_> = conditions.into_iter().collect();
        let required = |payloads| {
            let mut equalities = Equalities::new();
            let mut reader = Reader { equalities: &mut equalities, payloads };
            let requirements = conditions.iter().map(|condition| match condition {
                Some(condition) if conditions.len() >= indexed_min => reader.requirement(&condition.0.logical),
                _ => Requirement::nothing(),
            });
            (requirements.collect::<Vec<_>>(), equalities)
        };
        let indexed = |requirements: &[_], equalities| Indexed { equalities, tree: Tree::new(requirements) };
        let (ordinary, ordinary_equalities) = required(Payloads::UpTo(ORDINARY_BYTES_MAX));
        let (large, large_equalities) = required(Payloads::All);
        // What is required is numbered in the order of the text, so the same is the same.
        let large = (large != ordinary).then(|| indexed(&large, large_equalities));
        Self { ordinary: indexed(&ordinary, ordinary_equalities), large, conditions: conditions.len() }
    }

    /// The places of the conditions that can hold, ascending: every one whose evaluation would not come to `false`, and
    /// a few more. Made one by one, so that a walk that ends early costs no more than it walked.
    ///
    /// `bytes` is how many the texts of payload and facts have, or more.
    pub fn candidates<'i>(&'i self, scope: &Scope<'_>, bytes: usize) -> Candidates<'i> {
        let Indexed { equalities, tree } = match &self.large {
            Some(large) if bytes > ORDINARY_BYTES_MAX => large,
            _ => &self.ordinary,
        };
        Candidates(tree.reached(&equalities.holding(scope)))
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} conditions)", self.conditions)
    }
}

/// The places of conditions that can hold, ascending.
pub struct Candidates<'i>(Merged<'i>);

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        // A place came from a usize that was cut to a u32; there are never so many conditions.
        self.0.next().and_then(|place| usize::try_from(place).ok())
    }
}
