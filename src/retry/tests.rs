//! Judgements.

use super::*;
use bytes::Bytes;

const POLICY: Retry = Retry {
    attempts: 3,
    first: Duration::from_secs(5),
    factor: 2.0,
    max: Duration::from_secs(12),
    deadline: Duration::from_secs(3600),
    on: Vec::new(),
};

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn seconds(count: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(count)
}

fn progress(attempts: u32) -> Progress {
    Progress { attempts, since: now(), now: now(), credentials_trusted: true, refuses_all: false, jitter: 1.0 }
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
        (301, false, false, Signal::Rejected),
        (304, false, false, Signal::Rejected),
        (400, false, false, Signal::Rejected),
        (404, false, false, Signal::Rejected),
        (422, false, false, Signal::Rejected),
        (410, false, false, Signal::Gone),
        (401, false, true, Signal::Refused),
        (403, false, true, Signal::Refused),
        (407, false, true, Signal::Refused),
        (408, false, true, Signal::Failure),
        (425, false, true, Signal::Failure),
        (421, false, true, Signal::Failure),
        (429, false, true, Signal::Failure),
        (500, false, true, Signal::Failure),
        (599, false, true, Signal::Failure),
        (600, false, true, Signal::Failure),
        (999, false, true, Signal::Failure),
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
fn a_2xx_that_falls_short_is_a_failure_and_comes_again_when_it_says() {
    let short = |status| {
        let shortcoming = Some("`success` does not hold on the reply".to_owned());
        attempt(AttemptResult::Replied { status, retry_after: Some(seconds(9)), reply: Bytes::new(), shortcoming })
    };
    let verdict = judge(&POLICY, &short(202), progress(1));
    assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(9)), None));
    assert_eq!((verdict.signal, verdict.counts), (Signal::Failure, true));
    let Outcome::Dead(reason) = judge(&POLICY, &short(200), progress(3)).outcome else { panic!("still alive") };
    assert_eq!(reason, "given up after 3 attempts, the last: status 200, but `success` does not hold on the reply");
}

#[test]
fn one_event_that_is_refused_where_others_are_not_is_given_up_as_any_other() {
    assert!(judge(&POLICY, &status(403, None), progress(1)).counts);
    assert!(matches!(judge(&POLICY, &status(403, None), progress(3)).outcome, Outcome::Dead(_)));
}

#[test]
fn a_throttle_with_a_time_is_a_hold_and_nothing_else() {
    for code in [429, 403] {
        let verdict = judge(&POLICY, &status(code, Some(seconds(1))), progress(1000));
        let expected = Verdict {
            outcome: Outcome::Retry(seconds(1)),
            hold_until: Some(seconds(1)),
            signal: Signal::Nothing,
            counts: false,
            failure: Some(FailureReason::Throttled),
        };
        assert_eq!(verdict, expected, "{code}: no attempt used up, no back-off added");
    }
}

#[test]
fn at_the_deadline_a_throttle_ends_too() {
    let late = Progress { now: seconds(3595), ..progress(1) };
    let verdict = judge(&POLICY, &status(429, Some(seconds(3599))), late);
    assert_eq!(verdict.outcome, Outcome::Retry(seconds(3599)));
    let verdict = judge(&POLICY, &status(429, Some(seconds(3601))), late);
    assert_eq!(verdict.outcome, Outcome::Dead("given up at the deadline of 1h, the last: status 429".to_owned()));
    assert_eq!(verdict.hold_until, Some(seconds(3601)), "the others wait all the same");
}

#[test]
fn a_throttle_without_a_time_counts_and_holds_for_the_first_step() {
    let verdict = judge(&POLICY, &status(429, None), Progress { jitter: 0.0, ..progress(2) });
    assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(5)), Some(seconds(5))));
    assert_eq!((verdict.signal, verdict.counts, verdict.failure), (Signal::Failure, true, Some(FailureReason::Throttled)));
    assert!(matches!(judge(&POLICY, &status(429, None), progress(3)).outcome, Outcome::Dead(_)));
}

#[test]
fn whoever_says_at_once_is_asked_after_the_first_step() {
    for asked in [now(), now() - jiff::SignedDuration::from_secs(300)] {
        let verdict = judge(&POLICY, &status(429, Some(asked)), Progress { jitter: 0.0, ..progress(1) });
        assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(5)), Some(seconds(5))));
        let verdict = judge(&POLICY, &status(404, Some(asked)), Progress { jitter: 0.0, ..progress(1) });
        assert_eq!(verdict.outcome, Outcome::Retry(seconds(5)));
    }
}

#[test]
fn maintenance_holds_the_destination_counts_and_is_capped() {
    let verdict = judge(&POLICY, &status(503, Some(seconds(1))), progress(1));
    assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(5)), Some(seconds(1))), "it does not shorten the back-off");
    assert_eq!((verdict.signal, verdict.counts), (Signal::Failure, true));
    for code in [429, 503] {
        assert_eq!(judge(&POLICY, &status(code, Some(seconds(100_000))), progress(1)).hold_until, Some(seconds(12)), "{code}");
        assert_eq!(judge(&POLICY, &status(code, Some(Timestamp::MAX)), progress(1)).hold_until, Some(seconds(12)), "{code}");
    }
}

#[test]
fn whatever_the_status_a_time_means_again() {
    for code in (300..=999).filter(|code| ![401, 403, 407, 429, 503].contains(code)) {
        let verdict = judge(&POLICY, &status(code, Some(seconds(7))), progress(1));
        assert_eq!((&verdict.outcome, verdict.counts), (&Outcome::Retry(seconds(7)), true), "{code}");
        assert_eq!(verdict.hold_until, None, "{code} speaks of this delivery alone");
        let signal = if matches!(code, 408 | 421 | 425 | 500..) { Signal::Failure } else { Signal::Answered };
        assert_eq!(verdict.signal, signal, "{code}");
        assert!(matches!(judge(&POLICY, &status(code, Some(seconds(7))), progress(3)).outcome, Outcome::Dead(_)), "{code}: attempts end");
    }
}

