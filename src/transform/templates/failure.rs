//! Puts minijinja's errors into words. Its own messages may quote values, so none of them is passed on from a
//! rendering: what is said there comes from the kind of error, and from what was written in the file.

use std::error::Error as _;

use minijinja::{Error, ErrorKind, Value};

use crate::condition::{PathRoot, Step};

use super::origin::{EXCERPT_BYTES_MAX, Origin};
use super::syntax;
use crate::transform::errors::{RenderError, TemplateError};
use crate::transform::foresight::reads::{FACTS, ReadPath};
use crate::transform::limits::TEMPLATE_DEPTH_MAX;
use crate::transform::marks::{FUNCTION_PRINTED, NULL_PRINTED, NULL_USED, SAYS};

/// A syntax error; no value is known to the parser, so its own words can be kept.
pub(in crate::transform) fn while_compiling(error: &Error, source: &str, origin: &Origin) -> TemplateError {
    let at = error.range().map_or(0, |range| range.start).min(source.len());
    let detail = error.detail().unwrap_or("this is not a template");
    let place = source.get(at..).and_then(|place| place.chars().next());
    let message = match (detail, place) {
        ("unexpected character", Some(character)) => format!("unexpected `{}`", character.escape_debug()),
        _ => detail.to_owned(),
    };
    let result = TemplateError::new(origin.scalar_offset(at), message);
    match syntax::hint(source, at, detail) {
        Some(hint) => result.hint(hint),
        None => result,
    }
}

/// The failure of a `{{ }}` that reads nothing of an event, so that no value can be quoted.
pub(in crate::transform) fn on_trial(error: &Error, offset: usize, written: &str) -> TemplateError {
    let tag = if written.len() <= EXCERPT_BYTES_MAX { format!("`{{{{ {written} }}}}`") } else { "this `{{ }}`".to_owned() };
    match (error.kind(), error.detail()) {
        (_, Some(NULL_PRINTED)) => TemplateError::new(offset, format!("{tag} prints a null, whatever the event")),
        (_, Some(NULL_USED)) => TemplateError::new(offset, format!("{tag} works with a null, whatever the event")),
        (_, Some(FUNCTION_PRINTED)) => TemplateError::new(offset, format!("{tag} is a function, not a value")).hint("call it: `name(...)`"),
        (_, Some(detail)) if detail.starts_with(SAYS) => {
            let words = detail.trim_start_matches(SAYS);
            TemplateError::new(offset, format!("{tag} can never be rendered, whatever the event: {words}"))
        }
        (ErrorKind::UndefinedError, _) if written.contains("event.") => {
            let facts: Vec<String> = FACTS.iter().map(|fact| format!("`event.{fact}`")).collect();
            TemplateError::new(offset, format!("{tag} can never be rendered: the relay has no such fact about an event"))
                .hint(format!("there are {}; a payload's own key `event` is `payload.event`", facts.join(", ")))
        }
        (ErrorKind::UndefinedError, _) => TemplateError::new(offset, format!("{tag} can never be rendered: it is not defined")),
        (kind, detail) => {
            let own = detail.and_then(of_operator);
            let detail = own.as_deref().or(detail);
            TemplateError::new(offset, format!("{tag} can never be rendered, whatever the event: {}", detail.unwrap_or(&kind.to_string())))
        }
    }
}

/// What a rendering may cost.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) struct Limits {
    /// Steps.
    pub(in crate::transform) fuel: u64,
    /// Of the text.
    pub(in crate::transform) bytes: usize,
    /// What it is a rendering of.
    pub(in crate::transform) of: &'static str,
}

