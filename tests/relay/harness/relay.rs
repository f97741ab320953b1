//! The relay: the real binary as a process, with a store, a routes.yaml and a log in a folder of its own.

use std::collections::HashSet;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::setup::{Setup, with_source};
use super::stored::{Delivery, Stored};
use super::webhook::{Poster, Webhook};
use super::{API_KEY, Metrics, Ran, Raw, Receiver, command, eventually, run_with, sha256_hex};

/// How often another pair of ports is tried, where somebody was quicker to take one.
const PORT_TRIES_MAX: usize = 20;

/// A running (or killed) relay. A test ends it with `finish` or `kill`; forgetting that fails the test.
pub struct Relay {
    setup: Setup,
    folder: TempDir,
    child: Option<Child>,
    poster: Option<Poster>,
    pub webhooks: SocketAddr,
    pub admin: SocketAddr,
    client: reqwest::Client,
    accepted: Arc<Mutex<Vec<String>>>,
    starts: usize,
}

impl Relay {
    pub(super) async fn start(setup: Setup) -> Self {
        Self::try_new(setup).await.unwrap_or_else(|log| panic!("the relay ended at once:\n{log}"))
    }

    pub(super) async fn try_new(setup: Setup) -> Result<Self, String> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let folder = tempfile::Builder::new().prefix("wiza-relay-test-").tempdir().unwrap();
        let (child, poster, accepted) = (None, None, Arc::default());
        let mut relay = Self { setup, folder, child, poster, webhooks: nowhere, admin: nowhere, client, accepted, starts: 0 };
        relay.try_start_again().await.map(|()| relay)
    }

    /// Starts it on the same store, after `kill` or `terminate`.
    pub async fn start_again(&mut self) {
        self.try_start_again().await.unwrap_or_else(|log| panic!("the relay ended at once:\n{log}"));
    }

    async fn try_start_again(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "it is running");
        for _ in 0..PORT_TRIES_MAX {
            if self.try_start().await? {
                return Ok(());
            }
        }
        panic!("no free ports after {PORT_TRIES_MAX} tries");
    }

    /// Starts it on the same store with other rules.
    pub async fn start_again_with(&mut self, routes: impl AsRef<str>) {
        self.setup.routes = with_source(routes.as_ref());
        self.start_again().await;
    }

    /// One try; `false` if somebody else took a port meanwhile, the log if it ended for another reason.
    async fn try_start(&mut self) -> Result<bool, String> {
        self.starts += 1;
        (self.webhooks, self.admin) = (free_address(), free_address());
        if self.setup.rules_file.is_none() {
            std::fs::write(self.routes_file(), &self.setup.routes).unwrap();
        }
        let log = File::create(self.log_file(self.starts)).unwrap();
        let child = self.command().current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let status = eventually("the relay is ready", async || match self.exited() {
            Some(status) => Some(Some(status)),
            None => {
                let (status, _) = self.try_get("/readyz").await?;
                ((status == 200 || self.setup.damaged) && self.log().contains("started")).then_some(None)
            }
        })
        .await;
        if status.is_some() {
            self.child = None;
            let log = self.log();
            return if log.contains("something else has the port") { Ok(false) } else { Err(log) };
        }
        self.poster = Some(Poster::new(self.webhooks, Arc::clone(&self.accepted)));
        Ok(true)
    }

    fn command(&self) -> Command {
        let environment = self.setup.environment.iter().cloned();
        let Some(image) = &self.setup.image else {
            let mut command = match (self.setup.open_files, &self.setup.hosts) {
                (Some((soft, hard)), _) => command::relay_with_open_files(soft, hard),
                (None, Some(hosts)) => command::relay_with_hosts(hosts),
                (None, None) => command::relay(),
            };
            command.args(self.arguments()).envs(environment);
            return command;
        };
        let ports = [("WIZA_RELAY_LISTEN", self.webhooks), ("WIZA_RELAY_ADMIN", self.admin)];
        let ports = ports.map(|(name, address)| (name.to_owned(), address.to_string()));
        image.command(&self.store(), ports.into_iter().chain(environment), &[])
    }

    fn arguments(&self) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut admin = self.admin;
        if self.setup.on_all_interfaces {
            admin.set_ip(Ipv4Addr::UNSPECIFIED.into());
        }
        let (webhooks, admin) = (self.webhooks.to_string(), admin.to_string());
        let mut arguments =
            vec!["serve".to_owned(), "--config".to_owned(), text(self.routes_file()), "--store".to_owned(), text(self.store())];
        arguments.extend(["--listen".to_owned(), webhooks, "--admin".to_owned(), admin]);
        arguments.extend(self.setup.arguments.iter().cloned());
        arguments
    }

    /// Tries to start it on the same store, where it is to end by itself.
    pub async fn refused_start(&self) -> Ran {
        assert!(self.child.is_none(), "it is running");
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> = self.setup.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run_with(&arguments, &environment).await
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Adds a receiver at which `finish` looks for what was delivered.
    pub fn watch(&mut self, receiver: &Receiver) {
        self.setup.witnesses.push(receiver.witness());
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("not running").id()
    }

    /// Posts webhooks; clones can be sent to other tasks. Valid until the relay is started again.
    pub fn poster(&self) -> Poster {
        self.poster.clone().expect("not running")
    }

    /// A webhook with a right key, to be changed and sent.
    pub fn webhook(&self, body: impl Into<Vec<u8>>) -> Webhook {
        self.poster().webhook(body)
    }

    /// A connection to the webhook port.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.webhooks).await
    }

    /// Ids of all events that were accepted so far, over restarts.
    pub fn accepted(&self) -> Vec<String> {
        self.accepted.lock().unwrap().clone()
    }

    /// Asks the admin port; `None` where nobody answers.
    pub async fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.client.get(format!("http://{}{path}", self.admin)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// Asks the admin port.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.expect("the admin port does not answer")
    }

    /// A scrape.
    pub async fn metrics(&self) -> Metrics {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200, "{text}");
        Metrics { text }
    }

    /// One series now.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.metrics().await.get(name, labels)
    }

    /// Waits until a series has this value.
    pub async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        eventually(&format!("{name} {labels:?} is {value}"), async || (self.metric(name, labels).await == value).then_some(())).await;
    }

    /// Waits until this many deliveries to `crm` have this final outcome.
    pub async fn wait_for_outcome(&self, outcome: &str, count: u64) {
        self.wait_for_metric("deliveries_total", &[("destination", "crm"), ("outcome", outcome)], count).await;
    }

    /// An event's one delivery, as the API shows it: true of any engine, so a test of what the relay does asks here and not the file.
    pub async fn delivery(&self, event: &str) -> Delivery {
        let event = self.api(&format!("events/{event}")).await;
        let [delivery] = event["deliveries"].as_array().unwrap().as_slice() else { panic!("{event}") };
        let shown = self.api(&format!("deliveries/{}", delivery["id"].as_str().unwrap())).await;
        let text = |name: &str| shown[name].as_str().map(str::to_owned);
        let number = |name: &str| shown[name].as_u64();
        Delivery {
            destination: text("destination").unwrap(),
            route: text("route"),
            state: match shown["status"].as_str() {
                Some("waiting") => "waiting",
                Some("retrying") => "retrying",
                Some("delivered") => "delivered",
                Some("dead") => "dead",
                other => panic!("a delivery is {other:?}"),
            },
            attempts: number("attempts").unwrap().try_into().unwrap(),
            last_status: number("last_status").map(|status| status.try_into().unwrap()),
            last_error: text("last_error"),
        }
    }

    /// What the API answers below `/api/`.
    async fn api(&self, path: &str) -> serde_json::Value {
        let (status, text) = self.get(&format!("/api/{path}")).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What the store's file holds.
    pub fn stored(&self) -> Stored {
        Stored::open(&self.store())
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.setup.store.clone().unwrap_or_else(|| self.folder.path().join("store"))
    }

    /// Walks the store as an operator would, and makes sure that no delivery is missing from its books.
    pub async fn audit(&self) {
        let ran = run_with(&["audit", "--store", &self.store().display().to_string()], &[]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// After it was started again: waits until the store has looked for what deleted events left behind. Then it writes nothing by itself.
    pub async fn rests(&self) {
        let told = "what deleted events left behind is cleared";
        eventually("the store was looked through", async || self.log().contains(told).then_some(())).await;
    }

    /// A folder for what else a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The rules that it was started with.
    pub fn routes_file(&self) -> PathBuf {
        self.setup.rules_file.clone().unwrap_or_else(|| self.folder.path().join("routes.yaml"))
    }

    /// Writes other rules into the file of the running relay. A restart goes on with them.
    pub fn write_rules(&mut self, routes: impl AsRef<str>) {
        self.setup.routes = with_source(routes.as_ref());
        std::fs::write(self.routes_file(), &self.setup.routes).unwrap();
    }

    /// Waits until the rules in effect are those in the file.
    pub async fn reloaded(&self) {
        let version = format!("version {} in effect", wiza_relay::config::version(&std::fs::read_to_string(self.routes_file()).unwrap()));
        eventually("the rules are reloaded", async || {
            let told = self.get("/readyz?verbose").await.1;
            (told.contains(&version) && !told.contains(" is not: ")).then_some(())
        })
        .await;
    }

    /// Asks the admin port for something to be done.
    pub async fn post(&self, path: &str) -> (u16, serde_json::Value) {
        let response = self.client.post(format!("http://{}{path}", self.admin)).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }

    /// Runs a command of the binary that asks this relay.
    pub async fn ask(&self, arguments: &[&str]) -> Ran {
        let url = format!("http://{}", self.admin);
        command::run_with(arguments, &[("WIZA_RELAY_ADMIN_URL", &url)]).await
    }

    /// The same, at a terminal of so many columns, with these variables.
    pub async fn ask_at_terminal(&self, columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let url = format!("http://{}", self.admin);
        let environment = [&[("WIZA_RELAY_ADMIN_URL", url.as_str())], environment].concat();
        command::run_at_terminal(columns, arguments, &environment).await
    }

    /// Runs a listing command with `--json`, and gives its lines.
    pub async fn listed(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let ran = self.ask(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks the books by walking the store, as an operator would.
    pub async fn assert_balanced(&self) {
        let ran = command::run(&["audit", "--store", &self.store().display().to_string()]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn log_file(&self, start: usize) -> PathBuf {
        self.folder.path().join(format!("relay-{start}.log"))
    }

    /// Standard error since the last start.
    pub fn log(&self) -> String {
        self.log_of(self.starts)
    }

    fn log_of(&self, start: usize) -> String {
        let bytes = std::fs::read(self.log_file(start)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL, as a power cut would have it.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("not running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The same for one that is not needed further.
    pub fn kill_quietly(mut self) {
        self.kill();
    }

    /// Only sends SIGTERM.
    pub fn send_terminate(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = eventually("the relay ends", async || self.exited()).await;
        self.child = None;
        status
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.send_terminate();
        self.ended().await
    }

    /// Waits until nothing waits; then makes sure that no delivery is missing in the figures, in the store or at the
    /// receivers, and that the relay ends well.
    pub async fn finish(mut self) {
        eventually("nothing waits any more", async || {
            let metrics = self.metrics().await;
            metrics.destinations().iter().all(|name| metrics.get("waiting", &[("destination", name)]) == 0).then_some(())
        })
        .await;
        self.metrics().await.assert_conserved();
        let status = self.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.assert_everything_arrived();
        self.assert_balanced().await;
        for start in 1..=self.starts {
            let log = self.log_of(start);
            assert!(!log.contains("panicked"), "{log}");
            for secret in [API_KEY, &sha256_hex(API_KEY)] {
                assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
            }
        }
    }

    /// Every delivery that was planned for an accepted event has a final outcome, and what counts as delivered was
    /// answered with a 2xx by one of the receivers.
    pub fn assert_everything_arrived(&self) {
        let stored = self.stored();
        let taken: HashSet<String> = self.setup.witnesses.iter().flat_map(|witness| witness.took()).collect();
        for id in self.accepted() {
            for delivery in stored.planned(&id) {
                assert!(delivery.state == "dead" || delivery.state == "delivered", "{id}: {delivery:?}");
                let name = format!("{id}_{}", delivery.destination);
                let seen = taken.contains(&name);
                assert_eq!(seen, delivery.state == "delivered", "{name} is {}, and its receiver begs to differ", delivery.state);
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- the relay's log\n{}---", self.log());
        } else {
            panic!("a test ends its relay with finish() or kill()");
        }
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
