//! The Helm chart: rendered by Helm's own engine over many sets of values, held against Kubernetes' schemas, and started.
//! `bridge.py` and `custom.mjs` ask others; what is judged is judged here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod accepted;
mod documented;
mod invariants;
mod nothing;
mod refused;
mod rendered;
mod running;
mod watched;
mod wrapped;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

const CHART: &str = "helm/wiza-relay";
/// The oldest version that Chart.yaml admits.
const KUBERNETES: &str = "1.30";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The elements of a list; none where there is no list.
fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

/// The sets of values, by name. One that gives no rules has those of `routes.yaml`.
fn sets() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(path("tests/chart/values")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let mut values = yaml(&std::fs::read_to_string(&file).unwrap());
            values.as_object_mut().unwrap().entry("routes").or_insert_with(|| read("tests/chart/routes.yaml").into());
            (file.file_stem().unwrap().to_str().unwrap().to_owned(), values)
        })
        .collect()
}

/// Says loudly that a test cannot run here; where everything must run (`CI=true`), fails it.
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "SKIPPED: {why}");
}

/// Runs a program with a text on its standard input; `None` where there is no such program.
fn piped(program: impl AsRef<std::ffi::OsStr>, arguments: &[&Path], input: &Value) -> Option<Result<Value, String>> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    // Beside the reading: either side may have more to say than a pipe holds.
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let ran = child.wait_with_output().unwrap();
    let _ = writing.join();
    Some(match ran.status.success() {
        true => Ok(serde_json::from_slice(&ran.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    })
}

/// What Helm and Kubernetes say of the chart, asked once; `None` where they cannot be asked.
fn said() -> Option<&'static Value> {
    static SAID: OnceLock<Option<Value>> = OnceLock::new();
    let said = SAID.get_or_init(|| {
        let python = path("target/venv/bin/python");
        let there = Command::new(&python).args(["-c", "import helm_python, kubernetes_validate"]).output();
        if !there.is_ok_and(|ran| ran.status.success()) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let without_files = folder.path().join("wiza-relay");
        let copied = Command::new("cp").args(["-r", "--", CHART]).arg(&without_files).current_dir(path("")).status().unwrap();
        assert!(copied.success());
        std::fs::remove_dir_all(without_files.join("files")).unwrap();
        let bad: BTreeMap<&str, Value> = refused::MISTAKES.iter().map(|(name, mistake, _)| (*name, refused::with(mistake))).collect();
        let asked = json!({
            "chart": path(CHART), "without_files": without_files, "package_into": folder.path(), "kubernetes": KUBERNETES,
            "sets": sets(), "more": accepted::more(), "bad": bad, "pairs": nothing::pairs(),
            "wrapped": wrapped::values(),
            "manifests": accepted::manifests(),
        });
        Some(piped(&python, &[&path("tests/chart/bridge.py")], &asked).unwrap().unwrap_or_else(|error| panic!("{error}")))
    });
    if said.is_none() {
        skipped("helm-python-sdk and kubernetes-validate are not in target/venv (tests/run installs them)");
    }
    said.as_ref()
}

/// An object of a rendered set.
struct Rendered<'s> {
    set: &'s str,
    object: &'s Value,
    complaints: &'s Value,
}

impl Rendered<'_> {
    fn kind(&self) -> &str {
        text(self.object, "/kind")
    }

    /// For messages.
    fn name(&self) -> String {
        format!("{}: {} {}", self.set, self.kind(), text(self.object, "/metadata/name"))
    }

    /// What the object says of its pods, if it has some.
    fn pod(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => Some(self.object),
            "StatefulSet" => self.object.pointer("/spec/template"),
            _ => None,
        }
    }
}

/// All objects of all sets.
fn objects(said: &Value) -> Vec<Rendered<'_>> {
    let sets = said["sets"].as_object().unwrap();
    let all = sets.iter().flat_map(|(set, rendered)| list(rendered, "/objects").iter().map(move |entry| (set, entry)));
    all.map(|(set, entry)| Rendered { set, object: &entry["object"], complaints: &entry["complaints"] }).collect()
}

/// The one object of a kind in a set.
fn object<'s>(said: &'s Value, set: &str, kind: &str) -> &'s Value {
    let found: Vec<_> = objects(said).into_iter().filter(|rendered| rendered.set == set && rendered.kind() == kind).collect();
    assert_eq!(found.len(), 1, "{set} has {} of {kind}", found.len());
    found[0].object
}
