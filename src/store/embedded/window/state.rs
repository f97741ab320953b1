//! What a queue knows, behind its lock: the window, what is claimed, and what is known of the rest.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::ended::Ended;
use super::entries::{Hold, Reading, Ready, WINDOW_BYTES_MAX, WINDOW_DELIVERIES_MAX};
use super::order::{Order, Turn};
use crate::delivery::DestinationKey;
use crate::store::DestinationFigures;

#[derive(Debug)]
pub(super) struct State {
    pub figures: DestinationFigures,
    pub fresh: VecDeque<Ready>,
    pub fresh_bytes: usize,
    pub retries: VecDeque<Ready>,
    /// The last event that this queue has looked at.
    pub cursor: i64,
    /// The last event in the store that was planned for this destination.
    pub newest: i64,
    /// Up to here fresh deliveries may have a row: what came before the start, or before the cursor was set back.
    pub settled_up_to: i64,
    pub claimed_fresh: BTreeSet<i64>,
    /// The read of the store that is under way, if any. One that is not this one any more is void.
    pub reading: Option<Reading>,
    pub last_reading: Reading,
    /// Fresh deliveries that were settled since the read began: it may have seen them as unsettled.
    pub settled_during_read: HashSet<i64>,
    /// Retries in the window or claimed.
    pub taken: HashSet<i64>,
    /// When the next retry outside of `taken` is due; `None` if there is none.
    pub next_due: Option<i64>,
    /// When the first retry is due of those that were committed since the last read of retries began.
    pub due_since_read: Option<i64>,
    /// Who is in line with whom.
    pub order: Order,
    /// Whether retries go first at the next claim: the kinds take turns, so that neither starves the other.
    pub retries_first: bool,
    /// How fast it gets on.
    pub ended: Ended,
}

impl State {
    /// Empties the window; what it held is read from the store again.
    pub fn let_go_of_window(&mut self) {
        self.cursor = self.frontier();
        self.settled_up_to = self.settled_up_to.max(self.newest);
        self.fresh.clear();
        self.fresh_bytes = 0;
        let waiting: Vec<i64> = self.retries.drain(..).map(|ready| ready.sequence).collect();
        for sequence in waiting {
            self.taken.remove(&sequence);
        }
        self.next_due = Some(i64::MIN);
        self.reading = None; // What it finds belongs to a window that is gone.
    }

    pub fn begin_reading(&mut self) -> Reading {
        self.last_reading = Reading(self.last_reading.0.wrapping_add(1));
        self.reading = Some(self.last_reading);
        self.settled_during_read.clear();
        self.last_reading
    }

    /// Ends a read; whether what it found still counts.
    pub fn end_reading(&mut self, reading: Reading) -> bool {
        let counts = self.reading == Some(reading);
        if counts {
            self.reading = None;
        }
        counts
    }

    pub fn has_room(&self) -> bool {
        self.fresh.is_empty() || (self.fresh.len() < WINDOW_DELIVERIES_MAX && self.fresh_bytes < WINDOW_BYTES_MAX)
    }

    pub fn push_fresh(&mut self, ready: Ready) {
        self.fresh_bytes += ready.event.body.len();
        self.fresh.push_back(ready);
    }

    /// The next fresh delivery whose turn it is. Those that have to wait for another go to `held` on the way.
    pub fn pop_fresh(&mut self, destination: DestinationKey, held: &mut Vec<Hold>) -> Option<Ready> {
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
    pub fn let_go_of_fresh(&mut self, sequence: i64) {
        self.claimed_fresh.remove(&sequence);
        if self.reading.is_some() {
            self.settled_during_read.insert(sequence);
        }
    }

    /// Notes that a row is due at a time; whether that is sooner than what was known.
    pub fn expect_retry(&mut self, due: Option<i64>) -> bool {
        let sooner = due.is_some_and(|due| self.next_due.is_none_or(|next| due < next));
        self.next_due = earlier(self.next_due, due);
        self.due_since_read = earlier(self.due_since_read, due);
        sooner
    }

    pub fn frontier(&self) -> i64 {
        let claimed = self.claimed_fresh.first().copied();
        let waiting = self.fresh.front().map(|ready| ready.sequence);
        match earlier(claimed, waiting) {
            Some(first) => self.cursor.min(first - 1),
            None => self.cursor,
        }
    }
}

/// The earlier of two times or places, where `None` is none.
pub(super) fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
