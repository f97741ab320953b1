//! The row of an event.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::checksum::{self, Covered};
use crate::event::{Event, EventId};

/// The columns that [`event`] reads, of `events e`.
pub const EVENT_COLUMNS: &str = "e.id, e.received_at, e.path, e.query, e.body, e.plan, e.checksum, e.account";

/// The event at this place in the order of acceptance.
pub fn by_sequence(connection: &Connection, sequence: i64) -> rusqlite::Result<Event> {
    let query = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.sequence = ?");
    connection.prepare_cached(&query)?.query_row([sequence], |row| event(row, 0))
}

/// An event from a row whose columns from `first` on are id, received_at, path, query, body, plan, checksum, account.
pub fn event(row: &Row<'_>, first: usize) -> rusqlite::Result<Event> {
    let (id, received_at): ([u8; 16], i64) = (row.get(first)?, row.get(first + 1)?);
    let (path, query): (String, String) = (row.get(first + 2)?, row.get(first + 3)?);
    let body: Vec<u8> = row.get(first + 4)?;
    let plan = row.get_ref(first + 5)?.as_str()?;
    let account: Option<String> = row.get(first + 7)?;
    let covered = Covered { id: &id, received_at, path: &path, query: &query, account: account.as_deref(), plan, body: &body };
    let damaged = row.get::<_, Option<i64>>(first + 6)?.is_some_and(|written| written != i64::from(checksum::of(covered)));
    let received_at = Timestamp::from_millisecond(received_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let event = Event::new(EventId::from_bytes(id), received_at, path, query, body.into()).of_account(account.map(Into::into));
    if damaged {
        tracing::error!(event_id = %event.id, "an event was damaged on the disk; its deliveries are dead letters");
        return Ok(event.damaged());
    }
    Ok(event)
}
