//! Making rules take effect: at the start, and whenever the file changes, on SIGHUP, and on `POST /-/reload`.
//!
//! All fallible work comes first and touches nothing that lives: the file is validated wholly, the clients are made, the
//! store learns the names in one transaction. Then metrics, lanes and the receiver take the new rules. An event is routed
//! by the version that the receiver loaded for it, and stored with that version's key.

mod refusal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::admin::{Reload, Reloaded};
use crate::asker::Asker;
use crate::config::{Config, Finding, Loaded, Severity};
use crate::deliver::Lanes;
use crate::event::rfc3339_milliseconds;
use crate::fault;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::rules::{self, CurrentRules, CurrentStatus, FileStatus, Refused, Rules};
use crate::rules_file::{RulesFile, Watch};
use crate::service_manager;
use crate::store::Store;
use crate::vitals::{self, Part};

pub use refusal::Refusal;

/// After a change the file rests for so long before it is read: a file that is just being written is not whole.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// How often the file is read even if no change was noticed: not every file system tells, and a secret's file
/// (`${file:...}`) may lie in a folder that is not watched.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Requests for a reload that may wait. More are the same request.
const REQUESTS_MAX: usize = 8;
/// Findings of an invalid file that are logged.
const FINDINGS_LOGGED_MAX: usize = 20;

/// A request for a reload.
pub struct Request {
    asker: Asker,
    reply: oneshot::Sender<Reloaded>,
}

/// The one who changes the rules.
pub struct Reloader {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    lanes: Lanes,
    current: CurrentRules,
    status: CurrentStatus,
    /// What the last look was refused for, so that a look that finds the same says nothing new. `None`: it was not refused.
    refused: Option<Refusal>,
}

/// Who pauses every destination at the start, as listings name whoever did.
const BY_HOLD: &str = "serve --hold";

impl Reloader {
    /// Makes the first rules take effect. With `hold` every destination is paused before anything is sent, those too that the store
    /// knows and the rules do not name: they may come back with a later version. A destination that is new with a later version has
    /// nothing from before, and is not paused.
    ///
    /// # Errors
    /// Where they cannot.
    pub async fn start(
        config: Config,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        mut lanes: Lanes,
        hold: bool,
    ) -> Result<Self, Refusal> {
        let version = config.version.clone();
        let names = Names { held_by: hold.then(|| BY_HOLD.to_owned()), ..rules::names(&config) };
        let rules = take_effect(config, names, &*store, &metrics, &mut lanes).await?;
        if hold {
            tracing::warn!("started with --hold: every destination is paused; `wiza-relay resume NAME` lets one go");
        }
        let current = Arc::new(ArcSwap::new(rules));
        let status = FileStatus { version, since: Timestamp::now(), refused: None };
        service_manager::status(&status.to_string());
        Ok(Self { store, metrics, lanes, current, status: Arc::new(ArcSwap::from_pointee(status)), refused: None })
    }

    /// The rules in effect.
    pub fn rules(&self) -> CurrentRules {
        Arc::clone(&self.current)
    }

    /// What is known of their file.
    pub fn status(&self) -> CurrentStatus {
        Arc::clone(&self.status)
    }

