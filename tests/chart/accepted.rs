//! Who is handed what is rendered takes it: the relay its arguments, Kubernetes what docs/deploy.md makes of the chart.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::{list, objects, read, refused, said, text, yaml};

/// Values beside the sets: those of docs/deploy.md, and a mistake that the chart hands on, which Kubernetes is to notice.
pub(crate) fn more() -> Value {
    let document = read("docs/deploy.md");
    let (_, block) = document.split_once("```yaml\n# values.yaml\n").expect("docs/deploy.md has no values.yaml");
    let mut deployed = yaml(block.split("```").next().unwrap());
    deployed["routes"] = read("tests/chart/routes.yaml").into();
    json!({
        "deployed": deployed,
        "misspelt": refused::with("extraVolumes: [{ name: more, configMapp: { name: more } }]"),
        "additions": refused::with(ADDITIONS),
        "odd": refused::with(ODD),
        "labelled": refused::with(LABELLED),
        "variable": refused::with(VARIABLE),
    })
}

/// What docs/deploy.md hands to kubectl.
pub(crate) fn manifests() -> Vec<Value> {
    read("docs/deploy.md").split("<<'POD'\n").skip(1).map(|rest| yaml(rest.split("POD\n").next().unwrap())).collect()
}

#[test]
fn kubernetes_takes_the_manifests_of_the_document() {
    let Some(said) = said() else { return };
    assert_eq!(manifests().len(), 1);
    assert_eq!(said["manifests"], json!([[]]));
}

/// What an operator adds to the pod and to the release.
const ADDITIONS: &str = "
initContainers: [ { name: first, image: 'first:1' } ]
extraContainers: [ { name: beside, image: 'beside:1' } ]
extraObjects:
  - { apiVersion: v1, kind: ConfigMap, metadata: { name: more }, data: { braces: '{{ kept }}' } }
  - { apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: { name: wiza } }
service: { type: LoadBalancer, loadBalancerClass: example.com/inner }
";

