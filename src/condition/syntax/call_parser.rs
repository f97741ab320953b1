//! What a test or a side of a comparison can begin with: literals, paths, and calls with RFC 9535's typing (2.4.3).

use std::ops::Range;

use serde_json::Value;

use super::lexer::Kind;
use super::parser::{Parser, Primary};
use super::problems;
use crate::condition::SyntaxError;
use crate::condition::ast::{Key, Operand, Path, Pattern, Root, TextMatch};
use crate::condition::pattern;

type Parsed<T> = Result<T, SyntaxError>;

/// The functions there are (RFC 9535, 2.4.4 to 2.4.8).
pub(in crate::condition) const FUNCTIONS: [&str; 5] = ["length", "count", "match", "search", "value"];

impl Parser<'_> {
    pub fn primary(&mut self) -> Parsed<Primary> {
        let Some(token) = self.peek().cloned() else {
            return Err(problems::missing_operand(self));
        };
        let literal = |value: Value| Ok(Primary::Operand(Operand::Literal(value)));
        match token.kind {
            Kind::Text(text) => {
                self.next += 1;
                literal(Value::String(text))
            }
            Kind::Number => {
                self.next += 1;
                let written = self.slice(&token.span);
                match crate::json::number(written) {
                    Some(number) => literal(Value::Number(number)),
                    None => Err(SyntaxError::new(token.span, format!("the number `{written}` is out of range"))
                        .hint("numbers reach to about 1.8e308")),
                }
            }
            Kind::Root => self.path(Root::Payload).map(|path| Primary::Operand(Operand::Path(path))),
            Kind::Current => self.path(Root::Current).map(|path| Primary::Operand(Operand::Path(path))),
            Kind::Name => self.word(&token.span),
            _ => Err(problems::missing_operand(self)),
        }
    }

    /// A literal word, a call or a bare path.
    fn word(&mut self, span: &Range<usize>) -> Parsed<Primary> {
        let word = self.slice(span);
        let literal = match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.next += 1;
            return Ok(Primary::Operand(Operand::Literal(value)));
        }
        if matches!(word, "and" | "or" | "in" | "not") {
            return Err(problems::missing_operand(self));
        }
        if self.touches(0, &Kind::OpenParenthesis) {
            return self.nested(|parser| parser.call(span));
        }
        if let Some(problem) = problems::foreign_word(self, word, span) {
            return Err(problem);
        }
        if !self.is_bare_allowed() {
            return Err(problems::bare_path_inside(self, span));
        }
        let path = if word == "event" {
            self.path(Root::Event)?
        } else {
            let mut path = self.path(Root::Current)?;
            path.keys.insert(0, Key::Name(word.to_owned()));
            path
        };
        Ok(Primary::Operand(Operand::Path(path)))
    }

    fn call(&mut self, name_span: &Range<usize>) -> Parsed<Primary> {
        let name = self.slice(name_span);
        if !FUNCTIONS.contains(&name) {
            return Err(problems::unknown_function(name, name_span));
        }
        // The name and its parenthesis.
        self.next += 2;
        let arguments = self.arguments(name, name_span)?;
        let call_span = name_span.start..self.end_of_last();
        let expected = if matches!(name, "match" | "search") { 2 } else { 1 };
        if arguments.len() != expected {
            let hint = match name {
                "match" | "search" => format!("for instance `{name}(data.title, \"[Hh]ead.*\")`"),
                "count" => "for instance `count(data.emails[*]) > 1`".to_owned(),
                _ => format!("for instance `{name}(data.name) > 1`"),
            };
            let given = arguments.len();
            return Err(SyntaxError::new(call_span, format!("`{name}()` takes {expected} in its parentheses, not {given}")).hint(hint));
        }
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().unwrap_or((Operand::Literal(Value::Null), call_span.clone()));
        Ok(match name {
            "count" => Primary::Operand(Operand::Count(self.nodes(name, next())?)),
            "value" => Primary::Operand(Operand::Value(self.nodes(name, next())?)),
            "length" => Primary::Operand(Operand::Length(Box::new(self.value(name, next())?))),
            _ => {
                let text = self.value(name, next())?;
                let (pattern, pattern_span) = next();
                let pattern = self.value(name, (pattern, pattern_span.clone()))?;
                let whole = name == "match";
                Primary::Matches(TextMatch { whole, text, pattern: self.pattern(pattern, pattern_span, whole)? })
            }
        })
    }

    /// Everything up to the closing parenthesis, each argument with its place.
    fn arguments(&mut self, name: &str, name_span: &Range<usize>) -> Parsed<Vec<(Operand, Range<usize>)>> {
        let mut arguments = Vec::new();
        if self.take(&Kind::CloseParenthesis) {
            return Ok(arguments);
        }
        loop {
            let start = self.here().start;
            if matches!(self.peek_kind(), Some(Kind::Not | Kind::OpenParenthesis)) {
                return Err(problems::condition_as_argument(name, self.here()));
            }
            let primary = self.primary()?;
            let span = start..self.end_of_last();
            arguments.push((self.operand_of(primary, &span)?, span));
            if self.take(&Kind::CloseParenthesis) {
                return Ok(arguments);
            }
            if self.take(&Kind::Comma) {
                continue;
            }
            return Err(match self.peek() {
                None => SyntaxError::new(name_span.end..name_span.end + 1, format!("the `(` of `{name}(` is never closed"))
                    .hint("add the missing `)`"),
                Some(token) if matches!(token.kind, Kind::Compare(_) | Kind::And | Kind::Or) => {
                    problems::condition_as_argument(name, token.span.clone())
                }
                Some(token) => problems::unexpected(self, token, "`,` or `)`"),
            });
        }
    }

    /// An argument that has to be a path: RFC 9535's NodesType.
    fn nodes(&self, name: &str, (operand, span): (Operand, Range<usize>)) -> Parsed<Path> {
        match operand {
            Operand::Path(path) => Ok(path),
            _ => Err(SyntaxError::new(span.clone(), format!("`{name}()` takes a path, not `{}`", self.slice(&span)))
                .hint(format!("for instance `{name}(data.emails[*])`"))),
        }
    }

    /// An argument that has to be one value: RFC 9535's ValueType.
    fn value(&self, name: &str, (operand, span): (Operand, Range<usize>)) -> Parsed<Operand> {
        match operand {
            Operand::Path(path) if !path.is_singular() => {
                let shown = self.slice(&span);
                let error = SyntaxError::new(span, format!("`{name}()` takes one value, but `{shown}` can find several"));
                Err(match name {
                    "length" => error.hint(format!("to count them write `count({shown})`")),
                    _ => error.hint("test each with a filter, for instance `data.emails[?match(@.email, \".*@example\")]`"),
                })
            }
            operand => Ok(operand),
        }
    }

    fn pattern(&self, pattern: Operand, span: Range<usize>, whole: bool) -> Parsed<Pattern> {
        match pattern {
            Operand::Literal(Value::String(text)) => match pattern::compile(&text, whole) {
                Ok(compiled) => Ok(Pattern::Written { text, compiled }),
                Err(cause) => Err(SyntaxError::new(span, format!("this pattern is not understood: {cause}"))
                    .hint("patterns are I-Regexp (RFC 9485), and `\\` is written `\\\\` inside quotes")),
            },
            operand => Ok(Pattern::Found(operand)),
        }
    }
}
