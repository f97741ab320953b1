//! The documents say what is so: their YAML is valid, their commands and flags exist, their links lead somewhere; and
//! the code keeps its own rules of shape.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use wiza_relay::config::{Payload, RuleFile, RuleFiles, Values, load_from_for_dry_run};
use wiza_relay::rule_test;

/// What is read beside the pages in `docs`.
const BESIDE: [&str; 6] = ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "helm/wiza-relay/README.md"];

/// Every document, by its path from the root.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    assert!(found.len() > 7, "{found:?}");
    found.extend(BESIDE.map(str::to_owned));
    found.sort();
    found
}

/// Its files are short of a `source`; `tests/recipes.rs` completes and runs them.
const RECIPES: &str = "docs/recipes";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_routes_file_in_the_documents_is_valid_and_passes_its_tests() {
    let (mut checked, mut cases) = (0, 0);
    for document in documents().into_iter().filter(|document| !document.starts_with(RECIPES)) {
        // Helm's values are held against the chart.
        let mut blocks = blocks(&read(&document), "yaml");
        blocks.retain(|block| !block.starts_with("# values.yaml\n"));
        // A file that the one before it includes begins with its name.
        let is_included = |block: &&String| block.lines().next().is_some_and(|line| line.starts_with("# ") && line.ends_with(".yaml"));
        for (place, block) in blocks.iter().enumerate().filter(|(_, block)| !is_included(block)) {
            let lookup = |name: &str| {
                Some(match name {
                    name if name.ends_with("URL") => "https://example.com/hook".to_owned(),
                    name if name.ends_with("SIGNING_SECRET") => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
                    name if name.ends_with("SHA256") => "0f".repeat(32),
                    name => format!("value-of-{name}"),
                })
            };
            // The files that an example names are nowhere.
            let mut files = RuleFiles::one(document.as_str(), block.as_str());
            let included = blocks[place + 1..].iter().take_while(is_included);
            files.included.extend(included.map(|text| RuleFile { name: text.lines().next().unwrap().to_owned(), text: text.clone() }));
            let loaded = load_from_for_dry_run(&files, Values::Of(&lookup));
            assert!(loaded.config.is_some() && loaded.findings.is_empty(), "{document}: {:?}\n{block}", loaded.findings);
            let config = loaded.config.unwrap();
            for case in &config.tests {
                let body = match &case.payload {
                    Payload::File(name) => read(name),
                    Payload::Inline(value) => value.to_string(),
                };
                let differences = rule_test::run(&config, case, body.into(), Timestamp::UNIX_EPOCH).unwrap();
                assert!(differences.is_empty(), "{document}: {}: {differences:?}", case.name);
                cases += 1;
            }
            checked += 1;
        }
    }
    assert!(cases >= 6, "{cases}");
    assert!(checked > 0, "no block of YAML was found: is the README still one?");
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let mut checked = 0;
    for document in documents() {
        for line in blocks(&read(&document), "sh").iter().flat_map(|block| block.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(place) = command_place(&words) else { continue };
            // As the shell hands them over. With --help at the end they are read, and nothing is done.
            let ends = |word: &&&str| matches!(**word, "|" | "&&" | ";" | ">" | "2>") || word.starts_with('#');
            let arguments = words[place + 1..].iter().take_while(|word| !ends(word)).map(|word| word.trim_matches(['"', '\'']));
            let output = Command::new(env!("CARGO_BIN_EXE_wiza-relay")).args(arguments).arg("--help").output().unwrap();
            assert!(output.status.success(), "{document}: `{line}`: {}", String::from_utf8_lossy(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked > 0, "no command was found");
}

/// Where in a line the binary is run: first, or after variables, after another command, or by one that runs it. Elsewhere the
/// name is a user's, a group's, a service's.
fn command_place(words: &[&str]) -> Option<usize> {
    let runs = |before: &str| matches!(before, "|" | "&&" | ";" | "--" | "relay") || before.contains('=') && !before.starts_with('-');
    (0..words.len())
        .find(|&place| words[place] == "wiza-relay" && (place == 0 || runs(words[place - 1]) || words[place - 1].ends_with(')')))
}

/// The names by which a document's headings are linked to.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter)).collect::<String>().replace(' ', "-")
    })
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    for document in documents() {
        let text = read(&document);
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { root().join(&document) } else { root().join(&document).parent().unwrap().join(file) };
            assert!(file.exists(), "{document} links to {target}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(file).unwrap();
                assert!(headings(&text).any(|known| known == heading), "{document} links to {target}, and there is no such heading");
            }
        }
        for path in text.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && word.ends_with(".rs")) {
            let found = [PathBuf::new(), "src".into(), "src/store".into()].iter().any(|folder| root().join(folder).join(path).exists());
            assert!(found, "{document} names {path}");
        }
    }
}

