//! The memory that webhooks may take while they are being received, of all connections together.
//!
//! A webhook of 1 KiB can inflate to 1 MiB of body, and that can be 40 MiB once it is read (`json::need`), so their number
//! limits nothing. One half of the budget is for bodies, and for what small ones become when they are read: where it is
//! used up a webhook gets 503, and Wiza sends it again; an eighth is kept free for ordinary ones. The other half is for the values of large ones, one after the other:
//! they have their turn, and hold up nobody else. What is taken grows with what has come, and never for what a sender only
//! announces. One webhook alone always fits, whatever `max_body` says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Answer;
use crate::json;
use crate::metrics::Metrics;

/// The budget where `--receive-memory` says nothing: three ordinary webhooks a KiB, and one of the worst kind.
pub const RECEIVE_MEMORY_DEFAULT: u64 = 128 << 20;
/// The smallest budget: room for the bodies of a few dozen ordinary webhooks.
pub const RECEIVE_MEMORY_MIN: u64 = 1 << 20;

/// What is counted is counted in pieces of so many bytes.
const UNIT: usize = 1024;
/// A webhook up to here is an ordinary one: one of Wiza's takes 16 KiB, with what it becomes when it is read.
const ORDINARY_UNITS: u32 = 64;
/// One part of so many of the bodies' half is kept free for ordinary webhooks.
const KEPT_FREE: u32 = 8;
/// A body whose value needs more than this has to wait for its turn, and its value is not kept once the event is planned.
const LARGE_BYTES: usize = 1 << 20;
/// How long it waits before its sender is told to come again. A turn takes some 50 ms.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// The budget.
pub(super) struct Memory {
    /// Units of the bodies' half that are free. Nobody waits for them, so a number does: giving back to a semaphore takes a lock.
    bodies: AtomicU32,
    /// Units of the values' half.
    values: Arc<Semaphore>,
    /// Units of each of them.
    half: u32,
    /// Bytes of the whole.
    limit: u64,
    metrics: Arc<Metrics>,
}

/// What one webhook has taken of the bodies' half. Given back when it is dropped, also where its sender hangs up.
pub(super) struct Held {
    memory: Arc<Memory>,
    units: u32,
}

/// What a large value has taken of the other half.
pub(super) struct Turn {
    memory: Arc<Memory>,
    units: u32,
    _permit: OwnedSemaphorePermit,
}

