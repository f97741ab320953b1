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
    /// Until when nothing at all is sent to the destination: it asked for that by Retry-After.
    pub hold_until: Option<Timestamp>,
    /// What the circuit breaker learns.
    pub signal: Signal,
    /// Whether the attempt counts against the limit of attempts.
    pub counts: bool,
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
    /// Uniform in 0..1: where in the back-off's span the next attempt falls.
    pub jitter: f64,
}

/// Judges an attempt by the destination's policy.
pub fn judge(policy: &Retry, attempt: &Attempt, progress: Progress) -> Verdict {
    match &attempt.result {
        AttemptResult::NotRendered(error) => Verdict {
            outcome: Outcome::Dead(format!("the request cannot be made: {error}")),
            hold_until: None,
            signal: Signal::Nothing,
            counts: true,
        },
        // It says nothing of the destination.
        AttemptResult::Failed(FailureReason::Internal, error) => again(policy, progress, None, error, Signal::Nothing),
        AttemptResult::Failed(_, error) => again(policy, progress, None, error, Signal::Failure),
        // No event can be to blame, so none pays for it.
        AttemptResult::CredentialsRefused(_) => uncounted(policy, progress),
        AttemptResult::Replied { status: status @ 200..=299, shortcoming: Some(reason), .. } => {
            again(policy, progress, None, &format!("status {status}, but {reason}"), Signal::Failure)
        }
        AttemptResult::Replied { status, retry_after, .. } => replied(policy, progress, *status, *retry_after),
    }
}

fn replied(policy: &Retry, progress: Progress, status: u16, retry_after: Option<Timestamp>) -> Verdict {
    let words = format!("status {status}");
    match status {
        200..=299 => Verdict { outcome: Outcome::Delivered, hold_until: None, signal: Signal::Success, counts: true },
        401 | 403 | 407 => refused(policy, progress, &words),
        // A throttle with a time is no fault: the hold does all that is needed.
        429 if retry_after.is_some() => again(policy, progress, retry_after, &words, Signal::Nothing),
        429 | 503 => again(policy, progress, retry_after, &words, Signal::Failure),
        408 | 425 | 500..=599 => again(policy, progress, None, &words, Signal::Failure),
        410 => Verdict {
            outcome: Outcome::Dead("status 410: the destination is gone for good".to_owned()),
            hold_until: None,
            signal: Signal::Gone,
            counts: true,
        },
        300..=399 => dead(format!("{words}: redirects are not followed")),
        _ => dead(format!("{words}: not worth repeating")),
    }
}

/// An answer, so the destination is up; but this event will never please it.
fn dead(reason: String) -> Verdict {
    Verdict { outcome: Outcome::Dead(reason), hold_until: None, signal: Signal::Success, counts: true }
}

/// The credentials were refused. If they were good a moment ago, it is this event that the destination refuses, and
/// the attempt counts as any other. If not, it speaks of the relay's configuration: however long a wrong token is
/// there, it costs no event, neither by attempts nor by the deadline, and the open circuit keeps attempts few.
fn refused(policy: &Retry, progress: Progress, words: &str) -> Verdict {
    if progress.credentials_trusted {
        return again(policy, progress, None, words, Signal::Refused);
    }
    uncounted(policy, progress)
}

fn uncounted(policy: &Retry, progress: Progress) -> Verdict {
    let next = later(progress.now, backoff(policy, 1, progress.jitter));
    Verdict { outcome: Outcome::Retry(next), hold_until: None, signal: Signal::Refused, counts: false }
}

