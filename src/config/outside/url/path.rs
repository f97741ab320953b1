//! The path of a URL, and whether a value makes it lead elsewhere.

use crate::transform::dot_segments;

/// A path with its values, and what it would be with others.
#[derive(Default)]
pub(super) struct Path {
    whole: String,
    with_other_values: String,
    first_value: Option<usize>,
}

impl Path {
    pub fn write(&mut self, text: &str) {
        self.whole.push_str(text);
        self.with_other_values.push_str(text);
    }

    pub fn value(&mut self, value: &str, index: usize) {
        self.whole.push_str(value);
        self.with_other_values.push_str(ANY_VALUE);
        self.first_value.get_or_insert(index);
    }

    /// A value because of which the path leads elsewhere.
    pub fn climbs_by(&self) -> Option<usize> {
        self.first_value.filter(|_| dot_segments(&self.whole) > dot_segments(&self.with_other_values))
    }
}

/// Stands for a value of which nothing is known.
pub(super) const ANY_VALUE: &str = "x";
