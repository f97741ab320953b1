//! Which equalities a condition cannot do without.
//!
//! The claim that everything here keeps: if a requirement is not met, evaluating the condition comes to `false`, within
//! [`EVALUATION_STEPS_MAX`]. Conditions are evaluated from left to right, and the evaluation ends with an error where a
//! term takes too many steps. So of `a and b`, what `b` requires counts only if `a` is sure to take few steps: terms of
//! names, indices and literals do, whatever the payload; those that look at many values, measure or search text, or
//! compare two paths may not. Where such a term comes first, an equality behind it is not required in this sense.

use super::super::ast::{Logical, Operand, Operator, Path, Term, Test};
use super::super::{EVALUATION_STEPS_MAX, TEXT_BYTES_MAX};
use super::equalities::{Equalities, EqualityId};

/// A term takes a step, each path one and each key one more, each value of an `in` one, and text one for 256 bytes of
/// the literal, twice for `<=`. The shortest there is, `a`, takes three: no term takes more than four a byte.
const _: () = assert!(4 * TEXT_BYTES_MAX < EVALUATION_STEPS_MAX as usize);

/// What must hold for a condition to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Requirement {
    /// One of these equalities.
    OneOf(Vec<EqualityId>),
    /// One of these requirements.
    Any(Vec<Requirement>),
    /// All of these requirements; none: nothing is required.
    All(Vec<Requirement>),
}

impl Requirement {
    pub fn nothing() -> Self {
        Self::All(Vec::new())
    }

    pub fn of(logical: &Logical, equalities: &mut Equalities) -> Self {
        match logical {
            Logical::Term(term) => of_term(term, equalities),
            Logical::All(conditions) => {
                // What follows the first that may take many steps is not sure to be evaluated.
                let sure = conditions.iter().position(|condition| !takes_few_steps(condition)).map_or(conditions.len(), |first| first + 1);
                Self::All(conditions.iter().take(sure).map(|condition| Self::of(condition, equalities)).collect())
            }
            Logical::Any(alternatives) => Self::Any(alternatives.iter().map(|alternative| Self::of(alternative, equalities)).collect()),
            Logical::Not(_) => Self::nothing(),
        }
    }

    /// The same as a list of which every entry must be met: one of the equalities in it has to hold. Of alternatives
    /// that require several things each, one is taken: the one with the least `weight`.
    pub fn clauses(&self, weight: &dyn Fn(&[EqualityId]) -> usize) -> Vec<Vec<EqualityId>> {
        match self {
            Self::OneOf(equalities) => vec![equalities.clone()],
            Self::All(requirements) => requirements.iter().flat_map(|requirement| requirement.clauses(weight)).collect(),
            Self::Any(alternatives) => {
                let lightest = |requirement: &Self| requirement.clauses(weight).into_iter().min_by_key(|clause| weight(clause));
                let Some(clauses) = alternatives.iter().map(lightest).collect::<Option<Vec<_>>>() else {
                    return Vec::new(); // An alternative requires nothing.
                };
                let mut clause = clauses.concat();
                clause.sort_unstable();
                clause.dedup();
                vec![clause]
            }
        }
    }

    /// Calls `found` with every equality.
    pub fn each_equality(&self, found: &mut dyn FnMut(EqualityId)) {
        match self {
            Self::OneOf(equalities) => equalities.iter().copied().for_each(found),
            Self::Any(requirements) | Self::All(requirements) => {
                requirements.iter().for_each(|requirement| requirement.each_equality(found));
            }
        }
    }
}

fn of_term(term: &Term, equalities: &mut Equalities) -> Requirement {
    let one_of = match &term.test {
        Test::Compare { left: Operand::Path(path), operator: Operator::Equal, right: Operand::Literal(value) }
        | Test::Compare { left: Operand::Literal(value), operator: Operator::Equal, right: Operand::Path(path) } => {
            equalities.insert(path, std::slice::from_ref(value))
        }
        Test::OneOf { operand: Operand::Path(path), values } => equalities.insert(path, values),
        Test::Exists(_) | Test::Compare { .. } | Test::OneOf { .. } | Test::Matches(_) => None,
    };
    one_of.map_or_else(Requirement::nothing, Requirement::OneOf)
}

/// Whether evaluation takes few steps, whatever the payload: no more than four a byte of its text.
fn takes_few_steps(logical: &Logical) -> bool {
    match logical {
        Logical::Any(conditions) | Logical::All(conditions) => conditions.iter().all(takes_few_steps),
        Logical::Not(condition) => takes_few_steps(condition),
        Logical::Term(term) => match &term.test {
            Test::Exists(path) => path.is_singular(),
            Test::OneOf { operand, .. } => is_plain(operand),
            // Two paths may lead to two large lists.
            Test::Compare { left: Operand::Path(_), right: Operand::Path(_), .. } => false,
            Test::Compare { left, right, .. } => is_plain(left) && is_plain(right),
            Test::Matches(_) => false,
        },
    }
}

fn is_plain(operand: &Operand) -> bool {
    match operand {
        Operand::Literal(_) => true,
        Operand::Path(path) => Path::is_singular(path),
        Operand::Length(_) | Operand::Count(_) | Operand::Value(_) => false,
    }
}
