//! The version stands in several places; deploy/release/prepare writes them all, and here they are held to one another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Each tells one version, or several times the same.
const TAGS: [&str; 4] = ["deploy/compose/compose.yaml", "deploy/compose/example.env", "docs/deploy.md", "docs/image.md"];
/// What stands before the version of an image: its tag, or the argument by which it is built.
const BEFORE_VERSION: [&str; 3] = ["wiza-relay:", "VERSION=", "VERSION: "];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The version of the first heading of a version, and whether it is released.
fn newest_in_changelog(text: &str) -> (String, bool) {
    let heading = text.lines().find_map(|line| line.strip_prefix("## ")).expect("CHANGELOG.md has no heading of a version");
    let (version, state) = heading.split_once(" (").unwrap_or_else(|| panic!("`{heading}` says neither a date nor (unreleased)"));
    let state = state.strip_suffix(')').unwrap();
    let is_date = state.parse::<jiff::civil::Date>().is_ok();
    assert!(is_date || state == "unreleased", "`{heading}`: `{state}` is no date");
    (version.to_owned(), is_date)
}

#[test]
fn the_changelog_speaks_of_this_version_or_of_the_next() {
    let (version, is_released) = newest_in_changelog(&read("CHANGELOG.md"));
    let numbers = |version: &str| -> Vec<u32> { version.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    let is_next = !is_released && numbers(&version) > numbers(VERSION);
    assert!(version == VERSION || is_next, "CHANGELOG.md begins with {version}, Cargo.toml says {VERSION}");
}

#[test]
fn the_lock_and_the_tags_of_the_image_are_of_this_version() {
    let lock = read("Cargo.lock");
    assert!(lock.contains(&format!("name = \"wiza-relay\"\nversion = \"{VERSION}\"\n")));
    for file in TAGS {
        let text = read(file);
        let tags: Vec<String> = BEFORE_VERSION
            .iter()
            .flat_map(|before| text.split(before).skip(1))
            .map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || ".-".contains(*letter)).collect::<String>())
            .filter(|tag| tag.starts_with(|letter: char| letter.is_ascii_digit()) && tag.contains('.'))
            .collect();
        assert!(!tags.is_empty(), "{file} names no image any more");
        assert!(tags.iter().all(|tag| tag == VERSION), "{file}: {tags:?}, and Cargo.toml says {VERSION}");
    }
}

#[test]
fn the_chart_is_of_this_version() {
    let chart = root().join("helm/wiza-relay/Chart.yaml");
    let chart: serde_json::Value = serde_yaml::from_str(&read(chart)).unwrap();
    assert_eq!((&chart["version"], &chart["appVersion"]), (&VERSION.into(), &VERSION.into()));
}

/// A copy of what is committed and changed here, as a repository of its own.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for path in ["Cargo.toml", "Cargo.lock", "CHANGELOG.md", "helm/wiza-relay/Chart.yaml", "deploy/release/prepare"].iter().chain(&TAGS)
        {
            copy.write(path, &read(path));
        }
        let script = copy.path("deploy/release/prepare");
        std::fs::set_permissions(&script, root().join("deploy/release/prepare").metadata().unwrap().permissions()).unwrap();
        copy.write("CHANGELOG.md", &format!("# Changelog\n\n## 99.1.0 (unreleased)\n\n- New.\n\n## {VERSION} (2026-01-01)\n"));
        copy.commit();
        copy
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.0.path()).args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    fn commit(&self) {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "all"]);
    }

    fn prepare(&self, arguments: &[&str]) -> Output {
        // The tests of the copy, which has no code, are these here; what they look at is looked at below.
        let cargo = self.0.path().join(".git/cargo");
        std::fs::write(&cargo, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", cargo.parent().unwrap().display(), std::env::var("PATH").unwrap());
        Command::new(self.path("deploy/release/prepare")).args(arguments).env("PATH", path).output().unwrap()
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], why: &str) {
        let ran = self.prepare(arguments);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn one_step_writes_a_version_everywhere() {
    let copy = Copy::new();
    let dry = copy.prepare(&["99.1.0", "--dry-run"]);
    let shown = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.status.success() && shown.contains("+version = \"99.1.0\""), "{dry:?}");
    assert_eq!(copy.git(&["status", "--porcelain"]), "", "a dry run changes nothing");

    let ran = copy.prepare(&["99.1.0"]);
    assert!(ran.status.success(), "{ran:?}");
    let (version, is_released) = newest_in_changelog(&copy.read("CHANGELOG.md"));
    assert!(version == "99.1.0" && is_released);
    for (file, count) in [("Cargo.toml", 1), ("Cargo.lock", 1), ("helm/wiza-relay/Chart.yaml", 2)] {
        assert_eq!(copy.read(file).matches("99.1.0").count(), count, "{file}");
    }
    for file in TAGS {
        let text = copy.read(file);
        assert!(text.contains("wiza-relay:99.1.0"), "{file}");
        assert!(BEFORE_VERSION.iter().all(|before| !text.contains(&format!("{before}{VERSION}"))), "{file} still has {VERSION}");
    }
    let changed = copy.git(&["diff", "--numstat"]);
    assert!(changed.lines().all(|line| line.split('\t').take(2).all(|count| count.parse::<u32>().unwrap() <= 6)), "too much:\n{changed}");
}

/// As a first release is: Cargo.toml says it already, and only the heading changes.
#[test]
fn a_version_that_is_there_already_gets_its_date() {
    let copy = Copy::new();
    copy.write("CHANGELOG.md", &format!("# Changelog\n\n## {VERSION} (unreleased)\n"));
    copy.commit();
    let ran = copy.prepare(&[VERSION]);
    assert!(ran.status.success(), "{ran:?}");
    assert!(newest_in_changelog(&copy.read("CHANGELOG.md")).1);
    assert_eq!(copy.git(&["diff", "--name-only"]), "CHANGELOG.md\n");
}

#[test]
fn what_is_no_release_is_refused() {
    let copy = Copy::new();
    copy.refuses(&[], "usage");
    copy.refuses(&["1.0"], "usage");
    copy.refuses(&["99.1.0", "--force"], "no option");
    copy.refuses(&["0.0.1"], "older than");
    copy.git(&["tag", "v99.1.0"]);
    copy.refuses(&["99.1.0"], "is a tag already");
    copy.write("CHANGELOG.md", "# Changelog\n\n## 0.1.0 (2026-01-01)\n");
    copy.refuses(&["99.2.0"], "not committed");
    copy.commit();
    copy.refuses(&["99.2.0"], "(unreleased)");
}
