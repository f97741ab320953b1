//! The container that the chart describes, started without a cluster: the real binary with just the arguments, variables and files
//! of the rendered objects, `helm test`'s own command against it, and a ConfigMap that changes as Kubernetes changes one.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Rendered, list, object, objects, said, text};

/// Far longer than a start takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the relay with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes a ConfigMap's folder as the kubelet does: files in a folder of their own, a link that names the folder in effect, and links
/// through that one. Replacing the middle link changes all files at once.
fn mount(folder: &Path, version: u32, files: &[(String, String)]) {
    let data = format!("..2026_{version}");
    for (name, text) in files {
        let file = folder.join(&data).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        let first = name.split('/').next().unwrap();
        if !folder.join(first).exists() && folder.join(first).symlink_metadata().is_err() {
            symlink(format!("..data/{first}"), folder.join(first)).unwrap();
        }
    }
    symlink(&data, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

/// The files of the volume `routes`.
fn rules(pod: &Value, map: &Value) -> Vec<(String, String)> {
    let volume = list(pod, "/spec/volumes").iter().find(|volume| volume["name"] == "routes").unwrap();
    assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
    let data = map["data"].as_object().unwrap();
    let items = list(volume, "/configMap/items");
    if items.is_empty() {
        return data.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
    }
    items.iter().map(|item| (text(item, "/path").to_owned(), data[text(item, "/key")].as_str().unwrap().to_owned())).collect()
}

/// What a Secret holds.
fn secrets(secret: &Value) -> HashMap<String, String> {
    let decode = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
    secret["data"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), decode(value))).collect()
}

fn arguments(container: &Value) -> Vec<String> {
    list(container, "/args").iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
}

/// Whether the probe of the container succeeds.
fn probe(container: &Value, name: &str, admin: SocketAddr) -> Option<()> {
    let probe = &container[name]["httpGet"];
    assert_eq!(probe["port"], "admin");
    get(admin, text(probe, "/path")).filter(|(status, _)| *status == 200).map(|_| ())
}

#[test]
fn the_container_starts_takes_the_test_and_takes_up_a_changed_config_map() {
    let Some(said) = said() else { return };
    let relay = object(said, "minimal", "StatefulSet").pointer("/spec/template").unwrap();
    let container = relay.pointer("/spec/containers/0").unwrap();
    let secret = object(said, "minimal", "Secret");
    let folder = tempfile::tempdir().unwrap();
    let (etc, store) = (folder.path().join("etc"), folder.path().join("store"));
    std::fs::create_dir_all(&etc).unwrap();
    let files = rules(relay, object(said, "minimal", "ConfigMap"));
    mount(&etc, 1, &files);

    let (webhooks, admin) = (free_address(), free_address());
    let here = |argument: String| {
        argument
            .replace("/etc/wiza-relay", etc.to_str().unwrap())
            .replace("/var/lib/wiza-relay", store.to_str().unwrap())
            .replace("0.0.0.0:8080", &webhooks.to_string())
            .replace("0.0.0.0:9090", &admin.to_string())
    };
    let values = secrets(secret);
    assert_eq!(container["envFrom"][0]["secretRef"]["name"], secret["metadata"]["name"]);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let binary = env!("CARGO_BIN_EXE_wiza-relay");
    let child = Command::new(binary)
        .args(arguments(container).into_iter().map(here))
        .env_clear()
        .envs(values.clone())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _running = Running(child);
    for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
        eventually(name, || probe(container, name, admin));
    }

    // `helm test`.
    let test = object(said, "minimal", "Pod");
    let container = test.pointer("/spec/containers/0").unwrap();
    let reach = |argument: String| argument.replace("http://wiza-relay.marketing.svc:8080", &format!("http://{webhooks}"));
    let key = &container["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(key["name"], secret["metadata"]["name"]);
    let send = |key: &str| {
        Command::new(binary).args(arguments(container).into_iter().map(reach)).env_clear().env("WIZA_API_KEY", key).output().unwrap()
    };
    let sent = send(&values[text(key, "/key")]);
    let words = String::from_utf8_lossy(&sent.stdout).into_owned() + &String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() && words.contains("200"), "{words}");
    assert!(!send("a wrong key").status.success(), "a test that is refused has failed");
    let metrics = get(admin, "/metrics").unwrap().1;
    let count =
        |metrics: &str, series: &str| -> Option<f64> { metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()) };
    assert_eq!(count(&metrics, "wiza_relay_route_matches_total{route=\"helm test\"}"), Some(1.0), "{metrics}");
    assert_eq!(
        count(&metrics, "wiza_relay_planned_total{destination=\"crm\"}"),
        Some(0.0),
        "the rule of the notes keeps it from all destinations"
    );

    // A new version of the ConfigMap, without a restart.
    let changed: Vec<(String, String)> =
        files.iter().map(|(name, text)| (name.clone(), text.replace("name: everything", "name: all of it"))).collect();
    mount(&etc, 2, &changed);
    eventually("the new rules are in effect", || count(&get(admin, "/metrics")?.1, "wiza_relay_route_matches_total{route=\"all of it\"}"));
}

/// Files that the rules include are in their folders, though a ConfigMap has none.
#[test]
fn included_files_are_where_the_rules_find_them() {
    let Some(said) = said() else { return };
    let relay = object(said, "everything", "StatefulSet").pointer("/spec/template").unwrap();
    let is_of_rules = |one: &Rendered| one.set == "everything" && one.object.pointer("/data/routes.yaml").is_some();
    let map = objects(said).into_iter().find(is_of_rules).unwrap();
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), 1, &rules(relay, map.object));
    let checked = Command::new(env!("CARGO_BIN_EXE_wiza-relay"))
        .arg("check")
        .arg(folder.path().join("routes.yaml"))
        .env_clear()
        .envs([("WIZA_API_KEY", "key"), ("CRM_URL", "http://127.0.0.1:9/crm")])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(words.contains("good, 3 routes to 2 destinations in 2 files, "), "{words}");
}