    /// Reloads `file` when it changes and when somebody asks, until `stop`. Gives back the lanes, to be drained.
    pub async fn run(mut self, file: Option<RulesFile>, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) -> Lanes {
        let mut watch = file.as_ref().and_then(|file| match file.watch() {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, poll_s = POLL_INTERVAL.as_secs(), "changes of the rules are noticed by polling only");
                None
            }
        });
        let mut seen = self.status.load().version.clone();
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => return self.lanes,
                Some(request) = requests.recv() => Some(request),
                () = changed(watch.as_ref()) => {
                    tokio::time::sleep(SETTLE_TIME).await;
                    None
                }
                _ = poll.tick() => None,
            };
            let reloaded = match &file {
                Some(file) => self.watched_reload(file, &mut seen, &mut watch, request.as_ref().map(|request| &request.asker)).await,
                None => Some(Reloaded::Failed("these rules came from no file".to_owned())),
            };
            if let (Some(request), Some(reloaded)) = (request, reloaded) {
                let _ = request.reply.send(reloaded);
            }
        }
    }

    /// Reloads the file. A panic must not take the lanes with it, which this task owns: deliveries go on by the rules that lanes have.
    async fn watched_reload(
        &mut self,
        file: &RulesFile,
        seen: &mut String,
        watch: &mut Option<Watch>,
        asked_by: Option<&Asker>,
    ) -> Option<Reloaded> {
        let vitals = Arc::clone(&self.metrics.vitals);
        match vitals.watch(Part::Reloader, "what reloads the rules", self.reload(file, seen, watch, asked_by)).await {
            Some(reloaded) => reloaded,
            None => {
                let reason = Refusal::Panicked.to_string();
                self.refuse(Refusal::Panicked, asked_by.unwrap_or(&Asker::FILE_CHANGE));
                Some(Reloaded::Failed(reason))
            }
        }
    }

    /// Reads the file and those that it includes, which are watched from then on. Where nobody `asked`, rules that say what they said when
    /// they were `seen` last are not looked at further.
    async fn reload(
        &mut self,
        file: &RulesFile,
        seen: &mut String,
        watch: &mut Option<Watch>,
        asked_by: Option<&Asker>,
    ) -> Option<Reloaded> {
        let (asked, by) = (asked_by.is_some(), asked_by.unwrap_or(&Asker::FILE_CHANGE));
        let current = self.current.load_full();
        let reader = file.clone();
        let old = seen.clone();
        let read = vitals::blocking(move || {
            fault::point("reloader");
            let read = reader.read().map_err(Refusal::Unread)?;
            let version = read.files.version();
            let same_text = version == old;
            let same = same_text && !current.config.files_changed();
            let loaded = if same && !asked { None } else { Some((version, same_text, same, reader.load(&read.files))) };
            Ok((loaded, read))
        });
        let (version, same_text, same, Loaded { config, findings, .. }) = match read.await.unwrap_or(Err(Refusal::Stopping)) {
            Ok((loaded, read)) => {
                if let Some(Err(error)) = watch.as_mut().map(|watch| watch.follow(&read)) {
                    tracing::debug!(%error, poll_s = POLL_INTERVAL.as_secs(), "changes there are noticed by polling only");
                }
                loaded?
            }
            Err(refusal) => {
                // A file that is gone for a moment, between two writes, is looked for again.
                let reason = refusal.to_string();
                if !self.is_known(&refusal) || asked {
                    self.refuse(refusal, by);
                }
                seen.clear();
                return Some(Reloaded::Failed(reason));
            }
        };
        *seen = version;
        let Some(config) = config else {
            // A secret's file that is wrong is seen at each look; a look that finds what the last one found says nothing new.
            let refusal = Refusal::Invalid(findings.clone());
            let known = same_text && self.is_known(&refusal);
            if !known || asked {
                self.refuse(refusal, by);
                log(findings.iter().filter(|finding| finding.severity == Severity::Error));
            }
            return Some(Reloaded::Invalid(findings));
        };
        let version = config.version.clone();
        let changed = !same;
        let names = rules::names(&config);
        match take_effect(config, names, &*self.store, &self.metrics, &mut self.lanes).await {
            Ok(rules) => {
                self.current.store(rules);
                // What is in effect already has been so for longer than this reload.
                let since = if changed { Timestamp::now() } else { self.status.load().since };
                self.refused = None;
                self.note(FileStatus { version: version.clone(), since, refused: None });
                let (from, forwarded_for) = (by.address(), &by.claims);
                let since = rfc3339_milliseconds(since);
                tracing::info!(rules = version, since, changed, by = by.by, from, forwarded_for, "the rules were reloaded");
                if changed {
                    log(&findings);
                }
                Some(Reloaded::Applied { version, changed, findings })
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                self.refuse(refusal, by);
                seen.clear(); // Whatever stood in the way may be gone at the next look.
                Some(Reloaded::Failed(reason))
            }
        }
    }

    /// Whether the last look was refused for the same.
    fn is_known(&self, refusal: &Refusal) -> bool {
        self.refused.as_ref().is_some_and(|known| known.is_same(refusal))
    }

    fn refuse(&mut self, refusal: Refusal, by: &Asker) {
        let reason = refusal.to_string();
        self.refused = Some(refusal);
        self.metrics.reloaded(false);
        self.lanes.reporter().refused(&reason);
        let (from, forwarded_for) = (by.address(), &by.claims);
        let FileStatus { version, since, .. } = FileStatus::clone(&self.status.load());
        let (rules, in_effect_since) = (&version, rfc3339_milliseconds(since));
        tracing::error!(
            error = reason,
            rules,
            since = in_effect_since,
            by = by.by,
            from,
            forwarded_for,
            "the rules were not reloaded; the old ones go on"
        );
        self.note(FileStatus { version, since, refused: Some(Refused { at: Timestamp::now(), reason }) });
    }

    fn note(&self, status: FileStatus) {
        service_manager::status(&status.to_string());
        self.status.store(Arc::new(status));
    }
}

/// A way to ask for a reload, and where the requests arrive.
pub fn requests() -> (Reload, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel::<Request>(REQUESTS_MAX);
    let reload = move |asker: Asker| -> futures_util::future::BoxFuture<'static, Reloaded> {
        let sender = sender.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let lost = || Reloaded::Failed(Refusal::Stopping.to_string());
            match sender.send(Request { asker, reply }).await {
                Ok(()) => answer.await.unwrap_or_else(|_| lost()),
                Err(_) => lost(),
            }
        })
    };
    (Arc::new(reload), receiver)
}

/// Makes `config` the rules in effect for everything but the receiver.
async fn take_effect(config: Config, names: Names, store: &dyn Store, metrics: &Metrics, lanes: &mut Lanes) -> Result<Arc<Rules>, Refusal> {
    let senders = lanes.prepare(&config)?;
    let keys = store.configure(names).await?;
    let rules = Arc::new(Rules::new(config, keys));
    metrics.prepare_accounts(&rules.config.source.api_keys.accounts());
    metrics.prepare(
        rules.config.destinations.iter().map(|destination| destination.name.as_str()),
        rules.config.routes.iter().map(|route| route.name.as_str()),
    );
    lanes.apply(&rules, senders);
    metrics.reloaded(true);
    Ok(rules)
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Findings as lines of the log, as many as it takes.
pub fn log<'a>(findings: impl IntoIterator<Item = &'a Finding>) {
    for Finding { severity, file, line, column, message, hint, .. } in findings.into_iter().take(FINDINGS_LOGGED_MAX) {
        match severity {
            Severity::Error => tracing::error!(file, line, column, hint, "{message}"),
            Severity::Warning => tracing::warn!(file, line, column, hint, "{message}"),
        }
    }
}
