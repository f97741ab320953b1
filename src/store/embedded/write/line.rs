//! Deliveries in line behind one another, as rows: a row in state retrying without a due time is held. See `window/order.rs`
//! for who has to wait.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::delivery::{DestinationKey, OrderKey, Outcome, Settlement};
use crate::store::embedded::Shared;
use crate::store::embedded::rows::schema;
use crate::store::embedded::window::{Hold, Queue};

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
    pub fn settle(&mut self, transaction: &Transaction<'_>, shared: &Shared, settlement: &Settlement) -> rusqlite::Result<()> {
        let (destination, Some(order)) = (settlement.claim.destination, settlement.claim.order) else { return Ok(()) };
        if matches!(settlement.outcome, Outcome::Retry(_)) {
            return Ok(());
        }
        let waits = shared.queue(destination).is_some_and(|queue| queue.in_line(order).1);
        if waits && release(transaction, destination, order, self.now)? {
            self.released.insert((destination, order));
        } else {
            self.idle.insert((destination, order));
        }
        Ok(())
    }

    /// Gives a delivery its row; with a due time if what it was to wait for has ended meanwhile.
    pub fn hold(&mut self, transaction: &Transaction<'_>, shared: &Shared, hold: &Hold) -> rusqlite::Result<()> {
        let line = (hold.destination, hold.order);
        let under_way = shared.queue(hold.destination).is_some_and(|queue| queue.in_line(hold.order).0);
        let is_next = self.idle.remove(&line) || (!under_way && !self.headed.contains_key(&line));
        let due = is_next.then_some(self.now);
        if is_next {
            self.headed.insert(line, hold.sequence);
        }
        transaction
            .prepare_cached(
                "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, settled_at, order_key) VALUES (?, ?, ?, ?, 0, ?, ?, ?)
                 ON CONFLICT (event, destination) DO NOTHING",
            )?
            .execute(params![
                hold.sequence,
                hold.destination.0,
                hold.route.map(|route| route.0),
                schema::STATE_RETRYING,
                due,
                self.now,
                stored(hold.order)
            ])?;
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

/// Lets the first of those go that are held; whether there was one.
pub fn release(transaction: &Transaction<'_>, destination: DestinationKey, order: OrderKey, now: i64) -> rusqlite::Result<bool> {
    let released = transaction
        .prepare_cached(
            "UPDATE deliveries SET due_at = ?3 WHERE destination = ?1 AND event = (
               SELECT event FROM deliveries INDEXED BY deliveries_ordered
               WHERE destination = ?1 AND order_key = ?2 AND state = 1 AND order_key IS NOT NULL AND due_at IS NULL ORDER BY event LIMIT 1)",
        )?
        .execute(params![destination.0, stored(order), now])?;
    Ok(released > 0)
}

/// Brings a queue's lines back after a start. Deliveries that were held after the frontier lose their rows: one before
/// them may have been under way without a row, and only from the frontier on, in order, is it known who is first.
pub fn restore(connection: &Connection, queue: &Queue) -> rusqlite::Result<()> {
    let (destination, frontier) = (queue.key.0, queue.frontier());
    connection
        .prepare_cached(
            "DELETE FROM deliveries INDEXED BY deliveries_ordered WHERE destination = ? AND state = 1 AND order_key IS NOT NULL
             AND due_at IS NULL AND since IS NULL AND event > ?",
        )?
        .execute(params![destination, frontier])?;
    let mut lines = connection.prepare_cached(
        "SELECT order_key, count(due_at), count(*) - count(due_at) FROM deliveries INDEXED BY deliveries_ordered
         WHERE destination = ? AND state = 1 AND order_key IS NOT NULL GROUP BY order_key",
    )?;
    let mut rows = lines.query([destination])?;
    let mut leaderless = Vec::new();
    while let Some(row) = rows.next()? {
        let order = read(row.get(0)?);
        let (under_way, held): (u32, u32) = (row.get(1)?, row.get(2)?);
        if under_way == 0 {
            leaderless.push(order);
        }
        queue.restore_order(order, true, if under_way == 0 { held.saturating_sub(1) } else { held });
    }
    for order in leaderless {
        // Whom it waited for is gone or comes after it.
        first_due_now(connection, destination, order)?;
    }
    Ok(())
}

/// The first event whose delivery is held.
pub fn first_held(connection: &Connection, destination: DestinationKey) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_ordered
             WHERE destination = ? AND state = 1 AND order_key IS NOT NULL AND due_at IS NULL",
        )?
        .query_row([destination.0], |row| row.get(0))
}

fn first_due_now(connection: &Connection, destination: u32, order: OrderKey) -> rusqlite::Result<()> {
    let first: Option<i64> = connection
        .prepare_cached(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_ordered WHERE destination = ? AND order_key = ? AND state = 1 AND order_key IS NOT NULL",
        )?
        .query_row(params![destination, stored(order)], |row| row.get(0))
        .optional()?
        .flatten();
    connection
        .prepare_cached("UPDATE deliveries SET due_at = settled_at WHERE destination = ? AND event = ?")?
        .execute(params![destination, first])?;
    Ok(())
}

/// As SQLite keeps it: 63 bits fit its signed integers.
pub fn stored(order: OrderKey) -> i64 {
    i64::try_from(order.0).unwrap_or(i64::MAX)
}

/// As it was stored.
pub fn read(order: i64) -> OrderKey {
    OrderKey(u64::try_from(order).unwrap_or(0))
}