#[test]
fn no_figure_is_left_open() {
    for document in documents() {
        assert!(!read(&document).contains("FIGURE_"), "{document}");
    }
}

/// Columns of a document's line. Code, tables, headings and pictures are as wide as they have to be.
const COLUMNS_MAX: usize = 100;

#[test]
fn text_wraps_at_a_hundred_columns() {
    for document in documents() {
        let mut is_code = false;
        for (number, line) in read(&document).lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            let may_be_wide = is_code || line.starts_with("    ") || line.trim_start().starts_with(['|', '#', '<', '!', '`']);
            assert!(may_be_wide || line.chars().count() <= COLUMNS_MAX, "{document}:{}: {line}", number + 1);
        }
    }
}

/// Every `.rs` file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What stands in the parentheses that were just opened, cut at its commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped, mut found) = (0, false, false, vec![String::new()]);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(letter);
    }
    found.into_iter().map(|argument| argument.trim().to_owned()).filter(|argument| !argument.is_empty()).collect()
}

#[test]
fn every_field_of_the_log_is_documented_and_there() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    // These four the formatter adds.
    let mut used: BTreeSet<String> = ["timestamp", "level", "target", "message"].map(str::to_owned).into();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            for rest in text.split(&format!("tracing::{level}!(")).skip(1) {
                let arguments = arguments(rest);
                // What the demo tells itself is in no log.
                if arguments.iter().any(|argument| argument.starts_with("target:")) {
                    continue;
                }
                assert!(arguments.last().unwrap().starts_with('"'), "{}: a line without a message: {arguments:?}", file.display());
                let fields = arguments[..arguments.len() - 1].iter();
                used.extend(fields.map(|field| field.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned()));
            }
        }
    }
    let operations = read("docs/watching.md");
    let section = operations.split("\n## Logs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let documented: BTreeSet<String> = rows.flat_map(|cell| cell.split("`, `")).map(|name| name.trim_matches('`').to_owned()).collect();
    assert_eq!(used.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not in docs/watching.md");
    assert_eq!(documented.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "these are only in docs/watching.md");
}

#[test]
fn files_stay_small_and_outside_things_have_one_owner() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let mut users: Vec<(&str, BTreeSet<String>)> = [
        "rusqlite::",
        "hyper::client",
        "reqwest::",
        "rustls::",
        "minijinja::",
        "prometheus::",
        "serde_yaml::",
        "governor::",
        "opentelemetry",
        "sd_notify",
        "setrlimit(",
    ]
    .map(|name| (name, BTreeSet::new()))
    .into();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(root().join("src")).unwrap().display().to_string();
        assert!(text.lines().count() <= 500, "{name} has more than 500 lines");
        for (crate_name, files) in &mut users {
            if text.contains(*crate_name) && !name.contains("test") {
                files.insert(name.split('/').next().unwrap().to_owned());
            }
        }
    }
    let owners = |name: &str| -> BTreeSet<String> { users.iter().find(|(known, _)| *known == name).unwrap().1.clone() };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(owners("rusqlite::"), set(&["store"]));
    assert_eq!(owners("hyper::client"), set(&["send"]));
    assert_eq!(owners("reqwest::"), set(&["cli"]), "the command line plays Wiza with a client of its own");
    assert_eq!(owners("rustls::"), set(&["send", "tls.rs"]), "certificates are checked in one place, errors told in the other");
    assert_eq!(owners("minijinja::"), set(&["transform"]));
    assert_eq!(owners("prometheus::"), set(&["metrics"]));
    assert_eq!(owners("serde_yaml::"), set(&["config"]));
    assert_eq!(owners("opentelemetry"), set(&["traces"]));
    assert_eq!(owners("sd_notify"), set(&["service_manager.rs"]));
    assert_eq!(owners("setrlimit("), set(&["core_dumps.rs", "open_files.rs"]), "each knows one limit of the process");
    assert_eq!(owners("governor::"), set(&["cli", "pace"]));
}
