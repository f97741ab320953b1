//! The filters, tests and functions that templates know. minijinja looks their names up while it renders; a template
//! that names one that does not exist can never render, so the names are checked when the file loads.

use std::collections::HashSet;

use minijinja::{Environment, ErrorKind};

use super::foreign;
use crate::transform::errors::TemplateError;
use crate::transform::expression::lexer::{Kind, Token};

/// What a name is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Role {
    Filter,
    Test,
    Function,
}

/// A name that must be known, and its place in the scalar.
#[derive(Debug, Clone)]
pub(in crate::transform) struct Mention {
    role: Role,
    name: String,
    offset: usize,
    /// Named in a text, by `map("title")` or `select("odd")`.
    is_quoted: bool,
}

/// The filters, minijinja's and the relay's, for suggestions; what exists is asked of minijinja itself.
const FILTERS: &str = "abs attr batch bool capitalize center chain count csv d date default dictsort discord e escape \
    filesizeformat first float form format groupby indent int items join last length lines list lower map max min pprint reject \
    rejectattr replace reverse round safe select selectattr slack slice sort split string striptags sum title tojson trim truncate \
    unique upper urlencode wordcount wordwrap xml zip";

/// minijinja's tests, for suggestions.
const TESTS: &str = "boolean defined divisibleby endingwith eq equalto escaped even false float ge gt in integer iterable \
    le lower lt mapping ne none number odd safe sameas sequence startingwith string true undefined";

/// The functions that are left of minijinja's, and `now`, for suggestions.
const FUNCTIONS: &str = "dict now range";

/// Filters and tests of other template languages that have a near relative here.
const FOREIGN: [(&str, &str); 17] = [
    ("uppercase", "upper"),
    ("lowercase", "lower"),
    ("upcase", "upper"),
    ("downcase", "lower"),
    ("json", "tojson"),
    ("to_json", "tojson"),
    ("strip", "trim"),
    ("size", "length"),
    ("url_encode", "urlencode"),
    ("startswith", "startingwith"),
    ("mrkdwn", "slack"),
    ("markdown", "discord"),
    ("html", "escape"),
    ("strftime", "date"),
    ("datetimeformat", "date"),
    ("dateformat", "date"),
    ("strip_html", "striptags"),
];

impl Mention {
    /// Adds the names that the tokens of a tag mention; `is_block` for `{% %}`.
    pub(in crate::transform) fn find(
        tokens: &[Token<'_>],
        is_block: bool,
        scalar_offset: impl Fn(usize) -> usize,
        mentions: &mut Vec<Self>,
    ) {
        let token = |at: Option<usize>| at.and_then(|at| tokens.get(at));
        let mut add = |role, name: &str, start, is_quoted| {
            mentions.push(Self { role, name: name.to_owned(), offset: scalar_offset(start), is_quoted });
        };
        for (at, this) in tokens.iter().enumerate() {
            let before = token(at.checked_sub(1));
            let after = token(at.checked_add(1));
            let is_attribute = before.is_some_and(|before| before.is(Kind::Symbol, "."));
            if this.is(Kind::Symbol, "|") || (is_block && at == 0 && this.is(Kind::Name, "filter")) {
                if let Some(name) = after.filter(|name| name.kind == Kind::Name) {
                    add(Role::Filter, name.text, name.start, false);
                    if let Some((role, inner)) = named_in_arguments(name.text, tokens.get(at + 2..).unwrap_or_default()) {
                        add(role, inner.text.trim_matches(['"', '\'']), inner.start + 1, true);
                    }
                }
            } else if this.is(Kind::Name, "is") && before.is_some() && !is_attribute {
                let skip = usize::from(after.is_some_and(|after| after.is(Kind::Name, "not")));
                if let Some(name) = token(Some(at + 1 + skip)).filter(|name| name.kind == Kind::Name) {
                    add(Role::Test, name.text, name.start, false);
                }
            } else if this.kind == Kind::Name && !is_attribute && after.is_some_and(|after| after.is(Kind::Symbol, "(")) {
                let is_other = before
                    .is_some_and(|before| before.is(Kind::Symbol, "|") || before.is(Kind::Name, "is") || before.is(Kind::Name, "not"));
                // `{% call(x) f() %}`, and the name that a macro is defined by.
                let is_of_block =
                    is_block && (at == 0 || (at == 1 && before.is_some_and(|before| matches!(before.text, "filter" | "macro"))));
                if is_other || is_of_block || is_keyword(this.text) {
                    continue;
                }
                add(Role::Function, this.text, this.start, false);
            }
        }
    }
}

/// The filter or test that `map("title")`, `select("odd")` or `selectattr("x", "eq", 1)` names in a string.
fn named_in_arguments<'t>(filter: &str, rest: &[Token<'t>]) -> Option<(Role, Token<'t>)> {
    let (role, at) = match filter {
        "map" => (Role::Filter, 1),
        "select" | "reject" => (Role::Test, 1),
        "selectattr" | "rejectattr" => (Role::Test, 3),
        _ => return None,
    };
    rest.first().filter(|first| first.is(Kind::Symbol, "("))?;
    rest.get(at).filter(|token| token.kind == Kind::Quoted).map(|token| (role, *token))
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in" | "is" | "if" | "elif" | "else" | "recursive" | "with" | "do")
}

