//! Giving up deliveries whose destination is held back for longer than `retention.parked`: one that left the file, was paused, is gone, or
//! whose breaker is open. Nothing else would ever end them, and with them the event's personal data would stay for ever. They die, with
//! the reason, so what was planned still adds up; as dead letters they are kept for as long as those.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::circuit::CircuitState;
use crate::delivery::state::State;
use crate::delivery::{DestinationKey, Ending, OrderKey, Planned};
use crate::event::{EventId, EventSource};
use crate::store;
use crate::store::embedded::changes::{Changed, Changes};
use crate::store::embedded::rows::deliveries::{self, state_is};
use crate::store::embedded::window::entries::Change;
use crate::store::embedded::window::queues::Queues;

/// What was given up in one transaction, to be told to the queues once it is committed.
pub struct GivenUp {
    queues: Arc<Queues>,
    now: i64,
    /// Why the deliveries of a destination are given up; `None`: it is not held back. Found out once a transaction.
    held_back: HashMap<DestinationKey, Option<&'static str>>,
    counts: HashMap<DestinationKey, u64>,
    told: HashMap<DestinationKey, store::GivenUp>,
    lines: Vec<(DestinationKey, OrderKey, Place)>,
    changed: Changed,
    /// Given up because of `expire`, and not of `retention.parked`.
    expired: bool,
}

/// Where in its line a delivery stood.
#[derive(Clone, Copy)]
enum Place {
    /// At its head; whether the next one has been let go.
    First { released: bool },
    /// Behind others.
    Behind,
}

impl GivenUp {
    pub fn new(queues: &Arc<Queues>, now: i64) -> Self {
        let (queues, held_back) = (Arc::clone(queues), HashMap::new());
        let (counts, told) = (HashMap::new(), HashMap::new());
        Self { queues, now, held_back, counts, told, lines: Vec::new(), changed: Changed::default(), expired: false }
    }

    /// The same for deliveries whose time is over.
    pub fn of_expired(queues: &Arc<Queues>, now: i64) -> Self {
        Self { expired: true, ..Self::new(queues, now) }
    }

    fn reason(&mut self, destination: DestinationKey) -> Option<&'static str> {
        let queues = &self.queues;
        *self.held_back.entry(destination).or_insert_with(|| {
            let queue = queues.get(destination)?;
            let reason = match queue.standing.borrow().circuit {
                _ if queue.figures().disabled => "its destination is switched off",
                _ if !queue.figures().active => "its destination is not in routes.yaml",
                CircuitState::Paused => "its destination is paused",
                CircuitState::Gone => "its destination is gone",
                CircuitState::Open { .. } => "its destination's circuit is open",
                CircuitState::Closed => return None,
            };
            // From here on only what is being attempted is claimed, and that is left to its attempt.
            queue.let_go_of_window();
            Some(reason)
        })
    }

    /// Counts one, for whoever is to be told.
    fn count(&mut self, destination: DestinationKey, event: EventId, reason: &str) {
        *self.counts.entry(destination).or_default() += 1;
        let Some(queue) = self.queues.get(destination) else { return };
        let one = store::GivenUp {
            destination: queue.name().to_string(),
            ending: if self.expired { Ending::Expired } else { Ending::Parked },
            reason: reason.to_owned(),
            count: 1,
            webhooks: (event.source() == EventSource::Wiza).then_some((1, event, event)),
        };
        match self.told.entry(destination) {
            Entry::Occupied(mut told) => told.get_mut().add(one),
            Entry::Vacant(vacant) => {
                vacant.insert(one);
            }
        }
    }

    /// Part of the transaction.
    pub fn write_figures(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        for (destination, count) in &self.counts {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            transaction
                .prepare_cached("UPDATE destinations SET dead = dead + ?, dead_kept = dead_kept + ? WHERE key = ?")?
                .execute(params![count, count, destination.0])?;
        }
        Ok(())
    }

    /// Once the transaction has succeeded.
    pub fn committed(self, changes: &Changes) {
        if self.counts.is_empty() {
            return;
        }
        for (destination, order, place) in &self.lines {
            if let Some(queue) = self.queues.get(*destination) {
                match place {
                    Place::First { released } => queue.line_moved_on(*order, released.then_some(self.now)),
                    Place::Behind => queue.leave_line(*order, true),
                }
            }
        }
        for (destination, dead) in &self.counts {
            let Some(queue) = self.queues.get(*destination) else { continue };
            queue.apply(Change { dead: *dead, ..Change::default() }, self.now);
            queue.let_go_of_window(); // It may have been read again meanwhile.
            let destination = queue.name().to_string();
            if self.expired {
                tracing::warn!(destination, deliveries = dead, "deliveries have expired: the destination's `expire` was over");
                continue;
            }
            tracing::warn!(
                destination,
                deliveries = dead,
                "deliveries were given up: their destination was held back for longer than retention.parked"
            );
        }
        self.queues.count_waiting();
        changes.publish(self.changed);
        changes.note_given_up(self.told.into_values());
    }
}

/// Gives a delivery up, if its destination is held back and it was received, or redriven, before `before`.
pub fn if_held_back(
    transaction: &Transaction<'_>,
    given_up: &mut GivenUp,
    (event, received_at): (i64, i64),
    planned: Planned,
    before: i64,
) -> rusqlite::Result<()> {
    let destination = planned.destination;
    if received_at >= before {
        return Ok(());
    }
    let Some(why) = given_up.reason(destination) else { return Ok(()) };
    if given_up.queues.get(destination).is_none_or(|queue| queue.has_claimed(event)) {
        return Ok(());
    }
    let since: Option<Option<i64>> = transaction
        .prepare_cached(concat!("SELECT since FROM deliveries WHERE event = ? AND destination = ? AND ", state_is!(open)))?
        .query_row((event, destination.0), |row| row.get(0))
        .optional()?;
    if since.flatten().is_some_and(|since| since >= before) {
        return Ok(());
    }
    bury(transaction, given_up, event, planned, &format!("given up after retention.parked: {why}"))
}

/// Gives a delivery up that nobody has claimed, for this reason.
pub fn bury(transaction: &Transaction<'_>, given_up: &mut GivenUp, event: i64, planned: Planned, reason: &str) -> rusqlite::Result<()> {
    let destination = planned.destination;
    let stood = deliveries::find(transaction, event, destination)?;
    if !deliveries::write::give_up(transaction, event, planned, reason, given_up.now)? {
        return Ok(());
    }
    match (stood, planned.order) {
        (State::Leading { at }, _) => deliveries::write::pass_on(transaction, destination, event, at)?,
        (State::Due { .. }, Some(order)) => {
            let released = deliveries::write::release_first(transaction, destination, order, given_up.now)?;
            given_up.lines.push((destination, order, Place::First { released }));
        }
        (State::Held, Some(order)) => given_up.lines.push((destination, order, Place::Behind)),
        _ => {}
    }
    let id = transaction.prepare_cached("SELECT id FROM events WHERE sequence = ?")?.query_row([event], |row| row.get(0))?;
    given_up.count(destination, EventId::from_bytes(id), reason);
    given_up.changed.deliveries.push((event, destination));
    Ok(())
}
