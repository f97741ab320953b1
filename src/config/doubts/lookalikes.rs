//! Texts that are sent as they stand, and look like something that would be read: a path, a value of the payload or a
//! variable, as other tools write them. A text is never refused for what it looks like: these give warnings.

use std::ops::Range;

use crate::transform::Selection;

use super::known_paths::{WARNINGS_MAX, is_known};
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;
use crate::text::{Part, Text};

/// What other tools call the payload: `$json.data.email`, `$payload`.
const ROOTS: [&str; 8] = ["payload", "root", "json", "body", "input", "request", "webhook", "event"];
/// Variables have longer names than the words that stand behind a `$` in a text, such as `$US`.
const VARIABLE_BYTES_MIN: usize = 4;
/// How a text is written that only looks like a path.
const AS_TEXT: &str = "if this text is meant, write";

/// What other languages write behind a path to go on calculating.
const OPERATORS: [&str; 12] = ["||", "|", "??", "?.", "?", "&&", "+", "==", "!=", "/", "<", ">"];

/// An operator in what should be a path of a body, and nothing else.
pub(in crate::config) struct BeyondPath {
    /// Bytes of the path as it is written.
    pub span: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// The operator behind a path of a body, `$.data.emails | first`, and how that is said here. `None` if there is none outside of
/// brackets and quotes.
pub(in crate::config) fn beyond_path(path: &str) -> Option<BeyondPath> {
    let (mut depth, mut quote) = (0_usize, None);
    let (at, operator) = path.char_indices().find_map(|(at, letter)| {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 => {
                let rest = path.get(at..).unwrap_or_default();
                return OPERATORS.into_iter().find(|operator| rest.starts_with(operator)).map(|operator| (at, operator));
            }
            _ => {}
        }
        None
    })?;
    let (head, rest) = path.split_at(at);
    let behind = rest.get(operator.len()..)?.trim();
    let head = head.trim_end();
    let value = names(head.trim_start_matches(['$', '@']).trim_start_matches('.')).unwrap_or_else(|| "data.NAME".to_owned());
    let hint = match operator {
        // jq goes on with a path behind its pipe.
        "|" if behind.starts_with(['.', '[']) => format!("write `{head}{}`", behind.replacen(".[", "[", 1)),
        "|" => format!("write `'{{{{ {value} | {behind} }}}}'`; a number or a list keeps its type as `{{ $value: '{{{{ ... }}}}' }}`"),
        "||" | "??" | "/" => format!("write `'{{{{ {value} | default(\"...\", true) }}}}'`"),
        "?." => format!("write `{head}.{behind}`: where a name is missing, a path gives null"),
        "+" => format!("write `'{{{{ {value} ~ \"...\" }}}}'`"),
        _ => format!("write `{{ $value: '{{{{ {value} {} }}}}' }}`", rest.trim()),
    };
    let message = format!("`{operator}` has no meaning in a body's path: `$` selects, and a template calculates");
    Some(BeyondPath { span: at..at + operator.len(), message, hint })
}

/// A part of a text that looks like something else.
struct Lookalike {
    /// Bytes of the scalar's parsed string.
    span: Range<usize>,
    message: String,
    hint: String,
}

