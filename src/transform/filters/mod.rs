//! The filters beyond minijinja's own: those that escape a value for where it goes, those of Jinja that minijinja leaves to others,
//! and dates. Each of them refuses what is absent or null, as printing does.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::transform::expression::lexer::{Kind, Token};
use crate::transform::marks::SAYS;

mod cells;
mod dates;
mod markup;
mod texts;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub(super) use dates::now;

/// Adds the filters.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("slack", markup::slack);
    environment.add_filter("discord", markup::discord);
    environment.add_filter("xml", markup::xml);
    environment.add_filter("form", cells::form);
    environment.add_filter("csv", cells::csv);
    environment.add_filter("truncate", texts::truncate);
    environment.add_filter("wordcount", texts::wordcount);
    environment.add_filter("wordwrap", texts::wordwrap);
    environment.add_filter("center", texts::center);
    environment.add_filter("striptags", texts::striptags);
    environment.add_filter("filesizeformat", texts::filesizeformat);
    environment.add_filter("date", dates::date);
}

/// A filter with its arguments, and something that it can do its work on, where these arguments are the same for every event: that
/// they are right can be tried while the file loads.
pub(super) struct Trial<'t> {
    /// Where the filter's name begins in the text that was read.
    pub(super) start: usize,
    /// The filter and its arguments as they stand there.
    pub(super) written: &'t str,
    /// What can be rendered.
    pub(super) expression: String,
}

/// What each filter that has arguments is tried on.
const TRIED_ON: [(&str, &str); 8] = [
    ("csv", "''"),
    ("truncate", "''"),
    ("wordwrap", "''"),
    ("center", "''"),
    ("filesizeformat", "1"),
    ("date", "now()"),
    ("round", "1.5"),
    ("replace", "''"),
];

/// The tests that compare with something, which must be given.
const TESTS_WITH_VALUE: [&str; 14] =
    ["eq", "equalto", "ne", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "in", "divisibleby", "startingwith", "endingwith", "sameas"];

/// The tests of a tag that have no value where they need one. Whatever they are tried on, they fail.
fn tests_without_value<'t>(tokens: &[Token<'t>], text: &'t str) -> Vec<Trial<'t>> {
    let mut trials = Vec::new();
    for (at, is) in tokens.iter().enumerate().filter(|(_, token)| token.is(Kind::Name, "is")) {
        let is_negated = tokens.get(at + 1).is_some_and(|token| token.is(Kind::Name, "not"));
        let name_at = at + 1 + usize::from(is_negated);
        let Some(name) = tokens.get(name_at).filter(|token| token.kind == Kind::Name && TESTS_WITH_VALUE.contains(&token.text)) else {
            continue;
        };
        // An attribute can be called `is`.
        let is_attribute = at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|before| before.is(Kind::Symbol, "."));
        let has_value = tokens.get(name_at + 1).is_some_and(|next| match next.kind {
            Kind::Name => !matches!(next.text, "and" | "or" | "else" | "if" | "is"),
            Kind::Number | Kind::Quoted => true,
            Kind::Symbol => !matches!(next.text, ")" | "]" | "}" | "," | "|" | ":"),
        });
        if let Some(written) = text.get(is.start..name.end()).filter(|_| !is_attribute && !has_value) {
            trials.push(Trial { start: is.start, written, expression: format!("{{{{ 1 {written} }}}}") });
        }
    }
    trials
}

/// The filters and tests of a tag that can be tried; `text` is what the tag was read from.
pub(super) fn trials<'t>(tokens: &[Token<'t>], text: &'t str) -> Vec<Trial<'t>> {
    let mut trials = tests_without_value(tokens, text);
    for (at, window) in tokens.windows(3).enumerate() {
        let [pipe, name, bracket] = window else { continue };
        let Some((_, value)) = TRIED_ON.iter().find(|(filter, _)| name.is(Kind::Name, filter)) else { continue };
        if !pipe.is(Kind::Symbol, "|") || !bracket.is(Kind::Symbol, "(") {
            continue;
        }
        let arguments = tokens.get(at + 3..).unwrap_or_default();
        let Some(end) = arguments.iter().position(|token| token.is(Kind::Symbol, ")")) else { continue };
        let is_literal = arguments.iter().take(end).enumerate().all(|(at, token)| {
            let is_name = arguments.get(at + 1).is_some_and(|next| next.is(Kind::Symbol, "="));
            token.kind != Kind::Name || is_name || matches!(token.text, "true" | "false")
        });
        let written = arguments.get(end).and_then(|last| text.get(name.start..last.end()));
        if let Some(written) = written.filter(|_| is_literal && end < ARGUMENT_TOKENS_MAX) {
            trials.push(Trial { start: name.start, written, expression: format!("{{{{ {value} | {written} }}}}") });
        }
    }
    trials
}

/// Longer arguments are not tried.
const ARGUMENT_TOKENS_MAX: usize = 40;

/// An error that is told in these words.
fn says(words: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{SAYS}{words}"))
}

/// The arguments of a filter, by their place or by their name, as Jinja has it. minijinja's `Kwargs` alone would refuse
/// `truncate(50)`.
fn arguments<const N: usize>(given: Rest<Value>, named: &Kwargs, names: [&'static str; N]) -> Result<[Option<Value>; N], Error> {
    let mut values = [const { None }; N];
    let mut given = given.0.into_iter();
    for (name, place) in names.into_iter().zip(&mut values) {
        // As an `Option`, a null would count as not given.
        let by_name = if named.has(name) { Some(named.get::<Value>(name)?) } else { None };
        let by_place = given.next();
        if by_name.is_some() && by_place.is_some() {
            return Err(says("an argument is given twice, by its place and by its name"));
        }
        *place = by_place.or(by_name);
    }
    if given.next().is_some() {
        return Err(says("there are more arguments than this filter has"));
    }
    named.assert_all_used().map_err(|_| says("an argument has a name that this filter does not know"))?;
    Ok(values)
}

/// An argument that is a number of characters.
fn length(value: Option<Value>, default: usize) -> Result<usize, Error> {
    match value {
        None => Ok(default),
        Some(value) => usize::try_from(value).map_err(|_| says("a length is a whole number of characters")),
    }
}

/// An argument that is true or false.
fn flag(value: Option<Value>, default: bool) -> Result<bool, Error> {
    match value {
        None => Ok(default),
        Some(value) => bool::try_from(value).map_err(|_| says("this argument is `true` or `false`")),
    }
}

/// An argument that is a text.
fn text(value: Option<Value>, default: &str) -> Result<String, Error> {
    match value {
        None => Ok(default.to_owned()),
        Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| says("this argument is a text")),
    }
}
