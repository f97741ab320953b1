//! What a template asks of a value that has nothing of the kind: `data.name.first` of a text, `data.emails.length` of a list. Such a
//! template fails on every event that Wiza is known to send, so it is an error, unless its author says that they know better.

use std::ops::Range;

use crate::condition::{PathRoot, Step, UsedPath};
use crate::transform::{ReadPath, foreign_hint};

use super::known_paths::{LISTS, WARNINGS_MAX, is_single};
use crate::config::reading::decode::Decoder;
use crate::config::yaml::{Content, Node};

impl Decoder<'_> {
    /// Refuses what no event can give, and says where that stands in the scalar. A path that begins with `payload.`, or for
    /// whose absence the template has a way out, is left alone.
    pub(in crate::config) fn refuse_attributes(&mut self, node: &Node, reads: &[ReadPath]) -> Vec<Range<usize>> {
        let reads = reads.iter().filter(|read| !read.may_be_absent && !read.is_explicit && read.path.root == PathRoot::Payload);
        let text = match &node.content {
            Content::Scalar(scalar) => scalar.text.as_str(),
            Content::Sequence(_) | Content::Mapping(_) | Content::Invalid => "",
        };
        let refused: Vec<Refused> = reads.filter_map(|read| find(&read.path, text)).take(WARNINGS_MAX).collect();
        for Refused { span, message, hint } in &refused {
            self.error_in(node, span.clone(), message.clone()).hint(hint.clone());
        }
        refused.into_iter().map(|refused| refused.span).collect()
    }
}

struct Refused {
    span: Range<usize>,
    message: String,
    hint: String,
}

/// The first step of a path that asks a text or a list for a name. `text` is the scalar, in which the path may begin with a name that
/// the template itself gave to a part of it.
fn find(used: &UsedPath, text: &str) -> Option<Refused> {
    let mut path = String::new();
    let mut in_list = false;
    for (at, step) in used.steps.iter().enumerate() {
        let Step::Name(name) = step else {
            in_list = false;
            continue;
        };
        let span = used.span.clone();
        if in_list {
            let written = before(name, used, text).unwrap_or(&path);
            let hint = foreign_hint(name, written, "").unwrap_or_else(|| {
                format!("write `{written}[0].{name}` for the first, `{written} | map(attribute=\"{name}\") | join(\", \")` for all")
            });
            return Some(Refused { span, message: format!("`{path}` is a list, which has no `{name}`"), hint });
        }
        if at > 0 && is_single(&path) {
            let written = before(name, used, text).unwrap_or(&path);
            let hint = match name.as_str() {
                "first" | "last" => format!("write `{written} | split(\" \") | {name}` for a word of it"),
                _ => foreign_hint(name, written, "").unwrap_or_else(|| format!("write `{written}`{}", as_object(written, name))),
            };
            return Some(Refused { span, message: format!("`{path}` is a single value, which has no `{name}`"), hint });
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        in_list = LISTS.contains(&path.as_str());
    }
    None
}

/// What is written before a name of a path.
fn before<'t>(name: &str, used: &UsedPath, text: &'t str) -> Option<&'t str> {
    let written = text.get(used.span.clone())?;
    let is_whole =
        |at: usize| !written.get(at + 1 + name.len()..).unwrap_or_default().starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let (at, _) = written.match_indices(&format!(".{name}")).find(|(at, _)| is_whole(*at))?;
    written.get(..at)
}

/// What to write for payloads that this program does not know.
fn as_object(written: &str, name: &str) -> String {
    match written.split(['.', '[']).next() {
        Some("data" | "status" | "type") => format!("; for payloads in which it is an object, `payload.{written}.{name}`"),
        _ => String::new(),
    }
}
