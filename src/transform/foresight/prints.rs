//! What a template prints, and for which formats it is escaped: so that `check` can warn where a stranger's text would be read as
//! markup, as another field, or as a formula.
//!
//! The judgement is a lexical one, made once while a file loads. Where it cannot be sure it holds a value for one that is not
//! escaped; what a template sets, loops over and defines is followed.

use std::collections::HashMap;
use std::ops::Range;

use crate::transform::expression::lexer::{Kind, Token};

/// What reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Slack's `mrkdwn`.
    Slack,
    /// Discord's Markdown.
    Discord,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Comma-separated values.
    Csv,
    /// XML.
    Xml,
    /// HTML.
    Html,
    /// JSON that is written by hand.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Slack, Self::Discord, Self::Form, Self::Csv, Self::Xml, Self::Html, Self::Json];

    /// The filters that escape for it, the best one first.
    pub fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Slack => &["slack"],
            Self::Discord => &["discord"],
            Self::Form => &["form", "urlencode"],
            Self::Csv => &["csv"],
            Self::Xml => &["xml", "escape", "e"],
            Self::Html => &["escape", "e", "xml"],
            Self::Json => &["tojson"],
        }
    }
}

/// Filters that give a number, a boolean or a date, which no format gives a meaning to.
const PLAIN_FILTERS: [&str; 11] =
    ["length", "count", "int", "float", "round", "abs", "bool", "wordcount", "filesizeformat", "date", "urlencode"];

/// Filters that may follow the one that escapes: they neither cut nor change a text.
const PASSING_FILTERS: [&str; 10] = ["safe", "string", "default", "d", "join", "first", "last", "list", "sort", "unique"];

/// What Wiza sends that is a number, a boolean, an id, or one of a few words of its own, without its lists' places. A `*` stands
/// for whatever follows.
const PLAIN_PATHS: [&str; 16] = [
    "type",
    "status.code",
    "data.id",
    "data.status",
    "data.is_complete",
    "data.enrichment_level",
    "data.email_type",
    "data.email_status",
    "data.emails.email_type",
    "data.emails.email_status",
    "data.phone_status",
    "data.phones.type",
    "data.company_size",
    "data.company_founded",
    "data.credits.*",
    "event.*",
];

/// Of the relay's own facts, what others choose.
const FOREIGN_FACTS: [&str; 2] = ["event.path", "event.query"];

/// Whether a path leads to something that has no text of a stranger's; names only, without list places.
pub fn is_plain(path: &str) -> bool {
    let covers = |known: &str| match known.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == known,
    };
    let is_foreign = |fact: &str| path.strip_prefix(fact).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    PLAIN_PATHS.iter().any(|known| covers(known)) && !FOREIGN_FACTS.iter().any(|fact| is_foreign(fact))
}

/// A value that a template prints without an escape for this format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// What would read it otherwise than it is meant.
    pub format: Format,
    /// The value, in the scalar's parsed string.
    pub span: Range<usize>,
}

/// Reads the tags of one template, in their order.
#[derive(Debug, Default)]
pub(in crate::transform) struct Prints {
    found: Vec<Print>,
    /// The names that the template gives to values, and the formats that they are not escaped for.
    bound: HashMap<String, Vec<Format>>,
    /// The filters of the `{% filter %}` blocks that are open.
    blocks: Vec<String>,
}

