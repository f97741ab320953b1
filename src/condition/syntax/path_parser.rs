//! The steps of a path, and the selectors between `[` and `]` (RFC 9535, 2.3 and 2.5).

use std::ops::Range;

use super::lexer::{Kind, Token};
use super::parser::Parser;
use super::problems;
use crate::condition::SyntaxError;
use crate::condition::ast::{Key, Path, Root, Segment, Selector};

type Parsed<T> = Result<T, SyntaxError>;

/// RFC 9535, 2.1: integers stay exact in IEEE 754 doubles.
const INTEGER_MAX: i64 = (1 << 53) - 1;

impl Parser<'_> {
    /// A path whose first token (`$`, `@` or a bare name) is the next one. The bare name itself is the caller's.
    pub fn path(&mut self, root: Root) -> Parsed<Path> {
        let start = self.here().start;
        self.next += 1;
        let mut path = Path { root, keys: Vec::new(), rest: Vec::new(), span: start..start };
        loop {
            let segment = match self.peek().cloned() {
                Some(Token { kind: Kind::Dot, span }) => Segment::Child(vec![self.after_dot(start, &span)?]),
                Some(Token { kind: Kind::DotDot, span }) => Segment::Descendant(self.after_two_dots(start, &span)?),
                Some(Token { kind: Kind::OpenBracket, .. }) => Segment::Child(self.bracketed()?),
                _ => break,
            };
            match segment.key() {
                Some(key) if path.rest.is_empty() => path.keys.push(key.clone()),
                _ => path.rest.push(segment),
            }
        }
        path.span = start..self.end_of_last();
        Ok(path)
    }

    /// `.name` or `.*`, nothing between the dot and what follows it.
    fn after_dot(&mut self, path_start: usize, dot: &Range<usize>) -> Parsed<Selector> {
        self.next += 1;
        let Some(token) = self.peek().cloned() else {
            return Err(problems::after_dot(self, dot));
        };
        if token.span.start != dot.end {
            return Err(SyntaxError::new(dot.start..token.span.end, "no blank may stand after the dot of a path")
                .hint("remove the blank, or the dot"));
        }
        match token.kind {
            Kind::Star => {
                self.next += 1;
                Ok(Selector::Wildcard)
            }
            Kind::Name => {
                if self.touches(0, &Kind::OpenParenthesis) {
                    let object = self.slice(&(path_start..dot.start));
                    return Err(problems::method(self.slice(&token.span), object, token.span));
                }
                self.next += 1;
                Ok(Selector::Key(Key::Name(self.slice(&token.span).to_owned())))
            }
            _ => Err(problems::after_dot(self, dot)),
        }
    }

    /// `..name`, `..*` or `..[...]`.
    fn after_two_dots(&mut self, path_start: usize, dots: &Range<usize>) -> Parsed<Vec<Selector>> {
        match self.tokens.get(self.next + 1) {
            Some(token) if token.kind == Kind::OpenBracket && token.span.start == dots.end => {
                self.next += 1;
                self.bracketed()
            }
            _ => Ok(vec![self.after_dot(path_start, dots)?]),
        }
    }

    /// `[selector, ...]`.
    fn bracketed(&mut self) -> Parsed<Vec<Selector>> {
        let open = self.here();
        self.next += 1;
        let mut selectors = Vec::new();
        loop {
            selectors.push(self.selector(&open)?);
            if self.take(&Kind::CloseBracket) {
                return Ok(selectors);
            }
            if !self.take(&Kind::Comma) {
                return Err(match self.peek() {
                    None | Some(Token { kind: Kind::CloseParenthesis, .. }) => problems::unclosed_bracket(open),
                    Some(token) => problems::unexpected(self, token, "`,` or `]`"),
                });
            }
        }
    }

    fn selector(&mut self, open: &Range<usize>) -> Parsed<Selector> {
        let Some(token) = self.peek().cloned() else {
            return Err(problems::unclosed_bracket(open.clone()));
        };
        match token.kind {
            Kind::Text(name) => {
                self.next += 1;
                Ok(Selector::Key(Key::Name(name)))
            }
            Kind::Star => {
                self.next += 1;
                Ok(Selector::Wildcard)
            }
            Kind::Question => {
                self.next += 1;
                self.filters += 1;
                let filter = self.nested(Self::any)?;
                self.filters -= 1;
                Ok(Selector::Filter(filter))
            }
            Kind::Number | Kind::Colon => self.index_or_slice(),
            _ => Err(problems::selector(self, open, &token)),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.integer()?;
        if !self.take(&Kind::Colon) {
            return match start {
                Some(index) => Ok(Selector::Key(Key::Index(index))),
                None => Err(problems::missing_operand(self)),
            };
        }
        let end = self.integer()?;
        let step = if self.take(&Kind::Colon) { self.integer()? } else { None };
        Ok(Selector::Slice { start, end, step })
    }

    /// The integer at the next token, if a number stands there.
    fn integer(&mut self) -> Parsed<Option<i64>> {
        if self.peek_kind() != Some(&Kind::Number) {
            return Ok(None);
        }
        let span = self.here();
        let written = self.slice(&span);
        self.next += 1;
        let digits = written.strip_prefix('-').unwrap_or(written);
        if written == "-0" || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SyntaxError::new(span, format!("`{written}` is not an index"))
                .hint("an index is a whole number, from 0 on, or from the end with -1"));
        }
        match written.parse::<i64>() {
            Ok(index) if index.abs() <= INTEGER_MAX => Ok(Some(index)),
            _ => Err(SyntaxError::new(span, format!("the index `{written}` is out of range"))
                .hint(format!("indices reach from -{INTEGER_MAX} to {INTEGER_MAX}"))),
        }
    }
}
