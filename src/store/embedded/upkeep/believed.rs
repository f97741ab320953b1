//! The time by which retention deletes. A wall clock that jumps a year ahead would make everything over its time at once, and
//! what is deleted does not come back when the clock does. So a jump forward is not believed for a day:
//!
//! - While the relay runs, the wall clock may run ahead of the steady one by [`JUMP_MAX`] from one look to the next. Where it
//!   is further ahead, retention goes on by the steady clock.
//! - Nobody knows for how long the relay was down, so after a start the wall clock may be [`DOWN_MAX`] ahead of the time at
//!   which it was last believed.
//! - After [`DOUBT_MAX`] of running with such a clock it is believed: then it is right, and the relay or the machine slept.
//! - A clock that is set back is followed at once: that deletes later and never early.
//!
//! Pure but for what is kept in the store's `meta`.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::clock;
use crate::store::embedded::rows::meta;

/// Clocks that are kept in step never jump so far.
const JUMP_MAX: Duration = Duration::from_secs(60);
/// A relay that was down for longer deletes later by [`DOUBT_MAX`], and a clock that is wrong by less deletes early by as much.
const DOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Long enough that somebody sees the warning.
const DOUBT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the time is written down. It is far less than [`DOWN_MAX`].
const KEEP_EVERY: Duration = Duration::from_secs(10 * 60);

/// The time that is believed.
#[derive(Debug)]
pub struct Believed {
    /// Unix milliseconds, and when that was.
    at: (i64, Instant),
    /// For how long the wall clock has been too far ahead.
    doubted: Duration,
    /// Nobody has looked since the start.
    started: bool,
    keep_at: Instant,
}

/// What a look at the clocks has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// The wall clock is ahead by so many milliseconds, and is not believed.
    Ahead(i64),
    /// It was ahead for so long that it is believed now.
    BelievedAfterAll,
}