impl Prints {
    /// Reads a tag; `is_block` for `{% %}`.
    pub(in crate::transform) fn read(&mut self, tokens: &[Token<'_>], is_block: bool, scalar_offset: impl Fn(usize) -> usize) {
        if is_block {
            self.read_block(tokens);
            return;
        }
        for format in Format::ALL {
            let is_escaped_around = self.blocks.iter().any(|filter| format.filters().contains(&filter.as_str()));
            if let Some([first, .., last] | [first @ last]) = (Leaks { format, bound: &self.bound }).of(tokens)
                && !is_escaped_around
            {
                self.found.push(Print { format, span: scalar_offset(first.start)..scalar_offset(last.start) + last.text.len() });
            }
        }
    }

    pub(in crate::transform) fn finish(self) -> Vec<Print> {
        self.found
    }

    fn read_block(&mut self, tokens: &[Token<'_>]) {
        let word = tokens.first().map_or("", |first| first.text);
        let name = |at: usize| tokens.get(at).filter(|token| token.kind == Kind::Name).map(|token| token.text.to_owned());
        match word {
            "filter" => self.blocks.extend(name(1)),
            "endfilter" => {
                self.blocks.pop();
            }
            // `{% set x = value %}`; what stands between `{% set x %}` and its end is read by itself.
            "set" | "with" => {
                let value = tokens.iter().position(|token| token.is(Kind::Symbol, "=")).and_then(|at| tokens.get(at + 1..));
                let leaks = |format: &Format| value.is_some_and(|value| Leaks { format: *format, bound: &self.bound }.of(value).is_some());
                let formats: Vec<Format> = Format::ALL.into_iter().filter(leaks).collect();
                if let Some(name) = name(1) {
                    self.bound.insert(name, formats);
                }
            }
            "for" => {
                let of = tokens.iter().position(|token| token.is(Kind::Name, "in")).unwrap_or(0);
                let list = tokens.get(of + 1..).unwrap_or_default();
                let list = list.split(|token| token.is(Kind::Name, "if")).next().unwrap_or_default();
                // Of a list all but what is known to be plain: `entry.email_type` is not looked at as a path of the payload.
                let leaks = |format: &Format| Leaks { format: *format, bound: &self.bound }.of(list).is_some();
                let formats: Vec<Format> = Format::ALL.into_iter().filter(leaks).collect();
                for token in tokens.get(1..of).unwrap_or_default().iter().filter(|token| token.kind == Kind::Name) {
                    self.bound.insert(token.text.to_owned(), formats.clone());
                }
            }
            // What a macro prints is read where it stands: its arguments may be anything, and its result is what it printed.
            "macro" => {
                if let Some(name) = name(1) {
                    self.bound.insert(name, Vec::new());
                }
                for token in tokens.get(2..).unwrap_or_default().iter().filter(|token| token.kind == Kind::Name) {
                    self.bound.insert(token.text.to_owned(), Format::ALL.to_vec());
                }
            }
            _ => {}
        }
    }
}

/// Finds what an expression gives that is not escaped for a format.
#[derive(Clone, Copy)]
struct Leaks<'l> {
    format: Format,
    bound: &'l HashMap<String, Vec<Format>>,
}

impl Leaks<'_> {
    /// The first value of a stranger's that the expression can give as it is. Recurses as deep as brackets nest, which has a limit.
    fn of<'t>(self, expression: &'t [Token<'t>]) -> Option<&'t [Token<'t>]> {
        let first = expression.first()?;
        if let Some(at) = at_top(expression, |token| token.is(Kind::Name, "if")) {
            let (value, rest) = (expression.get(..at)?, expression.get(at + 1..)?);
            let other = at_top(rest, |token| token.is(Kind::Name, "else")).and_then(|at| rest.get(at + 1..));
            return self.of(value).or_else(|| self.of(other?));
        }
        for word in ["or", "and"] {
            if let Some(at) = at_top(expression, |token| token.is(Kind::Name, word)) {
                return self.of(expression.get(..at)?).or_else(|| self.of(expression.get(at + 1..)?));
            }
        }
        let is_comparison = |token: &Token<'_>| {
            (token.kind == Kind::Symbol && matches!(token.text, "==" | "!=" | "<" | ">" | "<=" | ">=")) || {
                token.kind == Kind::Name && matches!(token.text, "in" | "is")
            }
        };
        if first.is(Kind::Name, "not") || at_top(expression, is_comparison).is_some() {
            return None;
        }
        for sign in ["~", "+", "*", "%"] {
            if let Some(at) = at_top(expression, |token| token.is(Kind::Symbol, sign)) {
                return self.of(expression.get(..at)?).or_else(|| self.of(expression.get(at + 1..)?));
            }
        }
        let is_arithmetic = |token: &Token<'_>| token.kind == Kind::Symbol && matches!(token.text, "-" | "/" | "//" | "**");
        if at_top(expression, is_arithmetic).is_some() {
            return None;
        }
        let mut parts = split_at_top(expression, |token| token.is(Kind::Symbol, "|")).into_iter();
        let value = parts.next()?;
        let filters: Vec<&[Token<'_>]> = parts.collect();
        for filter in filters.iter().rev() {
            if self.makes_harmless(filter) {
                return self.of_arguments(filter);
            }
            let name = filter.first().map_or("", |token| token.text);
            let passes = PASSING_FILTERS.contains(&name) || Format::ALL.iter().any(|format| format.filters().contains(&name));
            if !passes {
                break;
            }
            if let Some(leak) = self.of_arguments(filter) {
                return Some(leak);
            }
        }
        self.of_value(value).or_else(|| filters.iter().find_map(|filter| self.of_arguments(filter)))
    }

    fn makes_harmless(self, filter: &[Token<'_>]) -> bool {
        let escapes = |name: &str| self.format.filters().contains(&name) || PLAIN_FILTERS.contains(&name);
        match filter {
            // `map("slack")`
            [name, open, quoted, ..] if name.is(Kind::Name, "map") && open.is(Kind::Symbol, "(") && quoted.kind == Kind::Quoted => {
                escapes(quoted.text.trim_matches(['"', '\'']))
            }
            [name, ..] => escapes(name.text),
            [] => false,
        }
    }

    /// What stands in a filter's or a function's brackets.
    fn of_arguments<'t>(self, call: &'t [Token<'t>]) -> Option<&'t [Token<'t>]> {
        let open = call.iter().position(|token| token.is(Kind::Symbol, "("))?;
        self.of_items(call.get(open + 1..call.len().checked_sub(1)?)?)
    }

    /// Items with commas between them, with or without names.
    fn of_items<'t>(self, items: &'t [Token<'t>]) -> Option<&'t [Token<'t>]> {
        split_at_top(items, |token| token.is(Kind::Symbol, ",")).into_iter().find_map(|item| {
            let named = at_top(item, |token| token.kind == Kind::Symbol && matches!(token.text, "=" | ":"));
            self.of(named.and_then(|at| item.get(at + 1..)).unwrap_or(item))
        })
    }

    fn of_value<'t>(self, value: &'t [Token<'t>]) -> Option<&'t [Token<'t>]> {
        let first = value.first()?;
        match first.kind {
            Kind::Number => None,
            Kind::Quoted => self.of_arguments(value),
            Kind::Symbol if matches!(first.text, "-" | "+") => self.of_value(value.get(1..)?),
            Kind::Symbol => {
                let close = closing(value)?;
                self.of_items(value.get(1..close)?)
            }
            Kind::Name => self.of_name(value, first),
        }
    }

    fn of_name<'t>(self, value: &'t [Token<'t>], first: &Token<'t>) -> Option<&'t [Token<'t>]> {
        let is_call = value.get(1).is_some_and(|next| next.is(Kind::Symbol, "("));
        match first.text {
            "true" | "false" | "none" | "True" | "False" | "None" | "loop" | "caller" | "now" | "range" => return None,
            name if self.bound.contains_key(name) => {
                let leaks = self.bound.get(name).is_some_and(|formats| formats.contains(&self.format));
                return leaks.then_some(value);
            }
            _ if is_call => return self.of_arguments(value),
            _ => {}
        }
        let names = names(value);
        let names = names.strip_prefix("payload.").unwrap_or(&names);
        (!is_plain(names)).then_some(value)
    }
}

/// The names of a path, with dots between them; what is no name of it (a place in a list, a call) counts for nothing.
fn names(path: &[Token<'_>]) -> String {
    let mut names = Vec::new();
    for (at, token) in path.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| path.get(at));
        match token.kind {
            Kind::Name if before.is_none_or(|before| before.is(Kind::Symbol, ".")) => names.push(token.text),
            Kind::Quoted if before.is_some_and(|before| before.is(Kind::Symbol, "[")) => names.push(token.text.trim_matches(['"', '\''])),
            _ => {}
        }
    }
    names.join(".")
}

/// The place of the first token outside of all brackets that is looked for. Neither an attribute (`data.in`) nor the first token
/// (a sign) is an operator.
fn at_top(tokens: &[Token<'_>], is_it: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().enumerate().find_map(|(at, token)| {
        if token.kind == Kind::Symbol {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
        }
        let is_attribute = at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|before| before.is(Kind::Symbol, "."));
        (at > 0 && depth == 0 && !is_attribute && is_it(token)).then_some(at)
    })
}

fn split_at_top<'t>(tokens: &'t [Token<'t>], is_it: impl Fn(&Token<'_>) -> bool) -> Vec<&'t [Token<'t>]> {
    let mut parts = Vec::new();
    let mut rest = tokens;
    while let Some(at) = at_top(rest, &is_it) {
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.get(1..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

/// The place of the bracket that closes the first token.
fn closing(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().position(|token| {
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Symbol => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Symbol => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::expression::lexer::read_tag;

    /// What the tags of a template print that is not escaped for this format, as it is written.
    fn leaks(format: Format, template: &str) -> Vec<&str> {
        let mut prints = Prints::default();
        let mut at = 0;
        while let Some(start) = template[at..].find(['{']).map(|start| at + start) {
            let is_block = template[start..].starts_with("{%");
            let Ok(Some(tag)) = read_tag(template, start + 2, if is_block { "%}" } else { "}}" }) else { panic!("{template}") };
            prints.read(&tag.tokens, is_block, |at| at);
            at = tag.end;
        }
        prints.finish().into_iter().filter(|print| print.format == format).map(|print| &template[print.span]).collect()
    }

    #[test]
    fn what_is_escaped_is_found_out() {
        for safe in [
            "{{ data.id }} {{ status.code }} {{ event.received_at }} {{ payload.data.id }} {{ data.emails[0].email_type }}",
            "{{ data.name | slack }} {{ data.name | upper | slack }} {{ data.name | default('x', true) | slack }}",
            "{{ data.name | slack | default('x', true) }} {{ data.name | slack | tojson }} {{ data.name | slack | safe }}",
            "{{ data.emails | map(attribute='email') | map('slack') | join(', ') }} {{ data.emails | length }}",
            "{{ data.emails | map(attribute='email') | join(', ') | slack }}",
            "{{ (data.name ~ ', ' ~ data.title) | slack }} {{ data.name | slack ~ data.id }} {{ '<b>' ~ 1 }}",
            "{{ 'found' if data.email else 'not found' }} {{ data.name | slack if data.name else '?' }}",
            "{{ data.name == data.company }} {{ not data.name }} {{ data.name is string }} {{ 'x' in data.name }}",
            "{{ data.credits.api_credits.total * 2 + 1 }} {{ now() | date('%H:%M') }} {{ -data.id }}",
            "{{ [data.name | slack, data.id] | join(' ') }} {{ {'n': data.name | slack}.n }}",
            "{% set who = data.name | slack %}{{ who }}{% for e in data.emails %}{{ e.email | slack }} {{ loop.index }}{% endfor %}",
            "{% filter slack %}{{ data.name }}{% endfilter %}{% set x %}{{ data.name | slack }}{% endset %}{{ x }}",
            "{% macro m(x) %}{{ x | slack }}{% endmacro %}{{ m(data.name) }}",
            "{{ '%s' | format(data.name | slack) }} {{ data.company_size - 1 }}",
        ] {
            assert_eq!(leaks(Format::Slack, safe), [""; 0], "{safe}");
        }
    }

    #[test]
    fn what_is_not_is_found() {
        for (template, expected) in [
            ("{{ data.name }}", &["data.name"][..]),
            ("{{ data.name | title }} {{ payload.x }}", &["data.name", "payload.x"]),
            ("{{ data.name | slack | truncate(10) }}", &["data.name"]),
            ("{{ data.name | escape }} {{ data.name | form }}", &["data.name", "data.name"]),
            ("{{ data.id | default(data.name) }}", &["data.name"]),
            ("{{ data.name | slack | default(data.title, true) }}", &["data.title"]),
            ("{{ data.name | slack if data.x else data.title }}", &["data.title"]),
            ("{{ data.id ~ ' ' ~ data.emails[0].email }}", &["data.emails[0].email"]),
            ("{{ data.id or data['first name'] }}", &["data['first name']"]),
            ("{{ (data.emails | first).email }} {{ data.name.upper() }}", &["data.emails", "data.name.upper()"]),
            ("{{ [data.id, data.name] | join(' ') }} {{ {'n': data.name} }}", &["data.name", "data.name"]),
            ("{% for e in data.emails %}{{ e.email }}{% endfor %}", &["e.email"]),
            ("{% set who = data.name %}{{ who }}", &["who"]),
            ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(data.name) }}", &["x"]),
            ("{% filter upper %}{{ data.name }}{% endfilter %}", &["data.name"]),
            ("{{ 'a' | replace('a', data.name) }} {{ '%s' | format(data.name) }}", &["data.name", "data.name"]),
            ("{{ event.query.campaign }} {{ event.path }}", &["event.query.campaign", "event.path"]),
            ("{{ data }} {{ payload | tojson }}", &["data", "payload"]),
        ] {
            assert_eq!(leaks(Format::Slack, template), expected, "{template}");
        }
    }

    #[test]
    fn each_format_has_its_filters() {
        for format in Format::ALL {
            for filter in format.filters() {
                assert_eq!(leaks(format, &format!("{{{{ data.name | {filter} }}}}")), [""; 0], "{format:?}");
            }
            assert_eq!(leaks(format, "{{ data.name }}"), ["data.name"], "{format:?}");
        }
        assert_eq!(leaks(Format::Json, "{{ data.name | slack }}"), ["data.name"]);
        assert_eq!(leaks(Format::Slack, "{{ {'text': data.name | slack} | tojson | form }}"), [""; 0]);
    }
}
