//! Collects findings, and turns byte offsets of the file into lines and columns.

use std::ops::Range;

use super::finding::{Finding, Severity};

/// Nobody reads more, and each costs a walk along its line. What is found beyond them is dropped.
const FINDINGS_MAX: usize = 200;

/// A file's text, and what was found in it so far.
pub(super) struct Report<'a> {
    file: &'a str,
    pub text: &'a str,
    /// The byte offset of each line's first character.
    line_starts: Vec<usize>,
    drafts: Vec<Draft>,
    has_errors: bool,
}

/// A finding whose place is still in bytes.
#[derive(PartialEq, Eq)]
pub(super) struct Draft {
    span: Range<usize>,
    severity: Severity,
    message: String,
    pub hint: Option<String>,
}

impl Draft {
    /// Adds how to mend it.
    pub fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, drafts: Vec::new(), has_errors: false }
    }

    /// Says that these bytes of the file keep it from taking effect.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Draft {
        self.has_errors = true;
        self.add(Severity::Error, span, message.into())
    }

    /// Says that these bytes of the file are probably not meant so.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Draft {
        self.add(Severity::Warning, span, message.into())
    }

    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    pub fn has_error_on_line_of(&self, offset: usize) -> bool {
        let line = self.line_of(offset);
        self.drafts.iter().any(|draft| draft.severity == Severity::Error && self.line_of(draft.span.start) == line)
    }

    /// The line of a byte offset, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Everything found, by position.
    pub fn finish(mut self) -> Vec<Finding> {
        self.thin_out();
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.sort_by(|a, b| (a.span.start, a.severity, &a.message).cmp(&(b.span.start, b.severity, &b.message)));
        drafts.into_iter().map(|draft| self.placed(draft)).collect()
    }

    fn add(&mut self, severity: Severity, span: Range<usize>, message: String) -> &mut Draft {
        if self.drafts.len() >= 2 * FINDINGS_MAX {
            self.thin_out();
        }
        // An index that the next line makes valid.
        let at = self.drafts.len();
        self.drafts.push(Draft { span, severity, message, hint: None });
        &mut self.drafts[at]
    }

    /// Keeps the first findings, errors before warnings. One defect that was met several times (through an alias, or
    /// through `defaults`) is kept once.
    fn thin_out(&mut self) {
        self.drafts.sort_by(|a, b| (a.severity, a.span.start, &a.message).cmp(&(b.severity, b.span.start, &b.message)));
        self.drafts.dedup();
        self.drafts.truncate(FINDINGS_MAX);
    }

    fn placed(&self, draft: Draft) -> Finding {
        let Draft { span, severity, message, hint } = draft;
        let line = self.line_of(span.start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let line_end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let characters = |range: Range<usize>| self.text.get(range).map_or(0, |text| text.trim_end_matches('\r').chars().count());
        Finding {
            severity,
            file: self.file.to_owned(),
            line,
            column: 1 + characters(line_start..span.start),
            message,
            hint,
            width: characters(span.start..span.end.min(line_end)).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let text = "a: 1\n\u{e9}\u{e9}: x\r\nlast";
        let mut report = Report::new("f", text);
        report.error(text.find("last").unwrap()..text.len(), "third");
        report.warning(text.find('x').unwrap()..text.len(), "second");
        report.error(0..1, "first");
        let places: Vec<_> = report.finish().into_iter().map(|f| (f.line, f.column, f.width, f.message)).collect();
        assert_eq!(places, [(1, 1, 1, "first".into()), (2, 5, 1, "second".into()), (3, 1, 4, "third".into())]);
    }

    #[test]
    fn says_one_thing_once_and_stops_somewhere() {
        let text = "\n".repeat(10_000);
        let mut report = Report::new("f", &text);
        for at in 0..10_000 {
            report.warning(at..at, "w");
            report.error(at..at, "same").hint("h");
            report.error(at..at, "same").hint("h");
        }
        let findings = report.finish();
        assert_eq!(findings.len(), FINDINGS_MAX);
        assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
    }
}
