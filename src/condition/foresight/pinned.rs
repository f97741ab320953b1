//! Which values a path must have for a condition to hold: `type == "list"` and `type in ["list", "contact"]` pin `type`, and so
//! does an `or` of which every alternative does.

use std::ops::Range;

use serde_json::Value;

use crate::condition::ast::{Key, Logical, Operand, Operator, Path, Pattern, Root, Term, Test, TextMatch};
use crate::condition::printing::explain::each_term;
use crate::condition::printing::paths::PathRoot;

/// The values one of which the path has wherever the condition holds; `None` where it may have any, or none at all.
pub(in crate::condition) fn pinned<'l>(logical: &'l Logical, root: PathRoot, names: &[&str]) -> Option<Vec<&'l Value>> {
    match logical {
        Logical::Term(term) => wanted(term, root, names),
        Logical::Not(_) => None,
        Logical::All(parts) => parts
            .iter()
            .filter_map(|part| pinned(part, root, names))
            .reduce(|all, other| all.into_iter().filter(|value| other.contains(value)).collect()),
        Logical::Any(parts) => {
            let each: Option<Vec<_>> = parts.iter().map(|part| pinned(part, root, names)).collect();
            each.map(|each| each.concat())
        }
    }
}

/// Every text that the path is said to be equal to, or to be one of, with the place of the term that says it.
pub(in crate::condition) fn compared<'l>(logical: &'l Logical, root: PathRoot, names: &[&str]) -> Vec<(Range<usize>, &'l str)> {
    let mut found = Vec::new();
    each_term(logical, &mut |term, negated| {
        let values = wanted(term, root, names).filter(|_| !negated).unwrap_or_default();
        found.extend(values.into_iter().filter_map(Value::as_str).map(|text| (term.span.clone(), text)));
    });
    found
}

/// Every pattern that a text at the path is matched with or searched for, with the place of the term that does it.
pub(in crate::condition) fn matched<'l>(logical: &'l Logical, root: PathRoot, names: &[&str]) -> Vec<(Range<usize>, &'l str)> {
    let mut found = Vec::new();
    each_term(logical, &mut |term, negated| {
        if let Test::Matches(TextMatch { text: Operand::Path(path), pattern: Pattern::Written { text, .. }, .. }) = &term.test
            && !negated
            && is_at(path, root, names)
        {
            found.push((term.span.clone(), text.as_str()));
        }
    });
    found
}

fn wanted<'l>(term: &'l Term, root: PathRoot, names: &[&str]) -> Option<Vec<&'l Value>> {
    match &term.test {
        Test::Compare { left: Operand::Path(path), operator: Operator::Equal, right: Operand::Literal(value) }
        | Test::Compare { left: Operand::Literal(value), operator: Operator::Equal, right: Operand::Path(path) } => {
            is_at(path, root, names).then(|| vec![value])
        }
        Test::OneOf { operand: Operand::Path(path), values } => is_at(path, root, names).then(|| values.iter().collect()),
        Test::Exists(_) | Test::Compare { .. } | Test::OneOf { .. } | Test::Matches(_) => None,
    }
}

fn is_at(path: &Path, root: PathRoot, names: &[&str]) -> bool {
    let same_root = matches!((path.root, root), (Root::Payload | Root::Current, PathRoot::Payload) | (Root::Event, PathRoot::Event));
    let is_name = |(key, name): (&Key, &&str)| matches!(key, Key::Name(known) if known == name);
    same_root && path.is_singular() && path.keys.len() == names.len() && path.keys.iter().zip(names).all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;

    #[test]
    fn what_every_way_to_hold_wants_is_pinned() {
        for (text, values) in [
            ("type == \"list\"", Some("[\"list\"]")),
            ("\"list\" == $.type", Some("[\"list\"]")),
            ("@.type in [\"a\", \"b\"] and data.id", Some("[\"a\",\"b\"]")),
            ("type in [\"a\", \"b\"] and (data.id and type in [\"b\", \"c\"])", Some("[\"b\"]")),
            ("type == \"a\" or type == \"b\" and data.id == 1", Some("[\"a\",\"b\"]")),
            ("type == \"a\" or data.id == 1", None),
            ("not (type == \"a\")", None),
            ("type != \"a\"", None),
            ("data.type == \"a\" or event.type == \"a\"", None),
            ("match(type, \"a\")", None),
        ] {
            let condition = Condition::parse(text).unwrap();
            let found = condition.pinned(PathRoot::Payload, &["type"]);
            assert_eq!(found.map(|found| serde_json::to_string(&found).unwrap()).as_deref(), values, "{text}");
        }
        let of_event = Condition::parse("event.path == \"emea\"").unwrap();
        assert_eq!(of_event.pinned(PathRoot::Event, &["path"]), Some(vec![&"emea".into()]));
        assert_eq!(of_event.pinned(PathRoot::Payload, &["path"]), None);
    }

    #[test]
    fn what_is_compared_is_found_wherever_it_stands_but_below_a_not() {
        let text = "type == \"a\" or data.id and type in [\"b\", 3] or not (type == \"c\") or type != \"d\"";
        let condition = Condition::parse(text).unwrap();
        let found: Vec<(&str, &str)> =
            condition.compared(PathRoot::Payload, &["type"]).into_iter().map(|(span, value)| (text.get(span).unwrap(), value)).collect();
        assert_eq!(found, [("type == \"a\"", "a"), ("type in [\"b\", 3]", "b")]);
    }
}
