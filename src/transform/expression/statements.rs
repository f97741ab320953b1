//! Reads what stands in `{% %}`.

use super::lexer::Kind;
use super::parser::Parser;
use super::{Node, Statement, Unreadable};

impl<'t> Parser<'_, 't> {
    pub(super) fn block(&mut self) -> Result<Statement<'t>, Unreadable> {
        let word = self.name()?.text;
        Ok(match word {
            "if" => Statement::If(self.expression()?),
            "elif" => Statement::ElseIf(self.expression()?),
            "else" => Statement::Else,
            "for" => self.for_loop()?,
            "set" => self.set()?,
            "with" => {
                let mut pairs = Vec::new();
                while self.peek(0).is_some() {
                    if !pairs.is_empty() {
                        self.expect(",")?;
                    }
                    let targets = self.targets()?;
                    self.expect("=")?;
                    pairs.push((targets, vec![self.expression()?]));
                }
                Statement::Bind { opens_block: true, pairs }
            }
            "filter" => Statement::Evaluate { opens_block: true, nodes: vec![self.filters(None, false)?] },
            "macro" => {
                self.name()?;
                self.expect("(")?;
                Statement::Evaluate { opens_block: true, nodes: self.parameters()? }
            }
            "call" => {
                let mut nodes = if self.skip_symbol("(") { self.parameters()? } else { Vec::new() };
                nodes.push(self.expression()?);
                Statement::Evaluate { opens_block: true, nodes }
            }
            "do" => Statement::Evaluate { opens_block: false, nodes: vec![self.expression()?] },
            word if word.starts_with("end") => {
                // `{% endmacro name %}` and `{% endblock name %}` may repeat the name.
                self.at = self.tokens.len();
                Statement::End
            }
            _ => {
                self.at = self.tokens.len();
                Statement::Other
            }
        })
    }

    fn for_loop(&mut self) -> Result<Statement<'t>, Unreadable> {
        let targets = self.targets()?;
        if !self.skip_word("in") {
            return Err(self.unreadable());
        }
        let list = self.or()?;
        let condition = if self.skip_word("if") { Some(self.expression()?) } else { None };
        self.skip_word("recursive");
        Ok(Statement::For { targets, list, condition })
    }

    /// `{% set x = 1 %}`, or `{% set x %}` and `{% set x | upper %}` around a text.
    fn set(&mut self) -> Result<Statement<'t>, Unreadable> {
        let targets = self.targets()?;
        if self.skip_symbol("=") {
            let mut values = vec![self.expression()?];
            while self.skip_symbol(",") {
                values.push(self.expression()?);
            }
            return Ok(Statement::Bind { opens_block: false, pairs: vec![(targets, values)] });
        }
        if self.skip_symbol("|") {
            let filters = self.filters(None, false)?;
            return Ok(Statement::Evaluate { opens_block: true, nodes: vec![filters] });
        }
        Ok(Statement::Bind { opens_block: true, pairs: vec![(targets, Vec::new())] })
    }

    /// `a`, `a.b`, `a, b`, `(a, (b, c))`: the names.
    fn targets(&mut self) -> Result<Vec<&'t str>, Unreadable> {
        let mut names = Vec::new();
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token.text {
                "(" => depth += 1,
                ")" if depth > 0 => depth -= 1,
                "," | "." => {}
                "in" | "=" | "|" => break,
                name if token.kind == Kind::Name => names.push(name),
                _ => return Err(Unreadable(token.start)),
            }
            self.at += 1;
        }
        Ok(names)
    }

    /// Of a macro, behind the `(`: the defaults.
    fn parameters(&mut self) -> Result<Vec<Node<'t>>, Unreadable> {
        let mut defaults = Vec::new();
        while !self.skip_symbol(")") {
            self.name()?;
            if self.skip_symbol("=") {
                defaults.push(self.expression()?);
            }
            if !self.is_symbol(0, ")") {
                self.expect(",")?;
            }
        }
        Ok(defaults)
    }
}
