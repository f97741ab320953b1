//! What a condition of a template says of the paths in it: that something is there, that it is not null, that it is not
//! empty. A condition that only mentions a path says nothing of it: `{% if data.name != "" %}` holds for null as well.

use crate::condition::Step;

use crate::transform::expression::{Argument, Node, Shape};

/// A root name and the steps from it.
pub(in crate::transform) type Path = (String, Vec<Step>);

/// What is known of the value at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Facts {
    /// It is there. It may be null.
    present: bool,
    /// It is not null. It may be absent.
    not_null: bool,
    /// It counts as true, so a list or a text is not empty.
    filled: bool,
    /// It counts as false, or is absent.
    empty: bool,
}

impl Facts {
    const PRESENT: Self = Self { present: true, not_null: false, filled: false, empty: false };
    const NOT_NULL: Self = Self { present: false, not_null: true, filled: false, empty: false };
    const VALUE: Self = Self { present: true, not_null: true, filled: false, empty: false };
    const FILLED: Self = Self { present: true, not_null: true, filled: true, empty: false };
    const EMPTY: Self = Self { present: false, not_null: false, filled: false, empty: true };
}

/// What is known of paths at one place of a template.
#[derive(Debug, Clone, Default)]
pub(in crate::transform) struct Known {
    facts: Vec<(Path, Facts)>,
    /// Of each of these lists of paths, one at least counts as true.
    either: Vec<Vec<Path>>,
}

impl Known {
    /// What a condition says where it holds, or for `holds == false` where it does not. `path_of` gives the path that a
    /// node is, as far as it is one.
    pub(in crate::transform) fn from(condition: &Node<'_>, holds: bool, path_of: &dyn Fn(&Node<'_>) -> Option<Path>) -> Self {
        Reader { path_of }.read(condition, holds)
    }

    fn of(path: Path, facts: Facts) -> Self {
        Self { facts: vec![(path, facts)], either: Vec::new() }
    }

    /// What is known where all of these hold.
    pub(in crate::transform) fn and(mut self, other: Self) -> Self {
        self.either.extend(other.either);
        for (path, facts) in other.facts {
            match self.facts.iter_mut().find(|(known, _)| *known == path) {
                Some((_, known)) => {
                    known.present |= facts.present;
                    known.not_null |= facts.not_null;
                    known.filled |= facts.filled;
                    known.empty |= facts.empty;
                }
                None => self.facts.push((path, facts)),
            }
        }
        self
    }

    /// What is known where one of these two holds.
    fn or(mut self, other: &Self) -> Self {
        self.either.retain(|paths| other.either.contains(paths));
        self.facts.retain_mut(|(path, facts)| {
            let Some((_, others)) = other.facts.iter().find(|(known, _)| known == path) else { return false };
            facts.present &= others.present;
            facts.not_null &= others.not_null;
            facts.filled &= others.filled;
            facts.empty &= others.empty;
            *facts != Facts::default()
        });
        self
    }

    /// Whether a path is sure to lead to a value that is not null. Of an element of a list it is enough that the list is
    /// not empty.
    pub(in crate::transform) fn ensures(&self, path: &Path) -> bool {
        let wanted = names(path);
        let mut sum = Facts::default();
        // Where all but one of several are empty, that one is not.
        let is_empty = |path: &Path| self.facts.iter().any(|(known, facts)| known == path && facts.empty);
        let remaining = self.either.iter().filter_map(|paths| {
            let mut rest = paths.iter().filter(|path| !is_empty(path));
            rest.next().filter(|_| rest.next().is_none())
        });
        let remaining: Vec<(Path, Facts)> = remaining.map(|path| (path.clone(), Facts::FILLED)).collect();
        for (known, facts) in self.facts.iter().chain(&remaining) {
            let known_names = names(known);
            // `{% if data %}` says nothing of what is in it.
            if known_names.len() < 2 {
                continue;
            }
            if known_names == wanted {
                sum.present |= facts.present;
                sum.not_null |= facts.not_null;
                continue;
            }
            let is_behind = known_names.starts_with(&wanted) && facts.present;
            let is_before = wanted.starts_with(&known_names) && facts.filled;
            if is_behind || is_before {
                return true;
            }
        }
        sum.present && sum.not_null
    }
}

