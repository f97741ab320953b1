//! How destinations stand (breaker, hold), since when and by whom: kept in their row, and told to whoever watches when somebody sets it
//! by hand.

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::writer::Writer;
use crate::circuit::{CircuitState, OpenedBy, Standing};
use crate::delivery::{DestinationKey, Outcome, Settlement};
use crate::store::{DestinationHistory, LastFailure};

const CLOSED: i64 = 0;
const OPEN: i64 = 1;
const GONE: i64 = 2;
const PAUSED: i64 = 3;
const OPEN_BY_REFUSALS: i64 = 4;

/// The standing in a row whose columns from `first` on are circuit, open_until, hold_until.
pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Standing> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.and_then(|at| Timestamp::from_millisecond(at).ok()));
    let open = |by| Ok::<_, rusqlite::Error>(CircuitState::Open { until: time(first + 1)?.unwrap_or(Timestamp::UNIX_EPOCH), by });
    let circuit = match row.get::<_, i64>(first)? {
        OPEN => open(OpenedBy::Failures)?,
        OPEN_BY_REFUSALS => open(OpenedBy::Refusals)?,
        GONE => CircuitState::Gone,
        PAUSED => CircuitState::Paused,
        _ => CircuitState::Closed,
    };
    Ok(Standing { circuit, hold_until: time(first + 2)? })
}

/// Keeps what a lane found out. It may not know yet that somebody has paused the destination.
pub fn note(writer: &Writer, destination: DestinationKey, standing: Standing) -> rusqlite::Result<()> {
    let Some(queue) = writer.shared.queue(destination) else { return Ok(()) };
    let paused = queue.standing.borrow().circuit == CircuitState::Paused;
    let standing = if paused { Standing { circuit: CircuitState::Paused, ..standing } } else { standing };
    write(&writer.connection, destination, standing, None)?;
    queue.standing.send_if_modified(|kept| {
        *kept = standing;
        false // The lane knows it: it said so.
    });
    Ok(())
}

/// Sets the breaker by hand, and ends a hold. `by` says whose hand it was.
pub fn set(writer: &Writer, destination: DestinationKey, circuit: CircuitState, by: &str) -> rusqlite::Result<()> {
    let Some(queue) = writer.shared.queue(destination) else { return Ok(()) };
    let standing = Standing { circuit, hold_until: None };
    write(&writer.connection, destination, standing, Some(by))?;
    queue.standing.send_replace(standing);
    Ok(())
}

/// Writes it into the destination's row. Where the circuit becomes another one, and where a hold begins, the time is noted. `by`: who set
/// it by hand; who did so before stays as long as the circuit stays what it is.
pub fn write(connection: &Connection, destination: DestinationKey, standing: Standing, by: Option<&str>) -> rusqlite::Result<()> {
    let (circuit, open_until) = match standing.circuit {
        CircuitState::Closed => (CLOSED, None),
        CircuitState::Open { until, by: OpenedBy::Failures } => (OPEN, Some(until.as_millisecond())),
        CircuitState::Open { until, by: OpenedBy::Refusals } => (OPEN_BY_REFUSALS, Some(until.as_millisecond())),
        CircuitState::Gone => (GONE, None),
        CircuitState::Paused => (PAUSED, None),
    };
    let now = Timestamp::now().as_millisecond();
    // On the right-hand sides, the columns are those from before the update. Open is open, whatever opened it.
    debug_assert_eq!((OPEN, OPEN_BY_REFUSALS), (1, 4), "the statement says so");
    connection
        .prepare_cached(
            "UPDATE destinations SET circuit = :circuit, open_until = :open_until, hold_until = :hold_until,
               circuit_since = CASE WHEN circuit = :circuit OR (:is_open AND circuit IN (1, 4)) THEN circuit_since ELSE :now END,
               circuit_by = CASE WHEN circuit = :circuit THEN coalesce(circuit_by, :by) ELSE :by END,
               hold_since = CASE WHEN :hold_until IS NULL THEN NULL WHEN hold_until > :now THEN coalesce(hold_since, :now) ELSE :now END
             WHERE key = :key",
        )?
        .execute(named_params! {
            ":circuit": circuit,
            ":is_open": matches!(standing.circuit, CircuitState::Open { .. }),
            ":open_until": open_until,
            ":hold_until": standing.hold_until.map(Timestamp::as_millisecond),
            ":now": now,
            ":by": by,
            ":key": destination.0,
        })?;
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

/// What is known of each destination beside its figures and its standing.
pub fn histories(connection: &Connection) -> rusqlite::Result<Vec<(DestinationKey, DestinationHistory)>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.key, d.circuit_since, d.circuit_by, d.hold_since, d.removed_at, d.arrived_at, d.failed_at, d.failed_status, d.failed_error,
           (SELECT reply FROM attempts a WHERE a.event = d.failed_event AND a.destination = d.key AND a.started_at = d.failed_start
            ORDER BY a.number DESC LIMIT 1)
         FROM destinations d ORDER BY d.key",
    )?;
    let histories = statement.query_map([], |row| {
        let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.and_then(|at| Timestamp::from_millisecond(at).ok()));
        let reply: Option<Vec<u8>> = row.get(9)?;
        let (status, error) = (row.get(7)?, row.get(8)?);
        let failed =
            |at| LastFailure { at, status, error, reply: reply.as_deref().map(|reply| String::from_utf8_lossy(reply).into_owned()) };
        let history = DestinationHistory {
            circuit_since: time(1)?,
            circuit_by: row.get(2)?,
            hold_since: time(3)?,
            removed_at: time(4)?,
            last_delivered_at: time(5)?,
            last_failure: time(6)?.map(failed),
            ended_per_second: None,
        };
        Ok((DestinationKey(row.get(0)?), history))
    })?;
    histories.collect()
}
