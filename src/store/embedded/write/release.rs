//! Taking an event out of quarantine: one transaction gives it a plan, and each planned delivery a row that is due at once.
//!
//! The queues look for fresh deliveries behind their cursors only, and the event may lie before them. So its deliveries come as
//! retries, as those of a redrive do.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::commit;
use super::redrive::Entered;
use super::session::Session;
use crate::clock;
use crate::delivery::DestinationKey;
use crate::delivery::state::Transition;
use crate::event::{Event, EventId};
use crate::store::embedded::changes::Changed;
use crate::store::embedded::rows::checksum::{self, Covered};
use crate::store::embedded::rows::{deliveries, events, plan, schema};
use crate::store::embedded::window::entries::Change;
use crate::store::{Held, Release};

/// The columns that `events::event` reads.
const COLUMNS: &str = "id, received_at, path, query, body, plan, checksum, account";

/// The event as it was received, if it is in quarantine.
pub fn held(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Held>> {
    let query = format!("SELECT {COLUMNS}, status FROM events WHERE id = ?");
    let held = |row: &rusqlite::Row<'_>| match row.get(8)? {
        schema::STATUS_QUARANTINED => events::event(row, 0).map(|event| Held::Quarantined(Box::new(event))),
        _ => Ok(Held::Planned),
    };
    connection.prepare_cached(&query)?.query_row([id.as_bytes()], held).optional()
}

/// Plans it; `false` where it is not in quarantine any more.
pub fn release(session: &mut Session, id: EventId, release: &Release) -> rusqlite::Result<bool> {
    let now = clock::wall().as_millisecond();
    let Some((sequence, event)) = find(&session.connection, id)? else { return Ok(false) };
    let planned = &release.plan.deliveries;
    // Before the rows can be seen: a queue that is behind must not take its delivery for a fresh one.
    for planned in planned {
        if let Some(queue) = session.queues.get(planned.destination) {
            queue.expect_row(sequence);
        }
    }
    let mut changes: BTreeMap<DestinationKey, Change> = BTreeMap::new();
    let mut entered = Entered::new(&session.queues);
    let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
    update(&transaction, sequence, &event, release)?;
    for planned in planned {
        let waits = planned.order.is_some_and(|order| entered.enter(planned.destination, order));
        if !deliveries::write::enter(&transaction, sequence, *planned, Transition::enter(!waits, now), Some(now), now)? {
            return Err(rusqlite::Error::StatementChangedRows(0)); // It has a row, though nothing was planned.
        }
        changes.entry(planned.destination).or_default().planned += 1;
    }
    for (key, change) in &changes {
        commit::write_figures(&transaction, session, *key, *change)?;
    }
    transaction.commit()?;
    entered.stay();
    for (key, change) in &changes {
        if let Some(queue) = session.queues.get(*key) {
            queue.released(*change, now);
        }
    }
    session.queues.count_waiting();
    let deliveries = planned.iter().map(|planned| (sequence, planned.destination)).collect();
    session.changes.publish(Changed { events: vec![sequence], deliveries });
    Ok(true)
}

/// An event that is in quarantine and as it was stored. Only the writer changes that, so nothing can come between.
fn find(connection: &Connection, id: EventId) -> rusqlite::Result<Option<(i64, Event)>> {
    let query = format!("SELECT {COLUMNS}, sequence FROM events WHERE id = ? AND status = {}", schema::STATUS_QUARANTINED);
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(8)?, events::event(row, 0)?));
    let found = connection.prepare_cached(&query)?.query_row([id.as_bytes()], read).optional()?;
    Ok(found.filter(|(_, event)| !event.is_damaged()))
}

fn update(transaction: &Transaction<'_>, sequence: i64, event: &Event, release: &Release) -> rusqlite::Result<()> {
    let Release { kind, rules, plan } = release;
    let deliveries = plan::deliveries_json(plan);
    let checksum = checksum::of(Covered {
        id: event.id.as_bytes(),
        received_at: event.received_at.as_millisecond(),
        path: &event.path,
        query: &event.query,
        account: event.account.as_deref(),
        plan: &deliveries,
        body: &event.body,
    });
    let status = if plan.unmatched { schema::STATUS_UNMATCHED } else { schema::STATUS_ROUTED };
    transaction
        .prepare_cached(
            "UPDATE events SET status = ?, rules = ?, type = ?, routes = ?, plan = ?, note = NULL, checksum = ? WHERE sequence = ?",
        )?
        .execute(params![status, rules.0, kind, plan::routes_json(plan), deliveries, checksum, sequence])?;
    Ok(())
}
