//! Taking up dead deliveries again, a step of them in one transaction. They come back as retries, with a time each when
//! they are due: spaced out, so that they do not crowd out what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::session::Session;
use crate::clock;
use crate::delivery::state::{State, Transition};
use crate::delivery::{DestinationKey, OrderKey};
use crate::store::Redriven;
use crate::store::embedded::changes::Changed;
use crate::store::embedded::rows::deliveries;
use crate::store::embedded::window::queue::Queue;
use crate::store::embedded::window::queues::Queues;

/// Takes up what was chosen, as far as it is still dead.
pub fn take_up(
    session: &mut Session,
    chosen: &[(i64, DestinationKey)],
    from: Timestamp,
    per_second: u32,
) -> rusqlite::Result<(BTreeMap<DestinationKey, u64>, Timestamp)> {
    let now = clock::wall().as_millisecond();
    let mut counts: BTreeMap<DestinationKey, u64> = BTreeMap::new();
    let mut changed = Changed::default();
    let mut due = from;
    let mut entered = Entered::new(&session.queues);
    let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
    for (event, destination) in chosen {
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
        if let Some(queue) = session.queues.get(*destination) {
            queue.redriven(*count, from.as_millisecond());
        }
    }
    session.queues.count_waiting();
    session.changes.publish(changed);
    Ok((counts, due))
}

/// Deliveries that were put in line; taken out again if the transaction does not succeed.
pub struct Entered {
    queues: Arc<Queues>,
    lines: Vec<(DestinationKey, OrderKey, bool)>,
}

impl Entered {
    pub fn new(queues: &Arc<Queues>) -> Self {
        Self { queues: Arc::clone(queues), lines: Vec::new() }
    }

    /// The transaction has succeeded: they stay in line.
    pub fn stay(&mut self) {
        self.lines.clear();
    }

    /// Whether it has to wait for another of its key.
    pub fn enter(&mut self, destination: DestinationKey, order: OrderKey) -> bool {
        let waits = self.queues.get(destination).is_some_and(|queue| queue.enter_line(order));
        self.lines.push((destination, order, waits));
        waits
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        for (destination, order, waits) in self.lines.drain(..).rev() {
            if let Some(queue) = self.queues.get(destination) {
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
    let name = |key: DestinationKey| queues.iter().find(|queue| queue.key == key).map(|queue| queue.name().to_string());
    Redriven {
        counts: counts.into_iter().filter_map(|(key, count)| Some((name(key)?, count))).collect(),
        next_due,
        cursor,
        not_dead: Vec::new(),
    }
}
