//! What a condition that holds says of one path: that something is there, and that it is not null. What a condition only
//! mentions, it does not ask for: `data.name != "x"` holds where there is no name.

use serde_json::Value;

use crate::condition::ast::{Logical, Operand, Operator, Path, Pattern, Term, Test};
use crate::condition::printing::paths::{self, PathRoot, Step};

/// What is known of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    /// It is there. It may be null.
    present: bool,
    /// It is not null. It may be absent.
    not_null: bool,
}

impl Known {
    const NOTHING: Self = Self { present: false, not_null: false };
    const PRESENT: Self = Self { present: true, not_null: false };
    const NOT_NULL: Self = Self { present: false, not_null: true };
    const VALUE: Self = Self { present: true, not_null: true };

    /// What is known where both hold.
    fn and(self, other: Self) -> Self {
        Self { present: self.present || other.present, not_null: self.not_null || other.not_null }
    }

    /// What is known where one of them holds.
    fn or(self, other: Self) -> Self {
        Self { present: self.present && other.present, not_null: self.not_null && other.not_null }
    }
}

/// How a path of the condition lies to the path that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Elsewhere,
    At,
    /// Behind it: what is found there is found in a list or an object, and that is not null.
    Behind,
    /// Before it, at what holds the list or object that it leads into.
    Before,
    /// Before it, at the elements of a list: what is found there shows that the list is not empty.
    AtElements,
}

/// Whether something that is not null is at a path of the payload wherever the condition holds. The path is told by its
/// names; steps into lists do not count.
pub(in crate::condition) fn is_ensured(logical: &Logical, names: &[String]) -> bool {
    of_logical(logical, true, names) == Known::VALUE
}

/// The same of something that may be null.
pub(in crate::condition) fn is_needed(logical: &Logical, names: &[String]) -> bool {
    of_logical(logical, true, names).present
}

/// What is known where the condition holds, or for `holds == false` where it does not.
fn of_logical(logical: &Logical, holds: bool, names: &[String]) -> Known {
    match logical {
        Logical::Not(inner) => of_logical(inner, !holds, names),
        Logical::Term(term) => of_term(term, holds, names),
        Logical::All(parts) | Logical::Any(parts) => {
            let is_conjunction = matches!(logical, Logical::All(_)) == holds;
            let each = parts.iter().map(|part| of_logical(part, holds, names));
            let together = if is_conjunction { each.reduce(Known::and) } else { each.reduce(Known::or) };
            together.unwrap_or_default()
        }
    }
}

fn of_term(term: &Term, holds: bool, names: &[String]) -> Known {
    match &term.test {
        Test::Exists(path) if holds => found(path, names),
        Test::Compare { left, operator, right } => {
            let operator = match (operator, holds) {
                (operator, true) => *operator,
                (Operator::Equal, false) => Operator::Unequal,
                (Operator::Unequal, false) => Operator::Equal,
                // Neither smaller nor larger is what is absent as well.
                (_, false) => return Known::NOTHING,
            };
            let of_left = of_operand(left, operator, right, names);
            of_left.and(of_operand(right, operator.flipped(), left, names))
        }
        Test::OneOf { operand, values } => {
            let operator = if holds { Operator::Equal } else { Operator::Unequal };
            let each = values.iter().map(|value| against(operand, operator, value, names));
            let together = if holds { each.reduce(Known::or) } else { each.reduce(Known::and) };
            together.unwrap_or_default()
        }
        Test::Matches(matches) if holds => {
            let pattern = match &matches.pattern {
                Pattern::Found(operand) => at_value(operand, names),
                Pattern::Written { .. } => Known::NOTHING,
            };
            at_value(&matches.text, names).and(pattern)
        }
        Test::Exists(_) | Test::Matches(_) => Known::NOTHING,
    }
}

/// What a comparison that holds says of its left side.
fn of_operand(operand: &Operand, operator: Operator, other: &Operand, names: &[String]) -> Known {
    match (other, operator) {
        (Operand::Literal(value), _) => against(operand, operator, value, names),
        // Only numbers and texts have an order.
        (_, Operator::Less | Operator::Greater) => at_value(operand, names),
        // What is absent equals what is absent.
        _ => Known::NOTHING,
    }
}

fn against(operand: &Operand, operator: Operator, value: &Value, names: &[String]) -> Known {
    let is_positive = |value: &Value| value.as_f64().is_some_and(|number| number > 0.0);
    let is_from_zero = |value: &Value| value.as_f64().is_some_and(|number| number >= 0.0);
    let is_above_zero = match operator {
        Operator::Equal | Operator::GreaterOrEqual => is_positive(value),
        Operator::Greater => is_from_zero(value),
        // Of what can be counted or measured it says the same; see below.
        Operator::Unequal => value.as_f64() == Some(0.0),
        Operator::Less | Operator::LessOrEqual => false,
    };
    match (operand, operator) {
        // A count is always there.
        (Operand::Count(path), _) => {
            if is_above_zero {
                found(path, names)
            } else {
                Known::NOTHING
            }
        }
        (Operand::Length(inner), Operator::Equal | Operator::Greater | Operator::GreaterOrEqual) if is_above_zero => filled(inner, names),
        (_, Operator::Unequal) if value.is_null() => at(operand, names, Known::NOT_NULL),
        (_, Operator::Unequal) => Known::NOTHING,
        (_, Operator::Equal | Operator::LessOrEqual | Operator::GreaterOrEqual) if value.is_null() => at(operand, names, Known::PRESENT),
        _ => at_value(operand, names),
    }
}

