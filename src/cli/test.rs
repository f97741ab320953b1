//! `wiza-relay test`: do the rules do what their tests say?

mod junit;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::load::{self, counted};
use super::{Ending, out, rules};
use crate::config::{self, Config, Payload, RuleFiles, Severity, TESTS_ENDING, TestCase};
use crate::rule_test::{self, Difference};
use crate::rules_file::{self, folder_of, test_files};
use crate::visible;

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The rules file with its `tests`, the same as `--config`. With `--config`, this is the first file with more tests.
    #[arg(value_name = "RULES")]
    file: Option<PathBuf>,
    /// More tests: files, or folders with `*.test.yaml`. Those beside the rules are always read.
    #[arg(value_name = "TESTS")]
    tests: Vec<PathBuf>,
    #[command(flatten)]
    config: rules::Config,
    #[command(flatten)]
    secrets: load::Secrets,
    /// Run only the tests whose name contains these words.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Also write the results to this file, for CI systems (JUnit XML).
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// A test that was run.
struct Run {
    name: String,
    file: PathBuf,
    line: usize,
    took: Duration,
    result: Result<Vec<Difference>, String>,
}

impl Run {
    fn passed(&self) -> bool {
        self.result.as_ref().is_ok_and(Vec::is_empty)
    }

    /// What was found instead, as lines: what is wanted after `-`, what there is after `+`.
    fn diff(&self) -> String {
        let differences = match &self.result {
            Ok(differences) => differences,
            Err(reason) => return format!("{reason}\n"),
        };
        let nothing = || "(nothing)".to_owned();
        differences
            .iter()
            .map(|Difference { place, wanted, found }| {
                if wanted.is_none() && found.is_none() {
                    return format!("{place}\n");
                }
                let (wanted, found) = (wanted.clone().unwrap_or_else(nothing), found.clone().unwrap_or_else(nothing));
                format!("{place}\n  - {wanted}\n  + {found}\n")
            })
            .collect()
    }
}

impl Test {
    pub fn run(self) -> Ending {
        let runs = match self.run_all() {
            Ok(runs) => runs,
            Err(ending) => return ending,
        };
        if let Some(path) = &self.junit
            && let Err(reason) = junit::write(path, &runs)
        {
            return Ending::Failed(reason);
        }
        let failed = runs.iter().filter(|run| !run.passed()).count();
        let passed = runs.len() - failed;
        if self.json {
            let cases: Vec<_> = runs
                .iter()
                .map(|run| json!({ "name": run.name, "passed": run.passed(), "diff": (!run.passed()).then(|| run.diff()) }))
                .collect();
            out::json(&json!({ "passed": passed, "failed": failed, "cases": cases }));
        } else {
            show(&runs, passed, failed);
        }
        if failed == 0 { Ending::Good } else { Ending::No }
    }

    /// Where the rules are. What stands first is the rules, unless a flag names them.
    fn rules(&self) -> Result<PathBuf, String> {
        self.config.or(self.file.as_deref().filter(|_| !self.config.is_given()))
    }

    fn run_all(&self) -> Result<Vec<Run>, Ending> {
        let path = self.rules().map_err(Ending::Misused)?;
        let rules = self.secrets.of(&path);
        let file = load::read_for_dry_run(&rules).map_err(Ending::Misused)?;
        if load::count(&file.loaded.findings, Severity::Error) > 0 {
            file.show_findings();
        }
        let included: Vec<PathBuf> = file.files.included.iter().map(|file| PathBuf::from(&file.name)).collect();
        let config = file
            .into_config()
            .map_err(|errors| Ending::Failed(format!("{} has {}; no test was run", path.display(), counted(errors, "error"))))?;
        let mut runs = self.run_cases(&config, &config.tests);
        for path in self.more_files(&path, &included)? {
            let file = RuleFiles::one(
                path.display().to_string(),
                rules_file::read_text(&path).map_err(|error| Ending::Misused(error.to_string()))?,
            );
            let loaded = rules.with_values(|values| config::load_tests(&file.main.name, &file.main.text, values, &config));
            load::show_findings(&loaded.findings, &file);
            let errors = load::count(&loaded.findings, Severity::Error);
            let tests = loaded
                .tests
                .ok_or_else(|| Ending::Failed(format!("{} has {}; no test of it was run", path.display(), counted(errors, "error"))))?;
            runs.extend(self.run_cases(&config, &tests));
        }
        if runs.is_empty() {
            let hint = match &self.only {
                Some(words) => format!("no test's name holds `{words}`"),
                None => format!("{} holds no `tests`, and no `*{TESTS_ENDING}` is beside it", path.display()),
            };
            return Err(Ending::Failed(hint));
        }
        Ok(runs)
    }

