//! One transaction: new events with their plans, outcomes, the figures and the dedupe log. What memory knows is
//! changed only after the transaction has succeeded.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::line::Moves;
use super::session::Session;
use super::standing::Seen;
use super::{batch, dedupe};
use crate::clock;
use crate::delivery::state::Transition;
use crate::delivery::{AttemptResult, DestinationKey, Outcome, Plan, Settlement};
use crate::event::EventId;
use crate::fault::{self, Broken};
use crate::store::embedded::changes::Changed;
use crate::store::embedded::rows::checksum::{self, Covered};
use crate::store::embedded::rows::deliveries::write::Told;
use crate::store::embedded::rows::{deliveries, plan, schema};
use crate::store::embedded::window::entries::{Change, Hold, Ready};
use crate::store::{Appended, DedupeKey, Disposition, NewEvent};

/// Attempts kept of one delivery: the last ones.
const ATTEMPTS_KEPT: u32 = 20;

/// What one transaction writes.
pub struct Batch<'a> {
    pub events: Vec<NewEvent>,
    pub settlements: &'a [Settlement],
    pub holds: &'a [Hold],
}

/// What a transaction has made true.
pub struct Committed {
    /// One a new event, in their order.
    pub answers: Vec<Appended>,
    /// To be handed over to the queues.
    pub stored: Vec<Stored>,
    /// What it did to deliveries in line.
    pub moves: Moves,
}

/// A new event in the transaction.
pub struct Stored {
    sequence: i64,
    event: NewEvent,
}

/// Writes the batch.
pub fn write(session: &mut Session, batch: Batch<'_>) -> rusqlite::Result<Committed> {
    let now = clock::wall().as_millisecond();
    let mut answers = Vec::with_capacity(batch.events.len());
    let mut stored: Vec<Stored> = Vec::with_capacity(batch.events.len());
    let mut keys: HashMap<DedupeKey, EventId> = HashMap::new();
    let mut changes: HashMap<DestinationKey, Change> = HashMap::new();
    let mut next_sequence = session.next_sequence;

    let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
    let mut expired = 0;
    let mut moves = Moves::at(now);
    let mut seen: HashMap<DestinationKey, Seen<'_>> = HashMap::new();
    for new in batch.events {
        let known = new.dedupe.and_then(|key| keys.get(&key).copied().or_else(|| session.dedupe.get(&key, now)));
        if let Some(id) = known {
            answers.push(Appended::Duplicate(id));
            continue;
        }
        let sequence = next_sequence;
        next_sequence += 1;
        insert_event(&transaction, sequence, &new)?;
        if let Disposition::Route { plan, .. } = &new.disposition {
            for planned in &plan.deliveries {
                changes.entry(planned.destination).or_default().planned += 1;
            }
        }
        if let Some(key) = new.dedupe {
            keys.insert(key, new.event.id);
        }
        answers.push(Appended::Accepted(new.event.id));
        stored.push(Stored { sequence, event: new });
    }
    if next_sequence > session.next_sequence {
        expired = session.dedupe.expire(&transaction, now)?;
        let entries: Vec<_> = keys.iter().map(|(key, id)| (*key, *id)).collect();
        dedupe::log(&transaction, next_sequence - 1, now, &entries)?;
    }
    for settlement in batch.settlements {
        if !insert_settlement(&transaction, settlement, now)? {
            continue;
        }
        let others = batch::settle(&transaction, settlement, now)?;
        moves.settle(&transaction, &session.queues, settlement)?;
        seen.entry(settlement.claim.destination).or_default().settled(settlement);
        let change = changes.entry(settlement.claim.destination).or_default();
        change.delivered += others.delivered;
        change.dead += others.dead;
        match settlement.outcome {
            _ if batch::reason_of_leader(settlement).is_some() => change.dead += 1,
            Outcome::Delivered => change.delivered += 1,
            Outcome::Dead(_) => change.dead += 1,
            Outcome::Retry(_) => {}
        }
    }
    for hold in batch.holds {
        moves.hold(&transaction, &session.queues, hold)?;
    }
    for (key, change) in &changes {
        write_figures(&transaction, session, *key, *change)?;
    }
    for (key, seen) in &seen {
        seen.write(&transaction, *key, now)?;
    }
    if fault::is_broken(Broken::CommitSkipped) && !batch.settlements.is_empty() {
        transaction.rollback()?;
    } else {
        transaction.commit()?;
    }

    session.next_sequence = next_sequence;
    session.dedupe.expired(expired);
    for (key, id) in keys {
        session.dedupe.insert(key, id);
    }
    for (key, change) in &changes {
        if let Some(queue) = session.queues.get(*key) {
            queue.apply(*change, now);
        }
    }
    session.queues.count_waiting();
    Ok(Committed { answers, stored, moves })
}

