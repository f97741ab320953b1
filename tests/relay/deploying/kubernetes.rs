//! Kubernetes: there is no cluster here, so its commands are not run, but for what runs within the pods. The values of the document are
//! held against the chart's, which has tests of its own.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::document::Section;
use crate::harness::{Receiver, Setup, command, repository, reveal};

/// They want a registry, a cluster, a public address.
const KUBERNETES: [&str; 6] =
    ["docker build", "kubectl create namespace", "create secret tls", "docker run", "helm upgrade", "--cascade=orphan"];
const TELL_WIZA: &str = "https://relay.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_says_of_kubernetes_is_so_as_far_as_it_can_be_run() {
    Section::read("Tell Wiza").block(TELL_WIZA);
    let section = Section::read("Kubernetes");
    for words in KUBERNETES {
        section.block(words);
    }
    its_values_are_the_charts(&section.block("# values.yaml"));
    a_back_up_is_put_back(&section.block("wiza-relay backup -"), &section.block("name: restore")).await;
}

fn its_values_are_the_charts(values: &str) {
    let parse = |text: &str| -> Value { serde_yaml::from_str(text).unwrap() };
    let known = parse(&std::fs::read_to_string(repository("helm/wiza-relay/values.yaml")).unwrap());
    let mut unknown = Vec::new();
    look_for_unknown(&parse(values), &known, "", &mut unknown);
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

/// What the document has the relay's pod and the pod `restore` do, on folders in place of the volume.
async fn a_back_up_is_put_back(backup: &str, restore: &str) {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("relay.db");

    let arguments = backup.lines().find_map(|line| line.split_once("-- wiza-relay ")).unwrap().1.strip_suffix(" > relay.db").unwrap();
    let store = ["--store".to_owned(), relay.store().display().to_string()];
    let ran = command::relay().args(arguments.split(' ')).args(store).stdout(File::create(&saved).unwrap()).status().unwrap();
    assert!(ran.success());
    relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.kill(); // With a log beside the file.

    let script = restore.split_once("sh -c '").unwrap().1.split_once('\'').unwrap().0;
    let script = script.replace("/store", relay.store().to_str().unwrap());
    let ran = Command::new("sh").args(["-c", &script]).stdin(File::open(&saved).unwrap()).status().unwrap();
    assert!(ran.success());
    let mut names: Vec<_> = std::fs::read_dir(relay.store()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["before", "relay.db", "relay.lock"]);

    relay.start_again().await;
    assert_eq!(relay.webhook(reveal(1)).send().await.word(), "duplicate");
    // It came after the back-up, so nothing knows it.
    relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}
