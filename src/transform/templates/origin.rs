//! The way back from a template's source to what was written in routes.yaml, for errors.

/// The longest tag that an error quotes whole, in bytes.
pub(in crate::transform) const EXCERPT_BYTES_MAX: usize = 160;

/// Leads from a place in a template's source back to what was written.
#[derive(Debug, Default)]
pub(in crate::transform) struct Origin {
    runs: Vec<Run>,
    /// What was written, with `${NAME}` in place of values.
    masked: String,
}

/// A stretch of the source that was copied from the text.
#[derive(Debug, Clone, Copy)]
struct Run {
    source: usize,
    length: usize,
    scalar: usize,
    masked: usize,
}

impl Origin {
    /// Notes that `text`, which stands at `scalar` in the scalar, was copied to `source`.
    pub(in crate::transform) fn add_written(&mut self, text: &str, source: usize, scalar: usize) {
        self.runs.push(Run { source, length: text.len(), scalar, masked: self.masked.len() });
        self.masked.push_str(text);
    }

    /// Notes that a `${name}` follows.
    pub(in crate::transform) fn add_value(&mut self, name: &str) {
        self.masked.push_str(&format!("${{{name}}}"));
    }

    /// The byte offset in the scalar of a place in the source. What was added counts as the end of what is before it.
    pub(in crate::transform) fn scalar_offset(&self, source: usize) -> usize {
        self.run_before(source).map_or(0, |(run, within)| run.scalar + within)
    }

    /// What was written in the tag that a place in the source belongs to, without its braces.
    pub(in crate::transform) fn tag_around(&self, source: usize) -> Option<&str> {
        let (run, within) = self.run_before(source)?;
        // The place is behind the marker that opens the tag, and may be right behind it.
        let (before, after) = self.masked.split_at_checked(run.masked + within)?;
        let start = before.rfind("{{").max(before.rfind("{%"))? + 2;
        let end = after.find("}}").into_iter().chain(after.find("%}")).min()? + before.len();
        let tag = self.masked.get(start..end)?.trim_matches(['-', '+']).trim();
        (!tag.is_empty() && tag.len() <= EXCERPT_BYTES_MAX).then_some(tag)
    }

    /// The whole text, with `${NAME}` in place of values.
    pub(in crate::transform) fn masked(&self) -> &str {
        &self.masked
    }

    fn run_before(&self, source: usize) -> Option<(&Run, usize)> {
        let count = self.runs.partition_point(|run| run.source < source);
        match count.checked_sub(1).and_then(|at| self.runs.get(at)) {
            Some(run) => Some((run, (source - run.source).min(run.length))),
            None => self.runs.first().map(|run| (run, 0)),
        }
    }
}
