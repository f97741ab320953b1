//! What an attempt means: for its delivery (delivered, again later, given up) and for its destination (hold back,
//! trust, distrust). Pure: the time and the jitter are arguments.

use std::time::Duration;

use jiff::Timestamp;

use crate::circuit::Signal;
use crate::config::Retry;
use crate::delivery::{Attempt, AttemptResult, FailureReason, Outcome};

/// The judgement of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What becomes of the delivery.
    pub outcome: Outcome,
    /// Until when nothing at all is sent to the destination: it asked for rest.
    pub hold_until: Option<Timestamp>,
    /// What the circuit breaker learns.
    pub signal: Signal,
    /// Whether the attempt counts against the limit of attempts.
    pub counts: bool,
    /// The kind of what went wrong, by this policy; `None` if it was delivered.
    pub failure: Option<FailureReason>,
}

/// Where a delivery stands when an attempt is judged.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Attempts including this one.
    pub attempts: u32,
    /// From when the deadline counts.
    pub since: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Whether the destination accepted the relay's credentials the last time it said anything of them.
    pub credentials_trusted: bool,
    /// Whether the destination has refused so many different events that its circuit is open for that: it is not this event that it
    /// refuses.
    pub refuses_all: bool,
    /// Uniform in 0..1: where in the back-off's span the next attempt falls.
    pub jitter: f64,
}

/// Judges an attempt by the destination's policy.
pub fn judge(policy: &Retry, attempt: &Attempt, progress: Progress) -> Verdict {
    let case = Case { policy, progress };
    let verdict = match &attempt.result {
        AttemptResult::NotRendered(error) => {
            Verdict { signal: Signal::Unmade, ..case.dead(format!("the request cannot be made: {error}")) }
        }
        // Nobody is to blame yet, so nothing is used up, not even the time: what cannot go alone either dies of that.
        AttemptResult::NotTogether(_) => {
            Verdict { outcome: Outcome::Retry(progress.now), hold_until: None, signal: Signal::Nothing, counts: false, failure: None }
        }
        AttemptResult::Withheld(_, reason) => Verdict { signal: Signal::Nothing, counts: false, ..case.dead(reason.clone()) },
        // It says nothing of the destination.
        AttemptResult::Failed(FailureReason::Internal, error) => case.again(None, error, Signal::Nothing),
        // The connection may be dead while the destination is well. The next attempt goes over a new one, and its timeout counts.
        AttemptResult::Silent(error) => case.again(None, error, Signal::Nothing),
        AttemptResult::Failed(_, error) => case.again(None, error, Signal::Failure),
        // Made of an attempt after it was judged.
        AttemptResult::Unkept(_) => case.again(None, "a reply that was not kept", Signal::Failure),
        // No event can be to blame, so none pays for it.
        AttemptResult::CredentialsRefused(_) => case.put_back(None, Signal::Refused),
        AttemptResult::TokenDelayed { status, until, error } => case.token_delayed(*status, case.within_limits(*until), error),
        AttemptResult::Replied { status: status @ 200..=299, shortcoming: Some(reason), retry_after, .. } => {
            case.again(retry_after.map(|at| case.within_limits(at)), &format!("status {status}, but {reason}"), Signal::Failure)
        }
        AttemptResult::Replied { status, retry_after, .. } => case.replied(*status, retry_after.map(|at| case.within_limits(at))),
    };
    Verdict { failure: verdict.failure.or_else(|| attempt.result.failure()), ..verdict }
}

/// Statuses that speak of what a request carries, so that one member of a batch may be what all of it is refused for.
const OF_CONTENT: [u16; 3] = [400, 413, 422];

/// The status by which a destination refused for good what a request carries. It says nothing of the sender's credentials, asks for
/// no repetition, and is no throttle by the policy.
pub fn refused_for_content(policy: &Retry, attempt: &Attempt) -> Option<u16> {
    match &attempt.result {
        AttemptResult::Replied { status, retry_after: None, .. } if OF_CONTENT.contains(status) && !policy.is_throttle(*status) => {
            Some(*status)
        }
        _ => None,
    }
}

/// What an attempt is judged by, apart from what was seen.
struct Case<'a> {
    policy: &'a Retry,
    progress: Progress,
}

