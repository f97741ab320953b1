//! Errors that know their fix: mistakes that people make who know other languages, or JSONPath not yet.

use std::ops::Range;

use super::call_parser::FUNCTIONS;
use super::lexer::{Kind, Token, is_blank};
use super::parser::Parser;
use crate::condition::SyntaxError;
use crate::condition::ast::{Key, Logical, Operand, Path, Root, Segment, Selector};
use crate::condition::printing::canonical::{self, Steps};
use crate::condition::strings;

/// Operators of other languages, longest first, with what stands for them here.
const FOREIGN_OPERATORS: [(&str, &str); 10] = [
    ("===", "`==`"),
    ("!==", "`!=`"),
    ("<>", "`!=`"),
    ("=>", "`>=`"),
    ("=<", "`<=`"),
    ("=~", "`search(path, \"pattern\")`"),
    ("~=", "`search(path, \"pattern\")`"),
    ("=", "`==`"),
    ("&", "`&&` or `and`"),
    ("|", "`||` or `or`"),
];

/// Words of other languages where an operator stands, in lower case, with what stands for them here.
const FOREIGN_OPERATOR_WORDS: [(&str, &str); 16] = [
    ("and", "`and`, in small letters"),
    ("or", "`or`, in small letters"),
    ("in", "`in`, in small letters"),
    ("not", "`not (...)` before the whole condition"),
    ("xor", "`a and not b or not a and b`"),
    ("is", "`==`"),
    ("equals", "`==`"),
    ("eq", "`==`"),
    ("ne", "`!=`"),
    ("gt", "`>`"),
    ("lt", "`<`"),
    ("contains", "`search(path, \"text\")`"),
    ("like", "`search(path, \"text\")`"),
    ("matches", "`match(path, \"pattern\")`"),
    ("startswith", "`match(path, \"text.*\")`"),
    ("endswith", "`match(path, \".*text\")`"),
];

/// Function names of other languages, in lower case, with what stands for them here.
const FOREIGN_FUNCTIONS: [(&str, &str); 11] = [
    ("not", "`not`, in small letters"),
    ("len", "`length(...)`"),
    ("size", "`length(...)`, or `count(...)` for the values of a path"),
    ("exists", "the path alone: it holds when something is there"),
    ("defined", "the path alone: it holds when something is there"),
    ("contains", "`search(path, \"text\")`"),
    ("startswith", "`match(path, \"text.*\")`"),
    ("endswith", "`match(path, \".*text\")`"),
    ("regex", "`search(path, \"pattern\")`"),
    ("lower", "`search(path, \"(?i)text\")`, which ignores case"),
    ("upper", "`search(path, \"(?i)text\")`, which ignores case"),
];

/// The longest path that is shown again as a filter, in bytes.
const FILTER_SHOWN_BYTES_MAX: usize = 500;
/// How alike (Jaro-Winkler, 0 to 1) a name has to be to be proposed.
const SIMILARITY_MIN: f64 = 0.75;

pub(in crate::condition) fn foreign_operator(rest: &str, at: usize) -> Option<SyntaxError> {
    if rest.starts_with("==") && !rest.starts_with("===") || rest.starts_with("&&") || rest.starts_with("||") {
        return None;
    }
    if let Some(error) = pipe(rest, at) {
        return Some(error);
    }
    let (written, instead) = FOREIGN_OPERATORS.iter().find(|(written, _)| rest.starts_with(written))?;
    Some(SyntaxError::new(at..at + written.len(), format!("`{written}` is no operator here")).hint(format!("write {instead}")))
}

/// `data.emails | length`: what follows is a filter of jq or Jinja, and no other condition.
fn pipe(rest: &str, at: usize) -> Option<SyntaxError> {
    let behind = rest.strip_prefix('|')?.trim_start();
    let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(behind.len());
    let (word, after) = behind.split_at(end);
    let is_condition = word.is_empty() || matches!(word, "data" | "status" | "type" | "event" | "not") || after.starts_with(['.', '[']);
    if is_condition {
        return None;
    }
    let error = SyntaxError::new(at..at + 1, "there are no filters in a condition, and `|` joins nothing");
    let lower = word.to_ascii_lowercase().replace('_', "");
    let known = FUNCTIONS.iter().find(|known| **known == lower).map(|known| format!("`{known}(...)`, with the path in the parentheses"));
    let foreign = || FOREIGN_FUNCTIONS.iter().find(|(foreign, _)| *foreign == lower).map(|(_, instead)| (*instead).to_owned());
    let meant = known.or_else(foreign);
    // A word alone may be a path.
    if meant.is_none() && !after.starts_with('(') {
        return None;
    }
    Some(match meant {
        Some(instead) => error.hint(format!("write {instead}")),
        None => error.hint("there are the functions length(), count(), match() and search(), with the path in the parentheses; alternatives are joined by `or`"),
    })
}

