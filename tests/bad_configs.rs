//! Each file of `tests/bad` is named by its defect, and has beside it what `check` says of it.
//!
//! `UPDATE_EXPECTED=1 cargo test --test bad_configs` writes the expectations anew; read the difference before you
//! commit it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use serde_json::Value;
use wiza_relay::config::{Finding, Severity, Values, load_from};
use wiza_relay::rules_file::RulesFile;

/// The environment that the files see.
const VARIABLES: [(&str, &str); 9] = [
    ("WIZA_API_KEY", "a-wiza-api-key"),
    ("CRM_TOKEN", "s3cret-token"),
    ("NOT_A_URL", "s3cret-nonsense"),
    ("MULTILINE", "s3cret-one\ns3cret-two\n"),
    ("CONTROLLED", "s3cret-one\u{1}s3cret-two"),
    ("EMPTY", ""),
    ("SPACED", "s3cret-token "),
    ("MARKED", "\u{feff}s3cret-token"),
    ("PEM", env!("CARGO_TARGET_TMPDIR")),
];

fn lookup(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

/// Certificates and keys that do not fit together, below `${PEM}`; written once for both tests.
fn write_certificates() {
    static WRITTEN: Once = Once::new();
    WRITTEN.call_once(make_certificates);
}

fn make_certificates() {
    let make = || rcgen::generate_simple_self_signed(["relay".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let encrypted = one.signing_key.serialize_pem().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (name, text) in [
        ("one.pem", one.cert.pem().as_str()),
        ("one.key", &one.signing_key.serialize_pem()),
        ("other.key", &other.signing_key.serialize_pem()),
        ("encrypted.key", &encrypted),
        ("garbled.pem", garbled),
        ("garbled.key", key),
        ("broken.pem", broken),
        ("words.pem", "s3cret words"),
        ("long.pem", &"x".repeat(1024 * 1024 + 1)),
    ] {
        fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), text).unwrap();
    }
}

/// What `check` prints, in words and as JSON, and its exit codes.
#[test]
fn check_says_the_same_in_words_and_as_json() {
    write_certificates();
    let check = |name: &str, more: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wiza-relay"));
        command.arg("check").arg(name).args(more).current_dir(folder()).env_clear().envs(VARIABLES).output().unwrap()
    };
    for path in files("yaml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let said = check(name, &[]);
        let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(words.contains(expected.trim_end()), "{name} says:\n{words}");

        let told = check(name, &["--json"]);
        let json: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|error| panic!("{name}: {error}"));
        let findings = json["findings"].as_array().unwrap();
        // A finding in words begins with its place, and what belongs to it with a blank.
        let headlines: Vec<&str> = expected.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
        let from_json: Vec<String> = findings
            .iter()
            .map(|finding| {
                let text = |key: &str| finding[key].as_str().unwrap().to_owned();
                assert!(finding["hint"].is_null() || expected.contains(&format!("= help: {}", text("hint"))), "{name}: {finding}");
                assert_eq!(finding.as_object().unwrap().len(), 6, "{finding}");
                format!("{}:{}:{}: {}: {}", text("file"), finding["line"], finding["column"], text("severity"), text("message"))
            })
            .collect();
        assert_eq!(from_json, headlines, "{name}");
        let is_good = findings.iter().all(|finding| finding["severity"] == "warning");
        assert_eq!(json["ok"], is_good, "{name}");
        assert_eq!((said.status.code(), told.status.code()), if is_good { (Some(0), Some(0)) } else { (Some(1), Some(1)) }, "{name}");
    }
}

#[test]
fn bad_files_are_explained() {
    write_certificates();
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for path in files("yaml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let files = RulesFile::new(&path).read().unwrap().files;
        let loaded = load_from(&files, Values::Of(&lookup));
        let said: Vec<String> = loaded.findings.iter().map(|finding| finding.render(files.text_of(&finding.file), false)).collect();
        // As in the folder itself.
        let here = folder().display().to_string();
        let said = said.join("\n").replace(&format!("{here}/"), "").replace(&here, ".");

        assert!(!loaded.findings.is_empty(), "{name} is not bad");
        let is_error = loaded.findings.iter().any(|finding| finding.severity == Severity::Error);
        assert_eq!(loaded.config.is_none(), is_error, "{name}: a file takes effect if, and only if, it has no errors");
        assert!(!said.contains("s3cret"), "{name} shows a secret:\n{said}");
        let of_a_file = |one: &Finding, next: &Finding| one.file != next.file || (one.line, one.column) <= (next.line, next.column);
        assert!(loaded.findings.is_sorted_by(of_a_file), "{name} is out of order");

        let expected = path.with_extension("txt");
        if update {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{name} now says:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_EXPECTED=1 accepts this)", wrong.join("\n\n"));
    assert!(files("yaml").len() >= 120);
    for expected in files("txt") {
        assert!(expected.with_extension("yaml").exists(), "{} has no file", expected.display());
    }
}
