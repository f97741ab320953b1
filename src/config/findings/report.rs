//! Collects findings, and turns byte offsets into files, lines and columns.
//!
//! Several files are one text here, one behind the other, so that a number says which place of which file is meant, and nothing that
//! reads a tree needs to know which file it came from.

use std::ops::Range;

use super::files::RuleFiles;
use super::finding::{Finding, Place, Severity};

/// Nobody reads more, and each costs a walk along its line. What is found beyond them is dropped.
const FINDINGS_MAX: usize = 200;

/// Files as one text.
pub(in crate::config) struct Joined<'f> {
    text: String,
    /// Each file's name, and where its text begins and ends. A line break stands between two files, so that each begins a line.
    files: Vec<(&'f str, Range<usize>)>,
    /// How many of these are the user's own; presets stand behind them.
    own: usize,
}

impl<'f> Joined<'f> {
    pub fn new(files: &'f RuleFiles) -> Self {
        let mut joined = Self { text: String::new(), files: Vec::new(), own: 0 };
        for file in files.iter() {
            joined.add(&file.name, &file.text);
        }
        joined.own = joined.files.len();
        joined
    }

    /// Puts a preset behind the files.
    pub fn add_preset(&mut self, name: &'f str, text: &str) {
        self.add(name, text);
    }

    fn add(&mut self, name: &'f str, text: &str) {
        if !self.files.is_empty() {
            self.text.push('\n');
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.files.push((name, start..self.text.len()));
    }
}

/// The text of one file or several, and what was found in it so far.
pub(in crate::config) struct Report<'a> {
    files: Vec<(&'a str, Range<usize>)>,
    /// How many of these are the user's own.
    own: usize,
    /// Where the preset was asked for that is looked at: what is found in it is shown there.
    pub preset_at: Range<usize>,
    pub text: &'a str,
    /// The byte offset of each line's first character.
    line_starts: Vec<usize>,
    drafts: Vec<Draft>,
    /// Where secrets are written out.
    covered: Vec<Range<usize>>,
    has_errors: bool,
    /// Nodes of the trees so far, aliases counted in full.
    pub nodes: usize,
    /// Bytes that aliases have added so far.
    pub aliased_bytes: usize,
}

/// A finding whose place is still in bytes.
#[derive(PartialEq, Eq)]
pub(in crate::config) struct Draft {
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
        Self::of_files(vec![(file, 0..text.len())], 1, text)
    }

    pub fn of(joined: &'a Joined<'_>) -> Self {
        Self::of_files(joined.files.clone(), joined.own, &joined.text)
    }

    fn of_files(files: Vec<(&'a str, Range<usize>)>, own: usize, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self {
            files,
            own,
            preset_at: 0..0,
            text,
            line_starts,
            drafts: Vec::new(),
            covered: Vec::new(),
            has_errors: false,
            nodes: 0,
            aliased_bytes: 0,
        }
    }

    /// Where each file's text begins and ends, routes.yaml's first.
    pub fn files(&self) -> Vec<Range<usize>> {
        self.files.iter().take(self.own).map(|(_, range)| range.clone()).collect()
    }

    /// Where a preset's text begins and ends.
    pub fn preset(&self, name: &str) -> Option<Range<usize>> {
        self.files.iter().skip(self.own).find(|(known, _)| *known == name).map(|(_, range)| range.clone())
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

    /// Keeps these bytes of the file, a secret that is written out, out of every excerpt: findings are logged.
    pub fn cover(&mut self, span: Range<usize>) {
        self.covered.push(span);
    }

    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    pub fn has_error_on_line_of(&self, offset: usize) -> bool {
        let line = self.line_in_all(offset);
        self.drafts.iter().any(|draft| draft.severity == Severity::Error && self.line_in_all(draft.span.start) == line)
    }

    /// The line of a byte offset in its file, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        let (_, file) = self.file_of(offset);
        1 + self.line_in_all(offset) - self.line_in_all(file.start)
    }

    /// The same, to be kept.
    pub fn place_of(&self, offset: usize) -> Place {
        Place { file: self.file_name_of(offset).into(), line: self.line_of(offset) }
    }

