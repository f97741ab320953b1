//! How many steps an evaluation takes at the most, known from the condition and the payload's size alone.
//!
//! This follows `evaluate` and `compare` step by step; what it says may be too much, never too little.

use serde_json::Value;

use super::super::TEXT_BYTES_MAX;
use super::super::ast::{Logical, Operand, Path, Pattern, Segment, Selector, Term, Test};
use crate::condition::meaning::compare::STRING_BYTES_PER_STEP;
use crate::condition::meaning::evaluate::{PATTERN_STEPS, SEARCHED_PRODUCT_PER_STEP, VISIT_DEPTH_MAX};
use crate::condition::pattern::COMPILED_BYTES_MAX;

/// More than is ever allowed.
const ENDLESS: u64 = u64::MAX;

/// The payloads that an answer holds for, by the bytes of their text. A value takes a byte of it at least, and a
/// string's content no more than its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payloads {
    /// With so many bytes at the most, the relay's facts included.
    UpTo(usize),
    /// Of any size.
    All,
}

impl Payloads {
    fn nodes(self) -> u64 {
        match self {
            Self::UpTo(bytes) => bytes as u64,
            Self::All => ENDLESS,
        }
    }

    /// The steps for reading texts of a payload, or a literal.
    fn texts(self, bytes_per_step: usize) -> u64 {
        match self {
            Self::UpTo(bytes) => (bytes.max(TEXT_BYTES_MAX) / bytes_per_step) as u64,
            Self::All => ENDLESS,
        }
    }
}

/// Of a condition that is evaluated to its end.
pub(super) fn of(logical: &Logical, payloads: Payloads) -> u64 {
    match logical {
        Logical::Any(conditions) | Logical::All(conditions) => sum(conditions.iter().map(|condition| of(condition, payloads))),
        Logical::Not(condition) => of(condition, payloads),
        Logical::Term(term) => of_term(term, payloads),
    }
}

pub(super) fn of_term(term: &Term, payloads: Payloads) -> u64 {
    let test = match &term.test {
        Test::Exists(path) => of_path(path, payloads),
        Test::Compare { left, right, .. } => {
            // `<=` compares twice.
            let comparing = match (left, right) {
                (Operand::Literal(value), _) | (_, Operand::Literal(value)) => comparing_with(value),
                _ => payloads.nodes().saturating_add(payloads.texts(STRING_BYTES_PER_STEP)),
            };
            sum([of_operand(left, payloads), of_operand(right, payloads), comparing.saturating_mul(2)])
        }
        Test::OneOf { operand, values } => {
            of_operand(operand, payloads).saturating_add(sum(values.iter().map(|value| 1 + comparing_with(value))))
        }
        Test::Matches(matches) => {
            let (pattern, bytes) = match &matches.pattern {
                Pattern::Written { compiled, .. } => (0, compiled.bytes),
                Pattern::Found(operand) => (of_operand(operand, payloads).saturating_add(PATTERN_STEPS as u64), COMPILED_BYTES_MAX),
            };
            let searching = payloads.texts(1).saturating_mul(bytes as u64) / SEARCHED_PRODUCT_PER_STEP as u64;
            sum([of_operand(&matches.text, payloads), searching, pattern])
        }
    };
    test.saturating_add(1)
}

fn of_operand(operand: &Operand, payloads: Payloads) -> u64 {
    match operand {
        Operand::Literal(_) => 0,
        Operand::Path(path) | Operand::Count(path) | Operand::Value(path) => of_path(path, payloads),
        Operand::Length(operand) => of_operand(operand, payloads).saturating_add(payloads.texts(STRING_BYTES_PER_STEP)),
    }
}

fn of_path(path: &Path, payloads: Payloads) -> u64 {
    if path.rest.len() > VISIT_DEPTH_MAX as usize / 2 {
        return ENDLESS; // May nest too deeply, which counts as too many steps.
    }
    let mut steps = 1 + path.keys.len() as u64;
    // How often one node can be met: several selectors of one segment can each find it.
    let mut times = 1_u64;
    for segment in &path.rest {
        let Segment::Child(selectors) = segment else { return ENDLESS };
        for selector in selectors {
            let filter = match selector {
                // So does a filter within a filter; the first's visits are still open.
                Selector::Filter(filter) if has_visits(filter) => return ENDLESS,
                Selector::Filter(filter) => of(filter, payloads),
                Selector::Key(_) | Selector::Wildcard | Selector::Slice { .. } => 0,
            };
            steps = steps.saturating_add(times.saturating_mul(payloads.nodes()).saturating_mul(filter.saturating_add(2)));
        }
        times = times.saturating_mul(selectors.len() as u64);
    }
    steps
}

/// Whether any path looks at many values.
fn has_visits(logical: &Logical) -> bool {
    match logical {
        Logical::Any(conditions) | Logical::All(conditions) => conditions.iter().any(has_visits),
        Logical::Not(condition) => has_visits(condition),
        Logical::Term(term) => crate::condition::printing::explain::paths_of(term).iter().any(|path| !path.is_singular()),
    }
}

fn comparing_with(literal: &Value) -> u64 {
    literal.as_str().map_or(0, |text| (text.len() / STRING_BYTES_PER_STEP) as u64)
}

fn sum(steps: impl IntoIterator<Item = u64>) -> u64 {
    steps.into_iter().fold(0, u64::saturating_add)
}
