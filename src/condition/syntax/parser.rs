//! Tokens to a logical expression, by recursive descent. Paths are in `path_parser`, calls in `call_parser`.

use std::ops::Range;

use serde_json::Value;

use super::lexer::{self, Kind, Token};
use super::problems;
use crate::condition::ast::{Logical, Operand, Operator, Path, Root, Term, Test, TextMatch};
use crate::condition::{NESTING_DEPTH_MAX, SyntaxError, TEXT_BYTES_MAX};

type Parsed<T> = Result<T, SyntaxError>;

/// Compiles the text of a condition.
pub(in crate::condition) fn condition(text: &str) -> Parsed<Logical> {
    let mut parser = Parser::new(text, BarePaths::AtTheTop)?;
    if parser.tokens.is_empty() {
        return Err(SyntaxError::new(0..text.len(), "the condition is empty")
            .hint("leave out `when` to take every event, or write for instance `data.email_status == \"valid\"`"));
    }
    let logical = parser.any()?;
    parser.end()?;
    Ok(logical)
}

/// Compiles the text of a query, `$...`.
pub(in crate::condition) fn query(text: &str) -> Parsed<Path> {
    let mut parser = Parser::new(text, BarePaths::Nowhere)?;
    // RFC 9535, 2.1.1: no blanks around a query.
    if text.starts_with(lexer::is_blank) {
        return Err(SyntaxError::new(0..1, "a query may not begin with a blank").hint("remove the blanks before `$`"));
    }
    if text.ends_with(lexer::is_blank) {
        return Err(SyntaxError::new(text.len() - 1..text.len(), "a query may not end with a blank").hint("remove the blanks at its end"));
    }
    match parser.peek() {
        Some(token) if token.kind == Kind::Root => {}
        _ => {
            let span = parser.here();
            let hint = match parser.name_at(0) {
                Some(_) => format!("write `$.{text}`"),
                None => "for instance `$.data.email`".to_owned(),
            };
            return Err(SyntaxError::new(span, "a query begins with `$`, the payload").hint(hint));
        }
    }
    let path = parser.path(Root::Payload)?;
    parser.end()?;
    Ok(path)
}

