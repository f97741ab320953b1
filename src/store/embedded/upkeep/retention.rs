//! Deleting what is old, a little between every two commits, so that no webhook waits for it.
//!
//! An event goes as a whole: its row, its outcomes, its attempts. One with an undelivered delivery never goes; but a delivery whose
//! destination is held back for longer than `retention.parked` is given up (`give_up.rs`), so that the event can go as a dead one. Freed
//! pages are used again by SQLite, so the file stops growing; it does not shrink. What the rows leave behind is cleared by `leftovers`.
//! The time is the one that is believed (`believed.rs`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::believed::{self, Believed};
use super::give_up::{self, GivenUp};
use crate::clock;
use crate::delivery::state::State;
use crate::delivery::{DestinationKey, Planned};
use crate::names::Retention;
use crate::store::embedded::rows::{deliveries, plan, schema};
use crate::store::embedded::write::session::Session;

/// Events looked at in one step.
const STEP_EVENTS_MAX: usize = 200;
/// The pause after everything was looked at.
const PAUSE: Duration = Duration::from_secs(60);

/// Where the sweep stands.
#[derive(Debug)]
pub struct Sweep {
    /// As the rules say; `None` until the first ones are in effect.
    settings: Option<Retention>,
    /// The last event that was looked at in this pass.
    cursor: i64,
    next_step_at: Instant,
}

impl Sweep {
    /// A sweep that waits for its settings.
    pub fn new() -> Self {
        Self { settings: None, cursor: 0, next_step_at: clock::steady() }
    }

    /// Takes new settings and begins a new pass.
    pub fn configure(&mut self, settings: Retention) {
        if self.settings != Some(settings) {
            (self.settings, self.cursor, self.next_step_at) = (Some(settings), 0, clock::steady());
        }
    }

    /// Whether everything was looked at.
    pub fn rests(&self) -> bool {
        self.settings.is_some() && clock::steady() < self.next_step_at
    }
}

/// Looks at the next few events and deletes those whose time is over. Whether something was deleted.
pub fn step(sweep: &mut Sweep, believed: &mut Believed, session: &Session) -> bool {
    let Some(settings) = sweep.settings else { return false };
    if clock::steady() < sweep.next_step_at {
        return false;
    }
    sweep_some(sweep, settings, believed, session).unwrap_or_else(|error| {
        session.failures.note("deleting what is over its time", &error);
        sweep.next_step_at = clock::steady() + PAUSE;
        false
    })
}

fn sweep_some(sweep: &mut Sweep, settings: Retention, believed: &mut Believed, session: &Session) -> rusqlite::Result<bool> {
    let now = believed::time(believed, &session.connection)?;
    // What has to go whatever its age; less with each event that goes.
    let mut excess_bytes = bytes_in_use(&session.connection)?.saturating_sub(settings.size);
    let before = |kept: Duration| now.saturating_sub(milliseconds(kept));
    let ages =
        Ages { delivered_before: before(settings.delivered), dead_before: before(settings.dead), parked_before: before(settings.parked) };
    let candidates = candidates(sweep, session, if excess_bytes > 0 { i64::MAX } else { ages.latest() })?;
    let Some(last) = candidates.last().map(|candidate| candidate.sequence) else {
        sweep.cursor = 0;
        sweep.next_step_at = clock::steady() + PAUSE;
        return Ok(false);
    };
    let mut given_up = GivenUp::new(&session.queues, now);
    let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
    let mut dead_gone: HashMap<DestinationKey, u64> = HashMap::new();
    let mut deleted = false;
    for candidate in &candidates {
        let Some(ends) = ends(&transaction, candidate)? else { continue };
        if !ends.unfinished.is_empty() {
            for unfinished in ends.unfinished {
                give_up::if_held_back(
                    &transaction,
                    &mut given_up,
                    (candidate.sequence, candidate.received_at),
                    unfinished,
                    ages.parked_before,
                )?;
            }
            continue; // It goes as a dead one with the next pass, if its time is over.
        }
        // Over the size, dead letters stay: each may still be redriven.
        let goes_by_size = excess_bytes > 0 && ends.dead.is_empty();
        if candidate.received_at >= ages.of(candidate, &ends.dead) && !goes_by_size {
            continue;
        }
        excess_bytes = excess_bytes.saturating_sub(candidate.body_bytes);
        for destination in ends.dead {
            *dead_gone.entry(destination).or_default() += 1;
        }
        deliveries::write::forget(&transaction, candidate.sequence)?;
        for table in ["DELETE FROM attempts WHERE event = ?", "DELETE FROM events WHERE sequence = ?"] {
            transaction.prepare_cached(table)?.execute([candidate.sequence])?;
        }
        deleted = true;
    }
    for (destination, count) in &dead_gone {
        transaction
            .prepare_cached("UPDATE destinations SET dead_kept = dead_kept - ? WHERE key = ?")?
            .execute(params![i64::try_from(*count).unwrap_or(i64::MAX), destination.0])?;
    }
    given_up.write_figures(&transaction)?;
    transaction.commit()?;
    for (destination, count) in dead_gone {
        if let Some(queue) = session.queues.get(destination) {
            queue.forget_dead(count);
        }
    }
    given_up.committed(&session.changes);
    sweep.cursor = last;
    Ok(deleted)
}

