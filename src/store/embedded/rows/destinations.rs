//! The row of a destination: its figures, and how it stands.

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};

use crate::circuit::{CircuitState, OpenedBy, Standing};
use crate::clock;
use crate::delivery::DestinationKey;
use crate::store::DestinationFigures;

const CLOSED: i64 = 0;
const OPEN: i64 = 1;
const GONE: i64 = 2;
const PAUSED: i64 = 3;
const OPEN_BY_REFUSALS: i64 = 4;

/// The columns of [`figures`].
pub const FIGURES: &str = "name, active, planned, redriven, delivered, dead, dead_kept";

/// The figures in a row whose columns from `first` on are [`FIGURES`].
pub fn figures(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<DestinationFigures> {
    let count = |column| row.get::<_, i64>(first + column).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(DestinationFigures {
        name: row.get(first)?,
        active: row.get(first + 1)?,
        disabled: false,
        planned: count(2)?,
        redriven: count(3)?,
        delivered: count(4)?,
        dead: count(5)?,
        dead_kept: count(6)?,
    })
}

/// The standing in a row whose columns from `first` on are circuit, open_until, hold_until.
pub fn standing(row: &Row<'_>, first: usize) -> rusqlite::Result<Standing> {
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

/// The columns circuit and open_until of a circuit.
fn columns(circuit: CircuitState) -> (i64, Option<i64>) {
    match circuit {
        CircuitState::Closed => (CLOSED, None),
        CircuitState::Open { until, by: OpenedBy::Failures } => (OPEN, Some(until.as_millisecond())),
        CircuitState::Open { until, by: OpenedBy::Refusals } => (OPEN_BY_REFUSALS, Some(until.as_millisecond())),
        CircuitState::Gone => (GONE, None),
        CircuitState::Paused => (PAUSED, None),
    }
}

/// Writes how a destination stands into its row. Where the circuit becomes another one, and where a hold begins, the time is noted. `by`: who set
/// it by hand; who did so before stays as long as the circuit stays what it is.
pub fn set_standing(connection: &Connection, destination: DestinationKey, standing: Standing, by: Option<&str>) -> rusqlite::Result<()> {
    let (circuit, open_until) = columns(standing.circuit);
    let now = clock::wall().as_millisecond();
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
