//! The compiled form: what the parser builds, and everything else reads.

use std::ops::Range;

use serde_json::Value;

use crate::condition::pattern::Compiled;

/// A logical expression. Chains of the same operator are one list, so only real nesting nests here.
#[derive(Debug)]
pub(super) enum Logical {
    Any(Vec<Logical>),
    All(Vec<Logical>),
    Not(Box<Logical>),
    Term(Term),
}

/// An atomic test and its place in the text.
#[derive(Debug)]
pub(super) struct Term {
    pub test: Test,
    pub span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Test {
    Exists(Path),
    Compare { left: Operand, operator: Operator, right: Operand },
    OneOf { operand: Operand, values: Vec<Value> },
    Matches(TextMatch),
}

/// `match()` (the whole text) or `search()` (a part of it).
#[derive(Debug)]
pub(super) struct TextMatch {
    pub whole: bool,
    pub text: Operand,
    pub pattern: Pattern,
}

#[derive(Debug)]
pub(super) enum Pattern {
    /// Written in the condition, compiled with it.
    Written { text: String, compiled: Compiled },
    /// Found in the payload; compiled when met.
    Found(Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The operator that says the same with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Equal | Self::Unequal => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// Something that gives one value or none (RFC 9535's ValueType).
#[derive(Debug)]
pub(super) enum Operand {
    Literal(Value),
    /// Singular, wherever the parser let it pass.
    Path(Path),
    Length(Box<Operand>),
    Count(Path),
    Value(Path),
}

/// A path: the singular steps it starts with, kept flat because nearly all paths have no others, then the rest.
#[derive(Debug)]
pub(super) struct Path {
    pub root: Root,
    pub keys: Vec<Key>,
    pub rest: Vec<Segment>,
    pub span: Range<usize>,
}

impl Path {
    pub fn is_singular(&self) -> bool {
        self.rest.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// `$`: the payload.
    Payload,
    /// `@`: the element under test; at the top the payload.
    Current,
    /// `event`: the relay's facts.
    Event,
}

/// A step that finds one value at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Name(String),
    /// Negative: from the end. Within RFC 9535's integers, +-(2^53 - 1).
    Index(i64),
}

#[derive(Debug)]
pub(super) enum Segment {
    Child(Vec<Selector>),
    Descendant(Vec<Selector>),
}

impl Segment {
    /// The one name or index that the segment selects, if it is that plain.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Child(selectors) => match selectors.as_slice() {
                [Selector::Key(key)] => Some(key),
                _ => None,
            },
            Self::Descendant(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Selector {
    Key(Key),
    Wildcard,
    Slice { start: Option<i64>, end: Option<i64>, step: Option<i64> },
    Filter(Logical),
}
