//! The schema and the loader are held against each other: the same keys, and no value that the loader takes is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{included_file, routes_file, tests_file};
use crate::config::findings::report::Report;
use crate::config::{Severity, Values, load, load_for_dry_run, load_tests, yaml};

/// A file in which every mapping of the schema stands, so that a test can change it at any place.
const FILE: &str = r#"
include: [a.yaml]
source: { path: /w, api_keys: [{ sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }], dedupe: {} }
defaults:
  { headers: {}, rate_limit: { rate: 1/s }, retry: {}, circuit: {}, success: $.ok, sign: { secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw] },
    auth: { oauth2: { token_url: "https://h/", client_id: i, client_secret: s } }, tls: {} }
destinations:
  a: { url: "https://h/", headers: { x-a: x }, rate_limit: { rate: 1/s }, retry: {}, circuit: {}, success: $.ok, tls: {},
    sign: { secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }, auth: { basic: { username: u, password: p } } }
routes: [{ name: r, when: data.id, to: [{ destination: a, headers: {} }] }]
unmatched: [{ destination: a, headers: {} }]
egress: {}
retention: {}
own_events: {}
tests: [{ name: t, payload: {}, event: { query: { a: b } }, routes: [r], expect: { a: { headers: {} } } }]
"#;

/// Values of all sorts, to be tried everywhere.
fn values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "x",
        "a",
        "r",
        "GET",
        "put",
        "true",
        "False",
        "yes",
        "0",
        "1",
        "20",
        "1025",
        "-1",
        "2.5",
        "1e1",
        "10s",
        "1.5h",
        "1h 30m",
        "1M",
        "10S",
        "10 parsecs",
        "0s",
        "400d",
        "1MiB",
        "2 KB",
        "1mib",
        "1.5MiB",
        "10/s",
        "90 / m",
        "0/s",
        "10/d",
        "https://h/{{ data.id }}",
        "HTTP://h",
        "/w",
        "/w/",
        "w",
        "/a//b",
        "/a/../b",
        "/a b",
        "${X}",
        "${X:-10s}",
        "Bearer ${X}",
        "$${X}",
        "$.data.id",
        "$.data.[",
        "{{ data.id }}",
        "{{ data.id",
        "data.id == 1",
        "data.id = 1",
        "2026-01-31T12:00:00Z",
        "2026-01-31",
        "a=b&c=d",
        "two\nlines",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "crm/*.yaml",
        "crm/**.yaml",
        "crm/",
        "a/[b].json",
        "https://h/a.yml",
    ];
    let others = json!([
        null, true, 0, 1, 20, 1025, 2.5, -1, [], ["x"], ["a"], ["r"], [null], [1], {}, { "a": "x" }, { "a": {} }, { "x-a": 1 }, { "x-a": null },
        { "Webhook-ID": "x" }, { "rate": "1/s" }, { "destination": "a" }, { "sha256": "x" }, { "url": "https://h/" },
    ]);
    let others = others.as_array().unwrap().clone();
    texts.into_iter().map(Value::from).chain(others).collect()
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    /// The first one of a list.
    Item,
}

type Way = Vec<Step>;

fn shown(way: &[Step]) -> String {
    let steps = way.iter().map(|step| match step {
        Step::Key(name) => format!(".{name}"),
        Step::Item => "[0]".to_owned(),
    });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

/// Every place of a file that the schema knows, with its schema.
fn places(root: &Value) -> BTreeMap<Way, Value> {
    fn walk(root: &Value, schema: &Value, way: &Way, found: &mut BTreeMap<Way, Value>) {
        let mut keywords = schema.as_object().unwrap().clone();
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let target = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"));
            keywords = target.as_object().unwrap().clone().into_iter().chain(keywords).collect();
        }
        let mut below = |step: Step, schema: &Value| walk(root, schema, &[way.as_slice(), &[step]].concat(), found);
        for (key, schema) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
            below(Step::Key(key.clone()), schema);
        }
        if let Some(schema @ Value::Object(_)) = keywords.get("additionalProperties") {
            // The name stands in FILE.
            let name = if way.last() == Some(&Step::Key("headers".into())) { "x-a" } else { "a" };
            below(Step::Key(name.into()), schema);
        }
        if let Some(schema) = keywords.get("items") {
            below(Step::Item, schema);
        }
        found.insert(way.clone(), Value::Object(keywords));
    }
    let mut found = BTreeMap::new();
    walk(root, root, &Vec::new(), &mut found);
    found
}

