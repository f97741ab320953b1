//! The compiled form as canonical RFC 9535 text.

use std::fmt::{self, Display, Formatter, Result, Write};

use crate::condition::ast::{Key, Logical, Operand, Operator, Path, Pattern, Root, Segment, Selector, Term, Test, TextMatch};
use crate::condition::strings;

/// The text of `item`, unless it is longer than `bytes_max`. Canonical text can be a thousand times as long as what was
/// written: `path in [...]` becomes a comparison a value, each with the whole path.
pub(in crate::condition) fn within(item: impl Display, bytes_max: usize) -> Option<String> {
    let mut text = Bounded { text: String::new(), bytes_max };
    write!(text, "{item}").ok().map(|()| text.text)
}

struct Bounded {
    text: String,
    bytes_max: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> Result {
        if self.text.len() + more.len() > self.bytes_max {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

impl Display for Logical {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Any(alternatives) => separated(f, alternatives, " || "),
            Self::All(conditions) => {
                for (index, condition) in conditions.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" && ")?;
                    }
                    if condition.is_alternatives() { write!(f, "({condition})")? } else { condition.fmt(f)? }
                }
                Ok(())
            }
            Self::Not(inner) if inner.can_follow_not() => write!(f, "!{inner}"),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::Term(term) => term.fmt(f),
        }
    }
}

impl Logical {
    /// Whether it prints as a chain of `||`.
    fn is_alternatives(&self) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Term(Term { test: Test::OneOf { values, .. }, .. }) => values.len() > 1,
            _ => false,
        }
    }

    fn can_follow_not(&self) -> bool {
        matches!(self, Self::Term(Term { test: Test::Exists(_) | Test::Matches(_), .. }))
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.test {
            Test::Exists(path) => path.fmt(f),
            Test::Compare { left, operator, right } => write!(f, "{left} {operator} {right}"),
            Test::OneOf { operand, values } => {
                for (index, value) in values.iter().enumerate() {
                    let separator = if index > 0 { " || " } else { "" };
                    write!(f, "{separator}{operand} == {}", Literal(value))?;
                }
                Ok(())
            }
            Test::Matches(matches) => matches.fmt(f),
        }
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.text())
    }
}

impl Display for TextMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = if self.whole { "match" } else { "search" };
        match &self.pattern {
            Pattern::Written { text, .. } => {
                write!(f, "{name}({}, {})", self.text, strings::quoted(text))
            }
            Pattern::Found(operand) => write!(f, "{name}({}, {operand})", self.text),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Literal(value) => Literal(value).fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Length(operand) => write!(f, "length({operand})"),
            Self::Count(path) => write!(f, "count({path})"),
            Self::Value(path) => write!(f, "value({path})"),
        }
    }
}

/// A literal. JSON's text is RFC 9535's, but for strings' escapes, which are kept to one spelling.
pub(in crate::condition) struct Literal<'a>(pub &'a serde_json::Value);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            serde_json::Value::String(text) => f.write_str(&strings::quoted(text)),
            other => write!(f, "{other}"),
        }
    }
}

impl Root {
    /// How a path with this root begins.
    pub(in crate::condition) fn sign(self) -> &'static str {
        match self {
            Self::Payload => "$",
            Self::Current => "@",
            Self::Event => "event",
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}{}", self.root.sign(), Steps(&self.keys, &self.rest))
    }
}

/// A path without its root.
pub(in crate::condition) struct Steps<'a>(pub &'a [Key], pub &'a [Segment]);

impl Display for Steps<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for key in self.0 {
            child_key(f, key)?;
        }
        for segment in self.1 {
            segment.fmt(f)?;
        }
        Ok(())
    }
}

fn child_key(f: &mut Formatter<'_>, key: &Key) -> Result {
    match key {
        Key::Name(name) if strings::is_plain_name(name) => write!(f, ".{name}"),
        key => write!(f, "[{key}]"),
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Name(name) => f.write_str(&strings::quoted(name)),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl Display for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (selectors, dots) = match self {
            Self::Child(selectors) => (selectors, ""),
            Self::Descendant(selectors) => (selectors, ".."),
        };
        if let ([Selector::Key(key)], "") = (selectors.as_slice(), dots) {
            return child_key(f, key);
        }
        write!(f, "{dots}[")?;
        separated(f, selectors, ", ")?;
        f.write_char(']')
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Wildcard => f.write_char('*'),
            Self::Slice { start, end, step } => {
                optional(f, *start)?;
                f.write_char(':')?;
                optional(f, *end)?;
                if step.is_some() {
                    f.write_char(':')?;
                    optional(f, *step)?;
                }
                Ok(())
            }
            Self::Filter(logical) => write!(f, "?{logical}"),
        }
    }
}

fn optional(f: &mut Formatter<'_>, number: Option<i64>) -> Result {
    number.map_or(Ok(()), |number| write!(f, "{number}"))
}

fn separated<T: fmt::Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
