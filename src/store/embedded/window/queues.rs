//! The queues of all destinations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::queue::Queue;
use crate::delivery::DestinationKey;

/// All queues, and how many deliveries wait in them.
#[derive(Debug)]
pub struct Queues {
    queues: RwLock<Arc<Vec<Arc<Queue>>>>,
    /// Deliveries waiting after the last commit.
    waiting: AtomicU64,
}

impl Queues {
    /// These, of which nothing is counted yet.
    pub fn new(queues: Vec<Arc<Queue>>) -> Self {
        Self { queues: RwLock::new(Arc::new(queues)), waiting: AtomicU64::new(0) }
    }

    /// All of them, in the order of their keys.
    pub fn all(&self) -> Arc<Vec<Arc<Queue>>> {
        Arc::clone(&self.queues.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keys are given from 0 on, so a key is an index.
    pub fn get(&self, key: DestinationKey) -> Option<Arc<Queue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.get(usize::try_from(key.0).ok()?).cloned()
    }

    /// Takes new ones in, behind those that are known.
    pub fn replace(&self, queues: Vec<Arc<Queue>>) {
        *self.queues.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(queues);
    }

    /// Deliveries that waited when they were last counted.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Adds up what waits. What is parked does not count against `--max-backlog`: a destination that left the file
    /// must not stop the others.
    pub fn count_waiting(&self) {
        let waiting = self.all().iter().map(|queue| queue.waiting()).sum();
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}
