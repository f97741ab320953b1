//! What is in the store's file, read with nothing but SQLite and the documented tables.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, params};

/// A store, read only.
pub struct Stored {
    connection: Connection,
}

/// One delivery.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    pub destination: String,
    pub route: Option<String>,
    /// `waiting` where it has no row of its own yet.
    pub state: &'static str,
    pub attempts: u32,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
}

/// One attempt that did not deliver.
#[derive(Debug)]
pub struct Attempt {
    pub number: u32,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub reply: Option<Vec<u8>>,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    /// 0 routed, 1 unmatched, 2 quarantined.
    pub status: i64,
    pub path: String,
    pub query: String,
    pub note: Option<String>,
    pub body: Vec<u8>,
}

impl Stored {
    pub(super) fn open(folder: &Path) -> Self {
        let connection = Connection::open_with_flags(folder.join("relay.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(super::PATIENCE).unwrap();
        Self { connection }
    }

    /// The version of the rules that routed an event.
    pub fn rules(&self, id: &str) -> String {
        let query = "SELECT r.version FROM events e JOIN rules r ON r.key = e.rules WHERE e.id = ?";
        self.connection.query_row(query, [uuid(id)], |row| row.get(0)).unwrap()
    }

    /// The names of the routes that an event matched, shadow routes among them.
    pub fn routes(&self, id: &str) -> Vec<String> {
        let query = "SELECT r.name FROM events e, json_each(e.routes) m JOIN routes r ON r.key = m.value WHERE e.id = ? ORDER BY m.key";
        let mut statement = self.connection.prepare(query).unwrap();
        let names = statement.query_map([uuid(id)], |row| row.get(0));
        names.unwrap().map(Result::unwrap).collect()
    }

    /// The deliveries of an event's plan.
    pub fn planned(&self, id: &str) -> Vec<Delivery> {
        let query = "
            SELECT d.name, r.name, s.state, s.attempts, s.last_status, s.last_error
            FROM events e, json_each(e.plan) p
            JOIN destinations d ON d.key = p.value ->> 0 LEFT JOIN routes r ON r.key = p.value ->> 1
            LEFT JOIN deliveries s ON s.event = e.sequence AND s.destination = d.key
            WHERE e.id = ? ORDER BY d.key";
        let mut statement = self.connection.prepare(query).unwrap();
        let deliveries = statement.query_map([uuid(id)], |row| {
            Ok(Delivery {
                destination: row.get(0)?,
                route: row.get(1)?,
                state: match row.get::<_, Option<i64>>(2)? {
                    None => "waiting",
                    Some(1 | 4 | 5) => "retrying",
                    Some(2) => "delivered",
                    Some(3) => "dead",
                    Some(other) => panic!("a delivery is in state {other}"),
                },
                attempts: row.get::<_, Option<u32>>(3)?.unwrap_or(0),
                last_status: row.get(4)?,
                last_error: row.get(5)?,
            })
        });
        deliveries.unwrap().map(Result::unwrap).collect()
    }

    /// The one delivery of an event.
    pub fn delivery(&self, id: &str) -> Delivery {
        let mut planned = self.planned(id);
        assert_eq!(planned.len(), 1, "{planned:?}");
        planned.remove(0)
    }

    /// The attempts at an event's one delivery that did not deliver.
    pub fn attempts(&self, id: &str) -> Vec<Attempt> {
        let query = "SELECT a.number, a.status, a.error, a.reply FROM attempts a JOIN events e ON e.sequence = a.event WHERE e.id = ? ORDER BY a.number";
        let mut statement = self.connection.prepare(query).unwrap();
        let attempts = statement
            .query_map([uuid(id)], |row| Ok(Attempt { number: row.get(0)?, status: row.get(1)?, error: row.get(2)?, reply: row.get(3)? }));
        attempts.unwrap().map(Result::unwrap).collect()
    }

    /// Everything that is kept of an event's attempts, with the name of what it is.
    pub fn told(&self, id: &str) -> Vec<(&'static str, String)> {
        let mut told: Vec<_> = self.planned(id).into_iter().filter_map(|delivery| Some(("last_error", delivery.last_error?))).collect();
        for attempt in self.attempts(id) {
            told.extend(attempt.error.map(|error| ("error", error)));
            told.extend(attempt.reply.map(|reply| ("reply", String::from_utf8_lossy(&reply).into_owned())));
        }
        told
    }

    /// One event.
    pub fn event(&self, id: &str) -> Event {
        let query = "SELECT status, path, query, note, body FROM events WHERE id = ?";
        self.connection.query_row(query, [uuid(id)], event).unwrap_or_else(|error| panic!("event {id}: {error}"))
    }

    /// All that is kept of the destinations themselves, as text.
    pub fn destinations(&self) -> String {
        let mut statement = self.connection.prepare("SELECT * FROM destinations").unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| Ok((0..columns).map(|column| format!("{:?} ", row.get_ref(column).unwrap())).collect()));
        rows.unwrap().map(Result::<String, _>::unwrap).collect()
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.connection.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
    }

    /// Whether SQLite finds its file in order.
    pub fn assert_sound(&self) {
        let found: String = self.connection.query_row("PRAGMA integrity_check", params![], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event { status: row.get(0)?, path: row.get(1)?, query: row.get(2)?, note: row.get(3)?, body: row.get(4)? })
}

fn uuid(id: &str) -> [u8; 16] {
    *uuid::Uuid::try_parse(id).unwrap_or_else(|error| panic!("{id}: {error}")).as_bytes()
}
