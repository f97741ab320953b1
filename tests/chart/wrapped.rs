//! The chart as a part of another one, whose values.yaml Helm reads itself. The other tests hand over values that are read already.

use serde_json::{Value, json};

use crate::{said, text};

/// The values.yaml of wrapping charts, by name.
pub fn values() -> Value {
    let around = |more: &str| {
        format!(
            "wiza-relay:\n  existingConfigMap: rules\n  secrets: {{ existingSecret: wiza }}\n  webhook: {{ path: /webhooks/wiza }}\n  {more}\n"
        )
    };
    json!({
        "plain": around("fullnameOverride: relay"),
        "openshift": around("openshift: true"),
        "on": around("commonLabels: { on: x }"),
        "NO": around("commonLabels: { team: a, NO: x }"),
        "y": around("podLabels: { y: x }"),
        "quoted": around(r#"commonLabels: { "on": x, "NO": z }"#),
    })
}

/// What a wrapping chart renders; panics with Helm's words where it renders nothing.
fn objects<'s>(said: &'s Value, name: &str) -> Vec<&'s Value> {
    let found = &said["wrapped"][name];
    found.as_array().unwrap_or_else(|| panic!("{name}: {found}")).iter().map(|entry| &entry["object"]).collect()
}

/// The security contexts of all pods.
fn contexts<'s>(said: &'s Value, name: &str) -> Vec<&'s Value> {
    let pods = objects(said, name).into_iter().filter_map(|object| match text(object, "/kind") {
        "Pod" => object.pointer("/spec/securityContext"),
        "StatefulSet" => object.pointer("/spec/template/spec/securityContext"),
        _ => None,
    });
    pods.collect()
}

#[test]
fn openshift_takes_the_ids_out_in_a_chart_that_wraps_this_one() {
    let Some(said) = said() else { return };
    let plain = contexts(said, "plain");
    assert!(plain.len() >= 2 && plain.iter().all(|context| context["runAsUser"] == 65532 && context["fsGroup"] == 65532), "{plain:?}");
    let openshift = contexts(said, "openshift");
    assert_eq!(openshift.len(), plain.len());
    for context in openshift {
        assert_eq!(context, &json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }));
    }
}

#[test]
fn a_name_that_yaml_takes_for_a_boolean_is_refused_and_in_quotes_it_stays() {
    let Some(said) = said() else { return };
    for (name, at, read_as) in [("on", "commonLabels", "true"), ("NO", "commonLabels", "false"), ("y", "podLabels", "true")] {
        let refusal = said["wrapped"][name].as_str().unwrap_or_else(|| panic!("{name} is rendered"));
        assert!(refusal.contains(&format!("{at} has the name {read_as}")) && refusal.contains("YAML 1.1"), "{name}: {refusal}");
    }
    for object in objects(said, "quoted") {
        let labels = &object["metadata"]["labels"];
        assert_eq!((&labels["on"], &labels["NO"]), (&json!("x"), &json!("z")), "{object}");
    }
}
