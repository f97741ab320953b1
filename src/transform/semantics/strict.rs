//! What is changed in a tag before minijinja compiles it, so that a null, an absent value or a boolean is never taken
//! for something else: comparisons become calls of the relay's own (`comparing`), filters and tests take its stricter
//! forms (`filters`, `tests_of_values`), and operands pass through a filter that refuses what no user can mean.

use std::ops::Range;

use super::builtins::{EACH_FILTER, FACTOR_FILTER, FILTER_PREFIX, NEGATED_FILTER, OPERAND_FILTER, SLICED_FILTER, is_strict};
use super::comparing::COMPARE;
use super::printing::{TEXT_FILTER, TYPED_FILTER};
use super::questions::{TEST_PREFIX, is_own};
use crate::transform::expression::lexer::Token;
use crate::transform::expression::{Argument, Node, Shape, Statement};

/// What stands in place of a stretch of a tag; of an empty one, what is inserted there.
pub(in crate::transform) type Edit = (Range<usize>, String);

/// The changes to a tag, in the order of their places.
/// `is_typed`: what is printed is written as JSON.
pub(in crate::transform) fn edits(statement: &Statement<'_>, is_typed: bool) -> Vec<Edit> {
    let mut edits = Edits(Vec::new());
    match statement {
        Statement::Print(node) if is_typed => edits.wrapped(node, TYPED_FILTER),
        Statement::Print(node) | Statement::If(node) | Statement::ElseIf(node) => edits.visit(node),
        Statement::For { list, condition, .. } => {
            edits.wrapped(list, EACH_FILTER);
            condition.iter().for_each(|node| edits.visit(node));
        }
        Statement::Bind { pairs, .. } => pairs.iter().flat_map(|(_, values)| values).for_each(|node| edits.visit(node)),
        Statement::Evaluate { nodes, .. } => nodes.iter().for_each(|node| edits.visit(node)),
        Statement::Else | Statement::End | Statement::Other => {}
    }
    edits.0
}

struct Edits(Vec<Edit>);

impl Edits {
    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.0.push((at..at, text.into()));
    }

    fn rename(&mut self, name: &Token<'_>, prefix: &str) {
        self.0.push((name.start..name.end(), format!("{prefix}{}", name.text)));
    }

    /// Passes a value through a filter. What can be seen to be right is left alone. Parentheses are added only where
    /// they are needed, for minijinja's parser recurses along them.
    fn wrapped(&mut self, node: &Node<'_>, filter: &str) {
        if is_plainly_right(node, filter) {
            return self.visit(node);
        }
        let is_tight = matches!(
            node.shape,
            Shape::Name(_)
                | Shape::Number
                | Shape::Quoted(_)
                | Shape::Boolean(_)
                | Shape::Null
                | Shape::Attribute { .. }
                | Shape::Item { .. }
                | Shape::Slice { .. }
                | Shape::Call { .. }
                | Shape::Filter { .. }
                | Shape::Negative(_)
                | Shape::Collection(_)
                | Shape::Group(_)
        );
        if is_tight {
            self.visit(node);
            self.insert(node.end, format!("|{filter}"));
        } else {
            self.insert(node.start, "(");
            self.visit(node);
            self.insert(node.end, format!(")|{filter}"));
        }
    }

    /// The same where something that binds tighter than a filter stands beside it: a sign, or brackets.
    fn enclosed(&mut self, node: &Node<'_>, filter: &str) {
        if is_plainly_right(node, filter) {
            return self.visit(node);
        }
        self.insert(node.start, "(");
        self.wrapped(node, filter);
        self.insert(node.end, ")");
    }

    fn arguments(&mut self, arguments: &[Argument<'_>]) {
        arguments.iter().for_each(|argument| self.visit(&argument.value));
    }

    fn visit(&mut self, node: &Node<'_>) {
        match &node.shape {
            Shape::Number | Shape::Quoted(_) | Shape::Boolean(_) | Shape::Null | Shape::Name(_) => {}
            Shape::Attribute { of: inner, .. } | Shape::Not(inner) | Shape::Group(inner) => self.visit(inner),
            Shape::Item { of, index } => {
                self.visit(of);
                self.visit(index);
            }
            Shape::Slice { of, bounds } => {
                self.enclosed(of, SLICED_FILTER);
                bounds.iter().for_each(|bound| self.wrapped(bound, OPERAND_FILTER));
            }
            Shape::Call { callee, arguments } => {
                self.visit(callee);
                // Of a recursive loop.
                if matches!(callee.shape, Shape::Name("loop")) {
                    arguments.iter().for_each(|argument| self.wrapped(&argument.value, EACH_FILTER));
                } else {
                    self.arguments(arguments);
                }
            }
            Shape::Filter { input, name, arguments } => {
                input.iter().for_each(|input| self.visit(input));
                if is_strict(name.text) {
                    self.rename(name, FILTER_PREFIX);
                }
                self.arguments(arguments);
            }
            Shape::Test { subject, name, arguments, .. } => {
                self.visit(subject);
                if is_own(name.text) {
                    self.rename(name, TEST_PREFIX);
                }
                self.arguments(arguments);
            }
            Shape::Negative(operand) => self.enclosed(operand, NEGATED_FILTER),
            Shape::Arithmetic { left, operator, right } => {
                let filter = if operator.text == "*" { FACTOR_FILTER } else { OPERAND_FILTER };
                self.wrapped(left, filter);
                self.wrapped(right, filter);
            }
            Shape::Joined { left, right } => {
                self.wrapped(left, TEXT_FILTER);
                self.wrapped(right, TEXT_FILTER);
            }
            Shape::And(left, right) | Shape::Or(left, right) => {
                self.visit(left);
                self.visit(right);
            }
            Shape::Comparison { first, rest } => {
                self.insert(first.start, format!("{COMPARE}("));
                self.visit(first);
                for (place, operator, operand) in rest {
                    self.0.push((place.clone(), format!(",\"{operator}\",")));
                    self.visit(operand);
                }
                self.insert(node.end, ")");
            }
            Shape::Conditional { then, condition, otherwise } => {
                self.visit(then);
                self.visit(condition);
                otherwise.iter().for_each(|node| self.visit(node));
            }
            Shape::Collection(items) => items.iter().for_each(|item| self.visit(item)),
        }
    }
}

fn is_plainly_right(node: &Node<'_>, filter: &str) -> bool {
    match &node.shape {
        Shape::Number => matches!(filter, OPERAND_FILTER | FACTOR_FILTER | NEGATED_FILTER),
        Shape::Quoted(_) => filter == TEXT_FILTER || filter == OPERAND_FILTER || filter == SLICED_FILTER,
        Shape::Collection(_) => filter == EACH_FILTER || filter == SLICED_FILTER,
        // Whose own operands are guarded: what they give is a number or a text, or a list of both.
        Shape::Negative(_) => matches!(filter, OPERAND_FILTER | FACTOR_FILTER | NEGATED_FILTER),
        Shape::Arithmetic { .. } => filter == OPERAND_FILTER || filter == FACTOR_FILTER,
        Shape::Joined { .. } => filter == TEXT_FILTER || filter == OPERAND_FILTER,
        _ => false,
    }
}
