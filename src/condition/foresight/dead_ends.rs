//! Steps that never find anything, by what is known of the values: `[0]` behind a filter is asked of each element that was found,
//! which is an object, and not of their list.

use std::fmt::Write as _;

use super::surprises::Surprise;
use crate::condition::ast::{Key, Logical, Operand, Operator, Path, Root, Segment, Selector, Test};
use crate::condition::printing::canonical::{self, Steps};
use crate::condition::printing::explain::{each_term, paths_of};

/// The longest path that is shown in a hint, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// What is known of the values at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A list of objects.
    ListOfObjects,
    /// A text, a number or a boolean.
    Single,
    /// Nothing is known.
    Unknown,
}

/// Tells the shape of what is at a path of the payload: `data.emails`, or `data.emails.email` for a field of the elements.
pub type Shapes<'s> = &'s dyn Fn(&str) -> Shape;

/// Where a walk along a path stands.
#[derive(Debug, Clone)]
struct Place {
    /// The names so far. `None`: they cannot be told.
    names: Option<String>,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    List,
    /// An object of a list that is known, or of which a filter asks for fields.
    Element {
        is_known: bool,
    },
    Single,
    Unknown,
}

pub(in crate::condition) fn of_condition(logical: &Logical, shapes: Shapes<'_>) -> Vec<Surprise> {
    let mut found = Vec::new();
    let root = Place { names: Some(String::new()), at: At::Unknown };
    Walk { shapes, found: &mut found, is_query: false }.logical(logical, &root);
    found
}

pub(in crate::condition) fn of_query(path: &Path, shapes: Shapes<'_>) -> Vec<Surprise> {
    let mut found = Vec::new();
    let root = Place { names: Some(String::new()), at: At::Unknown };
    Walk { shapes, found: &mut found, is_query: true }.path(path, &root);
    found
}

struct Walk<'w> {
    shapes: Shapes<'w>,
    found: &'w mut Vec<Surprise>,
    /// The outermost path is a query, which selects, and no test of a condition.
    is_query: bool,
}

impl Walk<'_> {
    fn logical(&mut self, logical: &Logical, current: &Place) {
        each_term(logical, &mut |term, _| paths_of(term).into_iter().for_each(|path| self.path(path, current)));
    }

    /// Walks a path; `current` is where `@` stands.
    fn path(&mut self, path: &Path, current: &Place) {
        let mut place = match path.root {
            Root::Payload => Place { names: Some(String::new()), at: At::Unknown },
            Root::Event => Place { names: None, at: At::Unknown },
            Root::Current => current.clone(),
        };
        for (index, key) in path.keys.iter().enumerate() {
            match (key, place.at) {
                (Key::Index(_), At::Element { .. } | At::Single) => {
                    self.found.push(dead_end(path, index, key_text(key), place.at, self.is_query));
                    return;
                }
                _ => place = self.along(place, key),
            }
        }
        for (index, segment) in path.rest.iter().enumerate() {
            let (selectors, is_descendant) = match segment {
                Segment::Child(selectors) => (selectors, false),
                Segment::Descendant(selectors) => (selectors, true),
            };
            if is_descendant {
                place = Place { names: None, at: At::Unknown };
            }
            let [selector] = selectors.as_slice() else {
                place = Place { names: None, at: At::Unknown };
                continue;
            };
            let is_dead = match (selector, place.at) {
                (Selector::Key(Key::Index(_)) | Selector::Slice { .. }, At::Element { .. } | At::Single) => true,
                (Selector::Wildcard | Selector::Filter(_), At::Single) => true,
                (Selector::Filter(filter), At::Element { is_known: true }) => asks_for_fields(filter),
                _ => false,
            };
            if is_dead {
                let step = canonical::within(Steps(&[], std::slice::from_ref(segment)), SHOWN_BYTES_MAX).unwrap_or_else(|| "[...]".into());
                self.found.push(dead_end(path, path.keys.len() + index, step, place.at, self.is_query));
                return;
            }
            place = match selector {
                Selector::Key(key) => self.along(place, key),
                Selector::Wildcard | Selector::Slice { .. } => element(place, false),
                Selector::Filter(filter) => {
                    let inner = element(place.clone(), asks_for_fields(filter));
                    let is_query = std::mem::replace(&mut self.is_query, false);
                    self.logical(filter, &inner);
                    self.is_query = is_query;
                    inner
                }
            };
        }
    }

    fn along(&self, place: Place, key: &Key) -> Place {
        let Key::Name(name) = key else { return element(place, false) };
        // A name in a list, or in a text, is told as an unknown path.
        let Some(mut names) = place.names.filter(|_| !matches!(place.at, At::List | At::Single)) else {
            return Place { names: None, at: At::Unknown };
        };
        if !names.is_empty() {
            names.push('.');
        }
        names.push_str(name);
        let at = match (self.shapes)(&names) {
            Shape::ListOfObjects => At::List,
            Shape::Single => At::Single,
            Shape::Unknown => At::Unknown,
        };
        Place { names: Some(names), at }
    }
}