/// Answers which names exist.
pub(in crate::transform) struct Vocabulary<'e> {
    environment: &'e Environment<'static>,
}

impl<'e> Vocabulary<'e> {
    pub(in crate::transform) fn new(environment: &'e Environment<'static>) -> Self {
        Self { environment }
    }

    /// Checks every mention; `bound` are the names that the template itself gives to values and macros.
    pub(in crate::transform) fn check(&self, mentions: &[Mention], bound: &[String]) -> Result<(), TemplateError> {
        let bound: HashSet<&str> = bound.iter().map(String::as_str).collect();
        for mention in mentions {
            let is_bound = mention.role == Role::Function && bound.contains(mention.name.as_str());
            if !is_bound && !self.has(mention.role, &mention.name) {
                return Err(self.unknown(mention));
            }
        }
        Ok(())
    }

    fn has(&self, role: Role, name: &str) -> bool {
        let mut state = self.environment.empty_state();
        // Called without a value they fail in one way or another; only the kind of failure matters.
        match role {
            Role::Filter => !matches!(state.apply_filter(name, &[]), Err(error) if error.kind() == ErrorKind::UnknownFilter),
            Role::Test => !matches!(state.perform_test(name, &[]), Err(error) if error.kind() == ErrorKind::UnknownTest),
            // Asked by name: with every `${...}` of the file there is one global more to walk.
            Role::Function => matches!(name, "loop" | "caller" | "now") || state.lookup(name).is_some(),
        }
    }

    fn unknown(&self, mention: &Mention) -> TemplateError {
        let name = mention.name.as_str();
        let (noun, known): (_, Vec<&str>) = match mention.role {
            Role::Filter => ("filter", FILTERS.split_whitespace().collect()),
            Role::Test => ("test", TESTS.split_whitespace().collect()),
            Role::Function => ("function", FUNCTIONS.split_whitespace().collect()),
        };
        let error = TemplateError::new(mention.offset, format!("there is no {noun} `{name}`"));
        match mention.role {
            Role::Filter if mention.is_quoted && nearest(name, &known).is_none() => {
                return error.hint(format!("for a field of each item write `map(attribute=\"{name}\")`"));
            }
            Role::Function if self.has(Role::Filter, name) => return error.hint(format!("`{name}` is a filter: write `value | {name}`")),
            Role::Test if is_filter(name) => return error.hint(format!("`{name}` is a filter: write `value | {name}`")),
            Role::Filter if TESTS.split_whitespace().any(|test| test == name) => {
                return error.hint(format!("`{name}` is a test: write `value is {name}(...)`"));
            }
            Role::Filter | Role::Test | Role::Function => {}
        }
        let relative = FOREIGN.iter().find(|(theirs, ours)| *theirs == name && known.contains(ours)).map(|(_, ours)| *ours);
        let same = || known.iter().copied().find(|known| known.eq_ignore_ascii_case(name));
        if let Some(near) = relative.or_else(same) {
            return error.hint(format!("did you mean `{near}`?"));
        }
        if let Some(hint) = foreign::hint(name, "value", "") {
            return error.hint(hint);
        }
        match nearest(name, &known) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if mention.role == Role::Function => error.hint(format!("functions are: {}", listed(&known))),
            None => error.hint(format!("{noun}s are those of Jinja: {}", listed(&known))),
        }
    }
}

/// Whether a filter has this name.
pub(in crate::transform) fn is_filter(name: &str) -> bool {
    FILTERS.split_whitespace().any(|filter| filter == name)
}

fn listed(names: &[&str]) -> String {
    let names: Vec<&str> = names.iter().copied().filter(|name| !name.starts_with('_')).collect();
    names.join(", ")
}

/// The known name that a misspelled one most resembles.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|known| (strsim::osa_distance(name, known), *known))
        .filter(|(distance, known)| *distance <= limit && !known.starts_with('_'))
        .min()
        .map(|(_, known)| known)
}

/// Every name that a suggestion can give, for the test that minijinja knows them all.
#[cfg(test)]
pub(in crate::transform) fn suggestions() -> [Vec<&'static str>; 3] {
    [FILTERS, TESTS, FUNCTIONS].map(|names| names.split_whitespace().collect())
}
