//! Reading back what a queue's window does not hold, on connections that never write.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use tokio::sync::Semaphore;

use crate::delivery::{DestinationKey, RouteKey};
use crate::event::{Event, EventId};
use crate::fault;
use crate::store::StoreError;
use crate::store::embedded::rows::checksum::{self, Covered};
use crate::store::embedded::rows::deliveries::{self, state_is};
use crate::store::embedded::window::{Ready, WINDOW_BYTES_MAX, WINDOW_DELIVERIES_MAX};
use crate::store::embedded::write::batch;
use crate::store::embedded::{Shared, open};
use crate::vitals;

/// Connections of the lanes, and so reads at a time.
pub const READERS_MAX: usize = 4;
/// The same for the operator's looks.
pub const LOOKERS_MAX: usize = 2;

/// The connections for reading.
pub struct Readers {
    path: PathBuf,
    /// Told where what was read shows that the file is damaged.
    shared: Arc<Shared>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `at_a_time` connections to the file at `path`.
    pub fn new(path: PathBuf, at_a_time: usize, shared: Arc<Shared>) -> Self {
        Self { path, shared, idle: Mutex::new(Vec::new()), permits: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Runs `query` on a thread for blocking work.
    pub async fn read<T, F>(self: &Arc<Self>, doing: &'static str, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |error: String| StoreError::Engine { doing, error };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let readers = Arc::clone(self);
        let read = move || -> rusqlite::Result<T> {
            fault::point("store_read");
            let connection = match readers.pop() {
                Some(connection) => connection,
                None => open_reader(&readers.path)?,
            };
            let result = query(&connection)?; // A connection that failed is not used again.
            readers.push(connection);
            drop(permit); // Only here: the read goes on also when nobody waits for it any more.
            Ok(result)
        };
        let result = vitals::blocking(read).await.ok_or_else(|| failed("the relay is stopping".to_owned()))?;
        result.map_err(|error| {
            self.shared.failed_reads.fetch_add(1, Ordering::Relaxed);
            // A damaged file takes nothing more, whoever found it out: the disk may lose what comes next as well.
            if open::is_final(&error) && !self.shared.has_failed() {
                self.shared.commit_failed(&error);
            }
            failed(error.to_string())
        })
    }

    fn pop(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn push(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

pub fn open_reader(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -1024)?; // 1 MiB a reader
    Ok(connection)
}

/// What a read of due retries found, and when the first is due that it left.
pub struct Retries {
    pub found: Vec<Ready>,
    pub next_due: Option<i64>,
}

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
            Some(leader) => Some(batch::members(connection, destination, leader)?),
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
