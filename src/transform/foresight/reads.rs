//! What a template reads: the paths in its tags, for warnings about what nobody sends, and the tags that read nothing
//! of an event, whose outcome is known while the file loads.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::condition::{PathRoot, STEPS_MAX, Step, UsedPath};

use super::assurance::Path;
use crate::transform::expression::lexer::{Kind, Token};

/// The relay's own facts that a template sees as `event`.
pub(in crate::transform) const FACTS: [&str; 7] = ["id", "received_at", "path", "query", "account", "source", "route"];

/// A path that a tag reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPath {
    /// The path; its span is in the scalar's parsed string.
    pub path: UsedPath,
    /// Somewhere in the template it is followed by `default` or `is defined`: its author knows that it may be absent.
    pub may_be_absent: bool,
    /// It is written with `payload.` at its start.
    pub is_explicit: bool,
}

impl ReadPath {
    /// The path as a template writes it.
    pub(in crate::transform) fn written(&self) -> String {
        let root = match (self.path.root, self.is_explicit) {
            (PathRoot::Event, _) => "event.",
            (PathRoot::Payload, true) => "payload.",
            (PathRoot::Payload, false) => "",
        };
        format!("{root}{}", self.path.names().join("."))
    }
}

/// A path as it stands in a tag, from the name that it begins with.
#[derive(Debug, Clone)]
pub(in crate::transform) struct Read {
    root: String,
    steps: Vec<Step>,
    span: Range<usize>,
    may_be_absent: bool,
}

impl Read {
    /// A path with its place in the scalar.
    pub(in crate::transform) fn new(root: String, steps: Vec<Step>, span: Range<usize>) -> Self {
        Self { root, steps, span, may_be_absent: false }
    }

    /// Adds the paths that a tag reads; `is_block` for `{% %}`.
    pub(in crate::transform) fn find(tokens: &[Token<'_>], is_block: bool, scalar_offset: impl Fn(usize) -> usize, reads: &mut Vec<Self>) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if !begins_path(tokens, at, is_block) {
                at += 1;
                continue;
            }
            let (steps, next) = steps(tokens, at + 1);
            let last = tokens.get(next - 1).unwrap_or(token);
            reads.push(Self {
                root: token.text.to_owned(),
                steps,
                span: scalar_offset(token.start)..scalar_offset(last.start) + last.text.len(),
                may_be_absent: allows_absence(tokens.get(next..).unwrap_or_default()),
            });
            at = next;
        }
    }

    /// Whether it reads something that no event ever has.
    pub(in crate::transform) fn is_never_there(&self) -> bool {
        let first = self.steps.first();
        self.root == "event" && matches!(first, Some(Step::Name(name)) if !FACTS.contains(&name.as_str()))
    }
}

/// How many names may stand for each other: `{% set a = data %}{% set b = a.emails %}`.
const ALIASES_DEPTH_MAX: usize = 4;

/// The names that a template itself gives to values.
pub(in crate::transform) struct Names {
    /// How often each is given.
    bound: HashMap<String, usize>,
    /// Those that are given to a path.
    aliases: HashMap<String, Path>,
}

impl Names {
    pub(in crate::transform) fn new(bound: &[String], aliases: Vec<(String, Path)>) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for name in bound {
            *counts.entry(name.clone()).or_default() += 1;
        }
        Self { bound: counts, aliases: aliases.into_iter().collect() }
    }

    /// The paths that begin at the payload or at the relay's facts. What begins at another value is left out.
    pub(in crate::transform) fn paths(&self, reads: Vec<Read>) -> Vec<ReadPath> {
        let absent = reads.iter().filter(|read| read.may_be_absent);
        let absent: HashSet<(String, Vec<Step>)> = absent.map(|read| (read.root.clone(), read.steps.clone())).collect();
        let paths = reads.into_iter().filter_map(|read| {
            let may_be_absent = absent.contains(&(read.root.clone(), read.steps.clone()));
            Some(ReadPath { may_be_absent, ..self.resolve(read)? })
        });
        paths.collect()
    }

    /// The path of the payload or of the facts that a path of the template is, if it can be told.
    pub(in crate::transform) fn resolve(&self, read: Read) -> Option<ReadPath> {
        let Read { mut root, mut steps, span, may_be_absent } = read;
        let mut depth = 0;
        while let Some(count) = self.bound.get(&root) {
            let (origin, before) = self.aliases.get(&root).filter(|_| *count == 1 && depth < ALIASES_DEPTH_MAX)?;
            steps.splice(0..0, before.iter().cloned());
            root.clone_from(origin);
            depth += 1;
        }
        let is_explicit = root == "payload";
        let start = if root == "event" { PathRoot::Event } else { PathRoot::Payload };
        if start == PathRoot::Payload && !is_explicit {
            steps.insert(0, Step::Name(root));
        }
        steps.truncate(STEPS_MAX);
        Some(ReadPath { path: UsedPath { root: start, steps, span }, may_be_absent, is_explicit })
    }
}

