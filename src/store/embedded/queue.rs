//! One destination's queue: a bounded window in memory in front of the durable backlog.
//!
//! Deliveries come in two kinds. *Fresh* ones have no row of their own yet: they are planned in their event's row
//! and nothing more. They are taken in the order of acceptance, and `cursor` is the last event that was looked at;
//! what lies between `cursor` and `newest` is in the store only and is read back when the window has room.
//! *Retries* have a row with a time when they are due.
//!
//! A delivery is claimed at most once at a time: fresh ones because the cursor only moves on (and `claimed_fresh`
//! covers the case that it is set back), retries because `taken` holds them until their settlement is committed.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

mod order;

use self::order::{Order, Turn};
use super::backlog::{Fresh, Wanted};
use super::read;
use crate::circuit::Standing;
use crate::delivery::{Claim, DestinationKey, OrderKey, Outcome, RouteKey, Settlement};
use crate::event::Event;
use crate::store::DestinationFigures;

/// Deliveries that a window holds at most, fresh ones and retries each.
pub(super) const WINDOW_DELIVERIES_MAX: usize = 512;
/// Body bytes above which a window takes no more (one event always fits).
pub(super) const WINDOW_BYTES_MAX: usize = 2 << 20;

/// A delivery that is ready to be claimed.
#[derive(Debug)]
pub(super) struct Ready {
    pub sequence: i64,
    pub event: Arc<Event>,
    pub route: Option<RouteKey>,
    pub order: Option<OrderKey>,
    pub attempts_made: u32,
    pub since: Timestamp,
}

/// A delivery that has to wait for another of its key: the writer gives it a row.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub destination: DestinationKey,
    pub sequence: i64,
    pub route: Option<RouteKey>,
    pub order: OrderKey,
}

/// Names a read of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading(u64);

/// What a queue wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A read of the retries that are due, but for those that are taken.
    Retries { reading: Reading, taken: HashSet<i64> },
    /// A read of fresh deliveries; `newest` is the last that was known when this was said.
    Fresh { reading: Reading, wanted: Wanted, newest: i64 },
    /// Nothing: wait to be notified, or for this time (Unix milliseconds).
    Wait { until: Option<i64> },
}

#[derive(Debug)]
pub(super) struct Queue {
    pub key: DestinationKey,
    state: Mutex<State>,
    /// Told whenever `claim` may find something that it did not find before.
    pub changed: Notify,
    /// How the destination stands, as its row says.
    pub standing: watch::Sender<Standing>,
}

#[derive(Debug)]
struct State {
    figures: DestinationFigures,
    fresh: VecDeque<Ready>,
    fresh_bytes: usize,
    retries: VecDeque<Ready>,
    /// The last event that this queue has looked at.
    cursor: i64,
    /// The last event in the store that was planned for this destination.
    newest: i64,
    /// Up to here fresh deliveries may have a row: what came before the start, or before the cursor was set back.
    settled_up_to: i64,
    claimed_fresh: BTreeSet<i64>,
    /// The read of the store that is under way, if any. One that is not this one any more is void.
    reading: Option<Reading>,
    last_reading: Reading,
    /// Fresh deliveries that were settled since the read began: it may have seen them as unsettled.
    settled_during_read: HashSet<i64>,
    /// Retries in the window or claimed.
    taken: HashSet<i64>,
    /// When the next retry outside of `taken` is due; `None` if there is none.
    next_due: Option<i64>,
    /// When the first retry is due of those that were committed since the last read of retries began.
    due_since_read: Option<i64>,
    /// Who is in line with whom.
    order: Order,
    /// Whether retries go first at the next claim: the kinds take turns, so that neither starves the other.
    retries_first: bool,
}

/// Changes to a destination's figures by one commit.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    pub planned: u64,
    pub delivered: u64,
    pub dead: u64,
}

