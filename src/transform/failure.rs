//! Puts minijinja's errors into words. Its own messages may quote values, so none of them is passed on from a
//! rendering: what is said there comes from the kind of error, and from what was written in the file.

use std::error::Error as _;

use minijinja::{Error, ErrorKind};

use super::RenderError;
use super::filters::SAYS;
use super::origin::{EXCERPT_BYTES_MAX, Origin};
use super::printing::{FUNCTION_PRINTED, NULL_PRINTED};
use super::reads::FACTS;
use super::template::{RENDERED_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_FUEL_MAX, TemplateError};

/// What people write who come from other languages, and what Jinja calls it.
const FOREIGN: [(&str, &str); 8] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("===", "write `==`"),
    ("??", "write `value | default(\"...\", true)`"),
    ("?", "write `this if condition else that`"),
    ("!", "write `not`"),
    ("$.", "inside of `{{ }}` a path has no `$.`: write `data.email`"),
    ("@.", "inside of `{{ }}` a path has no `@.`: write `data.email`"),
];

/// A syntax error; no value is known to the parser, so its own words can be kept.
pub(super) fn while_compiling(error: &Error, source: &str, origin: &Origin) -> TemplateError {
    let at = error.range().map_or(0, |range| range.start).min(source.len());
    let detail = error.detail().unwrap_or("this is not a template");
    let result = TemplateError::new(origin.scalar_offset(at), detail.to_owned());
    let place = source.get(at..).unwrap_or_default();
    let before = source.get(..at).unwrap_or_default();
    // The parser may stop at the second character of a double one.
    let foreign = FOREIGN.iter().find(|(text, _)| {
        place.starts_with(text)
            || text.char_indices().nth(1).is_some_and(|(second, _)| {
                let (first, rest) = text.split_at(second);
                before.ends_with(first) && place.starts_with(rest)
            })
    });
    if let Some((_, hint)) = foreign {
        return result.hint(*hint);
    }
    if detail.contains("end of input") || detail.contains("end of variable block") {
        return result.hint("every `{{` needs its `}}`, every `{% if %}` its `{% endif %}`, every `{% for %}` its `{% endfor %}`");
    }
    result
}

/// The failure of a `{{ }}` that reads nothing of an event, so that no value can be quoted.
pub(super) fn on_trial(error: &Error, offset: usize, written: &str) -> TemplateError {
    let tag = if written.len() <= EXCERPT_BYTES_MAX { format!("`{{{{ {written} }}}}`") } else { "this `{{ }}`".to_owned() };
    match (error.kind(), error.detail()) {
        (_, Some(NULL_PRINTED)) => TemplateError::new(offset, format!("{tag} prints a null, whatever the event")),
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
            TemplateError::new(offset, format!("{tag} can never be rendered, whatever the event: {}", detail.unwrap_or(&kind.to_string())))
        }
    }
}

/// An error of a rendering.
pub(super) fn while_rendering(error: &Error, origin: &Origin) -> RenderError {
    // The innermost error is the cause; those around it only say that a macro or a block failed.
    let mut cause = error;
    while let Some(inner) = cause.source().and_then(|source| source.downcast_ref::<Error>()) {
        cause = inner;
    }
    let place = cause.range().or_else(|| error.range()).and_then(|range| origin.tag_around(range.start));
    let is_path = place.is_some_and(|text| text.chars().all(|it| it.is_alphanumeric() || "_.[]'\"-".contains(it)));
    let place = place.map_or_else(|| "the template".to_owned(), |text| format!("`{text}`"));
    let message = match (cause.kind(), cause.detail()) {
        (_, Some(NULL_PRINTED)) => {
            let subject = if is_path { "is null" } else { "prints a value that is null" };
            format!("{place} {subject}; say what to print instead: `| default(\"...\", true)`")
        }
        (_, Some(FUNCTION_PRINTED)) => format!("{place} is a function, not a value"),
        (_, Some(detail)) if detail.starts_with(SAYS) => format!("{place} cannot be rendered: {}", detail.trim_start_matches(SAYS)),
        (ErrorKind::UndefinedError, detail) => {
            let name = detail.and_then(|detail| undefined_name(detail, origin)).map(|name| format!("`{name}`"));
            format!("{} is not in this event; where it may be absent, write `| default(\"...\")`", name.unwrap_or(place))
        }
        (ErrorKind::InvalidOperation, Some("recursion limit exceeded")) => {
            format!("{place} nests deeper than {TEMPLATE_DEPTH_MAX} levels")
        }
        (ErrorKind::OutOfFuel, _) => format!("the template takes more than {TEMPLATE_FUEL_MAX} steps"),
        (ErrorKind::WriteFailure, _) => format!("the text would be longer than {RENDERED_BYTES_MAX} bytes"),
        (kind, _) => format!("{place} cannot be rendered: {kind}"),
    };
    RenderError::new(message)
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
