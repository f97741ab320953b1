//! Reads expressions: one method for each level of Jinja's operators, the loosest first.

use super::lexer::{Kind, Token};
use super::{Argument, Node, Shape, Unreadable};

/// Walks the tokens of a tag.
pub(super) struct Parser<'p, 't> {
    pub(super) tokens: &'p [Token<'t>],
    pub(super) at: usize,
}

pub(super) type Parsed<'t> = Result<Node<'t>, Unreadable>;

impl<'t> Parser<'_, 't> {
    pub(super) fn peek(&self, ahead: usize) -> Option<Token<'t>> {
        self.tokens.get(self.at + ahead).copied()
    }

    pub(super) fn unreadable(&self) -> Unreadable {
        let place = self.peek(0).map(|token| token.start).or_else(|| self.tokens.last().map(Token::end));
        Unreadable(place.unwrap_or(0))
    }

    fn next(&mut self) -> Result<Token<'t>, Unreadable> {
        let token = self.peek(0).ok_or_else(|| self.unreadable())?;
        self.at += 1;
        Ok(token)
    }

    pub(super) fn is_symbol(&self, ahead: usize, text: &str) -> bool {
        self.peek(ahead).is_some_and(|token| token.is(Kind::Symbol, text))
    }

    pub(super) fn is_word(&self, ahead: usize, text: &str) -> bool {
        self.peek(ahead).is_some_and(|token| token.is(Kind::Name, text))
    }

    pub(super) fn skip_symbol(&mut self, text: &str) -> bool {
        let found = self.is_symbol(0, text);
        self.at += usize::from(found);
        found
    }

    pub(super) fn skip_word(&mut self, text: &str) -> bool {
        let found = self.is_word(0, text);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), Unreadable> {
        if self.skip_symbol(symbol) { Ok(()) } else { Err(self.unreadable()) }
    }

    pub(super) fn name(&mut self) -> Result<Token<'t>, Unreadable> {
        let token = self.next()?;
        if token.kind == Kind::Name { Ok(token) } else { Err(Unreadable(token.start)) }
    }

    /// Where the last token that was read ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, Token::end)
    }

    fn node(&self, start: usize, shape: Shape<'t>) -> Node<'t> {
        Node { start, end: self.end(), shape }
    }

    pub(super) fn expression(&mut self) -> Parsed<'t> {
        let mut node = self.or()?;
        while self.skip_word("if") {
            let start = node.start;
            let condition = Box::new(self.or()?);
            let otherwise = if self.skip_word("else") { Some(Box::new(self.expression()?)) } else { None };
            node = self.node(start, Shape::Conditional { then: Box::new(node), condition, otherwise });
        }
        Ok(node)
    }

    pub(super) fn or(&mut self) -> Parsed<'t> {
        let mut left = self.and()?;
        while self.skip_word("or") {
            let right = self.and()?;
            left = self.node(left.start, Shape::Or(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<'t> {
        let mut left = self.not()?;
        while self.skip_word("and") {
            let right = self.not()?;
            left = self.node(left.start, Shape::And(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<'t> {
        let start = self.peek(0).map_or(0, |token| token.start);
        if self.skip_word("not") {
            let operand = self.not()?;
            return Ok(self.node(start, Shape::Not(Box::new(operand))));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<'t> {
        const SYMBOLS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(token) = self.peek(0) {
            let symbol = SYMBOLS.into_iter().find(|symbol| token.is(Kind::Symbol, symbol));
            let (operator, length) = match symbol {
                Some(symbol) => (symbol, 1),
                None if token.is(Kind::Name, "in") => ("in", 1),
                None if token.is(Kind::Name, "not") && self.is_word(1, "in") => ("not in", 2),
                None => break,
            };
            self.at += length;
            let place = token.start..self.end();
            rest.push((place, operator, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(self.node(first.start, Shape::Comparison { first: Box::new(first), rest }))
    }

    fn binary(&mut self, operators: &[&str], next: fn(&mut Self) -> Parsed<'t>) -> Parsed<'t> {
        let mut left = next(self)?;
        while let Some(operator) = self.peek(0).filter(|token| token.kind == Kind::Symbol && operators.contains(&token.text)) {
            self.at += 1;
            let right = Box::new(next(self)?);
            let (start, left_operand) = (left.start, Box::new(left));
            left = self.node(
                start,
                if operator.text == "~" {
                    Shape::Joined { left: left_operand, right }
                } else {
                    Shape::Arithmetic { left: left_operand, operator, right }
                },
            );
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parsed<'t> {
        self.binary(&["+", "-"], Self::joined)
    }

    fn joined(&mut self) -> Parsed<'t> {
        self.binary(&["~"], Self::product)
    }

    fn product(&mut self) -> Parsed<'t> {
        self.binary(&["*", "/", "//", "%"], Self::power)
    }

    fn power(&mut self) -> Parsed<'t> {
        self.binary(&["**"], Self::filtered)
    }

    fn filtered(&mut self) -> Parsed<'t> {
        let operand = self.signed()?;
        self.filters(Some(operand), true)
    }

    fn signed(&mut self) -> Parsed<'t> {
        let start = self.peek(0).map_or(0, |token| token.start);
        if self.skip_symbol("-") {
            let operand = self.signed()?;
            return Ok(self.node(start, Shape::Negative(Box::new(operand))));
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn postfix(&mut self, mut of: Node<'t>) -> Parsed<'t> {
        loop {
            let start = of.start;
            if self.skip_symbol(".") {
                let name = self.next()?;
                if !matches!(name.kind, Kind::Name | Kind::Number) {
                    return Err(Unreadable(name.start));
                }
                of = self.node(start, Shape::Attribute { of: Box::new(of), name: name.text });
            } else if self.skip_symbol("[") {
                of = self.subscript(of)?;
            } else if self.is_symbol(0, "(") {
                let arguments = self.arguments()?;
                of = self.node(start, Shape::Call { callee: Box::new(of), arguments });
            } else {
                return Ok(of);
            }
        }
    }

    /// Behind the `[`.
    fn subscript(&mut self, of: Node<'t>) -> Parsed<'t> {
        let start = of.start;
        let mut bounds = Vec::new();
        let mut is_slice = false;
        while !self.skip_symbol("]") {
            if self.skip_symbol(":") {
                is_slice = true;
            } else {
                bounds.push(self.expression()?);
                if !is_slice && self.skip_symbol("]") {
                    let index = bounds.pop().map(Box::new).ok_or_else(|| self.unreadable())?;
                    return Ok(self.node(start, Shape::Item { of: Box::new(of), index }));
                }
            }
        }
        if !is_slice {
            return Err(self.unreadable());
        }
        Ok(self.node(start, Shape::Slice { of: Box::new(of), bounds }))
    }

    /// `| filter` and `is test`, as many as follow. Without an input the first filter has no pipe before it.
    pub(super) fn filters(&mut self, mut input: Option<Node<'t>>, with_tests: bool) -> Parsed<'t> {
        loop {
            if input.is_none() || self.skip_symbol("|") {
                let name = self.name()?;
                let start = input.as_ref().map_or(name.start, |input| input.start);
                let arguments = if self.is_symbol(0, "(") { self.arguments()? } else { Vec::new() };
                input = Some(self.node(start, Shape::Filter { input: input.map(Box::new), name, arguments }));
            } else if with_tests && self.skip_word("is") {
                let negated = self.skip_word("not");
                let name = self.name()?;
                let arguments = self.arguments_of_test()?;
                let Some(subject) = input else { return Err(self.unreadable()) };
                let start = subject.start;
                input = Some(self.node(start, Shape::Test { subject: Box::new(subject), name, negated, arguments }));
            } else {
                return input.ok_or_else(|| self.unreadable());
            }
        }
    }

    /// `(a, b)`, or one operand without parentheses: `is divisibleby 3`.
    fn arguments_of_test(&mut self) -> Result<Vec<Argument<'t>>, Unreadable> {
        if self.is_symbol(0, "(") {
            return self.arguments();
        }
        let has_operand = self.peek(0).is_some_and(|token| match token.kind {
            Kind::Name => !matches!(token.text, "and" | "or" | "else" | "is"),
            Kind::Number | Kind::Quoted => true,
            Kind::Symbol => matches!(token.text, "+" | "-" | "[" | "{"),
        });
        // minijinja takes any other word for an operand too, and then finds `if`, `in` or `not` where none can stand.
        if !has_operand {
            return Ok(Vec::new());
        }
        Ok(vec![Argument { name: None, value: self.signed()? }])
    }

    /// From the `(` on.
    fn arguments(&mut self) -> Result<Vec<Argument<'t>>, Unreadable> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.skip_symbol(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
                if self.skip_symbol(")") {
                    break;
                }
            }
            if !self.skip_symbol("**") {
                self.skip_symbol("*");
            }
            let name = self.peek(0).filter(|token| token.kind == Kind::Name && self.is_symbol(1, "=")).map(|token| token.text);
            if name.is_some() {
                self.at += 2;
            }
            arguments.push(Argument { name, value: self.expression()? });
        }
        Ok(arguments)
    }

    fn primary(&mut self) -> Parsed<'t> {
        let token = self.next()?;
        let start = token.start;
        match token.kind {
            Kind::Number => {
                self.rest_of_number();
                Ok(self.node(start, Shape::Number))
            }
            Kind::Quoted => {
                while self.peek(0).is_some_and(|token| token.kind == Kind::Quoted) {
                    self.at += 1;
                }
                Ok(self.node(start, Shape::Quoted(token.text)))
            }
            Kind::Name => {
                let shape = match token.text {
                    "true" | "True" => Shape::Boolean(true),
                    "false" | "False" => Shape::Boolean(false),
                    "none" | "None" => Shape::Null,
                    name => Shape::Name(name),
                };
                Ok(self.node(start, shape))
            }
            Kind::Symbol => match token.text {
                "(" => self.group(start),
                "[" => self.collection(start, "]", false),
                "{" => self.collection(start, "}", true),
                _ => Err(Unreadable(start)),
            },
        }
    }

    /// The lexer cuts `1.5e-3` at its point and its sign.
    fn rest_of_number(&mut self) {
        let adjacent = |parser: &Self, ahead: usize| {
            let before = (parser.at + ahead).checked_sub(1).and_then(|at| parser.tokens.get(at));
            parser.peek(ahead).zip(before).is_some_and(|(token, before)| token.start == before.end())
        };
        let is_number = |parser: &Self, ahead: usize| parser.peek(ahead).is_some_and(|token| token.kind == Kind::Number);
        if self.is_symbol(0, ".") && adjacent(self, 0) && is_number(self, 1) && adjacent(self, 1) {
            self.at += 2;
        }
        let ends_in_e = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).is_some_and(|token| token.text.ends_with(['e', 'E']));
        let is_sign = self.is_symbol(0, "-") || self.is_symbol(0, "+");
        if ends_in_e && is_sign && adjacent(self, 0) && is_number(self, 1) && adjacent(self, 1) {
            self.at += 2;
        }
    }

    /// Behind the `(`: an expression in parentheses, or a tuple.
    fn group(&mut self, start: usize) -> Parsed<'t> {
        if self.skip_symbol(")") {
            return Ok(self.node(start, Shape::Collection(Vec::new())));
        }
        let first = self.expression()?;
        if self.skip_symbol(")") {
            return Ok(self.node(start, Shape::Group(Box::new(first))));
        }
        let mut items = vec![first];
        while self.skip_symbol(",") {
            if self.is_symbol(0, ")") {
                break;
            }
            items.push(self.expression()?);
        }
        self.expect(")")?;
        Ok(self.node(start, Shape::Collection(items)))
    }

    fn collection(&mut self, start: usize, closing: &str, is_map: bool) -> Parsed<'t> {
        let mut items = Vec::new();
        while !self.skip_symbol(closing) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.skip_symbol(closing) {
                    break;
                }
            }
            items.push(self.expression()?);
            if is_map {
                self.expect(":")?;
                items.push(self.expression()?);
            }
        }
        Ok(self.node(start, Shape::Collection(items)))
    }
}
