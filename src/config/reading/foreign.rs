//! Files that are given as rules and are something else: a webhook, a manifest of Kubernetes, the file of Docker Compose, the values of a
//! Helm chart. A list of the keys that rules have would help nobody there.

use std::sync::Arc;

use super::decode::Decoder;
use crate::config::findings::finding::quoted;
use crate::config::yaml::{Content, Node};

/// Keys that only rules have: a file with one of them is meant as rules.
const OF_RULES: [&str; 6] = ["source", "destinations", "routes", "unmatched", "own_events", "include"];
/// Keys of a chart's values that tell it from other files with a key `image`.
const OF_VALUES: [&str; 7] =
    ["replicaCount", "existingConfigMap", "fullnameOverride", "nameOverride", "serviceAccount", "tolerations", "routesFiles"];

/// What a file is, and what to do with it.
struct Foreign {
    is: &'static str,
    hint: String,
}

/// Reports a file that is no rules at all. Says whether it is one.
pub(in crate::config) fn refuse(decoder: &mut Decoder<'_>, root: &Node) -> bool {
    let Content::Mapping(entries) = &root.content else { return false };
    let Some((first, _)) = entries.first() else { return false };
    let Some(Foreign { is, hint }) = found(root) else { return false };
    decoder.report.error(first.span.clone(), format!("this is {is}, and no rules")).hint(hint);
    true
}

fn found(root: &Node) -> Option<Foreign> {
    let has = |key: &str| root.get(key).is_some();
    // In the values of the chart `routes` is the text of the rules.
    let is_values = OF_VALUES.iter().any(|key| has(key)) && root.get("routes").is_none_or(|node| text(node).is_some());
    if is_values {
        return Some(Foreign {
            is: "a file of values for the Helm chart",
            hint: "the rules are a file of their own, which `helm upgrade --set-file routes=routes.yaml` takes; check that file".to_owned(),
        });
    }
    if OF_RULES.iter().any(|key| has(key)) {
        return None;
    }
    if has("apiVersion") && has("kind") {
        return Some(manifest(root));
    }
    if root.get("services").is_some_and(|node| matches!(node.content, Content::Mapping(_))) {
        let hint = "the rules are a file of their own, which the service mounts, `./rules:/etc/wiza-relay`; check that file";
        return Some(Foreign { is: "a file of Docker Compose", hint: hint.to_owned() });
    }
    let is_webhook = (has("data") && (has("type") || has("status"))) || has("data_json");
    is_webhook.then(|| Foreign {
        is: "a webhook's payload",
        hint: "`wiza-relay explain routes.yaml PAYLOAD` shows what rules do with it; `wiza-relay init` writes rules to begin with"
            .to_owned(),
    })
}

/// A manifest of Kubernetes. Of a ConfigMap that holds rules it says under which key.
fn manifest(root: &Node) -> Foreign {
    let name = |node: Option<&Arc<Node>>| node.and_then(|node| text(node)).unwrap_or_default().to_owned();
    let is_map = name(root.get("kind")) == "ConfigMap";
    let data = root.get("data").filter(|_| is_map);
    let Some(Content::Mapping(entries)) = data.map(|data| &data.content) else {
        let hint = "`check` reads the rules themselves: the text of the ConfigMap's key `routes.yaml`, as a file".to_owned();
        return Foreign { is: "a manifest of Kubernetes", hint };
    };
    let is_rules = |node: &Node| text(node).is_some_and(|text| ["destinations:", "routes:"].iter().any(|key| text.contains(key)));
    let hint = match entries.iter().find(|(_, node)| is_rules(node)) {
        Some((key, _)) => {
            let map = root.get("metadata").and_then(|metadata| metadata.get("name"));
            let map = Some(name(map)).filter(|name| !name.is_empty()).unwrap_or_else(|| "NAME".to_owned());
            let path = key.text.replace('.', "\\.");
            format!(
                "its key {} holds the rules: check that text, as a file: `kubectl get configmap {map} -o jsonpath='{{.data.{path}}}' > routes.yaml`",
                quoted(&key.text)
            )
        }
        None => "none of its keys holds rules: they begin with `source:`, and have `destinations:` and `routes:`".to_owned(),
    };
    Foreign { is: "a ConfigMap of Kubernetes", hint }
}

/// The text of a scalar.
fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}
