//! A value that somebody sets to nothing, as `--set affinity=null` or a bare `affinity:` does: Helm then takes the default away. Either
//! nothing means what the empty value means, or it is refused by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{read, said, sets, yaml};

/// Defaults that are not empty, and still may be: each of their comments says what empty means.
const MAY_BE_EMPTY: [&str; 5] =
    ["/networkPolicy/admin/from", "/networkPolicy/egress/rules", "/podMonitor/interval", "/serviceMonitor/interval", "/test/path"];
/// Defaults that are empty, and may not be where their part is enabled.
const NEEDED: [&str; 3] = ["/tracing/endpoint", "/ingress/hosts", "/httpRoute/parentRefs"];
/// What Kubernetes can do without. Their empty value is the default, as Helm puts maps together.
const LEFT_OUT: [&str; 3] = ["/startupProbe", "/livenessProbe", "/readinessProbe"];
/// What is handed on to Kubernetes as it is, whatever is in it.
const HANDED_ON: [&str; 5] = ["/podSecurityContext", "/securityContext", "/updateStrategy", "/resources", "/test/resources"];

fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Every value of values.yaml with its default, and those that hold others.
fn walk(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let Some(map) = value.as_object() else { return };
    for (key, value) in map {
        let at = format!("{at}/{key}");
        if !HANDED_ON.contains(&at.as_str()) && !LEFT_OUT.contains(&at.as_str()) {
            walk(&at, value, found);
        }
        found.push((at, value.clone()));
    }
}

/// Each with its default.
fn all() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk("", &yaml(&read("helm/wiza-relay/values.yaml")), &mut found);
    found
}

/// Sets a value that may have no folder yet.
fn set(values: &mut Value, at: &str, to: Value) {
    let mut place = values;
    for key in at.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = place.as_object_mut().unwrap().entry(key).or_insert(Value::Null);
    }
    *place = to;
}

/// By its path, the values with nothing there, and with the empty value.
pub fn pairs() -> BTreeMap<String, [Value; 2]> {
    all()
        .into_iter()
        .map(|(at, default)| {
            let mut base = sets().remove("everything").unwrap();
            // They are long, and only their own values change them.
            for large in ["dashboards", "prometheusRule"].into_iter().filter(|large| !at.contains(large)) {
                base[large]["enabled"] = false.into();
            }
            let empty = match &default {
                Value::String(_) => json!(""),
                Value::Array(_) => json!([]),
                Value::Object(_) => json!({}),
                other => other.clone(),
            };
            let with = |to: Value| {
                let mut values = base.clone();
                set(&mut values, &at, to);
                values
            };
            (at.clone(), [with(Value::Null), with(empty)])
        })
        .collect()
}

#[test]
fn nothing_means_empty_or_is_refused_by_name() {
    let Some(said) = said() else { return };
    let mut wrong = Vec::new();
    for (at, default) in all() {
        let found = &said["pairs"][&at];
        let is_among = |list: &[&str]| list.contains(&at.as_str());
        let may = default.is_null() || is_empty(&default) && !is_among(&NEEDED) || is_among(&MAY_BE_EMPTY);
        let is_right = match found.as_str() {
            Some(refusal) if at == "/routes" => refusal.contains("routes is empty"),
            Some(refusal) => !may && refusal.contains(&format!("missing property '{}'", at.rsplit('/').next().unwrap())),
            None if is_among(&LEFT_OUT) => found == false,
            None => may && found == true,
        };
        if !is_right {
            wrong.push(format!("{at}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
