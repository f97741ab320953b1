//! Whether the opening and closing of one destination's breaker is to be told.

use crate::circuit::CircuitState;

/// What has come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has opened, or said that it is gone.
    Opened,
    /// It has closed.
    Closed,
}

/// One breaker, watched. A breaker that only deliveries of own events have opened is not told of, or an event about it would be
/// its own cause. As soon as the delivery of a webhook fails there too, it is.
#[derive(Debug, Default)]
pub struct CircuitWatch {
    /// The opening was told, or was before the relay started.
    told: bool,
    /// The delivery of a webhook has failed since the last one that succeeded.
    webhooks_fail: bool,
}

impl CircuitWatch {
    /// Takes over a state that was kept, or that somebody has set by hand. One that was open before was told of then.
    pub fn adopt(&mut self, state: CircuitState, at_start: bool) -> Option<Turn> {
        if at_start {
            self.told = is_open(state);
            return None;
        }
        if state == CircuitState::Closed {
            self.webhooks_fail = false;
            return std::mem::take(&mut self.told).then_some(Turn::Closed);
        }
        None
    }

    /// Learns from an attempt that ended: whether it carried nothing but own events, whether the destination failed, and how the
    /// breaker stands after it.
    pub fn conclude(&mut self, is_own: bool, failed: bool, state: CircuitState) -> Option<Turn> {
        if failed && !is_own {
            self.webhooks_fail = true;
        }
        if state == CircuitState::Closed {
            if !failed {
                self.webhooks_fail = false;
            }
            return std::mem::take(&mut self.told).then_some(Turn::Closed);
        }
        // Whoever has paused a destination knows.
        if self.told || !self.webhooks_fail || !is_open(state) {
            return None;
        }
        self.told = true;
        Some(Turn::Opened)
    }
}

fn is_open(state: CircuitState) -> bool {
    matches!(state, CircuitState::Open { .. } | CircuitState::Gone)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::circuit::OpenedBy;

    const OPEN: CircuitState = CircuitState::Open { until: Timestamp::UNIX_EPOCH, by: OpenedBy::Failures };
    const CLOSED: CircuitState = CircuitState::Closed;

    #[test]
    fn opening_and_closing_are_told_once() {
        let mut watch = CircuitWatch::default();
        assert_eq!(watch.conclude(false, true, CLOSED), None);
        assert_eq!(watch.conclude(false, true, OPEN), Some(Turn::Opened));
        assert_eq!(watch.conclude(false, true, OPEN), None, "a failed probe is no news");
        assert_eq!(watch.conclude(false, false, CLOSED), Some(Turn::Closed));
        assert_eq!(watch.conclude(false, false, CLOSED), None);
        assert_eq!(watch.conclude(false, true, CircuitState::Gone), Some(Turn::Opened));
        assert_eq!(watch.adopt(CLOSED, false), Some(Turn::Closed), "by hand");
    }

    #[test]
    fn what_was_open_before_the_start_is_not_told_again_but_its_closing_is() {
        let mut watch = CircuitWatch::default();
        assert_eq!(watch.adopt(OPEN, true), None);
        assert_eq!(watch.conclude(false, true, OPEN), None);
        assert_eq!(watch.conclude(false, false, CLOSED), Some(Turn::Closed));
    }

    #[test]
    fn own_deliveries_alone_are_not_told_of_and_webhooks_among_them_are() {
        let mut watch = CircuitWatch::default();
        for state in [CLOSED, CLOSED, OPEN, OPEN] {
            assert_eq!(watch.conclude(true, true, state), None);
        }
        assert_eq!(watch.conclude(true, false, CLOSED), None, "nor is the closing");
        assert_eq!(watch.conclude(true, true, OPEN), None);
        assert_eq!(watch.conclude(false, true, OPEN), Some(Turn::Opened));
        assert_eq!(watch.conclude(true, false, CLOSED), Some(Turn::Closed));
        // Nine failures of webhooks and the tenth of an own event: the webhooks count.
        assert_eq!(watch.conclude(false, true, CLOSED), None);
        assert_eq!(watch.conclude(true, true, OPEN), Some(Turn::Opened));
    }

    #[test]
    fn a_pause_is_no_news() {
        let mut watch = CircuitWatch::default();
        assert_eq!(watch.adopt(CircuitState::Paused, false), None);
        assert_eq!(watch.conclude(false, true, CircuitState::Paused), None);
        assert_eq!(watch.adopt(CLOSED, false), None);
    }
}
