//! Strings of routes.yaml in which `${...}` was replaced.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// A string of routes.yaml after `${...}` was replaced. What came from outside the file stays apart from what was
/// written in it, so that it is never read again as YAML, path or template, and never shown.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// In order.
    pub parts: Vec<Part>,
}

/// A stretch of a [`Text`].
#[derive(Clone, Debug)]
pub enum Part {
    /// As it stands in the file.
    Written {
        /// The text itself.
        text: String,
        /// The byte offset of `text` in the scalar's parsed string.
        offset: usize,
    },
    /// What a `${...}` stood for.
    Value(Secret),
}

/// A value from outside the file. Prints as `${NAME}`.
#[derive(Clone)]
pub struct Secret {
    /// What stood between the braces: a variable's name, or `file:` and a path.
    pub name: String,
    value: SecretString,
    /// The file that it was read from, if it was.
    pub(crate) file: Option<PathBuf>,
}

impl Secret {
    /// A value and the name under which it may be shown.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: SecretString::from(value.into()), file: None }
    }

    /// The same, of a value that was read from this file.
    pub(crate) fn in_file(name: impl Into<String>, value: impl Into<String>, file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::new(name, value) }
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

/// By name and value.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.expose() == other.expose()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}}}", self.name)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Text {
    /// A text without any `${...}`.
    pub fn written(text: &str) -> Self {
        Self { parts: vec![Part::Written { text: text.to_owned(), offset: 0 }] }
    }

    /// The text, where it is one stretch of the file, at the start of its scalar. `None` for a text with a value
    /// from outside, or with an escaped `$${`.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Written { text, offset: 0 }] => Some(text),
            _ => None,
        }
    }

    /// The whole text, values included.
    pub fn expose(&self) -> String {
        self.parts.iter().map(Part::expose).collect()
    }

    /// The text with `${NAME}` in place of values.
    pub fn masked(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Written { text, .. } => text.clone(),
                Part::Value(secret) => secret.to_string(),
            })
            .collect()
    }

    /// The values from outside, in order.
    pub fn values(&self) -> impl Iterator<Item = &Secret> {
        self.parts.iter().filter_map(|part| match part {
            Part::Written { .. } => None,
            Part::Value(secret) => Some(secret),
        })
    }

    /// The first value from outside.
    pub fn first_value(&self) -> Option<&Secret> {
        self.values().next()
    }

    /// The byte offset in the scalar's parsed string of the first value from outside.
    pub(crate) fn offset_of_first_value(&self) -> usize {
        let index = self.parts.iter().position(|part| matches!(part, Part::Value(_))).unwrap_or(0);
        self.offset_of_part(index)
    }

    /// Where the part of this index begins in the scalar's parsed string. A value begins where the part before it ends.
    pub(crate) fn offset_of_part(&self, index: usize) -> usize {
        match (self.parts.get(index), index.checked_sub(1).and_then(|before| self.parts.get(before))) {
            (Some(Part::Written { offset, .. }), _) => *offset,
            (_, Some(Part::Written { text, offset })) => offset + text.len(),
            _ => 0,
        }
    }

    /// Turns a byte offset in the exposed text into one in the scalar's parsed string. An offset inside a value
    /// becomes the place of its `${`.
    pub(crate) fn offset_in_scalar(&self, exposed: usize) -> usize {
        let mut passed = 0;
        let mut end = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let length = part.expose().len();
            let start = self.offset_of_part(index);
            match part {
                Part::Written { .. } if exposed < passed + length => return start + (exposed - passed),
                Part::Value(_) if exposed < passed + length => return start,
                Part::Written { .. } => end = start + length,
                Part::Value(_) => end = start,
            }
            passed += length;
        }
        end
    }

    /// Whether there are template tags in what was written. Values are no templates, so tags in them do not count.
    pub(crate) fn has_tags(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Written { text, .. } => ["{{", "{%", "{#"].iter().any(|tag| text.contains(tag)),
            Part::Value(_) => false,
        })
    }
}

impl Part {
    fn expose(&self) -> &str {
        match self {
            Self::Written { text, .. } => text,
            Self::Value(secret) => secret.expose(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Text {
        // Written as `a$${b${X}c`.
        Text {
            parts: vec![
                Part::Written { text: "a".into(), offset: 0 },
                Part::Written { text: "${b".into(), offset: 2 },
                Part::Value(Secret::new("X", "{{ evil }}")),
                Part::Written { text: "c{{d".into(), offset: 9 },
            ],
        }
    }

    #[test]
    fn values_are_shown_by_name_only() {
        assert_eq!(text().masked(), "a${b${X}c{{d");
        assert_eq!(text().expose(), "a${b{{ evil }}c{{d");
        assert!(!format!("{:?}", text()).contains("evil"));
        assert_eq!(text().plain(), None);
        assert_eq!(Text::written("x").plain(), Some("x"));
    }

    #[test]
    fn offsets_lead_back_to_the_scalar() {
        let offsets: Vec<usize> = [0, 1, 3, 4, 13, 14, 15, 99].map(|at| text().offset_in_scalar(at)).to_vec();
        assert_eq!(offsets, [0, 2, 4, 5, 5, 9, 10, 13]);
    }

    #[test]
    fn tags_count_only_where_they_are_written() {
        assert!(text().has_tags());
        assert!(!Text { parts: vec![Part::Value(Secret::new("X", "{{"))] }.has_tags());
    }
}
