//! The one seam towards stable storage. An engine keeps events with their plans, queues what is undelivered, and
//! writes outcomes down. The flows know these verbs only, so another engine takes over without touching them.
//!
//! What every engine promises (its contract tests hold it to this):
//! 1. [`Store::append`] answers `Accepted` only once the event and its plan are on stable storage.
//! 2. Every planned delivery is claimed, again and again, until it is settled as delivered or dead; after a crash
//!    also one whose settlement had not been written yet. At least once, never not at all.
//! 3. At every moment, per destination: planned + redriven = delivered + dead + waiting + parked ([`DestinationFigures`]).
//! 4. Memory does not grow with the backlog.

#[cfg(test)]
mod contract;
pub mod embedded;
mod figures;
mod given_up;
#[cfg(test)]
mod model_tests;
mod ownership;
mod records;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::circuit::Standing;
use crate::delivery::{Claim, DestinationKey, Plan, Settlement};
use crate::event::{Event, EventId};
use crate::names::{Keys, Names, RulesKey};

pub use figures::{DestinationFigures, DestinationHistory, Disk, Failed, LastFailure};
pub use given_up::GivenUp;
pub use ownership::{Lease, Ownership};
pub use records::{Account, Audit, Carried, Held, PAGE_ITEMS_MAX, Paging, Records, Redrive, Redriven, Release};
pub use tools::{BackUp, Exported, ExportedDelivery, ExportedEvent, Tools, Verb};

/// A webhook ready to be stored.
#[derive(Debug)]
pub struct NewEvent {
    /// The event itself.
    pub event: Event,
    /// The payload's `type`, for listings.
    pub kind: Option<String>,
    /// What makes it a duplicate of an earlier one; `None` stores it in any case.
    pub dedupe: Option<DedupeKey>,
    /// What is to become of it.
    pub disposition: Disposition,
}

/// What is to become of a new event.
#[derive(Debug)]
pub enum Disposition {
    /// Deliver by this plan, made by the rules with this key. An empty plan is an unmatched event.
    Route {
        /// The rules' key, from [`Store::configure`].
        rules: RulesKey,
        /// The deliveries.
        plan: Plan,
    },
    /// Authentic, but no event: kept to be looked at, never delivered. The text says why.
    Quarantine(String),
}

/// The first 16 bytes of a SHA-256: enough that two of a billion events collide by chance once in 10^20 stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupeKey(pub [u8; 16]);

/// What became of an event that was handed to [`Store::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// New, and on stable storage.
    Accepted(EventId),
    /// Seen before within the window; this is the first one's id.
    Duplicate(EventId),
}

/// Why the store does not take anything just now. The event was not acknowledged, so nothing is lost: the sender
/// tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// The disk is full, or a write failed that may succeed later.
    #[error("the store cannot write: {0}")]
    CannotWrite(String),
    /// The store has failed for good until a restart, for example by a failed fsync.
    #[error("the store has failed and needs a restart: {0}")]
    Failed(String),
    /// As many deliveries wait as may.
    #[error("{} deliveries are waiting, and the limit is {}", .0.waiting, .0.limit)]
    Backlog(Backlog),
    /// The relay is stopping.
    #[error("the relay is stopping")]
    Closing,
    /// The commit took too long. The event may still be stored: then a repetition of it is a duplicate.
    #[error("the store did not answer within {0:?}")]
    TooSlow(Duration),
}

/// How many deliveries wait, and how many may. Whoever tells a person of it adds where the limit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries waiting now.
    pub waiting: u64,
    /// From so many on nothing is accepted.
    pub limit: u64,
}

/// Why a store could not be opened, or a verb other than `append` failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be used.
    #[error("{0}")]
    Open(String),
    /// There is no store of the name that was given; the text ends in how to name it, and whoever knows where it is given adds that.
    #[error("{0}")]
    Misnamed(String),
    /// The engine has no such verb.
    #[error("{engine} cannot be {done} by this command; use {instead}")]
    Unable {
        /// What the engine is called.
        engine: &'static str,
        /// What was to be done.
        done: &'static str,
        /// What does it.
        instead: &'static str,
    },
    /// A page begins where the page before it of the same listing said, and nowhere else.
    #[error("that is not where a page of this listing begins; hand back what the page before it gave as `next`")]
    NoCursor,
    /// The engine reported an error.
    #[error("{doing}: {error}")]
    Engine {
        /// What the store was doing.
        doing: &'static str,
        /// What the engine said.
        error: String,
    },
}

