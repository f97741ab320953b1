//! From the queue to the destination: one lane a destination, each on its own.

mod attempt;
mod lane;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Destination;
use crate::delivery::DestinationKey;
use crate::metrics::Metrics;
use crate::rules::Rules;
use crate::send::Sender;
use crate::store::Store;

/// What a lane works by; replaced as a whole when the rules change.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    pub rules: Arc<Rules>,
    /// The destination's place in the file.
    pub place: usize,
    pub destination: Arc<Destination>,
    pub sender: Sender,
}

/// All lanes.
pub struct Lanes {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
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
    /// No lanes yet. `stop` ends all that will be.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, stop: CancellationToken) -> Self {
        Self { store, metrics, lanes: HashMap::new(), stop, running: TaskTracker::new() }
    }

    /// Makes these rules the ones that lanes work by: new destinations get a lane, those that left lose theirs once
    /// what is in flight has ended, the others take the new settings.
    ///
    /// # Errors
    /// Where a destination's client cannot be made; then nothing has changed.
    pub fn apply(&mut self, rules: &Arc<Rules>) -> Result<(), String> {
        let mut settings = HashMap::new();
        for (key, place) in rules.destinations() {
            let Some(destination) = rules.config.destinations.get(place) else { continue };
            let sender = self.sender(key, destination).map_err(|error| format!("destination `{}`: {error}", destination.name))?;
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
        Ok(())
    }

    /// Waits until every lane has ended. They end once `stop` is cancelled and what is in flight has its outcome.
    pub async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    fn start(&mut self, key: DestinationKey, settings: LaneSettings) {
        let stop = self.stop.child_token();
        let metrics = self.metrics.destination(&settings.destination.name);
        let (sender, receiver) = watch::channel(settings);
        let lane = lane::Lane::new(key, Arc::clone(&self.store), metrics, receiver, stop.clone());
        self.running.spawn(lane.run());
        self.lanes.insert(key, Lane { settings: sender, stop });
    }

    /// A client is kept, with its open connections, for as long as what it depends on stays the same.
    fn sender(&self, key: DestinationKey, destination: &Destination) -> Result<Sender, String> {
        if let Some(lane) = self.lanes.get(&key) {
            let settings = lane.settings.borrow();
            let old = &settings.destination;
            if (old.timeout, old.concurrency) == (destination.timeout, destination.concurrency) {
                return Ok(settings.sender.clone());
            }
        }
        Sender::new(destination.timeout, destination.concurrency)
    }
}