/// Commits a page that says nothing new: whether that works is the question.
pub fn rewrite_header(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// Tells followers what the commit touched; without any it costs nothing.
pub fn publish(session: &Session, stored: &[Stored], settlements: &[Settlement]) {
    if !session.changes.are_followed() {
        return;
    }
    let planned = stored.iter().filter_map(|stored| match &stored.event.disposition {
        Disposition::Route { plan, .. } => Some(plan.deliveries.iter().map(|planned| (stored.sequence, planned.destination))),
        Disposition::Quarantine(_) => None,
    });
    let settled = settlements.iter().flat_map(|settlement| {
        let claim = &settlement.claim;
        let others = claim.batch.iter().flat_map(|others| others.iter()).map(|member| member.sequence);
        std::iter::once(claim.sequence).chain(others).map(|sequence| (sequence, claim.destination))
    });
    let events = stored.iter().map(|stored| stored.sequence).collect();
    session.changes.publish(Changed { events, deliveries: planned.flatten().chain(settled).collect() });
}

/// Tells the queues what the commit has made true.
pub fn hand_over(session: &Session, stored: Vec<Stored>, settlements: &[Settlement], holds: &[Hold], moves: &Moves) {
    for settlement in settlements {
        if let Some(queue) = session.queues.get(settlement.claim.destination) {
            let retry_at = match &settlement.outcome {
                Outcome::Retry(at) => Some(at.as_millisecond()),
                Outcome::Delivered | Outcome::Dead(_) => None,
            };
            queue.settled(settlement, retry_at, moves.released_by(settlement));
        }
    }
    for hold in holds {
        if let Some(queue) = session.queues.get(hold.destination) {
            queue.hold_written(hold, moves.due(hold));
        }
    }
    for Stored { sequence, event } in stored {
        let Disposition::Route { plan: Plan { deliveries, .. }, .. } = event.disposition else { continue };
        let event = Arc::new(event.event);
        for planned in deliveries {
            if let Some(queue) = session.queues.get(planned.destination) {
                let since = event.received_at;
                queue.offer(Ready {
                    sequence,
                    event: Arc::clone(&event),
                    route: planned.route,
                    order: planned.order,
                    attempts_made: 0,
                    since,
                    batch: None,
                });
            }
        }
    }
}

fn insert_event(transaction: &Transaction<'_>, sequence: i64, new: &NewEvent) -> rusqlite::Result<()> {
    let (status, rules, routes, deliveries, note) = match &new.disposition {
        Disposition::Route { rules, plan } => {
            let status = if plan.unmatched { schema::STATUS_UNMATCHED } else { schema::STATUS_ROUTED };
            (status, Some(rules.0), plan::routes_json(plan), plan::deliveries_json(plan), None)
        }
        Disposition::Quarantine(reason) => (schema::STATUS_QUARANTINED, None, "[]".to_owned(), "[]".to_owned(), Some(reason.as_str())),
    };
    let received_at = new.event.received_at.as_millisecond();
    let checksum = checksum::of(Covered {
        id: new.event.id.as_bytes(),
        received_at,
        path: &new.event.path,
        query: &new.event.query,
        account: new.event.account.as_deref(),
        plan: &deliveries,
        body: &new.event.body,
    });
    transaction
        .prepare_cached(
            "INSERT INTO events (sequence, id, received_at, status, rules, type, path, query, routes, plan, note, body, checksum, account)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            sequence,
            new.event.id.as_bytes(),
            received_at,
            status,
            rules,
            new.kind,
            new.event.path,
            new.event.query,
            routes,
            deliveries,
            note,
            &new.event.body[..],
            checksum,
            new.event.account.as_deref(),
        ])?;
    Ok(())
}