/// What was received before these times may go, by what became of it.
#[derive(Clone, Copy)]
struct Ages {
    delivered_before: i64,
    dead_before: i64,
    parked_before: i64,
}

impl Ages {
    fn latest(self) -> i64 {
        self.delivered_before.max(self.dead_before).max(self.parked_before)
    }

    /// Of an event that is finished.
    fn of(self, candidate: &Candidate, dead: &[DestinationKey]) -> i64 {
        if dead.is_empty() && candidate.status != schema::STATUS_QUARANTINED { self.delivered_before } else { self.dead_before }
    }
}

/// An event that is old enough to be looked at.
struct Candidate {
    sequence: i64,
    received_at: i64,
    status: i64,
    plan: String,
    body_bytes: u64,
}

fn candidates(sweep: &Sweep, session: &Session, before: i64) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement = session.connection.prepare_cached(
        "SELECT sequence, received_at, status, plan, length(body) FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
    )?;
    let limit = i64::try_from(STEP_EVENTS_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query([sweep.cursor, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let received_at = row.get(1)?;
        if received_at >= before {
            break; // Events are in the order of time, so the rest is younger.
        }
        let body_bytes = row.get::<_, i64>(4).map(|bytes| u64::try_from(bytes).unwrap_or(0))?;
        found.push(Candidate { sequence: row.get(0)?, received_at, status: row.get(2)?, plan: row.get(3)?, body_bytes });
    }
    Ok(found)
}

/// What became of an event's deliveries.
struct Ends {
    /// The destinations at which it died.
    dead: Vec<DestinationKey>,
    /// Planned deliveries without a final outcome.
    unfinished: Vec<Planned>,
}

/// `None` where the plan cannot be read: nobody knows whom it was for, so it stays.
fn ends(transaction: &Transaction<'_>, candidate: &Candidate) -> rusqlite::Result<Option<Ends>> {
    let Ok(mut unfinished) = plan::parse_deliveries(&candidate.plan) else { return Ok(None) };
    let mut dead = Vec::new();
    let mut statement =
        transaction.prepare_cached("SELECT destination, state, due_at, batch, order_key FROM deliveries WHERE event = ?")?;
    let mut rows = statement.query([candidate.sequence])?;
    while let Some(row) = rows.next()? {
        let (destination, state) = (DestinationKey(row.get(0)?), deliveries::read(row, 1, candidate.sequence)?);
        if state.is_final() {
            unfinished.retain(|planned| planned.destination != destination);
        }
        if matches!(state, State::Dead { .. }) {
            dead.push(destination);
        }
    }
    Ok(Some(Ends { dead, unfinished }))
}

fn bytes_in_use(connection: &Connection) -> rusqlite::Result<u64> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(u64::try_from((pages - free).saturating_mul(size)).unwrap_or(0))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
