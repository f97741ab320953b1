//! Values, by recursive descent.

use serde_json::{Map, Value};

use super::DEPTH_MAX;
use super::fault::{Fault, Problem};
use super::need;
use super::number;
use super::text;

type Parsed<T> = Result<T, Fault>;

pub(super) struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// Of the lists that come, as far as they were counted.
    lengths: std::vec::IntoIter<u32>,
    /// Members of the objects that are open: an object is made when their number is known, so that it is no larger than that.
    members: Vec<(String, Value)>,
}

impl<'t> Parser<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0, lengths: need::list_lengths(text).into_iter(), members: Vec::new() }
    }

    /// The one value of the text.
    pub fn document(mut self) -> Parsed<Value> {
        self.skip_blanks();
        if self.at == self.text.len() {
            return Err(self.fault(Problem::Empty));
        }
        let value = self.value()?;
        self.skip_blanks();
        if self.at < self.text.len() { Err(self.fault(Problem::MoreFollows)) } else { Ok(value) }
    }

    /// A value at which no blank stands.
    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Steps over what opens a list or an object.
    fn nested(&mut self, content: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(Problem::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let value = content(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Parsed<Value> {
        if self.takes(b'}') {
            return Ok(Value::Object(Map::new()));
        }
        let first = self.members.len();
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let name = self.string()?;
            self.skip_blanks();
            if !self.takes(b':') {
                return Err(self.expected("`:`"));
            }
            self.skip_blanks();
            let value = self.value()?;
            self.members.push((name, value));
            if self.ends(b'}').ok_or_else(|| self.expected("`,` or `}`"))? {
                let mut object = Map::with_capacity(self.members.len() - first);
                object.extend(self.members.drain(first..));
                return Ok(Value::Object(object));
            }
        }
    }

    fn array(&mut self) -> Parsed<Value> {
        let length = self.lengths.next().and_then(|length| usize::try_from(length).ok());
        if self.takes(b']') {
            return Ok(Value::Array(Vec::new()));
        }
        // Most lists have one item; from there on their room doubles, so that none ends with more than twice of what it needs.
        let mut items = Vec::with_capacity(length.unwrap_or(1));
        loop {
            items.push(self.value()?);
            if self.ends(b']').ok_or_else(|| self.expected("`,` or `]`"))? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// Steps over what stands behind an item: whether that was the last one. `None`: neither a comma nor what closes the list or object.
    fn ends(&mut self, close: u8) -> Option<bool> {
        self.skip_blanks();
        if self.takes(b',') {
            self.skip_blanks();
            return Some(false);
        }
        self.takes(close).then_some(true)
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        text::string(self.text, &mut self.at).map_err(|problem| self.fault(problem))
    }

    fn number(&mut self) -> Parsed<Value> {
        let Some((length, is_integer)) = number::scan(self.rest().as_bytes()) else {
            return Err(self.fault(Problem::MalformedNumber));
        };
        let written = self.rest().get(..length).unwrap_or_default();
        let number = number::canonical(written, is_integer).map_err(|problem| self.fault(problem))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if !self.rest().starts_with(word) {
            let is_cut = word.starts_with(self.rest());
            return Err(if is_cut { self.unfinished() } else { self.expected("a value") });
        }
        self.at += word.len();
        Ok(value)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let takes = self.peek() == Some(byte);
        self.at += usize::from(takes);
        takes
    }

    /// RFC 8259, section 2.
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &'static str) -> Fault {
        if self.at == self.text.len() { self.unfinished() } else { self.fault(Problem::Expected(what)) }
    }

    fn unfinished(&self) -> Fault {
        Fault::new(Problem::Unfinished, self.text)
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault::new(problem, self.text.get(..self.at).unwrap_or(self.text))
    }
}
