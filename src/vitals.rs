//! Which parts of the relay have panicked. A panic is a bug of ours, so nobody can say when it comes; but it must not stay unseen, as a
//! part that is gone leaves a process that looks alive and does less than it says.
//!
//! What a panic leads to depends on the part ([`Part::is_lost`]): an attempt or a request is one of many, and the relay goes on; without
//! a lane or a listener only a restart helps, and `/healthz` says so.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt as _;

#[cfg(test)]
use crate::clock;

/// Lost parts whose names are kept. More are not named, only counted.
const NAMES_MAX: usize = 16;

/// What can panic by itself, without ending the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The thread that writes to the store.
    StoreWriter,
    /// The thread that keeps the store's log short.
    StoreCheckpoint,
    /// A read of the store for a lane.
    StoreRead,
    /// What sends to one destination.
    Lane,
    /// One attempt to deliver.
    Attempt,
    /// What makes changed rules take effect.
    Reloader,
    /// What accepts connections on one of the two ports.
    Listener,
    /// One request to one of the two ports.
    Request,
    /// The check of the books.
    Audit,
    /// What makes the relay's own events.
    Announcer,
}

impl Part {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::StoreWriter,
        Self::StoreCheckpoint,
        Self::StoreRead,
        Self::Lane,
        Self::Attempt,
        Self::Reloader,
        Self::Listener,
        Self::Request,
        Self::Audit,
        Self::Announcer,
    ];

    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::StoreWriter => "store_writer",
            Self::StoreCheckpoint => "store_checkpoint",
            Self::StoreRead => "store_read",
            Self::Lane => "lane",
            Self::Attempt => "attempt",
            Self::Reloader => "reloader",
            Self::Listener => "listener",
            Self::Request => "request",
            Self::Audit => "audit",
            Self::Announcer => "announcer",
        }
    }

    /// Whether the relay lacks the part from then on, so that only a restart helps.
    pub fn is_lost(self) -> bool {
        match self {
            Self::StoreWriter
            | Self::StoreCheckpoint
            | Self::StoreRead
            | Self::Lane
            | Self::Reloader
            | Self::Listener
            | Self::Audit
            | Self::Announcer => true,
            Self::Attempt | Self::Request => false,
        }
    }
}

/// Counts panics, and knows what was lost by them.
#[derive(Debug, Default)]
pub struct Vitals {
    panics: [AtomicU64; Part::ALL.len()],
    lost: Mutex<Vec<String>>,
}

impl Vitals {
    /// Notes that `part` panicked; `name` says in words which one it was, as in "the lane of `crm`".
    pub fn panicked(&self, part: Part, name: &str) {
        if let Some(count) = self.panics.get(part as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if !part.is_lost() {
            tracing::error!(part = part.label(), name, "a part of the relay panicked, which is a bug; the relay goes on");
            return;
        }
        tracing::error!(part = part.label(), name, "a part of the relay panicked, which is a bug; restart the relay");
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.len() < NAMES_MAX && !lost.iter().any(|known| known == name) {
            lost.push(name.to_owned());
        }
    }

    /// Why the relay needs a restart, if it does.
    pub fn failure(&self) -> Option<String> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        (!lost.is_empty()).then(|| format!("{} panicked, which is a bug; the relay needs a restart", lost.join(", ")))
    }

    /// Whether the part has panicked at least once.
    pub fn has_panicked(&self, part: Part) -> bool {
        self.panics.get(part as usize).is_some_and(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// How often each part has panicked.
    pub fn panics(&self) -> impl Iterator<Item = (Part, u64)> {
        Part::ALL.into_iter().zip(self.panics.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Runs `future` to its end. `None` where it panicked, which is noted.
    pub async fn watch<F: Future>(&self, part: Part, name: &str, future: F) -> Option<F::Output> {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(output) => Some(output),
            Err(panic) => {
                discard(panic);
                self.panicked(part, name);
                None
            }
        }
    }

    /// The same of what blocks its thread.
    pub fn watch_thread<T>(&self, part: Part, name: &str, run: impl FnOnce() -> T) -> Option<T> {
        match std::panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(output) => Some(output),
            Err(panic) => {
                discard(panic);
                self.panicked(part, name);
                None
            }
        }
    }
}

/// Runs what blocks on a thread of its own. A panic there goes on in the task that waits for it, so that whoever watches that task notes
/// it, and its message reaches no error. `None` where the runtime ends.
pub async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    #[cfg(test)]
    if clock::is_simulated() {
        return Some(run());
    }
    match tokio::task::spawn_blocking(run).await {
        Ok(output) => Some(output),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

/// Starts a thread of this name. A simulation has none: there it drops what the thread would run, and gives `None`.
///
/// # Errors
/// Where the system starts no thread.
pub fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Option<JoinHandle<()>>> {
    #[cfg(test)]
    if clock::is_simulated() {
        return Ok(None);
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(Some)
}

/// Drops what was thrown. Dropping it could panic in its turn, which would end the process: it is left to leak.
fn discard(panic: Box<dyn Any + Send>) {
    std::mem::forget(panic);
}

/// Has panics logged with their place, and without their message: it may quote a payload or a secret.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_where_its_number_says() {
        for (number, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, number, "{part:?}");
        }
    }

    #[tokio::test]
    async fn what_is_one_of_many_is_counted_and_what_is_lost_fails_the_health() {
        let vitals = Vitals::default();
        let panics = |part| vitals.panics().find(|(other, _)| *other == part).unwrap().1;
        assert_eq!(vitals.watch(Part::Attempt, "an attempt", async { 1 }).await, Some(1));
        assert_eq!(vitals.watch(Part::Attempt, "an attempt", async { panic!("a bug") }).await, None::<()>);
        assert_eq!((panics(Part::Attempt), vitals.failure()), (1, None));
        for _ in 0..2 {
            assert_eq!(vitals.watch_thread(Part::Lane, "the lane of `crm`", || panic!("a bug")), None::<()>);
        }
        let failure = vitals.failure().unwrap();
        assert_eq!(failure, "the lane of `crm` panicked, which is a bug; the relay needs a restart");
        assert_eq!(panics(Part::Lane), 2);
        for number in 0..NAMES_MAX * 2 {
            vitals.panicked(Part::Listener, &format!("listener {number}"));
        }
        assert!(vitals.failure().unwrap().len() < 40 * NAMES_MAX, "however many are lost");
    }
}
