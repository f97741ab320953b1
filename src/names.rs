//! The names of the rules that take effect, and the keys by which everything else knows them: names are for people and may leave
//! routes.yaml, a key stands for one name for as long as the store lives.

use std::time::Duration;

use crate::delivery::{DestinationKey, RouteKey};

/// The key of a version of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesKey(pub u32);

/// What the rules say that whoever keeps events has to know.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Every destination of the file.
    pub destinations: Vec<String>,
    /// Those of them that are switched off: their deliveries are parked.
    pub disabled: Vec<String>,
    /// Those of them whose deliveries end as dead so long after the event's receipt.
    pub expire: Vec<(String, Duration)>,
    /// Every route of the file.
    pub routes: Vec<String>,
    /// The rules' version.
    pub version: String,
    /// How long duplicates are recognised.
    pub dedupe_window: Duration,
    /// What is deleted, and when.
    pub retention: Retention,
    /// Pauses every destination, those too that are not among `destinations` now and may come back; by whom.
    pub held_by: Option<String>,
}

/// The keys that go with [`Names`], in the same order.
#[derive(Debug, Clone)]
pub struct Keys {
    /// One per destination.
    pub destinations: Vec<DestinationKey>,
    /// One per route.
    pub routes: Vec<RouteKey>,
    /// The rules' own.
    pub rules: RulesKey,
}

/// How long the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events all of whose deliveries arrived.
    pub delivered: Duration,
    /// Dead letters.
    pub dead: Duration,
    /// Deliveries that cannot be attempted, because their destination left the file, was paused, is gone or has an open circuit. After
    /// this time they are dead.
    pub parked: Duration,
    /// Bytes of the store.
    pub size: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY_SECONDS: u64 = 24 * 60 * 60;
        let days = |count| Duration::from_secs(count * DAY_SECONDS);
        Self { delivered: days(7), dead: days(30), parked: days(30), size: 10 << 30 }
    }
}