/// An error of a rendering. `reads` are the paths that the template reads, `names` what it saw.
pub(in crate::transform) fn while_rendering(
    error: &Error,
    origin: &Origin,
    reads: &[ReadPath],
    names: &Value,
    limits: Limits,
) -> RenderError {
    // The innermost error is the cause; those around it only say that a macro or a block failed.
    let mut cause = error;
    while let Some(inner) = cause.source().and_then(|source| source.downcast_ref::<Error>()) {
        cause = inner;
    }
    let range = cause.range().or_else(|| error.range());
    let place = range.clone().and_then(|range| origin.tag_around(range.start));
    let nulls = range.map_or_else(String::new, |range| nulls_in(place, origin.scalar_offset(range.start), reads, names));
    let is_path = place.is_some_and(|text| text.chars().all(|it| it.is_alphanumeric() || "_.[]'\"-".contains(it)));
    let place = place.map_or_else(|| "the template".to_owned(), |text| format!("`{text}`"));
    let message = match (cause.kind(), cause.detail()) {
        (_, Some(NULL_PRINTED)) => {
            let subject = if is_path { "is null".to_owned() } else { format!("prints a value that is null{nulls}") };
            format!("{place} {subject}; say what to print instead: `| default(\"...\", true)`")
        }
        (_, Some(NULL_USED)) => {
            format!("{place} works with a value that is null{nulls}; say what to use instead: `| default(..., true)`")
        }
        (_, Some(FUNCTION_PRINTED)) => format!("{place} is a function, not a value"),
        (_, Some(detail)) if detail.starts_with(SAYS) => format!("{place} cannot be rendered: {}", detail.trim_start_matches(SAYS)),
        (ErrorKind::UndefinedError, detail) => {
            let name = detail.and_then(|detail| undefined_name(detail, origin)).map(|name| format!("`{name}`"));
            format!("{} is not in this {}; where it may be absent, write `| default(\"...\")`", name.unwrap_or(place), limits.of)
        }
        (ErrorKind::InvalidOperation, Some("recursion limit exceeded")) => {
            format!("{place} nests deeper than {TEMPLATE_DEPTH_MAX} levels")
        }
        (ErrorKind::OutOfFuel, _) => format!("the template takes more than {} steps", limits.fuel),
        (ErrorKind::WriteFailure, _) => format!("the text would be longer than {} bytes", limits.bytes),
        (kind, detail) => {
            let why = detail.and_then(of_operator);
            format!("{place} cannot be rendered: {}", why.unwrap_or_else(|| kind.to_string()))
        }
    };
    let error = RenderError::new(message);
    match (cause.kind(), cause.detail()) {
        (_, Some(NULL_PRINTED | NULL_USED)) => error.needing_value(),
        (_, Some(detail)) if detail.starts_with(SAYS) => error,
        (ErrorKind::UndefinedError, _) => error.needing_value(),
        _ => error,
    }
}

/// minijinja's words for what an operator cannot do, in the relay's: of its own only the kinds are kept, never a value.
fn of_operator(detail: &str) -> Option<String> {
    const KINDS: [(&str, &str); 9] = [
        ("string", "a text"),
        ("number", "a number"),
        ("bool", "a boolean"),
        ("map", "an object"),
        ("sequence", "a list"),
        ("iterator", "a list"),
        ("none", "null"),
        ("undefined", "what is absent"),
        ("plain object", "an object"),
    ];
    let noun = |kind: &str| KINDS.iter().find(|(theirs, _)| *theirs == kind).map_or("another value", |(_, ours)| *ours);
    if let Some((operator, kinds)) =
        detail.strip_prefix("tried to use ").and_then(|rest| rest.split_once(" operator on unsupported types "))
    {
        let (left, right) = kinds.split_once(" and ")?;
        let hint = if operator == "+" { "; `~` joins them as texts, `| float` makes numbers of texts" } else { "" };
        return Some(format!("`{operator}` does not go with {} and {}{hint}", noun(left), noun(right)));
    }
    if detail.starts_with("tried to use ") {
        return Some("the operator does not go with this kind of value".to_owned());
    }
    if detail.starts_with("unable to calculate ") {
        return Some("there is no result: something is divided by 0, or too large".to_owned());
    }
    let is_about_repeating = detail.contains("can only be multiplied with integers") || detail.starts_with("repeated ");
    is_about_repeating.then(|| "a text or a list can be multiplied only by a whole number, and not without end".to_owned())
}

/// Which of the paths in a tag are null in this event: ` (`data.name`)`. `at` is a place in the tag, in the scalar.
fn nulls_in(tag: Option<&str>, at: usize, reads: &[ReadPath], names: &Value) -> String {
    let Some(tag) = tag else { return String::new() };
    let is_near = |read: &&ReadPath| read.path.span.end + tag.len() >= at && read.path.span.start <= at + tag.len();
    let mut nulls: Vec<String> = Vec::new();
    for read in reads.iter().filter(is_near) {
        let path = read.written();
        if tag.contains(&path) && !nulls.contains(&path) && is_null(read, names) {
            nulls.push(path);
        }
    }
    let quoted: Vec<String> = nulls.iter().map(|path| format!("`{path}`")).collect();
    if quoted.is_empty() { String::new() } else { format!(" ({})", quoted.join(", ")) }
}

fn is_null(read: &ReadPath, names: &Value) -> bool {
    let root = match (read.path.root, read.is_explicit) {
        (PathRoot::Event, _) => names.get_attr("event"),
        (PathRoot::Payload, true) => names.get_attr("payload"),
        (PathRoot::Payload, false) => Ok(names.clone()),
    };
    let found = read.path.steps.iter().try_fold(root.ok(), |value, step| match step {
        Step::Name(name) => Some(value?.get_attr(name).ok()),
        // Which element it is, is not kept.
        _ => None,
    });
    found.flatten().is_some_and(|value| value.is_none())
}

/// The name in minijinja's "`data.nme` is undefined", checked to be made of words of the template: a word that is not
/// in the file could be a value.
fn undefined_name<'d>(detail: &'d str, origin: &Origin) -> Option<&'d str> {
    let (before, _) = detail.split_once("` is undefined")?;
    let (_, name) = before.rsplit_once('`')?;
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let is_written = |word: &str| word.is_empty() || origin.masked().contains(word);
    name.split(|character| !is_word(character)).all(is_written).then_some(name)
}
