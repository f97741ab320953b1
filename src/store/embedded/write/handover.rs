//! What lanes hand over to the writer beside its channel: outcomes, and deliveries that are to be held. They answer nobody, so they gather
//! here, and only the first of them wakes the writer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::delivery::Settlement;
use crate::store::embedded::window::entries::Hold;

/// Settlements handed over and not written, at most; beyond it lanes wait, so a full disk stops deliveries rather
/// than filling the memory.
const SETTLEMENTS_WAITING_MAX: usize = 8192;

/// What waits for a commit.
#[derive(Debug)]
pub struct Handover {
    /// Bounded by the permits.
    settlements: Mutex<VecDeque<Settlement>>,
    permits: Semaphore,
    /// Each queue has a limited number of them.
    holds: Mutex<Vec<Hold>>,
    /// Set: the writer takes nothing more.
    closing: AtomicBool,
}

impl Handover {
    /// Nothing waits.
    pub fn new() -> Self {
        let permits = Semaphore::new(SETTLEMENTS_WAITING_MAX);
        Self { settlements: Mutex::default(), permits, holds: Mutex::default(), closing: AtomicBool::new(false) }
    }

    /// Adds an outcome once there is room; whether it is the first that waits.
    pub async fn add_settlement(&self, settlement: Settlement) -> bool {
        // The permit comes back with the commit.
        let Ok(permit) = self.permits.acquire().await else { return false };
        permit.forget();
        let mut settlements = self.settlements.lock().unwrap_or_else(PoisonError::into_inner);
        settlements.push_back(settlement);
        settlements.len() == 1
    }

    /// Fills `taken` up to `at_most` with the oldest outcomes that wait.
    pub fn take_settlements(&self, taken: &mut Vec<Settlement>, at_most: usize) {
        let mut settlements = self.settlements.lock().unwrap_or_else(PoisonError::into_inner);
        let count = at_most.saturating_sub(taken.len()).min(settlements.len());
        taken.extend(settlements.drain(..count));
    }

    /// So many outcomes are written: there is room for as many.
    pub fn settled(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Whether outcomes wait.
    pub fn has_settlements(&self) -> bool {
        !self.settlements.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Adds deliveries that are to be held; whether they are the first that wait.
    pub fn add_holds(&self, held: Vec<Hold>) -> bool {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let first = holds.is_empty();
        holds.extend(held);
        first
    }

    /// Adds those that wait to `taken`.
    pub fn take_holds(&self, taken: &mut Vec<Hold>) {
        taken.append(&mut self.holds.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The writer is to take nothing more.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether it is to.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
