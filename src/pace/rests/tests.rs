//! Rests against limiters as they are, in simulated time: every attempt is judged and paced by the code that runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;

use super::*;
use crate::circuit::{Breaker, Circuit, Permission};
use crate::config::Retry;
use crate::delivery::{Attempt, AttemptResult, Outcome};
use crate::retry::{self, Progress, Verdict};

const CONCURRENCY: usize = 16;
const LATENCY: Duration = Duration::from_millis(5);

/// What a limiter says at a time, in milliseconds from the start: `Err` with the wait that it names, in seconds.
type Limiter = Box<dyn FnMut(u64) -> Result<(), Option<u64>>>;

/// `limit` in each window, which the first request begins; the wait is the rest of the window, rounded by `rounded`.
fn fixed_window(limit: u32, window: u64, rounded: fn(f64) -> f64) -> Limiter {
    let (mut began, mut count) = (0, 0);
    Box::new(move |now| {
        if now >= began + window || count == 0 {
            (began, count) = (now, 0);
        }
        count += 1;
        let left = (began + window - now) as f64 / 1000.0;
        if count <= limit { Ok(()) } else { Err(Some(rounded(left) as u64)) }
    })
}

/// At most `limit` in any window; says when the oldest leaves it.
fn sliding_window(limit: usize, window: u64) -> Limiter {
    let mut taken: Vec<u64> = Vec::new();
    Box::new(move |now| {
        taken.retain(|at| at + window > now);
        if taken.len() < limit {
            taken.push(now);
            return Ok(());
        }
        Err(Some((taken[0] + window - now).div_ceil(1000)))
    })
}

/// A token every `each`, `burst` of them kept.
fn bucket(each: u64, burst: u64, names_wait: bool) -> Limiter {
    let mut free_at = 0;
    Box::new(move |now| {
        if free_at <= now + each * (burst - 1) {
            free_at = free_at.max(now) + each;
            return Ok(());
        }
        Err(names_wait.then(|| (free_at - each * (burst - 1) - now).div_ceil(1000)))
    })
}

#[derive(Debug)]
struct Seen {
    requests: usize,
    dead: usize,
    seconds: u64,
}

/// The end of an attempt, what it was told, and the attempts made before.
type UnderWay = Reverse<(u64, Option<Option<u64>>, u32)>;

/// Delivers so many events that are there from the start.
fn deliver(events: usize, policy: &Retry, limiter: &mut Limiter) -> Seen {
    let (start, clock): (_, Timestamp) = (Instant::now(), "2026-01-02T03:04:05Z".parse().unwrap());
    let at = |millisecond: u64| start + Duration::from_millis(millisecond);
    let time = |millisecond: u64| clock + Duration::from_millis(millisecond);
    let mut rests = Rests::default();
    let mut breaker = Breaker::new(Circuit::default());
    // Due time and attempts made.
    let mut due: BinaryHeap<Reverse<(u64, u32)>> = (0..events).map(|_| Reverse((0, 0))).collect();
    let mut under_way: BinaryHeap<UnderWay> = BinaryHeap::new();
    let (mut now, mut requests, mut delivered, mut dead) = (0, 0, 0, 0);
    while delivered + dead < events {
        assert!(requests < events * 100, "{requests} requests, {delivered} delivered, {dead} dead");
        while let Some(Reverse((_, told, made))) = under_way.pop_if_due(now) {
            let retry_after = told.flatten().map(|seconds| time(now) + Duration::from_secs(seconds));
            let status = if told.is_some() { 429 } else { 200 };
            let result = AttemptResult::Replied { status, retry_after, reply: bytes::Bytes::new(), shortcoming: None };
            let attempt = Attempt { started_at: time(now), latency: LATENCY, result };
            let jitter = (requests * 7919 % 1000) as f64 / 1000.0;
            let progress =
                Progress { attempts: made + 1, since: clock, now: time(now), credentials_trusted: true, refuses_all: false, jitter };
            let Verdict { outcome, hold_until, signal, counts, .. } = retry::judge(policy, &attempt, progress);
            if let Some(until) = hold_until {
                rests.rest(at(now) + until.duration_since(time(now)).unsigned_abs(), policy.max, at(now));
            }
            rests.ended(hold_until.is_none(), at(now));
            breaker.record(signal, [], at(now));
            match outcome {
                Outcome::Delivered => delivered += 1,
                Outcome::Dead(_) => dead += 1,
                Outcome::Retry(next) => {
                    due.push(Reverse((next.as_millisecond().abs_diff(clock.as_millisecond()), made + u32::from(counts))));
                }
            }
        }
        rests.wake(at(now));
        let concurrency = match breaker.permission(at(now)) {
            Permission::Free => CONCURRENCY,
            Permission::Probe => 1,
            Permission::NotBefore(_) | Permission::NotBeforeResumed => 0,
        };
        let room = rests.room(at(now), under_way.len(), concurrency);
        let Room::Attempts(room) = room else {
            now += 1;
            continue;
        };
        for _ in 0..room {
            let Some(Reverse((_, made))) = due.pop_if_due(now) else { break };
            requests += 1;
            rests.begun(at(now));
            under_way.push(Reverse((now + LATENCY.as_millis() as u64, limiter(now).err(), made)));
        }
        now += 1;
    }
    Seen { requests, dead, seconds: now / 1000 }
}

