//! One event or one delivery, whole.

use std::sync::Arc;

use rusqlite::{Connection, named_params};

use super::shown::shown;
use super::{BODY, DeliveryRow, EVENT_COLUMNS, EventRow, Names, time};
use crate::delivery::state::State;
use crate::delivery::{DeliveryId, DestinationKey};
use crate::event::EventId;
use crate::store::Carried;
use crate::store::embedded::rows::deliveries::batches;
use crate::store::embedded::rows::events;
use crate::wire::listing::{Attempt, DeliveryDetails, EventDetails, shown_body};

/// An event with its body.
pub fn event(connection: &Connection, id: EventId) -> rusqlite::Result<Option<EventDetails>> {
    let names = Names::load(connection)?;
    let Some((event, body)) = find(connection, id)? else { return Ok(None) };
    Ok(Some(EventDetails { event: event.shown(&names)?, body }))
}

/// A delivery with its attempts and its event's body.
pub fn delivery(connection: &Connection, id: &DeliveryId) -> rusqlite::Result<Option<DeliveryDetails>> {
    let names = Names::load(connection)?;
    let Some(destination) = names.key_of(&id.destination) else { return Ok(None) };
    let Some((event, body)) = find(connection, id.event)? else { return Ok(None) };
    let Some(planned) = event.planned.iter().find(|planned| planned.destination == destination) else { return Ok(None) };
    let row = DeliveryRow::find(connection, event.sequence, destination)?;
    let delivery = shown(&names, (event.sequence, event.id), planned, row.as_ref())?;
    let attempt_log = attempts(connection, event.sequence, destination, row.as_ref())?;
    let batch_size = match row.as_ref().and_then(|row| row.state.leader(event.sequence)) {
        Some(leader) => Some(batches::size(connection, destination, leader)?),
        None => None,
    };
    Ok(Some(DeliveryDetails { delivery, attempt_log, batch_size, request: None, body }))
}

/// What a delivery's request carries: its event, or of a batch those of all who go with the same leader.
pub fn carried(connection: &Connection, id: &DeliveryId) -> rusqlite::Result<Option<Carried>> {
    let names = Names::load(connection)?;
    let Some(destination) = names.key_of(&id.destination) else { return Ok(None) };
    let Some((event, _)) = find(connection, id.event)? else { return Ok(None) };
    let Some(planned) = event.planned.iter().find(|planned| planned.destination == destination) else { return Ok(None) };
    let leader = DeliveryRow::find(connection, event.sequence, destination)?.and_then(|row| row.state.leader(event.sequence));
    let members = match leader {
        Some(leader) => batches::all(connection, destination, leader)?,
        None => vec![(Arc::new(events::by_sequence(connection, event.sequence)?), planned.route)],
    };
    Ok(Some(Carried { as_batch: leader.is_some(), members }))
}

fn find(connection: &Connection, id: EventId) -> rusqlite::Result<Option<(EventRow, serde_json::Value)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = :id"))?;
    let mut rows = statement.query(named_params! { ":body": true, ":id": id.as_bytes() })?;
    rows.next()?.map(|row| Ok((EventRow::read(row)?, shown_body(row.get_ref(BODY)?.as_blob()?)))).transpose()
}

/// The attempts that failed have rows; one that delivered is in the delivery's own. Of a batch the leader has the rows of all; what it did
/// after this delivery was settled is its own.
fn attempts(
    connection: &Connection,
    sequence: i64,
    destination: DestinationKey,
    row: Option<&DeliveryRow>,
) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(counted, number), started_at, latency_us, status, error, reply FROM attempts
         WHERE event = ? AND destination = ? AND started_at <= ? ORDER BY number",
    )?;
    let leader = row.and_then(|row| row.state.leader(sequence)).unwrap_or(sequence);
    let until = row.filter(|row| row.state.leader(sequence).is_some()).map_or(i64::MAX, |row| row.settled_at);
    let since = row.and_then(|row| row.since).unwrap_or(i64::MIN);
    let kept = statement.query_map((leader, destination.0, until), |row| {
        let reply: Option<Vec<u8>> = row.get(5)?;
        let at: i64 = row.get(1)?;
        Ok(Attempt {
            number: Some(row.get(0)?).filter(|number| *number > 0),
            before_redrive: at < since,
            at: time(at),
            latency_ms: milliseconds(row.get(2)?),
            status: row.get(3)?,
            error: row.get(4)?,
            reply: reply.map(|reply| String::from_utf8_lossy(&reply).into_owned()),
        })
    })?;
    let mut attempts: Vec<Attempt> = kept.collect::<rusqlite::Result<_>>()?;
    if let Some(row) = row.filter(|row| matches!(row.state, State::Delivered { .. })) {
        attempts.push(Attempt {
            number: Some(row.attempts),
            before_redrive: false,
            at: time(row.settled_at),
            latency_ms: milliseconds(row.latency_us.unwrap_or(0)),
            status: row.last_status,
            error: None,
            reply: None,
        });
    }
    Ok(attempts)
}

#[expect(clippy::cast_precision_loss, reason = "an attempt takes minutes at most, far below 2^53 microseconds")]
fn milliseconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1000.0
}