impl Decoder<'_> {
    /// Warns of a whole value of a body that is no path, and looks like one. Says whether it did.
    pub(in crate::config) fn warn_of_whole(&mut self, node: &Node, text: &str) -> bool {
        let Some((why, hint)) = whole(text) else { return false };
        self.report.warning(node.span.clone(), format!("{} is sent as it stands: {why}", quoted(text))).hint(hint);
        true
    }

    /// Warns of a header's value that is a path: a header is a template.
    pub(in crate::config) fn warn_of_header(&mut self, node: &Node, text: &str) {
        let path = text.trim();
        if Selection::is_written_in(path) && path_in(path.trim_start_matches('$')).is_none() {
            let simple = names(path.trim_start_matches("$."));
            let hint = simple.map_or_else(|| "{{ payload | tojson }}".to_owned(), |path| format!("{{{{ {path} }}}}"));
            let message = format!("{} is sent as it stands: a header's value is a text or a template", quoted(text));
            self.report.warning(node.span.clone(), message).hint(format!("write `{hint}`"));
        }
        // Base64 has no colon.
        if path.strip_prefix("Basic ").is_some_and(|credentials| credentials.contains(':')) {
            self.report
                .warning(node.span.clone(), "`Basic` is followed by Base64, and this is a username and a password as they are")
                .hint("write `auth: { basic: { username: ..., password: ... } }` in place of the header");
        }
    }

    /// Warns of what looks like a path, a value or a variable within a text, outside of its tags.
    pub(in crate::config) fn warn_of_parts(&mut self, node: &Node, text: &Text) {
        let mut found = Vec::new();
        for part in &text.parts {
            if let Part::Written { text, offset } = part {
                for stretch in outside_of_tags(text) {
                    find(text.get(stretch.clone()).unwrap_or_default(), offset + stretch.start, &mut found);
                }
            }
        }
        for Lookalike { span, message, hint } in found.into_iter().take(WARNINGS_MAX) {
            self.warning_in(node, span, message).hint(hint);
        }
    }
}

/// Why a whole value of a body is a text, and what was probably meant.
fn whole(text: &str) -> Option<(&'static str, String)> {
    let bare = text.trim();
    if bare != text && Selection::is_written_in(bare) && !Selection::is_written_in(text) {
        return Some(("a blank or a line break stands beside the path", format!("write `{bare}` alone; {}", as_text(bare))));
    }
    if let Some(rest) = text.strip_prefix("$$")
        && (rest.is_empty() || rest.starts_with(['.', '[']))
    {
        return Some(("a path begins with one `$`", format!("write `${rest}`; {}", as_text(text))));
    }
    if let Some(rest) = text.strip_prefix('$') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (first, behind) = rest.split_at(end);
        let why = "a path begins with `$.`";
        return match first {
            "data" | "status" | "type" => Some((why, format!("write `$.{rest}`"))),
            "event" if fact(rest) => Some(("the relay's facts stand in templates only", format!("write `\"{{{{ {rest} }}}}\"`"))),
            _ if ROOTS.contains(&first) => Some((why, format!("write `${behind}`"))),
            _ => None,
        };
    }
    if let Some(steps) = text.strip_prefix('@')
        && (steps.is_empty() || names(steps.trim_start_matches('.')).is_some_and(|path| is_known(&path)))
    {
        return (!steps.is_empty()).then(|| ("in a body a path begins with `$`", format!("write `${steps}`")));
    }
    if fact(text) {
        return Some(("the relay's facts stand in templates", format!("write `\"{{{{ {text} }}}}\"`")));
    }
    if text == "payload" {
        return Some(("the whole payload is `$`", format!("write `$`; {}", as_text(text))));
    }
    // `.data.email` is how jq writes a path.
    let path = text.strip_prefix("payload.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let is_path = path.contains('.') && names(path).is_some_and(|path| is_known(&path));
    is_path.then(|| ("in a body a path begins with `$.`", format!("write `$.{path}`; {}", as_text(text))))
}

fn as_text(text: &str) -> String {
    format!("{AS_TEXT} `'{{{{ \"{text}\" }}}}'`")
}

/// Whether this is one of the relay's facts about an event, as a template has it.
pub(in crate::config) fn fact(text: &str) -> bool {
    let Some(name) = text.strip_prefix("event.") else { return false };
    matches!(name, "id" | "received_at" | "path" | "route") || name.strip_prefix("query.").is_some_and(|name| names(name).is_some())
}

/// The names of a path, joined by dots, without its indices. `None` for a text that is no such path.
fn names(path: &str) -> Option<String> {
    let mut names = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, behind) = inside.split_once(']')?;
            if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*') {
                return None;
            }
            rest = behind;
            continue;
        }
        let end = rest.find('[').unwrap_or(rest.len());
        let (plain, behind) = rest.split_at(end);
        if !plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.') {
            return None;
        }
        names.push_str(plain);
        rest = behind;
    }
    let is_path = !names.is_empty() && names.split('.').all(|name| !name.is_empty());
    is_path.then_some(names)
}