impl Believed {
    /// As the store has it. One of an older version has the time of its last commit.
    pub fn open(connection: &Connection, wall: i64) -> rusqlite::Result<Self> {
        let kept: Option<i64> = meta::get(connection, meta::RETENTION_TIME)?;
        let last_commit =
            || connection.query_row("SELECT at FROM dedupe_log ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0)).optional();
        let time = match kept {
            Some(time) => Some(time),
            None => last_commit()?,
        };
        let doubted: Option<i64> = meta::get(connection, meta::CLOCK_DOUBTED)?;
        let doubted = Duration::from_millis(doubted.and_then(|doubted| u64::try_from(doubted).ok()).unwrap_or(0));
        let (time, now) = (time.unwrap_or(wall), clock::steady());
        if kept.is_none() {
            meta::set(connection, meta::RETENTION_TIME, time)?;
        }
        Ok(Self { at: (time, now), doubted, started: false, keep_at: now + KEEP_EVERY })
    }

    /// Looks at both clocks, which show the same moment, and gives the time to delete by.
    pub fn look(&mut self, wall: i64, steady: Instant) -> (i64, News) {
        let (time, at) = self.at;
        let elapsed = steady.saturating_duration_since(at);
        let expected = time.saturating_add(milliseconds(elapsed));
        let allowed = if std::mem::replace(&mut self.started, true) { JUMP_MAX } else { DOWN_MAX };
        let ahead = wall.saturating_sub(expected);
        if ahead <= milliseconds(allowed) {
            (self.at, self.doubted) = ((wall, steady), Duration::ZERO);
            return (wall, News::None);
        }
        let is_new = self.doubted.is_zero() || allowed == DOWN_MAX;
        self.doubted = self.doubted.saturating_add(elapsed).max(Duration::from_millis(1));
        if self.doubted >= DOUBT_MAX {
            (self.at, self.doubted) = ((wall, steady), Duration::ZERO);
            return (wall, News::BelievedAfterAll);
        }
        self.at = (expected, steady);
        (expected, if is_new { News::Ahead(ahead) } else { News::None })
    }

    /// Writes the time down now and then, for the next start.
    pub fn keep(&mut self, connection: &Connection, steady: Instant) -> rusqlite::Result<()> {
        if steady < self.keep_at {
            return Ok(());
        }
        self.keep_at = steady + KEEP_EVERY;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        meta::set(&transaction, meta::RETENTION_TIME, self.at.0)?;
        meta::set(&transaction, meta::CLOCK_DOUBTED, milliseconds(self.doubted))?;
        transaction.commit()
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The time to delete by, in Unix milliseconds.
pub fn time(believed: &mut Believed, connection: &Connection) -> rusqlite::Result<i64> {
    let steady = clock::steady();
    let (time, news) = believed.look(clock::wall().as_millisecond(), steady);
    match news {
        News::None => {}
        News::Ahead(by) => tracing::warn!(
            by_s = by / 1_000,
            "the clock is far ahead of where it should be; for a day nothing is deleted because of that: set the clock right, or wait"
        ),
        News::BelievedAfterAll => tracing::warn!("the clock has stayed ahead for a day; what is over its time by it is deleted now"),
    }
    believed.keep(connection, steady)?;
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;

    fn begin(time: i64) -> (Believed, Instant) {
        let now = Instant::now();
        (Believed { at: (time, now), doubted: Duration::ZERO, started: false, keep_at: now }, now)
    }

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3_600)
    }

    #[test]
    fn a_clock_that_keeps_step_is_followed_and_one_that_jumps_ahead_is_not() {
        let (mut believed, start) = begin(0);
        assert_eq!(believed.look(0, start), (0, News::None));
        assert_eq!(believed.look(HOUR + 30_000, start + hours(1)), (HOUR + 30_000, News::None), "within what clocks differ by");
        let (time, news) = believed.look(YEAR, start + hours(2));
        assert_eq!((time, news), (2 * HOUR + 30_000, News::Ahead(YEAR - 2 * HOUR - 30_000)));
        assert_eq!(believed.look(YEAR + HOUR, start + hours(3)), (3 * HOUR + 30_000, News::None), "told once");
        assert_eq!(believed.look(4 * HOUR, start + hours(4)), (4 * HOUR, News::None), "set right");
        assert_eq!(believed.look(HOUR, start + hours(5)), (HOUR, News::None), "set back");
    }

    #[test]
    fn a_clock_that_stays_ahead_for_a_day_is_believed() {
        let (mut believed, start) = begin(0);
        believed.look(0, start);
        for hour in 1..=24 {
            let wall = YEAR + i64::try_from(hour).unwrap() * HOUR;
            let (time, news) = believed.look(wall, start + hours(hour));
            match hour {
                24 => assert_eq!((time, news), (wall, News::BelievedAfterAll)),
                _ => assert!(time <= 24 * HOUR, "{hour}: {time}"),
            }
        }
        assert_eq!(believed.look(YEAR + 25 * HOUR, start + hours(25)), (YEAR + 25 * HOUR, News::None));
    }

    #[test]
    fn after_a_start_a_day_may_have_gone_by_and_no_year() {
        let (mut believed, start) = begin(0);
        assert_eq!(believed.look(20 * HOUR, start), (20 * HOUR, News::None));
        let (mut believed, start) = begin(0);
        assert_eq!(believed.look(YEAR, start), (0, News::Ahead(YEAR)));
        // What was doubted before a restart counts.
        believed.started = false;
        believed.doubted = hours(23);
        assert_eq!(believed.look(YEAR, start).1, News::Ahead(YEAR), "told again after a start");
        assert_eq!(believed.look(YEAR + HOUR, start + hours(1)).1, News::BelievedAfterAll);
    }

    #[test]
    fn the_time_is_kept_over_a_restart() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID").unwrap();
        connection.execute_batch("CREATE TABLE dedupe_log (sequence INTEGER PRIMARY KEY, at INTEGER)").unwrap();
        assert_eq!(Believed::open(&connection, 5).unwrap().at.0, 5);
        connection.execute_batch("DELETE FROM meta; INSERT INTO dedupe_log VALUES (1, 7), (2, 9)").unwrap();
        let mut believed = Believed::open(&connection, 5).unwrap();
        assert_eq!(believed.at.0, 9, "the last commit of an older version");
        let start = believed.at.1;
        believed.look(YEAR, start);
        believed.look(YEAR + HOUR, start + hours(1));
        believed.keep(&connection, start + hours(1)).unwrap();
        let again = Believed::open(&connection, YEAR).unwrap();
        assert_eq!((again.at.0, again.doubted), (HOUR + 9, hours(1) + Duration::from_millis(1)));
    }
}
