//! What Helm makes of the chart is what Kubernetes and its extensions take, and what was reviewed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Rendered, list, objects, path, piped, read, said, skipped, text};

#[test]
fn helm_lint_finds_nothing() {
    let Some(said) = said() else { return };
    for (set, rendered) in said["sets"].as_object().unwrap() {
        assert!(list(rendered, "/lint/errors").is_empty(), "{set}: {}", rendered["lint"]);
        // 1 is a remark: the chart has no icon.
        assert!(list(rendered, "/lint/messages").iter().all(|message| message["severity"] == 1), "{set}: {}", rendered["lint"]);
    }
}

#[test]
fn every_object_is_what_kubernetes_takes_from_the_oldest_version_on() {
    let Some(said) = said() else { return };
    let versions = list(said, "/versions");
    assert!(versions.len() >= 8 && versions[0] == "1.30.0", "{versions:?}");
    let all = objects(said);
    let checked: Vec<&Rendered<'_>> = all.iter().filter(|rendered| !rendered.complaints.is_null()).collect();
    for rendered in &checked {
        assert!(list(rendered.complaints, "").is_empty(), "{}: {}", rendered.name(), rendered.complaints);
    }
    assert!(checked.len() > 60, "{} objects", checked.len());
    assert!(said["sets"].as_object().unwrap().len() >= 10);
}

/// Prometheus' operator and the Gateway API are not of Kubernetes itself; packages of npm carry validators for theirs.
#[test]
fn every_custom_object_is_what_its_owner_takes_and_a_misspelt_one_would_not_be() {
    let Some(said) = said() else { return };
    let npm = path("target/npm");
    if !npm.join("node_modules/@kubernetes-models/gateway-api").exists() || Command::new("node").arg("--version").output().is_err() {
        return skipped("there is no node with @kubernetes-models in target/npm (tests/run installs them)");
    }
    let all: Vec<Rendered<'_>> = objects(said).into_iter().filter(|rendered| rendered.complaints.is_null()).collect();
    let mut asked: Vec<Value> = all.iter().map(|rendered| rendered.object.clone()).collect();
    for kind in ["PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"] {
        let right = all.iter().find(|rendered| rendered.kind() == kind).unwrap_or_else(|| panic!("no set has a {kind}"));
        let mut wrong = right.object.clone();
        wrong["spec"]["specialy"] = true.into();
        asked.push(wrong);
    }
    let bridge = path("tests/chart/custom.mjs");
    let arguments: [&Path; 2] = [&bridge, &npm];
    let answers = piped("node", &arguments, &asked.into()).unwrap().unwrap_or_else(|error| panic!("{error}"));
    let (right, wrong) = answers.as_array().unwrap().split_at(all.len());
    for (rendered, complaints) in all.iter().zip(right) {
        assert_eq!(complaints, &Value::Array(Vec::new()), "{}", rendered.name());
    }
    assert!(wrong.iter().all(|complaints| complaints.to_string().contains("specialy")), "{wrong:?}");
}

/// The rules reach the relay as they were written, whatever YAML 1.1, `tpl` or a map would make of them.
#[test]
fn the_rules_arrive_unchanged_and_are_valid() {
    let Some(said) = said() else { return };
    let mut checked = 0;
    for rendered in objects(said) {
        let Some(routes) = rendered.object.pointer("/data/routes.yaml").and_then(Value::as_str) else { continue };
        assert_eq!(routes, read("tests/chart/routes.yaml"), "{}", rendered.name());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.yaml");
        std::fs::write(&file, routes).unwrap();
        std::fs::create_dir(folder.path().join("samples")).unwrap();
        std::fs::copy(path("samples/valid.json"), folder.path().join("samples/found.json")).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_wiza-relay"))
            .arg("check")
            .arg(&file)
            .env_clear()
            .env("WIZA_API_KEY", "key")
            .env("CRM_URL", "http://127.0.0.1:9/crm")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        checked += 1;
    }
    assert!(checked >= 10, "{checked} sets have rules");
}

/// The reviewed text of each set. `UPDATE_EXPECTED=1` writes them anew; then read the difference.
#[test]
fn what_is_rendered_is_what_was_reviewed() {
    let Some(said) = said() else { return };
    let mut differences = Vec::new();
    for (set, rendered) in said["sets"].as_object().unwrap() {
        let mut found = String::new();
        for (template, rendered) in rendered["rendered"].as_object().unwrap() {
            let rendered = shortened(rendered.as_str().unwrap());
            if !rendered.trim().is_empty() {
                found += &format!("# {template}\n{}\n\n", rendered.trim_end());
            }
        }
        let name = format!("tests/chart/expected/{set}.yaml");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::create_dir_all(path("tests/chart/expected")).unwrap();
            std::fs::write(path(&name), &found).unwrap();
        }
        if found != read(&name) {
            differences.push(name);
        }
    }
    assert!(differences.is_empty(), "{differences:?} are not what is rendered; UPDATE_EXPECTED=1 writes them anew");
    let sets = said["sets"].as_object().unwrap();
    for file in std::fs::read_dir(path("tests/chart/expected")).unwrap() {
        let file = file.unwrap().path();
        assert!(sets.contains_key(file.file_stem().unwrap().to_str().unwrap()), "{} is of no set", file.display());
    }
}

/// Without the texts that have tests and reviews of their own: rules, dashboards, alerts.
fn shortened(rendered: &str) -> String {
    let mut kept = String::new();
    // How far the block is indented that is left out.
    let mut within: Option<usize> = None;
    for line in rendered.lines() {
        let indent = line.len() - line.trim_start().len();
        if within.is_some_and(|outer| line.trim().is_empty() || indent > outer || (indent == outer && line.trim_start().starts_with("- ")))
        {
            continue;
        }
        within = None;
        // A release changes the version everywhere in one step; what was reviewed stays.
        kept += &format!("{}\n", line.trim_end().replace(env!("CARGO_PKG_VERSION"), "VERSION"));
        let key = line.trim_start();
        if key == "groups:" || key.contains(".json: |") || key.starts_with("routes.yaml: |") {
            kept += &format!("{}  # left out here\n", &line[..indent]);
            within = Some(indent);
        }
    }
    kept
}

#[test]
fn the_chart_is_of_the_relays_version() {
    let Some(said) = said() else { return };
    assert_eq!(text(said, "/metadata/appVersion"), env!("CARGO_PKG_VERSION"));
    let all = objects(said);
    let images: Vec<&str> = all
        .iter()
        .filter(|rendered| rendered.set == "minimal")
        .filter_map(|rendered| rendered.pod().map(|pod| pod.pointer("/spec/containers/0/image").unwrap().as_str().unwrap()))
        .collect();
    assert_eq!(images, [concat!("wiza-relay:", env!("CARGO_PKG_VERSION")); 2]);
}