#[test]
fn what_is_added_is_there_as_it_was_given() {
    let Some(said) = said() else { return };
    let found = list(&said["more"]["additions"], "/objects");
    for entry in found.iter().filter(|entry| !entry["complaints"].is_null()) {
        assert_eq!(entry["complaints"], json!([]), "{}", entry["template"]);
    }
    let object = |kind: &str, name: &str| {
        let objects = found.iter().map(|entry| &entry["object"]);
        objects
            .clone()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    object("ExternalSecret", "wiza");
    assert_eq!(object("ConfigMap", "more")["data"]["braces"], "{{ kept }}");
    assert_eq!(object("Service", "wiza-relay")["spec"]["loadBalancerClass"], "example.com/inner");
    let pod = &object("StatefulSet", "wiza-relay")["spec"]["template"]["spec"];
    let names = |at: &str| -> Vec<&str> { list(pod, at).iter().map(|container| text(container, "/name")).collect() };
    assert_eq!((names("/initContainers"), names("/containers")), (vec!["first"], vec!["relay", "beside"]));
}

/// Texts that YAML takes for something else unless they are in quotes.
const ODD: &str = r#"
existingConfigMap: "123"
routes: ""
webhook: { path: /webhooks/wiza }
secrets: { existingSecret: "2024", values: null, asFiles: true }
admin: { existingSecret: "on", existingSecretKey: "7" }
serviceAccount: { name: "null" }
priorityClassName: "1e3"
relay: { log: "info,[{a: b}]=debug" }
image: { repository: "no" }
tracing: { enabled: true, endpoint: "http://collector:4318", resourceAttributes: { quoted: 'a"b', zeroes: "007" } }
persistence: { storageClass: "0x1", annotations: { a: "yes" } }
"#;

#[test]
fn a_text_stays_one_whatever_it_looks_like() {
    let Some(said) = said() else { return };
    let odd = list(&said["more"]["odd"], "/objects");
    for entry in odd.iter().filter(|entry| !entry["complaints"].is_null()) {
        assert_eq!(entry["complaints"], json!([]), "{}", entry["template"]);
    }
    let set = &odd.iter().find(|entry| entry["object"]["kind"] == "StatefulSet").unwrap()["object"];
    let spec = &set["spec"]["template"]["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["priorityClassName"]), (&json!("null"), &json!("1e3")));
    let container = &spec["containers"][0];
    assert!(arguments(spec).any(|argument| argument == "--log=info,[{a: b}]=debug"), "{container}");
    let variable = |name: &str| list(container, "/env").iter().find(|one| one["name"] == name).unwrap();
    assert!(text(variable("OTEL_RESOURCE_ATTRIBUTES"), "/value").ends_with(r#",quoted=a"b,zeroes=007"#));
    let token = &variable("WIZA_RELAY_ADMIN_TOKEN")["valueFrom"]["secretKeyRef"];
    assert_eq!(token, &json!({ "name": "on", "key": "7" }));
    assert_eq!(container["envFrom"][0]["secretRef"]["name"], "2024");
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "0x1");
}

/// One label in every place where a label may be given.
const LABELLED: &str = "
commonLabels: { team: all, common: 'yes' }
podLabels: { team: pod }
podMonitor: { enabled: true, labels: { team: monitor } }
dashboards: { enabled: true, label: team, labelValue: dashboard }
";

#[test]
fn of_two_labels_the_nearer_one_holds_and_none_is_there_twice() {
    let Some(said) = said() else { return };
    // That none is there twice was seen as the objects were read.
    let objects: Vec<&Value> = list(&said["more"]["labelled"], "/objects").iter().map(|entry| &entry["object"]).collect();
    let team = |kind: &str, holds: &Value| {
        let found = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["labels"]["team"] == *holds);
        assert!(found.count() > 0, "no {kind} is of {holds}");
    };
    team("StatefulSet", &json!("all"));
    team("PodMonitor", &json!("monitor"));
    team("ConfigMap", &json!("dashboard"));
    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
    assert_eq!(set["spec"]["template"]["metadata"]["labels"]["team"], "pod");
    assert!(objects.iter().all(|object| object["metadata"]["labels"]["common"] == "yes"));
}

/// Rules whose path Helm cannot know, and the path.
const VARIABLE: &str = r#"
routes: "source: { path: '/hooks/${TENANT:-emea}' }"
webhook: { path: /hooks/emea }
ingress: { enabled: true, hosts: [ relay.example.com ] }
"#;

#[test]
fn a_path_that_helm_cannot_read_can_be_said() {
    let Some(said) = said() else { return };
    let found = list(&said["more"]["variable"], "/objects");
    let ingress = &found.iter().find(|entry| entry["object"]["kind"] == "Ingress").unwrap()["object"];
    assert_eq!(text(ingress, "/spec/rules/0/http/paths/0/path"), "/hooks/emea");
}

/// The real binary with these arguments and nothing in its environment but a key.
fn relay(arguments: impl IntoIterator<Item = String>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wiza-relay")).args(arguments).env_clear().env("WIZA_API_KEY", "key").output().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn arguments(spec: &Value) -> impl Iterator<Item = String> {
    list(spec, "/containers/0/args").iter().map(|argument| argument.as_str().unwrap().to_owned())
}

#[test]
fn the_relay_takes_the_arguments_of_every_pod() {
    let Some(said) = said() else { return };
    // With --help at the end arguments are read, and nothing is done.
    let help = || ["--help".to_owned()];
    let mut pods = 0;
    for rendered in objects(said) {
        let Some(pod) = rendered.pod() else { continue };
        let ran = relay(arguments(&pod["spec"]).chain(help()));
        assert!(ran.status.success(), "{}: {}", rendered.name(), words(&ran));
        pods += 1;
    }
    assert!(pods > 20, "{pods} pods");
    let twice = ["serve", "--log-format=text", "--log-format=json"].map(str::to_owned);
    assert!(!relay(twice.into_iter().chain(help())).status.success(), "an argument that is given twice would go unnoticed");
}

/// `helm test` with `test.rules`: files beside the rules are where the rules look for them.
#[test]
fn the_tests_of_the_rules_pass_in_the_test_pod() {
    let Some(said) = said() else { return };
    let named = |kind: &str, end: &str| {
        let of_everything = objects(said).into_iter().filter(|one| one.set == "everything" && one.kind() == kind);
        of_everything.map(|one| one.object).find(|object| text(object, "/metadata/name").ends_with(end)).unwrap()
    };
    let (pod, files) = (named("Pod", "-test-rules"), named("ConfigMap", "-routes"));
    let folder = tempfile::tempdir().unwrap();
    let volume = list(pod, "/spec/volumes").iter().find(|volume| volume["name"] == "routes").unwrap();
    assert_eq!(volume["configMap"]["name"], files["metadata"]["name"]);
    for item in list(volume, "/configMap/items") {
        let file = folder.path().join(text(item, "/path"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, files["data"][text(item, "/key")].as_str().unwrap()).unwrap();
    }
    let mounted = list(pod, "/spec/containers/0/volumeMounts").iter().find(|mount| mount["name"] == "routes").unwrap();
    let here = |argument: String| argument.replace(text(mounted, "/mountPath"), folder.path().to_str().unwrap());
    let ran = relay(arguments(&pod["spec"]).map(here));
    assert!(ran.status.success(), "{}", words(&ran));
    // Without the payload they would not.
    std::fs::remove_dir_all(folder.path().join("samples")).unwrap();
    assert!(!relay(arguments(&pod["spec"]).map(here)).status.success());
}

#[test]
fn the_values_of_the_document_render_what_kubernetes_takes() {
    let Some(said) = said() else { return };
    let deployed = &said["more"]["deployed"];
    assert!(list(deployed, "/lint/errors").is_empty(), "{}", deployed["lint"]);
    let found = list(deployed, "/objects");
    for entry in found.iter().filter(|entry| !entry["complaints"].is_null()) {
        assert_eq!(entry["complaints"], json!([]), "{}", entry["template"]);
    }
    for kind in ["StatefulSet", "Ingress", "PodMonitor", "PrometheusRule"] {
        assert!(found.iter().any(|entry| entry["object"]["kind"] == kind), "docs/deploy.md promises a {kind}");
    }
}

#[test]
fn kubernetes_notices_a_misspelt_field_in_every_version() {
    let Some(said) = said() else { return };
    let complained: Vec<&Value> =
        list(&said["more"]["misspelt"], "/objects").iter().filter(|entry| !list(entry, "/complaints").is_empty()).collect();
    let [entry] = complained.as_slice() else { panic!("{complained:?}") };
    assert_eq!(entry["object"]["kind"], "StatefulSet");
    let versions = list(said, "/versions");
    assert_eq!(list(entry, "/complaints").len(), versions.len());
    for (version, complaint) in versions.iter().zip(list(entry, "/complaints")) {
        let complaint = complaint.as_str().unwrap();
        assert!(complaint.starts_with(version.as_str().unwrap()) && complaint.contains("configMapp"), "{complaint}");
    }
}
