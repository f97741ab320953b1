//! Which events were seen before: 16-byte key prefixes in memory, and the log on disk from which they are read at
//! start. With each key goes its event's id, so that a duplicate is answered also after retention has deleted the
//! event. An index on disk over random keys would cost as much as all the rest of an append.
//!
//! The log has a row a commit, so the keys are also known by age: what leaves the window is read from the log's
//! oldest rows and forgotten, without a second structure in memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::event::EventId;
use crate::store::DedupeKey;

/// Keys held at most: what fits a table of 2^20 places, 33 MiB. Beyond it the oldest are forgotten early, so at
/// 100 events a second duplicates are known for two and a half hours.
pub(super) const KEYS_MAX: usize = 900_000;
/// Log rows forgotten in one go.
const EXPIRY_ROWS_MAX: usize = 64;
const ENTRY_BYTES: usize = 32;

/// The keys within the window.
#[derive(Debug)]
pub(super) struct Dedupe {
    ids: HashMap<DedupeKey, EventId, BuildHasherDefault<PrefixHasher>>,
    window_ms: i64,
}

impl Dedupe {
    /// Reads the log.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        // All places at once: growing a table of this size would stop the writer, and for a moment take twice the
        // memory. Places that hold nothing are never touched, and so cost no memory.
        let ids = HashMap::with_capacity_and_hasher(KEYS_MAX, BuildHasherDefault::default());
        let mut dedupe = Self { ids, window_ms: 0 };
        // Newest first, so that the cap leaves the newest.
        let mut statement = connection.prepare("SELECT entries FROM dedupe_log ORDER BY sequence DESC")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for (key, id) in entries(row.get_ref(0)?.as_blob()?) {
                dedupe.ids.entry(key).or_insert(id);
            }
            if dedupe.ids.len() >= KEYS_MAX {
                break;
            }
        }
        Ok(dedupe)
    }

    /// Sets how long a key is known.
    pub fn set_window(&mut self, window: Duration) {
        self.window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    }

    /// The id of the event that had this key, unless that one has left the window.
    pub fn get(&self, key: &DedupeKey, now: i64) -> Option<EventId> {
        let id = self.ids.get(key).copied()?;
        (id.milliseconds() >= now.saturating_sub(self.window_ms)).then_some(id)
    }

    /// Remembers a key whose event is committed.
    pub fn insert(&mut self, key: DedupeKey, id: EventId) {
        self.ids.insert(key, id);
    }

    /// Forgets the oldest keys, where they have left the window or there are too many. Part of a commit: the keys
    /// are returned, to be removed once it has succeeded.
    pub fn expire(&self, transaction: &Transaction<'_>, now: i64) -> rusqlite::Result<Vec<(DedupeKey, EventId)>> {
        let mut expired = Vec::new();
        let mut oldest = transaction.prepare_cached("SELECT sequence, at, entries FROM dedupe_log ORDER BY sequence LIMIT ?")?;
        let mut rows = oldest.query([i64::try_from(EXPIRY_ROWS_MAX).unwrap_or(i64::MAX)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(1)?;
            let too_many = self.ids.len().saturating_sub(expired.len()) > KEYS_MAX;
            if at.saturating_add(self.window_ms) > now && !too_many {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
            expired.extend(entries(row.get_ref(2)?.as_blob()?));
        }
        if let Some(last) = last {
            transaction.prepare_cached("DELETE FROM dedupe_log WHERE sequence <= ?")?.execute([last])?;
        }
        Ok(expired)
    }

    /// Removes keys that [`Dedupe::expire`] returned, unless a later event has the same key.
    pub fn remove(&mut self, expired: &[(DedupeKey, EventId)]) {
        for (key, id) in expired {
            if self.ids.get(key) == Some(id) {
                self.ids.remove(key);
            }
        }
    }
}

/// Appends a commit's keys to the log. `last` is the commit's last sequence; a row is written even without keys,
/// because the log's last row also says which sequences were given out.
pub(super) fn log(transaction: &Transaction<'_>, last: i64, now: i64, keys: &[(DedupeKey, EventId)]) -> rusqlite::Result<()> {
    let mut blob = Vec::with_capacity(keys.len() * ENTRY_BYTES);
    for (key, id) in keys {
        blob.extend_from_slice(&key.0);
        blob.extend_from_slice(id.as_bytes());
    }
    transaction.prepare_cached("INSERT INTO dedupe_log (sequence, at, entries) VALUES (?, ?, ?)")?.execute(params![last, now, blob])?;
    Ok(())
}

/// The last sequence that the log knows.
pub(super) fn last_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    let last = connection.query_row("SELECT max(sequence) FROM dedupe_log", [], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(last.flatten().unwrap_or(0))
}

fn entries(blob: &[u8]) -> impl Iterator<Item = (DedupeKey, EventId)> {
    blob.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (key, id) = entry.split_at(16);
        Some((DedupeKey(key.try_into().ok()?), EventId::from_bytes(id.try_into().ok()?)))
    })
}

/// The keys are hashes already: their first eight bytes serve.
#[derive(Debug, Default)]
pub(super) struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(Ok(prefix)) = bytes.get(..8).map(<[u8; 8]>::try_from) {
            self.0 = u64::from_ne_bytes(prefix);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // The derived Hash of an array writes its length first; it says nothing.
    }
}