trait PopIfDue<T> {
    fn pop_if_due(&mut self, now: u64) -> Option<T>;
}

impl PopIfDue<Reverse<(u64, u32)>> for BinaryHeap<Reverse<(u64, u32)>> {
    fn pop_if_due(&mut self, now: u64) -> Option<Reverse<(u64, u32)>> {
        self.peek().is_some_and(|Reverse((at, _))| *at <= now).then(|| self.pop()).flatten()
    }
}

impl PopIfDue<UnderWay> for BinaryHeap<UnderWay> {
    fn pop_if_due(&mut self, now: u64) -> Option<UnderWay> {
        self.peek().is_some_and(|Reverse((at, ..))| *at <= now).then(|| self.pop()).flatten()
    }
}

#[test]
fn a_limiter_of_one_a_second_gets_little_more_than_one_request_an_event() {
    let once: [(&str, Limiter); 4] = [
        ("fixed window, Retry-After: 1", fixed_window(1, 1000, f64::ceil)),
        ("sliding window", sliding_window(1, 1000)),
        ("token bucket", bucket(1000, 1, true)),
        ("token bucket with a burst", bucket(1000, 10, true)),
    ];
    for (name, mut limiter) in once {
        let seen = deliver(120, &Retry::default(), &mut limiter);
        println!("{name}: {seen:?}");
        assert!(seen.requests <= 170 && seen.seconds <= 150 && seen.dead == 0, "{name}: {seen:?}");
    }
}

#[test]
fn other_limiters() {
    let first = Duration::from_secs(1);
    let quick = Retry { first, ..Retry::default() };
    let all: [(&str, Limiter, Retry, usize); 6] = [
        ("60 a minute, fixed", fixed_window(60, 60_000, f64::ceil), Retry::default(), 500),
        ("60 a minute, sliding", sliding_window(60, 60_000), Retry::default(), 500),
        ("100 a second", fixed_window(100, 1000, f64::ceil), Retry::default(), 5000),
        ("a wait that is rounded down to 0", fixed_window(1, 1000, f64::floor), quick.clone(), 120),
        ("no wait named", bucket(1000, 1, false), quick.clone(), 60),
        ("no wait named, 10 a second", bucket(100, 1, false), quick, 500),
    ];
    for (name, mut limiter, policy, events) in all {
        let seen = deliver(events, &policy, &mut limiter);
        println!("{name}: {seen:?}");
        assert!(seen.requests <= events * 2 && seen.dead == 0, "{name}: {seen:?}");
    }
}

const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

#[test]
fn a_destination_that_asks_for_no_rest_is_not_paced() {
    let (mut rests, now) = (Rests::default(), Instant::now());
    for number in 0..100 {
        assert_eq!(rests.room(now, number, 200), Room::Attempts(200 - number));
        rests.begun(now);
    }
    rests.ended(true, now);
    assert_eq!(rests.room(now, 99, 200), Room::Attempts(101));
}