/// What is known of the path if something that is not null is at an operand.
fn at_value(operand: &Operand, names: &[String]) -> Known {
    at(operand, names, Known::VALUE)
}

fn at(operand: &Operand, names: &[String], known: Known) -> Known {
    match operand {
        Operand::Literal(_) | Operand::Count(_) => Known::NOTHING,
        // Only a text, a list or an object has a length.
        Operand::Length(inner) if known.present => at_value(inner, names),
        Operand::Length(_) => Known::NOTHING,
        Operand::Path(path) | Operand::Value(path) => match lies(path, names) {
            Lies::At => known,
            Lies::Behind | Lies::AtElements if known.present => Known::VALUE,
            Lies::Elsewhere | Lies::Before | Lies::Behind | Lies::AtElements => Known::NOTHING,
        },
    }
}

/// What is known if a path finds something, be it null.
fn found(path: &Path, names: &[String]) -> Known {
    match lies(path, names) {
        Lies::At => Known::PRESENT,
        Lies::Behind | Lies::AtElements => Known::VALUE,
        Lies::Elsewhere | Lies::Before => Known::NOTHING,
    }
}

/// What is known if the length of an operand is above zero.
fn filled(operand: &Operand, names: &[String]) -> Known {
    match operand {
        Operand::Path(path) | Operand::Value(path) if lies(path, names) == Lies::Before => Known::VALUE,
        operand => at_value(operand, names),
    }
}

fn lies(path: &Path, names: &[String]) -> Lies {
    let Some(used) = paths::of_path(path).filter(|used| used.root == PathRoot::Payload) else { return Lies::Elsewhere };
    let mut wanted = names.iter();
    let mut steps = used.steps.iter().peekable();
    while wanted.len() > 0 {
        match steps.next() {
            Some(Step::Name(name)) => {
                if wanted.next() != Some(name) {
                    return Lies::Elsewhere;
                }
            }
            Some(Step::Element) => {}
            // `data` alone says nothing of what is in it.
            None if names.len() - wanted.len() < 2 => return Lies::Elsewhere,
            None if used.steps.last() == Some(&Step::Element) => return Lies::AtElements,
            None => return Lies::Before,
        }
    }
    if steps.peek().is_some() { Lies::Behind } else { Lies::At }
}

#[cfg(test)]
mod tests {
    use crate::condition::Condition;

    fn is_ensured(condition: &str, path: &str) -> bool {
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        Condition::parse(condition).expect("valid").ensures(&names)
    }

    #[test]
    fn what_only_mentions_a_path_does_not_ask_for_it() {
        for condition in [
            "data.name",
            "data.name != \"Test\"",
            "data.name != null",
            "data.name == null",
            "data.name in [\"a\", null]",
            "not data.name",
            "not search(data.name, \"a\")",
            "not (data.name in [\"a\"])",
            "not (data.name < \"a\")",
            "data.name == \"x\" or data.id == 1",
            "not (data.name == \"x\" and data.id == 1)",
            "data.name == data.title",
            "data.name <= data.title",
            "data.name >= null",
            "length(data.name) != 0",
            "count(data.name) == 0",
            "data == 1",
            "event.name == \"x\"",
            "data.names == \"x\"",
            "data.name == null and data.name",
            "(data.name and data.name != null) or data.name",
        ] {
            assert!(!is_ensured(condition, "data.name"), "{condition}");
        }
        for condition in ["data.phones", "data.phones and data.phones != null", "length(data.phones) == 0", "count(data.phones[*]) >= 0"] {
            assert!(!is_ensured(condition, "data.phones.number"), "{condition}");
        }
        assert!(!is_ensured("data.*", "data.name"));
    }

    #[test]
    fn what_holds_for_a_value_only_asks_for_it() {
        for condition in [
            "data.name == \"x\"",
            "\"x\" == data.name",
            "data.name in [\"a\", \"b\"]",
            "search(data.name, \"a\")",
            "match(data.name, \"a.*\")",
            "length(data.name) > 0",
            "length(data.name) == 0",
            "0 < length(data.name)",
            "data.name < \"b\"",
            "data.name > data.title",
            "\"b\" >= data.name",
            "data.name and data.name != null",
            "data.name and not (data.name == null)",
            "data.name and not (data.name in [null, \"\"])",
            "not (not data.name or data.name == null)",
            "data.id == 1 and data.name == \"x\"",
            "data.name == \"x\" or data.name == \"y\" and data.id == 1",
            "not (data.name != \"x\")",
            "data.name.first",
            "$.data.name == true",
            "@.data.name == false",
        ] {
            assert!(is_ensured(condition, "data.name"), "{condition}");
        }
        for condition in [
            "data.phones[?@.type == \"mobile\"]",
            "data.phones[0].number == \"1\"",
            "data.phones[0]",
            "length(data.phones) > 0",
            "length(data.phones) >= 1",
            "count(data.phones[*]) > 0",
            "count(data.phones[*]) != 0",
        ] {
            assert!(is_ensured(condition, "data.phones"), "{condition}");
            assert!(is_ensured(condition, "data.phones.number"), "{condition}");
        }
    }
}