fn again(policy: &Retry, progress: Progress, retry_after: Option<Timestamp>, words: &str, signal: Signal) -> Verdict {
    let hold_until = retry_after.map(|at| at.min(later(progress.now, policy.max)));
    // A short Retry-After does not shorten the back-off, or a busy destination would burn all attempts in seconds.
    let pause = later(progress.now, backoff(policy, progress.attempts, progress.jitter));
    let next = hold_until.map_or(pause, |until| until.max(pause));
    let outcome = if progress.attempts >= policy.attempts {
        Outcome::Dead(format!("given up after {} attempts, the last: {words}", progress.attempts))
    } else if next > later(progress.since, policy.deadline) {
        Outcome::Dead(format!("given up at the deadline of {}, the last: {words}", humantime::format_duration(policy.deadline)))
    } else {
        Outcome::Retry(next)
    };
    Verdict { outcome, hold_until, signal, counts: true }
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

/// Reads a `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3).
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(later(now, Duration::from_secs(u64::from(seconds))));
    }
    jiff::fmt::rfc2822::parse(value).ok().map(|date| date.timestamp()).filter(|at| *at > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const POLICY: Retry = Retry {
        attempts: 3,
        first: Duration::from_secs(5),
        factor: 2.0,
        max: Duration::from_secs(12),
        deadline: Duration::from_secs(3600),
    };

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn seconds(count: i64) -> Timestamp {
        now() + jiff::SignedDuration::from_secs(count)
    }

    fn progress(attempts: u32) -> Progress {
        Progress { attempts, since: now(), now: now(), credentials_trusted: true, jitter: 1.0 }
    }

    fn attempt(result: AttemptResult) -> Attempt {
        Attempt { started_at: now(), latency: Duration::ZERO, result }
    }

    fn status(status: u16, retry_after: Option<Timestamp>) -> Attempt {
        attempt(AttemptResult::Replied { status, retry_after, reply: Bytes::new(), shortcoming: None })
    }

    #[test]
    fn every_status_has_its_meaning() {
        for (code, delivered, retried, signal) in [
            (200, true, false, Signal::Success),
            (204, true, false, Signal::Success),
            (301, false, false, Signal::Success),
            (400, false, false, Signal::Success),
            (404, false, false, Signal::Success),
            (422, false, false, Signal::Success),
            (410, false, false, Signal::Gone),
            (401, false, true, Signal::Refused),
            (403, false, true, Signal::Refused),
            (407, false, true, Signal::Refused),
            (408, false, true, Signal::Failure),
            (425, false, true, Signal::Failure),
            (429, false, true, Signal::Failure),
            (500, false, true, Signal::Failure),
            (599, false, true, Signal::Failure),
        ] {
            let verdict = judge(&POLICY, &status(code, None), progress(1));
            assert_eq!(verdict.outcome == Outcome::Delivered, delivered, "{code}");
            assert_eq!(matches!(verdict.outcome, Outcome::Retry(_)), retried, "{code}");
            assert_eq!(verdict.signal, signal, "{code}");
        }
    }

    #[test]
    fn back_off_grows_with_full_jitter_up_to_its_maximum() {
        let failed = attempt(AttemptResult::Failed(FailureReason::Connection, "refused".to_owned()));
        let policy = Retry { attempts: 10, ..POLICY };
        for (attempts, ceiling) in [(1, 5), (2, 10), (3, 12), (9, 12)] {
            assert_eq!(judge(&policy, &failed, progress(attempts)).outcome, Outcome::Retry(seconds(ceiling)));
            let none = Progress { jitter: 0.0, ..progress(attempts) };
            assert_eq!(judge(&policy, &failed, none).outcome, Outcome::Retry(now()));
        }
    }

    #[test]
    fn attempts_and_deadline_end_it() {
        let failed = attempt(AttemptResult::Failed(FailureReason::Connection, "connection refused".to_owned()));
        let Outcome::Dead(reason) = judge(&POLICY, &failed, progress(3)).outcome else { panic!("still alive") };
        assert_eq!(reason, "given up after 3 attempts, the last: connection refused");
        let late = Progress { now: seconds(3599), ..progress(1) };
        let Outcome::Dead(reason) = judge(&POLICY, &failed, late).outcome else { panic!("still alive") };
        assert_eq!(reason, "given up at the deadline of 1h, the last: connection refused");
    }

    #[test]
    fn a_wrong_token_costs_no_event() {
        let late = Progress { now: seconds(1_000_000), credentials_trusted: false, ..progress(1000) };
        for code in [401, 403, 407] {
            let verdict = judge(&POLICY, &status(code, None), late);
            assert_eq!(verdict.outcome, Outcome::Retry(seconds(1_000_005)), "{code}");
            assert!(!verdict.counts, "{code}");
        }
    }

    #[test]
    fn a_token_server_that_refuses_the_relay_costs_no_event_even_where_the_destination_was_pleased_before() {
        let refused = attempt(AttemptResult::CredentialsRefused("invalid_client".to_owned()));
        let late = Progress { now: seconds(1_000_000), ..progress(1000) };
        let verdict = judge(&POLICY, &refused, late);
        assert_eq!((verdict.outcome, verdict.counts), (Outcome::Retry(seconds(1_000_005)), false));
        assert_eq!(verdict.signal, Signal::Refused);
    }

    #[test]
    fn a_2xx_that_falls_short_is_a_failure_and_nothing_else_is_changed_by_it() {
        let short = |status| {
            let shortcoming = Some("`success` does not hold on the reply".to_owned());
            attempt(AttemptResult::Replied { status, retry_after: Some(seconds(100)), reply: Bytes::new(), shortcoming })
        };
        let verdict = judge(&POLICY, &short(202), progress(1));
        assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(5)), None));
        assert_eq!((verdict.signal, verdict.counts), (Signal::Failure, true));
        let Outcome::Dead(reason) = judge(&POLICY, &short(200), progress(3)).outcome else { panic!("still alive") };
        assert_eq!(reason, "given up after 3 attempts, the last: status 200, but `success` does not hold on the reply");
        assert_eq!(judge(&POLICY, &short(404), progress(1)), judge(&POLICY, &status(404, Some(seconds(100))), progress(1)));
    }

    #[test]
    fn one_event_that_is_refused_where_others_are_not_is_given_up_as_any_other() {
        assert!(judge(&POLICY, &status(403, None), progress(1)).counts);
        assert!(matches!(judge(&POLICY, &status(403, None), progress(3)).outcome, Outcome::Dead(_)));
    }

    #[test]
    fn a_short_retry_after_does_not_shorten_the_back_off() {
        let verdict = judge(&POLICY, &status(429, Some(seconds(1))), progress(1));
        assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(5)), Some(seconds(1))));
    }

    #[test]
    fn retry_after_wins_holds_the_destination_and_is_capped() {
        let verdict = judge(&POLICY, &status(429, Some(seconds(7))), progress(1));
        assert_eq!((verdict.outcome, verdict.hold_until, verdict.signal), (Outcome::Retry(seconds(7)), Some(seconds(7)), Signal::Nothing));
        let verdict = judge(&POLICY, &status(503, Some(seconds(100_000))), progress(1));
        assert_eq!((verdict.hold_until, verdict.signal), (Some(seconds(12)), Signal::Failure));
        let verdict = judge(&POLICY, &status(500, Some(seconds(7))), progress(1));
        assert_eq!(verdict.hold_until, None, "only 429 and 503 speak of the whole destination");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after(" 120 ", now()), Some(seconds(120)));
        assert_eq!(parse_retry_after("Fri, 02 Jan 2026 03:05:05 GMT", now()), Some(seconds(60)));
        assert_eq!(parse_retry_after("Fri, 02 Jan 2026 03:00:00 GMT", now()), None, "past");
        for nonsense in ["", "soon", "-1", "1.5", "99999999999"] {
            assert_eq!(parse_retry_after(nonsense, now()), None, "{nonsense}");
        }
    }
}
