//! The tables, and the way from every older version of them to the newest.
//!
//! The version is SQLite's `user_version`. A store of a newer version is refused: this binary does not know what it
//! would break. An older one is brought up to date step by step, each step in a transaction of its own.

use rusqlite::{Connection, TransactionBehavior};

use super::salt;
use crate::store::embedded::disk::errors::plain_words;

/// One step a version, in order. A step that was released is never changed: append a new one.
const MIGRATIONS: &[&str] =
    &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7, VERSION_8, VERSION_9, VERSION_10];

/// Sequences order events by acceptance. Times are Unix milliseconds. A plan is JSON so that a store can be read
/// with nothing but the `sqlite3` shell: `routes` is `[route key, ...]`, `plan` is `[[destination key, route key or
/// null], ...]`. A planned delivery without a row in `deliveries` has not been attempted yet: that is most of what
/// makes an append cheap. `status`: 0 routed, 1 unmatched, 2 quarantined. `state`: 1 retrying, 2 delivered, 3 dead.
/// `dedupe_log.entries` holds 32 bytes an event: 16 of its key, 16 of its id.
const VERSION_1: &str = "
CREATE TABLE rules (key INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, first_used_at INTEGER NOT NULL) STRICT;
CREATE TABLE routes (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE destinations (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, active INTEGER NOT NULL DEFAULT 1,
  planned INTEGER NOT NULL DEFAULT 0, redriven INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, dead_kept INTEGER NOT NULL DEFAULT 0,
  frontier INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, received_at INTEGER NOT NULL, status INTEGER NOT NULL,
  rules INTEGER, type TEXT, path TEXT NOT NULL, query TEXT NOT NULL,
  routes TEXT NOT NULL, plan TEXT NOT NULL, note TEXT, body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_id ON events (id);
CREATE INDEX events_quarantined ON events (sequence) WHERE status = 2;
CREATE TABLE deliveries (
  event INTEGER NOT NULL, destination INTEGER NOT NULL, route INTEGER, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
  due_at INTEGER, settled_at INTEGER NOT NULL, latency_us INTEGER, last_status INTEGER, last_error TEXT,
  PRIMARY KEY (event, destination)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (destination, due_at, event) WHERE state = 1;
CREATE INDEX deliveries_retrying ON deliveries (destination, event) WHERE state = 1;
CREATE INDEX deliveries_dead ON deliveries (destination, event) WHERE state = 3;
CREATE TABLE attempts (
  event INTEGER NOT NULL, destination INTEGER NOT NULL, number INTEGER NOT NULL,
  started_at INTEGER NOT NULL, latency_us INTEGER NOT NULL, status INTEGER, error TEXT, reply BLOB,
  PRIMARY KEY (event, destination, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe_log (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries BLOB NOT NULL) STRICT;
";

/// `since`: from when a delivery's deadline counts, where that is not its event's receipt (Unix milliseconds).
const VERSION_2: &str = "ALTER TABLE deliveries ADD COLUMN since INTEGER;";

/// How a destination stands, kept over a restart. `circuit`: 0 closed, 1 open, 2 gone, 3 paused, 4 open
/// because of refusals.
const VERSION_3: &str = "
ALTER TABLE destinations ADD COLUMN circuit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destinations ADD COLUMN open_until INTEGER;
ALTER TABLE destinations ADD COLUMN hold_until INTEGER;
";

/// Deliveries that wait for one another. A plan's entry can have a third number, the key of the order; so has its row. A
/// row in state retrying without a due time waits for another: for the one before it in its order.
const VERSION_4: &str = "
ALTER TABLE deliveries ADD COLUMN order_key INTEGER;
CREATE INDEX deliveries_ordered ON deliveries (destination, order_key, event) WHERE state = 1 AND order_key IS NOT NULL;
";

/// `checksum`: CRC-32 of an event's row, as `checksum.rs` makes it. Events from before have none.
const VERSION_5: &str = "ALTER TABLE events ADD COLUMN checksum INTEGER;";

/// `batch`: the event whose delivery leads the batch that this one goes in; the leader's own row has it too. Only the
/// leader has a due time.
const VERSION_6: &str = "
ALTER TABLE deliveries ADD COLUMN batch INTEGER;
CREATE INDEX deliveries_batched ON deliveries (destination, batch, event) WHERE batch IS NOT NULL;
";

/// `meta`: what the store knows of itself, by the names in `meta.rs`. From this version on `dedupe_log.entries` holds keys that are hashed
/// with the salt: [`migrate`] does that to those of before.
const VERSION_7: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('dedupe_salt', randomblob(32));
";
/// Its number.
const SALTED: usize = 7;

/// `account`: the name of the API key that the event came with. Events that came with a key without a name have none, and so have
/// those from before.
const VERSION_8: &str = "ALTER TABLE events ADD COLUMN account TEXT;";

/// Why a destination stands as it does. `circuit_since`: since when its circuit is what it is; `circuit_by`: who set it by hand;
/// `hold_since`: since when it is held; `removed_at`: when it left routes.yaml. `arrived_at`: when it last took a delivery. `failed_at` and
/// what follows: its last failed attempt. The reply is not copied but read where it stands, at the attempt of `failed_event` that began at
/// `failed_start`, because it may hold personal data and ends with its event. `attempts.counted`: the attempt's number among those that
/// count against the limit, 0 for one that does not count; null for those from before.
const VERSION_9: &str = "
ALTER TABLE destinations ADD COLUMN circuit_since INTEGER;
ALTER TABLE destinations ADD COLUMN circuit_by TEXT;
ALTER TABLE destinations ADD COLUMN hold_since INTEGER;
ALTER TABLE destinations ADD COLUMN removed_at INTEGER;
ALTER TABLE destinations ADD COLUMN arrived_at INTEGER;
ALTER TABLE destinations ADD COLUMN failed_at INTEGER;
ALTER TABLE destinations ADD COLUMN failed_event INTEGER;
ALTER TABLE destinations ADD COLUMN failed_start INTEGER;
ALTER TABLE destinations ADD COLUMN failed_status INTEGER;
ALTER TABLE destinations ADD COLUMN failed_error TEXT;
ALTER TABLE attempts ADD COLUMN counted INTEGER;
";

/// `state` says all that a delivery can be: 1 due (with a due time), 2 delivered, 3 dead, 4 held (behind another of its order key), 5 member
/// of another's batch. Before, 1 was all of 1, 4 and 5, and who had no due time was held or a member. `rows/deliveries` has the columns that
/// go with each.
///
/// The first statement is for rows that an order key and a batch together could make in older versions: they were due, and named another's
/// batch. They are batches of one.
const VERSION_10: &str = "
DROP INDEX deliveries_retrying;
UPDATE deliveries SET batch = event WHERE state = 1 AND due_at IS NOT NULL AND batch IS NOT NULL AND batch <> event;
UPDATE deliveries SET state = 5 WHERE state = 1 AND due_at IS NULL AND batch IS NOT NULL AND batch <> event;
UPDATE deliveries SET state = 4 WHERE state = 1 AND due_at IS NULL AND batch IS NULL AND order_key IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (destination, event) WHERE state IN (1, 4, 5);
CREATE INDEX deliveries_held ON deliveries (destination, order_key, event) WHERE state = 4;
";

/// An event all of whose deliveries are planned and none refused.
pub const STATUS_ROUTED: i64 = 0;
/// No route took it.
pub const STATUS_UNMATCHED: i64 = 1;
/// Authentic, but no event.
pub const STATUS_QUARANTINED: i64 = 2;

/// Why a store cannot be used as it is.
#[derive(Debug)]
pub enum SchemaError {
    /// Written by a later version of the relay.
    Newer { found: usize, known: usize },
    /// SQLite refused.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl SchemaError {
    /// What it means to an operator.
    pub fn words(&self) -> String {
        match self {
            SchemaError::Newer { found, known } => {
                format!(
                    "it was written by a newer wiza-relay (store version {found}; this one knows up to {known}); run that version, or start with an empty folder"
                )
            }
            SchemaError::Engine(error) => plain_words(error),
        }
    }
}

/// The version that this binary writes.
pub const fn newest() -> usize {
    MIGRATIONS.len()
}

/// The version that the store has now; 0 for a new one.
pub fn version(connection: &Connection) -> Result<usize, SchemaError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > newest() {
        return Err(SchemaError::Newer { found, known: newest() });
    }
    Ok(found)
}

/// Brings the store to the newest version and returns the version that it had.
pub fn migrate(connection: &mut Connection) -> Result<usize, SchemaError> {
    let found = version(connection)?;
    for (step, statements) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(statements)?;
        if step + 1 == SALTED {
            salt::salt_log(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", i64::try_from(step + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::DestinationKey;
    use crate::delivery::state::{State, Went};

    fn columns(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info('deliveries')").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_older_store_is_brought_up_to_date_with_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.execute("INSERT INTO deliveries (event, destination, state, attempts, settled_at) VALUES (1, 0, 2, 1, 5)", []).unwrap();
        assert!(!columns(&connection).contains(&"since".to_owned()));
        assert_eq!(migrate(&mut connection).unwrap(), 1);
        assert_eq!(version(&connection).unwrap(), newest());
        assert!(columns(&connection).contains(&"since".to_owned()));
        let kept: (i64, Option<i64>) =
            connection.query_row("SELECT settled_at, since FROM deliveries", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(kept, (5, None));
        assert_eq!(migrate(&mut connection).unwrap(), newest(), "the second time there is nothing to do");
    }

    #[test]
    fn what_version_9_said_by_missing_values_is_said_by_the_state() {
        let mut connection = Connection::open_in_memory().unwrap();
        for statements in &MIGRATIONS[..9] {
            connection.execute_batch(statements).unwrap();
        }
        connection.pragma_update(None, "user_version", 9).unwrap();
        let order = Some(7);
        for (event, state, due, batch, order_key) in [
            (1, 1, Some(1_000), None, None),
            (2, 1, Some(1_000), None, order),
            (3, 1, None, None, order),
            (4, 1, Some(1_000), Some(4), None),
            (5, 1, None, Some(4), None),
            (6, 1, Some(1_000), Some(4), order),
            (7, 2, None, Some(4), None),
            (8, 3, None, None, order),
        ] {
            connection
                .execute(
                    "INSERT INTO deliveries (event, destination, state, attempts, due_at, settled_at, batch, order_key) VALUES (?, 0, ?, 0, ?, 5, ?, ?)",
                    rusqlite::params![event, state, due, batch, order_key],
                )
                .unwrap();
        }
        assert_eq!(migrate(&mut connection).unwrap(), 9);
        let state = |event| crate::store::embedded::rows::deliveries::find(&connection, event, DestinationKey(0)).unwrap();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7, 8].map(state),
            [
                State::Due { at: 1_000 },
                State::Due { at: 1_000 },
                State::Held,
                State::Leading { at: 1_000 },
                State::Member { leader: 4 },
                State::Leading { at: 1_000 },
                State::Delivered { went: Went::With { leader: 4 } },
                State::Dead { went: Went::Alone },
            ]
        );
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut connection), Err(SchemaError::Newer { found: 99, .. })));
        assert!(columns(&connection).is_empty());
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        connection.execute_batch("ALTER TABLE deliveries ADD COLUMN since TEXT").unwrap(); // In the way of version 2.
        connection.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(migrate(&mut connection), Err(SchemaError::Engine(_))));
        assert_eq!(version(&connection).unwrap(), 1);
    }
}
