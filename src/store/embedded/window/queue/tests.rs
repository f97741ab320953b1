//! The races between commits, reads and claims, each played by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::*;
use crate::delivery::{Attempt, AttemptResult, FailureReason, Outcome};
use crate::event::{Event, EventId};

fn ready(sequence: i64) -> Ready {
    let now = Timestamp::now();
    let event = Event::new(EventId::new(now), now, String::new(), String::new(), Bytes::from_static(b"{}"));
    Ready { sequence, since: event.received_at, event: Arc::new(event), route: None, order: None, attempts_made: 0, batch: None }
}

fn fresh(sequences: &[i64], looked_at: i64) -> Fresh {
    Fresh { found: sequences.iter().copied().map(ready).collect(), looked_at }
}

/// A queue after a restart: a delivery is outstanding, and its retries have been read already.
fn reopened(frontier: i64, last: i64) -> Queue {
    let figures = DestinationFigures { active: true, planned: 1, ..DestinationFigures::default() };
    let queue = Queue::new(DestinationKey(0), figures, frontier, last, Standing::default());
    let Want::Retries { reading, taken } = queue.take(1, 0, &mut Vec::new()).unwrap_err() else { panic!("the retries were not read") };
    assert!(taken.is_empty());
    queue.add_retries(reading, Retries { found: Vec::new(), next_due: None });
    queue
}

/// Begins a read of the backlog: its name, where it begins, and what was the newest.
#[track_caller]
fn begin_read(queue: &Queue) -> (Reading, i64, i64) {
    let Want::Fresh { reading, wanted, newest } = queue.take(1, 0, &mut Vec::new()).unwrap_err() else {
        panic!("the backlog was not read")
    };
    (reading, wanted.after, newest)
}

#[track_caller]
fn assert_claims(queue: &Queue, sequences: &[i64]) -> Vec<Claim> {
    let claims = queue.take(100, 0, &mut Vec::new()).unwrap_or_default();
    assert_eq!(claims.iter().map(|claim| claim.sequence).collect::<Vec<_>>(), sequences);
    claims
}

fn settle(queue: &Queue, claim: &Claim) {
    let attempt = Attempt {
        started_at: Timestamp::now(),
        latency: Duration::ZERO,
        result: AttemptResult::Failed(FailureReason::Connection, String::new()),
    };
    queue.settled(&Settlement::new(claim.clone(), attempt, Outcome::Delivered, 1), None, None);
}

#[test]
fn an_event_that_comes_while_a_read_finds_nothing_is_not_passed_over() {
    let queue = reopened(99, 100);
    let (reading, after, newest) = begin_read(&queue);
    queue.offer(ready(101)); // Committed after the read has begun, so the read cannot see it.
    queue.add_fresh(reading, newest, fresh(&[], after));
    let (reading, _, newest) = begin_read(&queue);
    queue.add_fresh(reading, newest, fresh(&[101], 101));
    assert_claims(&queue, &[101]);
}

#[test]
fn a_read_that_finds_nothing_is_not_repeated_for_ever() {
    let queue = reopened(99, 100);
    let (reading, after, newest) = begin_read(&queue);
    queue.add_fresh(reading, newest, fresh(&[], after));
    assert_eq!(queue.take(1, 0, &mut Vec::new()).unwrap_err(), Want::Wait { until: None });
    queue.offer(ready(101));
    assert_claims(&queue, &[101]);
}

#[test]
fn a_read_that_sees_a_commit_before_the_queue_is_told_of_it_does_not_double_it() {
    let queue = reopened(99, 100);
    let (reading, _, newest) = begin_read(&queue);
    queue.add_fresh(reading, newest, fresh(&[100, 101, 102], 102));
    queue.offer(ready(101));
    queue.offer(ready(102));
    assert_claims(&queue, &[100, 101, 102]);
    queue.offer(ready(103));
    assert_claims(&queue, &[103]);
}

#[test]
fn one_read_at_a_time_and_it_outlives_whoever_asked_for_it() {
    let queue = reopened(99, 100);
    let (reading, _, newest) = begin_read(&queue);
    assert_eq!(queue.take(1, 0, &mut Vec::new()).unwrap_err(), Want::Wait { until: None });
    queue.add_fresh(reading, newest, fresh(&[100], 100));
    assert_claims(&queue, &[100]);
}

#[test]
fn a_read_that_failed_is_wanted_again() {
    let queue = reopened(99, 100);
    let (reading, after, _) = begin_read(&queue);
    queue.reading_failed(reading);
    assert_eq!(begin_read(&queue).1, after);
}

#[test]
fn what_is_settled_while_a_read_that_saw_it_unsettled_goes_on_is_not_claimed_again() {
    let queue = reopened(99, 100);
    let (reading, _, newest) = begin_read(&queue);
    queue.add_fresh(reading, newest, fresh(&[100], 100));
    let claims = assert_claims(&queue, &[100]);
    queue.set_active(false, false); // The cursor goes back: 100 has no outcome.
    queue.set_active(true, false);
    let Want::Retries { reading, .. } = queue.take(1, 0, &mut Vec::new()).unwrap_err() else { panic!("the retries were not read") };
    queue.add_retries(reading, Retries { found: Vec::new(), next_due: None });
    let (reading, after, newest) = begin_read(&queue);
    assert_eq!(after, 99);
    settle(&queue, &claims[0]);
    queue.add_fresh(reading, newest, fresh(&[100], 100));
    assert_claims(&queue, &[]);
}

#[test]
fn what_a_read_from_before_parking_finds_is_void() {
    let queue = reopened(99, 101);
    let (reading, _, newest) = begin_read(&queue);
    queue.set_active(false, false);
    queue.set_active(true, false);
    queue.add_fresh(reading, newest, fresh(&[100, 101], 101));
    assert_claims(&queue, &[]);
}

#[test]
fn the_frontier_never_runs_ahead_of_what_is_unsettled() {
    let queue = reopened(99, 99);
    for sequence in 100..=103 {
        queue.offer(ready(sequence));
    }
    assert_eq!(queue.frontier(), 99);
    let claims = queue.take(2, 0, &mut Vec::new()).unwrap();
    settle(&queue, &claims[1]);
    assert_eq!(queue.frontier(), 99);
    settle(&queue, &claims[0]);
    assert_eq!(queue.frontier(), 101);
    for claim in assert_claims(&queue, &[102, 103]) {
        settle(&queue, &claim);
    }
    assert_eq!(queue.frontier(), 103);
}
