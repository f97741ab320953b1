//! How destinations stand (breaker, hold), since when and by whom: kept in their row, and told to whoever watches when somebody sets it
//! by hand.

use rusqlite::{Connection, params};

use super::session::Session;
use crate::circuit::{CircuitState, Standing};
use crate::delivery::{DestinationKey, Outcome, Settlement};
use crate::store::embedded::rows::destinations;

/// Keeps what a lane found out. It may not know yet that somebody has paused the destination.
pub fn note(session: &Session, destination: DestinationKey, standing: Standing) -> rusqlite::Result<()> {
    let Some(queue) = session.queues.get(destination) else { return Ok(()) };
    let paused = queue.standing.borrow().circuit == CircuitState::Paused;
    let standing = if paused { Standing { circuit: CircuitState::Paused, ..standing } } else { standing };
    destinations::set_standing(&session.connection, destination, standing, None)?;
    queue.standing.send_if_modified(|kept| {
        *kept = standing;
        false // The lane knows it: it said so.
    });
    Ok(())
}

/// Sets the breaker by hand, and ends a hold. `by` says whose hand it was.
pub fn set(session: &Session, destination: DestinationKey, circuit: CircuitState, by: &str) -> rusqlite::Result<()> {
    let Some(queue) = session.queues.get(destination) else { return Ok(()) };
    let standing = Standing { circuit, hold_until: None };
    destinations::set_standing(&session.connection, destination, standing, Some(by))?;
    queue.standing.send_replace(standing);
    Ok(())
}

/// What a commit tells of one destination beside its figures.
#[derive(Debug, Default)]
pub struct Seen<'s> {
    arrived: bool,
    failed: Option<Failed<'s>>,
}

#[derive(Debug)]
struct Failed<'s> {
    event: i64,
    start: i64,
    status: Option<u16>,
    error: Option<&'s str>,
}

impl<'s> Seen<'s> {
    /// A settlement of the commit.
    pub fn settled(&mut self, settlement: &'s Settlement) {
        let Settlement { claim, attempt, outcome, .. } = settlement;
        let failed =
            |error| Failed { event: claim.sequence, start: attempt.started_at.as_millisecond(), status: attempt.result.status(), error };
        match outcome {
            Outcome::Delivered => self.arrived = true,
            Outcome::Retry(_) | Outcome::Dead(_) => self.failed = Some(failed(attempt.result.error())),
        }
    }

    /// Writes it into the destination's row.
    pub fn write(&self, connection: &Connection, destination: DestinationKey, now: i64) -> rusqlite::Result<()> {
        if self.arrived {
            connection.prepare_cached("UPDATE destinations SET arrived_at = ? WHERE key = ?")?.execute((now, destination.0))?;
        }
        if let Some(Failed { event, start, status, error }) = &self.failed {
            connection
                .prepare_cached(
                    "UPDATE destinations SET failed_at = ?, failed_event = ?, failed_start = ?, failed_status = ?, failed_error = ? WHERE key = ?",
                )?
                .execute(params![now, event, start, status, error, destination.0])?;
        }
        Ok(())
    }
}
