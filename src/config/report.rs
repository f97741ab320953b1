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
    findings: Vec<Finding>,
    errors: usize,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, findings: Vec::new(), errors: 0 }
    }

    /// Says that these bytes of the file keep it from taking effect.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.errors += 1;
        self.add(Severity::Error, span, message.into())
    }

    /// Says that these bytes of the file are probably not meant so.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, span, message.into())
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The line of a byte offset, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Everything found, by position. One defect seen twice (through an alias, or through `defaults`) is said once.
    pub fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by(|a, b| (a.line, a.column, a.severity, &a.message).cmp(&(b.line, b.column, b.severity, &b.message)));
        self.findings.dedup();
        self.findings.truncate(FINDINGS_MAX);
        self.findings
    }

    fn add(&mut self, severity: Severity, span: Range<usize>, message: String) -> &mut Finding {
        // Warnings must not crowd out errors, nor repetitions of one alias everything else.
        if self.findings.len() >= 2 * FINDINGS_MAX {
            self.findings.sort_by_key(|finding| finding.severity);
            self.findings.dedup();
            self.findings.truncate(FINDINGS_MAX);
        }
        let line = self.line_of(span.start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let line_end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let column = 1 + self.text.get(line_start..span.start).map_or(0, |before| before.chars().count());
        let width = self.text.get(span.start..span.end.min(line_end)).map_or(0, |marked| marked.trim_end().chars().count());
        let at = self.findings.len();
        self.findings.push(Finding { severity, file: self.file.to_owned(), line, column, message, hint: None, width: width.max(1) });
        &mut self.findings[at]
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