#[test]
fn after_a_rest_one_goes_first_and_each_that_is_taken_lets_one_more_go_at_a_time() {
    let (mut rests, start) = (Rests::default(), Instant::now());
    rests.begun(start);
    rests.rest(start + SECOND, LONGEST, start);
    // Those that were under way say the same, and the longest wait counts.
    rests.rest(start + 2 * SECOND, LONGEST, start);
    rests.rest(start + SECOND, LONGEST, start);
    assert_eq!(rests.room(start + SECOND, 3, 16), Room::NotBefore(start + 2 * SECOND));
    assert_eq!((rests.wake(start + SECOND), rests.rests_until()), (false, Some(start + 2 * SECOND)));
    let now = start + 2 * SECOND;
    assert!(rests.wake(now) && !rests.wake(now));
    assert_eq!(rests.room(now, 3, 16), Room::Attempts(0), "what was under way ends first");
    assert_eq!(rests.room(now, 0, 16), Room::Attempts(1));
    rests.begun(now);
    assert_eq!(rests.room(now, 1, 16), Room::Attempts(0));
    rests.ended(false, now);
    assert_eq!(rests.room(now, 0, 16), Room::Attempts(1), "no answer is no reason to send more");
    for width in 2..=16 {
        rests.begun(now);
        rests.ended(true, now);
        assert_eq!(rests.room(now, 0, 16), Room::Attempts(width));
    }
    rests.ended(true, now);
    assert_eq!(rests.room(now, 0, 16), Room::Attempts(16), "concurrency holds");
}

#[test]
fn what_was_taken_between_two_rests_spaces_what_follows() {
    let (mut rests, start) = (Rests::default(), Instant::now());
    rests.rest(start, LONGEST, start);
    for _ in 0..4 {
        rests.begun(start);
        rests.ended(true, start);
    }
    rests.rest(start + 2 * SECOND, LONGEST, start + SECOND);
    let now = start + 2 * SECOND;
    rests.wake(now);
    rests.begun(now);
    assert_eq!(rests.room(now, 0, 16), Room::NotBefore(now + SECOND / 2), "four in two seconds");
    rests.ended(true, now);
    let Room::NotBefore(next) = rests.room(now, 0, 16) else { panic!() };
    assert!(next < now + SECOND / 2, "and a little less with each that is taken");
    assert_eq!(rests.room(next, 0, 16), Room::Attempts(1));
    assert_eq!(rests.room(now + KEPT + SECOND, 0, 16), Room::Attempts(16), "long after the last rest it is forgotten");
}

#[test]
fn time_without_anything_to_send_is_no_measure() {
    let (mut rests, start) = (Rests::default(), Instant::now());
    rests.rest(start, LONGEST, start);
    rests.begun(start);
    rests.ended(true, start);
    let later = start + 300 * SECOND;
    for _ in 0..2 {
        rests.begun(later);
        rests.ended(true, later);
    }
    rests.rest(later + SECOND, LONGEST, later);
    rests.begun(later + SECOND);
    assert_eq!(rests.room(later + SECOND, 0, 16), Room::NotBefore(later + SECOND + SECOND / 2));
}

#[test]
fn a_destination_that_takes_nothing_is_asked_less_and_less_often() {
    let (mut rests, mut now) = (Rests::default(), Instant::now());
    let mut waits = Vec::new();
    for _ in 0..20 {
        rests.begun(now);
        rests.rest(now + SECOND, LONGEST, now);
        rests.ended(false, now);
        let until = rests.rests_until().unwrap();
        waits.push(until.duration_since(now).as_secs());
        now = until;
        rests.wake(now);
    }
    assert_eq!(waits, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]);
    rests.begun(now);
    rests.ended(true, now);
    rests.rest(now + SECOND, LONGEST, now);
    assert_eq!(rests.rests_until(), Some(now + SECOND), "one that is taken ends that");
}

#[test]
fn a_rest_that_was_kept_ends_with_one_attempt_too_and_one_ended_by_hand_at_once() {
    let (mut rests, now) = (Rests::default(), Instant::now());
    rests.adopt(Some(now + SECOND));
    assert_eq!(rests.room(now, 0, 16), Room::NotBefore(now + SECOND));
    rests.adopt(None);
    assert_eq!(rests.room(now, 0, 16), Room::Attempts(1));
}
