//! The relay's own events: what it tells of itself, for whoever has no Prometheus. They are stored, routed and delivered like
//! webhooks, but only to routes that ask for them.
//!
//! - `news` is what can be told, and the payload that it becomes.
//! - `ledger` decides what is told and when: it groups, and keeps the number of events within limits. Pure.
//! - `circuit` decides whether a breaker's opening and closing is to be told. Pure.
//! - `reporter` is the ledger as lanes and the reloader share it.
//!
//! Three rules keep them from going round in circles:
//! 1. A delivery of an own event is never counted here: not as a dead letter, and not as what has opened a circuit.
//! 2. What is told of a destination is never sent to that destination.
//! 3. Of one type and one destination there is at most one in `own_events.every`, whatever happens.

mod circuit;
mod ledger;
mod news;
mod reporter;
mod samples;

use std::time::Duration;

pub use circuit::{CircuitWatch, Turn};
pub use ledger::{Death, Ledger, Opening, Queue, Trouble};
pub use news::{Beside, News};
pub use reporter::Reporter;
pub use samples::{SAMPLES, sample, sample_types};

/// What the type of every own event begins with.
pub const PREFIX: &str = "relay.";

/// The types of own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnKind {
    /// A destination's breaker holds its deliveries back.
    CircuitOpened,
    /// It does so no longer.
    CircuitClosed,
    /// Deliveries were given up.
    DeadLetters,
    /// A delivery has waited for too long.
    QueueOld,
    /// What routes.yaml holds now did not take effect.
    RulesRefused,
    /// The store is about to take nothing more, or took nothing for a while.
    StoreTrouble,
}

impl OwnKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::CircuitOpened, Self::CircuitClosed, Self::DeadLetters, Self::QueueOld, Self::RulesRefused, Self::StoreTrouble];

    /// The payload's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CircuitOpened => "relay.circuit_opened",
            Self::CircuitClosed => "relay.circuit_closed",
            Self::DeadLetters => "relay.dead_letters",
            Self::QueueOld => "relay.queue_old",
            Self::RulesRefused => "relay.rules_refused",
            Self::StoreTrouble => "relay.store_trouble",
        }
    }

    /// The kind with this `type`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The paths of its payload. All are there in each, and never null, but for those in [`NULLABLE`].
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::CircuitOpened => &[
                "type",
                "data.summary",
                "data.destination",
                "data.opened_by",
                "data.reason",
                "data.status",
                "data.opened_at",
                "data.times",
                "data.waiting",
            ],
            Self::CircuitClosed => {
                &["type", "data.summary", "data.destination", "data.opened_at", "data.closed_at", "data.open_seconds", "data.waiting"]
            }
            Self::DeadLetters => &[
                "type",
                "data.summary",
                "data.destination",
                "data.reason",
                "data.detail",
                "data.status",
                "data.count",
                "data.first_event_id",
                "data.last_event_id",
                "data.since",
                "data.until",
            ],
            Self::QueueOld => &[
                "type",
                "data.summary",
                "data.destination",
                "data.oldest_at",
                "data.oldest_seconds",
                "data.limit_seconds",
                "data.circuit",
                "data.waiting",
            ],
            Self::RulesRefused => &["type", "data.summary", "data.reason", "data.refused_at", "data.times", "data.version"],
            Self::StoreTrouble => &["type", "data.summary", "data.trouble", "data.over", "data.since", "data.lasted_seconds"],
        }
    }
}

/// The paths that may be null: no answer has no status.
pub const NULLABLE: &[&str] = &["data.status"];

/// The limits that routes.yaml sets, as `own_events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A delivery that has waited for longer is worth an event.
    pub queue_old: Duration,
    /// Of one type and one destination (of dead letters: and one reason) at most one event in this time.
    pub every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_old: Duration::from_secs(15 * 60), every: Duration::from_secs(10 * 60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_stands_where_its_number_says_and_is_found_by_its_type() {
        for (number, kind) in OwnKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert!(kind.name().starts_with(PREFIX));
            assert_eq!(OwnKind::named(kind.name()), Some(kind));
        }
        assert_eq!(OwnKind::named("relay.circuit"), None);
    }
}