/// Writes an outcome; whether it is new. A final outcome is never overwritten, and so never counted twice.
fn insert_settlement(transaction: &Transaction<'_>, settlement: &Settlement, now: i64) -> rusqlite::Result<bool> {
    let Settlement { claim, attempt, outcome, attempts: counted, .. } = settlement;
    let latency = i64::try_from(attempt.latency.as_micros()).unwrap_or(i64::MAX);
    let attempt_error = attempt.result.error();
    let (status, reply) = match &attempt.result {
        AttemptResult::Replied { status, reply, .. } => (Some(*status), Some(&reply[..])),
        AttemptResult::CredentialsRefused(_)
        | AttemptResult::TokenDelayed { .. }
        | AttemptResult::Silent(_)
        | AttemptResult::Failed(..)
        | AttemptResult::NotRendered(_)
        | AttemptResult::Withheld(..)
        | AttemptResult::NotTogether(_)
        | AttemptResult::Unkept(_) => (None, None),
    };
    // A leader that is left out of its batch dies, whatever becomes of the others.
    let (transition, error) = match (batch::reason_of_leader(settlement), outcome) {
        (Some(reason), _) => (Transition::Die, Some(reason)),
        (None, Outcome::Delivered) => (Transition::Deliver, None),
        (None, Outcome::Retry(_)) if fault::is_broken(Broken::RetryForgotten) => {
            (Transition::of(&Outcome::Retry(jiff::Timestamp::MAX)), attempt_error)
        }
        (None, Outcome::Retry(_)) => (Transition::of(outcome), attempt_error),
        (None, Outcome::Dead(reason)) => (Transition::Die, Some(reason.as_str())),
    };
    let told = Told { attempts: *counted, settled_at: now, latency_us: latency, status, error };
    if !deliveries::write::settle(transaction, claim, transition, told)? {
        let state = deliveries::find(transaction, claim.sequence, claim.destination)?;
        if !state.is_final() {
            // Only what waits or is due is claimed.
            tracing::error!(event_id = %claim.event.id, state = state.name(), "an outcome does not fit its delivery's state and is not written, which is a bug");
        }
        return Ok(false);
    }
    if *outcome == Outcome::Delivered || matches!(attempt.result, AttemptResult::Withheld(..)) {
        return Ok(true); // A delivery's own row says all that there is to say.
    }
    // Not the count of attempts: those that do not count (a wrong token) and those before a redrive have a number too.
    let number: u32 = transaction
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE event = ? AND destination = ?")?
        .query_row(params![claim.sequence, claim.destination.0], |row| row.get(0))?;
    transaction
        .prepare_cached("INSERT INTO attempts (event, destination, number, started_at, latency_us, status, error, reply, counted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            claim.sequence,
            claim.destination.0,
            number,
            attempt.started_at.as_millisecond(),
            latency,
            status,
            attempt_error,
            reply,
            settlement.number().unwrap_or(0),
        ])?;
    if number > ATTEMPTS_KEPT {
        transaction.prepare_cached("DELETE FROM attempts WHERE event = ? AND destination = ? AND number <= ?")?.execute(params![
            claim.sequence,
            claim.destination.0,
            number - ATTEMPTS_KEPT
        ])?;
    }
    Ok(true)
}

pub fn write_figures(transaction: &Transaction<'_>, session: &Session, key: DestinationKey, change: Change) -> rusqlite::Result<()> {
    let Some(queue) = session.queues.get(key) else { return Ok(()) };
    let figures = queue.figures_after(change);
    transaction
        .prepare_cached("UPDATE destinations SET planned = ?, delivered = ?, dead = ?, dead_kept = ?, frontier = ? WHERE key = ?")?
        .execute(params![
            counted(figures.planned),
            counted(figures.delivered),
            counted(figures.dead),
            counted(figures.dead_kept),
            queue.frontier(),
            key.0
        ])?;
    Ok(())
}

fn counted(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
