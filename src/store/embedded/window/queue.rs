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

use tokio::sync::{Notify, watch};

use super::ended::Ended;
use super::entries::{Change, Fresh, Hold, Reading, Ready, Retries, Want, Wanted};
use super::order::{self, Order, Turn};
use super::receipt;
use super::state::{State, earlier};
use crate::circuit::Standing;
use crate::delivery::{Claim, DestinationKey, OrderKey, Outcome, Settlement};
use crate::store::DestinationFigures;

#[derive(Debug)]
pub struct Queue {
    /// Whose it is.
    pub key: DestinationKey,
    state: Mutex<State>,
    /// Told whenever `claim` may find something that it did not find before.
    pub changed: Notify,
    /// How the destination stands, as its row says.
    pub standing: watch::Sender<Standing>,
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
                ended: Ended::default(),
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

    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.state().figures.name)
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

    /// Makes a change whose commit succeeded, at `now`.
    pub fn apply(&self, change: Change, now: i64) {
        let mut state = self.state();
        change.apply(&mut state.figures);
        state.ended.add(change.delivered + change.dead, now);
    }

    /// Deliveries a second that got a final outcome lately; `None` where none did.
    pub fn ended_per_second(&self, now: i64) -> Option<f64> {
        self.state().ended.per_second(now)
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

    /// A delivery of this event is about to have a row, though none was planned when the event was accepted. Nobody may
    /// take it for a fresh one, also a read of the store that is under way.
    pub fn expect_row(&self, sequence: i64) {
        let mut state = self.state();
        state.settled_up_to = state.settled_up_to.max(sequence);
        if state.reading.is_some() {
            state.settled_during_read.insert(sequence);
        }
    }

    /// Counts what was planned of an event that left quarantine, and is due at `due`.
    pub fn released(&self, change: Change, due: i64) {
        let mut state = self.state();
        change.apply(&mut state.figures);
        state.expect_retry(Some(due));
        drop(state);
        self.changed.notify_one();
    }

    /// Every event up to this one has a row, or is not for this destination. May lag; never runs ahead.
    pub fn frontier(&self) -> i64 {
        self.state().frontier()
    }

    /// Parks or unparks; `disabled` is said of those that the file has switched off. A parked queue lets go of its window; what is
    /// claimed stays claimed.
    pub fn set_active(&self, active: bool, disabled: bool) {
        let mut state = self.state();
        state.figures.active = active;
        state.figures.disabled = disabled;
        if !active {
            state.let_go_of_window();
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
            let (ready, receipt) = match fresh {
                Some(ready) => (Some(ready), receipt::FRESH),
                None => (state.retries.pop_front(), receipt::HAS_ROW),
            };
            match ready {
                Some(ready) => claims.push(ready.claim(self.key, receipt)),
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
    pub fn add_retries(&self, reading: Reading, read: Retries) {
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

    /// The row of a batch's leader is about to be due, and is claimed already. Whether it was taken before.
    pub fn begin_batch(&self, leader: i64) -> bool {
        !self.state().taken.insert(leader)
    }

    /// Takes back [`Queue::begin_batch`].
    pub fn cancel_batch(&self, leader: i64) {
        self.state().taken.remove(&leader);
    }

    /// All members have rows now, and only the leader, the first, is claimed on.
    pub fn batch_written(&self, claims: &[Claim]) {
        let mut state = self.state();
        for (place, claim) in claims.iter().enumerate() {
            if claim.receipt == receipt::FRESH {
                state.let_go_of_fresh(claim.sequence);
            } else if place > 0 {
                state.taken.remove(&claim.sequence);
            }
        }
    }

    /// Takes a claim back that was not attempted: it is read from the store again.
    pub fn release(&self, claim: &Claim) {
        let mut state = self.state();
        state.taken.remove(&claim.sequence);
        state.claimed_fresh.remove(&claim.sequence);
        if claim.receipt == receipt::FRESH {
            state.cursor = state.cursor.min(claim.sequence - 1);
            if let Some(key) = claim.order {
                state.order.leave(key, Turn::Go);
            }
        }
        state.let_go_of_window();
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

    /// The head of a line was given up. `released`: when the next in line is due, if there is one.
    pub fn line_moved_on(&self, key: OrderKey, released: Option<i64>) {
        let mut state = self.state();
        state.order.ended(key, released.is_some());
        state.expect_retry(released);
        drop(state);
        self.changed.notify_one();
    }

    /// Empties the window: what it held has perhaps changed in the store, and is read again.
    pub fn let_go_of_window(&self) {
        self.state().let_go_of_window();
        self.changed.notify_one();
    }

    /// Whether a delivery is claimed, or in the window as a retry.
    pub fn has_claimed(&self, sequence: i64) -> bool {
        let state = self.state();
        state.claimed_fresh.contains(&sequence) || state.taken.contains(&sequence)
    }

    /// Keeps those of these deliveries from being claimed that are not claimed now, and says which; [`Queue::let_go`] undoes it. The
    /// second of each pair is the one that leads its batch, or itself.
    pub fn keep_back(&self, wanted: &[(i64, i64)]) -> HashSet<i64> {
        let mut state = self.state();
        state.let_go_of_window();
        let is_claimed = |sequence: &i64| state.claimed_fresh.contains(sequence) || state.taken.contains(sequence);
        let kept: HashSet<i64> = wanted
            .iter()
            .filter(|(sequence, leader)| !is_claimed(sequence) && !is_claimed(leader))
            .map(|(sequence, _)| *sequence)
            .collect();
        state.claimed_fresh.extend(&kept);
        state.taken.extend(&kept);
        kept
    }

    /// What was kept back has its final outcome, or, where that could not be written, is to be claimed as before.
    pub fn let_go(&self, kept: &HashSet<i64>, written: bool) {
        let mut state = self.state();
        for sequence in kept {
            state.claimed_fresh.remove(sequence);
            state.taken.remove(sequence);
        }
        // Fresh ones among them were passed over meanwhile.
        if let Some(first) = kept.iter().min().filter(|_| !written) {
            state.cursor = state.cursor.min(first - 1);
        }
        state.let_go_of_window();
        drop(state);
        self.changed.notify_one();
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
        if settlement.claim.receipt == receipt::HAS_ROW {
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

#[cfg(test)]
mod tests;