/// The names on a path of the payload, without its steps into lists.
fn names((root, steps): &Path) -> Vec<&str> {
    let explicit = (root != "payload").then_some(root.as_str());
    let steps = steps.iter().filter_map(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None });
    explicit.into_iter().chain(steps).collect()
}

struct Reader<'r> {
    path_of: &'r dyn Fn(&Node<'_>) -> Option<Path>,
}

impl Reader<'_> {
    fn read(&self, node: &Node<'_>, holds: bool) -> Known {
        if let Some(path) = (self.path_of)(node) {
            return Known::of(path, if holds { Facts::FILLED } else { Facts::EMPTY });
        }
        match &node.shape {
            Shape::Group(inner) => self.read(inner, holds),
            Shape::Not(inner) => self.read(inner, !holds),
            Shape::And(left, right) | Shape::Or(left, right) => {
                let is_conjunction = matches!(node.shape, Shape::And(..)) == holds;
                // `data.name or ""` holds where there is a name.
                if holds && !is_conjunction && is_empty(right) {
                    return self.read(left, holds);
                }
                let alternatives = if holds && !is_conjunction { self.alternatives(node) } else { None };
                let (left, right) = (self.read(left, holds), self.read(right, holds));
                let mut known = if is_conjunction { left.and(right) } else { left.or(&right) };
                known.either.extend(alternatives);
                known
            }
            Shape::Filter { input: Some(input), name, arguments } => match name.text {
                "default" | "d" if holds && arguments.first().is_none_or(|argument| is_empty(&argument.value)) => self.read(input, true),
                "length" | "count" => self.about(input, if holds { Facts::FILLED } else { Facts::VALUE }),
                _ => Known::default(),
            },
            Shape::Test { subject, name, negated, arguments } => self.test(subject, name.text, arguments, holds != *negated),
            Shape::Comparison { first, rest } => match rest.as_slice() {
                [(_, operator, second)] => self.comparison(first, operator, second, holds),
                // Of `a < b < c` it is not known which part does not hold.
                _ if !holds => Known::default(),
                _ => {
                    let firsts = std::iter::once(first.as_ref()).chain(rest.iter().map(|(.., operand)| operand));
                    let each = firsts.zip(rest).map(|(left, (_, operator, right))| self.comparison(left, operator, right, true));
                    each.fold(Known::default(), Known::and)
                }
            },
            _ => Known::default(),
        }
    }

    /// The paths of `a or b or c`, where all of its parts are paths.
    fn alternatives(&self, node: &Node<'_>) -> Option<Vec<Path>> {
        if let Some(path) = (self.path_of)(node) {
            return Some(vec![path]);
        }
        match &node.shape {
            Shape::Group(inner) => self.alternatives(inner),
            Shape::Or(left, right) => {
                let mut paths = self.alternatives(left)?;
                paths.extend(self.alternatives(right)?);
                Some(paths)
            }
            _ => None,
        }
    }

    /// Facts about the path that a node is, if it is one.
    fn about(&self, node: &Node<'_>, facts: Facts) -> Known {
        match ((self.path_of)(node), &node.shape) {
            (Some(path), _) => Known::of(path, facts),
            (None, Shape::Group(inner)) => self.about(inner, facts),
            // It fails for all else, and `| length > 0` is above zero.
            (None, Shape::Filter { input: Some(input), name, .. }) if matches!(name.text, "length" | "count") => {
                self.about(input, Facts { filled: facts.filled, ..Facts::VALUE })
            }
            _ => Known::default(),
        }
    }

    fn test(&self, subject: &Node<'_>, name: &str, arguments: &[Argument<'_>], holds: bool) -> Known {
        let operator = match name {
            "defined" if holds => return self.about(subject, Facts::PRESENT),
            "undefined" if !holds => return self.about(subject, Facts::PRESENT),
            "none" => return self.about(subject, if holds { Facts::PRESENT } else { Facts::NOT_NULL }),
            "true" if holds => return self.about(subject, Facts::FILLED),
            "string" | "number" | "integer" | "int" | "float" | "boolean" | "false" | "mapping" | "sequence" | "iterable" | "odd"
            | "even" | "divisibleby" | "lower" | "upper" | "startingwith" | "endingwith"
                if holds =>
            {
                return self.about(subject, Facts::VALUE);
            }
            "eq" | "equalto" => "==",
            "ne" => "!=",
            "lt" | "lessthan" => "<",
            "le" => "<=",
            "gt" | "greaterthan" => ">",
            "ge" => ">=",
            "in" => "in",
            _ => return Known::default(),
        };
        match arguments {
            [operand] => self.comparison(subject, operator, &operand.value, holds),
            _ => Known::default(),
        }
    }

    fn comparison(&self, left: &Node<'_>, operator: &str, right: &Node<'_>, holds: bool) -> Known {
        let operator = match (operator, holds) {
            (operator, true) => operator,
            ("==", false) => "!=",
            ("!=", false) => "==",
            ("in", false) => "not in",
            ("not in", false) => "in",
            // Neither smaller nor larger is what is absent as well.
            _ => return Known::default(),
        };
        match operator {
            "==" => self.equal(left, right).and(self.equal(right, left)),
            "!=" => self.unequal(left, right).and(self.unequal(right, left)),
            // Only numbers and texts have an order.
            "<" => {
                self.about(left, Facts::VALUE).and(self.about(right, Facts { filled: is_number(left), ..Facts::VALUE }.of_length(right)))
            }
            ">" => {
                self.about(right, Facts::VALUE).and(self.about(left, Facts { filled: is_number(right), ..Facts::VALUE }.of_length(left)))
            }
            "<=" | ">=" if is_value(left) || is_value(right) => self.about(left, Facts::VALUE).and(self.about(right, Facts::VALUE)),
            "in" => {
                let Shape::Collection(items) = &right.shape else { return Known::default() };
                let mut each = items.iter().map(|item| self.equal(left, item));
                each.next().map_or_else(Known::default, |first| each.fold(first, |all, item| all.or(&item)))
            }
            "not in" => {
                let Shape::Collection(items) = &right.shape else { return Known::default() };
                items.iter().map(|item| self.unequal(left, item)).fold(Known::default(), Known::and)
            }
            _ => Known::default(),
        }
    }

    fn equal(&self, node: &Node<'_>, other: &Node<'_>) -> Known {
        match &other.shape {
            Shape::Null => self.about(node, Facts::PRESENT),
            _ if is_value(other) => self.about(node, Facts::VALUE),
            // What is absent equals what is absent.
            _ => Known::default(),
        }
    }

    fn unequal(&self, node: &Node<'_>, other: &Node<'_>) -> Known {
        if matches!(other.shape, Shape::Null) { self.about(node, Facts::NOT_NULL) } else { Known::default() }
    }
}

impl Facts {
    /// Being above a number says that something is not empty only of a length.
    fn of_length(self, node: &Node<'_>) -> Self {
        let is_length = matches!(&node.shape, Shape::Filter { name, .. } if matches!(name.text, "length" | "count"));
        Self { filled: self.filled && is_length, ..self }
    }
}

fn is_number(node: &Node<'_>) -> bool {
    matches!(node.shape, Shape::Number)
}

/// Whether it is seen to be a value that is not null.
fn is_value(node: &Node<'_>) -> bool {
    match &node.shape {
        Shape::Number | Shape::Quoted(_) | Shape::Boolean(_) | Shape::Negative(_) | Shape::Collection(_) | Shape::Joined { .. } => true,
        Shape::Group(inner) => is_value(inner),
        _ => false,
    }
}

/// Whether it is seen to count as false.
fn is_empty(node: &Node<'_>) -> bool {
    match &node.shape {
        Shape::Null | Shape::Boolean(false) => true,
        Shape::Quoted(text) => text.len() == 2,
        Shape::Collection(items) => items.is_empty(),
        Shape::Group(inner) => is_empty(inner),
        _ => false,
    }
}
