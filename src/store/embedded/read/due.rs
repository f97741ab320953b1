//! What is due, and what has waited for longest.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::delivery::{DestinationKey, RouteKey};
use crate::store::embedded::rows::deliveries::{self, batches, state_is};
use crate::store::embedded::rows::events::event;
use crate::store::embedded::window::entries::{Ready, Retries, WINDOW_BYTES_MAX, WINDOW_DELIVERIES_MAX};

/// Retries that are due at `now`, without those in `taken`, the longest overdue first.
pub fn retries(connection: &Connection, destination: DestinationKey, now: i64, taken: &HashSet<i64>) -> rusqlite::Result<Retries> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT d.state, d.due_at, d.batch, d.order_key, d.event, d.route, d.attempts, d.since,
           e.id, e.received_at, e.path, e.query, e.body, e.plan, e.checksum, e.account
         FROM deliveries d INDEXED BY deliveries_due CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ? AND d.",
        state_is!(due),
        " ORDER BY d.due_at, d.event"
    ))?;
    let mut rows = statement.query([destination.0])?;
    let mut result = Retries { found: Vec::new(), next_due: None };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let (due, sequence): (i64, i64) = (row.get(1)?, row.get(4)?);
        if taken.contains(&sequence) {
            continue;
        }
        if due > now || result.found.len() >= WINDOW_DELIVERIES_MAX || bytes >= WINDOW_BYTES_MAX {
            result.next_due = Some(due);
            break;
        }
        let event = event(row, 8)?;
        let since = row.get::<_, Option<i64>>(7)?.and_then(|since| Timestamp::from_millisecond(since).ok()).unwrap_or(event.received_at);
        bytes += event.body.len();
        let batch = match deliveries::read(row, 0, sequence)?.leader(sequence) {
            Some(leader) => Some(batches::members(connection, destination, leader)?),
            None => None,
        };
        bytes += batch.iter().flat_map(|others| others.iter()).map(|member| member.event.body.len()).sum::<usize>();
        let route = row.get::<_, Option<u32>>(5)?.map(RouteKey);
        let order = row.get::<_, Option<i64>>(3)?.map(deliveries::order_key);
        result.found.push(Ready { sequence, event: Arc::new(event), route, order, attempts_made: row.get(6)?, since, batch });
    }
    Ok(result)
}

/// The receipt time of the oldest delivery without a final outcome: the oldest retry, or the first event after the
/// frontier that waits, whichever came first.
pub fn oldest(connection: &Connection, destination: DestinationKey, frontier: i64) -> rusqlite::Result<Option<Timestamp>> {
    let retrying: Option<i64> = connection
        .prepare_cached(concat!(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_open WHERE destination = ? AND ",
            state_is!(open)
        ))?
        .query_row([destination.0], |row| row.get(0))?;
    let mut received_at = connection.prepare_cached("SELECT received_at FROM events WHERE sequence >= ? ORDER BY sequence LIMIT 1")?;
    let from = retrying.map_or(frontier.saturating_add(1), |retrying| retrying.min(frontier.saturating_add(1)));
    let milliseconds = received_at.query_row([from], |row| row.get::<_, i64>(0)).optional()?;
    Ok(milliseconds.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()))
}
