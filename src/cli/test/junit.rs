//! Results for CI systems, in the XML that JUnit made common.

use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Run;
use crate::visible;

/// Writes one suite a file of tests.
pub(super) fn write(path: &Path, runs: &[Run]) -> Result<(), String> {
    let mut report = Report::new("wiza-relay");
    let mut suites: Vec<TestSuite> = Vec::new();
    for run in runs {
        let status = match &run.result {
            Ok(differences) if differences.is_empty() => TestCaseStatus::success(),
            Ok(_) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_message("the rules do something else (- wanted, + found)")
                    .set_description(visible::lines(&run.diff()).into_owned());
                status
            }
            Err(reason) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(visible::lines(reason).into_owned());
                status
            }
        };
        let file = visible::one_line(&run.file.display().to_string()).into_owned();
        let mut case = TestCase::new(visible::one_line(&run.name).into_owned(), status);
        case.set_classname(file.clone()).set_time(run.took);
        case.extra.insert("file".into(), file.clone().into());
        case.extra.insert("line".into(), run.line.to_string().into());
        match suites.iter_mut().find(|suite| suite.name.as_str() == file) {
            Some(suite) => suite,
            None => {
                suites.push(TestSuite::new(file));
                let last = suites.len() - 1;
                &mut suites[last]
            }
        }
        .add_test_case(case);
    }
    report.add_test_suites(suites);
    let text = report.to_string().map_err(|error| format!("cannot write the results as XML: {error}"))?;
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
