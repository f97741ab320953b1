//! Why a condition holds or not: each of its terms, with what was found.

use serde_json::Value;

use crate::condition::Scope;
use crate::condition::ast::{Logical, Operand, Path, Pattern, Term, Test};
use crate::condition::meaning::evaluate::Evaluation;

/// How many values of a path are shown.
const VALUES_SHOWN_MAX: usize = 10;

/// One comparison, existence test, function test or `in` of a condition, and how it came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The term as written.
    pub condition: String,
    /// Its first path as written; none if it compares literals only.
    pub path: Option<String>,
    /// What that path found: none if nothing, an array of the first few values if it can find several.
    pub value: Option<Value>,
    /// The term's other paths, for instance the right side of `data.email == data.emails[0].email`.
    pub others: Vec<Found>,
    /// Whether the term holds.
    pub holds: bool,
    /// Whether the term stands below a `not`: then the condition wants it not to hold.
    pub negated: bool,
}

/// A path as written, and what it found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As written.
    pub path: String,
    /// What the path found; `None`: nothing.
    pub value: Option<Value>,
}

pub(in crate::condition) fn explain(text: &str, logical: &Logical, scope: &Scope<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    each_term(logical, &mut |term, negated| findings.push(finding(text, term, negated, scope)));
    findings
}

/// The terms of a condition in the order of the text, and whether each stands below an odd number of `not`; those inside
/// `[?...]` belong to the path around them.
pub(in crate::condition) fn each_term<'l>(logical: &'l Logical, found: &mut dyn FnMut(&'l Term, bool)) {
    walk(logical, false, found);
}

fn walk<'l>(logical: &'l Logical, negated: bool, found: &mut dyn FnMut(&'l Term, bool)) {
    match logical {
        Logical::Any(list) | Logical::All(list) => list.iter().for_each(|inner| walk(inner, negated, found)),
        Logical::Not(inner) => walk(inner, !negated, found),
        Logical::Term(term) => found(term, negated),
    }
}

/// The paths that a term names itself.
pub(in crate::condition) fn paths_of(term: &Term) -> Vec<&Path> {
    let operands: [Option<&Operand>; 2] = match &term.test {
        Test::Exists(path) => return vec![path],
        Test::Compare { left, right, .. } => [Some(left), Some(right)],
        Test::OneOf { operand, .. } => [Some(operand), None],
        Test::Matches(matches) => match &matches.pattern {
            Pattern::Found(pattern) => [Some(&matches.text), Some(pattern)],
            Pattern::Written { .. } => [Some(&matches.text), None],
        },
    };
    operands.into_iter().flatten().filter_map(path_of).collect()
}

fn path_of(operand: &Operand) -> Option<&Path> {
    match operand {
        Operand::Literal(_) => None,
        Operand::Path(path) | Operand::Count(path) | Operand::Value(path) => Some(path),
        Operand::Length(inner) => path_of(inner),
    }
}

fn finding(text: &str, term: &Term, negated: bool, scope: &Scope<'_>) -> Finding {
    let event = || (scope.event)();
    let holds = Evaluation::new(scope.payload, Some(&event)).term(term, scope.payload).unwrap_or(false);
    let mut found = paths_of(term).into_iter().map(|path| Found {
        path: text.get(path.span.clone()).unwrap_or_default().to_owned(),
        value: value_at(path, &Evaluation::new(scope.payload, Some(&event)), scope.payload),
    });
    let (path, value) = found.next().map_or((None, None), |first| (Some(first.path), first.value));
    let others = found.collect();
    let condition = text.get(term.span.clone()).unwrap_or_default().to_owned();
    Finding { condition, path, value, others, holds, negated }
}

fn value_at<'v>(path: &Path, evaluation: &Evaluation<'v>, payload: &'v Value) -> Option<Value> {
    if path.is_singular() {
        return evaluation.single(path, payload).ok().flatten().cloned();
    }
    let values = evaluation.list(path, payload, VALUES_SHOWN_MAX).ok()?;
    Some(Value::Array(values.into_iter().cloned().collect())).filter(|values| *values != Value::Array(Vec::new()))
}
