//! What a destination's lane may do, and until when it may do nothing: breaker, rests, rate limit, concurrency and gathering as one
//! function of `now` and of what is in flight. Pure: it reads no clock, sends nothing and stores nothing. The lane asks
//! [`Pace::next`], does what it says, and lets [`Pace::saw`] judge each attempt that has ended.
//!
//! An attempt may begin where all of these allow it:
//!
//! 1. the breaker (`circuit.rs`): nothing while it is open, then one probe;
//! 2. the rests that the destination asked for (`rests.rs`): nothing during a rest, then one attempt, then more and more;
//! 3. `concurrency`: attempts at the same time;
//! 4. for a batch, that it is full or has gathered for long enough (`gathering.rs`);
//! 5. the rate limit (`rate.rs`).

mod gathering;
mod rate;
mod rests;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::gathering::{Due, Gathering};
use self::rate::Rate;
use self::rests::{Rests, Room};
use crate::circuit::{Breaker, Circuit, CircuitState, Permission, Signal, Standing};
use crate::config::{Batch, Destination, RateLimit, Retry};
use crate::delivery::{Attempt, Claim, FailureReason, Outcome};
use crate::event::EventId;
use crate::fault::{self, Broken};
use crate::retry::{self, Progress, Verdict};

/// The pause after a batch could not be written down.
const BATCH_FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// A rest that grows by less is not worth being kept again: many replies say nearly the same.
const REST_STEP: Duration = Duration::from_secs(1);

/// What of a destination's settings its pace follows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Attempts at the same time.
    pub concurrency: usize,
    /// Attempts a time at most; `None`: no limit.
    pub rate: Option<RateLimit>,
    /// When the destination is given rest.
    pub circuit: Circuit,
    /// When a failed attempt is repeated, and how often.
    pub retry: Retry,
    /// Several deliveries in one request; `None`: one each.
    pub batch: Option<Batch>,
    /// Whether deliveries end at a time of their own, also while nothing may be sent.
    pub expires: bool,
}

impl From<&Destination> for Limits {
    fn from(destination: &Destination) -> Self {
        Self {
            concurrency: destination.concurrency,
            rate: destination.rate_limit,
            circuit: destination.circuit,
            retry: destination.retry.clone(),
            batch: destination.batch.clone(),
            expires: destination.expire.is_some(),
        }
    }
}

/// What a lane does now. An attempt that ends, new settings and what somebody sets by hand can change every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Claim at most so many deliveries, and attempt each.
    Claim(usize),
    /// Claim at most so many deliveries, and let them gather.
    Gather {
        /// How many, at least one.
        room: usize,
        /// When the batch that has begun to gather goes; `None`: none has begun.
        until: Option<Instant>,
    },
    /// Take what has gathered, and attempt it as one.
    SendBatch,
    /// Give what has gathered back to the store: nothing may be sent now, and it may expire meanwhile.
    GiveBack,
    /// Begin nothing before this time.
    WaitUntil(Instant),
    /// Begin nothing before an attempt has ended: as many as may be are under way.
    AllUnderWay,
    /// Begin nothing before somebody resumes the destination.
    Paused {
        /// When the rest ends that the destination asked for before, which is to be shown.
        rest_until: Option<Instant>,
    },
}

/// An attempt that has ended, as far as the pace wants to know it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What was seen.
    pub attempt: &'a Attempt,
    /// Attempts before it that counted.
    pub attempts_made: u32,
    /// From when the deadline counts.
    pub since: Timestamp,
    /// Uniform in 0..1: where in the back-off's span the next attempt falls.
    pub jitter: f64,
}

/// What an attempt led to, for its delivery and for its destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What becomes of the delivery.
    pub outcome: Outcome,
    /// What the breaker has learned.
    pub signal: Signal,
    /// The kind of what went wrong; `None` if it was delivered.
    pub failure: Option<FailureReason>,
    /// Attempts that count so far.
    pub attempts: u32,
    /// How the breaker stands now.
    pub circuit: CircuitState,
    /// Whether the breaker has opened, closed, or is open for another reason: to be logged.
    pub turned: bool,
    /// Whether the breaker or the rest has changed: to be shown.
    pub changed: bool,
    /// Whether that is to be kept over a restart.
    pub keep: bool,
}

