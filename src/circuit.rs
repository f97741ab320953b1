//! The circuit breaker of one destination: after several failures in a row nothing is attempted for a while, so
//! that an outage burns no attempts and a struggling service gets rest. Then one probe decides. The same after it has refused
//! many different events in a row, so that a wrong mapping does not make dead letters of everything. Pure: `now` is an
//! argument.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::event::EventId;

/// A run of refusals has so many requests at least. A batch is refused as a whole for one bad member, so one request alone says
/// nothing of the others.
const REFUSED_REQUESTS_MIN: u32 = 2;

/// When a destination is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Failed attempts in a row.
    pub failures: u32,
    /// Different events in a row that it refuses for good; 0: these never open it.
    pub refusals: u32,
    /// From opening until the one probe.
    pub cooldown: Duration,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { failures: 10, refusals: 20, cooldown: Duration::from_secs(30) }
    }
}

/// What an attempt says of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It took what was sent.
    Success,
    /// It answered sensibly, and did not take the events yet.
    Answered,
    /// It refused these events for good, by a status that says nothing of credentials.
    Rejected,
    /// No request can be made of these events, so it was not asked.
    Unmade,
    /// It failed, or did not answer.
    Failure,
    /// It refuses the relay's credentials: opens at once.
    Refused,
    /// It is gone for good: opens until somebody resumes it.
    Gone,
    /// Nothing that matters here.
    Nothing,
}

/// A breaker's state as it is kept over a restart, and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CircuitState {
    /// Deliveries flow.
    #[default]
    Closed,
    /// Nothing is attempted until then; after it one probe decides.
    Open {
        /// When the probe may go.
        until: Timestamp,
        /// What opened it.
        by: OpenedBy,
    },
    /// The destination said 410: nothing is attempted until somebody resumes it.
    Gone,
    /// Somebody paused it: nothing is attempted until somebody resumes it.
    Paused,
}

/// What opens a breaker for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenedBy {
    /// Failures in a row, or refused credentials.
    Failures,
    /// A run of events that were refused for good. As long as it lasts, no other event becomes a dead letter by a refusal.
    Refusals,
}

impl OpenedBy {
    /// In one word, as in the log and the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Refusals => "refusals",
        }
    }
}

impl CircuitState {
    /// What opened it, where it is open.
    pub fn opened_by(self) -> Option<OpenedBy> {
        match self {
            Self::Open { by, .. } => Some(by),
            Self::Closed | Self::Gone | Self::Paused => None,
        }
    }

    /// In one word, as in the log and the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::Gone => "gone",
            Self::Paused => "paused",
        }
    }
}

/// How a destination stands: what holds its deliveries back, and survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The breaker.
    pub circuit: CircuitState,
    /// The destination asked for rest until then (Retry-After).
    pub hold_until: Option<Timestamp>,
}

impl Standing {
    /// Lets a probe through at once. What waits to be resumed goes on waiting.
    pub fn end_rest(&mut self) {
        self.hold_until = None;
        if let CircuitState::Open { until, .. } = &mut self.circuit {
            *until = Timestamp::UNIX_EPOCH;
        }
    }
}

/// What may be attempted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// As much as the destination's limits allow.
    Free,
    /// One attempt, to see whether it is well again, and no other beside it.
    Probe,
    /// Nothing before this time.
    NotBefore(Instant),
    /// Nothing before somebody resumes it.
    NotBeforeResumed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, by: OpenedBy },
    Gone,
    Paused,
}

/// Events that were refused for good since it took the last one.
#[derive(Debug, Default)]
struct Run {
    /// Each once, so that one event that is redriven again and again does not count again.
    events: BTreeSet<EventId>,
    /// Requests that brought one of them.
    requests: u32,
}

impl Run {
    /// Adds what one request carried; whether the run is long enough to open the breaker. `refusals` of 0: it never is.
    fn add(&mut self, events: impl IntoIterator<Item = EventId>, refusals: u32) -> bool {
        if refusals == 0 {
            return false;
        }
        let before = self.events.len();
        self.events.extend(events);
        if self.events.len() > before {
            self.requests = self.requests.saturating_add(1);
        }
        self.requests >= REFUSED_REQUESTS_MIN.min(refusals) && self.events.len() >= usize::try_from(refusals).unwrap_or(usize::MAX)
    }
}

