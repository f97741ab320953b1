//! Makes events of what the relay has to tell of itself ([`crate::own_events`]): looks at queues and store, asks the ledger what is
//! due, and stores it for the routes that ask for it. Where no route does, nothing is stored.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::delivery::DestinationKey;
use crate::event::{Event, EventId, EventSource};
use crate::metrics::{Metrics, OwnEventOutcome};
use crate::own_events::{Beside, Death, News, Queue, Reporter, Trouble};
use crate::problem::backlog_full;
use crate::rules::{CurrentRules, Rules};
use crate::store::{Backlog, DestinationFigures, Disposition, GivenUp, Health, NewEvent, Store};

/// How often it is looked for what is due: the time that news takes at most, beside what the ledger lets gather.
const TICK: Duration = Duration::from_secs(1);
/// How often queues and disk are looked at, at most and at least. A queue is read from the store.
const LOOK_MAX: Duration = Duration::from_secs(10);
const LOOK_MIN: Duration = Duration::from_secs(1);
/// News that could not be stored yet. The ledger makes few, so that more than this means that the store has been away for long.
const PENDING_MAX: usize = 256;
/// The disk is nearly full below this: the store's log alone may take so much.
const DISK_LOW_BYTES: u64 = 256 << 20;
/// Parts of a hundred of `--max-backlog` from which on it is nearly full.
const BACKLOG_HIGH_PERCENT: u64 = 80;

/// The terms of each destination.
type Ledger = [(DestinationKey, DestinationFigures)];

/// What it works with.
pub struct Announcer {
    store: Arc<dyn Store>,
    rules: CurrentRules,
    metrics: Arc<Metrics>,
    reporter: Reporter,
    /// In the order in which it happened.
    pending: VecDeque<News>,
    looked_at: Option<Instant>,
}

impl Announcer {
    /// Nothing has been told yet.
    pub fn new(store: Arc<dyn Store>, rules: CurrentRules, metrics: Arc<Metrics>, reporter: Reporter) -> Self {
        Self { store, rules, metrics, reporter, pending: VecDeque::new(), looked_at: None }
    }

