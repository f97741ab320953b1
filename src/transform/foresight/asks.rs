//! What a template asks of the payload beside the paths in its tags: fields that filters name in a text
//! (`map(attribute="email")`), and the values that it compares with (`data.email_status == "valid"`). Also which names stand for
//! paths, so that `entry.email` in a loop over `data.emails` is known for what it is.

use serde_json::Value;

use crate::condition::{Compared, Step};

use super::assurance::Path;
use super::reads::{Names, Read, ReadPath};
use crate::transform::expression::{Argument, Node, Shape, Statement};

/// What is kept of one template: no rule needs more.
const FOUND_MAX: usize = 200;

/// Reads the statements of a template in their order.
#[derive(Default)]
pub(in crate::transform) struct Asks {
    aliases: Vec<(String, Path)>,
    fields: Vec<Read>,
    compared: Vec<(Read, Value)>,
}

impl Asks {
    pub(in crate::transform) fn read(&mut self, statement: &Statement<'_>, offset: &impl Fn(usize) -> usize) {
        match statement {
            Statement::Print(node) | Statement::If(node) | Statement::ElseIf(node) => self.visit(node, offset),
            Statement::For { targets, list, condition } => {
                self.visit(list, offset);
                if let ([target], Some(path)) = (targets.as_slice(), items_of(list)) {
                    self.aliases.push(((*target).to_owned(), path));
                }
                condition.iter().for_each(|node| self.visit(node, offset));
            }
            Statement::Bind { pairs, .. } => {
                for (targets, values) in pairs {
                    values.iter().for_each(|value| self.visit(value, offset));
                    if let ([target], [value]) = (targets.as_slice(), values.as_slice())
                        && let Some(path) = path_of(value)
                    {
                        self.aliases.push(((*target).to_owned(), path));
                    }
                }
            }
            Statement::Evaluate { nodes, .. } => nodes.iter().for_each(|node| self.visit(node, offset)),
            Statement::Else | Statement::End | Statement::Other => {}
        }
    }

    /// The paths that the tags read (`reads`) and the fields that filters name, and what was compared. `bound` are the names that
    /// the template itself gives to values.
    pub(in crate::transform) fn finish(self, mut reads: Vec<Read>, bound: &[String]) -> (Vec<ReadPath>, Vec<Compared>) {
        let names = Names::new(bound, self.aliases);
        reads.extend(self.fields);
        let compared = self.compared.into_iter().filter_map(|(read, value)| {
            let path = names.resolve(read)?.path;
            Some(Compared { span: path.span.clone(), path, value })
        });
        let compared = compared.collect();
        (names.paths(reads), compared)
    }

    fn visit(&mut self, node: &Node<'_>, offset: &impl Fn(usize) -> usize) {
        match &node.shape {
            Shape::Comparison { first, rest } => {
                let mut left = first.as_ref();
                for (_, operator, right) in rest {
                    match *operator {
                        "==" | "!=" => {
                            self.compare(path_of(left), right, offset);
                            self.compare(path_of(right), left, offset);
                        }
                        "in" | "not in" => self.compare_each(path_of(left), right, offset),
                        _ => {}
                    }
                    left = right;
                }
            }
            Shape::Test { subject, name, arguments, .. } => {
                if let [Argument { value, .. }] = arguments.as_slice() {
                    self.test(name.text, path_of(subject), value, offset);
                }
            }
            // What stands in tags without a filter is found there.
            Shape::Attribute { of, .. } if is_filtered(of) => {
                if let Some((root, steps)) = path_of(node)
                    && self.fields.len() < FOUND_MAX
                {
                    self.fields.push(Read::new(root, steps, offset(node.start)..offset(node.end.saturating_sub(1)) + 1));
                }
            }
            Shape::Filter { input: Some(input), name, arguments } => self.filter(name.text, input, arguments, offset),
            _ => {}
        }
        node.children().into_iter().for_each(|child| self.visit(child, offset));
    }