/// An element of what stands there.
fn element(place: Place, is_object: bool) -> Place {
    let at = match place.at {
        At::List => At::Element { is_known: true },
        _ if is_object => At::Element { is_known: false },
        _ => At::Unknown,
    };
    // Of the members of an object the names are not known.
    let names = place.names.filter(|_| !matches!(place.at, At::Element { .. } | At::Single));
    Place { names, at }
}

/// Whether a filter asks the element for a field, so that only objects pass it.
fn asks_for_fields(filter: &Logical) -> bool {
    let mut asks = false;
    each_term(filter, &mut |term, negated| {
        let is_field = |path: &&Path| path.root == Root::Current && matches!(path.keys.first(), Some(Key::Name(_)));
        let is_unequal = matches!(term.test, Test::Compare { operator: Operator::Unequal, .. });
        asks |= !negated && !is_unequal && paths_of(term).iter().any(is_field);
    });
    asks
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Name(name) => name.clone(),
        Key::Index(index) => format!("[{index}]"),
    }
}

/// The step at this place of the path, counted over its keys and segments, finds nothing.
fn dead_end(path: &Path, at: usize, step: String, stands: At, is_query: bool) -> Surprise {
    let message = match stands {
        At::Single => format!("`{step}` never finds anything here: it is asked of a single value"),
        _ => format!("`{step}` never finds anything here: it is asked of each element that was found, and not of their list"),
    };
    let hint = match (is_query, template(path)) {
        _ if step.starts_with("[?") => "join both filters with `&&` in one pair of brackets".to_owned(),
        (true, Some(template)) => format!("a path with a filter gives a list; for one of it write `{{{{ {template} }}}}`"),
        (true, None) if stands == At::Single => "take it out".to_owned(),
        (true, None) => "a path with a filter gives a list: take it out for the whole list, or take of it in a template, \
                         `{{ list | map(attribute=\"email\") | first }}`"
            .to_owned(),
        (false, _) => without(path, at).map_or_else(|| "take it out".to_owned(), |path| format!("write `{path}`")),
    };
    Surprise { span: path.span.clone(), message, hint }
}

/// The path without a step.
fn without(path: &Path, at: usize) -> Option<String> {
    let segment = at.checked_sub(path.keys.len())?;
    let (before, rest) = path.rest.split_at_checked(segment)?;
    let before = canonical::within(Steps(&path.keys, before), SHOWN_BYTES_MAX)?;
    let after = canonical::within(Steps(&[], rest.get(1..)?), SHOWN_BYTES_MAX)?;
    let text = format!("{before}{after}");
    // A bare path begins at the payload.
    Some(match path.root {
        Root::Payload => format!("${text}"),
        _ => text.strip_prefix('.').map_or_else(|| format!("@{text}"), str::to_owned),
    })
}

/// `$.data.emails[?@.email_type == "work"][0].email` as an expression of a template. `None` for what is less simple.
fn template(path: &Path) -> Option<String> {
    let mut list = String::new();
    for key in &path.keys {
        let Key::Name(name) = key else { return None };
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        list.push_str(if list.is_empty() { "" } else { "." });
        list.push_str(is_plain.then_some(name.as_str())?);
    }
    let (filter, rest) = path.rest.split_first()?;
    let mut text = format!("({list} or [])");
    match filter {
        Segment::Child(selectors) => match selectors.as_slice() {
            [Selector::Filter(filter)] => conditions(filter, &mut text)?,
            [Selector::Wildcard] => {}
            _ => return None,
        },
        Segment::Descendant(_) => return None,
    }
    let mut fields = Vec::new();
    let mut index = None;
    for segment in rest {
        match segment.key()? {
            Key::Name(name) => fields.push(name.as_str()),
            Key::Index(found) => index = index.or(Some(*found)),
        }
    }
    if !fields.is_empty() {
        let _ = write!(text, " | map(attribute=\"{}\")", fields.join("."));
    }
    let one = match index? {
        0 => format!("{text} | first"),
        -1 => format!("{text} | last"),
        index => format!("({text} | list)[{index}]"),
    };
    Some(format!("{one} | default(\"\", true)")).filter(|text| text.len() <= SHOWN_BYTES_MAX)
}

