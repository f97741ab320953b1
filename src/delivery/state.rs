//! The states of a delivery, and the named transitions between them. Pure: no clock and no store. Times are arguments, in Unix
//! milliseconds; deliveries are named by their event's place in the order of acceptance.
//!
//! A store keeps what [`State::after`] decides, and decides nothing itself. ARCHITECTURE.md shows the table of all states and transitions;
//! a test holds it equal to this module.
//!
//! What a destination is (parked, paused, open circuit) is not a state of its deliveries. They stay what they are and are not claimed.

use std::fmt;

use super::Outcome;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Planned and never attempted. A store needs no row for it.
    Waiting,
    /// To be attempted at this time: again after a failed attempt, or because something else has set the time.
    Due {
        /// When, at the earliest.
        at: i64,
    },
    /// Due, and the first of a batch: all of the batch go in one request with it.
    Leading {
        /// When, at the earliest.
        at: i64,
    },
    /// Behind another delivery of the same order key. It has no time of its own.
    Held,
    /// In another delivery's batch. It has no time of its own.
    Member {
        /// Who leads the batch.
        leader: i64,
    },
    /// The destination has it. Final.
    Delivered {
        /// Whether it went in a batch.
        went: Went,
    },
    /// Given up. Only a redrive takes it up again.
    Dead {
        /// Whether it went in a batch at its last attempt.
        went: Went,
    },
}

/// In which request a delivery with a final outcome went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// In one of its own, or in none.
    Alone,
    /// In that of the batch that it led.
    Leading,
    /// In that of another delivery's batch.
    With {
        /// Who led the batch.
        leader: i64,
    },
}

/// What can happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The destination has accepted it.
    Deliver,
    /// An attempt has failed, and another one follows at this time.
    Retry {
        /// When.
        at: i64,
    },
    /// An attempt has failed, and none follows.
    Die,
    /// The request of its batch is made without it, because nothing could be made of it.
    LeaveOut,
    /// Another delivery of its order key has to end first.
    Hold,
    /// No other delivery of its order key is before it any more.
    Release {
        /// When it may go.
        at: i64,
    },
    /// After a start of the relay, nobody knows who was under way before it: its turn is found out again.
    Unhold,
    /// It becomes the first of a batch.
    Lead {
        /// When the batch goes.
        at: i64,
    },
    /// It becomes a member of a batch.
    Join {
        /// Who leads it.
        leader: i64,
    },
    /// Its batch cannot go as one request: each goes as a batch of one.
    Part {
        /// When.
        at: i64,
    },
    /// Its leader has ended alone, and it leads the rest of the batch.
    TakeOver {
        /// When the batch goes.
        at: i64,
    },
    /// Its leader has ended alone, and another one leads the rest of the batch.
    Follow {
        /// Who.
        leader: i64,
    },
    /// It has expired, or its destination was held back for too long.
    GiveUp,
    /// An operator takes it up again.
    Redrive {
        /// When it may go.
        at: i64,
    },
    /// An operator takes it up again, and another delivery of its order key has to end first.
    RedriveHeld,
    /// The clock was set back: what was due after `now` is due as much earlier.
    BringForward {
        /// By how many milliseconds.
        by: i64,
        /// The time on the clock.
        now: i64,
    },
}

/// A transition that is not allowed from this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where the delivery stands.
    pub from: State,
    /// What was to happen.
    pub transition: Transition,
}

