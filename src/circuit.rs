//! The circuit breaker of one destination: after several failures in a row nothing is attempted for a while, so
//! that an outage burns no attempts and a struggling service gets rest. Then one probe decides. Pure: `now` is an
//! argument.

use std::time::Instant;

use jiff::Timestamp;

use crate::config::Circuit;

/// What an attempt says of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It answered sensibly.
    Success,
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
    },
    /// The destination said 410: nothing is attempted until somebody resumes it.
    Gone,
    /// Somebody paused it: nothing is attempted until somebody resumes it.
    Paused,
}

impl CircuitState {
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
        if let CircuitState::Open { until } = &mut self.circuit {
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
    Open { until: Instant },
    Gone,
    Paused,
}

/// The breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Circuit,
    state: State,
    /// The last that the destination said of the credentials was that they are good.
    credentials_trusted: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Circuit) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, credentials_trusted: false }
    }

    /// Takes new settings, made at `now`. Whoever mends a destination's URL or credentials does not want to wait for the
    /// rest of a cooldown, so an open breaker may probe at once. One that waits to be resumed goes on waiting.
    pub fn configure(&mut self, settings: Circuit, now: Instant) {
        self.settings = settings;
        if let State::Open { until } = self.state {
            self.state = State::Open { until: until.min(now) };
        }
    }

    /// What may be attempted now.
    pub fn permission(&self, now: Instant) -> Permission {
        match self.state {
            State::Closed { .. } => Permission::Free,
            State::Open { until } if now < until => Permission::NotBefore(until),
            State::Open { .. } => Permission::Probe,
            State::Gone | State::Paused => Permission::NotBeforeResumed,
        }
    }

    /// The state to keep. `now` and `clock` are the same moment by two clocks.
    pub fn state(&self, now: Instant, clock: Timestamp) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until } => {
                let left = until.saturating_duration_since(now);
                CircuitState::Open { until: clock.checked_add(left).unwrap_or(Timestamp::MAX) }
            }
            State::Gone => CircuitState::Gone,
            State::Paused => CircuitState::Paused,
        }
    }

    /// Takes over a state that was kept, or that somebody has set by hand. An open breaker rests for a cooldown at most,
    /// whatever became of the clock meanwhile.
    pub fn adopt(&mut self, state: CircuitState, now: Instant, clock: Timestamp) {
        self.state = match state {
            CircuitState::Closed => State::Closed { failures: 0 },
            CircuitState::Open { until } => {
                let left = until.duration_since(clock).unsigned_abs();
                let left = if until > clock { left.min(self.settings.cooldown) } else { std::time::Duration::ZERO };
                State::Open { until: now.checked_add(left).unwrap_or(now) }
            }
            CircuitState::Gone => State::Gone,
            CircuitState::Paused => State::Paused,
        };
    }

    /// Learns from an attempt that ended; whether that has changed the state to keep.
    pub fn record(&mut self, signal: Signal, now: Instant) -> bool {
        let before = self.state;
        match signal {
            Signal::Success => self.credentials_trusted = true,
            Signal::Refused => self.credentials_trusted = false,
            Signal::Failure | Signal::Gone | Signal::Nothing => {}
        }
        self.state = match (self.state, signal) {
            (State::Paused, _) => State::Paused,
            (State::Gone, _) => State::Gone,
            (_, Signal::Gone) => State::Gone,
            (state, Signal::Nothing) => state,
            (_, Signal::Success) => State::Closed { failures: 0 },
            (_, Signal::Refused) => self.open(now),
            (State::Closed { failures }, Signal::Failure) if failures + 1 < self.settings.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Signal::Failure) => self.open(now),
            // A straggler from before it opened changes nothing; a failed probe starts the rest anew.
            (State::Open { until }, Signal::Failure) if now < until => State::Open { until },
            (State::Open { .. }, Signal::Failure) => self.open(now),
        };
        let closed = |state| matches!(state, State::Closed { .. });
        before != self.state && !(closed(before) && closed(self.state))
    }

    /// Whether the destination accepted the relay's credentials the last time it said anything of them.
    pub fn credentials_trusted(&self) -> bool {
        self.credentials_trusted
    }

    /// Whether attempts are held back, or only a probe is allowed.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    fn open(&self, now: Instant) -> State {
        State::Open { until: now.checked_add(self.settings.cooldown).unwrap_or(now) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    fn breaker() -> Breaker {
        Breaker::new(Circuit { failures: 3, cooldown: COOLDOWN })
    }

    #[test]
    fn new_settings_allow_a_probe_at_once_but_resume_nothing() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.record(Signal::Failure, now);
        }
        assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN));
        breaker.configure(Circuit { failures: 3, cooldown: COOLDOWN * 2 }, now);
        assert_eq!(breaker.permission(now), Permission::Probe);
        breaker.record(Signal::Failure, now);
        assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN * 2));
        breaker.record(Signal::Gone, now);
        breaker.configure(Circuit { failures: 3, cooldown: COOLDOWN }, now);
        assert_eq!(breaker.permission(now), Permission::NotBeforeResumed);
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for signal in [Signal::Failure, Signal::Failure, Signal::Success, Signal::Failure, Signal::Failure, Signal::Nothing] {
            breaker.record(signal, now);
            assert_eq!(breaker.permission(now), Permission::Free);
        }
        breaker.record(Signal::Failure, now);
        assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN));
        assert!(breaker.is_open());
    }

    #[test]
    fn one_probe_a_cooldown_and_a_success_closes() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.record(Signal::Refused, now);
        let half_open = now + COOLDOWN;
        assert_eq!(breaker.permission(half_open), Permission::Probe);
        breaker.record(Signal::Failure, half_open);
        assert_eq!(breaker.permission(half_open), Permission::NotBefore(half_open + COOLDOWN));
        breaker.record(Signal::Success, half_open + COOLDOWN);
        assert_eq!(breaker.permission(half_open + COOLDOWN), Permission::Free);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_straggler_does_not_prolong_the_rest() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.record(Signal::Refused, now);
        breaker.record(Signal::Failure, now + COOLDOWN / 2);
        assert_eq!(breaker.permission(now + COOLDOWN), Permission::Probe);
    }

    #[test]
    fn a_refusal_ends_the_trust_in_the_credentials_until_the_next_success() {
        let (mut breaker, now) = (breaker(), Instant::now());
        assert!(!breaker.credentials_trusted());
        for (signal, trusted) in
            [(Signal::Success, true), (Signal::Failure, true), (Signal::Refused, false), (Signal::Failure, false), (Signal::Success, true)]
        {
            breaker.record(signal, now);
            assert_eq!(breaker.credentials_trusted(), trusted);
        }
    }

    #[test]
    fn gone_stays_until_resumed() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.record(Signal::Gone, now);
        breaker.record(Signal::Success, now);
        assert_eq!(breaker.permission(now + COOLDOWN * 100), Permission::NotBeforeResumed);
        breaker.adopt(CircuitState::Closed, now, Timestamp::UNIX_EPOCH);
        assert_eq!(breaker.permission(now), Permission::Free);
    }

    #[test]
    fn paused_stays_until_resumed_whatever_attempts_in_flight_say() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.adopt(CircuitState::Paused, now, Timestamp::UNIX_EPOCH);
        for signal in [Signal::Success, Signal::Failure, Signal::Refused, Signal::Gone] {
            assert!(!breaker.record(signal, now), "nothing to keep has changed");
            assert_eq!(breaker.permission(now + COOLDOWN * 100), Permission::NotBeforeResumed);
        }
        assert!(breaker.is_open());
    }

    #[test]
    fn what_is_kept_and_taken_over_again_rests_as_long_as_was_left_and_a_cooldown_at_most() {
        let clock: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let (mut before, now) = (breaker(), Instant::now());
        assert!(before.record(Signal::Refused, now));
        let kept = before.state(now + COOLDOWN / 3, clock);
        assert_eq!(kept, CircuitState::Open { until: clock + COOLDOWN * 2 / 3 });
        for (later, rest) in [
            (jiff::SignedDuration::from_secs(5), COOLDOWN * 2 / 3 - Duration::from_secs(5)),
            (jiff::SignedDuration::from_secs(86_400), Duration::ZERO), // It was down for a day.
            (jiff::SignedDuration::from_secs(-86_400), COOLDOWN),      // The clock was set back meanwhile.
        ] {
            let mut after = breaker();
            after.adopt(kept, now, clock + later);
            assert!(after.is_open());
            assert_eq!(after.permission(now + rest), Permission::Probe);
            if !rest.is_zero() {
                assert_eq!(after.permission(now), Permission::NotBefore(now + rest));
            }
        }
    }

    #[test]
    fn only_what_is_to_be_kept_counts_as_a_change() {
        let (mut breaker, now) = (breaker(), Instant::now());
        assert!(!breaker.record(Signal::Failure, now));
        assert!(!breaker.record(Signal::Success, now));
        assert!(breaker.record(Signal::Gone, now));
        assert!(!breaker.record(Signal::Success, now));
    }

    /// Ten hours of outage, every attempt a failure: how many were made?
    #[test]
    fn a_destination_that_is_down_for_ten_hours_gets_one_probe_a_cooldown() {
        let (mut breaker, start) = (breaker(), Instant::now());
        let hours = Duration::from_secs(10 * 60 * 60);
        let (mut now, mut attempts, mut last) = (start, 0_u32, None);
        while now < start + hours {
            match breaker.permission(now) {
                Permission::Free | Permission::Probe => {
                    if let Some(last) = last.replace(now).filter(|_| breaker.is_open()) {
                        assert!(now - last >= COOLDOWN, "two probes within {:?}", now - last);
                    }
                    attempts += 1;
                    breaker.record(Signal::Failure, now + Duration::from_millis(20));
                    now += Duration::from_millis(20);
                }
                Permission::NotBefore(until) => now = until,
                Permission::NotBeforeResumed => panic!("nobody paused it"),
            }
        }
        let probes = u32::try_from(hours.as_secs() / COOLDOWN.as_secs()).unwrap();
        assert!((probes - 2..=probes + 3).contains(&attempts), "{attempts} attempts in {probes} cooldowns");
        breaker.record(Signal::Success, now);
        assert_eq!(breaker.permission(now), Permission::Free, "and the whole rate at once after the first success");
    }
}
