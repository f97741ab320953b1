//! Text to tokens. Strings come first, so nothing inside them is ever taken for an operator or a word.

use std::ops::Range;

use super::problems;
use crate::condition::SyntaxError;
use crate::condition::ast::Operator;
use crate::condition::strings;

/// A token and the bytes it was written with. Blanks leave no token: where the grammar forbids them, spans tell.
#[derive(Debug, Clone)]
pub(in crate::condition) struct Token {
    pub kind: Kind,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::condition) enum Kind {
    Root,
    Current,
    Dot,
    DotDot,
    Star,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    Comma,
    Colon,
    Question,
    Not,
    And,
    Or,
    Compare(Operator),
    /// A name or a word; which, only its place tells.
    Name,
    Number,
    Text(String),
}

/// Operators and marks, longest first.
const MARKS: [(&str, Kind); 21] = [
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("==", Kind::Compare(Operator::Equal)),
    ("!=", Kind::Compare(Operator::Unequal)),
    ("<=", Kind::Compare(Operator::LessOrEqual)),
    (">=", Kind::Compare(Operator::GreaterOrEqual)),
    ("..", Kind::DotDot),
    ("<", Kind::Compare(Operator::Less)),
    (">", Kind::Compare(Operator::Greater)),
    ("!", Kind::Not),
    (".", Kind::Dot),
    ("$", Kind::Root),
    ("@", Kind::Current),
    ("*", Kind::Star),
    ("[", Kind::OpenBracket),
    ("]", Kind::CloseBracket),
    ("(", Kind::OpenParenthesis),
    (")", Kind::CloseParenthesis),
    (",", Kind::Comma),
    (":", Kind::Colon),
    ("?", Kind::Question),
];

/// Whether `character` is a blank of RFC 9535.
pub(in crate::condition) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// All tokens of `text`.
pub(in crate::condition) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if is_blank(character) {
            at += 1;
            continue;
        }
        let (kind, end) = match character {
            '"' | '\'' => {
                let (value, end) = strings::read(text, at, character)?;
                (Kind::Text(value), end)
            }
            '-' | '0'..='9' => (Kind::Number, number(text, at, &tokens)?),
            _ if strings::starts_name(character) => (Kind::Name, name(text, at, &tokens)?),
            _ => mark(text, at)?,
        };
        tokens.push(Token { kind, span: at..end });
        at = end;
    }
    Ok(tokens)
}

/// The operator or mark at byte `at`.
fn mark(text: &str, at: usize) -> Result<(Kind, usize), SyntaxError> {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(problem) = problems::foreign_operator(rest, at) {
        return Err(problem);
    }
    MARKS
        .iter()
        .find(|(mark, _)| rest.starts_with(mark))
        .map(|(mark, kind)| (kind.clone(), at + mark.len()))
        .ok_or_else(|| problems::foreign_character(rest, at))
}

/// The byte after the name that begins at byte `at`.
fn name(text: &str, at: usize, before: &[Token]) -> Result<usize, SyntaxError> {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.find(|character| !strings::continues_name(character)).unwrap_or(rest.len());
    let mut following = rest.get(length..).unwrap_or_default().chars();
    if following.next() == Some('-') && following.next().is_some_and(strings::continues_name) {
        let whole = rest.find(|c| c != '-' && !strings::continues_name(c)).unwrap_or(rest.len());
        let after_dot = before.last().is_some_and(|token| matches!(token.kind, Kind::Dot | Kind::DotDot));
        return Err(problems::hyphen(rest.get(..whole).unwrap_or_default(), at, after_dot));
    }
    Ok(at + length)
}

/// The byte after the number that begins at byte `at` (RFC 9535, 2.3.5.1: JSON's numbers).
fn number(text: &str, at: usize, before: &[Token]) -> Result<usize, SyntaxError> {
    let rest = text.get(at..).unwrap_or_default();
    let bytes = rest.as_bytes();
    let digits_from = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();

    let sign = usize::from(rest.starts_with('-'));
    let integer = digits_from(sign);
    if integer == 0 {
        return Err(SyntaxError::new(at..at + 1, "`-` without a number directly behind it")
            .hint("there is no arithmetic; a name with `-` is written in quotes: `@[\"first-name\"]`"));
    }
    let mut end = sign + integer;
    if integer > 1 && bytes.get(sign) == Some(&b'0') {
        return Err(
            SyntaxError::new(at..at + end, "a number may not begin with 0").hint("leave out the 0, or put a text of digits in quotes")
        );
    }
    // A dot without digits behind it belongs to what follows (`[0].name`), and so does one in `data.0.1`.
    let after_dot = before.last().is_some_and(|token| token.kind == Kind::Dot && token.span.end == at);
    if bytes.get(end) == Some(&b'.') && !after_dot {
        let fraction = digits_from(end + 1);
        if fraction > 0 {
            end += 1 + fraction;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_from(end + 1 + signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    let tail = rest.get(end..).unwrap_or_default();
    if tail.starts_with(strings::continues_name) {
        let length = tail.find(|character| !strings::continues_name(character)).unwrap_or(tail.len());
        let word = rest.get(..end + length).unwrap_or_default();
        return Err(SyntaxError::new(at..at + end + length, format!("`{word}` is neither a number nor a name"))
            .hint(format!("a text is written in quotes: {}", strings::quoted(word))));
    }
    Ok(at + end)
}