/// The pace of one destination.
#[derive(Debug)]
pub struct Pace {
    limits: Limits,
    breaker: Breaker,
    rests: Rests,
    rate: Option<Rate>,
    gathering: Gathering,
    /// A batch could not be written; it is tried again then.
    batches_paused_until: Option<Instant>,
}

impl Pace {
    /// Of a destination of which nothing is known yet.
    pub fn new(limits: Limits, now: Instant) -> Self {
        let rate = limits.rate.map(|limit| Rate::new(limit, now));
        let (rests, gathering) = (Rests::default(), Gathering::default());
        Self { breaker: Breaker::new(limits.circuit), rests, rate, gathering, batches_paused_until: None, limits }
    }

    /// Takes new settings. What has gathered goes back to the store where nothing is to gather any more.
    #[must_use]
    pub fn configure(&mut self, limits: Limits, now: Instant) -> Vec<Claim> {
        self.breaker.configure(limits.circuit, now);
        // A limit that stays goes on, or each reload would allow another burst.
        if self.rate.as_ref().map(Rate::limit) != limits.rate {
            self.rate = limits.rate.map(|limit| Rate::new(limit, now));
        }
        self.limits = limits;
        if self.limits.batch.is_none() { self.gathering.take_all() } else { Vec::new() }
    }

    /// Takes over how the destination stood, as it was kept, or as somebody has just set it. `now` and `clock` are the same moment by
    /// two clocks.
    pub fn adopt(&mut self, standing: Standing, now: Instant, clock: Timestamp) {
        let Standing { circuit, hold_until } = standing;
        self.breaker.adopt(circuit, now, clock);
        let longest = self.limits.retry.max;
        let rest = hold_until.filter(|until| *until > clock).and_then(|until| now.checked_add(until_then(until, clock).min(longest)));
        self.rests.adopt(rest);
    }

    /// How the destination stands, to be kept.
    pub fn standing(&self, now: Instant, clock: Timestamp) -> Standing {
        let hold_until = self.rests.rests_until().and_then(|until| clock.checked_add(until.saturating_duration_since(now)).ok());
        Standing { circuit: self.circuit(now, clock), hold_until }
    }

    /// How the breaker stands.
    pub fn circuit(&self, now: Instant, clock: Timestamp) -> CircuitState {
        self.breaker.state(now, clock)
    }

    /// Whether the destination rests because it asked for that, as far as [`Pace::next`] has not ended it.
    pub fn rests(&self) -> bool {
        self.rests.rests_until().is_some()
    }

    /// What to do now, with so many attempts under way. The same answer until something happens or its time has come.
    pub fn next(&mut self, now: Instant, in_flight: usize) -> Decision {
        self.rests.wake(now);
        let concurrency = match self.breaker.permission(now) {
            Permission::Free if fault::is_broken(Broken::ConcurrencyIgnored) => self.limits.concurrency + 1,
            Permission::Free => self.limits.concurrency,
            Permission::Probe if fault::is_broken(Broken::ProbeIgnored) => self.limits.concurrency,
            Permission::Probe => 1,
            Permission::NotBefore(_) | Permission::NotBeforeResumed if self.limits.expires && !self.gathering.is_empty() => {
                return Decision::GiveBack;
            }
            Permission::NotBefore(until) => {
                // A rest that ends earlier ends nothing, but is to be shown.
                return Decision::WaitUntil(self.rests.rests_until().map_or(until, |rest| rest.min(until)));
            }
            Permission::NotBeforeResumed => return Decision::Paused { rest_until: self.rests.rests_until() },
        };
        let free = match self.rests.room(now, in_flight, concurrency) {
            Room::Attempts(0) => return Decision::AllUnderWay,
            Room::Attempts(free) => free,
            Room::NotBefore(until) => return Decision::WaitUntil(until),
        };
        if let Some(batch) = &self.limits.batch {
            return match self.gathering.due(batch, now) {
                Due::Now => match self.batches_paused_until {
                    Some(until) if now < until => Decision::WaitUntil(until),
                    _ => self.within_rate(now, Decision::SendBatch),
                },
                Due::At(at) => Decision::Gather { room: self.gathering.room(batch), until: Some(at) },
                Due::Never => Decision::Gather { room: self.gathering.room(batch), until: None },
            };
        }
        // What is claimed is attempted at once, and the rate limit is asked before each.
        let at_once = if self.rate.is_some() { 1 } else { free };
        self.within_rate(now, Decision::Claim(at_once))
    }

