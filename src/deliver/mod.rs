//! From the queue to the destination: one lane a destination, each on its own.

mod attempt;
mod lane;
mod news;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use self::lane::Observers;
use self::news::LaneNews;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Destination};
use crate::delivery::DestinationKey;
use crate::egress::Guard;
use crate::metrics::Metrics;
use crate::own_events::Reporter;
use crate::rules::Rules;
use crate::send::{Sender, SetupError};
use crate::store::Store;
use crate::traces::Traces;
use crate::vitals::Part;

/// What a lane works by; replaced as a whole when the rules change.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    pub rules: Arc<Rules>,
    /// The destination's place in the file.
    pub place: usize,
    pub destination: Arc<Destination>,
    pub sender: Sender,
}

/// Why nothing could be sent to a destination.
#[derive(Debug, thiserror::Error)]
#[error("destination `{destination}`: {error}")]
pub struct Unprepared {
    /// The destination's name.
    pub destination: String,
    /// Why it has no client.
    #[source]
    pub error: SetupError,
}

/// All lanes.
pub struct Lanes {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    traces: Traces,
    /// Where lanes note what the relay has to tell of itself.
    reporter: Reporter,
    /// Where the relay itself listens: no request goes there.
    own_ports: Arc<[SocketAddr]>,
    lanes: HashMap<DestinationKey, Lane>,
    /// Cancelled: no new attempt begins.
    stop: CancellationToken,
    running: TaskTracker,
}

struct Lane {
    settings: watch::Sender<LaneSettings>,
    /// Cancelled when the destination leaves the file.
    stop: CancellationToken,
}

impl Lanes {
    /// No lanes yet. No request will go to `own_ports`, where the relay itself listens. `stop` ends all that will be.
    pub fn new(
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        traces: Traces,
        reporter: Reporter,
        own_ports: impl Into<Arc<[SocketAddr]>>,
        stop: CancellationToken,
    ) -> Self {
        Self { store, metrics, traces, reporter, own_ports: own_ports.into(), lanes: HashMap::new(), stop, running: TaskTracker::new() }
    }

    /// All that can fail of [`Lanes::apply`]: a sender for each destination of the file, in its order. A destination that
    /// is known keeps its token where that does not depend on what changed, and begins with new connections.
    ///
    /// # Errors
    /// Where a destination's client cannot be made.
    pub fn prepare(&self, config: &Config) -> Result<Vec<Sender>, Unprepared> {
        let of_lane = |lane: &Lane| {
            let settings = lane.settings.borrow();
            (settings.destination.name.clone(), settings.sender.clone())
        };
        let old: HashMap<_, Sender> = self.lanes.values().map(of_lane).collect();
        let egress = Arc::new(Guard::new(config.egress.clone(), Arc::clone(&self.own_ports)));
        let sender = |destination: &Arc<Destination>| {
            Sender::new(destination, &egress, old.get(&destination.name))
                .map_err(|error| Unprepared { destination: destination.name.clone(), error })
        };
        config.destinations.iter().map(sender).collect()
    }

    /// Makes these rules the ones that lanes work by: new destinations get a lane, those that left lose theirs once
    /// what is in flight has ended, the others take the new settings. `senders` are those prepared for these rules.
    pub fn apply(&mut self, rules: &Arc<Rules>, senders: Vec<Sender>) {
        let mut settings = BTreeMap::new();
        for ((key, place), sender) in rules.destinations().zip(senders) {
            let Some(destination) = rules.config.destinations.get(place).filter(|destination| destination.enabled) else { continue };
            settings.insert(key, LaneSettings { rules: Arc::clone(rules), place, destination: Arc::clone(destination), sender });
        }
        self.lanes.retain(|key, lane| {
            let stays = settings.contains_key(key);
            if !stays {
                lane.stop.cancel();
            }
            stays
        });
        for (key, settings) in settings {
            match self.lanes.get(&key) {
                Some(lane) => {
                    lane.settings.send_replace(settings);
                }
                None => self.start(key, settings),
            }
        }
    }

    /// Where lanes note what the relay has to tell of itself.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Waits until every lane has ended. They end once `stop` is cancelled and what is in flight has its outcome.
    pub async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    fn start(&mut self, key: DestinationKey, settings: LaneSettings) {
        let stop = self.stop.child_token();
        let name = settings.destination.name.clone();
        let metrics = self.metrics.destination(&name);
        let (sender, receiver) = watch::channel(settings);
        let (name, vitals) = (format!("the lane of `{name}`"), Arc::clone(&self.metrics.vitals));
        let watched = Arc::clone(&vitals);
        let observers = Observers { metrics, vitals, traces: self.traces.clone(), news: LaneNews::new(self.reporter.clone()) };
        let lane = lane::Lane::new(key, Arc::clone(&self.store), observers, receiver, stop.clone());
        self.running.spawn(async move { watched.watch(Part::Lane, &name, lane.run()).await });
        self.lanes.insert(key, Lane { settings: sender, stop });
    }
}
