//! Docker Compose: the commands that need no engine, what Compose itself makes of the file, and its Prometheus for real.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::document::Section;
use crate::harness::{API_KEY, Receiver, Relay, Setup, eventually, free_address, repository, reveal, run, skipped};

const FOLDER: &str = "deploy/compose";

/// They want an engine, which runs containers.
const NOT_RUN: [&str; 5] = [
    "docker compose exec relay wiza-relay destinations",
    "docker compose logs",
    "up --build",
    "docker compose down",
    "compose exec -T relay wiza-relay backup",
];

/// Docker Compose itself; `None`, loudly, where there is none.
fn compose() -> Option<PathBuf> {
    let compose = repository("target/tools/bin/docker-compose");
    let is_there = Command::new(&compose).arg("version").output().is_ok_and(|ran| ran.status.success());
    if !is_there {
        skipped("there is no docker-compose in target/tools (tests/tools puts it there)");
    }
    is_there.then_some(compose)
}

/// The whole project as Compose understands it.
fn understood(compose: &Path) -> Value {
    let mut command = Command::new(compose);
    command.args(["config", "--format", "json"]).current_dir(repository(FOLDER)).env("WIZA_RELAY_ADMIN_TOKEN", "0123456789abcdef");
    let ran = command.output().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn the_commands_before_the_first_start_make_what_compose_asks_for() {
    let Some(compose) = compose() else { return };
    let section = Section::read("Docker Compose");
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(repository("deploy")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let folder = copy.path().join(FOLDER);
    let shell = |script: &str, folder: &Path, input: &str| {
        let input = if Path::new(input).exists() { input } else { "/dev/null" };
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(folder).stdin(std::fs::File::open(input).unwrap());
        command.output().unwrap()
    };
    let docker_compose = compose.display().to_string();
    let configure = section.block("docker compose config").replace("docker compose up --build --detach --wait\n", "");
    let configure = configure.replace("docker compose", &docker_compose);

    let refused = shell(&configure, &folder, "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("set it in .env, as docs/deploy.md says"), "{said}");

    let key = copy.path().join("key");
    std::fs::write(&key, format!("{API_KEY}\n")).unwrap();
    for (words, folder) in [("cd deploy/compose", copy.path()), ("openssl rand", &folder)] {
        let ran = shell(&section.block(words), folder, &key.display().to_string());
        assert!(ran.status.success(), "{ran:?}");
    }
    let ran = shell(&configure, &folder, "");
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    let mode = |path: &str| std::os::unix::fs::MetadataExt::mode(&folder.join(path).metadata().unwrap()) & 0o777;
    assert_eq!((mode(".env"), mode("secrets"), mode("secrets/wiza-api-key")), (0o600, 0o700, 0o444));
    let environment = std::fs::read_to_string(folder.join(".env")).unwrap();
    let token = environment.lines().find_map(|line| line.strip_prefix("WIZA_RELAY_ADMIN_TOKEN=")).unwrap();
    assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{environment}");
    let password = std::fs::read_to_string(folder.join("secrets/grafana-admin-password")).unwrap();
    assert_eq!(password.trim().len(), 32);
    let ignored = std::fs::read_to_string(folder.join(".gitignore")).unwrap();
    assert!([".env", "secrets/"].iter().all(|name| ignored.lines().any(|line| line == *name)), "secrets could be committed");

    for words in NOT_RUN {
        section.block(words);
    }
}

#[test]
fn every_service_is_confined_pinned_and_closed_to_the_network() {
    let Some(compose) = compose() else { return };
    let project = understood(&compose);
    let services = project["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["grafana", "prometheus", "relay"]);
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        let tag = service["image"].as_str().unwrap().rsplit(':').next().unwrap().trim_start_matches('v').to_owned();
        assert_eq!(tag.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{name}: {tag} is no whole version");
        for port in service["ports"].as_array().unwrap() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
            assert!(name != "relay" || port["target"] == 8080, "the admin port is published");
        }
        for volume in service["volumes"].as_array().unwrap().iter().filter(|volume| volume["type"] == "bind") {
            assert_eq!(volume["read_only"], true, "{name}: {volume}");
            let source = Path::new(volume["source"].as_str().unwrap());
            assert!(source.exists(), "{name} mounts {}, which is not there", source.display());
        }
    }
}

#[tokio::test]
async fn its_rules_are_rules() {
    let rules = repository(FOLDER).join("rules/routes.yaml").display().to_string();
    let ran = run(&["explain", "--json", "--config", &rules, &repository("samples/valid.json").display().to_string()]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let explained: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(explained["deliveries"][0]["destination"], "warehouse");
}

#[test]
fn what_grafana_is_given_leads_to_what_compose_starts() {
    let Some(compose) = compose() else { return };
    let project = understood(&compose);
    let read = |name: &str| -> Value {
        serde_yaml::from_str(&std::fs::read_to_string(repository(FOLDER).join("grafana").join(name)).unwrap()).unwrap()
    };
    let source = read("datasources.yaml")["datasources"][0].clone();
    assert_eq!((&source["type"], &source["url"]), (&"prometheus".into(), &"http://prometheus:9090".into()));
    assert!(project["services"]["prometheus"].is_object());
    let provider = read("dashboards.yaml")["providers"][0].clone();
    let mounts = project["services"]["grafana"]["volumes"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["target"] == provider["options"]["path"]).expect("the dashboards are mounted elsewhere");
    let home = project["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap().to_owned();
    let home = home.strip_prefix(provider["options"]["path"].as_str().unwrap()).unwrap().trim_start_matches('/');
    assert!(Path::new(mount["source"].as_str().unwrap()).join(home).exists(), "{home}");
    // An interval that Grafana thinks longer than it is makes gaps; shorter, empty panels.
    let config: Value = serde_yaml::from_str(&std::fs::read_to_string(repository(FOLDER).join("prometheus.yml")).unwrap()).unwrap();
    assert_eq!(source["jsonData"]["timeInterval"], config["global"]["scrape_interval"]);
}

/// Ended when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_prometheus_scrapes_a_relay_and_has_the_alerts() {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !is_there("prometheus") || !is_there("promtool") {
        return skipped("there is no prometheus (Debian has it in the package `prometheus`)");
    }
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let config = prometheus_config(&relay, &address.to_string());
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, &config).unwrap();

    let checked = Command::new("promtool").args(["check", "config"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let ask = async |path: &str, query: &[(&str, &str)]| -> Option<Value> {
        let url = url::Url::parse_with_params(&format!("http://{address}/api/v1/{path}"), query).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        serde_json::from_slice(&client.get(url).send().await.ok()?.bytes().await.ok()?).ok()
    };
    let accepted = r#"wiza_relay_webhooks_total{outcome="accepted",job="wiza-relay",namespace="compose"} == 1"#;
    eventually("the relay's count is in Prometheus", async || {
        let found = ask("query", &[("query", accepted)]).await?;
        (!found["data"]["result"].as_array()?.is_empty()).then_some(())
    })
    .await;
    let rules = ask("rules", &[]).await.unwrap();
    let count = rules["data"]["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum::<usize>();
    assert!(count >= 13, "{count} rules are loaded");
    relay.finish().await;
}

/// The shipped file; only the places are those of this test.
fn prometheus_config(relay: &Relay, own: &str) -> String {
    let mut config = std::fs::read_to_string(repository(FOLDER).join("prometheus.yml")).unwrap();
    let rules = repository("alerts/rules.yaml").display().to_string();
    for (shipped, here) in
        [("relay:9090", relay.admin.to_string().as_str()), ("localhost:9090", own), ("/etc/prometheus/rules.yaml", &rules)]
    {
        assert!(config.contains(shipped), "{shipped}");
        config = config.replace(shipped, here);
    }
    // A test need not wait for a quarter of a minute.
    config.replace("_interval: 15s", "_interval: 1s")
}
