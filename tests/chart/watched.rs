//! What watches the relay is in the chart as it is beside it. These are copies and no links, since not everything that fetches or packages a
//! chart follows links.

use serde_json::{Value, json};

use crate::{CHART, list, object, objects, path, read, said, sets, text, yaml};

/// The alerts of a PrometheusRule or of alerts/rules.yaml.
fn alerts(groups: &Value) -> Vec<&Value> {
    let rules = list(groups, "/groups").iter().flat_map(|group| list(group, "/rules"));
    rules.filter(|rule| rule["alert"].is_string()).collect()
}

#[test]
fn the_alerts_are_those_of_alerts_rules_yaml() {
    let Some(said) = said() else { return };
    let spec = &object(said, "everything", "PrometheusRule")["spec"];
    assert_eq!(spec["groups"], yaml(&read("alerts/rules.yaml"))["groups"]);
    // Prometheus' own templates are not Helm's.
    assert!(alerts(spec).iter().any(|alert| text(alert, "/annotations/summary").contains("{{ $labels.job }}")));
}

#[test]
fn labels_and_the_runbooks_address_are_added() {
    let Some(said) = said() else { return };
    let given = yaml(&read("alerts/rules.yaml"));
    let spec = &object(said, "pod-monitor", "PrometheusRule")["spec"];
    let (given, found) = (alerts(&given), alerts(spec));
    assert_eq!(given.len(), found.len());
    for (given, found) in given.into_iter().zip(found) {
        assert_eq!(found["labels"]["team"], "revenue-operations");
        assert_eq!(found["labels"]["severity"], given["labels"]["severity"]);
        assert_eq!(found["expr"], given["expr"]);
        let address = format!("https://git.example.com/wiza-relay/blob/main/{}", text(given, "/annotations/runbook"));
        assert_eq!(text(found, "/annotations/runbook_url"), address);
    }
}

#[test]
fn an_alert_can_be_left_out() {
    let Some(said) = said() else { return };
    let names = |set: &str| -> Vec<String> {
        alerts(&object(said, set, "PrometheusRule")["spec"]).iter().map(|alert| text(alert, "/alert").to_owned()).collect()
    };
    let (all, fewer) = (names("everything"), names("alerts-left-out"));
    let left_out = ["WizaRelayNoWebhooks", "WizaRelayDestinationPaused"];
    assert_eq!(fewer, all.into_iter().filter(|name| !left_out.contains(&name.as_str())).collect::<Vec<_>>());
}

/// The dashboard whose panels lead to the runbooks below this address.
fn leading_to(original: &str, base: &str) -> Value {
    let mut dashboard: Value = serde_json::from_str(original).unwrap();
    let address = format!("{}/docs", base.trim_end_matches('/'));
    let variables = dashboard["templating"]["list"].as_array_mut().unwrap();
    let variable = variables.iter_mut().find(|variable| variable["name"] == "runbooks").unwrap();
    variable["query"] = address.clone().into();
    variable["current"] = json!({ "text": address, "value": address });
    dashboard
}

#[test]
fn the_dashboard_is_a_config_map_that_grafanas_sidecar_finds() {
    let Some(said) = said() else { return };
    let mut found = 0;
    for rendered in objects(said) {
        let Some(dashboard) = rendered.object.pointer("/data/wiza-relay.json") else { continue };
        let original = read("dashboards/wiza-relay.json");
        if let Some(base) = sets()[rendered.set].pointer("/prometheusRule/runbookBaseUrl").and_then(Value::as_str) {
            assert_eq!(serde_json::from_str::<Value>(dashboard.as_str().unwrap()).unwrap(), leading_to(&original, base));
        } else {
            assert_eq!(dashboard, original.as_str(), "{}", rendered.name());
        }
        assert_eq!(rendered.object["metadata"]["labels"]["grafana_dashboard"], "1", "{}", rendered.name());
        found += 1;
    }
    assert_eq!(found, 2);
    assert!(objects(said).iter().any(|rendered| rendered.object["metadata"]["namespace"] == "grafana"));
}

#[test]
fn the_chart_has_true_copies_of_alerts_and_dashboard() {
    for (original, copy) in [("alerts/rules.yaml", "files/alerts.yaml"), ("dashboards/wiza-relay.json", "files/dashboards/wiza-relay.json")]
    {
        let copy = format!("{CHART}/{copy}");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(path(&copy), read(original)).unwrap();
        }
        assert!(path(&copy).symlink_metadata().unwrap().is_file(), "{copy} is a link");
        assert!(read(original) == read(&copy), "{copy} is not {original}; UPDATE_EXPECTED=1 writes it anew");
    }
}

/// A watched relay that nobody hears of would be worse than one that does not start.
#[test]
fn a_copy_of_the_chart_without_them_is_refused_where_they_are_wanted() {
    let Some(said) = said() else { return };
    let refusal = |set: &str| said["without_files"][set].as_str();
    assert!(refusal("everything").is_some_and(|told| told.contains("files/") && told.contains("packaged chart")));
    assert!(refusal("alerts-left-out").is_some_and(|told| told.contains("files/alerts.yaml")));
    assert_eq!(refusal("minimal"), None);
}

#[test]
fn the_package_holds_these_files_and_renders_the_same() {
    let Some(said) = said() else { return };
    let packaged = said["packaged"].as_object().unwrap();
    let mut files: Vec<&String> = packaged.keys().filter(|name| name.starts_with("files/")).collect();
    files.sort();
    assert_eq!(files, ["files/alerts.yaml", "files/dashboards/wiza-relay.json"]);
    let objects = |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|entry| entry["object"].clone()).collect() };
    assert_eq!(objects(&said["packaged_objects"]), objects(&said["sets"]["everything"]["objects"]));
}

#[test]
fn one_relay_is_one_job_however_it_is_scraped() {
    let Some(said) = said() else { return };
    let mut monitors = 0;
    for rendered in objects(said) {
        let endpoints = match rendered.kind() {
            "PodMonitor" => "/spec/podMetricsEndpoints",
            "ServiceMonitor" => "/spec/endpoints",
            _ => continue,
        };
        let [endpoint] = list(rendered.object, endpoints) else { panic!("{} scrapes more than one port", rendered.name()) };
        assert_eq!((text(endpoint, "/port"), text(endpoint, "/path")), ("admin", "/metrics"), "{}", rendered.name());
        let job = list(endpoint, "/relabelings").iter().find(|rule| rule["targetLabel"] == "job").unwrap();
        assert_eq!(job["replacement"], rendered.object["metadata"]["name"], "{}", rendered.name());
        monitors += 1;
    }
    assert_eq!(
        monitors,
        sets().values().filter(|values| values["podMonitor"]["enabled"] == true || values["serviceMonitor"]["enabled"] == true).count()
    );
}
