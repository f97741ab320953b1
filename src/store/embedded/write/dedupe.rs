//! Which events were seen before: 16-byte key prefixes in memory, and the log on disk from which they are read at
//! start. With each key goes its event's id, so that a duplicate is answered also after retention has deleted the
//! event. An index on disk over random keys would cost as much as all the rest of an append.
//!
//! In memory the keys are in [`GENERATIONS`] tables, the youngest first. When that one is full, the oldest is emptied and
//! takes its place. Nothing is ever removed singly: a table from which keys are removed fills up with the places that
//! they leave, and grows to twice its size however few it holds. The log has a row a commit; rows that have left the
//! window are deleted.
//!
//! A key is kept as its hash with the store's salt. Without the salt nobody can tell by the log, or by a copy of it, whether a payload
//! that they guess was received, also after the event itself was deleted.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::event::EventId;
use crate::store::DedupeKey;
use crate::store::embedded::rows::salt::{ENTRY_BYTES, blob, entries};

/// Tables of keys. With one more the keys that are forgotten at a time would be fewer, and a key that is new would be
/// looked for in one more.
const GENERATIONS: usize = 4;
/// Keys in one of them: what fits a table of 2^18 places, 8 MiB.
const GENERATION_KEYS: usize = 225_000;
/// Keys held at most; at least three quarters of them are the newest that there were. Beyond it the oldest are forgotten
/// early, so at 100 events a second duplicates are known for about two hours.
pub const KEYS_MAX: usize = GENERATIONS * GENERATION_KEYS;
/// The oldest log rows, as many as are forgotten in one go. The limit is no parameter: with one, a statement from the cache is
/// compiled anew for each commit, as SQLite's planner looks at the limit that was bound.
const OLDEST_ROWS: &str = "SELECT sequence, at, length(entries) FROM dedupe_log ORDER BY sequence LIMIT 64";

type Table = HashMap<DedupeKey, EventId, BuildHasherDefault<PrefixHasher>>;

/// The keys within the window.
#[derive(Debug)]
pub struct Dedupe {
    /// The youngest first; never empty.
    generations: VecDeque<Table>,
    /// Keys that the log holds, as far as it was read.
    logged: usize,
    window_ms: i64,
}

impl Dedupe {
    /// Reads the log.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        // All places at once: growing a table of this size would stop the writer, and for a moment take twice the
        // memory. Places that hold nothing are never touched, and so cost no memory.
        let table = || Table::with_capacity_and_hasher(GENERATION_KEYS, BuildHasherDefault::default());
        let mut dedupe = Self { generations: (0..GENERATIONS).map(|_| table()).collect(), logged: 0, window_ms: 0 };
        // Newest first, so that the cap leaves the newest.
        let mut statement = connection.prepare("SELECT entries FROM dedupe_log ORDER BY sequence DESC")?;
        let mut rows = statement.query([])?;
        let mut generation = 0;
        while let Some(row) = rows.next()? {
            for (key, id) in entries(row.get_ref(0)?.as_blob()?) {
                dedupe.logged += 1;
                if dedupe.generations.get(generation).is_some_and(|table| table.len() >= GENERATION_KEYS) {
                    generation += 1;
                }
                let Some(table) = dedupe.generations.get_mut(generation) else { return Ok(dedupe) };
                table.entry(key).or_insert(id);
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
        let id = self.generations.iter().find_map(|table| table.get(key)).copied()?;
        (id.milliseconds() >= now.saturating_sub(self.window_ms)).then_some(id)
    }

    /// Remembers a key whose event is committed.
    pub fn insert(&mut self, key: DedupeKey, id: EventId) {
        if self.generations.front().is_some_and(|table| table.len() >= GENERATION_KEYS)
            && let Some(mut oldest) = self.generations.pop_back()
        {
            oldest.clear();
            self.generations.push_front(oldest);
        }
        if let Some(youngest) = self.generations.front_mut() {
            youngest.insert(key, id);
            self.logged += 1;
        }
    }

    /// Deletes the log's oldest rows, where they have left the window or there are too many. Part of a commit: how many
    /// keys they held is returned, to be told to [`Dedupe::expired`] once it has succeeded.
    pub fn expire(&self, transaction: &Transaction<'_>, now: i64) -> rusqlite::Result<usize> {
        let mut expired = 0;
        let mut oldest = transaction.prepare_cached(OLDEST_ROWS)?;
        let mut rows = oldest.query([])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(1)?;
            let too_many = self.logged.saturating_sub(expired) > KEYS_MAX;
            if at.saturating_add(self.window_ms) > now && !too_many {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
            expired += usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0) / ENTRY_BYTES;
        }
        if let Some(last) = last {
            transaction.prepare_cached("DELETE FROM dedupe_log WHERE sequence <= ?")?.execute([last])?;
        }
        Ok(expired)
    }

