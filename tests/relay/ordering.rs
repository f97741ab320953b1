//! `order_by`: deliveries of one key go one at a time, in the order of acceptance, and other keys pass by.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::{Answer, Receiver, Relay, Request, Setup, eventually, one_destination, reveal};

/// An event number `number` of a person.
fn event(person: u64, number: u64) -> String {
    format!(r#"{{"type":"individual_reveal","data":{{"id":{person},"number":{number}}}}}"#)
}

fn parts(request: &Request) -> (u64, u64) {
    let mut parts = request.path.rsplit('/').map(|part| part.parse().unwrap());
    let number = parts.next().unwrap();
    (parts.next().unwrap(), number)
}

/// Everything goes to `crm`, whose URL tells the person and the number.
fn to(receiver: &Receiver, keys: &str) -> Setup {
    Setup::new(one_destination(&receiver.url("/{{ data.id }}/{{ data.number }}"), keys)).seen_by(receiver)
}

/// What came of each person, in the order in which it came.
fn by_person(requests: &[Request]) -> BTreeMap<u64, Vec<&Request>> {
    let mut found: BTreeMap<u64, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        found.entry(parts(request).0).or_default().push(request);
    }
    found
}

/// Makes sure that no person's event was sent before the one before it had arrived.
#[track_caller]
fn assert_in_order(requests: &[Request]) {
    for (person, requests) in by_person(requests) {
        let numbers: Vec<u64> = requests.iter().map(|request| parts(request).1).collect();
        assert!(numbers.is_sorted(), "person {person}: {numbers:?}");
        for pair in requests.windows(2) {
            let next = parts(pair[1]).1 != parts(pair[0]).1;
            assert!(!next || pair[0].answered == Some(200), "person {person}: {} was sent on {:?}", parts(pair[1]).1, pair[0].answered);
        }
    }
}

const KEYS: &str =
    "order_by: $.data.id, concurrency: 8, retry: { attempts: 100, first: 20ms, factor: 1 }, circuit: { failures: 100000, cooldown: 1ms }";

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_events_go_one_at_a_time_over_retries_and_others_pass_by() {
    let receiver =
        Receiver::scripted(|_, number| Answer::status(if number % 3 == 0 { 500 } else { 200 }).after(Duration::from_millis(5))).await;
    let relay = to(&receiver, KEYS).start().await;
    for number in 0..12 {
        for person in 0..10 {
            relay.webhook(event(person, number)).accepted().await;
        }
    }
    relay.wait_for_outcome("delivered", 120).await;
    relay.finish().await;
    let requests = receiver.requests();
    assert_in_order(&requests);
    assert!(receiver.parallel_max() > 2, "ten persons at a time");
    for (person, requests) in by_person(&requests) {
        for pair in requests.windows(2) {
            assert!(pair[1].at.duration_since(pair[0].at) >= Duration::from_millis(5), "person {person}: two at the same time");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stuck_holds_its_own_key_and_no_other_and_memory_does_not_care() {
    let stuck = Receiver::scripted(|request, _| Answer::status(if parts(request).0 == 1 { 500 } else { 200 })).await;
    let relay = to(&stuck, "order_by: $.data.id, retry: { first: 1h, max: 1h, attempts: 5 }").start().await;
    const HELD: u64 = 1500; // Three windows of them.
    for number in 0..HELD {
        relay.webhook(event(1, number)).accepted().await;
    }
    for person in 2..30 {
        relay.webhook(event(person, 0)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 28).await;
    assert_eq!(by_person(&stuck.requests())[&1].len(), 1, "the others of the key were not attempted");
    assert_eq!(relay.metric("waiting", &[("destination", "crm")]).await, HELD);
    relay.assert_balanced().await;
    let waiting = relay.listed(&["deliveries", "--status", "waiting", "--limit", "0"]).await;
    assert_eq!(waiting.len() as u64, HELD - 1);
    drop(relay_killed(relay).await);
}

async fn relay_killed(mut relay: Relay) -> Relay {
    relay.kill();
    relay
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_lets_the_next_go_and_comes_back_behind_what_is_under_way() {
    let receiver = Receiver::scripted(|request, _| Answer::status(if parts(request).1 == 0 { 404 } else { 200 })).await;
    let relay = to(&receiver, "order_by: $.data.id, concurrency: 4").start().await;
    for number in 0..5 {
        relay.webhook(event(1, number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 4).await;
    let numbers: Vec<u64> = receiver.requests().iter().map(|request| parts(request).1).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    receiver.become_always(Answer::status(200));
    assert_eq!(relay.ask(&["redrive", "--all", "--yes"]).await.code, Some(0));
    relay.wait_for_outcome("delivered", 5).await;
    relay.webhook(event(1, 5)).accepted().await;
    relay.wait_for_outcome("delivered", 6).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_the_key_wait_for_nobody() {
    let receiver = Receiver::always(Answer::status(200).after(Duration::from_millis(200))).await;
    let relay = Setup::to(&receiver, "order_by: $.data.nothing_like_it, concurrency: 8").start().await;
    for number in 0..8 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.finish().await;
    assert!(receiver.parallel_max() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_holds_over_kill_9_and_nothing_is_lost() {
    let rounds: u64 = std::env::var("KILL_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap());
    let receiver =
        Receiver::scripted(|_, number| Answer::status(if number % 4 == 0 { 503 } else { 200 }).after(Duration::from_millis(2))).await;
    let mut relay = to(&receiver, KEYS).start().await;
    let mut total = 0;
    for round in 0..rounds {
        let before = receiver.count();
        for number in 0..20 {
            for person in 0..5 {
                relay.webhook(event(person, round * 20 + number)).accepted().await;
                total += 1;
            }
        }
        let some = before + usize::try_from(round % 10).unwrap() * 7;
        eventually("some are sent", async || (receiver.count() > some).then_some(())).await;
        relay.kill();
        relay.assert_balanced().await;
        relay.start_again().await;
    }
    relay.wait_for_outcome("delivered", total).await;
    relay.finish().await;
    // After a kill what was under way is repeated, and so may come again behind itself; but nothing overtakes.
    for (person, requests) in by_person(&receiver.requests()) {
        let mut arrived = 0;
        for request in requests {
            let number = parts(request).1;
            assert!(number <= arrived, "person {person}: {number} came when {arrived} was next");
            if request.answered == Some(200) && number == arrived {
                arrived += 1;
            }
        }
        assert_eq!(arrived, rounds * 20, "person {person}");
    }
}
