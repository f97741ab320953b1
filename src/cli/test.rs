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
use crate::config::{self, Config, Payload, Severity, TestCase};
use crate::rule_test::{self, Difference};
use crate::rules_file::RulesFile;
use crate::visible;

/// What the name of a file of tests ends with.
const TESTS_SUFFIX: &str = ".test.yaml";

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The rules, with their `tests`, as `--config` names them too. With `--config` this is the first file of more tests.
    #[arg(value_name = "RULES")]
    file: Option<PathBuf>,
    /// More tests: files, or folders with `*.test.yaml`. Those beside the rules are always read.
    #[arg(value_name = "TESTS")]
    tests: Vec<PathBuf>,
    #[command(flatten)]
    config: rules::Config,
    #[command(flatten)]
    secrets: load::Secrets,
    /// Run only the tests whose name holds these words.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Also write the results there, for CI systems (JUnit XML).
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
        let config = file
            .into_config()
            .map_err(|errors| Ending::Failed(format!("{} has {}; no test was run", path.display(), counted(errors, "error"))))?;
        let mut runs = self.run_cases(&config, &path, &config.tests);
        for path in self.more_files(&path)? {
            let text = RulesFile::new(&path).read().map_err(Ending::Misused)?;
            let loaded = rules.with_values(|values| config::load_tests(&path.display().to_string(), &text, values, &config));
            load::show_findings(&loaded.findings, &text);
            let errors = load::count(&loaded.findings, Severity::Error);
            let tests = loaded
                .tests
                .ok_or_else(|| Ending::Failed(format!("{} has {}; no test of it was run", path.display(), counted(errors, "error"))))?;
            runs.extend(self.run_cases(&config, &path, &tests));
        }
        if runs.is_empty() {
            let hint = match &self.only {
                Some(words) => format!("no test's name holds `{words}`"),
                None => format!("{} holds no `tests`, and no `*{TESTS_SUFFIX}` is beside it", path.display()),
            };
            return Err(Ending::Failed(hint));
        }
        Ok(runs)
    }

    /// The files of tests beside the rules, then those that were named.
    fn more_files(&self, rules: &Path) -> Result<Vec<PathBuf>, Ending> {
        let mut files = test_files(folder_of(rules))?;
        let first = self.file.iter().filter(|_| self.config.is_given());
        for path in first.chain(&self.tests) {
            let named = if path.is_dir() { test_files(path)? } else { vec![path.clone()] };
            files.extend(named.into_iter().filter(|path| !files.contains(path)).collect::<Vec<_>>());
        }
        Ok(files)
    }

    fn run_cases(&self, config: &Config, file: &Path, cases: &[TestCase]) -> Vec<Run> {
        let wanted = |case: &&TestCase| self.only.as_ref().is_none_or(|words| case.name.contains(words.as_str()));
        cases
            .iter()
            .filter(wanted)
            .map(|case| {
                let started = Instant::now();
                let result = payload(file, case).and_then(|body| rule_test::run(config, case, body, Timestamp::now()));
                Run { name: case.name.clone(), file: file.to_owned(), line: case.line, took: started.elapsed(), result }
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

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn test_files(folder: &Path) -> Result<Vec<PathBuf>, Ending> {
    let cannot = |error: std::io::Error| Ending::Misused(format!("cannot read the folder {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        // `./x` as `x`: so it is shown, and so it is known again when it is named too.
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TESTS_SUFFIX)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
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
