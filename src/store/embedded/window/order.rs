//! One at a time per key: which keys have a delivery under way, and how many wait behind it.
//!
//! A delivery whose key is under way is *held*: the writer gives it a row without a due time, so it costs no memory,
//! and when the one before it has its final outcome the same commit gives the first that is held a due time. So a key's
//! deliveries follow each other in the order of acceptance, over retries and restarts, and other keys pass by.

use std::collections::HashMap;

use crate::delivery::OrderKey;
use crate::fault::{self, Broken};

/// Keys that are known at a time, at most: 4 MiB. With more of them under way or waiting, new keys wait for room.
pub(super) const KEYS_MAX: usize = 100_000;
/// Deliveries that may be on their way to the writer to be held, at most: a window of them.
pub(super) const HOLDS_UNWRITTEN_MAX: usize = super::entries::WINDOW_DELIVERIES_MAX;

/// One key.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// A delivery is claimed, or waits for its retry.
    pub under_way: bool,
    /// Deliveries that wait behind it, those included that the writer has not written yet.
    pub held: u32,
}

/// What becomes of a delivery that is next in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is its key's only one.
    Go,
    /// Another of its key is before it.
    Hold,
    /// There is no room to decide: it stays where it is.
    Wait,
}

/// The keys of one destination.
#[derive(Debug, Default)]
pub(super) struct Order {
    lines: HashMap<OrderKey, Line>,
    holds_unwritten: usize,
}

impl Order {
    /// What the store says of a key at the start.
    pub fn restore(&mut self, key: OrderKey, line: Line) {
        self.lines.insert(key, line);
    }

    /// Decides for a fresh delivery.
    pub fn turn(&mut self, key: OrderKey) -> Turn {
        if fault::is_broken(Broken::OrderIgnored) {
            return Turn::Go;
        }
        let full = self.lines.len() >= KEYS_MAX;
        match self.lines.get_mut(&key) {
            None if full => Turn::Wait,
            None => {
                self.lines.insert(key, Line { under_way: true, held: 0 });
                Turn::Go
            }
            Some(_) if self.holds_unwritten >= HOLDS_UNWRITTEN_MAX => Turn::Wait,
            Some(line) => {
                line.held += 1;
                self.holds_unwritten += 1;
                Turn::Hold
            }
        }
    }

    /// The same for one that comes back by hand. It has a row, so the limits do not matter.
    pub fn enter(&mut self, key: OrderKey) -> Turn {
        let line = self.lines.entry(key).or_default();
        if line.under_way || line.held > 0 {
            line.held += 1;
            return Turn::Hold;
        }
        line.under_way = true;
        Turn::Go
    }

    /// Takes back what [`Order::enter`] has done.
    pub fn leave(&mut self, key: OrderKey, turn: Turn) {
        if let Some(line) = self.lines.get_mut(&key) {
            match turn {
                Turn::Go => line.under_way = false,
                Turn::Hold => line.held = line.held.saturating_sub(1),
                Turn::Wait => {}
            }
        }
        self.forget(key);
    }

    /// How a key stands.
    pub fn line(&self, key: OrderKey) -> Line {
        self.lines.get(&key).copied().unwrap_or_default()
    }

    /// The delivery under way has its final outcome; `released`: the commit has let the next one go.
    pub fn ended(&mut self, key: OrderKey, released: bool) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        line.under_way = released;
        if released {
            line.held = line.held.saturating_sub(1);
        }
        self.forget(key);
    }

    /// A delivery that is held has its row now; `released`: nothing was before it any more, so it has a due time.
    pub fn hold_written(&mut self, key: OrderKey, released: bool) {
        self.holds_unwritten = self.holds_unwritten.saturating_sub(1);
        if released && let Some(line) = self.lines.get_mut(&key) {
            line.under_way = true;
            line.held = line.held.saturating_sub(1);
        }
    }

    fn forget(&mut self, key: OrderKey) {
        if self.line(key) == Line::default() {
            self.lines.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: OrderKey = OrderKey(7);

    #[test]
    fn one_goes_and_the_others_follow_one_by_one() {
        let mut order = Order::default();
        assert_eq!([order.turn(KEY), order.turn(KEY), order.turn(KEY)], [Turn::Go, Turn::Hold, Turn::Hold]);
        assert_eq!(order.turn(OrderKey(8)), Turn::Go, "another key passes by");
        order.hold_written(KEY, false);
        order.hold_written(KEY, false);
        order.ended(KEY, true);
        assert_eq!(order.line(KEY), Line { under_way: true, held: 1 });
        order.ended(KEY, true);
        order.ended(KEY, false);
        assert_eq!(order.turn(KEY), Turn::Go, "the line was empty");
    }

    #[test]
    fn one_that_ends_before_the_next_is_written_leaves_it_to_the_writing() {
        let mut order = Order::default();
        assert_eq!([order.turn(KEY), order.turn(KEY)], [Turn::Go, Turn::Hold]);
        order.ended(KEY, false); // The commit found nothing to release.
        assert_eq!(order.turn(KEY), Turn::Hold, "nobody overtakes the one that is being written");
        order.hold_written(KEY, true);
        assert_eq!(order.line(KEY), Line { under_way: true, held: 1 });
    }

    #[test]
    fn keys_and_unwritten_holds_are_limited() {
        let mut order = Order::default();
        for key in 0..KEYS_MAX as u64 {
            assert_eq!(order.turn(OrderKey(key)), Turn::Go);
        }
        assert_eq!(order.turn(OrderKey(u64::MAX)), Turn::Wait);
        for _ in 0..HOLDS_UNWRITTEN_MAX {
            assert_eq!(order.turn(KEY), Turn::Hold);
        }
        assert_eq!(order.turn(KEY), Turn::Wait);
        order.hold_written(KEY, false);
        assert_eq!(order.turn(KEY), Turn::Hold);
        order.ended(OrderKey(8), false);
        assert_eq!(order.turn(OrderKey(u64::MAX)), Turn::Go);
    }

    #[test]
    fn what_comes_back_by_hand_stands_in_line_too() {
        let mut order = Order::default();
        assert_eq!(order.enter(KEY), Turn::Go);
        assert_eq!(order.enter(KEY), Turn::Hold);
        order.leave(KEY, Turn::Hold);
        order.leave(KEY, Turn::Go);
        assert_eq!(order.line(KEY), Line::default());
        assert!(order.lines.is_empty());
    }
}