/// The breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Circuit,
    state: State,
    run: Run,
    /// The last that the destination said of the credentials was that they are good.
    credentials_trusted: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Circuit) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, run: Run::default(), credentials_trusted: false }
    }

    /// Takes new settings, made at `now`. Whoever mends a destination's URL, credentials or mapping does not want to wait for the
    /// rest of a cooldown, so an open breaker may probe at once. One that waits to be resumed goes on waiting.
    pub fn configure(&mut self, settings: Circuit, now: Instant) {
        self.settings = settings;
        if let State::Open { until, by } = self.state {
            self.state = State::Open { until: until.min(now), by: self.allowed(by) };
        }
    }

    /// What may be attempted now.
    pub fn permission(&self, now: Instant) -> Permission {
        match self.state {
            State::Closed { .. } => Permission::Free,
            State::Open { until, .. } if now < until => Permission::NotBefore(until),
            State::Open { .. } => Permission::Probe,
            State::Gone | State::Paused => Permission::NotBeforeResumed,
        }
    }

    /// The state to keep. `now` and `clock` are the same moment by two clocks.
    pub fn state(&self, now: Instant, clock: Timestamp) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until, by } => {
                let left = until.saturating_duration_since(now);
                CircuitState::Open { until: clock.checked_add(left).unwrap_or(Timestamp::MAX), by }
            }
            State::Gone => CircuitState::Gone,
            State::Paused => CircuitState::Paused,
        }
    }

    /// Takes over a state that was kept, or that somebody has set by hand. An open breaker rests for a cooldown at most,
    /// whatever became of the clock meanwhile. Counting begins anew.
    pub fn adopt(&mut self, state: CircuitState, now: Instant, clock: Timestamp) {
        self.run = Run::default();
        self.state = match state {
            CircuitState::Closed => State::Closed { failures: 0 },
            CircuitState::Open { until, by } => {
                let left = until.duration_since(clock).unsigned_abs();
                let left = if until > clock { left.min(self.settings.cooldown) } else { Duration::ZERO };
                State::Open { until: now.checked_add(left).unwrap_or(now), by: self.allowed(by) }
            }
            CircuitState::Gone => State::Gone,
            CircuitState::Paused => State::Paused,
        };
    }

    /// Learns from an attempt that ended, with the events that it was to deliver; whether that has changed the state to keep.
    pub fn record(&mut self, signal: Signal, events: impl IntoIterator<Item = EventId>, now: Instant) -> bool {
        let before = self.state;
        match signal {
            Signal::Success | Signal::Answered | Signal::Rejected => self.credentials_trusted = true,
            Signal::Refused => self.credentials_trusted = false,
            Signal::Failure | Signal::Gone | Signal::Unmade | Signal::Nothing => {}
        }
        let counts = matches!(signal, Signal::Rejected | Signal::Unmade) && !self.refuses_all();
        let run_is_long = counts && self.run.add(events, self.settings.refusals);
        self.state = match (self.state, signal) {
            (State::Paused, _) => State::Paused,
            (State::Gone, _) => State::Gone,
            (_, Signal::Gone) => State::Gone,
            (state, Signal::Nothing) => state,
            (_, Signal::Success) => {
                self.run = Run::default();
                State::Closed { failures: 0 }
            }
            (_, Signal::Refused) => self.open(self.opened_by(), now),
            // A straggler from before it opened changes nothing; a failed probe starts the rest anew.
            (State::Open { until, by }, Signal::Failure) if now < until => State::Open { until, by },
            (State::Open { by, .. }, Signal::Failure) => self.open(by, now),
            (State::Open { until, by: by @ OpenedBy::Refusals }, _) if now < until => State::Open { until, by },
            (State::Open { by: by @ OpenedBy::Refusals, .. }, _) => self.open(by, now),
            (State::Closed { failures }, Signal::Failure) if failures + 1 < self.settings.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Signal::Failure) => self.open(OpenedBy::Failures, now),
            (_, Signal::Answered) => State::Closed { failures: 0 },
            (_, Signal::Rejected | Signal::Unmade) if run_is_long => self.open(OpenedBy::Refusals, now),
            (_, Signal::Rejected) => State::Closed { failures: 0 },
            (state, Signal::Unmade) => state,
        };
        let closed = |state| matches!(state, State::Closed { .. });
        before != self.state && !(closed(before) && closed(self.state))
    }

    /// Whether the destination accepted the relay's credentials the last time it said anything of them.
    pub fn credentials_trusted(&self) -> bool {
        self.credentials_trusted
    }

    /// Whether so many events were refused in a row that a refusal says nothing of the event any more.
    pub fn refuses_all(&self) -> bool {
        matches!(self.state, State::Open { by: OpenedBy::Refusals, .. })
    }

    /// Whether attempts are held back, or only a probe is allowed.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    fn open(&self, by: OpenedBy, now: Instant) -> State {
        State::Open { until: now.checked_add(self.settings.cooldown).unwrap_or(now), by }
    }

    /// What has opened it, or is about to.
    fn opened_by(&self) -> OpenedBy {
        match self.state {
            State::Open { by, .. } => by,
            State::Closed { .. } | State::Gone | State::Paused => OpenedBy::Failures,
        }
    }

    /// Where refusals do not open it (any more), what they opened is as if failures had.
    fn allowed(&self, by: OpenedBy) -> OpenedBy {
        if self.settings.refusals == 0 { OpenedBy::Failures } else { by }
    }
}

#[cfg(test)]
mod tests;
