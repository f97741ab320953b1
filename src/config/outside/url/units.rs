//! A URL as it is written, before anything is put in.

use crate::text::{Part, Text};

/// What a URL consists of before anything is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Written(char),
    /// The value that is the part with this index.
    Value(usize),
    /// A `{{ ... }}`, `{% ... %}` or `{# ... #}`.
    Tag,
}

/// The units of a text. A tag's end is the next one that closes its kind, which is enough to know what is not in a tag.
pub(super) fn units(text: &Text) -> Vec<Unit> {
    let mut units = Vec::new();
    // What closes the tag that is open.
    let mut open: Option<&str> = None;
    for (index, part) in text.parts.iter().enumerate() {
        let mut rest = match part {
            Part::Written { text, .. } => text.as_str(),
            Part::Value(_) if open.is_some() => continue,
            Part::Value(_) => {
                units.push(Unit::Value(index));
                continue;
            }
        };
        loop {
            if let Some(closing) = open {
                let Some(end) = rest.find(closing) else { break };
                rest = rest.get(end + closing.len()..).unwrap_or_default();
                open = None;
            }
            let tag = TAGS.iter().find(|(opening, _)| rest.starts_with(opening));
            if let Some((opening, closing)) = tag {
                units.push(Unit::Tag);
                rest = rest.get(opening.len()..).unwrap_or_default();
                open = Some(closing);
                continue;
            }
            let Some(character) = rest.chars().next() else { break };
            units.push(Unit::Written(character));
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    units
}

/// What a tag or a comment begins with, and ends with.
const TAGS: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