/// The stretches of a text that stand outside of `{{ }}`, `{% %}` and `{# #}`.
fn outside_of_tags(text: &str) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let mut from = 0;
    while let Some((at, closing)) = next_tag(text, from) {
        stretches.push(from..at);
        let Some(length) = text.get(at..).and_then(|rest| rest.find(closing)) else { return stretches };
        from = at + length + closing.len();
    }
    stretches.push(from..text.len());
    stretches
}

fn next_tag(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let rest = text.get(from..)?;
    let tags = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
    tags.into_iter().filter_map(|(open, close)| Some((from + rest.find(open)?, close))).min()
}

/// Adds what a stretch of text holds; `offset` is its place in the scalar.
fn find(text: &str, offset: usize, found: &mut Vec<Lookalike>) {
    let mut behind = 0;
    for (at, sign) in text.match_indices(['$', '{', '<', '%', '[']) {
        if found.len() == WARNINGS_MAX {
            return;
        }
        // One word about one place is enough.
        if at < behind {
            continue;
        }
        let rest = text.get(at + sign.len()..).unwrap_or_default();
        let follows_dollar = text.get(..at).is_some_and(|before| before.ends_with('$'));
        let lookalike = match sign {
            "$" if !follows_dollar => path_in(rest).or_else(|| variable_in(rest)),
            "{" if !rest.starts_with('{') && !follows_dollar => value_in(rest, '}'),
            "<" => value_in(rest, '>'),
            "%" => value_in(rest, '%'),
            "[" if rest.starts_with('[') => rest.get(1..).and_then(|inside| value_in(inside, ']')).map(|(l, m, h)| (l + 2, m, h)),
            _ => None,
        };
        if let Some((length, why, hint)) = lookalike {
            let start = offset + at;
            behind = at + sign.len() + length;
            let shown = text.get(at..at + sign.len() + length).unwrap_or_default();
            found.push(Lookalike {
                span: start..start + sign.len() + length,
                message: format!("{} is sent as it stands: {why}", quoted(shown)),
                hint,
            });
        }
    }
}

/// How many bytes behind the sign belong to it, why it is only a text, and what to write.
type Sighting = (usize, &'static str, String);

/// `$.data.email` within a text.
fn path_in(rest: &str) -> Option<Sighting> {
    let steps = rest.strip_prefix('.')?;
    let end = steps.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']'))).unwrap_or(steps.len());
    let steps = steps.get(..end)?.trim_end_matches('.');
    let path = names(steps)?;
    is_known(&path)
        .then(|| (1 + steps.len(), "a path is read only where it is the whole of a value in a body", format!("write `{{{{ {steps} }}}}`")))
}

/// `$CRM_TOKEN`, `$(CRM_TOKEN)`
fn variable_in(rest: &str) -> Option<Sighting> {
    let (name, around) = match rest.strip_prefix('(') {
        Some(inside) => (inside.split_once(')')?.0, 2),
        None => (rest.get(..rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len()))?, 0),
    };
    let is_name = name.len() >= VARIABLE_BYTES_MIN
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_name.then(|| (name.len() + around, "a variable stands in braces", format!("write `${{{name}}}`")))
}

/// `{data.email}`, `<data.email>`, `%data.email%`, `[[data.email]]`: `rest` is what stands behind the opening sign.
fn value_in(rest: &str, closing: char) -> Option<Sighting> {
    let (inside, _) = rest.split_once(closing)?;
    let path = inside.trim().trim_start_matches("$.").trim_start_matches('=').trim();
    let is_value = path.contains('.') && (fact(path) || names(path).is_some_and(|path| is_known(&path)));
    is_value.then(|| (inside.len() + closing.len_utf8(), "a value stands in two braces", format!("write `{{{{ {path} }}}}`")))
}
