//! Claiming deliveries: from a queue's window, which is filled from the store where it is behind.

use std::sync::Arc;
use std::time::Duration;

use super::failures::Failures;
use super::read::backlog::Backlog;
use super::read::due;
use super::read::readers::Readers;
use super::window::entries::{Reading, Want};
use super::window::queue::Queue;
use super::window::queues::Queues;
use super::write::handover::Handover;
use super::writer::{Command, Commands};
use crate::clock;
use crate::delivery::{Claim, DestinationKey};
use crate::store::StoreError;

/// How long a claim sleeps at most before it looks at the clock again: a clock that was set back or forward is
/// noticed after this time.
const CLAIM_SLEEP_MAX: Duration = Duration::from_secs(30);
/// The pause after a read that failed.
const READ_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What claims need.
pub struct Claims {
    pub queues: Arc<Queues>,
    pub failures: Arc<Failures>,
    pub readers: Arc<Readers>,
    pub backlog: Arc<Backlog>,
    pub handover: Arc<Handover>,
    pub commands: Commands,
}

impl Claims {
    /// Waits until deliveries of this destination are due, and takes some of them.
    ///
    /// Cancel-safe: a claim is taken in the same step as it is returned, and reads go on without the future that
    /// asked for them.
    pub async fn claim(&self, destination: DestinationKey, at_most: usize) -> Vec<Claim> {
        let Some(queue) = self.queues.get(destination) else { return std::future::pending().await };
        loop {
            let changed = queue.changed.notified();
            let now = clock::wall().as_millisecond();
            let mut held = Vec::new();
            let taken = queue.take(at_most, now, &mut held);
            if !held.is_empty() && self.handover.add_holds(held) {
                let _ = self.commands.try_send(Command::SettlementsWait);
            }
            let until = match taken {
                Ok(claims) => return claims,
                Err(Want::Wait { until }) => until,
                Err(Want::Fresh { reading, wanted, newest }) => {
                    let (readers, backlog, queue) = (Arc::clone(&self.readers), Arc::clone(&self.backlog), Arc::clone(&queue));
                    self.failures.spawn_read(async move {
                        match readers.read("reading the backlog", move |connection| backlog.read(connection, wanted)).await {
                            Ok(read) => queue.add_fresh(reading, newest, read),
                            Err(error) => read_failed(&queue, reading, &error).await,
                        }
                    });
                    None
                }
                Err(Want::Retries { reading, taken }) => {
                    let (readers, queue) = (Arc::clone(&self.readers), Arc::clone(&queue));
                    self.failures.spawn_read(async move {
                        match readers.read("reading retries", move |connection| due::retries(connection, destination, now, &taken)).await {
                            Ok(read) => queue.add_retries(reading, read),
                            Err(error) => read_failed(&queue, reading, &error).await,
                        }
                    });
                    None
                }
            };
            let wait = until.map_or(CLAIM_SLEEP_MAX, |until| Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0)));
            let _ = tokio::time::timeout(wait.min(CLAIM_SLEEP_MAX), changed).await;
        }
    }
}

async fn read_failed(queue: &Queue, reading: Reading, error: &StoreError) {
    tracing::error!(%error, "the store cannot be read; deliveries wait and it is tried again");
    tokio::time::sleep(READ_FAILURE_PAUSE).await;
    queue.reading_failed(reading);
}
