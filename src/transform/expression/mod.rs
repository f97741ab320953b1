//! Reads the expressions of a template's tags into a tree, by Jinja's grammar as minijinja has it.
//!
//! minijinja keeps its own tree private. This one serves two purposes: the operators that would take a null or a boolean
//! for something else are guarded (`strict`), and `check` learns which values a template prints without a way out for
//! the day when they are null (`hazards`).

use std::ops::Range;

use lexer::Token;

pub(in crate::transform) mod lexer;
mod parser;
mod statements;

use self::parser::Parser;

/// A part of an expression, and its place in the text that was read.
#[derive(Debug)]
pub(in crate::transform) struct Node<'t> {
    pub(in crate::transform) start: usize,
    pub(in crate::transform) end: usize,
    pub(in crate::transform) shape: Shape<'t>,
}

impl<'t> Node<'t> {
    /// The parts that it is made of, in the order of the text.
    pub(in crate::transform) fn children(&self) -> Vec<&Self> {
        match &self.shape {
            Shape::Number | Shape::Quoted(_) | Shape::Boolean(_) | Shape::Null | Shape::Name(_) => Vec::new(),
            Shape::Attribute { of: inner, .. } | Shape::Negative(inner) | Shape::Not(inner) | Shape::Group(inner) => vec![inner],
            Shape::Item { of: left, index: right }
            | Shape::Arithmetic { left, right, .. }
            | Shape::Joined { left, right }
            | Shape::And(left, right)
            | Shape::Or(left, right) => vec![left, right],
            Shape::Slice { of, bounds } => std::iter::once(of.as_ref()).chain(bounds).collect(),
            Shape::Call { callee: first, arguments } | Shape::Test { subject: first, arguments, .. } => {
                std::iter::once(first.as_ref()).chain(arguments.iter().map(|argument| &argument.value)).collect()
            }
            Shape::Filter { input, arguments, .. } => {
                input.as_deref().into_iter().chain(arguments.iter().map(|argument| &argument.value)).collect()
            }
            Shape::Comparison { first, rest } => std::iter::once(first.as_ref()).chain(rest.iter().map(|(_, _, node)| node)).collect(),
            Shape::Conditional { then, condition, otherwise } => {
                [then.as_ref(), condition.as_ref()].into_iter().chain(otherwise.as_deref()).collect()
            }
            Shape::Collection(items) => items.iter().collect(),
        }
    }
}

/// What a part of an expression is.
#[derive(Debug)]
pub(in crate::transform) enum Shape<'t> {
    /// A number.
    Number,
    /// A quoted text, with its quotes; several in a row are one.
    Quoted(&'t str),
    /// `true` or `false`.
    Boolean(bool),
    /// `none`.
    Null,
    Name(&'t str),
    /// `of.name` or `of.0`.
    Attribute {
        of: Box<Node<'t>>,
        name: &'t str,
    },
    Item {
        of: Box<Node<'t>>,
        index: Box<Node<'t>>,
    },
    Slice {
        of: Box<Node<'t>>,
        bounds: Vec<Node<'t>>,
    },
    Call {
        callee: Box<Node<'t>>,
        arguments: Vec<Argument<'t>>,
    },
    /// Without an input in `{% filter %}` and `{% set x | filter %}`.
    Filter {
        input: Option<Box<Node<'t>>>,
        name: Token<'t>,
        arguments: Vec<Argument<'t>>,
    },
    Test {
        subject: Box<Node<'t>>,
        name: Token<'t>,
        /// `is not`
        negated: bool,
        arguments: Vec<Argument<'t>>,
    },
    /// `-operand`
    Negative(Box<Node<'t>>),
    Not(Box<Node<'t>>),
    /// `+ - * / // % **`
    Arithmetic {
        left: Box<Node<'t>>,
        operator: Token<'t>,
        right: Box<Node<'t>>,
    },
    /// `~`
    Joined {
        left: Box<Node<'t>>,
        right: Box<Node<'t>>,
    },
    And(Box<Node<'t>>, Box<Node<'t>>),
    Or(Box<Node<'t>>, Box<Node<'t>>),
    /// `a < b <= c`: the first operand; then each operator, by its place and by what it is, with the next operand.
    Comparison {
        first: Box<Node<'t>>,
        rest: Vec<(Range<usize>, &'static str, Node<'t>)>,
    },
    Conditional {
        then: Box<Node<'t>>,
        condition: Box<Node<'t>>,
        otherwise: Option<Box<Node<'t>>>,
    },
    /// A list, a tuple, or a map with its keys and values in turn.
    Collection(Vec<Node<'t>>),
    /// In parentheses.
    Group(Box<Node<'t>>),
}

/// An argument of a call, a filter or a test.
#[derive(Debug)]
pub(in crate::transform) struct Argument<'t> {
    /// Of `name=value`.
    pub(in crate::transform) name: Option<&'t str>,
    pub(in crate::transform) value: Node<'t>,
}

/// What a tag says.
#[derive(Debug)]
pub(in crate::transform) enum Statement<'t> {
    Print(Node<'t>),
    If(Node<'t>),
    ElseIf(Node<'t>),
    Else,
    For {
        targets: Vec<&'t str>,
        list: Node<'t>,
        condition: Option<Node<'t>>,
    },
    /// `{% set a = value %}`, `{% with a = value %}`: what is bound, and to what.
    Bind {
        opens_block: bool,
        pairs: Vec<(Vec<&'t str>, Vec<Node<'t>>)>,
    },
    /// Expressions that are evaluated, with nothing more to know of them: filters of blocks, defaults of macros.
    Evaluate {
        opens_block: bool,
        nodes: Vec<Node<'t>>,
    },
    /// `{% endif %}` and the like.
    End,
    /// `{% break %}` and the like.
    Other,
}

/// Not in the grammar; the place is where it was noticed.
#[derive(Debug)]
pub(in crate::transform) struct Unreadable(pub(in crate::transform) usize);

/// Reads what stands in `{{ }}`, or for a block in `{% %}`.
pub(in crate::transform) fn read<'t>(tokens: &[Token<'t>], is_block: bool) -> Result<Statement<'t>, Unreadable> {
    let mut parser = Parser { tokens, at: 0 };
    let statement = if is_block { parser.block()? } else { Statement::Print(parser.expression()?) };
    if parser.at < tokens.len() { Err(parser.unreadable()) } else { Ok(statement) }
}