/// Compiles the text of a query that begins at an element, `@...`.
pub(in crate::condition) fn query_of_element(text: &str) -> Parsed<Path> {
    let mut parser = Parser::new(text, BarePaths::Nowhere)?;
    if parser.peek_kind() != Some(&Kind::Current) {
        return Err(SyntaxError::new(parser.here(), "a path of the element begins with `@`").hint("for instance `@.email`"));
    }
    let path = parser.path(Root::Current)?;
    parser.end()?;
    Ok(path)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BarePaths {
    AtTheTop,
    Nowhere,
}

/// What can stand where a test or one side of a comparison begins.
pub(in crate::condition) enum Primary {
    Operand(Operand),
    Matches(TextMatch),
}

pub(in crate::condition) struct Parser<'t> {
    pub text: &'t str,
    pub tokens: Vec<Token>,
    /// Index into `tokens` of the token to be read.
    pub next: usize,
    bare_paths: BarePaths,
    /// Everything open around the token to be read that nests.
    depth: usize,
    /// How many `[?...]` are open; bare paths end where the first one begins.
    pub filters: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, bare_paths: BarePaths) -> Parsed<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SyntaxError::new(0..text.len(), format!("{} bytes are too many: {TEXT_BYTES_MAX} at most", text.len()))
                .hint("split it over several routes"));
        }
        Ok(Self { text, tokens: lexer::tokens(text)?, next: 0, bare_paths, depth: 0, filters: 0 })
    }

    // Reading tokens.

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    pub fn peek_kind(&self) -> Option<&Kind> {
        self.peek().map(|token| &token.kind)
    }

    pub fn kind_at(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    /// Steps over the next token if it is of this kind.
    pub fn take(&mut self, kind: &Kind) -> bool {
        let found = self.peek_kind() == Some(kind);
        self.next += usize::from(found);
        found
    }

    pub fn slice(&self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The name at the next token, or the one `ahead` of it.
    pub fn name_at(&self, ahead: usize) -> Option<&'t str> {
        let token = self.tokens.get(self.next + ahead)?;
        (token.kind == Kind::Name).then(|| self.slice(&token.span))
    }

    /// Whether the next token is this word.
    fn at_word(&self, word: &str) -> bool {
        self.name_at(0) == Some(word)
    }

    /// Whether nothing stands between the token at `ahead` and the one after it, which is of this kind.
    pub fn touches(&self, ahead: usize, kind: &Kind) -> bool {
        match (self.tokens.get(self.next + ahead), self.tokens.get(self.next + ahead + 1)) {
            (Some(token), Some(following)) => following.kind == *kind && following.span.start == token.span.end,
            _ => false,
        }
    }

    /// The place of the next token; at the end an empty place.
    pub fn here(&self) -> Range<usize> {
        self.peek().map_or(self.text.len()..self.text.len(), |token| token.span.clone())
    }

    /// The byte after the last token that was read.
    pub fn end_of_last(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.span.end)
    }

    pub fn is_bare_allowed(&self) -> bool {
        self.bare_paths == BarePaths::AtTheTop && self.filters == 0
    }

    /// Whether a query is being read, in which bare paths stand nowhere.
    pub fn is_query(&self) -> bool {
        self.bare_paths == BarePaths::Nowhere
    }

    /// Reads something that nests, one level deeper.
    pub fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_DEPTH_MAX {
            return Err(SyntaxError::new(
                self.here(),
                format!("more than {NESTING_DEPTH_MAX} parentheses, filters and calls inside one another"),
            )
            .hint("split it over several routes"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    // The grammar.

    /// Alternatives, joined by `||` or `or`.
    pub fn any(&mut self) -> Parsed<Logical> {
        let first = self.all()?;
        let mut alternatives = vec![first];
        while self.take(&Kind::Or) || self.take_word("or") {
            alternatives.push(self.all()?);
        }
        Ok(single_or(alternatives, Logical::Any))
    }

    fn all(&mut self) -> Parsed<Logical> {
        let first = self.factor()?;
        let mut conditions = vec![first];
        while self.take(&Kind::And) || self.take_word("and") {
            conditions.push(self.factor()?);
        }
        Ok(single_or(conditions, Logical::All))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.next += usize::from(found);
        found
    }

    fn factor(&mut self) -> Parsed<Logical> {
        if self.peek_kind() == Some(&Kind::Not) || self.at_word("not") {
            let negation = self.here();
            self.next += 1;
            return self.nested(|parser| parser.negated(&negation)).map(|inner| Logical::Not(Box::new(inner)));
        }
        if self.peek_kind() == Some(&Kind::OpenParenthesis) {
            return self.group();
        }
        self.term()
    }

    /// What follows `!` or `not`: parentheses or a test, never a comparison (RFC 9535, 2.3.5.1).
    fn negated(&mut self, negation: &Range<usize>) -> Parsed<Logical> {
        match self.peek_kind() {
            Some(Kind::OpenParenthesis) => return self.group(),
            Some(Kind::Not) => {
                return Err(problems::double_negation(negation.start..self.here().end));
            }
            Some(Kind::Name) if self.at_word("not") => {
                return Err(problems::double_negation(negation.start..self.here().end));
            }
            _ => {}
        }
        let start = self.here().start;
        let primary = self.primary()?;
        if matches!(self.peek_kind(), Some(Kind::Compare(_))) || self.at_word("in") {
            // Read on, only to be able to show the whole comparison in parentheses.
            let _ = self.rest_of_comparison(primary, start)?;
            let comparison = self.slice(&(start..self.end_of_last()));
            return Err(problems::negated_comparison(self.slice(negation), negation.start..self.end_of_last(), comparison));
        }
        self.existence(primary, start)
    }

    fn group(&mut self) -> Parsed<Logical> {
        let open = self.here();
        self.next += 1;
        let inner = self.nested(Self::any)?;
        if !self.take(&Kind::CloseParenthesis) {
            return Err(match self.peek() {
                None | Some(Token { kind: Kind::CloseBracket, .. }) => {
                    SyntaxError::new(open, "this `(` is never closed").hint("add the missing `)`")
                }
                Some(token) => problems::unexpected(self, token, "`and`, `or` or `)`"),
            });
        }
        if matches!(self.peek_kind(), Some(Kind::Compare(_))) || self.at_word("in") {
            return Err(SyntaxError::new(open.start..self.here().end, "parentheses hold conditions, not values")
                .hint("compare the paths themselves, without parentheses around them"));
        }
        Ok(inner)
    }

    /// A comparison, a membership or a test alone.
    fn term(&mut self) -> Parsed<Logical> {
        let start = self.here().start;
        let primary = self.primary()?;
        if matches!(self.peek_kind(), Some(Kind::Compare(_))) || self.at_word("in") {
            return self.rest_of_comparison(primary, start);
        }
        if self.at_word("not") && self.name_at(1) == Some("in") {
            let span = self.here().start..self.tokens.get(self.next + 1).map_or(self.text.len(), |token| token.span.end);
            let left = self.slice(&(start..self.end_of_last()));
            return Err(
                SyntaxError::new(span, "`not in` is not one of the words").hint(format!("negate the whole: `not ({left} in [...])`"))
            );
        }
        self.existence(primary, start)
    }

    fn existence(&mut self, primary: Primary, start: usize) -> Parsed<Logical> {
        let span = start..self.end_of_last();
        let test = match primary {
            Primary::Matches(matches) => Test::Matches(matches),
            Primary::Operand(Operand::Path(path)) => Test::Exists(path),
            Primary::Operand(operand) => {
                return Err(problems::not_a_test(&operand, self.slice(&span), span));
            }
        };
        Ok(Logical::Term(Term { test, span }))
    }

    /// What follows the left side, from the operator on.
    fn rest_of_comparison(&mut self, left: Primary, start: usize) -> Parsed<Logical> {
        let left_span = start..self.end_of_last();
        let left = self.operand_of(left, &left_span)?;
        let operator_span = self.here();
        let Some(Kind::Compare(operator)) = self.peek_kind().cloned() else {
            self.next += 1;
            return self.one_of(left, left_span, operator_span.end);
        };
        self.next += 1;
        let right_start = self.here().start;
        let right = self.right_side(operator)?;
        let right_span = right_start..self.end_of_last();
        let right = self.operand_of(right, &right_span)?;
        self.require_singular(&left, operator.text(), Some((&right, &right_span)))?;
        self.require_singular(&right, operator.flipped().text(), Some((&left, &left_span)))?;
        if matches!(self.peek_kind(), Some(Kind::Compare(_))) {
            let span = self.here();
            self.next += 1;
            self.primary()?;
            let first = self.slice(&(start..right_span.end));
            let second = self.slice(&(right_span.start..self.end_of_last()));
            return Err(SyntaxError::new(span, "comparisons cannot be chained").hint(format!("write `{first} and {second}`")));
        }
        let span = start..right_span.end;
        Ok(Logical::Term(Term { test: Test::Compare { left, operator, right }, span }))
    }

    /// The list after `in`.
    fn one_of(&mut self, operand: Operand, left_span: Range<usize>, word_end: usize) -> Parsed<Logical> {
        let open = self.here();
        if self.peek_kind() != Some(&Kind::OpenBracket) {
            return Err(self.not_a_list(&left_span, word_end));
        }
        self.next += 1;
        let mut values = Vec::new();
        if self.peek_kind() == Some(&Kind::CloseBracket) {
            return Err(SyntaxError::new(open.start..self.here().end, "the list after `in` is empty, so it never holds")
                .hint("name at least one value: `in [\"valid\", \"risky\"]`"));
        }
        loop {
            values.push(self.list_value()?);
            if self.take(&Kind::CloseBracket) {
                break;
            }
            if !self.take(&Kind::Comma) {
                return Err(match self.peek() {
                    None | Some(Token { kind: Kind::CloseParenthesis, .. }) => problems::unclosed_bracket(open),
                    Some(token) => problems::unexpected(self, token, "`,` or `]`"),
                });
            }
        }
        let list_span = open.start..self.end_of_last();
        self.require_singular(&operand, "in", Some((&Operand::Literal(Value::Null), &list_span)))?;
        let span = left_span.start..list_span.end;
        Ok(Logical::Term(Term { test: Test::OneOf { operand, values }, span }))
    }

    fn not_a_list(&mut self, left_span: &Range<usize>, word_end: usize) -> SyntaxError {
        let span = self.here();
        let left = self.slice(left_span);
        let error = SyntaxError::new(span, "`in` needs a list of values in brackets");
        match self.peek_kind() {
            None => SyntaxError::new(word_end..word_end, "the list after `in` is missing")
                .hint(format!("for instance `{left} in [\"valid\", \"risky\"]`")),
            Some(Kind::OpenParenthesis) => error.hint(format!("write `{left} in [...]` with `[` and `]`")),
            _ => {
                let start = self.here().start;
                match self.primary() {
                    Ok(Primary::Operand(Operand::Path(_))) => {
                        let path = self.slice(&(start..self.end_of_last()));
                        error.hint(format!("to look into a list of the payload write `{path}[?@ == {left}]`"))
                    }
                    Ok(Primary::Operand(Operand::Literal(_))) => {
                        let value = self.slice(&(start..self.end_of_last()));
                        error.hint(format!("write `{left} in [{value}]`"))
                    }
                    _ => error.hint(format!("write `{left} in [...]`")),
                }
            }
        }
    }

    fn list_value(&mut self) -> Parsed<Value> {
        if let Some(error) = self.unquoted_text("in this list", false) {
            return Err(error);
        }
        let start = self.here().start;
        if matches!(self.peek_kind(), Some(Kind::Comma | Kind::CloseBracket)) {
            return Err(SyntaxError::new(self.here(), "a value is missing in this list").hint("remove the extra `,`"));
        }
        match self.primary()? {
            Primary::Operand(Operand::Literal(value)) => Ok(value),
            _ => {
                let span = start..self.end_of_last();
                let shown = self.slice(&span);
                Err(SyntaxError::new(span, format!("`{shown}` is no text, number, true, false or null"))
                    .hint("a list after `in` holds such values only; compare with a path by `==`"))
            }
        }
    }

    fn right_side(&mut self, operator: Operator) -> Parsed<Primary> {
        match self.unquoted_text(&format!("on the right of `{}`", operator.text()), true) {
            Some(error) => Err(error),
            None => self.primary(),
        }
    }

    /// A bare word, or several in a row, where a text is meant.
    fn unquoted_text(&self, place: &str, may_be_path: bool) -> Option<SyntaxError> {
        let first = self.name_at(0)?;
        if matches!(first, "true" | "false" | "null" | "not" | "and" | "or" | "in") || self.touches(0, &Kind::OpenParenthesis) {
            return None;
        }
        let mut words = 1;
        while self.name_at(words).is_some_and(|word| !matches!(word, "and" | "or" | "not" | "in")) {
            words += 1;
        }
        if matches!(self.kind_at(words), Some(Kind::Dot | Kind::DotDot | Kind::OpenBracket | Kind::OpenParenthesis)) {
            return None;
        }
        let end = self.tokens.get(self.next + words - 1).map_or(self.text.len(), |token| token.span.end);
        let span = self.here().start..end;
        Some(problems::unquoted(self.slice(&span), span, place, may_be_path && words == 1))
    }

    pub fn operand_of(&self, primary: Primary, span: &Range<usize>) -> Parsed<Operand> {
        match primary {
            Primary::Operand(operand) => Ok(operand),
            Primary::Matches(matches) => {
                let name = if matches.whole { "match" } else { "search" };
                let shown = self.slice(span);
                Err(SyntaxError::new(span.clone(), format!("`{name}()` is true or false by itself and is not compared"))
                    .hint(format!("write `{shown}` or `not {shown}`")))
            }
        }
    }

    /// Refuses a path that can find several values, and shows the filter that says what was meant.
    fn require_singular(&self, operand: &Operand, operator: &str, other: Option<(&Operand, &Range<usize>)>) -> Parsed<()> {
        match operand {
            Operand::Path(path) if !path.is_singular() => Err(problems::many_valued(self, path, operator, other)),
            _ => Ok(()),
        }
    }
}

/// The list's only element, or the list in its wrapper.
fn single_or(mut list: Vec<Logical>, wrap: fn(Vec<Logical>) -> Logical) -> Logical {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        Some(last) => {
            list.push(last);
            wrap(list)
        }
        None => wrap(list),
    }
}