    /// The file of a byte offset.
    pub fn file_name_of(&self, offset: usize) -> &'a str {
        self.file_of(offset).0
    }

    /// `on line 7`, of a place that is told of at another one; `at crm/a.yaml:7` where that one is in another file.
    pub fn place_seen_from(&self, offset: usize, from: usize) -> String {
        let (name, _) = self.file_of(offset);
        match self.file_of(from).0 == name {
            true => format!("on line {}", self.line_of(offset)),
            false => format!("at {name}:{}", self.line_of(offset)),
        }
    }

    fn file_of(&self, offset: usize) -> (&'a str, Range<usize>) {
        let behind = self.files.partition_point(|(_, range)| range.start <= offset);
        self.files.get(behind.saturating_sub(1)).cloned().unwrap_or_default()
    }

    /// The line of a byte offset among those of all files, counted from 1.
    fn line_in_all(&self, offset: usize) -> usize {
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
        let is_of_preset = self.files.get(self.own).is_some_and(|(_, first)| span.start >= first.start);
        let (span, message) = match is_of_preset {
            true => (self.preset_at.clone(), format!("of the preset `{}`: {message}", self.file_name_of(span.start))),
            false => (span, message),
        };
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
        let line = self.line_in_all(span.start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let line_end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let characters = |range: Range<usize>| self.text.get(range).map_or(0, |text| text.trim_end_matches('\r').chars().count());
        let covered = self.covered.iter().filter(|span| span.start < line_end && line_start < span.end);
        Finding {
            covered: covered
                .map(|span| characters(line_start..span.start.max(line_start))..characters(line_start..span.end.min(line_end)))
                .collect(),
            severity,
            file: self.file_name_of(span.start).to_owned(),
            line: self.line_of(span.start),
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
    use crate::config::findings::files::RuleFile;

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
    fn a_place_in_any_file_is_one_number() {
        let mut files = RuleFiles::one("main", "a: 1\nb: 2");
        for (name, text) in [("first", "\nc: 3\n"), ("empty", ""), ("last", "d: 4")] {
            files.included.push(RuleFile { name: name.into(), text: text.into() });
        }
        let joined = Joined::new(&files);
        let mut report = Report::of(&joined);
        let ranges = report.files();
        for (file, range) in files.iter().zip(&ranges) {
            assert_eq!(report.text[range.clone()], file.text);
            // Behind the last character too: what is missing is missed there.
            report.error(range.end..range.end, "end");
        }
        let d = report.text.find("d: 4").unwrap();
        report.error(d..d + 1, "d");
        assert_eq!(report.place_seen_from(d, d + 3), "on line 1");
        assert_eq!(report.place_seen_from(report.text.find("c: 3").unwrap(), d), "at first:2");
        let places: Vec<_> = report.finish().into_iter().map(|f| (f.file, f.line, f.column, f.message)).collect();
        let expected = [("main", 2, 5, "end"), ("first", 3, 1, "end"), ("empty", 1, 1, "end"), ("last", 1, 1, "d"), ("last", 1, 5, "end")];
        assert_eq!(places, expected.map(|(file, line, column, message)| (file.to_owned(), line, column, message.to_owned())));
    }

    #[test]
    fn a_secret_that_is_written_out_is_in_no_excerpt() {
        let text = "a: x\n\u{e9}: [k\u{e9}y-1, \"two\nlines\"], b: 1";
        let mut report = Report::new("f", text);
        report.cover(text.find("k\u{e9}y-1").unwrap()..text.find(", \"two").unwrap());
        report.cover(text.find("\"two").unwrap()..text.find("], b").unwrap());
        for mark in ["x", "\u{e9}: [", "b: 1"] {
            let at = text.find(mark).unwrap();
            report.warning(at..at + 1, "w");
        }
        let shown: Vec<String> = report.finish().into_iter().map(|finding| finding.render(text, false)).collect();
        assert!(shown[0].contains(" | a: x\n"), "{}", shown[0]);
        assert!(shown[1].contains(" | \u{e9}: [*****, ****\n"), "{}", shown[1]);
        assert!(shown[2].contains(" | ******], b: 1\n"), "{}", shown[2]);
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
