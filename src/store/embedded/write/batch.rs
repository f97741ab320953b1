//! Batches as rows. Before a batch is sent its members are written down, so that it is repeated as the same batch, also
//! after a crash. Its first member *leads* it: the leader's row has the due time, and the others' rows point to the leader
//! and have none. So one row is claimed, retried and settled, and the others follow it.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::writer::Writer;
use crate::delivery::{AttemptResult, Claim, DestinationKey, Member, Outcome, RouteKey, Settlement};
use crate::event::Event;
use crate::store::embedded::read::readers;
use crate::store::embedded::rows::schema;

/// Makes one claim of several. The batch is on stable storage when this returns.
pub fn form(writer: &Writer, claims: &[Claim]) -> rusqlite::Result<Option<Claim>> {
    // In the order of acceptance, in which they are read back for every repetition.
    let mut claims = claims.to_vec();
    claims.sort_by_key(|claim| claim.sequence);
    let Some((first, others)) = claims.split_first() else { return Ok(None) };
    let Some(queue) = writer.shared.queue(first.destination) else { return Ok(None) };
    let now = Timestamp::now().as_millisecond();
    // Before the commit: the leader's row is due from then on, and a read may find it at once.
    let was_taken = queue.begin_batch(first.sequence);
    let written = write(&writer.connection, first, others, now);
    if written.is_err() && !was_taken {
        queue.cancel_batch(first.sequence);
    }
    written?;
    queue.batch_written(&claims);
    let members: Vec<Member> = others
        .iter()
        .map(|claim| Member { sequence: claim.sequence, event: Arc::clone(&claim.event), route: claim.route, since: claim.since })
        .collect();
    Ok(Some(Claim {
        attempts_made: claims.iter().map(|claim| claim.attempts_made).max().unwrap_or(0),
        requeued: true,
        batch: Some(members.into()),
        ..first.clone()
    }))
}

fn write(connection: &Connection, first: &Claim, others: &[Claim], now: i64) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for (claim, due) in std::iter::once((first, Some(now))).chain(others.iter().map(|claim| (claim, None))) {
        transaction
            .prepare_cached(
                "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, settled_at, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (event, destination) DO UPDATE SET due_at = excluded.due_at, batch = excluded.batch WHERE state = 1",
            )?
            .execute(params![
                claim.sequence,
                claim.destination.0,
                claim.route.map(|route| route.0),
                schema::STATE_RETRYING,
                claim.attempts_made,
                due,
                now,
                first.sequence
            ])?;
    }
    transaction.commit()
}

/// The members behind a leader, in the order of acceptance.
pub fn members(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<Arc<[Member]>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.event, d.route, e.id, e.received_at, e.path, e.query, e.body, e.plan, e.checksum, e.account, d.since
         FROM deliveries d INDEXED BY deliveries_batched CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ?1 AND d.batch = ?2 AND d.batch IS NOT NULL AND d.state = 1 AND d.event <> ?2 ORDER BY d.event",
    )?;
    let members = statement.query_map(params![destination.0, leader], |row| {
        let route = row.get::<_, Option<u32>>(1)?.map(RouteKey);
        let event = readers::event(row, 2)?;
        let since = row.get::<_, Option<i64>>(10)?.and_then(|since| Timestamp::from_millisecond(since).ok()).unwrap_or(event.received_at);
        Ok(Member { sequence: row.get(0)?, event: Arc::new(event), route, since })
    })?;
    members.collect()
}

/// The events of all who go, or went, with this leader, itself among them, in the order of acceptance.
pub fn all(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<Vec<(Arc<Event>, Option<RouteKey>)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT d.route, {} FROM deliveries d INDEXED BY deliveries_batched CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ? AND d.batch = ? AND d.batch IS NOT NULL ORDER BY d.event",
        readers::EVENT_COLUMNS
    ))?;
    let all = statement.query_map(params![destination.0, leader], |row| {
        Ok((Arc::new(readers::event(row, 1)?), row.get::<_, Option<u32>>(0)?.map(RouteKey)))
    })?;
    all.collect()
}

/// How many deliveries go, or went, with this leader, itself among them.
pub fn size(connection: &Connection, destination: DestinationKey, leader: i64) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM deliveries INDEXED BY deliveries_batched WHERE destination = ? AND batch = ? AND batch IS NOT NULL",
        )?
        .query_row(params![destination.0, leader], |row| row.get(0))
}

