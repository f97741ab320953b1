//! Faults on the way to a destination: resets, drips, silence, noise, names and certificates that lead nowhere.

use std::time::Duration;

use crate::harness::setup::one_destination;
use crate::harness::{Answer, Fault, Gate, Link, Receiver, Relay, Setup, eventually, free_address, reveal};

const CRM: (&str, &str) = ("destination", "crm");
/// Retries at once, and a circuit that stays closed.
const PATIENT: &str = "timeout: 1s, retry: { attempts: 1000, first: 20ms, factor: 1 }, circuit: { failures: 1000, cooldown: 1ms }";

/// So long that it cannot have been sent before a connection is cut off.
fn long(number: u64) -> String {
    format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(500_000))
}

/// Waits until attempts have failed, and returns what the first of them said.
async fn failure(relay: &Relay, id: &str) -> String {
    eventually("a failure is written down", async || relay.stored().attempts(id).into_iter().next().and_then(|attempt| attempt.error)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_at_any_place_is_tried_again() {
    // Each request has a connection of its own, so that each meets the fault.
    let receiver = Receiver::always(Answer::status(200).header("connection", "close").body("x".repeat(2000))).await;
    let link = Link::to(receiver.address).await;
    let relay = Setup::new(one_destination(&link.url("/crm"), PATIENT)).seen_by(&receiver).start().await;
    let faults = [
        (Fault::Reset, false),
        (Fault::Hang, false),
        (Fault::Noise, false),
        (Fault::ResetRequestAfter(10), false),
        (Fault::ResetRequestAfter(200_000), false),
        (Fault::ResetReplyAfter(5), true),
        (Fault::CloseReplyAfter(15), true),
        (Fault::Drip(Duration::from_millis(400)), true),
    ];
    for (number, (fault, arrives)) in (0..).zip(faults) {
        link.inject(fault);
        let before = receiver.count();
        let id = relay.webhook(long(number)).accepted().await;
        let error = failure(&relay, &id).await;
        assert!(!error.contains("127.0.0.1") && !error.contains("/crm"), "{fault:?}: an error names no URL: {error}");
        link.inject(Fault::Nothing);
        relay.wait_for_outcome("delivered", number + 1).await;
        // What the receiver took although nobody was told is sent again under the same name: at least once.
        let requests = receiver.requests().split_off(before);
        assert!(requests.iter().all(|request| request.webhook_id() == format!("{id}_crm")));
        let complete = requests.iter().filter(|request| request.answered.is_some()).count();
        assert!(if arrives { complete >= 2 } else { complete == 1 }, "{fault:?}: {complete} complete requests");
    }
    relay.metrics().await.assert_conserved();
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_slow_but_in_time_counts() {
    let receiver = Receiver::always(Answer::status(200)).await;
    let link = Link::to(receiver.address).await;
    link.inject(Fault::Drip(Duration::from_millis(10)));
    let keys = "timeout: 60s, retry: { attempts: 1 }";
    let relay = Setup::new(one_destination(&link.url("/crm"), keys)).seen_by(&receiver).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    relay.finish().await;
    assert_eq!(receiver.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_all_connections_in_flight_loses_and_repeats_no_more_than_those() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let link = Link::to(receiver.address).await;
    link.inject(Fault::ResetReplyAfter(1));
    let keys = "concurrency: 8, timeout: 60s, retry: { first: 1ms }, circuit: { failures: 1000, cooldown: 1ms }";
    let relay = Setup::new(one_destination(&link.url("/crm"), keys)).seen_by(&receiver).start().await;
    for number in 0..40 {
        relay.webhook(reveal(number)).accepted().await;
    }
    receiver.wait_for(8).await;
    link.inject(Fault::Nothing);
    gate.open();
    relay.wait_for_outcome("delivered", 40).await;
    relay.finish().await;
    assert_eq!(receiver.count(), 48, "the eight that were in flight are repeated, and no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_tried_until_the_rules_are_mended() {
    let receiver = Receiver::start().await;
    let wrong = one_destination("http://nowhere.invalid/s3cret-path", PATIENT);
    let mut relay = Setup::new(&wrong).seen_by(&receiver).start().await;
    let ids = [relay.webhook(reveal(1)).accepted().await, relay.webhook(reveal(2)).accepted().await];
    for id in &ids {
        let error = failure(&relay, id).await;
        assert!(error.contains("cannot connect") && error.contains("dns"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert_eq!(relay.metric("waiting", &[CRM]).await, 2);
    relay.write_rules(one_destination(&receiver.url("/crm"), PATIENT));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_speaks_no_tls_is_tried_until_the_rules_are_mended() {
    let receiver = Receiver::start().await;
    let plain = Link::to(receiver.address).await;
    let noisy = Link::to(receiver.address).await;
    noisy.inject(Fault::Noise);
    let silent = Link::to(receiver.address).await;
    silent.inject(Fault::Hang);
    for link in [&plain, &noisy, &silent] {
        let secure = link.url("/s3cret-path").replace("http:", "https:");
        // A port that speaks HTTP gets a request that is none, and does not know what to answer.
        let mut relay = Setup::new(one_destination(&secure, PATIENT)).seen_by(&receiver).start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        let error = failure(&relay, &id).await;
        assert!(!error.contains("s3cret") && !error.contains("127.0.0.1"), "{error}");
        assert_eq!(relay.stored().delivery(&id).state, "retrying");
        relay.write_rules(one_destination(&receiver.url("/crm"), PATIENT));
        relay.reloaded().await;
        relay.wait_for_outcome("delivered", 1).await;
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_goes_down_and_up_again_gets_everything_once() {
    let address = free_address();
    let mut relay = Setup::new(one_destination(&format!("http://{address}/crm"), PATIENT)).start().await;
    let mut numbers = 0..;
    for _ in 0..3 {
        for number in numbers.by_ref().take(5) {
            relay.webhook(reveal(number)).accepted().await;
        }
        eventually("it is found to be down", async || (relay.metric("waiting", &[CRM]).await > 0).then_some(())).await;
        let receiver = Receiver::on_listener(tokio::net::TcpListener::bind(address).await.unwrap());
        relay.watch(&receiver);
        relay.wait_for_metric("waiting", &[CRM], 0).await;
        assert_eq!(receiver.count(), 5);
    }
    relay.finish().await;
}