impl Case<'_> {
    /// A reply's time is kept for at most the longest wait. One that is not ahead (`Retry-After: 0`, a date that is over) asks
    /// to come again without saying when: then the first step of the back-off is waited, and never nothing.
    fn within_limits(&self, asked: Timestamp) -> Timestamp {
        let Progress { now, .. } = self.progress;
        if asked <= now { later(now, self.policy.first) } else { asked.min(later(now, self.policy.max)) }
    }

    /// By the status, and by the time at which the reply asked to come again, if it did: that means again, whatever the
    /// status. It speaks of the destination as a whole where the status does (a throttle, maintenance, the sender's
    /// credentials), and of this delivery alone where it speaks of what was sent.
    fn replied(&self, status: u16, asked: Option<Timestamp>) -> Verdict {
        let words = format!("status {status}");
        match (status, asked) {
            (200..=299, _) => {
                Verdict { outcome: Outcome::Delivered, hold_until: None, signal: Signal::Success, counts: true, failure: None }
            }
            (_, Some(until)) if self.policy.is_throttle(status) || status == 403 => self.throttled(until, &words),
            (_, None) if self.policy.is_throttle(status) => self.throttled_without_time(&words),
            (401 | 403 | 407, _) => self.refused(asked, &words),
            (503, _) => Verdict { hold_until: asked, ..self.again(asked, &words, Signal::Failure) },
            (408 | 421 | 425 | 500.., _) => self.again(asked, &words, Signal::Failure),
            (_, Some(_)) if self.progress.refuses_all => self.put_back(asked, Signal::Rejected),
            (_, Some(_)) => match self.again(asked, &words, Signal::Answered) {
                given_up @ Verdict { outcome: Outcome::Dead(_), .. } => Verdict { signal: Signal::Rejected, ..given_up },
                again => again,
            },
            (410, None) => Verdict { signal: Signal::Gone, ..self.dead("status 410: the destination is gone for good".to_owned()) },
            (304, None) => self.dead("status 304: the destination says that nothing was modified, and took nothing".to_owned()),
            (300..=399, None) => self.dead(format!("{words}: redirects are not followed")),
            _ => self.dead(format!("{words}: not worth repeating")),
        }
    }

    /// An answer, so the destination is up; but this event will never please it. Where nothing pleases it, the event waits with the
    /// others until somebody has mended what is wrong.
    fn dead(&self, reason: String) -> Verdict {
        if self.progress.refuses_all {
            return self.put_back(None, Signal::Rejected);
        }
        Verdict { outcome: Outcome::Dead(reason), hold_until: None, signal: Signal::Rejected, counts: true, failure: None }
    }

    /// A throttle with a time is no fault of anybody's: the hold does all that is needed, so neither attempts nor back-off are
    /// used up. The deadline goes on, so that a destination that throttles for ever keeps nothing for ever.
    fn throttled(&self, until: Timestamp, words: &str) -> Verdict {
        let outcome = self.at(until, words);
        Verdict { outcome, hold_until: Some(until), signal: Signal::Nothing, counts: false, failure: Some(FailureReason::Throttled) }
    }

    /// A throttle that says nothing of time: the delivery is repeated as after any failure, and the others wait for the
    /// first step of the back-off, or each of them would use up an attempt to hear the same.
    fn throttled_without_time(&self, words: &str) -> Verdict {
        let hold_until = Some(later(self.progress.now, self.policy.first));
        Verdict { hold_until, failure: Some(FailureReason::Throttled), ..self.again(hold_until, words, Signal::Failure) }
    }

    /// The credentials were refused. If they were good a moment ago, it is this event that the destination refuses, and
    /// the attempt counts as any other. If not, it speaks of the relay's configuration: however long a wrong token is
    /// there, it costs no event, neither by attempts nor by the deadline, and the open circuit keeps attempts few.
    fn refused(&self, asked: Option<Timestamp>, words: &str) -> Verdict {
        let verdict = if self.progress.credentials_trusted {
            self.again(asked, words, Signal::Refused)
        } else {
            self.put_back(asked, Signal::Refused)
        };
        Verdict { hold_until: asked, ..verdict }
    }

    /// The token server asked to come again later. No attempt is made without a token, so all of them wait. Whether the attempt
    /// counts is as if the destination itself had answered; credentials that are refused are never the event's fault.
    fn token_delayed(&self, status: u16, until: Timestamp, words: &str) -> Verdict {
        match status {
            403 | 429 => self.throttled(until, words),
            408 | 425 | 500.. => Verdict { hold_until: Some(until), ..self.again(Some(until), words, Signal::Failure) },
            _ => Verdict { hold_until: Some(until), ..self.put_back(Some(until), Signal::Refused) },
        }
    }

    /// The attempt says nothing of this event, so it counts for nothing: neither against the limit nor by the deadline.
    fn put_back(&self, asked: Option<Timestamp>, signal: Signal) -> Verdict {
        let pause = later(self.progress.now, backoff(self.policy, 1, self.progress.jitter));
        let outcome = Outcome::Retry(asked.map_or(pause, |at| at.max(pause)));
        Verdict { outcome, hold_until: None, signal, counts: false, failure: None }
    }

    /// After the back-off, and not before the reply's time: a short one does not shorten the back-off, or a busy destination
    /// would use up all attempts in seconds.
    fn again(&self, asked: Option<Timestamp>, words: &str, signal: Signal) -> Verdict {
        let Progress { attempts, now, jitter, .. } = self.progress;
        let pause = later(now, backoff(self.policy, attempts, jitter));
        let outcome = if attempts >= self.policy.attempts {
            Outcome::Dead(format!("given up after {attempts} attempts, the last: {words}"))
        } else {
            self.at(asked.map_or(pause, |at| at.max(pause)), words)
        };
        Verdict { outcome, hold_until: None, signal, counts: true, failure: None }
    }

    /// Again at this time, unless the deadline comes first.
    fn at(&self, next: Timestamp, words: &str) -> Outcome {
        if next > later(self.progress.since, self.policy.deadline) {
            let deadline = humantime::format_duration(self.policy.deadline);
            return Outcome::Dead(format!("given up at the deadline of {deadline}, the last: {words}"));
        }
        Outcome::Retry(next)
    }
}

/// Exponential back-off with full jitter: anywhere between nothing and `first * factor^(attempts - 1)`, at most `max`.
fn backoff(policy: &Retry, attempts: u32, jitter: f64) -> Duration {
    let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let ceiling = (policy.first.as_secs_f64() * policy.factor.powi(exponent)).min(policy.max.as_secs_f64());
    Duration::try_from_secs_f64(ceiling * jitter.clamp(0.0, 1.0)).unwrap_or(policy.max)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