/// Final outcomes that a settlement of a batch brings about beside its leader's.
#[derive(Debug, Default, Clone, Copy)]
pub struct Settled {
    pub delivered: u64,
    pub dead: u64,
}

/// Writes what becomes of the others of a batch whose leader has just been settled, by a row of this state.
pub fn settle(transaction: &Transaction<'_>, settlement: &Settlement, now: i64) -> rusqlite::Result<Settled> {
    let Settlement { claim, attempt, outcome, attempts, left_out } = settlement;
    let mut settled = Settled::default();
    if claim.batch.is_none() {
        return Ok(settled);
    }
    for (sequence, reason) in left_out.iter().filter(|(sequence, _)| *sequence != claim.sequence) {
        let dead = transaction
            .prepare_cached(
                "UPDATE deliveries SET state = ?, attempts = ?, due_at = NULL, batch = NULL, settled_at = ?, last_error = ?
                 WHERE event = ? AND destination = ? AND state = 1",
            )?
            .execute(params![schema::STATE_DEAD, attempts, now, reason, sequence, claim.destination.0])?;
        settled.dead += u64::try_from(dead).unwrap_or(0);
    }
    let (state, error) = match outcome {
        Outcome::Delivered => (schema::STATE_DELIVERED, None),
        Outcome::Retry(_) => (schema::STATE_RETRYING, attempt.result.error()),
        Outcome::Dead(reason) => (schema::STATE_DEAD, Some(reason.as_str())),
    };
    let changed = transaction
        .prepare_cached(
            "UPDATE deliveries INDEXED BY deliveries_batched SET state = ?3, attempts = ?4, settled_at = ?5, latency_us = ?6, last_status = ?7, last_error = ?8
             WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 1 AND event <> ?2",
        )?
        .execute(params![
            claim.destination.0,
            claim.sequence,
            state,
            attempts,
            now,
            i64::try_from(attempt.latency.as_micros()).unwrap_or(i64::MAX),
            attempt.result.status(),
            error
        ])?;
    let changed = u64::try_from(changed).unwrap_or(0);
    match outcome {
        Outcome::Delivered => settled.delivered += changed,
        Outcome::Dead(_) => settled.dead += changed,
        Outcome::Retry(at) if matches!(attempt.result, AttemptResult::NotTogether(_)) => {
            part(transaction, claim.destination, claim.sequence, at.as_millisecond())?
        }
        Outcome::Retry(at) if leader_left_out(settlement) => {
            lead_anew(transaction, claim.destination, claim.sequence, at.as_millisecond())?
        }
        Outcome::Retry(_) => {}
    }
    Ok(settled)
}

/// Why the leader itself does not go with its batch, if so.
pub fn reason_of_leader(settlement: &Settlement) -> Option<&str> {
    settlement.left_out.iter().find(|(sequence, _)| *sequence == settlement.claim.sequence).map(|(_, reason)| reason.as_str())
}

fn leader_left_out(settlement: &Settlement) -> bool {
    reason_of_leader(settlement).is_some()
}

/// The members cannot go together: each is a batch of its own from now on, and due.
fn part(transaction: &Transaction<'_>, destination: DestinationKey, leader: i64, due: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE deliveries SET batch = event, due_at = ?3 WHERE destination = ?1 AND event IN (
               SELECT event FROM deliveries INDEXED BY deliveries_batched
               WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 1)",
        )?
        .execute(params![destination.0, leader, due])?;
    Ok(())
}

/// The leader is dead; the first of the others leads from now on.
pub fn lead_anew(transaction: &Transaction<'_>, destination: DestinationKey, dead_leader: i64, due: i64) -> rusqlite::Result<()> {
    let leader: Option<i64> = transaction
        .prepare_cached(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_batched
             WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 1 AND event <> ?2",
        )?
        .query_row(params![destination.0, dead_leader], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "UPDATE deliveries SET batch = ?3, due_at = CASE WHEN event = ?3 THEN ?4 END WHERE destination = ?1 AND event IN (
               SELECT event FROM deliveries INDEXED BY deliveries_batched
               WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 1 AND event <> ?2)",
        )?
        .execute(params![destination.0, dead_leader, leader, due])?;
    Ok(())
}