    fn filter(&mut self, name: &str, input: &Node<'_>, arguments: &[Argument<'_>], offset: &impl Fn(usize) -> usize) {
        let takes_field_first = matches!(name, "selectattr" | "rejectattr" | "groupby");
        let is_field = |at: usize, argument: &Argument<'_>| match argument.name {
            Some(name) => name == "attribute",
            None => at == 0 && takes_field_first,
        };
        let field = arguments.iter().enumerate().find(|(at, argument)| is_field(*at, argument)).map(|(_, argument)| &argument.value);
        let (Some(field), Some((root, mut steps))) = (field, items_of(input)) else { return };
        let Some(text) = text_of(field) else { return };
        steps.extend(text.split('.').map(|name| match name.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Step::Element,
            false => Step::Name(name.to_owned()),
        }));
        // Within the quotes.
        let span = offset(field.start + 1)..offset(field.end.saturating_sub(2)) + 1;
        let is_optional = arguments.iter().any(|argument| argument.name == Some("default"));
        if self.fields.len() < FOUND_MAX && !is_optional && !text.is_empty() {
            self.fields.push(Read::new(root.clone(), steps.clone(), span));
        }
        if let ("selectattr" | "rejectattr", [_, test, value]) = (name, arguments)
            && let Some(test) = text_of(&test.value)
        {
            self.test(test, Some((root, steps)), &value.value, offset);
        }
    }

    fn test(&mut self, test: &str, path: Option<Path>, value: &Node<'_>, offset: &impl Fn(usize) -> usize) {
        match test {
            "eq" | "equalto" | "==" | "ne" | "!=" | "sameas" => self.compare(path, value, offset),
            "in" => self.compare_each(path, value, offset),
            _ => {}
        }
    }

    fn compare_each(&mut self, path: Option<Path>, values: &Node<'_>, offset: &impl Fn(usize) -> usize) {
        match &values.shape {
            Shape::Collection(items) => items.iter().for_each(|item| self.compare(path.clone(), item, offset)),
            Shape::Group(inner) => self.compare_each(path, inner, offset),
            _ => {}
        }
    }

    fn compare(&mut self, path: Option<Path>, value: &Node<'_>, offset: &impl Fn(usize) -> usize) {
        let Some((root, steps)) = path else { return };
        let json = match &value.shape {
            Shape::Boolean(flag) => Value::Bool(*flag),
            _ => match text_of(value) {
                Some(text) => Value::String(text.to_owned()),
                None => return,
            },
        };
        if self.compared.len() < FOUND_MAX {
            let span = offset(value.start)..offset(value.end.saturating_sub(1)) + 1;
            self.compared.push((Read::new(root, steps, span), json));
        }
    }
}

fn is_filtered(node: &Node<'_>) -> bool {
    match &node.shape {
        Shape::Group(inner) => is_filtered(inner),
        Shape::Filter { .. } => true,
        _ => false,
    }
}

/// A text as it was written, unless an escape stands in it.
fn text_of<'t>(node: &Node<'t>) -> Option<&'t str> {
    let Shape::Quoted(text) = node.shape else { return None };
    let quote = text.chars().next()?;
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(['\\', quote])).then_some(inside)
}

/// The path that leads to the items of a list, whatever order or choice of them a filter makes.
pub(in crate::transform) fn items_of(node: &Node<'_>) -> Option<Path> {
    match &node.shape {
        Shape::Filter { input: Some(input), name, .. } => match name.text {
            "selectattr" | "rejectattr" | "select" | "reject" | "sort" | "unique" | "reverse" | "list" | "default" | "d" => items_of(input),
            _ => None,
        },
        Shape::Group(inner) | Shape::Or(inner, _) | Shape::Slice { of: inner, .. } => items_of(inner),
        _ => path_of(node).map(|(root, mut steps)| {
            steps.push(Step::Element);
            (root, steps)
        }),
    }
}

/// The path that a node is, as far as it is one.
fn path_of(node: &Node<'_>) -> Option<Path> {
    match &node.shape {
        Shape::Name(name) => Some(((*name).to_owned(), Vec::new())),
        Shape::Group(inner) => path_of(inner),
        Shape::Filter { input: Some(input), name, .. } => match name.text {
            "default" | "d" => path_of(input),
            "first" | "last" => items_of(input),
            _ => None,
        },
        Shape::Attribute { of, name } => {
            let (root, mut steps) = path_of(of)?;
            let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
            steps.push(if is_index { Step::Element } else { Step::Name((*name).to_owned()) });
            Some((root, steps))
        }
        Shape::Item { of, index } => {
            let (root, mut steps) = path_of(of)?;
            steps.push(match &index.shape {
                Shape::Number | Shape::Negative(_) => Step::Element,
                _ => Step::Name(text_of(index)?.to_owned()),
            });
            Some((root, steps))
        }
        _ => None,
    }
}
