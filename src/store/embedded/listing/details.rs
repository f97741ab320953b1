//! One event or one delivery, whole.

use rusqlite::{Connection, named_params};

use super::deliveries::shown;
use super::{BODY, DeliveryRow, EVENT_COLUMNS, EventRow, Names, schema, time};
use crate::delivery::{DeliveryId, DestinationKey};
use crate::event::EventId;
use crate::listing::{Attempt, DeliveryDetails, EventDetails, shown_body};

/// An event with its body.
pub(in super::super) fn event(connection: &Connection, id: EventId) -> rusqlite::Result<Option<EventDetails>> {
    let names = Names::load(connection)?;
    let Some((event, body)) = find(connection, id)? else { return Ok(None) };
    Ok(Some(EventDetails { event: event.shown(&names)?, body }))
}

/// A delivery with its attempts and its event's body.
pub(in super::super) fn delivery(connection: &Connection, id: &DeliveryId) -> rusqlite::Result<Option<DeliveryDetails>> {
    let names = Names::load(connection)?;
    let Some(destination) = names.key_of(&id.destination) else { return Ok(None) };
    let Some((event, body)) = find(connection, id.event)? else { return Ok(None) };
    let Some(planned) = event.planned.iter().find(|planned| planned.destination == destination) else { return Ok(None) };
    let row = DeliveryRow::find(connection, event.sequence, destination)?;
    let delivery = shown(&names, event.id, planned, row.as_ref())?;
    let attempt_log = attempts(connection, event.sequence, destination, row.as_ref())?;
    Ok(Some(DeliveryDetails { delivery, attempt_log, body }))
}

fn find(connection: &Connection, id: EventId) -> rusqlite::Result<Option<(EventRow, serde_json::Value)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = :id"))?;
    let mut rows = statement.query(named_params! { ":body": true, ":id": id.as_bytes() })?;
    rows.next()?.map(|row| Ok((EventRow::read(row)?, shown_body(row.get_ref(BODY)?.as_blob()?)))).transpose()
}

/// The attempts that failed have rows; one that delivered is in the delivery's own.
fn attempts(
    connection: &Connection,
    sequence: i64,
    destination: DestinationKey,
    row: Option<&DeliveryRow>,
) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, started_at, latency_us, status, error, reply FROM attempts WHERE event = ? AND destination = ? ORDER BY number",
    )?;
    let leader = row.and_then(|row| row.batch).unwrap_or(sequence);
    let kept = statement.query_map((leader, destination.0), |row| {
        let reply: Option<Vec<u8>> = row.get(5)?;
        Ok(Attempt {
            number: row.get(0)?,
            at: time(row.get(1)?),
            latency_ms: milliseconds(row.get(2)?),
            status: row.get(3)?,
            error: row.get(4)?,
            reply: reply.map(|reply| String::from_utf8_lossy(&reply).into_owned()),
        })
    })?;
    let mut attempts: Vec<Attempt> = kept.collect::<rusqlite::Result<_>>()?;
    if let Some(row) = row.filter(|row| row.state == schema::STATE_DELIVERED) {
        attempts.push(Attempt {
            number: attempts.last().map_or(0, |last| last.number).saturating_add(1),
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
