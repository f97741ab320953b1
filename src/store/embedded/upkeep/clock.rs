//! A clock that is set back. When retries are due is written down in the wall clock's time, so after a jump back they
//! would wait for that time to come again: a day, if the clock was a day ahead. The writer compares the wall clock
//! with the steady one; where it fell behind, all due times are brought forward by as much, a few rows between two
//! commits. A jump forward only makes retries due early, which costs an attempt at most.

use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::clock;
use crate::delivery::state::{State, Transition};
use crate::delivery::{DestinationKey, Outcome, Settlement};
use crate::store::embedded::rows::deliveries::{self, STATE_COLUMNS, state_is};
use crate::store::embedded::write::session::Session;

/// What the clocks may differ by without anything being done: clocks that are kept in step are never so far off.
const TOLERANCE_MS: i64 = 60_000;
/// Retries moved in one step.
const STEP_ROWS_MAX: usize = 1_000;

/// Watches the wall clock.
#[derive(Debug)]
pub struct Clock {
    /// The wall clock's time as it was last seen (Unix milliseconds), and when that was.
    seen: (i64, Instant),
    shift: Option<Shift>,
}

/// Due times on their way back.
#[derive(Debug, Clone, Copy)]
struct Shift {
    by: i64,
    /// The last retry that was moved: its destination and its event.
    after: (i64, i64),
}

impl Clock {
    /// Begins with the time of the last commit before this start, so that a clock that was set back meanwhile is noticed.
    pub fn open(connection: &Connection) -> rusqlite::Result<Self> {
        let now = clock::wall().as_millisecond();
        let last: Option<i64> =
            connection.query_row("SELECT max(at) FROM (SELECT at FROM dedupe_log ORDER BY sequence DESC LIMIT 1)", [], |row| row.get(0))?;
        Ok(Self { seen: (last.unwrap_or(now).max(now), clock::steady()), shift: None })
    }

    /// By how much the wall clock was set back since it was last seen.
    fn set_back_by(&mut self, now: i64, steady: Instant) -> Option<i64> {
        let (seen, at) = self.seen;
        self.seen = (now, steady);
        let elapsed = i64::try_from(steady.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX);
        let behind = seen.saturating_add(elapsed).saturating_sub(now);
        (behind > TOLERANCE_MS).then_some(behind)
    }
}

/// Called by the writer between two commits.
pub fn step(clock: &mut Clock, session: &Session) {
    let now = clock::wall().as_millisecond();
    if let Some(by) = clock.set_back_by(now, clock::steady()) {
        tracing::warn!(by_s = by / 1000, "the clock was set back; what is to be tried again does not wait for the time to come again");
        clock.shift = Some(Shift { by, after: (-1, -1) });
    }
    let Some(shift) = clock.shift else { return };
    match bring_forward(&session.connection, shift, now) {
        Ok(next) => {
            clock.shift = next;
            for queue in session.queues.all().iter() {
                queue.look_for_retries();
            }
        }
        // It is tried again after the next commit.
        Err(error) => session.failures.note("bringing retries forward", &error),
    }
}

/// An outcome may have been handed over before the clock was set back, and be written after all due times were brought forward. So its own
/// is brought forward before it is written, at `now`: by as much as its attempt ended ahead of that. Where the clock was set back during
/// the attempt, the due time comes from the new clock and stays.
pub fn correct(settlement: &mut Settlement, now: i64) {
    let Settlement { attempt, outcome: Outcome::Retry(at), .. } = settlement else { return };
    let latency = i64::try_from(attempt.latency.as_millis()).unwrap_or(i64::MAX);
    let ended = attempt.started_at.as_millisecond().saturating_add(latency);
    let ahead = ended.saturating_sub(now);
    if ahead > TOLERANCE_MS && at.as_millisecond() >= ended {
        *at = Timestamp::from_millisecond(at.as_millisecond() - ahead).unwrap_or(*at);
    }
}

fn bring_forward(connection: &Connection, shift: Shift, now: i64) -> rusqlite::Result<Option<Shift>> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let found: Vec<(u32, i64, State)> = {
        let mut statement = transaction.prepare_cached(&format!(
            "SELECT d.destination, d.event, {STATE_COLUMNS} FROM deliveries d INDEXED BY deliveries_open
             WHERE d.{} AND (d.destination, d.event) > (?, ?) ORDER BY d.destination, d.event LIMIT ?",
            state_is!(open)
        ))?;
        let limit = i64::try_from(STEP_ROWS_MAX).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![shift.after.0, shift.after.1, limit], |row| {
            let event = row.get(1)?;
            Ok((row.get(0)?, event, deliveries::read(row, 2, event)?))
        })?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let brought_forward = Transition::BringForward { by: shift.by, now };
    for (destination, event, state) in &found {
        if state.due_at().is_some_and(|due| due > now) {
            deliveries::write::bring_forward(&transaction, (*event, DestinationKey(*destination)), *state, brought_forward)?;
        }
    }
    transaction.commit()?;
    Ok(found.last().map(|(destination, event, _)| Shift { after: (i64::from(*destination), *event), ..shift }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;
    use crate::store::Store as _;
    use crate::store::contract::given::{names, new_event, settlement};
    use crate::store::embedded::{Embedded, Options};

    /// How long something may take that must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn only_a_jump_back_is_noticed_and_only_once() {
        let start = Instant::now();
        let mut clock = Clock { seen: (1_000_000, start), shift: None };
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(clock.set_back_by(1_010_000, later(10)), None);
        assert_eq!(clock.set_back_by(1_010_000 - 50_000, later(11)), None, "within the tolerance");
        assert_eq!(clock.set_back_by(90_000_000, later(12)), None, "a jump forward");
        assert_eq!(clock.set_back_by(1_000_000, later(13)), Some(89_001_000));
        assert_eq!(clock.set_back_by(1_001_000, later(14)), None);
    }

    /// What is handed over a moment before the clock is set back, and written a moment after.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_outcome_from_before_a_jump_back_that_is_written_after_it_does_not_wait_for_the_time_to_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { backlog_max: 1_000, observe_commit: Box::new(|_| {}), vitals: Arc::default() };
        let store = Embedded::open(folder.path(), options).unwrap();
        let keys = store.configure(names(&["crm"])).await.unwrap();
        let crm = keys.destinations[0];
        store.append(new_event(&keys, &[0], "event")).await.unwrap();
        let claim = store.claim(crm, 1).await.remove(0);
        let tomorrow = clock::wall() + SignedDuration::from_hours(24);
        let mut failed = settlement(claim, Outcome::Retry(tomorrow + SignedDuration::from_millis(50)));
        failed.attempt.started_at = tomorrow;
        store.settle(failed).await;
        let again = tokio::time::timeout(PATIENCE, store.claim(crm, 1)).await.expect("it waits for tomorrow");
        assert_eq!(again[0].attempts_made, 1);
        // The attempt began before the jump and ended after it: the clock of now says when it is due.
        let soon = clock::wall() + SignedDuration::from_secs(2);
        let mut failed = settlement(again[0].clone(), Outcome::Retry(soon));
        failed.attempt.started_at = tomorrow;
        correct(&mut failed, clock::wall().as_millisecond());
        assert_eq!(failed.outcome, Outcome::Retry(soon));
        store.close().await;
    }
}
