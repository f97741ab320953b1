//! What a relay is started with.

use std::path::PathBuf;
use std::sync::Arc;

use super::receiver::Witness;
use super::{API_KEY, Faults, Image, Receiver, Relay};

/// A relay that has not been started yet.
pub struct Setup {
    pub(super) routes: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) witnesses: Vec<Witness>,
    pub(super) store: Option<PathBuf>,
    pub(super) rules_file: Option<PathBuf>,
    pub(super) on_all_interfaces: bool,
    pub(super) damaged: bool,
    pub(super) image: Option<Arc<Image>>,
    /// The soft and the hard limit of open files.
    pub(super) open_files: Option<(u32, u32)>,
    /// Stands in place of /etc/hosts.
    pub(super) hosts: Option<PathBuf>,
}

impl Setup {
    /// These destinations and routes, and a source that accepts [`API_KEY`].
    pub fn new(routes: impl AsRef<str>) -> Self {
        Self {
            routes: with_source(routes.as_ref()),
            arguments: Vec::new(),
            environment: Vec::new(),
            witnesses: Vec::new(),
            store: None,
            rules_file: None,
            on_all_interfaces: false,
            damaged: false,
            image: None,
            open_files: None,
            hosts: None,
        }
    }

    /// One destination `crm`, with these further keys (`timeout: 1s, concurrency: 2`), that gets everything.
    pub fn to(receiver: &Receiver, keys: &str) -> Self {
        Self::new(one_destination(&receiver.url("/crm"), keys)).seen_by(receiver)
    }

    /// This file, as a whole.
    pub fn with_whole_file(mut self, text: &str) -> Self {
        self.routes = text.to_owned();
        self
    }

    /// Makes a receiver one of those at which `finish` looks for what was delivered.
    pub fn seen_by(mut self, receiver: &Receiver) -> Self {
        self.witnesses.push(receiver.witness());
        self
    }

    /// Starts it as something that allows so many open files, and so many if the process asks for them.
    pub fn open_files(mut self, soft: u32, hard: u32) -> Self {
        self.open_files = Some((soft, hard));
        self
    }

    /// Has it look for names in this file in place of /etc/hosts. See [`super::command::may_have_own_hosts`].
    pub fn hosts(mut self, file: impl Into<PathBuf>) -> Self {
        self.hosts = Some(file.into());
        self
    }

    /// Adds `--name value`.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    /// Sets a variable of the relay's environment, which is otherwise empty.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets a test make its disk and its clock go wrong.
    pub fn with(mut self, faults: &Faults) -> Self {
        self.environment.extend(faults.environment());
        self
    }

    /// Keeps the store there instead of in a folder of the relay's own.
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// Reads the rules there, where the test itself has put them.
    pub fn rules_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.rules_file = Some(path.into());
        self
    }

    /// Runs it in the image, with the rules, and the store, where the image wants them.
    pub fn inside(self, image: &Arc<Image>) -> Self {
        let rules = image.rules().join("routes.yaml");
        std::fs::write(&rules, &self.routes).unwrap();
        Self { image: Some(Arc::clone(image)), rules_file: Some(rules), ..self }
    }

    /// Lets the admin port be reached from beyond this machine.
    pub fn on_all_interfaces(mut self) -> Self {
        self.on_all_interfaces = true;
        self
    }

    /// Expects that the store may be refused, or fail as soon as it is used.
    pub fn damaged(mut self) -> Self {
        self.damaged = true;
        self
    }

    /// Starts it and waits until it is alive; where it ends at once, what it said.
    pub async fn try_start(self) -> Result<Relay, String> {
        Relay::try_new(self).await
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Relay {
        Relay::start(self).await
    }
}

/// Everything goes to `crm`, there.
pub fn one_destination(url: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("destinations:\n  crm: {{ url: \"{url}\"{comma}{keys} }}\nroutes:\n  - {{ name: everything, to: [crm] }}\n")
}

/// Puts the usual source in front, unless the text has one.
pub fn with_source(routes: &str) -> String {
    if routes.lines().any(|line| line.starts_with("source:")) {
        return routes.to_owned();
    }
    format!("source: {{ path: /webhooks/wiza, api_keys: [{API_KEY}] }}\n{routes}")
}
