//! The circuit breaker of one destination: after several failures in a row nothing is attempted for a while, so
//! that an outage burns no attempts and a struggling service gets rest. Then one probe decides. Pure: `now` is an
//! argument.

use std::time::Instant;

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

/// What may be attempted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// As much as the destination's limits allow.
    Free,
    /// One attempt, to see whether it is well again, and no other beside it.
    Probe,
    /// Nothing before this time.
    NotBefore(Instant),
    /// Nothing before [`Breaker::resume`].
    NotBeforeResumed,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Gone,
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
            State::Gone => Permission::NotBeforeResumed,
        }
    }

    /// Learns from an attempt that ended.
    pub fn record(&mut self, signal: Signal, now: Instant) {
        match signal {
            Signal::Success => self.credentials_trusted = true,
            Signal::Refused => self.credentials_trusted = false,
            Signal::Failure | Signal::Gone | Signal::Nothing => {}
        }
        self.state = match (self.state, signal) {
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
    }

    /// Whether the destination accepted the relay's credentials the last time it said anything of them.
    pub fn credentials_trusted(&self) -> bool {
        self.credentials_trusted
    }

    /// Closes it by hand.
    pub fn resume(&mut self) {
        self.state = State::Closed { failures: 0 };
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
        breaker.resume();
        assert_eq!(breaker.permission(now), Permission::Free);
    }
}
