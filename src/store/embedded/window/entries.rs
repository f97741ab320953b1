//! What goes into a window, and what a window asks for.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::delivery::{Claim, DestinationKey, Member, OrderKey, Receipt, RouteKey};
use crate::event::Event;
use crate::store::DestinationFigures;

/// Deliveries that a window holds at most, fresh ones and retries each.
pub const WINDOW_DELIVERIES_MAX: usize = 512;
/// Body bytes above which a window takes no more (one event always fits).
pub const WINDOW_BYTES_MAX: usize = 2 << 20;

/// A delivery that is ready to be claimed.
#[derive(Debug)]
pub struct Ready {
    pub sequence: i64,
    pub event: Arc<Event>,
    pub route: Option<RouteKey>,
    pub order: Option<OrderKey>,
    pub attempts_made: u32,
    pub since: Timestamp,
    pub batch: Option<Arc<[Member]>>,
}

impl Ready {
    /// The claim of it.
    pub(super) fn claim(self, destination: DestinationKey, receipt: Receipt) -> Claim {
        Claim {
            sequence: self.sequence,
            event: self.event,
            destination,
            route: self.route,
            order: self.order,
            attempts_made: self.attempts_made,
            since: self.since,
            batch: self.batch,
            receipt,
        }
    }
}

/// A delivery that has to wait for another of its key: the writer gives it a row.
#[derive(Debug, Clone)]
pub struct Hold {
    pub destination: DestinationKey,
    pub sequence: i64,
    pub route: Option<RouteKey>,
    pub order: OrderKey,
}

/// Names a read of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading(pub(super) u64);

/// What a queue wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Want {
    /// A read of the retries that are due, but for those that are taken.
    Retries { reading: Reading, taken: HashSet<i64> },
    /// A read of fresh deliveries; `newest` is the last that was known when this was said.
    Fresh { reading: Reading, wanted: Wanted, newest: i64 },
    /// Nothing: wait to be notified, or for this time (Unix milliseconds).
    Wait { until: Option<i64> },
}

/// What one queue wants: fresh deliveries after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub destination: DestinationKey,
    pub after: i64,
    /// Up to this event there may be deliveries that have an outcome already: from before the start, or from before
    /// the destination was parked.
    pub settled_up_to: i64,
}

/// What was found, and how far it was looked.
pub struct Fresh {
    pub found: Vec<Ready>,
    pub looked_at: i64,
}

/// What a read of due retries found, and when the first is due that it left.
pub struct Retries {
    pub found: Vec<Ready>,
    pub next_due: Option<i64>,
}

/// Changes to a destination's figures by one commit.
#[derive(Debug, Default, Clone, Copy)]
pub struct Change {
    pub planned: u64,
    pub delivered: u64,
    pub dead: u64,
}

impl Change {
    /// Makes the change.
    pub(super) fn apply(self, figures: &mut DestinationFigures) {
        figures.planned += self.planned;
        figures.delivered += self.delivered;
        figures.dead += self.dead;
        figures.dead_kept += self.dead;
    }
}
