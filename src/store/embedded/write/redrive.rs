//! Taking up dead deliveries again, a step of them in one transaction. They come back as retries, with a time each when
//! they are due: spaced out, so that they do not crowd out what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::writer::Writer;
use crate::clock;
use crate::delivery::state::{State, Transition};
use crate::delivery::{DeliveryId, DestinationKey, OrderKey};
use crate::store::embedded::Shared;
use crate::store::embedded::read::listing::deliveries::{self as listing, Rows};
use crate::store::embedded::read::listing::follow::Changed;
use crate::store::embedded::rows::deliveries;
use crate::store::embedded::window::Queue;
use crate::store::{Redrive, Redriven};

/// Deliveries in one step: short enough that no webhook waits for it.
const STEP_DELIVERIES: usize = 250;

/// Dead deliveries, and where the next step begins.
pub struct Chosen {
    pub deliveries: Vec<(i64, DestinationKey)>,
    pub cursor: Option<String>,
    /// Ids that were asked for and are not dead.
    pub not_dead: Vec<DeliveryId>,
}

/// Finds the next dead deliveries that are meant.
pub fn choose(connection: &Connection, redrive: &Redrive) -> rusqlite::Result<Chosen> {
    if redrive.ids.is_empty() {
        let (found, cursor) = listing::by_rows(connection, Rows::Dead, &redrive.filter, redrive.cursor.as_deref(), STEP_DELIVERIES)?;
        let deliveries = found.iter().map(|found| (found.sequence, found.destination)).collect();
        return Ok(Chosen { deliveries, cursor, not_dead: Vec::new() });
    }
    let done: usize = redrive.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let mut chosen = Chosen { deliveries: Vec::new(), cursor: None, not_dead: Vec::new() };
    for id in redrive.ids.iter().skip(done).take(STEP_DELIVERIES) {
        match listing::find_dead(connection, id.event, &id.destination)? {
            Some(dead) => chosen.deliveries.push(dead),
            None => chosen.not_dead.push(id.clone()),
        }
    }
    let next = done + STEP_DELIVERIES;
    chosen.cursor = (next < redrive.ids.len()).then(|| next.to_string());
    // Twice the same id is one delivery.
    chosen.deliveries.sort_unstable();
    chosen.deliveries.dedup();
    Ok(chosen)
}

/// Only counts what was chosen.
pub fn count(chosen: &Chosen) -> BTreeMap<DestinationKey, u64> {
    let mut counts = BTreeMap::new();
    for (_, destination) in &chosen.deliveries {
        *counts.entry(*destination).or_default() += 1;
    }
    counts
}

/// Takes up what was chosen, as far as it is still dead.
pub fn take_up(
    writer: &mut Writer,
    chosen: &Chosen,
    from: Timestamp,
    per_second: u32,
) -> rusqlite::Result<(BTreeMap<DestinationKey, u64>, Timestamp)> {
    let now = clock::wall().as_millisecond();
    let mut counts: BTreeMap<DestinationKey, u64> = BTreeMap::new();
    let mut changed = Changed::default();
    let mut due = from;
    let mut entered = Entered::new(&writer.shared);
    let transaction = Transaction::new_unchecked(&writer.connection, TransactionBehavior::Immediate)?;
    for (event, destination) in &chosen.deliveries {
        let Some((dead, order)) = deliveries::find_in_line(&transaction, *event, *destination)? else { continue };
        if !matches!(dead, State::Dead { .. }) {
            continue;
        }
        let waits = order.is_some_and(|order| entered.enter(*destination, order));
        let transition = Transition::redrive(!waits, due.as_millisecond());
        deliveries::write::redrive(&transaction, (*event, *destination), dead, transition, due.as_millisecond(), now)?;
        *counts.entry(*destination).or_default() += 1;
        changed.deliveries.push((*event, *destination));
        due = later(due, per_second);
    }
    for (destination, count) in &counts {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        transaction
            .prepare_cached("UPDATE destinations SET redriven = redriven + ?, dead_kept = dead_kept - ? WHERE key = ?")?
            .execute(params![count, count, destination.0])?;
    }
    transaction.commit()?;
    entered.stay();
    for (destination, count) in &counts {
        if let Some(queue) = writer.shared.queue(*destination) {
            queue.redriven(*count, from.as_millisecond());
        }
    }
    writer.shared.count_waiting();
    writer.shared.publish(changed);
    Ok((counts, due))
}

/// Deliveries that were put in line; taken out again if the transaction does not succeed.
pub struct Entered {
    shared: Arc<Shared>,
    lines: Vec<(DestinationKey, OrderKey, bool)>,
}

impl Entered {
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), lines: Vec::new() }
    }

    /// The transaction has succeeded: they stay in line.
    pub fn stay(&mut self) {
        self.lines.clear();
    }

    /// Whether it has to wait for another of its key.
    pub fn enter(&mut self, destination: DestinationKey, order: OrderKey) -> bool {
        let waits = self.shared.queue(destination).is_some_and(|queue| queue.enter_line(order));
        self.lines.push((destination, order, waits));
        waits
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        for (destination, order, waits) in self.lines.drain(..).rev() {
            if let Some(queue) = self.shared.queue(destination) {
                queue.leave_line(order, waits);
            }
        }
    }
}

/// When the next one is due.
fn later(due: Timestamp, per_second: u32) -> Timestamp {
    let Some(step) = 1_000_000_000_i64.checked_div(i64::from(per_second)) else { return due };
    due.checked_add(jiff::SignedDuration::from_nanos(step)).unwrap_or(Timestamp::MAX)
}

/// What a step did, by the destinations' names.
pub fn told(queues: &[Arc<Queue>], counts: BTreeMap<DestinationKey, u64>, next_due: Timestamp, cursor: Option<String>) -> Redriven {
    let name = |key: DestinationKey| queues.iter().find(|queue| queue.key == key).map(|queue| queue.figures().name);
    Redriven {
        counts: counts.into_iter().filter_map(|(key, count)| Some((name(key)?, count))).collect(),
        next_due,
        cursor,
        not_dead: Vec::new(),
    }
}
