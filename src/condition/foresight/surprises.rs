//! What is right by RFC 9535 and hardly ever meant.

use std::ops::Range;

use crate::condition::ast::{Logical, Operand, Path, Root, Segment, Selector, Test};
use crate::condition::printing::canonical::{self, Steps};
use crate::condition::printing::explain::{each_term, paths_of};

/// The longest path that is shown in a hint, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// A place in a condition or a query that probably says something else than is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surprise {
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// What it says.
    pub message: String,
    /// What was probably meant.
    pub hint: String,
}

pub(in crate::condition) fn of_condition(logical: &Logical) -> Vec<Surprise> {
    let mut surprises = Vec::new();
    collect(logical, &mut surprises);
    surprises
}

pub(in crate::condition) fn of_query(path: &Path) -> Vec<Surprise> {
    let mut surprises = Vec::new();
    collect_path(path, &mut surprises);
    surprises
}

fn collect(logical: &Logical, surprises: &mut Vec<Surprise>) {
    each_term(logical, &mut |term, _| {
        if let Test::Compare { left, right, .. } = &term.test {
            surprises.extend([left, right].into_iter().filter_map(count_of_one));
        }
        if let Test::Exists(path) = &term.test {
            surprises.extend(always_there(path));
        }
        for path in paths_of(term) {
            collect_path(path, surprises);
        }
    });
}

/// `when: $`
fn always_there(path: &Path) -> Option<Surprise> {
    let is_whole = path.root != Root::Event && path.keys.is_empty() && path.rest.is_empty();
    is_whole.then(|| Surprise {
        span: path.span.clone(),
        message: "this asks whether there is something at all, and there always is".into(),
        hint: "leave it out, or name what has to be there: `data.email`".into(),
    })
}

fn collect_path(path: &Path, surprises: &mut Vec<Surprise>) {
    for segment in &path.rest {
        let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
        for selector in selectors {
            if let Selector::Filter(filter) = selector {
                surprises.extend(blind_filter(filter));
                collect(filter, surprises);
            }
        }
    }
}

/// `count(data.emails)` counts the one list.
fn count_of_one(operand: &Operand) -> Option<Surprise> {
    let Operand::Count(path) = operand else { return None };
    if !path.is_singular() {
        return None;
    }
    let shown = canonical::within(path, SHOWN_BYTES_MAX)?;
    // A bare path is two characters shorter than its canonical text.
    let shown = if shown.len() == path.span.len() + "@.".len() { shown.trim_start_matches("@.") } else { &shown };
    Some(Surprise {
        span: path.span.clone(),
        message: "this path finds one value at most, so its count is 0 or 1".into(),
        hint: format!("`length({shown})` for the length of a list, `count({shown}[*])` for its elements"),
    })
}

/// `emails[?$.email_type == "work"]` says the same of every element.
fn blind_filter(filter: &Logical) -> Option<Surprise> {
    let mut first: Option<&Path> = None;
    let mut sees_element = false;
    each_term(filter, &mut |term, _| {
        for path in paths_of(term) {
            sees_element |= path.root == Root::Current || path.rest.iter().any(has_filter);
            first = first.or(Some(path));
        }
    });
    let path = first.filter(|path| !sees_element && path.root == Root::Payload)?;
    let steps = canonical::within(Steps(&path.keys, &path.rest), SHOWN_BYTES_MAX)?;
    Some(Surprise {
        span: path.span.clone(),
        message: "this filter says the same of every element: `$` is the payload".into(),
        hint: format!("write `@{steps}` for the element under test"),
    })
}

/// Whether a segment holds a filter, whose `@` may be anything: that is not judged.
fn has_filter(segment: &Segment) -> bool {
    let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
    selectors.iter().any(|selector| matches!(selector, Selector::Filter(_)))
}

#[cfg(test)]
mod tests {
    use crate::condition::{Condition, Query};

    #[test]
    fn what_is_hardly_ever_meant_is_told() {
        for (text, at, hint) in [
            ("data.emails[?$.email_type == \"work\"]", "$.email_type", "write `@.email_type` for the element under test"),
            (
                "count(data.emails) > 1",
                "data.emails",
                "`length(data.emails)` for the length of a list, `count(data.emails[*])` for its elements",
            ),
            ("a[?@.b[?$.c]]", "$.c", "write `@.c` for the element under test"),
            ("$", "$", "leave it out, or name what has to be there: `data.email`"),
            ("data.id == 1 and not @", "@", "leave it out, or name what has to be there: `data.email`"),
        ] {
            let surprises = Condition::parse(text).expect("valid").surprises();
            assert_eq!(surprises.len(), 1, "{text}");
            assert_eq!((&text[surprises[0].span.clone()], surprises[0].hint.as_str()), (at, hint));
        }
        let query = Query::parse("$.a[?$.b]").expect("valid");
        assert_eq!(query.surprises()[0].span, 5..8);
    }

    #[test]
    fn what_is_meant_is_left_alone() {
        for text in ["a[?@.b == $.c]", "a[?@.b]", "count(a[*]) > 1", "count(a..b) > 1", "$.a == 1", "a[?$.b[?@.c]]", "a[?$.x == 1 and @.b]"]
        {
            assert_eq!(Condition::parse(text).expect("valid").surprises(), [], "{text}");
        }
    }
}