/// `data.email is defined`, `data.email is not null`
fn is_test(parser: &Parser<'_>, span: &Range<usize>) -> Option<&'static str> {
    let behind = parser.text.get(span.end..)?.trim_start();
    let (negated, behind) = match behind.strip_prefix("not ").or_else(|| behind.strip_prefix("NOT ")) {
        Some(behind) => (true, behind.trim_start()),
        None => (false, behind),
    };
    let word: String = behind.chars().take_while(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    Some(match (word.as_str(), negated) {
        ("defined" | "present" | "set", false) | ("undefined", true) => "write the path alone: it holds when something is there",
        ("defined" | "present" | "set", true) | ("undefined", false) => "write `not` before the path: it holds when nothing is there",
        ("null" | "none", false) => "write `==`: `path == null`; what is absent is found by `not path`",
        ("null" | "none", true) => "write `path and path != null`",
        _ => return None,
    })
}

pub(in crate::condition) fn foreign_character(rest: &str, at: usize) -> SyntaxError {
    let character = rest.chars().next().unwrap_or_default();
    let span = at..at + character.len_utf8();
    let error = SyntaxError::new(span, format!("`{}` has no meaning here", character.escape_debug()));
    match character {
        '`' => error.hint("texts stand in \"double\" or 'single' quotes"),
        '+' | '/' | '%' => error.hint("there is no arithmetic; a text stands in quotes"),
        '{' | '}' => error.hint("a condition holds no template: write the path itself, without braces"),
        _ => error.hint("if it belongs to a text or a name, put that in quotes"),
    }
}

pub(in crate::condition) fn hyphen(name: &str, at: usize, after_dot: bool) -> SyntaxError {
    let quoted = strings::quoted(name);
    let error = SyntaxError::new(at..at + name.len(), format!("`{name}` needs quotes, because of its `-`"));
    if after_dot {
        error.hint(format!("write `[{quoted}]` in place of `.{name}`"))
    } else {
        error.hint(format!("write `{quoted}` for the text, `@[{quoted}]` for the payload's key"))
    }
}

pub(in crate::condition) fn unclosed_bracket(open: Range<usize>) -> SyntaxError {
    SyntaxError::new(open, "this `[` is never closed").hint("add the missing `]`")
}

pub(in crate::condition) fn double_negation(span: Range<usize>) -> SyntaxError {
    SyntaxError::new(span, "two negations in a row").hint("leave out both, or put the inner one in parentheses")
}

pub(in crate::condition) fn negated_comparison(negation: &str, span: Range<usize>, comparison: &str) -> SyntaxError {
    let blank = if negation == "!" { "" } else { " " };
    SyntaxError::new(span, format!("`{negation}` stands before a test or parentheses, not before a comparison"))
        .hint(format!("write `{negation}{blank}({comparison})`"))
}

pub(in crate::condition) fn not_a_test(operand: &Operand, shown: &str, span: Range<usize>) -> SyntaxError {
    match operand {
        Operand::Literal(serde_json::Value::Bool(true)) => SyntaxError::new(span, "`true` alone is no condition")
            .hint("leave out `when` to take every event, or compare: `data.is_complete == true`"),
        Operand::Literal(_) => SyntaxError::new(span, format!("`{shown}` alone is no condition"))
            .hint(format!("compare it with a path: `data.email_status == {shown}`")),
        _ => SyntaxError::new(span, format!("`{shown}` gives a value, which alone is no condition"))
            .hint(format!("compare it: `{shown} > 1`")),
    }
}

pub(in crate::condition) fn unquoted(written: &str, span: Range<usize>, place: &str, may_be_path: bool) -> SyntaxError {
    if let Some(literal) = foreign_literal(written) {
        return SyntaxError::new(span, format!("`{written}` is not a word of JSONPath")).hint(literal_hint(written, literal));
    }
    let bare = written.trim_matches(|character| matches!(character, '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}'));
    let quoted = strings::quoted(bare);
    let error = SyntaxError::new(span, format!("`{written}` {place} looks like a text without its quotes"));
    match (bare == written, may_be_path) {
        (false, _) => error.hint(format!("write {quoted} with plain quotes")),
        (true, true) => error.hint(format!("write {quoted} in quotes, or `@.{bare}` if a path is meant")),
        (true, false) => error.hint(format!("write {quoted} in quotes")),
    }
}

/// The literal that a word of another language stands for.
fn foreign_literal(word: &str) -> Option<&'static str> {
    match word {
        "True" | "TRUE" => Some("true"),
        "False" | "FALSE" => Some("false"),
        "None" | "nil" | "Null" | "NULL" | "undefined" => Some("null"),
        _ => None,
    }
}

fn literal_hint(word: &str, literal: &str) -> String {
    match literal {
        "null" => format!("write `null`, or test for absence with `not path`; the text is \"{word}\" in quotes"),
        _ => format!("write `{literal}`; the text is \"{word}\" in quotes"),
    }
}

/// `True`, `None` and their like, or `NOT`, where an operand begins.
pub(in crate::condition) fn foreign_word(parser: &Parser<'_>, word: &str, span: &Range<usize>) -> Option<SyntaxError> {
    if matches!(parser.kind_at(1), Some(Kind::Dot | Kind::DotDot | Kind::OpenBracket)) {
        return None;
    }
    if let Some(literal) = foreign_literal(word) {
        let error = SyntaxError::new(span.clone(), format!("`{word}` is not a word of JSONPath"));
        return Some(error.hint(literal_hint(word, literal)));
    }
    let begins_operand = matches!(parser.kind_at(1), Some(Kind::Name | Kind::Root | Kind::Current | Kind::OpenParenthesis));
    if word.eq_ignore_ascii_case("not") && begins_operand {
        return Some(SyntaxError::new(span.clone(), format!("`{word}` is written in small letters")).hint("write `not`"));
    }
    None
}

pub(in crate::condition) fn bare_path_inside(parser: &Parser<'_>, span: &Range<usize>) -> SyntaxError {
    let rest = parser.text.get(span.start..).unwrap_or_default();
    let end = rest.find(|c| is_blank(c) || matches!(c, '=' | '!' | '<' | '>' | '&' | '|' | ')' | ']' | '[' | ',' | '('));
    let written = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let span = span.start..span.start + written.len();
    SyntaxError::new(span, format!("inside `[?...]` the path `{written}` needs its `@` or `$`"))
        .hint(format!("write `@.{written}` for the element under test, `$.{written}` for the payload, or quotes around a text"))
}

pub(in crate::condition) fn unknown_function(name: &str, span: &Range<usize>) -> SyntaxError {
    let error = SyntaxError::new(span.clone(), format!("there is no function `{name}()`"));
    let lower = name.to_ascii_lowercase().replace('_', "");
    if let Some((_, instead)) = FOREIGN_FUNCTIONS.iter().find(|(foreign, _)| *foreign == lower) {
        return error.hint(format!("write {instead}"));
    }
    let mut scored: Vec<(f64, &str)> = FUNCTIONS.iter().map(|known| (strsim::jaro_winkler(&lower, known), *known)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    match scored.first() {
        Some((similarity, known)) if *similarity >= SIMILARITY_MIN => error.hint(format!("did you mean `{known}()`?")),
        _ => error.hint("there are length(), count(), match(), search() and value()"),
    }
}

pub(in crate::condition) fn method(name: &str, object: &str, span: Range<usize>) -> SyntaxError {
    let error = SyntaxError::new(span, format!("`.{name}()` is not called on a path"));
    let lower = name.to_ascii_lowercase().replace('_', "");
    let foreign = FOREIGN_FUNCTIONS.iter().find(|(foreign, _)| *foreign == lower || (lower == "includes" && *foreign == "contains"));
    if FUNCTIONS.contains(&name) {
        error.hint(format!("the path goes into the parentheses: `{name}({object})`"))
    } else if let Some((_, instead)) = foreign {
        error.hint(format!("write {}", instead.replace("(path", &format!("({object}"))))
    } else {
        error.hint("there are length(), count(), match(), search() and value(), with the path in the parentheses")
    }
}

pub(in crate::condition) fn condition_as_argument(name: &str, span: Range<usize>) -> SyntaxError {
    SyntaxError::new(span, format!("`{name}()` takes values and paths, not a condition"))
        .hint("close the parenthesis first, or filter inside the path: `count(data.emails[?@.email_type == \"work\"])`")
}

/// A value, path or test was expected, and something else, or nothing, stands there.
pub(in crate::condition) fn missing_operand(parser: &Parser<'_>) -> SyntaxError {
    let before = parser.next.checked_sub(1).and_then(|last| parser.tokens.get(last));
    let after = before.map(|token| format!(" after `{}`", parser.slice(&token.span))).unwrap_or_default();
    let Some(token) = parser.peek() else {
        return SyntaxError::new(parser.here(), format!("something is missing{after}")).hint("a path, a value or a condition belongs here");
    };
    let shown = parser.slice(&token.span);
    let error = SyntaxError::new(token.span.clone(), format!("a path or a value is expected{after}, not `{shown}`"));
    match token.kind {
        Kind::OpenBracket => error.hint("a path begins with a name or `@`: `@[\"first name\"]`; lists stand after `in` only"),
        Kind::OpenParenthesis => error.hint("parentheses hold conditions, not values: leave them out here"),
        Kind::Name => error.hint(format!("a payload's key of that name is `@.{shown}`")),
        Kind::Dot => error.hint("a path begins with a name, `@` or `$`, not with a dot"),
        Kind::CloseParenthesis if before.is_none() => error.hint("remove it"),
        Kind::Not => error.hint("`!` stands before a whole test: `!data.email`"),
        _ => error.hint("check what stands before it"),
    }
}

/// An operator, a closing bracket or the end was expected.
pub(in crate::condition) fn unexpected(parser: &Parser<'_>, token: &Token, expected: &str) -> SyntaxError {
    let shown = parser.slice(&token.span);
    let error = SyntaxError::new(token.span.clone(), format!("`{shown}` where {expected} is expected"));
    match &token.kind {
        Kind::CloseParenthesis => {
            SyntaxError::new(token.span.clone(), "this `)` closes nothing").hint("remove it, or add the `(` that it closes")
        }
        Kind::CloseBracket => {
            SyntaxError::new(token.span.clone(), "this `]` closes nothing").hint("remove it, or add the `[` that it closes")
        }
        Kind::Name => {
            let lower = shown.to_ascii_lowercase();
            if let Some(hint) = is_test(parser, &token.span).filter(|_| lower == "is") {
                return error.hint(hint);
            }
            match FOREIGN_OPERATOR_WORDS.iter().find(|(word, _)| *word == lower) {
                Some((_, instead)) => error.hint(format!("write {instead}")),
                None => error.hint("join conditions with `and` or `or`; a text stands in quotes"),
            }
        }
        Kind::OpenParenthesis => error.hint("a function's name stands directly before its `(`, without a blank"),
        Kind::Text(_) | Kind::Number => error.hint("an operator such as `==` is missing before it"),
        Kind::Compare(_) => error.hint("only paths, values and functions are compared"),
        Kind::Dot | Kind::DotDot | Kind::OpenBracket => error.hint("only a path can be continued"),
        Kind::Comma | Kind::Colon => error.hint("join conditions with `and` or `or`"),
        _ => error.hint("an operator such as `==`, `and` or `or` is missing before it"),
    }
}

pub(in crate::condition) fn after_dot(parser: &Parser<'_>, dot: &Range<usize>) -> SyntaxError {
    let Some(token) = parser.peek() else {
        return SyntaxError::new(dot.clone(), "a name is missing after this dot").hint("write the name, or remove the dot");
    };
    let shown = parser.slice(&token.span);
    let error = SyntaxError::new(dot.start..token.span.end, format!("`{shown}` cannot follow a dot"));
    match token.kind {
        Kind::Number => error.hint(format!("an element of a list is written `[{shown}]`, without the dot")),
        Kind::Text(_) => error.hint(format!("a name in quotes is written `[{shown}]`, without the dot")),
        Kind::OpenBracket => error.hint("leave out the dot before `[`"),
        _ => error.hint("a name or `*` follows a dot"),
    }
}

/// Something between `[` and `]` that selects nothing.
pub(in crate::condition) fn selector(parser: &Parser<'_>, open: &Range<usize>, token: &Token) -> SyntaxError {
    let shown = parser.slice(&token.span);
    let error = SyntaxError::new(token.span.clone(), format!("`{shown}` cannot stand between `[` and `]`"));
    match token.kind {
        Kind::Name => error.hint(format!("a name is written in quotes: `[{}]`", strings::quoted(shown))),
        Kind::CloseBracket => SyntaxError::new(open.start..token.span.end, "nothing stands between `[` and `]`")
            .hint("write `[*]` for all elements, `[0]` for the first"),
        Kind::Root | Kind::Current | Kind::OpenParenthesis => error.hint("a filter begins with `?`: `[?@.email_status == \"valid\"]`"),
        Kind::Comma => error.hint("remove the extra `,`"),
        _ => error.hint("a name in quotes, an index, `*` or a filter `?...` belongs there"),
    }
}

/// A path that can find several values where one is needed. The hint moves the comparison into a filter.
pub(in crate::condition) fn many_valued(
    parser: &Parser<'_>,
    path: &Path,
    operator: &str,
    other: Option<(&Operand, &Range<usize>)>,
) -> SyntaxError {
    let shown = parser.slice(&path.span);
    let error = SyntaxError::new(path.span.clone(), format!("`{shown}` can find several values, so it cannot be compared"));
    match other.and_then(|(operand, span)| as_filter(parser, path, operator, operand, span)) {
        Some(filter) => error.hint(format!("test each of them: `{filter}`")),
        None => error.hint("pick one with an index (`[0]`), or test each with a filter (`[?@.name == \"x\"]`)"),
    }
}

fn as_filter(parser: &Parser<'_>, path: &Path, operator: &str, other: &Operand, span: &Range<usize>) -> Option<String> {
    // Nobody reads a longer one, and printing a filter can multiply its length.
    canonical::within(path, FILTER_SHOWN_BYTES_MAX)?;
    let last = path.rest.iter().rposition(|segment| segment.key().is_none())?;
    let (before, from_last) = path.rest.split_at(last);
    let (many, after) = from_last.split_first()?;

    let other = match other {
        Operand::Literal(_) => parser.slice(span).to_owned(),
        Operand::Path(path) if path.root == Root::Payload => parser.slice(span).to_owned(),
        // At the top `@` is the payload, which is `$` inside a filter.
        Operand::Path(path) if path.root == Root::Current && parser.filters == 0 => {
            format!("${}", Steps(&path.keys, &path.rest))
        }
        _ => return None,
    };
    // The path as far as the filter, spelled as the author spells it.
    let prefix = format!("{}{}", path.root.sign(), Steps(&path.keys, before));
    let prefix = match parser.slice(&path.span).starts_with(['@', '$']) {
        true => prefix.as_str(),
        false => prefix.strip_prefix("@.").unwrap_or(&prefix),
    };
    // `[0]` behind a filter is asked of each element, so it is not what was meant.
    let after = match after {
        [Segment::Child(selectors), after @ ..] if matches!(selectors.as_slice(), [Selector::Key(Key::Index(_))]) => after,
        after => after,
    };
    let after = Steps(&[], after);
    Some(match many {
        Segment::Child(selectors) => match selectors.as_slice() {
            [Selector::Wildcard] => format!("{prefix}[?@{after} {operator} {other}]"),
            [Selector::Filter(filter @ Logical::Any(_))] => {
                format!("{prefix}[?({filter}) && @{after} {operator} {other}]")
            }
            [Selector::Filter(filter)] => {
                format!("{prefix}[?{filter} && @{after} {operator} {other}]")
            }
            _ => return None,
        },
        Segment::Descendant(selectors) => match selectors.as_slice() {
            [Selector::Key(key)] => {
                format!("{prefix}..[?@{}{after} {operator} {other}]", Steps(std::slice::from_ref(key), &[]))
            }
            [Selector::Wildcard] => format!("{prefix}..[?@{after} {operator} {other}]"),
            _ => return None,
        },
    })
}

impl Parser<'_> {
    /// Refuses whatever is left.
    pub fn end(&self) -> Result<(), SyntaxError> {
        match self.peek() {
            None => Ok(()),
            Some(token) if self.is_query() => Err(unexpected(self, token, "the end of the query")),
            Some(token) => Err(unexpected(self, token, "`and`, `or` or the end")),
        }
    }
}
