//! Deliveries in line behind one another, as rows. See `window/order.rs` for who has to wait.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Transaction};

use crate::clock;
use crate::delivery::state::Transition;
use crate::delivery::{DestinationKey, OrderKey, Outcome, Planned, Settlement};
use crate::store::embedded::rows::deliveries::{lines, write};
use crate::store::embedded::window::entries::Hold;
use crate::store::embedded::window::queue::Queue;
use crate::store::embedded::window::queues::Queues;

/// What one transaction does to the lines.
#[derive(Debug, Default)]
pub struct Moves {
    /// Lines whose next delivery has got a due time because the one before it ended.
    released: HashSet<(DestinationKey, OrderKey)>,
    /// Lines whose delivery under way has ended, with nothing written behind it.
    idle: HashSet<(DestinationKey, OrderKey)>,
    /// Lines that a hold of this transaction heads, because nothing was before it any more; and which hold that is.
    headed: HashMap<(DestinationKey, OrderKey), i64>,
    now: i64,
}

impl Moves {
    pub fn at(now: i64) -> Self {
        Self { now, ..Self::default() }
    }

    /// A delivery has its final outcome in this transaction: the next in line may go.
    pub fn settle(&mut self, transaction: &Transaction<'_>, queues: &Queues, settlement: &Settlement) -> rusqlite::Result<()> {
        let (destination, Some(order)) = (settlement.claim.destination, settlement.claim.order) else { return Ok(()) };
        if matches!(settlement.outcome, Outcome::Retry(_)) {
            return Ok(());
        }
        let waits = queues.get(destination).is_some_and(|queue| queue.in_line(order).1);
        if waits && write::release_first(transaction, destination, order, self.now)? {
            self.released.insert((destination, order));
        } else {
            self.idle.insert((destination, order));
        }
        Ok(())
    }

    /// Gives a delivery its row; with a due time if what it was to wait for has ended meanwhile.
    pub fn hold(&mut self, transaction: &Transaction<'_>, queues: &Queues, hold: &Hold) -> rusqlite::Result<()> {
        let line = (hold.destination, hold.order);
        let under_way = queues.get(hold.destination).is_some_and(|queue| queue.in_line(hold.order).0);
        let is_next = self.idle.remove(&line) || (!under_way && !self.headed.contains_key(&line));
        if is_next {
            self.headed.insert(line, hold.sequence);
        }
        let planned = Planned { destination: hold.destination, route: hold.route, order: Some(hold.order) };
        write::enter(transaction, hold.sequence, planned, Transition::enter(is_next, self.now), None, self.now)?;
        Ok(())
    }

    /// When the next in the settled delivery's line is due, if the commit has let it go.
    pub fn released_by(&self, settlement: &Settlement) -> Option<i64> {
        self.released.contains(&(settlement.claim.destination, settlement.claim.order?)).then_some(self.now)
    }

    /// When the held delivery is due, if nothing is before it any more.
    pub fn due(&self, hold: &Hold) -> Option<i64> {
        (self.headed.get(&(hold.destination, hold.order)) == Some(&hold.sequence)).then_some(self.now)
    }
}

/// Brings a queue's lines back after a start. Deliveries that were held after the frontier lose their rows: one before
/// them may have been under way without a row, and only from the frontier on, in order, is it known who is first.
pub fn restore(connection: &Connection, queue: &Queue) -> rusqlite::Result<()> {
    write::unhold(connection, queue.key, queue.frontier())?;
    let mut under_way = lines::under_way(connection, queue.key)?;
    let held = lines::held(connection, queue.key)?;
    let now = clock::wall().as_millisecond();
    for (order, held) in held {
        // Where nobody is under way, whom it waited for is gone or comes after it.
        let leaderless = under_way.remove(&order).is_none();
        if leaderless {
            write::release_first(connection, queue.key, order, now)?;
        }
        queue.restore_order(order, true, if leaderless { held.saturating_sub(1) } else { held });
    }
    for order in under_way.into_keys() {
        queue.restore_order(order, true, 0);
    }
    Ok(())
}
