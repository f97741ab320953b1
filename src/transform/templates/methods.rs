//! Methods, `data.name.upper()`: values have none here, so a template that calls one fails on every event.

use super::foreign;
use super::vocabulary::is_filter;
use crate::transform::errors::TemplateError;
use crate::transform::expression::{Argument, Node, Shape, Statement};

/// What a loop can be asked.
const LOOP: [&str; 2] = ["cycle", "changed"];
/// A suggestion that is longer than a line helps nobody.
const HINT_BYTES_MAX: usize = 160;

/// Refuses the first method that a statement calls. `text` is what its places are in, `offset` leads to those in the scalar.
pub(in crate::transform) fn check(statement: &Statement<'_>, text: &str, offset: &impl Fn(usize) -> usize) -> Result<(), TemplateError> {
    let walk = Walk { text, offset };
    match statement {
        Statement::Print(node) | Statement::If(node) | Statement::ElseIf(node) => walk.visit(node),
        Statement::For { list, condition, .. } => {
            walk.visit(list)?;
            condition.iter().try_for_each(|node| walk.visit(node))
        }
        Statement::Bind { pairs, .. } => pairs.iter().flat_map(|(_, values)| values).try_for_each(|node| walk.visit(node)),
        Statement::Evaluate { nodes, .. } => nodes.iter().try_for_each(|node| walk.visit(node)),
        Statement::Else | Statement::End | Statement::Other => Ok(()),
    }
}

struct Walk<'w, F> {
    text: &'w str,
    offset: &'w F,
}

impl<F: Fn(usize) -> usize> Walk<'_, F> {
    fn visit(&self, node: &Node<'_>) -> Result<(), TemplateError> {
        if let Some((of, name, arguments)) = method(node) {
            return Err(self.refused(node, of, name, arguments));
        }
        if let Shape::Arithmetic { left, operator, .. } = &node.shape
            && operator.text == "%"
            && matches!(left.shape, Shape::Quoted(_))
        {
            let error = TemplateError::new((self.offset)(operator.start), "`%` fills no text in here");
            return Err(error.hint("join texts with `~`: `\"Hello \" ~ data.name`"));
        }
        node.children().into_iter().try_for_each(|child| self.visit(child))
    }

    fn refused(&self, call: &Node<'_>, of: &Node<'_>, name: &str, arguments: &[Argument<'_>]) -> TemplateError {
        // The name stands behind the value and its dot.
        let at = self.text.get(of.end..).and_then(|rest| rest.find(name)).map_or(of.end, |found| of.end + found);
        if matches!(of.shape, Shape::Name("loop")) {
            let error = TemplateError::new((self.offset)(at), format!("`loop` has no method `{name}`"));
            return error.hint("there are `loop.cycle(...)` and `loop.changed(...)`; `loop.index` and `loop.last` are values");
        }
        let error = TemplateError::new((self.offset)(at), format!("`.{name}()` is a method, and values have none here"));
        match self.written(call) {
            Some(instead) if instead.len() <= HINT_BYTES_MAX => error.hint(format!("write `{instead}`")),
            _ => error.hint(self.hint(of, name, arguments)),
        }
    }

    fn hint(&self, of: &Node<'_>, name: &str, arguments: &[Argument<'_>]) -> String {
        let arguments = self.arguments(arguments);
        // Before a method in a chain stands what takes its place.
        let value = self.written(of).unwrap_or_else(|| self.slice(of).to_owned());
        match (&of.shape, name) {
            (Shape::Quoted(_), "join") => foreign::join(&value, &arguments),
            _ => foreign::hint(name, &value, &arguments).unwrap_or_else(|| by_filter(name, &value, &arguments)),
        }
    }

    /// A chain of methods as a chain of filters. `None` where it takes more than filters to say the same.
    fn written(&self, node: &Node<'_>) -> Option<String> {
        let Some((of, name, arguments)) = method(node) else { return Some(self.slice(node).to_owned()) };
        let hint = self.hint(of, name, arguments);
        let instead = hint.strip_prefix("write `")?.strip_suffix('`')?;
        (instead.contains(" | ") && !instead.contains('`')).then(|| instead.to_owned())
    }

    fn slice(&self, node: &Node<'_>) -> &str {
        self.text.get(node.start..node.end).unwrap_or_default()
    }

    fn arguments(&self, arguments: &[Argument<'_>]) -> String {
        match (arguments.first(), arguments.last()) {
            (Some(first), Some(last)) => self.text.get(first.value.start..last.value.end).unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }
}

/// What a method is called on, its name and its arguments.
fn method<'n, 't>(node: &'n Node<'t>) -> Option<(&'n Node<'t>, &'t str, &'n [Argument<'t>])> {
    let Shape::Call { callee, arguments } = &node.shape else { return None };
    let Shape::Attribute { of, name } = &callee.shape else { return None };
    let is_of_loop = matches!(of.shape, Shape::Name("loop")) && LOOP.contains(name);
    (!is_of_loop).then_some((of, *name, arguments.as_slice()))
}

/// For a method that is named as a filter is, or as nothing.
fn by_filter(name: &str, value: &str, arguments: &str) -> String {
    match (is_filter(name), arguments) {
        (true, "") => format!("write `{value} | {name}`"),
        (true, _) => format!("write `{value} | {name}({arguments})`"),
        (false, _) => format!("filters take their place, such as `{value} | upper`; docs/rules.md lists them"),
    }
}