impl Queue {
    /// A queue as the store describes it: all events up to `frontier` are settled or retried, `last` is the newest event.
    pub fn new(key: DestinationKey, figures: DestinationFigures, frontier: i64, last: i64, standing: Standing) -> Self {
        let nothing_left = figures.outstanding() == 0;
        Self {
            key,
            state: Mutex::new(State {
                fresh: VecDeque::new(),
                fresh_bytes: 0,
                retries: VecDeque::new(),
                cursor: if nothing_left { last } else { frontier },
                newest: last,
                settled_up_to: last,
                claimed_fresh: BTreeSet::new(),
                reading: None,
                last_reading: Reading(0),
                settled_during_read: HashSet::new(),
                taken: HashSet::new(),
                // Unknown until the store was asked.
                next_due: if nothing_left { None } else { Some(i64::MIN) },
                due_since_read: None,
                order: Order::default(),
                retries_first: true,
                figures,
            }),
            changed: Notify::new(),
            standing: watch::Sender::new(standing),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn figures(&self) -> DestinationFigures {
        self.state().figures.clone()
    }

    /// Deliveries that wait. Asked after every commit, so without a copy of all figures.
    pub fn waiting(&self) -> u64 {
        self.state().figures.waiting()
    }

    /// The figures after `change`, without making it.
    pub fn figures_after(&self, change: Change) -> DestinationFigures {
        let mut figures = self.figures();
        change.apply(&mut figures);
        figures
    }

    /// Makes a change whose commit succeeded.
    pub fn apply(&self, change: Change) {
        change.apply(&mut self.state().figures);
    }

    /// Counts dead deliveries that retention has deleted.
    pub fn forget_dead(&self, count: u64) {
        let mut state = self.state();
        state.figures.dead_kept = state.figures.dead_kept.saturating_sub(count);
    }

    /// Counts dead deliveries that were taken up again; the first of them is due at `due`.
    pub fn redriven(&self, count: u64, due: i64) {
        let mut state = self.state();
        state.figures.redriven += count;
        state.figures.dead_kept = state.figures.dead_kept.saturating_sub(count);
        state.expect_retry(Some(due));
        drop(state);
        self.changed.notify_one();
    }

    /// Every event up to this one has a row, or is not for this destination. May lag; never runs ahead.
    pub fn frontier(&self) -> i64 {
        self.state().frontier()
    }

    /// Parks or unparks. A parked queue lets go of its window; what is claimed stays claimed.
    pub fn set_active(&self, active: bool) {
        let mut state = self.state();
        state.figures.active = active;
        if !active {
            state.cursor = state.frontier();
            state.settled_up_to = state.newest;
            state.fresh.clear();
            state.fresh_bytes = 0;
            let waiting: Vec<i64> = state.retries.drain(..).map(|ready| ready.sequence).collect();
            for sequence in waiting {
                state.taken.remove(&sequence);
            }
            state.next_due = Some(i64::MIN);
            state.reading = None; // What it finds belongs to a window that is gone.
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Offers an event that was just committed. Events come in the order of acceptance.
    pub fn offer(&self, ready: Ready) {
        let mut state = self.state();
        if ready.sequence <= state.cursor {
            return; // A read of the backlog, which sees a commit before this is told of it, was faster.
        }
        let caught_up = state.cursor >= state.newest;
        state.newest = ready.sequence;
        if caught_up && state.figures.active && state.has_room() {
            state.cursor = ready.sequence;
            state.push_fresh(ready);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Takes what the window holds; if that is nothing, says what is wanted. What has to wait for another of its key is
    /// added to `held`, for the writer.
    pub fn take(&self, at_most: usize, now: i64, held: &mut Vec<Hold>) -> Result<Vec<Claim>, Want> {
        let mut state = self.state();
        if !state.figures.active {
            return Err(Want::Wait { until: None });
        }
        let retry_due = state.next_due.is_some_and(|due| due <= now);
        if state.retries.is_empty() && retry_due && state.reading.is_none() {
            let reading = state.begin_reading();
            state.due_since_read = None;
            return Err(Want::Retries { reading, taken: state.taken.clone() });
        }
        let mut claims = Vec::with_capacity(at_most.min(state.fresh.len() + state.retries.len()));
        while claims.len() < at_most {
            let from_retries = state.retries_first && !state.retries.is_empty();
            let fresh = if from_retries { None } else { state.pop_fresh(self.key, held) };
            state.retries_first = !state.retries_first;
            let (ready, requeued) = match fresh {
                Some(ready) => (Some(ready), false),
                None => (state.retries.pop_front(), true),
            };
            match ready {
                Some(ready) => claims.push(ready.claim(self.key, requeued)),
                None => break,
            }
        }
        if !claims.is_empty() {
            return Ok(claims);
        }
        if state.reading.is_some() {
            return Err(Want::Wait { until: None });
        }
        if state.cursor < state.newest && state.fresh.is_empty() {
            let wanted = Wanted { destination: self.key, after: state.cursor, settled_up_to: state.settled_up_to };
            return Err(Want::Fresh { reading: state.begin_reading(), wanted, newest: state.newest });
        }
        Err(Want::Wait { until: state.next_due })
    }

    /// Says that retries may be due earlier than was known.
    pub fn look_for_retries(&self) {
        let mut state = self.state();
        if state.next_due.is_some() {
            state.next_due = Some(i64::MIN);
            state.due_since_read = Some(i64::MIN);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Ends a read that failed: what it was for is still wanted.
    pub fn reading_failed(&self, reading: Reading) {
        self.state().end_reading(reading);
        self.changed.notify_one();
    }

    /// Adds the retries that a read found.
    pub fn add_retries(&self, reading: Reading, read: read::Retries) {
        let mut state = self.state();
        if !state.end_reading(reading) {
            return;
        }
        for ready in read.found {
            if state.taken.insert(ready.sequence) {
                state.retries.push_back(ready);
            }
        }
        state.next_due = earlier(state.due_since_read, read.next_due);
        drop(state);
        self.changed.notify_one();
    }

    /// Adds the fresh deliveries that a read found, begun when `newest` was the last one known.
    pub fn add_fresh(&self, reading: Reading, newest: i64, read: Fresh) {
        let mut state = self.state();
        let settled = std::mem::take(&mut state.settled_during_read);
        if !state.end_reading(reading) {
            return;
        }
        if read.looked_at == state.cursor && state.newest == newest {
            state.newest = state.cursor; // Nothing is left after it, whatever the store's description said.
        }
        state.cursor = read.looked_at;
        for ready in read.found {
            if !state.claimed_fresh.contains(&ready.sequence) && !settled.contains(&ready.sequence) {
                state.push_fresh(ready);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// What the store says at the start of a key that deliveries are in line by.
    pub fn restore_order(&self, key: OrderKey, under_way: bool, held: u32) {
        self.state().order.restore(key, order::Line { under_way, held });
    }

    /// Whether a delivery of this key is claimed or waits for its retry, and whether others are in line behind it.
    pub fn in_line(&self, key: OrderKey) -> (bool, bool) {
        let line = self.state().order.line(key);
        (line.under_way, line.held > 0)
    }

    /// Puts a delivery that comes back by hand in line; whether it has to wait.
    pub fn enter_line(&self, key: OrderKey) -> bool {
        self.state().order.enter(key) == Turn::Hold
    }

    /// Takes back [`Queue::enter_line`].
    pub fn leave_line(&self, key: OrderKey, waits: bool) {
        self.state().order.leave(key, if waits { Turn::Hold } else { Turn::Go });
    }

    /// A delivery that is held has its row now. `due`: nothing was before it any more, so it is to be retried then.
    pub fn hold_written(&self, hold: &Hold, due: Option<i64>) {
        let mut state = self.state();
        state.order.hold_written(hold.order, due.is_some());
        state.let_go_of_fresh(hold.sequence);
        state.expect_retry(due);
        drop(state);
        self.changed.notify_one();
    }

    /// Lets go of a claim whose settlement is committed. `retry_at` is the row's due time, if it has one; `released` the
    /// due time of the next in line, if the same commit has let it go.
    pub fn settled(&self, settlement: &Settlement, retry_at: Option<i64>, released: Option<i64>) {
        let mut state = self.state();
        let sequence = settlement.claim.sequence;
        if settlement.claim.requeued {
            state.taken.remove(&sequence);
        } else {
            state.let_go_of_fresh(sequence);
        }
        let sooner = state.expect_retry(earlier(retry_at, released));
        let ended = settlement.claim.order.filter(|_| !matches!(settlement.outcome, Outcome::Retry(_)));
        if let Some(key) = ended {
            state.order.ended(key, released.is_some());
        }
        drop(state);
        if sooner || ended.is_some() {
            self.changed.notify_one();
        }
    }
}

impl State {
    fn begin_reading(&mut self) -> Reading {
        self.last_reading = Reading(self.last_reading.0.wrapping_add(1));
        self.reading = Some(self.last_reading);
        self.settled_during_read.clear();
        self.last_reading
    }

    /// Ends a read; whether what it found still counts.
    fn end_reading(&mut self, reading: Reading) -> bool {
        let counts = self.reading == Some(reading);
        if counts {
            self.reading = None;
        }
        counts
    }

    fn has_room(&self) -> bool {
        self.fresh.is_empty() || (self.fresh.len() < WINDOW_DELIVERIES_MAX && self.fresh_bytes < WINDOW_BYTES_MAX)
    }

    fn push_fresh(&mut self, ready: Ready) {
        self.fresh_bytes += ready.event.body.len();
        self.fresh.push_back(ready);
    }

    /// The next fresh delivery whose turn it is. Those that have to wait for another go to `held` on the way.
    fn pop_fresh(&mut self, destination: DestinationKey, held: &mut Vec<Hold>) -> Option<Ready> {
        loop {
            let turn = self.fresh.front()?.order.map_or(Turn::Go, |key| self.order.turn(key));
            if turn == Turn::Wait {
                return None;
            }
            let ready = self.fresh.pop_front()?;
            self.fresh_bytes = self.fresh_bytes.saturating_sub(ready.event.body.len());
            self.claimed_fresh.insert(ready.sequence);
            match ready.order {
                Some(order) if turn == Turn::Hold => held.push(Hold { destination, sequence: ready.sequence, route: ready.route, order }),
                _ => return Some(ready),
            }
        }
    }

    /// A fresh delivery has its row now.
    fn let_go_of_fresh(&mut self, sequence: i64) {
        self.claimed_fresh.remove(&sequence);
        if self.reading.is_some() {
            self.settled_during_read.insert(sequence);
        }
    }

    /// Notes that a row is due at a time; whether that is sooner than what was known.
    fn expect_retry(&mut self, due: Option<i64>) -> bool {
        let sooner = due.is_some_and(|due| self.next_due.is_none_or(|next| due < next));
        self.next_due = earlier(self.next_due, due);
        self.due_since_read = earlier(self.due_since_read, due);
        sooner
    }

    fn frontier(&self) -> i64 {
        let claimed = self.claimed_fresh.first().copied();
        let waiting = self.fresh.front().map(|ready| ready.sequence);
        match earlier(claimed, waiting) {
            Some(first) => self.cursor.min(first - 1),
            None => self.cursor,
        }
    }
}

impl Ready {
    fn claim(self, destination: DestinationKey, requeued: bool) -> Claim {
        Claim {
            sequence: self.sequence,
            event: self.event,
            destination,
            route: self.route,
            order: self.order,
            attempts_made: self.attempts_made,
            since: self.since,
            requeued,
        }
    }
}

impl Change {
    fn apply(self, figures: &mut DestinationFigures) {
        figures.planned += self.planned;
        figures.delivered += self.delivered;
        figures.dead += self.dead;
        figures.dead_kept += self.dead;
    }
}

/// The earlier of two times or places, where `None` is none.
fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