    /// Notes that [`Dedupe::expire`] has taken effect. In memory the keys stay until their table is full: they have
    /// left the window, or are more than the log has room for.
    pub fn expired(&mut self, keys: usize) {
        self.logged = self.logged.saturating_sub(keys);
    }
}

/// Appends a commit's keys to the log. `last` is the commit's last sequence; a row is written even without keys,
/// because the log's last row also says which sequences were given out.
pub fn log(transaction: &Transaction<'_>, last: i64, now: i64, keys: &[(DedupeKey, EventId)]) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT INTO dedupe_log (sequence, at, entries) VALUES (?, ?, ?)")?.execute(params![
        last,
        now,
        blob(keys)
    ])?;
    Ok(())
}

/// The last sequence that the log knows.
pub fn last_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    let last = connection.query_row("SELECT max(sequence) FROM dedupe_log", [], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(last.flatten().unwrap_or(0))
}

/// The keys are hashes already: their first eight bytes serve.
#[derive(Debug, Default)]
pub struct PrefixHasher(u64);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> DedupeKey {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes());
        DedupeKey(key)
    }

    fn id(milliseconds: i64) -> EventId {
        EventId::new(jiff::Timestamp::from_millisecond(milliseconds).unwrap())
    }

    fn places(dedupe: &Dedupe) -> usize {
        dedupe.generations.iter().map(HashMap::capacity).sum()
    }

    #[test]
    fn the_newest_keys_are_known_and_the_tables_never_grow() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE dedupe_log (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries BLOB NOT NULL)")
            .unwrap();
        let mut dedupe = Dedupe::load(&connection).unwrap();
        dedupe.set_window(Duration::from_secs(1_000));
        let places_before = places(&dedupe);
        let all = 2 * KEYS_MAX + 7;
        let at = |number: usize| id(1_000_000 + i64::try_from(number / 10_000).unwrap());
        for number in 0..all {
            dedupe.insert(key(number), at(number));
        }
        assert_eq!(places(&dedupe), places_before);
        let newest = all - (GENERATIONS - 1) * GENERATION_KEYS;
        assert!((newest..all).all(|number| dedupe.get(&key(number), 1_000_500).is_some()));
        assert_eq!(dedupe.get(&key(0), 1_000_500), None, "the oldest were forgotten");
        assert_eq!(dedupe.get(&key(all - 1), 3_000_000), None, "the window counts, whatever memory holds");
    }

    #[test]
    fn the_log_gives_the_keys_back_and_a_key_that_came_again_its_newest_event() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE dedupe_log (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries BLOB NOT NULL)")
            .unwrap();
        let transaction = connection.transaction().unwrap();
        let (first, again) = (id(1_000), id(9_000));
        log(&transaction, 1, 1_000, &[(key(1), first), (key(2), first)]).unwrap();
        log(&transaction, 2, 9_000, &[(key(1), again)]).unwrap();
        let mut dedupe = Dedupe::load(&transaction).unwrap();
        dedupe.set_window(Duration::from_secs(5));
        assert_eq!((dedupe.get(&key(1), 9_500), dedupe.get(&key(2), 9_500), dedupe.logged), (Some(again), None, 3));
        let expired = dedupe.expire(&transaction, 9_500).unwrap();
        dedupe.expired(expired);
        assert_eq!((expired, dedupe.logged, last_sequence(&transaction).unwrap()), (2, 1, 2));
        let left: i64 = transaction.query_row("SELECT count(*) FROM dedupe_log", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
    }
}
