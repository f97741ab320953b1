//! What each commit touched, for whoever follows.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::delivery::DestinationKey;

/// Commits that a follower may be behind. One that is further behind is told how many it missed.
pub const COMMITS_BEHIND_MAX: usize = 64;

/// What a commit touched.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// New events, by their places in the order of acceptance.
    pub events: Vec<i64>,
    /// Deliveries whose row is new or another.
    pub deliveries: Vec<(i64, DestinationKey)>,
}

/// Tells followers what each commit touched.
#[derive(Debug)]
pub struct Changes(broadcast::Sender<Arc<Changed>>);

impl Changes {
    /// Nobody follows yet.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(COMMITS_BEHIND_MAX))
    }

    /// From here on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Changed>> {
        self.0.subscribe()
    }

    /// Whether anybody does. Nobody does most of the time.
    pub fn are_followed(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Tells whoever follows.
    pub fn publish(&self, changed: Changed) {
        if self.are_followed() {
            let _ = self.0.send(Arc::new(changed));
        }
    }
}
