//! Which equalities a condition cannot do without.
//!
//! The claim that everything here keeps: if a requirement is not met, evaluating the condition comes to `false`, within
//! [`EVALUATION_STEPS_MAX`]. Terms are evaluated from left to right, and the evaluation ends with an error where they take
//! too many steps together. So an equality counts only if what is evaluated before it is found not to hold is sure to
//! take few enough (`cost`).

use super::super::EVALUATION_STEPS_MAX;
use super::super::ast::{Logical, Operand, Operator, Term, Test};
use super::cost::{self, Payloads};
use super::equalities::{Equalities, EqualityId};

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

/// Reads requirements off conditions.
pub(super) struct Reader<'e> {
    pub equalities: &'e mut Equalities,
    pub payloads: Payloads,
}

impl Reader<'_> {
    pub fn requirement(&mut self, logical: &Logical) -> Requirement {
        self.read(logical, 0).map_or_else(Requirement::nothing, |(requirement, _)| requirement)
    }

    /// What is required, if anything, where `spent` steps at the most were taken before; and how many at the most it
    /// takes to come to `false` if it is not met.
    fn read(&mut self, logical: &Logical, spent: u64) -> Option<(Requirement, u64)> {
        match logical {
            Logical::Term(term) => {
                let steps = cost::of_term(term, self.payloads);
                let affordable = spent.saturating_add(steps) <= u64::from(EVALUATION_STEPS_MAX);
                let one_of = if affordable { self.equalities_of(term) } else { None };
                one_of.map(|equalities| (Requirement::OneOf(equalities), steps))
            }
            Logical::All(conditions) => {
                let mut required = Vec::new();
                // Those before one that is not met may hold, and then were evaluated wholly.
                let (mut before, mut until_false) = (0_u64, 0_u64);
                for condition in conditions {
                    if let Some((requirement, steps)) = self.read(condition, spent.saturating_add(before)) {
                        required.push(requirement);
                        until_false = until_false.max(before.saturating_add(steps));
                    }
                    before = before.saturating_add(cost::of(condition, self.payloads));
                }
                (!required.is_empty()).then_some((Requirement::All(required), until_false))
            }
            Logical::Any(alternatives) => {
                let mut required = Vec::new();
                let mut until_false = 0_u64;
                for alternative in alternatives {
                    let (requirement, steps) = self.read(alternative, spent.saturating_add(until_false))?;
                    required.push(requirement);
                    until_false = until_false.saturating_add(steps);
                }
                Some((Requirement::Any(required), until_false))
            }
            Logical::Not(_) => None,
        }
    }

    /// The equalities one of which a term asks for, if that is what it does.
    fn equalities_of(&mut self, term: &Term) -> Option<Vec<EqualityId>> {
        match &term.test {
            Test::Compare { left: Operand::Path(path), operator: Operator::Equal, right: Operand::Literal(value) }
            | Test::Compare { left: Operand::Literal(value), operator: Operator::Equal, right: Operand::Path(path) } => {
                self.equalities.insert(path, std::slice::from_ref(value))
            }
            Test::OneOf { operand: Operand::Path(path), values } => self.equalities.insert(path, values),
            Test::Exists(_) | Test::Compare { .. } | Test::OneOf { .. } | Test::Matches(_) => None,
        }
    }
}

impl Requirement {
    pub fn nothing() -> Self {
        Self::All(Vec::new())
    }

    /// The same as a list of which every entry must be met: one of the equalities in it has to hold. Of alternatives
    /// that require several things each, one is taken: the one with the least `weight`.
    pub fn clauses(&self, weight: &dyn Fn(&[EqualityId]) -> usize) -> Vec<Vec<EqualityId>> {
        match self {
            Self::OneOf(equalities) => vec![equalities.clone()],
            Self::All(requirements) => requirements.iter().flat_map(|requirement| requirement.clauses(weight)).collect(),
            Self::Any(alternatives) => {
                let lightest = |requirement: &Self| requirement.clauses(weight).into_iter().min_by_key(|clause| weight(clause));
                let mut clause: Vec<EqualityId> = alternatives.iter().filter_map(lightest).flatten().collect();
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