impl State {
    /// The state after a transition.
    ///
    /// # Errors
    /// The transition is not allowed from here: nothing may be changed.
    pub fn after(self, transition: Transition) -> Result<Self, Refused> {
        use State::{Dead, Delivered, Due, Held, Leading, Member, Waiting};
        Ok(match (transition, self) {
            (Transition::Deliver, Waiting | Due { .. } | Leading { .. } | Member { .. }) => Delivered { went: self.goes() },
            (Transition::Die, Waiting | Due { .. } | Leading { .. } | Member { .. }) => Dead { went: self.goes() },
            (Transition::Retry { at }, Waiting | Due { .. }) => Due { at },
            (Transition::Retry { at }, Leading { .. }) => Leading { at },
            // Its leader has the time.
            (Transition::Retry { .. }, Member { leader }) => Member { leader },
            (Transition::LeaveOut, Member { .. }) => Dead { went: Went::Alone },
            (Transition::Hold, Waiting) | (Transition::RedriveHeld, Dead { .. }) => Held,
            (Transition::Release { at }, Waiting | Held) | (Transition::Redrive { at }, Dead { .. }) => Due { at },
            (Transition::Unhold, Held) => Waiting,
            (Transition::Lead { at }, Waiting | Due { .. })
            | (Transition::Part { at }, Leading { .. } | Member { .. })
            | (Transition::TakeOver { at }, Member { .. }) => Leading { at },
            (Transition::Join { leader }, Waiting | Due { .. }) | (Transition::Follow { leader }, Member { .. }) => Member { leader },
            (Transition::GiveUp, Waiting | Due { .. } | Leading { .. } | Held | Member { .. }) => Dead { went: Went::Alone },
            (Transition::BringForward { by, now }, Due { at }) => Due { at: brought_forward(at, by, now) },
            (Transition::BringForward { by, now }, Leading { at }) => Leading { at: brought_forward(at, by, now) },
            (_, from) => return Err(Refused { from, transition }),
        })
    }

    /// Whether it has its final outcome.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Dead { .. })
    }

    /// When it is to be attempted, if it has a time of its own.
    pub fn due_at(self) -> Option<i64> {
        match self {
            Self::Due { at } | Self::Leading { at } => Some(at),
            Self::Waiting | Self::Held | Self::Member { .. } | Self::Delivered { .. } | Self::Dead { .. } => None,
        }
    }

    /// The event whose delivery leads, or led, its batch; `event` is its own. `None` for one that goes, or went, alone.
    pub fn leader(self, event: i64) -> Option<i64> {
        match self.goes() {
            Went::Alone => None,
            Went::Leading => Some(event),
            Went::With { leader } => Some(leader),
        }
    }

    /// In which request it goes, or went.
    fn goes(self) -> Went {
        match self {
            Self::Waiting | Self::Due { .. } | Self::Held => Went::Alone,
            Self::Leading { .. } => Went::Leading,
            Self::Member { leader } => Went::With { leader },
            Self::Delivered { went } | Self::Dead { went } => went,
        }
    }

    /// Its name, as the table in ARCHITECTURE.md has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due { .. } => "due",
            Self::Leading { .. } => "leading",
            Self::Held => "held",
            Self::Member { .. } => "member",
            Self::Delivered { .. } => "delivered",
            Self::Dead { .. } => "dead",
        }
    }
}

/// What is due by now stays as it is: it is not to overtake what was due before it.
fn brought_forward(at: i64, by: i64, now: i64) -> i64 {
    if at > now { at.saturating_sub(by) } else { at }
}

impl Transition {
    /// What an attempt's outcome does to its delivery.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Deliver,
            Outcome::Retry(at) => Self::Retry { at: at.as_millisecond() },
            Outcome::Dead(_) => Self::Die,
        }
    }

    /// What happens to a delivery that is new in its line: `first` if nothing of its order key is before it.
    pub fn enter(first: bool, at: i64) -> Self {
        if first { Self::Release { at } } else { Self::Hold }
    }

    /// What a redrive does: `first` if nothing of its order key is before it.
    pub fn redrive(first: bool, at: i64) -> Self {
        if first { Self::Redrive { at } } else { Self::RedriveHeld }
    }

    /// Its name, as the table in ARCHITECTURE.md has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Retry { .. } => "retry",
            Self::Die => "die",
            Self::LeaveOut => "leave out",
            Self::Hold => "hold",
            Self::Release { .. } => "release",
            Self::Unhold => "unhold",
            Self::Lead { .. } => "lead",
            Self::Join { .. } => "join",
            Self::Part { .. } => "part",
            Self::TakeOver { .. } => "take over",
            Self::Follow { .. } => "follow",
            Self::GiveUp => "give up",
            Self::Redrive { .. } => "redrive",
            Self::RedriveHeld => "redrive held",
            Self::BringForward { .. } => "bring forward",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a delivery that is {} cannot {}", self.from.name(), self.transition.name())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
pub(crate) mod tests;
