//! A real Prometheus that scrapes relays and evaluates rules, in a folder of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{eventually, free_address, skipped};

/// How often another port is tried, where somebody was quicker to take one.
const PORT_TRIES_MAX: usize = 20;
/// How often it scrapes and evaluates, and how long a scrape may take: quick enough that a test need not wait, slow
/// enough for a busy machine.
const INTERVAL: &str = "500ms";

/// A running Prometheus; ended when it is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    client: reqwest::Client,
    folder: TempDir,
}

/// A series at the time of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels; the metric's name is `__name__`, where it has one.
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A series over the time of a range query.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The labels; the metric's name is `__name__`, where it has one.
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and values, in the order of time.
    pub points: Vec<(f64, f64)>,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub name: String,
    pub is_firing: bool,
    /// The labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl Prometheus {
    /// Starts it with the text of a rules file; it scrapes nothing before [`Prometheus::scrape`]. Where there is no
    /// `prometheus`, says loudly that the test cannot run, and gives `None`.
    pub async fn start(rules: &str) -> Option<Self> {
        if !Command::new("prometheus").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
            skipped("there is no prometheus (Debian has it in the package `prometheus`)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("wiza-relay-prometheus-").tempdir().unwrap();
        let config = json!({
            "global": { "scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{ "job_name": "wiza-relay", "file_sd_configs": [{ "files": ["targets.json"] }] }],
        });
        // JSON is YAML.
        std::fs::write(folder.path().join("prometheus.yaml"), config.to_string()).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        std::fs::write(folder.path().join("targets.json"), "[]").unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..PORT_TRIES_MAX {
            let address = free_address();
            let mut child = spawn(folder.path(), address);
            let ready = format!("http://{address}/-/ready");
            let is_ready = eventually("Prometheus is ready", async || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                (client.get(&ready).send().await.ok()?.status() == 200).then_some(true)
            })
            .await;
            if is_ready {
                return Some(Self { child, address, client, folder });
            }
            let log = log(folder.path());
            assert!(log.contains("address already in use"), "Prometheus ended at once:\n{log}");
        }
        panic!("no free port after {PORT_TRIES_MAX} tries");
    }

    /// Scrapes these from now on, each with the given labels beside `job="wiza-relay"` and `instance`; in place of those
    /// before. It takes some seconds until Prometheus notices.
    pub fn scrape(&self, targets: &[(SocketAddr, &[(&str, &str)])]) {
        let groups: Vec<Value> = targets
            .iter()
            .map(|(address, labels)| {
                let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
                json!({ "targets": [address.to_string()], "labels": labels })
            })
            .collect();
        // Moved into place, so that it is never read half written.
        let (new, file) = (self.folder.path().join("targets.new"), self.folder.path().join("targets.json"));
        std::fs::write(&new, Value::from(groups).to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The series that an expression gives now.
    pub async fn query(&self, expression: &str) -> Vec<Sample> {
        let data = self.get("query", &[("query", expression)]).await;
        let vector = data["result"].as_array().unwrap_or_else(|| panic!("{expression}: {data}"));
        assert_eq!(data["resultType"], "vector", "{expression}: {data}");
        vector.iter().map(|series| Sample { labels: labels(&series["metric"]), value: point(&series["value"]).1 }).collect()
    }

    /// The series that an expression gives over a time: Unix seconds from, to, and the step between.
    pub async fn query_range(&self, expression: &str, from: f64, to: f64, step: f64) -> Vec<Series> {
        let (from, to, step) = (from.to_string(), to.to_string(), step.to_string());
        let data = self.get("query_range", &[("query", expression), ("start", &from), ("end", &to), ("step", &step)]).await;
        let matrix = data["result"].as_array().unwrap_or_else(|| panic!("{expression}: {data}"));
        let points = |series: &Value| series["values"].as_array().unwrap().iter().map(point).collect();
        matrix.iter().map(|series| Series { labels: labels(&series["metric"]), points: points(series) }).collect()
    }

    /// Waits until an expression gives anything, as one with a comparison does when it holds.
    pub async fn wait_until(&self, expression: &str) -> Vec<Sample> {
        eventually(&format!("in Prometheus: {expression}"), async || {
            let samples = self.query(expression).await;
            (!samples.is_empty()).then_some(samples)
        })
        .await
    }

    /// All alerts that are pending or firing.
    pub async fn alerts(&self) -> Vec<Alert> {
        let data = self.get("alerts", &[]).await;
        data["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| {
                let labels = labels(&alert["labels"]);
                let (name, is_firing) = (labels["alertname"].clone(), alert["state"] == "firing");
                Alert { name, is_firing, labels, annotations: self::labels(&alert["annotations"]) }
            })
            .collect()
    }

    /// Waits until an alert of this name fires.
    pub async fn wait_for_firing(&self, name: &str) -> Alert {
        eventually(&format!("{name} fires"), async || self.alerts().await.into_iter().find(|alert| alert.name == name && alert.is_firing))
            .await
    }

    /// Waits until no alert of this name fires or is about to.
    pub async fn wait_for_resolved(&self, name: &str) {
        eventually(&format!("{name} is resolved"), async || (!self.alerts().await.iter().any(|alert| alert.name == name)).then_some(()))
            .await;
    }

    /// The `data` of an answer of its API.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = url::Url::parse_with_params(&format!("http://{}/api/v1/{path}", self.address), parameters).unwrap();
        let response = self.client.get(url).send().await.unwrap_or_else(|error| panic!("{error}\n{}", log(self.folder.path())));
        let mut answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus' log\n{}---", log(self.folder.path()));
        }
    }
}

fn spawn(folder: &Path, address: SocketAddr) -> Child {
    let file = |name: &str| folder.join(name).display().to_string();
    Command::new("prometheus")
        .arg(format!("--config.file={}", file("prometheus.yaml")))
        .arg(format!("--storage.tsdb.path={}", file("data")))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("prometheus.log")).unwrap())
        .spawn()
        .unwrap()
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("prometheus.log")).unwrap_or_default()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// `[seconds, "value"]`.
fn point(pair: &Value) -> (f64, f64) {
    (pair[0].as_f64().unwrap(), pair[1].as_str().unwrap().parse().unwrap())
}