/// The place in a file, made where it is not there.
fn at<'f>(file: &'f mut Value, way: &[Step]) -> &'f mut Value {
    way.iter().fold(file, |value, step| match step {
        Step::Key(name) => {
            if !value.is_object() {
                *value = json!({});
            }
            value.as_object_mut().unwrap().entry(name.clone()).or_insert(Value::Null)
        }
        Step::Item => {
            if value.as_array().is_none_or(Vec::is_empty) {
                *value = json!([null]);
            }
            &mut value[0]
        }
    })
}

/// Whether a mapping or a list stands there.
fn stands(file: &Value, way: &[Step]) -> bool {
    let found = way.iter().try_fold(file, |value, step| match step {
        Step::Key(name) => value.get(name),
        Step::Item => value.get(0),
    });
    found.is_some_and(|value| value.is_object() || value.is_array())
}

fn changed(file: &Value, way: &[Step], places: &BTreeMap<Way, Value>, value: Value) -> Value {
    let mut file = file.clone();
    *room(&mut file, way, places) = value;
    file
}

/// The place in a file; where a mapping may have one key only, the others make room for it.
fn room<'f>(file: &'f mut Value, way: &[Step], places: &BTreeMap<Way, Value>) -> &'f mut Value {
    for (length, step) in way.iter().enumerate() {
        let is_either_or = places.get(&way[..length]).is_some_and(|schema| schema.get("maxProperties") == Some(&json!(1)));
        if let (true, Step::Key(name)) = (is_either_or, step)
            && let Some(mapping) = at(file, &way[..length]).as_object_mut()
        {
            mapping.retain(|key, _| key == name);
        }
    }
    at(file, way)
}

fn lookup(name: &str) -> Option<String> {
    ["X", "WIZA_API_KEY", "CRM_TOKEN"].contains(&name).then(|| "10".to_owned())
}

/// A YAML text as JSON; `None` where it is no YAML.
fn as_json(text: &str) -> Option<Value> {
    let mut report = Report::new("file", text);
    let node = yaml::parse(&mut report)?;
    (!report.has_errors()).then(|| node.to_json())
}

/// JSON is YAML.
fn errors(file: &Value) -> Vec<String> {
    let findings = load("f", &file.to_string(), &lookup).findings.into_iter();
    findings.filter(|finding| finding.severity == Severity::Error).map(|finding| finding.message).collect()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().build(schema).unwrap()
}