    /// An attempt begins.
    pub fn begun(&mut self, now: Instant) {
        if let Some(rate) = &mut self.rate {
            rate.begun(now);
        }
        self.rests.begun(now);
    }

    /// Judges an attempt that has ended, of `events`, and learns from it. `now` and `clock` are the same moment by two clocks.
    pub fn saw(&mut self, seen: Seen<'_>, events: impl IntoIterator<Item = EventId>, now: Instant, clock: Timestamp) -> Judged {
        let Seen { attempt, attempts_made, since, jitter } = seen;
        let attempts = attempts_made.saturating_add(1);
        let (credentials_trusted, refuses_all) = (self.breaker.credentials_trusted(), self.breaker.refuses_all());
        let progress = Progress { attempts, since, now: clock, credentials_trusted, refuses_all, jitter };
        let Verdict { outcome, hold_until, signal, counts, failure } = retry::judge(&self.limits.retry, attempt, progress);
        let rested_until = self.rests.rests_until();
        if let Some(until) = hold_until.and_then(|until| now.checked_add(until_then(until, clock)))
            && !fault::is_broken(Broken::RestIgnored)
        {
            self.rests.rest(until, self.limits.retry.max, now);
        }
        self.rests.ended(hold_until.is_none() && attempt.result.status().is_some(), now);
        let before = self.circuit(now, clock);
        let breaker_changed = self.breaker.record(signal, events, now);
        let circuit = self.circuit(now, clock);
        let rests_until = self.rests.rests_until();
        let rests_longer = rests_until.is_some_and(|until| rested_until.is_none_or(|before| until >= before + REST_STEP));
        Judged {
            outcome,
            signal,
            failure,
            attempts: if counts { attempts } else { attempts_made },
            circuit,
            turned: (before.label(), before.opened_by()) != (circuit.label(), circuit.opened_by()),
            changed: breaker_changed || rests_until != rested_until,
            keep: breaker_changed || rests_longer,
        }
    }

    /// The status for which a batch of several is parted, so that its members go alone: the destination refused for good what the
    /// request carries. Where it refuses everything, no member is to blame, and the batch waits with the others.
    pub fn parts_for(&self, attempt: &Attempt) -> Option<u16> {
        retry::refused_for_content(&self.limits.retry, attempt).filter(|_| !self.breaker.refuses_all())
    }

    /// Whether what is claimed gathers before it is attempted.
    pub fn gathers(&self) -> bool {
        self.limits.batch.is_some()
    }

    /// Lets claims gather.
    pub fn gather(&mut self, claims: Vec<Claim>, now: Instant) {
        self.gathering.add(claims, now);
    }

    /// Takes what goes in the next request. One claim that is a batch already goes as it is.
    pub fn take_batch(&mut self) -> Vec<Claim> {
        match &self.limits.batch {
            Some(batch) => self.gathering.take(batch),
            None => Vec::new(),
        }
    }

    /// Puts back what [`Pace::take_batch`] gave, because it could not be written down, and tries it again a little later.
    pub fn put_back(&mut self, claims: Vec<Claim>, now: Instant) {
        self.gathering.put_back(claims, now);
        self.batches_paused_until = now.checked_add(BATCH_FAILURE_PAUSE);
    }

    /// Takes all that has gathered.
    pub fn take_all(&mut self) -> Vec<Claim> {
        self.gathering.take_all()
    }

    /// `decision` if the rate limit, where there is one, allows one more request.
    fn within_rate(&self, now: Instant, decision: Decision) -> Decision {
        match self.rate.as_ref().map_or(Ok(()), |rate| rate.allows(now)) {
            Ok(()) => decision,
            Err(at) => Decision::WaitUntil(at),
        }
    }
}

/// The time from `now` to `then`; nothing where it is over.
fn until_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
