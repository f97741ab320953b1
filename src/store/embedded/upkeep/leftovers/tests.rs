use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::{Connection, params};

use super::look;

/// The numbers of all rows whose mark is somewhere in the bytes.
fn marks(bytes: &[u8], kind: &str) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for place in memchr::memmem::find_iter(bytes, kind.as_bytes()) {
        let digits = &bytes[place + kind.len()..(place + kind.len() + 6).min(bytes.len())];
        found.extend(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok()));
    }
    found
}

fn raw(folder: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.collect::<Vec<_>>().concat()
}

struct Database {
    folder: tempfile::TempDir,
    connection: Connection,
    random: StdRng,
}

impl Database {
    /// Tables as the store's: one in the order of its rows, and one that rows are put into the midst of.
    fn new(seed: u64, secure_delete: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("relay.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "secure_delete", secure_delete).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap(); // A test has many commits.
        connection
            .execute_batch(
                "CREATE TABLE events (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE attempts (event INTEGER, destination INTEGER, reply BLOB, PRIMARY KEY (event, destination)) WITHOUT ROWID;",
            )
            .unwrap();
        Self { folder, connection, random: StdRng::seed_from_u64(seed) }
    }

    fn fill(&mut self, events: u64, largest: usize) {
        for event in 0..events {
            let body = format!("<event{event:06}>{}", "x".repeat(self.random.random_range(0..largest)));
            self.connection.execute("INSERT INTO events VALUES (?, ?)", params![event.cast_signed(), body.as_bytes()]).unwrap();
            let of = self.random.random_range(0..=event);
            let reply = format!("<reply{of:06}>{}", "y".repeat(self.random.random_range(0..1_000)));
            let destination = self.random.random_range(0..4);
            self.connection
                .execute("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?)", params![of.cast_signed(), destination, reply.as_bytes()])
                .unwrap();
        }
    }

    /// Deletes about every second event, and gives those that stay.
    fn delete_some(&mut self, events: u64) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        for event in 0..events {
            if self.random.random_range(0..2) == 0 {
                kept.insert(event);
                continue;
            }
            self.connection.execute("DELETE FROM attempts WHERE event = ?", [event.cast_signed()]).unwrap();
            self.connection.execute("DELETE FROM events WHERE sequence = ?", [event.cast_signed()]).unwrap();
        }
        kept
    }

    fn leftovers(&self, kept: &BTreeSet<u64>) -> usize {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let bytes = raw(self.folder.path());
        let gone = |kind| marks(&bytes, kind).difference(kept).count();
        gone("<event") + gone("<reply")
    }

    fn clear(&self, free_too: bool) {
        let pages: u32 = self.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let all: Vec<u32> = (1..=pages).collect();
        let found = look::with_leftovers(&self.connection, &all, free_too).unwrap();
        look::clear(&self.connection, &found, free_too).unwrap();
        assert!(look::with_leftovers(&self.connection, &all, free_too).unwrap().is_empty(), "nothing is left to clear");
    }

    fn assert_whole(&self, kept: &BTreeSet<u64>) {
        let found: String = self.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
        let mut statement = self.connection.prepare("SELECT sequence, body FROM events ORDER BY sequence").unwrap();
        let rows: Vec<(i64, Vec<u8>)> =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), kept.len());
        for (sequence, body) in rows {
            assert!(body.starts_with(format!("<event{sequence:06}>").as_bytes()));
        }
    }
}

#[test]
fn what_secure_delete_leaves_in_pages_that_were_balanced_is_cleared() {
    let mut left_by_sqlite = 0;
    for (seed, largest) in [(1, 60), (2, 900), (3, 6_000)] {
        let mut database = Database::new(seed, true);
        database.fill(1_500, largest);
        let kept = database.delete_some(1_500);
        left_by_sqlite += database.leftovers(&kept);
        database.clear(false);
        assert_eq!(database.leftovers(&kept), 0);
        database.assert_whole(&kept);
    }
    assert!(left_by_sqlite > 0, "secure_delete alone has become enough; what clears pages is not needed any more");
}

#[test]
fn what_an_older_version_left_in_free_pages_and_between_rows_is_cleared() {
    for (seed, largest) in [(4, 60), (5, 900), (6, 6_000)] {
        let mut database = Database::new(seed, false);
        database.fill(1_500, largest);
        let kept = database.delete_some(1_500);
        assert!(database.leftovers(&kept) > 300);
        database.clear(true);
        assert_eq!(database.leftovers(&kept), 0);
        database.assert_whole(&kept);
        // What is written from now on, into the pages that were free as well, is whole.
        database.connection.execute("DELETE FROM attempts", []).unwrap();
        database.connection.execute("DELETE FROM events", []).unwrap();
        database.fill(1_500, largest);
        database.assert_whole(&(0..1_500).collect());
    }
}

#[test]
fn a_damaged_page_is_left_alone() {
    let mut page = vec![0_u8; 4_096];
    page[0] = 0x0d;
    page[4] = 1; // One cell,
    page[5..7].copy_from_slice(&4_000_u16.to_be_bytes());
    page[8..10].copy_from_slice(&100_u16.to_be_bytes()); // which is said to be where there is none.
    page[200] = 7;
    let before = page.clone();
    assert!(!super::page::clear(&mut page, false));
    assert_eq!(page, before);
    page[8..10].copy_from_slice(&4_000_u16.to_be_bytes());
    assert!(super::page::clear(&mut page, false));
    assert_eq!(page[200], 0);
}
