//! Who goes, or went, in one batch.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::state_is;
use crate::delivery::{DestinationKey, Member, RouteKey};
use crate::event::Event;
use crate::store::embedded::rows::events;

/// The members behind a leader, in the order of acceptance.
pub fn members(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<Arc<[Member]>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT d.event, d.route, e.id, e.received_at, e.path, e.query, e.body, e.plan, e.checksum, e.account, d.since
         FROM deliveries d INDEXED BY deliveries_batched CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ? AND d.batch = ? AND d.batch IS NOT NULL AND d.",
        state_is!(member),
        " ORDER BY d.event"
    ))?;
    let members = statement.query_map(params![destination.0, leader], |row| {
        let route = row.get::<_, Option<u32>>(1)?.map(RouteKey);
        let event = events::event(row, 2)?;
        let since = row.get::<_, Option<i64>>(10)?.and_then(|since| Timestamp::from_millisecond(since).ok()).unwrap_or(event.received_at);
        Ok(Member { sequence: row.get(0)?, event: Arc::new(event), route, since })
    })?;
    members.collect()
}

/// The events of all who go, or went, with this leader, itself among them, in the order of acceptance.
pub fn all(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<Vec<(Arc<Event>, Option<RouteKey>)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT d.route, {} FROM deliveries d INDEXED BY deliveries_batched CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ? AND d.batch = ? AND d.batch IS NOT NULL ORDER BY d.event",
        events::EVENT_COLUMNS
    ))?;
    let all = statement.query_map(params![destination.0, leader], |row| {
        Ok((Arc::new(events::event(row, 1)?), row.get::<_, Option<u32>>(0)?.map(RouteKey)))
    })?;
    all.collect()
}

/// How many deliveries go, or went, with this leader, itself among them.
pub fn size(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM deliveries INDEXED BY deliveries_batched WHERE destination = ? AND batch = ? AND batch IS NOT NULL",
        )?
        .query_row(params![destination.0, leader], |row| row.get(0))
}