fn refusals(validator: &Validator, file: &Value) -> Vec<String> {
    validator.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn both_are_schemas_and_say_what_every_key_is() {
    for schema in [routes_file(), included_file(), tests_file()] {
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        for (way, schema) in places(&schema) {
            let is_key_of_ours = matches!(way.last(), Some(Step::Key(name)) if name != "a" && name != "x-a");
            assert!(!is_key_of_ours || schema.get("description").is_some(), "{} has no description", shown(&way));
        }
    }
}

/// The loader names the keys that it knows when it meets one that it does not.
#[test]
fn the_keys_are_the_loaders() {
    let file = as_json(FILE).unwrap();
    assert_eq!(errors(&file), Vec::<String>::new());
    let config = load_for_dry_run("f", FILE, &lookup).config.unwrap();
    let mut compared = 0;
    for (schema, is_tests_only) in [(routes_file(), false), (tests_file(), true)] {
        let file = if is_tests_only { json!({ "tests": file["tests"] }) } else { file.clone() };
        let places = places(&schema);
        for (way, schema) in places.iter().filter(|(_, schema)| schema.get("additionalProperties") == Some(&json!(false))) {
            let mut file = file.clone();
            let mapping = room(&mut file, way, &places);
            if !mapping.is_object() {
                *mapping = json!({});
            }
            mapping["zzzzzzzz"] = json!(1);
            let text = file.to_string();
            let findings = if is_tests_only {
                load_tests("f", &text, Values::Of(&lookup), &config).findings
            } else {
                load("f", &text, &lookup).findings
            };
            let finding = findings.iter().find(|finding| finding.message.ends_with("has no key `zzzzzzzz`"));
            let finding = finding.unwrap_or_else(|| panic!("{} is not closed: {findings:?}", shown(way)));
            let known: BTreeSet<&str> = finding.hint.as_deref().unwrap().split('`').skip(1).step_by(2).collect();
            let ours: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(ours, known, "the schema's keys and the loader's, of `{}`", shown(way));
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared}");
}

/// Where the loader refuses more than the schema does.
const LOOSER: [(&str, &[&str]); 6] = [
    (
        "names of what stands elsewhere in the file",
        &["destination", "destinations", "to", "unmatched", "name", "route", "routes", "expect", "account"],
    ),
    ("conditions, paths and templates", &["when", "never", "success", "key", "order_by", "body", "x-a"]),
    ("what secrets and files hold", &["secret", "secrets", "ca"]),
    (
        "ranges of what has a unit",
        &[
            "window",
            "queue_old",
            "max_body",
            "timeout",
            "first",
            "max",
            "every",
            "deadline",
            "expire",
            "cooldown",
            "delivered",
            "dead",
            "parked",
            "size",
        ],
    ),
    ("networks and hosts", &["allow", "deny"]),
    ("ranges of numbers in quotes", &["concurrency", "attempts", "factor", "failures", "refusals", "burst", "on"]),
];

/// What an editor must never do: mark as wrong what the relay takes. The other way round a schema cannot know all.
#[test]
fn nothing_that_the_loader_takes_is_refused() {
    let file = as_json(FILE).unwrap();
    let schema = routes_file();
    let validator = validator(&schema);
    let (mut taken, mut refused_by_both) = (0, 0);
    let mut looser = BTreeSet::new();
    let places = places(&schema);
    for way in places.keys().filter(|way| !way.is_empty()) {
        for value in values() {
            let file = changed(&file, way, &places, value.clone());
            let (errors, refusals) = (errors(&file), refusals(&validator, &file));
            match (errors.is_empty(), refusals.is_empty()) {
                (true, false) => panic!("`{}`: {value} is taken by the loader, and refused by the schema: {refusals:?}", shown(way)),
                (true, true) => taken += 1,
                (false, false) => refused_by_both += 1,
                (false, true) if value.to_string().contains("${") => {}
                (false, true) => drop(looser.insert(shown(way).rsplit('.').next().unwrap().replace("[0]", ""))),
            }
        }
    }
    assert!(taken > 1000 && refused_by_both > 4000, "{taken} taken, {refused_by_both} refused");
    let expected = LOOSER.iter().flat_map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()));
    assert_eq!(looser, expected.collect(), "where the loader refuses what the schema takes");
}

