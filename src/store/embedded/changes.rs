//! What each commit touched, for whoever follows, and what was given up, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::delivery::DestinationKey;
use crate::store::GivenUp;

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
pub struct Changes {
    followed: broadcast::Sender<Arc<Changed>>,
    /// What was given up here and nobody was told yet: one entry for each destination and reason.
    given_up: Mutex<Vec<GivenUp>>,
}

impl Changes {
    /// Nobody follows yet.
    pub fn new() -> Self {
        Self { followed: broadcast::Sender::new(COMMITS_BEHIND_MAX), given_up: Mutex::default() }
    }

    /// From here on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Changed>> {
        self.followed.subscribe()
    }

    /// Whether anybody does. Nobody does most of the time.
    pub fn are_followed(&self) -> bool {
        self.followed.receiver_count() > 0
    }

    /// Tells whoever follows.
    pub fn publish(&self, changed: Changed) {
        if self.are_followed() {
            let _ = self.followed.send(Arc::new(changed));
        }
    }

    /// Keeps what was given up until somebody asks.
    pub fn note_given_up(&self, all: impl Iterator<Item = GivenUp>) {
        let mut kept = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        for new in all {
            match kept.iter_mut().find(|old| old.destination == new.destination && old.ending == new.ending) {
                Some(old) => old.add(new),
                None => kept.push(new),
            }
        }
    }

    /// What was given up since this was called last.
    pub fn take_given_up(&self) -> Vec<GivenUp> {
        std::mem::take(&mut *self.given_up.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
