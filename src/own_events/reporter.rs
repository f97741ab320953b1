//! The ledger, shared by those who notice something and by the task that tells it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::circuit::Turn;
use super::ledger::{Death, Ledger, Opening, Queue, Trouble};
use super::{Limits, News};

/// A way to note what happens; clones note in one ledger. Nothing is told by it: that is done by whoever calls [`Reporter::due`].
#[derive(Debug, Clone, Default)]
pub struct Reporter(Arc<Mutex<Ledger>>);

impl Reporter {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that deliveries of webhooks were given up.
    pub fn died(&self, destination: &str, death: Death) {
        self.ledger().died(destination, death, Instant::now(), Timestamp::now());
    }

    /// Notes that a breaker was open when the relay started.
    pub fn was_open(&self, destination: &str) {
        self.ledger().was_open(destination, Timestamp::now());
    }

    /// Notes what a breaker did; `opening` is how it opened, if it did.
    pub fn circuit(&self, destination: &str, turn: Turn, opening: Opening) {
        match turn {
            Turn::Opened => self.ledger().opened(destination, opening, Instant::now()),
            Turn::Closed => self.ledger().closed(destination, opening.at),
        }
    }

    /// Notes that a file could not take effect.
    pub fn refused(&self, reason: &str) {
        self.ledger().refused(reason, Timestamp::now());
    }

    /// Looks at the queues and at the store, as far as they were looked at just now, and takes what is to be told.
    pub fn due(&self, limits: Limits, queues: Option<&[Queue<'_>]>, troubles: Option<&[Trouble]>) -> Vec<News> {
        let (now, clock) = (Instant::now(), Timestamp::now());
        let mut ledger = self.ledger();
        ledger.limit(limits);
        if let Some(queues) = queues {
            ledger.queues(queues, now, clock);
        }
        if let Some(troubles) = troubles {
            ledger.store(troubles, now, clock);
        }
        ledger.due(now)
    }
}