impl Memory {
    /// A budget of so many bytes.
    pub fn new(limit: u64, metrics: Arc<Metrics>) -> Arc<Self> {
        let units = usize::try_from(limit).unwrap_or(usize::MAX) / UNIT;
        let half = u32::try_from(units / 2).unwrap_or(u32::MAX).max(1);
        let values = Semaphore::new(usize::try_from(half).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS));
        metrics.counted.receive_memory_limit_bytes.set(i64::try_from(limit).unwrap_or(i64::MAX));
        Arc::new(Self { bodies: AtomicU32::new(half), values: Arc::new(values), half, limit, metrics })
    }

    /// For a webhook of which nothing has come yet.
    pub fn held(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), units: 0 }
    }

    /// What only ordinary webhooks may take of the bodies' half.
    fn kept_free(&self) -> u32 {
        self.half / KEPT_FREE
    }

    /// Units for a webhook of so many bytes; what is more than there is at all gets all there is.
    fn units(&self, bytes: usize) -> u32 {
        let units = units(bytes);
        if units <= ORDINARY_UNITS { units.min(self.half) } else { units.min(self.half - self.kept_free()) }
    }

    /// Takes so many units of the bodies' half for a webhook that has `units` with them.
    fn take(&self, missing: u32, units: u32) -> Result<(), Answer> {
        let kept_free = if units <= ORDINARY_UNITS { 0 } else { self.kept_free() };
        let without = |free: u32| if free >= missing.saturating_add(kept_free) { Some(free - missing) } else { None };
        self.bodies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without).map_err(|_| Answer::NoMemory(self.limit))?;
        self.note_taken(missing);
        Ok(())
    }

    fn give_back(&self, units: u32) {
        self.bodies.fetch_add(units, Ordering::Relaxed);
        self.note_given_back(units);
    }

    fn note_taken(&self, units: u32) {
        self.metrics.counted.receive_memory_bytes.add(bytes(units));
    }

    fn note_given_back(&self, units: u32) {
        self.metrics.counted.receive_memory_bytes.sub(bytes(units));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

fn bytes(units: u32) -> i64 {
    i64::from(units) * i64::try_from(UNIT).unwrap_or(0)
}

impl Held {
    /// Takes as much as is missing to so many bytes.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Answer> {
        let units = self.memory.units(bytes);
        let missing = units.saturating_sub(self.units);
        if missing == 0 {
            return Ok(());
        }
        self.memory.take(missing, units)?;
        self.units = units;
        Ok(())
    }

    /// Gives back what is held beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let spare = self.units.saturating_sub(self.memory.units(bytes));
        self.units -= spare;
        self.memory.give_back(spare);
    }

    /// Takes what reading a body needs. Where that is much it waits for a turn, which lasts until it is dropped; `None`: the value
    /// fits beside the body, and may be kept as long as it.
    pub async fn turn(&mut self, body: &[u8]) -> Result<Option<Turn>, Answer> {
        let need = json::need(body);
        if need <= LARGE_BYTES {
            self.grow_to(body.len().saturating_add(need))?;
            return Ok(None);
        }
        let memory = Arc::clone(&self.memory);
        let units = units(need).min(memory.half);
        let turn = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&memory.values).acquire_many_owned(units)).await;
        match turn {
            Ok(Ok(permit)) => {
                memory.note_taken(units);
                Ok(Some(Turn { memory, units, _permit: permit }))
            }
            Ok(Err(_)) | Err(_) => Err(Answer::NoMemory(memory.limit)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.units);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.memory.note_given_back(self.units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(memory: &Memory) -> i64 {
        memory.metrics.counted.receive_memory_bytes.get()
    }

    fn memory(limit: u64) -> Arc<Memory> {
        Memory::new(limit, Metrics::new().unwrap())
    }

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let memory = memory(64 << 10);
        let (mut one, mut two) = (memory.held(), memory.held());
        assert!(one.grow_to(20 << 10).is_ok());
        assert!(one.grow_to(10 << 10).is_ok(), "it has that already");
        assert_eq!(in_use(&memory), 20 << 10);
        assert!(matches!(two.grow_to(13 << 10), Err(Answer::NoMemory(limit)) if limit == 64 << 10));
        assert!(two.grow_to(12 << 10).is_ok());
        one.shrink_to((8 << 10) + 1);
        assert_eq!(in_use(&memory), 21 << 10);
        assert!(two.grow_to(23 << 10).is_ok());
        drop((one, two));
        assert_eq!((in_use(&memory), memory.bodies.load(Ordering::Relaxed)), (0, 32));
    }

    #[test]
    fn one_alone_always_fits_and_leaves_room_for_an_ordinary_one() {
        let memory = memory(2 << 20);
        let (mut large, mut other, mut ordinary) = (memory.held(), memory.held(), memory.held());
        assert!(large.grow_to(usize::MAX).is_ok());
        assert!(other.grow_to(65 << 10).is_err());
        assert!(ordinary.grow_to(64 << 10).is_ok());
        drop(large);
        assert!(other.grow_to(65 << 10).is_ok());
        drop((other, ordinary));
        assert_eq!((in_use(&memory), memory.bodies.load(Ordering::Relaxed)), (0, 1024));
    }

    #[tokio::test]
    async fn large_values_come_one_after_the_other_and_small_ones_pass_by() {
        let memory = memory(16 << 20);
        let large = "0,".repeat(128 << 10);
        let mut first = memory.held();
        let turn = first.turn(large.as_bytes()).await.unwrap().unwrap();
        let waiting = tokio::spawn({
            let (memory, large) = (Arc::clone(&memory), large.clone());
            async move { memory.held().turn(large.as_bytes()).await.is_ok_and(|turn| turn.is_some()) }
        });
        tokio::task::yield_now().await;
        assert!(memory.held().turn(b"{}").await.unwrap().is_none());
        assert!(!waiting.is_finished());
        drop(turn);
        assert!(waiting.await.unwrap());
        drop(first);
        assert_eq!((in_use(&memory), memory.values.available_permits()), (0, 8 << 10));
    }
}
