//! What can be said of a condition without any event: that it contradicts itself, and that another holds wherever it
//! does. Both are read off its terms as they are written; what is not plain is not judged.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use serde_json::Value;

use crate::condition::TEXT_BYTES_MAX;
use crate::condition::ast::{Logical, Operand, Operator, Path, Term, Test};
use crate::condition::meaning::compare::Side;
use crate::condition::meaning::evaluate::Evaluation;
use crate::condition::printing::canonical;

/// The longest list after `in` that is looked into.
const VALUES_MAX: usize = 50;

/// Two terms that never hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The second of them, in bytes of the condition's text.
    pub span: Range<usize>,
    /// The first of them.
    pub first: Range<usize>,
}

/// Demands that must all be met, each in canonical text.
pub type Demands = BTreeSet<String>;

/// The condition as alternatives of which one must hold; `None` where that is too long to say.
pub(in crate::condition) fn alternatives(logical: &Logical) -> Option<Vec<Demands>> {
    let mut room = TEXT_BYTES_MAX;
    let mut text = |item: &dyn std::fmt::Display| -> Option<String> {
        let text = canonical::within(item, room)?;
        room -= text.len();
        Some(text)
    };
    let mut all = Vec::new();
    for alternative in branches(logical) {
        let mut demands = Demands::new();
        let mut choice: Option<(&Operand, &[Value])> = None;
        for conjunct in conjuncts(alternative) {
            match conjunct {
                Logical::Term(Term { test: Test::OneOf { operand, values }, .. }) if choice.is_none() && values.len() <= VALUES_MAX => {
                    choice = Some((operand, values));
                }
                other => _ = demands.insert(text(other)?),
            }
        }
        let Some((operand, values)) = choice else {
            all.push(demands);
            continue;
        };
        for value in values {
            let mut demands = demands.clone();
            demands.insert(text(&format_args!("{operand} == {}", canonical::Literal(value)))?);
            all.push(demands);
        }
    }
    Some(all)
}

/// The first two terms that never hold together, in an alternative that so never holds.
pub(in crate::condition) fn contradiction(logical: &Logical) -> Option<Contradiction> {
    branches(logical).into_iter().find_map(|alternative| contradiction_in(&conjuncts(alternative)))
}

fn contradiction_in(conjuncts: &[&Logical]) -> Option<Contradiction> {
    // By path: the term that spoke of it, and the values that it may have (`None`: it must be absent).
    let mut wanted: HashMap<String, (Range<usize>, Option<Vec<&Value>>)> = HashMap::new();
    for conjunct in conjuncts {
        let Some(Demand { path, values, span }) = demand(conjunct) else { continue };
        let key = path.to_string();
        let Some((first, before)) = wanted.get_mut(&key) else {
            wanted.insert(key, (span, values));
            continue;
        };
        match (before, values) {
            (None, None) => {}
            (Some(before), Some(values)) => {
                before.retain(|old| values.iter().any(|new| is_equal(old, new)));
                if before.is_empty() {
                    return Some(Contradiction { span, first: first.clone() });
                }
            }
            _ => return Some(Contradiction { span, first: first.clone() }),
        }
    }
    None
}

struct Demand<'c> {
    path: &'c Path,
    /// `None`: the path must be absent.
    values: Option<Vec<&'c Value>>,
    span: Range<usize>,
}

/// What a term demands of one singular path, where it is that plain.
fn demand(conjunct: &Logical) -> Option<Demand<'_>> {
    let (term, values) = match conjunct {
        Logical::Not(inner) => match inner.as_ref() {
            Logical::Term(term @ Term { test: Test::Exists(_), .. }) => (term, None),
            _ => return None,
        },
        Logical::Term(term) => match &term.test {
            Test::Compare { left, operator: Operator::Equal, right } => match (left, right) {
                (_, Operand::Literal(value)) | (Operand::Literal(value), _) => (term, Some(vec![value])),
                _ => return None,
            },
            Test::OneOf { values, .. } if values.len() <= VALUES_MAX => (term, Some(values.iter().collect())),
            _ => return None,
        },
        _ => return None,
    };
    let path = match &term.test {
        Test::Exists(path) => path,
        Test::Compare { left: Operand::Path(path), .. } | Test::Compare { right: Operand::Path(path), .. } => path,
        Test::OneOf { operand: Operand::Path(path), .. } => path,
        _ => return None,
    };
    path.is_singular().then(|| Demand { path, values, span: term.span.clone() })
}

fn is_equal(left: &Value, right: &Value) -> bool {
    Evaluation::new(&Value::Null, None).is_equal(Side::Value(left), Side::Value(right)).unwrap_or(true)
}

fn branches(logical: &Logical) -> Vec<&Logical> {
    flat(logical, |logical| match logical {
        Logical::Any(list) => Some(list),
        _ => None,
    })
}

fn conjuncts(logical: &Logical) -> Vec<&Logical> {
    flat(logical, |logical| match logical {
        Logical::All(list) => Some(list),
        _ => None,
    })
}

/// The members of a list whose members may be such lists themselves.
fn flat(logical: &Logical, members: fn(&Logical) -> Option<&Vec<Logical>>) -> Vec<&Logical> {
    match members(logical) {
        Some(list) => list.iter().flat_map(|inner| flat(inner, members)).collect(),
        None => vec![logical],
    }
}

#[cfg(test)]
mod tests {
    use crate::condition::Condition;

    fn contradiction(text: &str) -> Option<(&str, &str)> {
        let found = Condition::parse(text).expect("valid").contradiction()?;
        Some((&text[found.first], &text[found.span]))
    }

    #[test]
    fn contradictions_are_found() {
        for (text, first, second) in [
            ("a == 1 and a == 2", "a == 1", "a == 2"),
            ("a == 1 and (b and (@.a in [2, 3]))", "a == 1", "@.a in [2, 3]"),
            ("b or \"x\" == a.b and c and a[\"b\"] == \"y\"", "\"x\" == a.b", "a[\"b\"] == \"y\""),
            ("not a and a == null", "a", "a == null"),
            ("a in [1, 2] and a in [2, 3] and a == 3", "a in [1, 2]", "a == 3"),
        ] {
            assert_eq!(contradiction(text), Some((first, second)), "{text}");
        }
    }

    #[test]
    fn what_can_hold_is_no_contradiction() {
        for text in [
            "a == 1 or a == 2",
            "a == 1 and b == 2",
            "a == 1 and a == 1.0",
            "a in [1, 2] and a in [2, 3]",
            "not a and not a",
            "a == 1 and not (a == 2)",
            "a[?@.b == 1] and a[?@.b == 2]",
            "a == @.b and a == @.c",
            "a > 1 and a == 2",
            "length(a) == 1 and length(a) == 2 and event.path == \"x\" and @.event.path == \"y\"",
        ] {
            assert_eq!(contradiction(text), None, "{text}");
        }
    }

    #[test]
    fn alternatives_are_told() {
        let told = |text: &str| -> Vec<Vec<String>> {
            let alternatives = Condition::parse(text).expect("valid").alternatives().expect("short");
            alternatives.into_iter().map(|demands| demands.into_iter().collect()).collect()
        };
        assert_eq!(told("b and a == 1 or c in [1, 2] and b"), [vec!["@.a == 1", "@.b"], vec!["@.b", "@.c == 1"], vec!["@.b", "@.c == 2"]]);
        let long = format!("a{} in [{}1]", ".a".repeat(1000), "1, ".repeat(40));
        assert_eq!(Condition::parse(&long).expect("valid").alternatives(), None);
    }
}