    /// Does not end.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(TICK).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let rules = self.rules.load_full();
        let limits = rules.config.own_events;
        let is_wanted = rules.config.routes.iter().any(|route| route.source == EventSource::Relay);
        let interval = (limits.queue_old / 4).clamp(LOOK_MIN, LOOK_MAX);
        let is_time = self.looked_at.is_none_or(|at| at.elapsed() >= interval);
        let health = self.store.health();
        let ledger = (is_wanted && (is_time || health != Health::Good)).then(|| self.store.ledger());
        let troubles = ledger.as_ref().map(|ledger| troubles(&health, &*self.store, waiting(ledger)));
        let queues = match &ledger {
            Some(ledger) if is_time => {
                self.looked_at = Some(Instant::now());
                self.queues(&rules, waiting(ledger) > 0).await
            }
            _ => None,
        };
        self.note_given_up();
        let news = self.reporter.due(limits, queues.as_deref(), troubles.as_deref());
        for news in news {
            if self.pending.len() < PENDING_MAX {
                self.pending.push_back(news);
            } else {
                tracing::warn!(own_event = news.kind().name(), "too many own events wait for the store; this one is dropped");
                self.metrics.own_event(news.kind(), OwnEventOutcome::Dropped);
            }
        }
        if !self.pending.is_empty() {
            self.tell(&rules).await;
        }
    }

    /// Lanes say themselves what they give up; what the store gives up is asked for.
    fn note_given_up(&self) {
        for GivenUp { destination, ending, reason, count, webhooks } in self.store.given_up() {
            self.metrics.given_up(&destination, ending, count);
            // What became of own events is told to nobody.
            if let Some((count, first, last)) = webhooks {
                let death = Death { events: (first, last), count, reason: ending.label(), detail: reason, status: None };
                self.reporter.died(&destination, death);
            }
        }
    }

    /// Stores what is pending, until the store does not take one.
    async fn tell(&mut self, rules: &Rules) {
        let ledger = self.store.ledger();
        while let Some(news) = self.pending.pop_front() {
            match self.store_one(rules, &ledger, &news).await {
                Ok(outcome) => self.metrics.own_event(news.kind(), outcome),
                // As a webhook's sender would, it comes again.
                Err(error) => {
                    tracing::debug!(own_event = news.kind().name(), %error, "an own event cannot be stored yet");
                    self.pending.push_front(news);
                    return;
                }
            }
        }
    }

    async fn store_one(&self, rules: &Rules, ledger: &Ledger, news: &News) -> Result<OwnEventOutcome, crate::store::Unavailable> {
        let of = |name: &str| ledger.iter().find(|(_, figures)| *figures.name == *name).map(|(_, figures)| figures.waiting());
        let waiting = news.destination().and_then(of).unwrap_or(0);
        let payload = news.payload(Beside { waiting, rules: &rules.config.version });
        let (now, kind) = (Timestamp::now(), news.kind().name());
        let id = EventId::of(EventSource::Relay, now);
        let event = Event::new(id, now, String::new(), String::new(), payload.to_string().into()).with_payload(payload);
        let (decision, plan) = rules.plan(&event);
        let matched = decision.matched.iter().filter_map(|place| rules.config.routes.get(*place)).map(|route| route.name.as_str());
        if plan.deliveries.is_empty() {
            self.metrics.matched(matched, false);
            return Ok(OwnEventOutcome::Unwanted);
        }
        let disposition = Disposition::Route { rules: rules.key(), plan };
        self.store.append(NewEvent { event, kind: Some(kind.to_owned()), dedupe: None, disposition }).await?;
        self.metrics.matched(matched, false);
        tracing::info!(event_id = %id, own_event = kind, "an own event was stored");
        Ok(OwnEventOutcome::Stored)
    }

    /// The queues of the destinations that webhooks are sent to. `None` where the store cannot be read.
    async fn queues<'r>(&self, rules: &'r Rules, waits: bool) -> Option<Vec<Queue<'r>>> {
        let config = &rules.config;
        let of_webhooks = config.routes.iter().filter(|route| route.source == EventSource::Wiza).flat_map(|route| &route.to);
        let places: HashSet<usize> = of_webhooks.chain(&config.unmatched).map(|target| target.destination).collect();
        let oldest = if waits { self.store.oldest().await.ok()? } else { Vec::new() };
        let queues = rules.destinations().filter(|(_, place)| places.contains(place)).filter_map(|(key, place)| {
            let destination = config.destinations.get(place)?.name.as_str();
            let oldest = oldest.iter().find(|(known, _)| *known == key).map(|(_, received_at)| *received_at);
            Some(Queue { destination, oldest, circuit: self.store.standing(key).borrow().circuit.label() })
        });
        Some(queues.collect())
    }
}

/// What waits altogether.
fn waiting(ledger: &Ledger) -> u64 {
    ledger.iter().map(|(_, figures)| figures.waiting()).sum()
}

/// All that is wrong with the store, in which so many deliveries wait.
fn troubles(health: &Health, store: &dyn Store, waiting: u64) -> Vec<Trouble> {
    let mute = |sort, reason: &str| Trouble { sort, detail: reason.to_owned(), is_mute: true };
    let mut troubles: Vec<Trouble> = match health {
        Health::CannotWrite(reason) => vec![mute("cannot_write", reason)],
        Health::Full(Backlog { waiting, limit }) => vec![mute("backlog_full", &backlog_full(*waiting, *limit))],
        // It takes nothing before a restart, so nobody can be told; the log and /healthz say it.
        Health::Good | Health::Failed(_) => Vec::new(),
    };
    if let Some(bytes) = store.disk().available_bytes.filter(|bytes| *bytes < DISK_LOW_BYTES) {
        let detail = format!("the disk has {} MiB left", bytes >> 20);
        troubles.push(Trouble { sort: "disk_nearly_full", detail, is_mute: false });
    }
    let limit = store.backlog_limit();
    if u128::from(waiting) * 100 > u128::from(limit) * u128::from(BACKLOG_HIGH_PERCENT) {
        let detail = format!("{waiting} deliveries wait, and --max-backlog is {limit}");
        troubles.push(Trouble { sort: "backlog_nearly_full", detail, is_mute: false });
    }
    troubles
}
