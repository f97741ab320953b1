//! When a destination is left alone, and how it comes back.

use std::time::Duration;

use crate::harness::{Answer, Gate, Receiver, Relay, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");

async fn post(relay: &Relay, numbers: std::ops::Range<u64>) {
    for number in numbers {
        relay.webhook(reveal(number)).accepted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_failures_in_a_row_it_rests_is_probed_and_everything_arrives() {
    let failing = (0..5).map(|_| Answer::status(500));
    let receiver = Receiver::answering(failing).await;
    let keys = "concurrency: 1, retry: { first: 1ms, factor: 1, attempts: 9 }, circuit: { failures: 3, cooldown: 1s }";
    let relay = Setup::to(&receiver, keys).start().await;
    post(&relay, 0..6).await;
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    relay.finish().await;
    let requests = receiver.requests();
    // Three failures open it; two probes fail; the third succeeds, and then come the other five.
    assert_eq!(requests.len(), 5 + 6, "an outage burns no attempts");
    for probe in 3..=5 {
        let rest = requests[probe].at.duration_since(requests[probe - 1].at);
        assert!(rest > Duration::from_millis(900), "request {probe} came after {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_alone() {
    let gate = Gate::new();
    let waits = gate.clone();
    let receiver = Receiver::scripted(move |_, number| match number {
        0..8 => Answer::status(500),
        _ => Answer::status(200).behind(&waits),
    })
    .await;
    let keys = "concurrency: 8, retry: { first: 1ms, factor: 1 }, circuit: { failures: 8, cooldown: 500ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    post(&relay, 0..20).await;
    let opened = eventually("the circuit opens", async || {
        let open = relay.metric("circuit_open", &[CRM]).await == 1;
        open.then(|| receiver.count())
    })
    .await;
    // Attempts that were on their way when it opened may still come in.
    assert!(opened <= 8 + 7, "{opened}");
    relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 8).await;
    let before = receiver.wait_for(9).await.len();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let late = receiver.count() - before;
    assert!(late == 0, "{late} more requests came while the probe was unanswered");
    gate.open();
    relay.finish().await;
    assert_eq!(receiver.count(), 8 + 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_opens_it_at_once_and_costs_no_event() {
    for status in [401, 403, 407] {
        let receiver = Receiver::always(Answer::status(status)).await;
        let other = Receiver::start().await;
        let routes = format!(
            "destinations:
  crm: {{ url: '{}', concurrency: 1, retry: {{ first: 1ms }}, circuit: {{ failures: 100, cooldown: 500ms }} }}
  other: {{ url: '{}' }}
routes: [{{ name: everything, to: [crm, other] }}]",
            receiver.url("/"),
            other.url("/")
        );
        let relay = Setup::new(routes).seen_by(&receiver).seen_by(&other).start().await;
        post(&relay, 0..5).await;
        relay.wait_for_metric("circuit_open", &[CRM], 1).await;
        relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 5).await;
        let metrics = relay.metrics().await;
        assert_eq!(metrics.get("circuit_open", &[("destination", "other")]), 0);
        assert_eq!(metrics.get("deliveries_total", &[CRM, ("outcome", "dead")]), 0);
        assert_eq!(metrics.get("waiting", &[CRM]), 5);
        receiver.become_always(Answer::status(200));
        relay.wait_for_metric("circuit_open", &[CRM], 0).await;
        relay.finish().await;
        let requests = receiver.requests();
        let rest = requests[1].at.duration_since(requests[0].at);
        assert!(rest > Duration::from_millis(450), "{status}: {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_is_dead_and_nothing_more_is_sent() {
    let receiver = Receiver::always(Answer::status(410)).await;
    let keys = "concurrency: 1, circuit: { failures: 100, cooldown: 50ms }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    let first = relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    assert_eq!(relay.metric("circuit_open", &[CRM]).await, 1);
    post(&relay, 1..4).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.count(), 1, "it stays shut however long the cooldown is past");
    let delivery = relay.delivery(&first).await;
    assert_eq!((delivery.state, delivery.attempts), ("dead", 1));
    assert!(delivery.last_error.unwrap().contains("410"));
    let metrics = relay.metrics().await;
    assert_eq!((metrics.get("waiting", &[CRM]), metrics.get("circuit_open", &[CRM])), (3, 1));
    // What waited is not lost.
    assert_eq!(relay.terminate().await.code(), Some(0));
    receiver.become_always(Answer::status(200));
    relay.start_again().await;
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    relay.finish().await;
    assert_eq!(receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_that_names_a_time_is_no_failure() {
    let receiver = Receiver::answering((0..3).map(|_| Answer::status(429).header("retry-after", "1"))).await;
    let relay = Setup::to(&receiver, "concurrency: 1, circuit: { failures: 1, cooldown: 1h }").start().await;
    relay.webhook(reveal(0)).accepted().await;
    relay.finish().await;
    assert_eq!(receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_never_pleases_does_not_open_it() {
    let receiver = Receiver::always(Answer::status(422)).await;
    let relay = Setup::to(&receiver, "circuit: { failures: 1, cooldown: 1h }").start().await;
    post(&relay, 0..10).await;
    relay.wait_for_outcome("dead", 10).await;
    assert_eq!(relay.metric("circuit_open", &[CRM]).await, 0);
    relay.finish().await;
    assert_eq!(receiver.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_neither_opens_nor_closes_it() {
    let receiver = Receiver::answering((0..2).map(|_| Answer::status(500))).await;
    let keys = "concurrency: 1, body: { id: '{{ data.id }}' }, retry: { first: 1ms }, circuit: { failures: 2, cooldown: 1s }";
    let relay = Setup::to(&receiver, keys).start().await;
    relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    for number in 0..3 {
        relay.webhook(format!("{{\"no id\":{number}}}")).accepted().await;
    }
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    let rest = requests[2].at.duration_since(requests[1].at);
    assert!(rest > Duration::from_millis(900), "{rest:?}");
}
