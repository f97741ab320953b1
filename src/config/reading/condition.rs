//! Conditions: `when` of a route, over the payload, and `success` of a destination, over its reply.

use crate::condition::{Condition, PathRoot, UsedPath};

use super::decode::Decoder;
use crate::config::findings::finding::quoted;
use crate::config::yaml::{Content, Kind, Node, Style, word_at};
use crate::text::Text;

/// What is said of a condition that is not there, or no condition.
struct Words {
    key: &'static str,
    /// What stands in place of an empty or ever true one.
    always: &'static str,
    /// What stands in place of one that never holds.
    never: &'static str,
    example: &'static str,
}

const WHEN: Words = Words {
    key: "when",
    always: "leave `when` out: a route without it always matches",
    never: "take the route out, or give it `shadow: true`",
    example: "for example `data.email_status == \"valid\"`",
};

const SUCCESS: Words = Words {
    key: "success",
    always: "leave `success` out: every 2xx counts then",
    never: "nothing would ever count as delivered; for example `$.ok == true`",
    example: "for example `$.ok == true`",
};

const NEVER: Words = Words {
    key: "never",
    always: "nothing would ever be sent; to switch a destination off, write `enabled: false`",
    never: "leave `never` out: nothing is refused then",
    example: "for example `data.email_type == \"personal\"`",
};

/// `when`
pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Condition> {
    of_event(decoder, node, &WHEN)
}

/// `never`: as `when`.
pub(in crate::config) fn decode_never(decoder: &mut Decoder<'_>, node: &Node) -> Option<Condition> {
    of_event(decoder, node, &NEVER)
}

fn of_event(decoder: &mut Decoder<'_>, node: &Node, words: &Words) -> Option<Condition> {
    let (text, condition) = parse(decoder, node, words)?;
    decoder.warn_of_condition(node, &text, &condition);
    decoder.warn_of_values(node, &text, &condition);
    if let Some(found) = condition.contradiction() {
        let first = condition.text().get(found.first).unwrap_or_default();
        let range = text.offset_in_scalar(found.span.start)..text.offset_in_scalar(found.span.end);
        decoder
            .warning_in(node, range, format!("this never holds together with {}", quoted(first)))
            .hint("join them with `or` if either will do, or write `path in [...]`");
    }
    Some(condition)
}

/// `success`, whose payload is the destination's reply: nobody knows its fields, and the event's facts are not beside it.
pub(in crate::config) fn decode_success(decoder: &mut Decoder<'_>, node: &Node) -> Option<Condition> {
    let (text, condition) = parse(decoder, node, &SUCCESS)?;
    let facts: Vec<UsedPath> = condition.paths().into_iter().filter(|used| used.root == PathRoot::Event).collect();
    for used in &facts {
        let range = text.offset_in_scalar(used.span.start)..text.offset_in_scalar(used.span.end);
        decoder
            .error_in(node, range, "`success` is asked of the reply, and `event` stands for the relay's own facts")
            .hint("a field of the reply that is called so is `$.event`");
    }
    decoder.warn_of_surprises(node, &text, condition.surprises());
    decoder.warn_of_success(node, &text, &condition);
    facts.is_empty().then_some(condition)
}

fn parse(decoder: &mut Decoder<'_>, node: &Node, words: &Words) -> Option<(Text, Condition)> {
    let Words { key, always, never, example } = words;
    match &node.content {
        Content::Invalid => return None,
        Content::Scalar(scalar) => match scalar.kind {
            Kind::Null => {
                decoder.report.error(node.span.clone(), format!("`{key}` is empty")).hint(*always);
                return None;
            }
            Kind::Boolean(value) => {
                let finding = decoder.report.error(node.span.clone(), format!("`{value}` is not a condition"));
                finding.hint(if value { *always } else { *never });
                return None;
            }
            Kind::Number => {
                decoder.report.error(node.span.clone(), format!("{} is not a condition", quoted(&scalar.text))).hint(*example);
                return None;
            }
            Kind::String => {}
        },
        Content::Sequence(_) | Content::Mapping(_) => {
            decoder
                .report
                .error(node.span.clone(), format!("`{key}` is one string, and this is {}", node.noun()))
                .hint(format!("join conditions with `and` and `or`; a long one may go on over several lines below `{key}: >-`"));
            return None;
        }
    }
    let text = decoder.text(node, "a condition")?;
    if let Some(value) = text.first_value() {
        let message = format!("a condition cannot hold `{value}`: values are never read as conditions");
        decoder.error_in(node, word_at(node, text.offset_of_first_value()), message).hint("write it out");
        return None;
    }
    let condition = text.expose();
    if condition.trim().is_empty() {
        decoder.report.error(node.span.clone(), format!("`{key}` is empty")).hint(*always);
        return None;
    }
    match Condition::parse(&condition) {
        Ok(condition) => Some((text, condition)),
        Err(mut error) => {
            if error.span.end >= condition.trim_end().len() && is_cut_by_comment(decoder, node) {
                error.hint = Some("YAML takes ` #` and what follows for a comment: put the whole condition in quotes".into());
            }
            decoder.syntax_error(node, &text, error);
            None
        }
    }
}

/// Whether a comment follows on the line of a condition without quotes, and so may have been a part of it.
fn is_cut_by_comment(decoder: &Decoder<'_>, node: &Node) -> bool {
    let is_plain = matches!(&node.content, Content::Scalar(scalar) if scalar.style == Style::Plain);
    let behind = decoder.report.text.get(node.span.end..).unwrap_or_default();
    is_plain && behind.trim_start_matches([' ', '\t']).starts_with('#')
}