#[test]
fn refused_credentials_with_a_time_hold_the_destination_until_then() {
    for code in [401, 407] {
        for credentials_trusted in [true, false] {
            let verdict = judge(&POLICY, &status(code, Some(seconds(9))), Progress { credentials_trusted, ..progress(1) });
            assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(9)), Some(seconds(9))), "{code}");
            assert_eq!((verdict.signal, verdict.counts), (Signal::Refused, credentials_trusted), "{code}");
        }
    }
}

#[test]
fn a_timeout_over_a_silent_connection_counts_and_says_nothing_to_the_breaker() {
    let words = "no answer within 3s, over a connection that was used before";
    let verdict = judge(&POLICY, &attempt(AttemptResult::Silent(words.to_owned())), progress(1));
    assert_eq!((verdict.signal, verdict.counts, verdict.failure), (Signal::Nothing, true, Some(FailureReason::Timeout)));
    let Outcome::Dead(reason) = judge(&POLICY, &attempt(AttemptResult::Silent(words.to_owned())), progress(3)).outcome else {
        panic!("still alive")
    };
    assert_eq!(reason, format!("given up after 3 attempts, the last: {words}"));
}

#[test]
fn a_token_server_that_names_a_time_holds_the_destination_until_then() {
    for (code, counts, signal) in [
        (429, false, Signal::Nothing),
        (403, false, Signal::Nothing),
        (503, true, Signal::Failure),
        (401, false, Signal::Refused),
        (400, false, Signal::Refused),
    ] {
        let delayed = AttemptResult::TokenDelayed { status: code, until: seconds(9), error: format!("the token server answered {code}") };
        let verdict = judge(&POLICY, &attempt(delayed), progress(1));
        assert_eq!((verdict.outcome, verdict.hold_until), (Outcome::Retry(seconds(9)), Some(seconds(9))), "{code}");
        assert_eq!((verdict.signal, verdict.counts), (signal, counts), "{code}");
    }
}

#[test]
fn what_retry_on_names_is_read_as_a_throttle_whatever_it_means_elsewhere() {
    let on = vec![401, 403, 407, 410, 404, 302, 304, 503, 999];
    let policy = Retry { on: on.clone(), ..POLICY };
    for code in on {
        for credentials_trusted in [true, false] {
            let first = Progress { credentials_trusted, ..progress(1) };
            for (asked, counts, signal) in [(Some(seconds(2)), false, Signal::Nothing), (None, true, Signal::Failure)] {
                let verdict = judge(&policy, &status(code, asked), first);
                let expected = judge(&POLICY, &status(429, asked), first);
                assert_eq!((verdict.counts, verdict.signal), (counts, signal), "{code}");
                assert_eq!(verdict, expected, "{code}");
            }
        }
        let Outcome::Dead(reason) = judge(&policy, &status(code, None), progress(3)).outcome else { panic!("still alive") };
        assert_eq!(reason, format!("given up after 3 attempts, the last: status {code}"));
    }
    assert!(matches!(judge(&policy, &status(400, None), progress(1)).outcome, Outcome::Dead(_)));
}

#[test]
fn dead_says_what_the_status_says() {
    for (code, words) in [
        (302, "status 302: redirects are not followed"),
        (304, "status 304: the destination says that nothing was modified, and took nothing"),
        (404, "status 404: not worth repeating"),
        (410, "status 410: the destination is gone for good"),
    ] {
        assert_eq!(judge(&POLICY, &status(code, None), progress(1)).outcome, Outcome::Dead(words.to_owned()));
    }
    assert_eq!(judge(&POLICY, &status(304, None), progress(1)).failure, Some(FailureReason::Unsuccessful));
}

#[test]
fn while_a_destination_refuses_all_no_event_is_dead_of_it() {
    let late = Progress { now: seconds(1_000_000), refuses_all: true, ..progress(1000) };
    let unmade = attempt(AttemptResult::NotRendered("no such field".to_owned()));
    for attempt in [status(400, None), status(422, None), status(301, None), status(304, None), status(409, Some(seconds(1))), unmade] {
        let verdict = judge(&POLICY, &attempt, late);
        assert_eq!((verdict.outcome, verdict.counts), (Outcome::Retry(seconds(1_000_005)), false), "{attempt:?}");
        assert!(matches!(verdict.signal, Signal::Rejected | Signal::Unmade), "{attempt:?}");
        assert!(verdict.failure.is_some());
        let others = judge(&POLICY, &attempt, Progress { refuses_all: false, ..late });
        assert!(matches!(others.outcome, Outcome::Dead(_)) && others.signal == verdict.signal, "{attempt:?}");
    }
    // What is no refusal is what it always was.
    assert!(matches!(judge(&POLICY, &status(500, None), late).outcome, Outcome::Dead(_)));
    assert_eq!(judge(&POLICY, &status(200, None), late).outcome, Outcome::Delivered);
}

#[test]
fn a_batch_that_is_parted_uses_nothing_up_and_says_nothing_of_the_destination() {
    let late = Progress { now: seconds(1_000_000), ..progress(1000) };
    let verdict = judge(&POLICY, &attempt(AttemptResult::NotTogether("too long".to_owned())), late);
    assert_eq!((verdict.outcome, verdict.counts, verdict.signal), (Outcome::Retry(seconds(1_000_000)), false, Signal::Nothing));
    assert_eq!((verdict.hold_until, verdict.failure), (None, Some(FailureReason::Unrenderable)));
}
