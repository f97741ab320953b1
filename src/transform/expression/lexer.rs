//! Cuts the inside of a template's tag into tokens, by the same rules as minijinja's own lexer.
//!
//! minijinja keeps its lexer and syntax tree private (its `unstable_machinery` feature promises no stability), and
//! checks the names of filters, tests and functions only when it renders. The little that is needed to check them
//! while a file loads is a lexical matter, and Jinja's lexical rules are stable, so they are read here.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Kind {
    /// A name or a keyword.
    Name,
    Number,
    /// A string literal, with its quotes.
    Quoted,
    /// An operator, a bracket, or a character that Jinja does not know.
    Symbol,
}

/// A token and its place in the text that was read.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) struct Token<'t> {
    pub(in crate::transform) kind: Kind,
    pub(in crate::transform) text: &'t str,
    pub(in crate::transform) start: usize,
}

impl Token<'_> {
    pub(in crate::transform) fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    pub(in crate::transform) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of one tag, and where it ends.
pub(in crate::transform) struct Tag<'t> {
    pub(in crate::transform) tokens: Vec<Token<'t>>,
    /// Behind the closing marker.
    pub(in crate::transform) end: usize,
}

/// The most tokens that a tag may have. minijinja's parser limits how deep brackets nest, but recurses without a limit
/// along a chain of operators, where a stack of 2 MiB ends after some 1,000 (debug) or 5,000 (release) of them.
pub(in crate::transform) const TAG_TOKENS_MAX: usize = 300;
/// How deep the brackets of a tag may nest.
pub(in crate::transform) const BRACKETS_DEPTH_MAX: i32 = 32;

/// Why a tag was not read: it is larger than the parser may be given.
pub(in crate::transform) struct TooLarge {
    pub(in crate::transform) at: usize,
    pub(in crate::transform) message: String,
}

const LONG_SYMBOLS: [&str; 6] = ["==", "!=", ">=", "<=", "//", "**"];

/// Reads a tag whose opening marker ends at `start`; `closing` is `}}` or `%}`. `None` when `text` ends inside it.
pub(in crate::transform) fn read_tag<'t>(text: &'t str, start: usize, closing: &str) -> Result<Option<Tag<'t>>, TooLarge> {
    let mut tokens = Vec::new();
    let mut at = start;
    // Closing markers count only outside of brackets, so that `{{ {"a": {"b": 1}} }}` is one tag.
    let mut depth = 0_i32;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if depth == 0 {
            let marker = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if let Some(after) = marker.strip_prefix(closing) {
                return Ok(Some(Tag { tokens, end: text.len() - after.len() }));
            }
        }
        let (kind, length) = match first {
            '"' | '\'' => match quoted_length(rest, first) {
                Some(length) => (Kind::Quoted, length),
                None => return Ok(None),
            },
            'a'..='z' | 'A'..='Z' | '_' => (Kind::Name, word_length(rest)),
            '0'..='9' => (Kind::Number, word_length(rest)),
            _ => (Kind::Symbol, symbol_length(rest, first)),
        };
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth > BRACKETS_DEPTH_MAX {
            return Err(TooLarge { at, message: format!("brackets nest deeper than {BRACKETS_DEPTH_MAX} levels") });
        }
        if tokens.len() == TAG_TOKENS_MAX {
            return Err(TooLarge { at, message: format!("a tag with more than {TAG_TOKENS_MAX} words and signs") });
        }
        tokens.push(Token { kind, text: rest.get(..length).unwrap_or_default(), start: at });
        at += length;
    }
}

fn word_length(rest: &str) -> usize {
    rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(rest.len())
}

fn symbol_length(rest: &str, first: char) -> usize {
    if LONG_SYMBOLS.iter().any(|symbol| rest.starts_with(symbol)) { 2 } else { first.len_utf8() }
}

/// The length of a string literal with its quotes; a backslash takes the character behind it along.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return Some(at + 1);
        }
    }
    None
}