/// Whether the store can take events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The last commit succeeded.
    Good,
    /// So many deliveries wait that nothing more is accepted.
    Full(Backlog),
    /// The last commit failed; the next may succeed.
    CannotWrite(String),
    /// Nothing succeeds any more before a restart.
    Failed(String),
}

/// The verbs. All futures are cancel-safe: dropping one loses no claim and no settlement that was handed over.
pub trait Store: Send + Sync + 'static {
    /// Makes these destinations and routes the ones in effect, and gives their keys. Destinations that are switched off or not
    /// among them are parked: their deliveries stay, and go on when the name comes back.
    fn configure(&self, names: Names) -> BoxFuture<'_, Result<Keys, StoreError>>;

    /// Stores an event with its plan, unless it is a duplicate.
    fn append(&self, new: NewEvent) -> BoxFuture<'_, Result<Appended, Unavailable>>;

    /// Waits until this relay may work on a destination, which it may until it is told otherwise. An engine for one relay answers at
    /// once. Ask for it before the first claim; what is claimed without it, or after it was lost, may be refused when it is settled.
    fn own(&self, destination: DestinationKey) -> BoxFuture<'_, Ownership>;

    /// Waits until deliveries of this destination are due and takes at most `at_most` of them, none twice while it
    /// is unsettled. Only one caller a destination at a time.
    fn claim(&self, destination: DestinationKey, at_most: usize) -> BoxFuture<'_, Vec<Claim>>;

    /// Makes one claim of several of the same destination: a batch, which from now on is claimed, retried and settled as
    /// one, also after a crash. It is on stable storage when this answers. `None` where there were no claims. Where it
    /// fails, the claims are still the caller's.
    fn form_batch(&self, claims: Vec<Claim>) -> BoxFuture<'_, Result<Option<Claim>, StoreError>>;

    /// Gives claims back that were not attempted.
    fn release(&self, claims: Vec<Claim>);

    /// Hands an outcome over. It is written with the next commit; a crash before that repeats the attempt.
    /// Waits only where too many outcomes are unwritten.
    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, ()>;

    /// How a destination stands: what was noted last, and from then on every change by hand.
    fn standing(&self, destination: DestinationKey) -> watch::Receiver<Standing>;

    /// Keeps how a destination stands, for the next start. A pause that somebody has set stays until somebody ends it.
    fn note_standing(&self, destination: DestinationKey, standing: Standing) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Waits until everything handed over so far is on stable storage, or cannot be.
    fn flush(&self) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Writes what was handed over and takes nothing more.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// The terms of the conservation equation, from memory: one entry per destination that the store knows, those that left the file
    /// among them, in the order of the keys.
    fn ledger(&self) -> Vec<(DestinationKey, DestinationFigures)>;

    /// The names of the same destinations, in the same order.
    fn names(&self) -> Vec<Arc<str>>;

    /// The key of the destination with this name.
    fn find(&self, name: &str) -> Option<DestinationKey>;

    /// The room that the store takes. This may ask the file system.
    fn disk(&self) -> Disk;

    /// What has failed since the start.
    fn failed(&self) -> Failed;

    /// Waiting deliveries from which on nothing is accepted.
    fn backlog_limit(&self) -> u64;

    /// Takes what the store has given up by itself since this was called last, because its time was over or its destination was held
    /// back for too long: one entry for each destination and reason. Not kept over a restart.
    fn given_up(&self) -> Vec<GivenUp>;

    /// The receipt time of each destination's oldest delivery without a final outcome.
    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, Timestamp)>, StoreError>>;

    /// Whether the store can take events.
    fn health(&self) -> Health;
}
