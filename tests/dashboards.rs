//! What can be said of dashboards/ without a relay: it is what its generator writes, it is of Grafana's own types, and
//! every panel says what it means, in which unit, and where its runbook is. `tests/relay/dashboards.rs` runs its queries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const DASHBOARD: &str = "dashboards/wiza-relay.json";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// Says loudly that a test cannot run here; where everything must run (`CI=true`), fails it.
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "SKIPPED: {why}");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn it_is_what_the_generator_writes() {
    let Ok(ran) = Command::new("python3").arg("-B").arg(path("dashboards/generate.py")).arg("--print").output() else {
        return skipped("there is no python3");
    };
    assert!(ran.status.success(), "{}", said(&ran));
    let written = String::from_utf8(ran.stdout).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path(DASHBOARD), &written).unwrap();
    }
    assert!(written == read(DASHBOARD), "{DASHBOARD} is out of date: python3 dashboards/generate.py writes it anew");
}

/// Grafana publishes the types of its dashboards as a package of npm; tests/run installs it with the compiler.
#[test]
fn it_is_of_grafanas_own_types_and_a_mistake_would_not_be() {
    let node_modules = path("target/npm/node_modules");
    let compiler = node_modules.join("typescript/bin/tsc");
    if !compiler.exists() || !node_modules.join("@grafana/schema").exists() || Command::new("node").arg("--version").output().is_err() {
        return skipped("there is no node with typescript and @grafana/schema in target/npm (tests/run installs them)");
    }
    // Beside the packages, so that they are found.
    let folder = path("target/npm/dashboards");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(path("tests/dashboards/grafana.ts"), folder.join("grafana.ts")).unwrap();
    let right = read(DASHBOARD);
    let write = |name: &str, dashboard: &str| {
        let text = format!("import type {{ Dashboard }} from './grafana';\nexport const dashboard: Dashboard = {dashboard}");
        std::fs::write(folder.join(name), text).unwrap();
    };
    write("right.ts", &right);
    let mistakes = [
        (r#""drawStyle": "line""#, r#""drawStile": "line""#),
        (r#""mode": "absolute""#, r#""mode": "absolut""#),
        (r#""id": "custom.lineStyle""#, r#""id": "custom.lineStile""#),
        (r#""legendFormat": "#, r#""legend": "#),
        (r#""type": "stat""#, r#""type": "single""#),
        (r#""schemaVersion": "#, r#""schema": "#),
        (r#""useValueForTime": true"#, r#""useValueForTime": "on""#),
    ];
    for (number, (from, to)) in mistakes.into_iter().enumerate() {
        assert!(right.contains(from), "{from}");
        write(&format!("wrong-{number}.ts"), &right.replacen(from, to, 1));
    }
    let files = std::iter::once("right.ts".to_owned()).chain((0..mistakes.len()).map(|number| format!("wrong-{number}.ts")));
    let options = ["--noEmit", "--strict", "--pretty", "false", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"];
    let ran = Command::new("node").arg(compiler).args(options).args(files).current_dir(folder).output().unwrap();
    let said = said(&ran);
    for file in ["right.ts", "grafana.ts"] {
        assert!(!said.lines().any(|line| line.starts_with(file)), "{said}");
    }
    for (number, (_, to)) in mistakes.into_iter().enumerate() {
        assert!(said.lines().any(|line| line.starts_with(&format!("wrong-{number}.ts("))), "{to} went unnoticed:\n{said}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn every_panel_says_what_it_means_in_which_unit_and_where_its_runbook_is() {
    let headings = |page: &str| -> BTreeSet<String> {
        let text = read(&format!("docs/{page}"));
        let headings = text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-").replace([',', '.', '\''], "")).collect()
    };
    let dashboard = dashboard();
    let mut seen = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        assert!(seen.insert(panel["id"].as_u64().unwrap()), "two panels have the number {}", panel["id"]);
        if panel["type"] == "row" {
            continue;
        }
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().unwrap().len() > 40, "{title} does not say what it means");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(defaults["noValue"].as_str().is_some_and(|word| !word.is_empty()), "{title} has no word for no value");
        // A table's columns have units of their own, states have words.
        match panel["type"].as_str().unwrap() {
            "table" => {
                let units = list(&panel["fieldConfig"]["overrides"]).iter().filter(|column| column.to_string().contains("\"unit\""));
                assert_eq!(units.count() + 1, list(&panel["targets"]).len(), "{title}: each column but the words has a unit");
            }
            "state-timeline" => assert!(!list(&defaults["mappings"]).is_empty(), "{title}"),
            _ => assert!(defaults["unit"].is_string(), "{title} has no unit"),
        }
        let link = list(&panel["links"])[0]["url"].as_str().unwrap();
        let place = link.strip_prefix("${runbooks:raw}/").unwrap_or_else(|| panic!("{title} leads to {link}"));
        let (page, heading) = place.split_once('#').unwrap();
        assert!(headings(page).contains(heading), "{title} leads to docs/{place}, and there is no such heading");
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            assert!(!expression.contains("rate(") || expression.contains("$__rate_interval]"), "{title}: {expression}");
            // Prometheus 2 has le="300" where Prometheus 3 has le="300.0".
            assert!(!expression.contains("le=\""), "{title}: {expression}");
            // Two clusters may have a namespace, a job and an address in common.
            assert!(!expression.contains("on (namespace") && !expression.contains("by (namespace"), "{title}: {expression}");
        }
    }
    assert!(seen.len() > 40, "{}", seen.len());
}

#[test]
fn panels_fill_the_grid_without_overlapping() {
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard()["panels"]) {
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{}", panel["title"]);
        for place in (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} lies on another panel", panel["title"]);
        }
    }
    let bottom = taken.iter().map(|(_, y)| y).max().unwrap() + 1;
    assert_eq!(taken.len() as u64, 24 * bottom, "there is a gap");
}

/// By hand, provisioned and by the sidecar of Kubernetes: none of them answers questions that a file asks.
#[test]
fn it_can_be_loaded_in_every_way() {
    let dashboard = dashboard();
    assert!(!read(DASHBOARD).contains("__inputs"), "provisioning does not fill in inputs");
    assert_eq!((&dashboard["uid"], dashboard.get("id")), (&Value::from("wiza-relay"), None), "one uid for ever, no number of one Grafana");
    let variables: Vec<&str> = list(&dashboard["templating"]["list"]).iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(variables, ["datasource", "cluster", "namespace", "job", "instance", "destination", "runbooks"]);
    let files = std::fs::read_dir(path("dashboards")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(files.filter(|name| name.ends_with(".json")).eq(["wiza-relay.json"]), "the chart takes every *.json");
}
