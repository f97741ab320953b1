//! Kubernetes: there is no cluster here, so its commands are not run. The values of the document are held against the chart's,
//! which has tests of its own.

use serde_json::Value;

use super::document::Section;
use crate::harness::repository;

/// They want a registry, a cluster, a public address.
const NOT_RUN: [(&str, &[&str]); 2] =
    [("Kubernetes", &["docker build", "kubectl create namespace", "helm upgrade"]), ("Tell Wiza", &["https://relay.example.com"])];

#[test]
fn the_values_of_the_document_are_the_charts() {
    let sections = NOT_RUN.map(|(title, blocks)| {
        let section = Section::read(title);
        for words in blocks {
            section.block(words);
        }
        section
    });
    let parse = |text: &str| -> Value { serde_yaml::from_str(text).unwrap() };
    let known = parse(&std::fs::read_to_string(repository("helm/wiza-relay/values.yaml")).unwrap());
    let mut unknown = Vec::new();
    look_for_unknown(&parse(&sections[0].block("# values.yaml")), &known, "", &mut unknown);
    assert!(unknown.is_empty(), "the chart has no value {}", unknown.join(", "));
}

/// A map that is empty by default takes any key.
fn look_for_unknown(given: &Value, known: &Value, place: &str, unknown: &mut Vec<String>) {
    let (Some(given), Some(known)) = (given.as_object(), known.as_object()) else { return };
    for (name, value) in given.iter().filter(|_| !known.is_empty()) {
        let place = format!("{place}.{name}");
        match known.get(name) {
            Some(known) => look_for_unknown(value, known, &place, unknown),
            None => unknown.push(place),
        }
    }
}
