//! Results for CI systems, in the XML that JUnit made common.

use std::path::Path;
use std::time::Duration;

use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::{ElementWriter, Writer};

use super::Run;
use crate::visible;

/// What a rule test can come to, beside being passed. The names are JUnit's.
enum Trouble {
    /// The rules do something else than the test wants.
    Failure { difference: String },
    /// The test could not be run.
    Error { reason: String },
}

/// One test, with texts that a terminal and an XML parser both take.
struct Case {
    name: String,
    file: String,
    line: usize,
    took: Duration,
    trouble: Option<Trouble>,
}

impl Case {
    fn of(run: &Run) -> Self {
        let trouble = match &run.result {
            Ok(differences) if differences.is_empty() => None,
            Ok(_) => Some(Trouble::Failure { difference: readable(&run.diff()) }),
            Err(reason) => Some(Trouble::Error { reason: readable(reason) }),
        };
        Self {
            name: readable(&visible::one_line(&run.name)),
            file: readable(&visible::one_line(&run.file.display().to_string())),
            line: run.line,
            took: run.took,
            trouble,
        }
    }

    fn write(&self, to: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let line = self.line.to_string();
        let took = seconds(self.took);
        let case = to.create_element("testcase").with_attributes([
            ("name", self.name.as_str()),
            ("classname", self.file.as_str()),
            ("time", took.as_str()),
            ("file", self.file.as_str()),
            ("line", line.as_str()),
        ]);
        match &self.trouble {
            None => case.write_empty(),
            Some(trouble) => case.write_inner_content(|inside| trouble.write(inside)),
        }?;
        Ok(())
    }
}

impl Trouble {
    fn write(&self, to: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        match self {
            Self::Failure { difference } => to
                .create_element("failure")
                .with_attribute(("message", "the rules do something else (- wanted, + found)"))
                .write_text_content(BytesText::new(difference))?,
            Self::Error { reason } => to.create_element("error").with_attribute(("message", reason.as_str())).write_empty()?,
        };
        Ok(())
    }
}

/// Writes one suite per file of tests.
pub(super) fn write(path: &Path, runs: &[Run]) -> Result<(), String> {
    let cases: Vec<Case> = runs.iter().map(Case::of).collect();
    let text = xml(&cases).map_err(|error| format!("cannot write the results as XML: {error}"))?;
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn xml(cases: &[Case]) -> std::io::Result<Vec<u8>> {
    let mut suites: Vec<(&str, Vec<&Case>)> = Vec::new();
    for case in cases {
        match suites.iter_mut().find(|(file, _)| *file == case.file) {
            Some((_, known)) => known.push(case),
            None => suites.push((&case.file, vec![case])),
        }
    }
    let mut to = Writer::new_with_indent(Vec::new(), b' ', 4);
    to.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    Counts::of(cases.iter()).open(&mut to, "testsuites", "wiza-relay").write_inner_content(|to| {
        suites.iter().try_for_each(|(file, cases)| {
            let suite = Counts::of(cases.iter().copied()).open(to, "testsuite", file);
            suite.write_inner_content(|to| cases.iter().try_for_each(|case| case.write(to))).map(|_| ())
        })
    })?;
    let mut text = to.into_inner();
    text.push(b'\n');
    Ok(text)
}

/// What a suite, and all suites together, say of their tests.
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    took: Duration,
}

impl Counts {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut counts = Self { tests: 0, failures: 0, errors: 0, took: Duration::ZERO };
        for case in cases {
            counts.tests += 1;
            counts.took += case.took;
            match case.trouble {
                Some(Trouble::Failure { .. }) => counts.failures += 1,
                Some(Trouble::Error { .. }) => counts.errors += 1,
                None => {}
            }
        }
        counts
    }

    /// Opens an element with these figures.
    fn open<'to>(&self, to: &'to mut Writer<Vec<u8>>, element: &'static str, name: &str) -> ElementWriter<'to, Vec<u8>> {
        to.create_element(element)
            .with_attribute(("name", name))
            .with_attribute(("tests", self.tests.to_string().as_str()))
            .with_attribute(("failures", self.failures.to_string().as_str()))
            .with_attribute(("errors", self.errors.to_string().as_str()))
            .with_attribute(("time", seconds(self.took).as_str()))
    }
}

/// In seconds, to the millisecond: what CI systems show.
fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// A text without control characters, of which XML 1.0 cannot say most.
fn readable(text: &str) -> String {
    visible::lines(text).into_owned()
}
