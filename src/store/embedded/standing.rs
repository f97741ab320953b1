//! How destinations stand (breaker, hold): kept in their row, and told to whoever watches when somebody sets it by hand.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::writer::Writer;
use crate::circuit::{CircuitState, OpenedBy, Standing};
use crate::delivery::DestinationKey;

const CLOSED: i64 = 0;
const OPEN: i64 = 1;
const GONE: i64 = 2;
const PAUSED: i64 = 3;
const OPEN_BY_REFUSALS: i64 = 4;

/// The standing in a row whose columns from `first` on are circuit, open_until, hold_until.
pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Standing> {
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
pub(super) fn note(writer: &Writer, destination: DestinationKey, standing: Standing) -> rusqlite::Result<()> {
    let Some(queue) = writer.shared.queue(destination) else { return Ok(()) };
    let paused = queue.standing.borrow().circuit == CircuitState::Paused;
    let standing = if paused { Standing { circuit: CircuitState::Paused, ..standing } } else { standing };
    write(&writer.connection, destination, standing)?;
    queue.standing.send_if_modified(|kept| {
        *kept = standing;
        false // The lane knows it: it said so.
    });
    Ok(())
}

/// Sets the breaker by hand, and ends a hold.
pub(super) fn set(writer: &Writer, destination: DestinationKey, circuit: CircuitState) -> rusqlite::Result<()> {
    let Some(queue) = writer.shared.queue(destination) else { return Ok(()) };
    let standing = Standing { circuit, hold_until: None };
    write(&writer.connection, destination, standing)?;
    queue.standing.send_replace(standing);
    Ok(())
}

/// Writes it into the destination's row.
pub(super) fn write(connection: &Connection, destination: DestinationKey, standing: Standing) -> rusqlite::Result<()> {
    let (circuit, open_until) = match standing.circuit {
        CircuitState::Closed => (CLOSED, None),
        CircuitState::Open { until, by: OpenedBy::Failures } => (OPEN, Some(until.as_millisecond())),
        CircuitState::Open { until, by: OpenedBy::Refusals } => (OPEN_BY_REFUSALS, Some(until.as_millisecond())),
        CircuitState::Gone => (GONE, None),
        CircuitState::Paused => (PAUSED, None),
    };
    connection.prepare_cached("UPDATE destinations SET circuit = ?, open_until = ?, hold_until = ? WHERE key = ?")?.execute(params![
        circuit,
        open_until,
        standing.hold_until.map(Timestamp::as_millisecond),
        destination.0
    ])?;
    Ok(())
}
