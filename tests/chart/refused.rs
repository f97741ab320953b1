//! A mistake in the values is refused, with words that name the place and the way out.

use serde_json::{Value, json};

use crate::{said, sets};

/// A mistake on top of the minimal values (YAML), and what the refusal must say.
pub const MISTAKES: [(&str, &str, &[&str]); 46] = [
    ("more replicas", "replicaCount: 2", &["embedded store is one process on one volume", "Set replicaCount to 1"]),
    ("fewer than none", "replicaCount: -1", &["/replicaCount"]),
    ("a word for a number", "replicaCount: one", &["/replicaCount"]),
    ("an unknown value", "replicas: 1", &["'replicas' not allowed"]),
    ("an unknown value within", "image: { tagg: x }", &["/image", "'tagg' not allowed"]),
    ("a digest cut short", "image: { digest: 'sha256:12' }", &["/image/digest"]),
    ("rules twice", "existingConfigMap: ours", &["routes and existingConfigMap are both given"]),
    ("no rules", "routes: ''", &["routes is empty", "--set-file routes=routes.yaml"]),
    ("rules as a map", "routes: { source: { path: /webhooks/wiza } }", &["/routes", "want string"]),
    ("rules without a path", "routes: 'source: {}'", &["no source.path was found", "wiza-relay check"]),
    ("a file outside of its folder", "routesFiles: { ../x: y }", &["'../x'"]),
    ("another path than the rules'", "webhook: { path: /other }", &["webhook.path is /other", "/webhooks/wiza"]),
    ("a path that is a variable", "routes: 'source: { path: \"/hooks/${TENANT:-emea}\" }'", &["holds a variable", "webhook.path"]),
    (
        "a letter that YAML changes",
        "routes: \"source: { path: /webhooks/wiza } # \\x85\"",
        &["routes.yaml holds", "U+0085", "by its number"],
    ),
    ("files of one key", "routesFiles: { a/b: one, a__b: two }", &["a/b and a__b would be one key"]),
    ("a name that no Service may have", "fullnameOverride: '2024'", &["/fullnameOverride"]),
    (
        "no relay and no volume",
        "{ replicaCount: 0, persistence: { retentionPolicy: { whenScaled: Delete } } }",
        &["would delete the volume"],
    ),
    ("a part that is left empty", "networkPolicy:", &["missing property 'networkPolicy'"]),
    ("secrets twice", "secrets: { existingSecret: ours }", &["secrets.existingSecret and secrets.values are both given"]),
    ("a short token", "admin: { token: short }", &["/admin/token"]),
    ("tokens twice", "admin: { token: 0123456789abcdef, existingSecret: ours }", &["admin.existingSecret and admin.token are both given"]),
    (
        "a viewer's token alone",
        "admin: { viewerToken: 0123456789abcdef }",
        &["admin.viewerToken is given without admin.token", "admin.existingSecretViewerKey"],
    ),
    (
        "one token for both",
        "admin: { token: 0123456789abcdef, viewerToken: 0123456789abcdef }",
        &["admin.viewerToken is the same as admin.token"],
    ),
    ("a key of no Secret", "admin: { existingSecretViewerKey: look }", &["without admin.existingSecret"]),
    (
        "one key for both tokens",
        "admin: { existingSecret: ours, existingSecretKey: look, existingSecretViewerKey: look }",
        &["are both look"],
    ),
    ("memory without a unit", "relay: { receiveMemory: '128' }", &["/relay/receiveMemory"]),
    ("an Ingress without a host", "ingress: { enabled: true }", &["/ingress/hosts"]),
    ("a route without a Gateway", "httpRoute: { enabled: true }", &["/httpRoute/parentRefs"]),
    (
        "two monitors",
        "{ podMonitor: { enabled: true }, serviceMonitor: { enabled: true } }",
        &["podMonitor and serviceMonitor are both enabled"],
    ),
    (
        "a claim that is not used",
        "persistence: { enabled: false, existingClaim: ours }",
        &["persistence.existingClaim is given, but persistence.enabled is false"],
    ),
    ("a size with a blank", "persistence: { size: 20 GB }", &["/persistence/size"]),
    ("a form of logs that is none", "relay: { logFormat: xml }", &["/relay/logFormat", "'json', 'text'"]),
    ("a duration with its unit", "relay: { graceSeconds: 25s }", &["/relay/graceSeconds", "want integer"]),
    ("traces to nowhere", "tracing: { enabled: true }", &["/tracing/endpoint"]),
    ("a sample that is none", "test: { sample: nothing }", &["/test/sample", "'unfound'"]),
    ("a kind of Service that is none here", "service: { type: ExternalName }", &["/service/type"]),
    ("a budget that blocks every drain", "podDisruptionBudget: { enabled: true, minAvailable: 1 }", &["'minAvailable' not allowed"]),
    ("a label that was `on`", "commonLabels: { 'true': x }", &["commonLabels has the name true", "YAML 1.1", "in quotes"]),
    ("a label that was `NO`", "podLabels: { 'false': x }", &["podLabels has the name false", "YAML 1.1"]),
    ("a node's label that was `y`", "nodeSelector: { 'true': x }", &["nodeSelector has the name true"]),
    ("an annotation that was `n`", "service: { annotations: { 'false': x } }", &["service.annotations has the name false"]),
    ("a variable that was `ON`", "secrets: { existingSecret: '', values: { 'true': x } }", &["secrets.values has the name true"]),
    ("an attribute that was `no`", "tracing: { resourceAttributes: { 'false': x } }", &["tracing.resourceAttributes has the name false"]),
    (
        "a selector's label that was `yes`",
        "networkPolicy: { webhooks: { from: [ { podSelector: { matchLabels: { 'true': x } } } ] } }",
        &["networkPolicy.webhooks.from[0].podSelector.matchLabels has the name true"],
    ),
    ("OpenShift as a word", "openshift: 'yes'", &["/openshift", "want boolean"]),
    (
        "an alert that is none",
        "prometheusRule: { enabled: true, disabled: [WizaRelayNothing] }",
        &["WizaRelayNothing", "there is no such alert"],
    ),
];

/// The minimal values with a mistake.
pub fn with(mistake: &str) -> Value {
    let mut values = sets().remove("minimal").unwrap();
    merge(&mut values, &crate::yaml(mistake));
    values
}

fn merge(values: &mut Value, over: &Value) {
    match (values, over) {
        (Value::Object(values), Value::Object(over)) => {
            for (name, value) in over {
                merge(values.entry(name).or_insert(json!(null)), value);
            }
        }
        (values, over) => *values = over.clone(),
    }
}

#[test]
fn every_mistake_is_refused_in_words_that_help() {
    let Some(said) = said() else { return };
    for (name, _, parts) in MISTAKES {
        let refusal = said["refusals"][name].as_str().unwrap_or_else(|| panic!("{name} is rendered"));
        for part in parts {
            assert!(refusal.contains(part), "{name}: {part:?} is not in\n{refusal}");
        }
    }
}
