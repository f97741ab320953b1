//! Cuts the inside of a template's tag into tokens, by the same rules as minijinja's own lexer.
//!
//! minijinja keeps its lexer and syntax tree private (its `unstable_machinery` feature promises no stability), and
//! checks the names of filters, tests and functions only when it renders. The little that is needed to check them
//! while a file loads is a lexical matter, and Jinja's lexical rules are stable, so they are read here.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of one tag, and where it ends.
pub(super) struct Tag<'t> {
    pub(super) tokens: Vec<Token<'t>>,
    /// Behind the closing marker.
    pub(super) end: usize,
}

/// The most tokens that a tag may have. minijinja's parser limits how deep brackets nest, but recurses without a limit
/// along a chain of operators, where a stack of 2 MiB ends after some 1,000 (debug) or 5,000 (release) of them.
pub(super) const TAG_TOKENS_MAX: usize = 300;
/// How deep the brackets of a tag may nest.
pub(super) const BRACKETS_DEPTH_MAX: i32 = 32;

/// Why a tag was not read: it is larger than the parser may be given.
pub(super) struct TooLarge {
    pub(super) at: usize,
    pub(super) message: String,
}

const LONG_SYMBOLS: [&str; 6] = ["==", "!=", ">=", "<=", "//", "**"];

/// Reads a tag whose opening marker ends at `start`; `closing` is `}}` or `%}`. `None` when `text` ends inside it.
pub(super) fn read_tag<'t>(text: &'t str, start: usize, closing: &str) -> Result<Option<Tag<'t>>, TooLarge> {
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

/// The operands of every `~` in a tag, as byte ranges of the text that was read, without string literals (which need
/// no care). `~` binds tighter than `+` and looser than `*`, so an operand ends at a bracket, a comma, or at any
/// operator or keyword that binds as loosely as `~` or looser.
pub(super) fn joined_operands(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut operands: Vec<Range<usize>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is(Kind::Symbol, "~") {
            continue;
        }
        let left = operand_length(tokens, (0..at).rev(), [")]}", "([{"]);
        let right = operand_length(tokens, at + 1..tokens.len(), ["([{", ")]}"]);
        for run in [tokens.get(at - left..at), tokens.get(at + 1..at + 1 + right)] {
            let Some(run) = run else { continue };
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            if run.len() == 1 && first.kind == Kind::Quoted {
                continue;
            }
            let range = first.start..last.end();
            if operands.last() != Some(&range) && !operands.contains(&range) {
                operands.push(range);
            }
        }
    }
    operands
}

/// How many tokens of `walk`, which goes away from a `~`, belong to its operand; `brackets` are those that open and
/// those that close in the direction of the walk.
fn operand_length(tokens: &[Token<'_>], walk: impl Iterator<Item = usize>, brackets: [&str; 2]) -> usize {
    let [opening, closing] = brackets;
    let mut depth = 0_i32;
    let mut length = 0;
    for at in walk {
        let Some(token) = tokens.get(at) else { break };
        let is_one_of = |brackets: &str| token.kind == Kind::Symbol && brackets.contains(token.text);
        if is_one_of(opening) {
            depth += 1;
        } else if is_one_of(closing) {
            depth -= 1;
            if depth < 0 {
                break;
            }
        } else if depth == 0 && ends_operand(tokens, at) {
            break;
        }
        length += 1;
    }
    length
}

fn ends_operand(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(token) = tokens.get(at) else { return true };
    let before = |count| at.checked_sub(count).and_then(|at| tokens.get(at));
    match token.kind {
        // A sign belongs to its operand; a minus between two operands does not.
        Kind::Symbol if token.text == "-" => before(1).is_some_and(|before| match before.kind {
            Kind::Symbol => matches!(before.text, ")" | "]" | "}"),
            Kind::Name => !at.checked_sub(1).is_some_and(|at| is_word(tokens, at)),
            Kind::Number | Kind::Quoted => true,
        }),
        Kind::Symbol => matches!(token.text, "," | ":" | "=" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "+" | "~"),
        Kind::Name => {
            // The words of `x is not in y` belong to the test, unlike those of `x not in y`.
            let is_before = |count, text| before(count).is_some_and(|token| token.is(Kind::Name, text));
            let is_of_test = is_before(1, "is") || (is_before(1, "not") && is_before(2, "is"));
            is_word(tokens, at) && !is_of_test
        }
        Kind::Number | Kind::Quoted => false,
    }
}

/// Whether a name stands between operands or before one. `data.in` is an attribute.
fn is_word(tokens: &[Token<'_>], at: usize) -> bool {
    let is_attribute = at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|token| token.is(Kind::Symbol, "."));
    let name = tokens.get(at).map_or("", |token| token.text);
    !is_attribute && matches!(name, "and" | "or" | "not" | "in" | "if" | "elif" | "else" | "do" | "call" | "for" | "set" | "print" | "with")
}