#[test]
fn defaults_and_examples_are_taken() {
    let file = as_json(FILE).unwrap();
    let schema = routes_file();
    let validator = validator(&schema);
    let mut tried = 0;
    let places = places(&schema);
    // Of an either-or FILE has the one under `defaults` and the other below.
    for (way, schema) in places.iter().filter(|(way, _)| way.split_last().is_none_or(|(_, parent)| stands(&file, parent))) {
        let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
        for value in examples.chain(schema.get("default")) {
            let file = changed(&file, way, &places, value.clone());
            assert_eq!(refusals(&validator, &file), Vec::<String>::new(), "`{}`: {value}", shown(way));
            let text = file.to_string();
            let about_names = |message: &str| message.contains("there is no");
            let errors: Vec<_> = load_for_dry_run("f", &text, &lookup)
                .findings
                .into_iter()
                .filter(|finding| finding.severity == Severity::Error && !about_names(&finding.message))
                .collect();
            assert!(errors.is_empty(), "`{}`: {value}: {errors:?}", shown(way));
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

/// The samples of `tests/bad` that a schema cannot refuse, and why.
const BEYOND_A_SCHEMA: [(&str, &[&str]); 9] = [
    (
        "names of what stands elsewhere in the file",
        &[
            "destination-unknown",
            "hints-near-enough",
            "account-unknown",
            "account-without-names",
            "never-every-event",
            "unmatched-unknown",
            "route-names-twice",
        ],
    ),
    ("names that differ by case alone", &["header-twice"]),
    (
        "the language of conditions",
        &[
            "when-folded",
            "when-forgotten-quotes",
            "when-in-double-quotes",
            "when-in-single-quotes",
            "when-literal",
            "when-many-values",
            "when-single-equals",
            "when-cut-by-a-comment",
            "when-nested-too-deep",
            "when-pattern",
            "when-too-long",
            "when-words-of-other-languages",
            "when-of-other-languages",
        ],
    ),
    ("the language of paths", &["body-path-bad", "body-path-with-variable", "path-index-behind-filter"]),
    (
        "the language of templates",
        &[
            "body-template-unclosed",
            "body-template-unclosed-in-folded",
            "body-template-unknown-filter",
            "template-that-always-fails",
            "template-unknown-fact",
            "template-unknown-path",
            "template-attributes",
            "template-methods",
            "template-of-other-languages",
            "variable-of-other-tools",
            "template-without-its-end",
            "text-that-is-no-json",
            "url-host-from-payload",
            "url-host-open-before-template",
        ],
    ),
    (
        "values from outside the file",
        &[
            "duration-from-secret-bad",
            "egress-closed-host",
            "header-secret-with-control-character",
            "header-value-with-line-break",
            "path-from-variable",
            "url-secret-invalid",
            "url-value-moves",
            "variable-file-of-the-system",
            "variable-file-unreadable",
            "secret-empty",
            "secret-with-something-around",
            "variable-missing",
            "variable-name-invalid",
            "variable-of-the-relay",
            "variable-unclosed",
        ],
    ),
    ("how large a value with a unit is", &["max-body-too-large", "retry-max-below-first"]),
    ("how many headers a request has", &["headers-too-many"]),
    ("numbers beyond 1.8e308, which JSON itself does not limit", &["body-number-too-large"]),
];

#[test]
fn bad_files_are_refused_where_a_schema_can_know() {
    let validator = validator(&routes_file());
    let mut refused = 0;
    let mut beyond = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // What is no YAML, the editor sees by itself.
        let Some(file) = as_json(&text) else { continue };
        let refusals = refusals(&validator, &file);
        if load("f", &text, &lookup).config.is_some() {
            assert_eq!(refusals, Vec::<String>::new(), "{name} has warnings only");
        } else if refusals.is_empty() {
            beyond.insert(name);
        } else {
            refused += 1;
        }
    }
    let expected = BEYOND_A_SCHEMA.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned()));
    assert_eq!(beyond, expected.collect(), "(left) what the schema takes although it is bad");
    assert!(refused >= 50, "{refused}");
}

#[test]
fn good_files_are_taken() {
    let validator = validator(&routes_file());
    let read = |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let readme = read("README.md");
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for text in [read("routes.yaml").as_str(), FILE].iter().chain(&blocks) {
        assert_eq!(refusals(&validator, &as_json(text).unwrap()), Vec::<String>::new(), "{text}");
    }
    let tests = self::validator(&tests_file());
    let file = as_json(FILE).unwrap();
    assert_eq!(refusals(&tests, &json!({ "tests": file["tests"] })), Vec::<String>::new());
    assert!(!tests.is_valid(&file) && !tests.is_valid(&json!({ "tests": [{ "name": "t" }] })));
}
