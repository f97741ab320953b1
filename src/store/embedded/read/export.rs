//! Reading whatever can be read of a store, also of a damaged one, without changing it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::event::{EventId, rfc3339_milliseconds};
use crate::store::embedded::disk::files::LOG_NAME;
use crate::store::embedded::disk::{private, wal};
use crate::store::embedded::rows::checksum::{self, Covered};
use crate::store::embedded::rows::deliveries::word;
use crate::store::embedded::rows::plan;
use crate::store::embedded::rows::schema::{self, SchemaError};
use crate::store::{Exported, ExportedDelivery, ExportedEvent, StoreError};

/// Events read at once; where one of them cannot be read, each of as many places is tried on its own.
const STEP: i64 = 500;
/// Bytes that even the smallest event takes in the file.
const EVENT_BYTES_MIN: u64 = 64;
/// How long a relay that is running may be waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Hands every event that can be read to `write`, in the order of acceptance. A relay may be running on the store.
///
/// # Errors
/// There is no store, or nothing at all of it can be read; or `write` fails.
pub fn export(folder: &Path, write: &mut dyn FnMut(&ExportedEvent) -> std::io::Result<()>) -> Result<Exported, StoreError> {
    let refuse = |what: String| StoreError::Open(format!("cannot export the store in {}: {what}", folder.display()));
    let path = private::database(folder).map_err(|unusable| unusable.refused("cannot export", folder))?;
    let beside = |end: &str| {
        let mut name = path.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    let mut exported = Exported::default();
    if let Some(damage) = wal::check(&beside("-wal"), &beside("-shm")).map_err(|error| refuse(error.to_string()))? {
        exported.lost.push(format!("the last commits in {LOG_NAME}: {}", damage.because));
    }
    let hopeless =
        |error: rusqlite::Error| refuse(format!("nothing can be read of it: {error}; `sqlite3 {} .recover` may find more", path.display()));
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(hopeless)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(hopeless)?;
    // Before all else: it lets SQLite read a file that is shorter than it should be.
    connection.pragma_update(None, "writable_schema", true).map_err(hopeless)?;
    match schema::version(&connection) {
        Ok(_) => {}
        Err(SchemaError::Engine(error)) => return Err(hopeless(error)),
        Err(error) => return Err(refuse(error.words())),
    }
    let source = Source { destinations: destinations(&connection), connection };
    let last = source.last(std::fs::metadata(&path).map_err(|error| refuse(error.to_string()))?.len());
    let mut unreadable = Unreadable::default();
    let mut after = 0;
    while after < last {
        let to = after.saturating_add(STEP).min(last);
        let events = match source.events(after, to) {
            Ok(events) => events,
            Err(_) => (after + 1..=to).filter_map(|sequence| source.event(sequence, &mut unreadable)).collect(),
        };
        for event in events {
            exported.events += 1;
            exported.damaged += u64::from(event.damaged || event.deliveries.is_none());
            write(&event).map_err(|error| refuse(format!("writing: {error}")))?;
        }
        after = to;
    }
    exported.lost.extend(unreadable.words());
    // Rows may be missing without a trace of where they were.
    let check = source.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    if !check.as_ref().is_ok_and(|found| found == "ok") && exported.lost.is_empty() {
        exported.lost.push("what was on damaged pages of the file, if anything was".to_owned());
    }
    Ok(exported)
}

struct Source {
    connection: Connection,
    destinations: HashMap<u32, (String, bool)>,
}

const COLUMNS: &str = "SELECT sequence, id, received_at, status, type, path, query, plan, body";

impl Source {
    /// An event after which there is none: the last one, or where that cannot be read, more than the file has room for.
    fn last(&self, file_bytes: u64) -> i64 {
        let ask = |query: &str| self.connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default);
        let queries =
            ["SELECT max(sequence) FROM dedupe_log", "SELECT max(event) FROM deliveries", "SELECT max(frontier) FROM destinations"];
        let spoken_of = queries.into_iter().filter_map(|query| ask(query).ok()).max().unwrap_or_default();
        let last = ask("SELECT max(sequence) FROM events").unwrap_or_else(|_| {
            let first = ask("SELECT min(sequence) FROM events").unwrap_or_default();
            first.saturating_add(i64::try_from(file_bytes / EVENT_BYTES_MIN).unwrap_or(i64::MAX))
        });
        last.max(spoken_of)
    }

    /// The columns that a store of an older version may lack.
    fn later_columns(&self) -> String {
        let has = |column: &&str| self.connection.prepare(&format!("SELECT {column} FROM events LIMIT 0")).is_ok();
        let [checksum, account] = ["checksum", "account"].map(|column| Some(column).filter(has).unwrap_or("NULL"));
        format!("{checksum}, {account}")
    }

    fn events(&self, after: i64, to: i64) -> rusqlite::Result<Vec<ExportedEvent>> {
        let query = format!("{COLUMNS}, {} FROM events WHERE sequence > ? AND sequence <= ? ORDER BY sequence", self.later_columns());
        let mut statement = self.connection.prepare_cached(&query)?;
        statement.query_map([after, to], |row| self.exported(row))?.collect()
    }

    fn event(&self, sequence: i64, unreadable: &mut Unreadable) -> Option<ExportedEvent> {
        let query = format!("{COLUMNS}, {} FROM events WHERE sequence = ?", self.later_columns());
        let read = || self.connection.prepare_cached(&query)?.query_row([sequence], |row| self.exported(row)).optional();
        read().unwrap_or_else(|_| {
            unreadable.add(sequence);
            None
        })
    }

    fn exported(&self, row: &Row<'_>) -> rusqlite::Result<ExportedEvent> {
        let sequence: i64 = row.get(0)?;
        let id: [u8; 16] = row.get(1)?;
        let received_at: i64 = row.get(2)?;
        let (path, query, plan): (String, String, String) = (row.get(5)?, row.get(6)?, row.get(7)?);
        let body: Vec<u8> = row.get(8)?;
        let account: Option<String> = row.get(10)?;
        let covered = Covered { id: &id, received_at, path: &path, query: &query, account: account.as_deref(), plan: &plan, body: &body };
        let damaged = row.get::<_, Option<i64>>(9)?.is_some_and(|written| written != i64::from(checksum::of(covered)));
        let deliveries = self.deliveries(sequence, &plan);
        let (body, body_hex) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())),
        };
        Ok(ExportedEvent {
            id: EventId::from_bytes(id).to_string(),
            received_at: Timestamp::from_millisecond(received_at).map(rfc3339_milliseconds).unwrap_or_default(),
            status: match row.get(3)? {
                schema::STATUS_UNMATCHED => "unmatched",
                schema::STATUS_QUARANTINED => "quarantined",
                _ => "routed",
            },
            kind: row.get(4)?,
            path,
            query,
            account,
            body,
            body_hex,
            deliveries,
            damaged,
        })
    }

    fn deliveries(&self, sequence: i64, plan: &str) -> Option<Vec<ExportedDelivery>> {
        let planned = plan::parse_deliveries(plan).ok()?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT state, due_at, attempts, last_status, last_error FROM deliveries WHERE event = ? AND destination = ?")
            .ok()?;
        let mut deliveries = Vec::with_capacity(planned.len());
        for planned in planned {
            let key = planned.destination.0;
            let row = statement
                .query_row([sequence, i64::from(key)], |row| {
                    let (state, due_at, attempts): (i64, Option<i64>, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok((state, due_at, attempts, row.get(3)?, row.get(4)?))
                })
                .optional()
                .ok()?;
            let (destination, active) = self.destinations.get(&key).cloned().unwrap_or_else(|| (format!("#{key}"), true));
            let (status, attempts, last_status, last_error) = match row {
                Some((state, due_at, attempts, status, error)) => (word(state, due_at, attempts, active)?, attempts, status, error),
                None if active => ("waiting", 0, None, None),
                None => ("parked", 0, None, None),
            };
            deliveries.push(ExportedDelivery { destination, status, attempts, last_status, last_error });
        }
        Some(deliveries)
    }
}

/// Names, as far as they can be read.
fn destinations(connection: &Connection) -> HashMap<u32, (String, bool)> {
    let Ok(mut statement) = connection.prepare("SELECT key, name, active FROM destinations") else { return HashMap::new() };
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
    rows.map(|rows| rows.filter_map(Result::ok).collect()).unwrap_or_default()
}

/// Places that could not be read, in their order, neighbours together.
#[derive(Default)]
struct Unreadable(Vec<(i64, i64)>);

impl Unreadable {
    fn add(&mut self, place: i64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == place => *last = place,
            _ => self.0.push((place, place)),
        }
    }

    fn words(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(first, last)| match last - first {
            0 => format!("event number {first}"),
            _ => format!("event numbers {first} to {last}, as far as there were any"),
        })
    }
}
