//! A delivery as listings show it: what its row says, what its last attempt heard, and what it waits for.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{DeliveryRow, Destination, Names, delivery_id, status, time};
use crate::circuit::{CircuitState, Standing};
use crate::delivery::state::State;
use crate::delivery::{DestinationKey, Planned};
use crate::event::EventId;
use crate::wire::listing::{Delivery, DeliveryStatus, WaitsFor};
use crate::{clock, reply_words};

/// A delivery of the event with this place and this id.
pub(super) fn shown(
    names: &Names<'_>,
    (sequence, event): (i64, EventId),
    planned: &Planned,
    row: Option<&DeliveryRow>,
) -> rusqlite::Result<Delivery> {
    let destination: &Destination = names.destination(planned.destination);
    let status = status(row, destination);
    let leader = row.and_then(|row| row.state.leader(sequence));
    let last = match row {
        Some(row) if status != DeliveryStatus::Delivered => LastAttempt::find(names.connection, row, sequence, planned.destination)?,
        _ => None,
    };
    let settled_at = row.map(|row| time(row.settled_at));
    let delivered_at = settled_at.filter(|_| status == DeliveryStatus::Delivered);
    let due_at = match (row, leader) {
        // The leader's row has the time of all.
        (Some(_), Some(leader)) if leader != sequence => due_of(names.connection, leader, planned.destination)?,
        (Some(row), _) => row.state.due_at(),
        (None, _) => None,
    };
    let in_line = row.is_some_and(|row| row.state == State::Held);
    let (next_attempt_at, waits_for) = match status {
        DeliveryStatus::Retrying | DeliveryStatus::Waiting => next(clock::wall(), due_at.map(time), in_line, destination.standing),
        DeliveryStatus::Delivered | DeliveryStatus::Dead | DeliveryStatus::Parked => (None, None),
    };
    Ok(Delivery {
        id: delivery_id(event, destination),
        event_id: event.to_string(),
        destination: destination.name.clone(),
        route: planned.route.map(|route| names.route(route.0)).transpose()?.flatten(),
        status,
        attempts: row.map_or(0, |row| row.attempts),
        attempts_max: None,
        next_attempt_at,
        waits_for,
        last_attempt_at: delivered_at.or(last.as_ref().map(|last| time(last.started_at))),
        last_status: row.and_then(|row| row.last_status),
        last_error: row.and_then(|row| row.last_error.clone()),
        last_reply: last.and_then(|last| reply_words::first(&String::from_utf8_lossy(&last.reply?))),
        batch: match leader {
            Some(leader) if leader == sequence => Some(delivery_id(event, destination)),
            Some(leader) => id_of(names.connection, leader)?.map(|leader| delivery_id(leader, destination)),
            None => None,
        },
        delivered_at,
        dead_at: settled_at.filter(|_| status == DeliveryStatus::Dead),
    })
}

/// When a delivery is attempted next, at the earliest, and what it waits for beside that time. A time that is over is none: what is due
/// is attempted at once, or waits for something.
fn next(now: Timestamp, due: Option<Timestamp>, in_line: bool, standing: Standing) -> (Option<Timestamp>, Option<WaitsFor>) {
    let ahead = |at: Option<Timestamp>| at.filter(|at| *at > now);
    let (until, waits_for) = match standing.circuit {
        CircuitState::Paused | CircuitState::Gone => return (None, Some(WaitsFor::Resume)),
        _ if in_line => return (None, Some(WaitsFor::Line)),
        CircuitState::Open { until, .. } => (Some(until), Some(WaitsFor::Probe)),
        CircuitState::Closed => (None, None),
    };
    let held = ahead(standing.hold_until);
    (ahead(due.max(until).max(held)), waits_for.or(held.map(|_| WaitsFor::Hold)))
}

/// The last attempt that failed.
struct LastAttempt {
    started_at: i64,
    reply: Option<Vec<u8>>,
}

impl LastAttempt {
    /// Of a batch the leader has the attempts of all; what it did after this one was settled is its own.
    fn find(connection: &Connection, row: &DeliveryRow, sequence: i64, destination: DestinationKey) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(
                "SELECT started_at, reply FROM attempts WHERE event = ? AND destination = ? AND started_at <= ? ORDER BY number DESC LIMIT 1",
            )?
            .query_row((row.state.leader(sequence).unwrap_or(sequence), destination.0, row.settled_at), |row| {
                Ok(Self { started_at: row.get(0)?, reply: row.get(1)? })
            })
            .optional()
    }
}

fn due_of(connection: &Connection, event: i64, destination: DestinationKey) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT due_at FROM deliveries WHERE event = ? AND destination = ?")?;
    Ok(statement.query_row((event, destination.0), |row| row.get(0)).optional()?.flatten())
}

fn id_of(connection: &Connection, event: i64) -> rusqlite::Result<Option<EventId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM events WHERE sequence = ?")?;
    statement.query_row([event], |row| row.get(0).map(EventId::from_bytes)).optional()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::circuit::OpenedBy;

    #[test]
    fn the_next_attempt_is_never_in_the_past_and_not_before_what_holds_it_back() {
        let now: Timestamp = "2026-11-28T03:24:20Z".parse().unwrap();
        let at = |seconds: i64| now + SignedDuration::from_secs(seconds);
        let standing = |circuit, hold: Option<i64>| Standing { circuit, hold_until: hold.map(at) };
        let open = |seconds| CircuitState::Open { until: at(seconds), by: OpenedBy::Failures };
        for (due, circuit, hold, expected) in [
            (Some(5), CircuitState::Closed, None, (Some(5), None)),
            (Some(-5), CircuitState::Closed, None, (None, None)),
            (Some(-5), CircuitState::Closed, Some(30), (Some(30), Some(WaitsFor::Hold))),
            (Some(60), CircuitState::Closed, Some(30), (Some(60), Some(WaitsFor::Hold))),
            (Some(-5), CircuitState::Closed, Some(-1), (None, None)),
            (Some(-5), open(8), None, (Some(8), Some(WaitsFor::Probe))),
            (Some(60), open(8), Some(90), (Some(90), Some(WaitsFor::Probe))),
            (Some(-5), open(-1), None, (None, Some(WaitsFor::Probe))),
            (Some(5), CircuitState::Paused, None, (None, Some(WaitsFor::Resume))),
            (Some(5), CircuitState::Gone, Some(5), (None, Some(WaitsFor::Resume))),
        ] {
            let (next, waits_for) = next(now, due.map(at), false, standing(circuit, hold));
            assert_eq!((next, waits_for), (expected.0.map(at), expected.1), "{due:?} {circuit:?} {hold:?}");
        }
        assert_eq!(next(now, None, true, standing(CircuitState::Closed, None)), (None, Some(WaitsFor::Line)));
        assert_eq!(next(now, None, true, standing(CircuitState::Paused, None)), (None, Some(WaitsFor::Resume)));
    }
}
