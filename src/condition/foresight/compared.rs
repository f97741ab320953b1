//! The values that a condition compares the payload's with, for warnings about those that Wiza never sends.

use std::ops::Range;

use serde_json::Value;

use crate::condition::ast::{Logical, Operand, Operator, Path, Pattern, Term, Test};
use crate::condition::printing::paths::{PathRoot, Step, UsedPath, each_term_within, each_term_within_query, singular};
use crate::condition::strings;

/// A value that something of the event is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What is compared with it.
    pub path: UsedPath,
    /// The value as it was written.
    pub value: Value,
    /// Where the value is written, in bytes of the text; where that cannot be told, its whole comparison.
    pub span: Range<usize>,
}

pub(in crate::condition) fn by_condition(logical: &Logical, text: &str) -> Vec<Compared> {
    let mut found = Vec::new();
    each_term_within(logical, &mut |term, root, current| of_term(term, root, current, text, &mut found));
    found
}

pub(in crate::condition) fn by_query(path: &Path, text: &str) -> Vec<Compared> {
    let mut found = Vec::new();
    each_term_within_query(path, &mut |term, root, current| of_term(term, root, current, text, &mut found));
    found
}

fn of_term(term: &Term, root: PathRoot, current: Option<&[Step]>, text: &str, found: &mut Vec<Compared>) {
    let mut add = |operand: &Operand, value: &Value| {
        let Operand::Path(path) = operand else { return };
        let Some(path) = singular(path, root, current) else { return };
        found.push(Compared { path, value: value.clone(), span: place(value, &term.span, text) });
    };
    match &term.test {
        Test::Compare { left, operator, right } => match (left, right) {
            (Operand::Literal(value), other) | (other, Operand::Literal(value)) if is_of_values(*operator, value) => add(other, value),
            _ => {}
        },
        Test::OneOf { operand, values } => values.iter().for_each(|value| add(operand, value)),
        Test::Matches(matches) => {
            // `match(data.status, "Failed")` without anything of a pattern is `==`.
            if let Pattern::Written { text, .. } = &matches.pattern
                && matches.whole
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                add(&matches.text, &Value::String(text.clone()));
            }
        }
        Test::Exists(_) => {}
    }
}

/// Whether a comparison asks for this very value, or for its kind.
fn is_of_values(operator: Operator, value: &Value) -> bool {
    matches!(operator, Operator::Equal | Operator::Unequal) || value.is_string()
}

/// Where a value is written within a term.
fn place(value: &Value, term: &Range<usize>, text: &str) -> Range<usize> {
    let written = text.get(term.clone()).unwrap_or_default();
    let spellings = match value {
        Value::String(value) => vec![strings::quoted(value), format!("'{value}'")],
        other => vec![other.to_string()],
    };
    let found = spellings.iter().find_map(|spelling| Some((written.find(spelling.as_str())?, spelling.len())));
    found.map_or_else(|| term.clone(), |(at, length)| term.start + at..term.start + at + length)
}

#[cfg(test)]
mod tests {
    use crate::condition::{Condition, Query};

    #[test]
    fn values_are_told_with_their_path_and_place() {
        let told = |compared: Vec<super::Compared>, text: &str| -> Vec<String> {
            let shown = |it: super::Compared| format!("{} {} at {}", it.path.names().join("."), it.value, &text[it.span]);
            compared.into_iter().map(shown).collect()
        };
        for (text, expected) in [
            ("data.status == \"Failed\"", &["data.status \"Failed\" at \"Failed\""][..]),
            ("'work' != data.email_type", &["data.email_type \"work\" at 'work'"]),
            ("data.status in [\"a\", 'b']", &["data.status \"a\" at \"a\"", "data.status \"b\" at 'b'"]),
            ("data.emails[?@.email_type == \"Work\" && $.type == 1]", &["data.emails.email_type \"Work\" at \"Work\"", "type 1 at 1"]),
            ("not (data.x == true or data.x < 5) and data.x < \"5\"", &["data.x true at true", "data.x \"5\" at \"5\""]),
            (
                "match(data.status, \"Failed\") or search(data.status, \"fail\") or match(data.status, \"f.*\")",
                &["data.status \"Failed\" at \"Failed\""],
            ),
            ("data.a == data.b and event.path == \"x\"", &["path \"x\" at \"x\""]),
        ] {
            assert_eq!(told(Condition::parse(text).expect("valid").compared_values(), text), expected, "{text}");
        }
        let text = "$.data.emails[?@.email_type == \"Work\"].email";
        assert_eq!(told(Query::parse(text).expect("valid").compared_values(text), text), ["data.emails.email_type \"Work\" at \"Work\""]);
    }
}
