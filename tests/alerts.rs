//! The alerts do what they are for: promtool runs their tests, each is tested to fire, to resolve and to stay silent,
//! and each has a section for whoever is on call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const RULES: &str = "alerts/rules.yaml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Every alert: its name, its severity and the rule.
fn alerts() -> Vec<(String, String, Value)> {
    let rules = yaml(&root().join(RULES));
    let rules = list(&rules, "groups").iter().flat_map(|group| list(group, "rules"));
    let text = |rule: &Value, place: &str| rule.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
    let alerts: Vec<_> = rules
        .filter(|rule| rule["alert"].is_string())
        .map(|rule| (text(rule, "/alert"), text(rule, "/labels/severity"), rule.clone()))
        .collect();
    assert!(alerts.len() > 20, "{} alerts were found", alerts.len());
    alerts
}

fn test_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("alerts/tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    files
}

/// Runs promtool; fails the test with what it says, or says loudly that there is none.
fn promtool(arguments: &[&str], files: &[PathBuf]) {
    match Command::new("promtool").args(arguments).args(files).current_dir(root()).output() {
        Ok(ran) => {
            let told = [ran.stdout, ran.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
            assert!(ran.status.success(), "promtool {arguments:?}:\n{told}");
        }
        Err(error) => {
            let skipped = format!("SKIPPED: promtool cannot be run (Debian has it in the package `prometheus`): {error}");
            println!("{skipped}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{skipped}");
        }
    }
}

#[test]
fn promtool_finds_the_rules_in_order() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[root().join(RULES)]);
}

#[test]
fn promtool_finds_every_alert_where_the_tests_expect_it() {
    // Each file by a process of its own: one after the other they take twice as long.
    std::thread::scope(|scope| {
        for file in test_files() {
            scope.spawn(move || promtool(&["test", "rules"], &[file]));
        }
    });
}

/// What one test of a file expects of an alert, in the order of time: which severities fire.
fn expectations(test: &Value, alert: &str) -> Vec<BTreeSet<String>> {
    let severities = |expected: &Value| {
        let severity = |alert: &Value| alert["exp_labels"]["severity"].as_str().unwrap_or_default().to_owned();
        list(expected, "exp_alerts").iter().map(severity).collect()
    };
    list(test, "alert_rule_test").iter().filter(|expected| expected["alertname"] == alert).map(severities).collect()
}

#[test]
fn every_alert_is_tested_to_fire_to_resolve_and_to_stay_silent() {
    let files: Vec<Value> = test_files().iter().map(|file| yaml(file)).collect();
    let tests: Vec<&Value> = files.iter().flat_map(|file| list(file, "tests")).collect();
    for (alert, severity, _) in alerts() {
        let expected: Vec<Vec<BTreeSet<String>>> = tests.iter().map(|test| expectations(test, &alert)).collect();
        let fires_and_resolves = expected.iter().any(|course| {
            let fires = course.iter().position(|severities| severities.contains(&severity));
            fires.is_some_and(|place| place > 0 && course[place..].iter().any(|severities| !severities.contains(&severity)))
        });
        assert!(fires_and_resolves, "{alert} ({severity}): no test expects it to be silent, then to fire, then to be resolved");
        let stays_silent = expected.iter().any(|course| course.len() > 1 && course.iter().all(BTreeSet::is_empty));
        assert!(stays_silent, "{alert} ({severity}): no test expects it to stay silent where it might fire");
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_where_to_read_on() {
    for (alert, severity, rule) in alerts() {
        assert!(alert.starts_with("WizaRelay"), "{alert}");
        assert!(["page", "ticket"].contains(&severity.as_str()), "{alert}: severity {severity:?}");
        for name in ["summary", "description"] {
            assert!(rule["annotations"][name].as_str().is_some_and(|text| text.len() > 20), "{alert} has no {name}");
        }
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        let (page, heading) = runbook.split_once('#').unwrap();
        assert_eq!(heading, alert.to_lowercase(), "{alert}");
        assert!(pages().iter().any(|(name, text)| name == page && text.contains(&format!("\n## {alert}\n"))), "{alert} is not in {page}");
    }
}

/// The pages that the sections of alerts stand on: their paths and their texts.
fn pages() -> Vec<(String, String)> {
    ["receiving", "delivering", "running"]
        .map(|part| format!("docs/alerts-{part}.md"))
        .map(|page| {
            let text = std::fs::read_to_string(root().join(&page)).unwrap();
            (page, text)
        })
        .into()
}

#[test]
fn every_alert_has_a_section_for_whoever_is_on_call_and_every_section_an_alert() {
    let pages = pages();
    let index = std::fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let sections: Vec<(&str, &str)> =
        pages.iter().flat_map(|(_, text)| text.split("\n## ").skip(1)).filter_map(|section| section.split_once('\n')).collect();
    let alarms: Vec<&(&str, &str)> = sections.iter().filter(|(name, _)| name.starts_with("WizaRelay")).collect();
    let names: BTreeSet<String> = alerts().into_iter().map(|(alert, ..)| alert).collect();
    assert_eq!(alarms.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), names);
    assert_eq!(alarms.len(), names.len(), "two sections have one name");
    for (name, section) in alarms {
        let places =
            ["**Means**", "**Lost**", "**First**", "```sh\n", "**Fix**", "**Ends**", "**Escalate**"].map(|word| section.find(word));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {places:?}");
        let severities: Vec<String> = alerts().into_iter().filter(|(alert, ..)| alert == name).map(|(_, severity, _)| severity).collect();
        let told = format!("*{}*", severities.join(", "));
        assert!(section.trim_start().starts_with(&told), "{name} does not begin with {told}");
        let (page, _) = pages.iter().find(|(_, text)| text.contains(&format!("\n## {name}\n"))).unwrap();
        let row = format!("| [{name}]({}#{}) | {} |", page.trim_start_matches("docs/"), name.to_lowercase(), severities.join(", "));
        assert!(index.contains(&row), "docs/alerts.md has no row `{row}`");
        // Written once: in the rules.
        assert!(!section.contains("```promql"), "{name} repeats its expression");
    }
}
