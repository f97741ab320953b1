//! What has gone wrong: whether the store can take events, and what failed so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::disk::errors;
use crate::store::{Health, Unavailable};
use crate::vitals::{Part, Vitals};

/// The store's health, and its failures by kind.
pub struct Failures {
    health: ArcSwap<Health>,
    /// What has panicked.
    vitals: Arc<Vitals>,
    commits: AtomicU64,
    reads: AtomicU64,
}

impl Failures {
    /// None so far.
    pub fn new(vitals: Arc<Vitals>) -> Self {
        Self { health: ArcSwap::from_pointee(Health::Good), vitals, commits: AtomicU64::new(0), reads: AtomicU64::new(0) }
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        Health::clone(&self.health.load())
    }

    /// Whether nothing is taken any more before a restart.
    pub fn has_failed(&self) -> bool {
        matches!(**self.health.load(), Health::Failed(_))
    }

    /// Whether the last commit failed.
    pub fn cannot_write(&self) -> bool {
        matches!(**self.health.load(), Health::CannotWrite(_))
    }

    /// Commits, and other writes, that failed.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Reads that failed.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// A commit has succeeded.
    pub fn commit_succeeded(&self) {
        // Not where it has failed for good, for example by a checkpoint's fsync: no commit makes that well.
        if self.cannot_write() {
            tracing::info!("the store writes again");
            self.health.store(Arc::new(Health::Good));
        }
    }

    /// A commit has failed. Gives the refusal for whoever waits for it.
    pub fn commit_failed(&self, error: &rusqlite::Error) -> Unavailable {
        let failures = self.commits.fetch_add(1, Ordering::Relaxed);
        let reason = errors::plain_words(error);
        if errors::is_final(error) {
            tracing::error!(%error, "the store has failed and takes nothing more; restart the relay once the disk is well");
            self.health.store(Arc::new(Health::Failed(reason.clone())));
            return Unavailable::Failed(reason);
        }
        if failures.is_power_of_two() || **self.health.load() == Health::Good {
            tracing::error!(%error, failures, "the store cannot write; webhooks are refused with 503 and nothing is lost");
        }
        self.health.store(Arc::new(Health::CannotWrite(reason.clone())));
        Unavailable::CannotWrite(reason)
    }

    /// Notes an error of something that answers nobody: final ones end everything, others are only logged.
    pub fn note(&self, doing: &str, error: &rusqlite::Error) {
        if errors::is_final(error) {
            self.commit_failed(error);
        } else {
            self.commits.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, doing, "the store could not do this now; it is tried again");
        }
    }

    /// A read has failed. A damaged file takes nothing more, whoever found it out: the disk may lose what comes next as well.
    pub fn read_failed(&self, error: &rusqlite::Error) {
        self.count_read();
        if errors::is_final(error) && !self.has_failed() {
            self.commit_failed(error);
        }
    }

    /// The same for a read that says nothing of the store's health.
    pub fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a part of the engine. If it panics, nothing more is taken: nobody knows what it left half done in memory, while what is
    /// on the disk is whole.
    pub fn watch(&self, part: Part, run: impl FnOnce()) {
        if self.vitals.watch_thread(part, part.label(), run).is_none() {
            self.panicked(part);
        }
    }

    /// Reads for a queue, beside whoever asked for it. A panic would leave the queue waiting for ever for what it reads.
    pub fn spawn_read(self: &Arc<Self>, read: impl Future<Output = ()> + Send + 'static) {
        let failures = Arc::clone(self);
        tokio::spawn(async move {
            if failures.vitals.watch(Part::StoreRead, Part::StoreRead.label(), read).await.is_none() {
                failures.panicked(Part::StoreRead);
            }
        });
    }

    fn panicked(&self, part: Part) {
        self.health.store(Arc::new(Health::Failed(panicked(part))));
    }
}

/// That a part of the engine has panicked, in words.
pub fn panicked(part: Part) -> String {
    format!("its part `{}` panicked, which is a bug", part.label())
}
