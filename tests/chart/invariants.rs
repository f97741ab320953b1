//! What holds of every object, whatever the values.

use serde_json::Value;

use crate::{Rendered, list, objects, said, text};

/// Kubernetes' recommended labels.
const RECOMMENDED: [&str; 6] = ["name", "instance", "version", "component", "part-of", "managed-by"];

fn label<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object["metadata"]["labels"][name].as_str()
}

/// Whether a selector's labels are all among these.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[test]
fn every_object_and_pod_has_the_recommended_labels() {
    let Some(said) = said() else { return };
    for rendered in objects(said) {
        for name in RECOMMENDED {
            let name = format!("app.kubernetes.io/{name}");
            assert!(label(rendered.object, &name).is_some(), "{} has no {name}", rendered.name());
            if let Some(pod) = rendered.pod() {
                assert!(label(pod, &name).is_some(), "a pod of {} has no {name}", rendered.name());
            }
        }
        assert!(label(rendered.object, "helm.sh/chart").is_some(), "{}", rendered.name());
        let name = text(rendered.object, "/metadata/name");
        // A DNS label; a ConfigMap's name may be longer.
        assert!(name.len() <= 63 || rendered.kind() == "ConfigMap", "{} is too long", rendered.name());
    }
}

#[test]
fn selectors_choose_the_relays_pod_and_no_test_pod() {
    let Some(said) = said() else { return };
    let all = objects(said);
    let in_set = |set: &str, kind: &str| -> Vec<&Rendered<'_>> { all.iter().filter(|one| one.set == set && one.kind() == kind).collect() };
    for rendered in &all {
        let selector = match rendered.kind() {
            "Service" => rendered.object.pointer("/spec/selector"),
            "StatefulSet" | "PodDisruptionBudget" | "PodMonitor" => rendered.object.pointer("/spec/selector/matchLabels"),
            "NetworkPolicy" => rendered.object.pointer("/spec/podSelector/matchLabels"),
            _ => continue,
        }
        .unwrap_or_else(|| panic!("{} chooses nothing", rendered.name()));
        let relay = in_set(rendered.set, "StatefulSet")[0].pod().unwrap();
        assert!(selects(selector, &relay["metadata"]["labels"]), "{} does not choose the relay", rendered.name());
        for test in in_set(rendered.set, "Pod") {
            assert!(!selects(selector, &test.object["metadata"]["labels"]), "{} chooses {}", rendered.name(), test.name());
        }
    }
    for rendered in all.iter().filter(|one| one.kind() == "ServiceMonitor") {
        let chosen: Vec<&str> = in_set(rendered.set, "Service")
            .iter()
            .filter(|service| selects(&rendered.object["spec"]["selector"]["matchLabels"], &service.object["metadata"]["labels"]))
            .map(|service| text(service.object, "/metadata/name"))
            .collect();
        assert!(matches!(chosen.as_slice(), [name] if name.ends_with("-metrics")), "{chosen:?}");
    }
}

#[test]
fn every_pod_meets_the_restricted_pod_security_standard_and_has_no_token() {
    let Some(said) = said() else { return };
    let mut pods = 0;
    for rendered in objects(said) {
        let Some(pod) = rendered.pod() else { continue };
        let spec = &pod["spec"];
        let name = rendered.name();
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["enableServiceLinks"], false, "{name}: a Service's variables would be taken for the relay's own");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec[host].is_null(), "{name}: {host}");
        }
        assert!(spec["initContainers"].is_null(), "{name}");
        for container in list(spec, "/containers") {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
            assert!(security["capabilities"]["add"].is_null(), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            assert!(list(container, "/ports").iter().all(|port| port["hostPort"].is_null()), "{name}");
        }
        let allowed = ["configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI", "csi", "ephemeral"];
        for volume in list(spec, "/volumes") {
            let kinds: Vec<&String> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
            assert!(kinds.iter().all(|kind| allowed.contains(&kind.as_str())), "{name}: {kinds:?}");
        }
        if rendered.set == "openshift" {
            assert!(spec["securityContext"]["runAsUser"].is_null(), "{name}: OpenShift chooses the user");
        } else {
            assert_eq!(spec["securityContext"]["runAsUser"], 65532, "{name}");
        }
        pods += 1;
    }
    assert!(pods > 20, "{pods} pods");
}

/// A subPath would stay what it was when the ConfigMap changes, and a checksum would restart the relay for what it takes up alone.
#[test]
fn rules_are_a_folder_and_do_not_restart_the_relay() {
    let Some(said) = said() else { return };
    for rendered in objects(said).iter().filter(|one| one.kind() == "StatefulSet") {
        let name = rendered.name();
        let pod = rendered.pod().unwrap();
        let mounts = list(pod, "/spec/containers/0/volumeMounts");
        assert!(mounts.iter().all(|mount| mount["subPath"].is_null() && mount["subPathExpr"].is_null()), "{name}");
        let routes = mounts.iter().find(|mount| mount["name"] == "routes").unwrap();
        assert_eq!(routes["mountPath"], "/etc/wiza-relay", "{name}");
        let annotations = pod["metadata"]["annotations"].as_object();
        let checksums = annotations.map_or(0, |all| all.keys().filter(|key| key.starts_with("checksum/")).count());
        let expected = match rendered.set {
            "minimal" => 1,
            "everything" => 2,
            _ => 0,
        };
        assert_eq!(checksums, expected, "{name}: only variables from values need a restart");
        assert!(annotations.is_none_or(|all| !all.keys().any(|key| key.contains("routes"))), "{name}");
    }
}

#[test]
fn the_admin_port_is_led_to_by_nothing_but_the_service_that_a_service_monitor_asks_for() {
    let Some(said) = said() else { return };
    let mut routed = 0;
    for rendered in objects(said) {
        let name = rendered.name();
        match rendered.kind() {
            "Service" => {
                let for_monitor = text(rendered.object, "/metadata/name").ends_with("-metrics");
                assert!(!for_monitor || rendered.set == "service-monitor", "{name}");
                for port in list(rendered.object, "/spec/ports") {
                    assert_eq!(port["targetPort"], if for_monitor { "admin" } else { "webhooks" }, "{name}");
                }
            }
            "Ingress" => {
                for rule in list(rendered.object, "/spec/rules") {
                    let paths = list(rule, "/http/paths");
                    assert_eq!(paths.len(), 1, "{name}");
                    assert_eq!((text(&paths[0], "/path"), text(&paths[0], "/pathType")), ("/webhooks/wiza", "Prefix"), "{name}");
                    assert!(!text(&paths[0], "/backend/service/name").ends_with("-metrics"), "{name}");
                    routed += 1;
                }
                assert!(rendered.object.pointer("/spec/defaultBackend").is_none(), "{name}");
            }
            "HTTPRoute" => {
                for rule in list(rendered.object, "/spec/rules") {
                    let matches = list(rule, "/matches");
                    assert_eq!(matches.len(), 1, "{name}");
                    assert_eq!(
                        (text(&matches[0], "/path/type"), text(&matches[0], "/path/value")),
                        ("PathPrefix", "/webhooks/wiza"),
                        "{name}"
                    );
                    routed += 1;
                }
            }
            _ => {}
        }
    }
    assert_eq!(routed, 5, "an Ingress of two hosts, one of one, and two HTTPRoutes");
}
