//! Whether a request that got no answer in time went over a connection that may itself be what is dead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the bytes that came over a connection.
pub(super) type Arrivals = Arc<AtomicU64>;

/// Over which connection a request is under way. It is read after the request was dropped because its time was over.
#[derive(Debug, Default)]
pub(super) struct Trail(Mutex<Option<Mark>>);

/// A connection that had given an answer before, and what had come over it when the request began.
#[derive(Debug)]
struct Mark {
    arrivals: Arrivals,
    before: u64,
}

impl Trail {
    /// Notes that the request goes over a connection that had given an answer before; `None`: over one that is new.
    pub fn goes_over(&self, proven: Option<Arrivals>) {
        let mark = proven.map(|arrivals| Mark { before: arrivals.load(Ordering::Relaxed), arrivals });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    /// Whether nothing came over a connection that had been used before: it may be dead while the server is well, as where something
    /// on the way forgot it.
    pub fn is_silent(&self) -> bool {
        let mark = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mark.as_ref().is_some_and(|mark| mark.arrivals.load(Ordering::Relaxed) == mark.before)
    }
}