    /// The files of tests beside the rules and beside what they include, then those that were named.
    fn more_files(&self, rules: &Path, included: &[PathBuf]) -> Result<Vec<PathBuf>, Ending> {
        let mut folders: Vec<&Path> = Vec::new();
        for file in std::iter::once(rules).chain(included.iter().map(PathBuf::as_path)) {
            let folder = folder_of(file);
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        let first = self.file.iter().filter(|_| self.config.is_given());
        let mut files: Vec<PathBuf> = Vec::new();
        for path in folders.into_iter().chain(first.chain(&self.tests).map(PathBuf::as_path)) {
            let named =
                if path.is_dir() { test_files(path).map_err(|error| Ending::Misused(error.to_string()))? } else { vec![path.to_owned()] };
            files.extend(named.into_iter().filter(|path| !files.contains(path)).collect::<Vec<_>>());
        }
        Ok(files)
    }

    fn run_cases(&self, config: &Config, cases: &[TestCase]) -> Vec<Run> {
        let wanted = |case: &&TestCase| self.only.as_ref().is_none_or(|words| case.name.contains(words.as_str()));
        cases
            .iter()
            .filter(wanted)
            .map(|case| {
                let started = Instant::now();
                let file = Path::new(&*case.place.file);
                let result = payload(file, case).and_then(|body| rule_test::run(config, case, body, Timestamp::now()));
                Run { name: case.name.clone(), file: file.to_owned(), line: case.place.line, took: started.elapsed(), result }
            })
            .collect()
    }
}

/// A file of a payload stands beside the file of its test.
fn payload(file: &Path, case: &TestCase) -> Result<Bytes, String> {
    match &case.payload {
        Payload::Inline(value) => Ok(Bytes::from(value.to_string())),
        Payload::File(name) => load::read_payload(&beside(file, name)),
    }
}

/// The path of what lies beside a file, written as the file's own was.
fn beside(file: &Path, name: impl AsRef<Path>) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

fn show(runs: &[Run], passed: usize, failed: usize) {
    let colour = load::in_colour(&std::io::stdout());
    let paint = |colour_of: AnsiColor| if colour { Style::new().fg_color(Some(colour_of.into())) } else { Style::new() };
    let (good, bad) = (paint(AnsiColor::Green), paint(AnsiColor::Red));
    for run in runs {
        if run.passed() {
            out::styled(format_args!("{good}ok{good:#}    {}\n", visible::one_line(&run.name)));
            continue;
        }
        let (name, file) = (visible::one_line(&run.name), run.file.display().to_string());
        out::styled(format_args!("{bad}FAIL{bad:#}  {name}  ({}:{})\n", visible::one_line(&file), run.line));
        for line in run.diff().lines() {
            let style = match line.trim_start().chars().next() {
                Some('-') if line.starts_with(' ') => good,
                Some('+') if line.starts_with(' ') => bad,
                _ => Style::new(),
            };
            out::styled(format_args!("        {style}{}{style:#}\n", visible::one_line(line)));
        }
    }
    out::line(format_args!("\n{passed} passed, {failed} failed{}", if failed == 0 { "" } else { "   (- wanted, + found)" }));
}