/// A filter of a path as filters of a template.
fn conditions(filter: &Logical, text: &mut String) -> Option<()> {
    match filter {
        Logical::All(all) => all.iter().try_for_each(|part| conditions(part, text)),
        Logical::Term(term) => match &term.test {
            Test::Compare { left: Operand::Path(path), operator: Operator::Equal, right: Operand::Literal(value) } => {
                let [Key::Name(name)] = path.keys.as_slice() else { return None };
                let is_plain = path.root == Root::Current && path.is_singular() && !name.contains(['"', '\\']);
                let _ = write!(text, " | selectattr(\"{name}\", \"eq\", {value})");
                is_plain.then_some(())
            }
            _ => None,
        },
        Logical::Any(_) | Logical::Not(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Condition, Query};

    fn shapes(path: &str) -> Shape {
        match path {
            "data.emails" => Shape::ListOfObjects,
            "data.name" | "data.emails.email" => Shape::Single,
            _ => Shape::Unknown,
        }
    }

    #[test]
    fn an_index_behind_a_filter_finds_nothing() {
        for (query, step, hint) in [
            (
                "$.data.emails[?@.email_type=='work'][0].email",
                "[0]",
                "(data.emails or []) | selectattr(\"email_type\", \"eq\", \"work\") | map(attribute=\"email\") | first",
            ),
            ("$.data.emails[?@.email_type=='work'].email[0]", "[0]", "map(attribute=\"email\") | first"),
            ("$.data.emails[?@.a=='x' && @.b==1][-1]", "[-1]", "selectattr(\"a\", \"eq\", \"x\") | selectattr(\"b\", \"eq\", 1) | last"),
            ("$.data.emails[?@.a=='x'][2].email", "[2]", "| list)[2]"),
            ("$.data.emails[?@.a=='x'][:1]", "[:1]", "gives a list"),
            ("$.data.emails[?@.a=='x'][?@.b=='y']", "[?@.b == \"y\"]", "join both filters with `&&`"),
            ("$.data.emails[*][0]", "[0]", "(data.emails or []) | first"),
            ("$.data.emails[0][0]", "[0]", "gives a list"),
            ("$.data.name[0]", "[0]", "take it out"),
            ("$.data.other[?@.type=='x'][0]", "[0]", "(data.other or []) | selectattr(\"type\", \"eq\", \"x\") | first"),
            ("$..[?@.type=='x'][0]", "[0]", "gives a list"),
            ("$.data.emails[?@.email[0]]", "[0]", "take it out"),
        ] {
            let found = Query::parse(query).expect("valid").dead_ends(&shapes);
            assert_eq!(found.len(), 1, "{query}");
            assert!(found[0].message.starts_with(&format!("`{step}` never finds")), "{query}: {}", found[0].message);
            assert!(found[0].hint.contains(hint), "{query}: {}", found[0].hint);
        }
        let text = "data.emails[?@.email_type == \"work\"][0]";
        let found = Condition::parse(text).expect("valid").dead_ends(&shapes);
        assert_eq!((found.len(), found[0].hint.as_str()), (1, "write `data.emails[?@.email_type == \"work\"]`"));
    }

    #[test]
    fn what_can_find_something_is_left_alone() {
        for query in [
            "$.data.emails[0].email",
            "$.data.emails[?@.email_type=='work'].email",
            "$.data.emails[*].email",
            "$.data.emails[0:2].email",
            "$.data.emails[*][*]",
            "$.data.rows[?@[0] == 1][0]",
            "$.data.rows[?@.x != 1][0]",
            "$.data.rows[*][0]",
            "$..emails[0]",
            "$.data.emails[?@.email_type=='work']['email','x']",
            "$.data.other[?@.list[?@.x]].list[0]",
        ] {
            assert_eq!(Query::parse(query).expect("valid").dead_ends(&shapes), [], "{query}");
        }
    }
}