/// Whether the token at `at` is a name that stands for a value.
fn begins_path(tokens: &[Token<'_>], at: usize, is_block: bool) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.kind == Kind::Name) else { return false };
    let before = at.checked_sub(1).and_then(|at| tokens.get(at));
    let after = tokens.get(at + 1);
    let is_first_of_block = is_block && at == 0;
    let is_filters_name = is_block && at == 1 && before.is_some_and(|before| before.is(Kind::Name, "filter"));
    let is_part = before.is_some_and(|before| before.is(Kind::Symbol, ".") || before.is(Kind::Symbol, "|"));
    let is_test = match before {
        Some(before) if before.is(Kind::Name, "is") => true,
        Some(before) if before.is(Kind::Name, "not") => {
            at.checked_sub(2).and_then(|at| tokens.get(at)).is_some_and(|token| token.is(Kind::Name, "is"))
        }
        _ => false,
    };
    let is_argument = after.is_some_and(|after| after.is(Kind::Symbol, "="))
        && before.is_some_and(|before| before.is(Kind::Symbol, "(") || before.is(Kind::Symbol, ","));
    let is_function = after.is_some_and(|after| after.is(Kind::Symbol, "("));
    !(is_first_of_block || is_filters_name || is_part || is_test || is_argument || is_function || is_word(token.text))
}

fn is_word(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in" | "is" | "if" | "elif" | "else" | "for" | "recursive" | "with" | "do" | "set" | "call")
        || matches!(name, "true" | "false" | "none" | "True" | "False" | "None" | "loop" | "caller")
}

/// The steps of the path whose first name is the token before `at`, and where the next token is.
fn steps(tokens: &[Token<'_>], mut at: usize) -> (Vec<Step>, usize) {
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX {
        let is = |ahead: usize, symbol: &str| tokens.get(at + ahead).is_some_and(|token| token.is(Kind::Symbol, symbol));
        let (step, length) = match tokens.get(at + 1) {
            // What is called is a method, not a step.
            Some(name) if is(0, ".") && name.kind == Kind::Name && !is(2, "(") => (Step::Name(name.text.to_owned()), 2),
            Some(number) if is(0, ".") && number.kind == Kind::Number => (Step::Element, 2),
            Some(index) if is(0, "[") && index.kind == Kind::Number && is(2, "]") => (Step::Element, 3),
            Some(name) if is(0, "[") && name.kind == Kind::Quoted && is(2, "]") && !name.text.contains('\\') => {
                (Step::Name(name.text.trim_matches(['"', '\'']).to_owned()), 3)
            }
            _ => break,
        };
        steps.push(step);
        at += length;
    }
    (steps, at)
}

/// Whether what follows a path says what to do where it leads to nothing.
fn allows_absence(after: &[Token<'_>]) -> bool {
    let mut after = after.iter();
    match after.next() {
        Some(token) if token.is(Kind::Symbol, "|") => after.next().is_some_and(|filter| matches!(filter.text, "default" | "d")),
        Some(token) if token.is(Kind::Name, "is") => {
            after.find(|token| !token.is(Kind::Name, "not")).is_some_and(|test| matches!(test.text, "defined" | "undefined"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::expression::lexer::read_tag;

    fn paths(inside: &str, is_block: bool, bound: &[&str]) -> Vec<String> {
        let text = format!("{inside}}}}}");
        let Ok(Some(tag)) = read_tag(&text, 0, "}}") else { panic!("{inside}") };
        let mut reads = Vec::new();
        Read::find(&tag.tokens, is_block, |at| at, &mut reads);
        let bound: Vec<String> = bound.iter().map(|name| (*name).to_owned()).collect();
        let shown = |read: ReadPath| {
            assert!(inside.get(read.path.span.clone()).is_some(), "{inside}");
            let root = if read.path.root == PathRoot::Event { "event:" } else { "" };
            format!("{root}{}{}", read.path.names().join("."), if read.may_be_absent { "?" } else { "" })
        };
        Names::new(&bound, Vec::new()).paths(reads).into_iter().map(shown).collect()
    }

    #[test]
    fn paths_of_tags() {
        for (inside, expected) in [
            ("data.email", &["data.email"][..]),
            ("payload.data['email'] ~ data.emails[0].email", &["data.email", "data.emails.email"]),
            ("data.emails.0.email | default(data.name) | upper", &["data.emails.email?", "data.name"]),
            ("data.x | default('-', true)", &["data.x?"]),
            ("data.x is not defined or data.y is string", &["data.x?", "data.y"]),
            ("data.x if data.x is defined else 'none of it'", &["data.x?", "data.x?"]),
            ("data.name.upper() ~ range(3)", &["data.name"]),
            ("data.emails | map(attribute='email') | join(', ')", &["data.emails"]),
            ("event.query.campaign ~ true ~ none ~ loop.index", &["event:query.campaign"]),
            ("not data.is_complete and 3 in data.sizes[data.id]", &["data.is_complete", "data.sizes", "data.id"]),
        ] {
            assert_eq!(paths(inside, false, &[]), expected, "{inside}");
        }
    }

    #[test]
    fn names_that_a_template_binds_are_not_the_payloads() {
        assert_eq!(paths("for entry in data.emails if entry.email", true, &["entry"]), ["data.emails"]);
        assert_eq!(paths("set x = data.id", true, &["x"]), ["data.id"]);
        assert_eq!(paths("filter upper", true, &[]), [""; 0]);
        assert_eq!(paths("else", true, &[]), [""; 0]);
    }
}
