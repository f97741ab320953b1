//! A destination that refuses every event costs a known number of them, and the others wait until it is mended.

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, one_destination, reveal};

const CRM: (&str, &str) = ("destination", "crm");

async fn post(relay: &Relay, numbers: std::ops::Range<u64>) {
    for number in numbers {
        relay.webhook(reveal(number)).accepted().await;
    }
}

async fn dead(relay: &Relay) -> u64 {
    relay.metric("deliveries_total", &[CRM, ("outcome", "dead")]).await
}

/// Waits until the circuit is open because of refusals.
async fn opened(relay: &Relay) {
    relay.wait_for_metric("held", &[CRM, ("reason", "refusals")], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_events_are_refused_and_the_others_wait_over_probes_and_a_restart() {
    let receiver = Receiver::always(Answer::status(422).body("no such property: emial")).await;
    let mut relay = Setup::to(&receiver, "concurrency: 8, retry: { first: 1ms }, circuit: { cooldown: 100ms }").start().await;
    post(&relay, 0..200).await;
    opened(&relay).await;
    // The first twenty, what was on its way when it opened, and probes: these cost nothing.
    receiver.wait_for(20 + 7 + 5).await;
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    assert_eq!((metrics.get("deliveries_total", &[CRM, ("outcome", "dead")]), metrics.get("waiting", &[CRM])), (20, 180));
    assert_eq!((metrics.get("circuit_open", &[CRM]), metrics.get("held", &[CRM, ("reason", "circuit")])), (1, 0));
    let stands = &relay.listed(&["destinations"]).await[0];
    assert_eq!((stands["circuit"].as_str(), stands["opened_by"].as_str()), (Some("open"), Some("refusals")));
    let put_back = relay.listed(&["deliveries", "--status", "retrying", "--limit", "0"]).await;
    assert!(!put_back.is_empty() && put_back.iter().all(|delivery| delivery["attempts"] == 0), "{put_back:?}");

    relay.terminate().await;
    let log = relay.log();
    assert_eq!(log.matches(" circuit breaker ").count(), 1, "it opened once: {log}");
    let before = receiver.count();
    relay.start_again().await;
    opened(&relay).await;
    receiver.wait_for(before + 3).await;
    assert_eq!(dead(&relay).await, 20, "a restart costs no event");

    receiver.become_always(Answer::status(200));
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 180).await;
    assert_eq!(relay.metric("circuit_open", &[CRM]).await, 0);
    assert_eq!(relay.ask(&["redrive", "--all", "--yes", "--rate", "0"]).await.code, Some(0));
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 200).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_mapping_is_tried_at_once_and_everything_that_waited_goes() {
    let receiver = Receiver::scripted(|request, _| Answer::status(if request.path == "/contacts" { 200 } else { 404 })).await;
    let to = |path: &str| one_destination(&receiver.url(path), "retry: { first: 1ms }, circuit: { cooldown: 1h }");
    let mut relay = Setup::new(to("/contcats")).seen_by(&receiver).start().await;
    post(&relay, 0..60).await;
    opened(&relay).await;
    // One that is still wrong costs nothing either.
    relay.write_rules(to("/conatcts"));
    relay.reloaded().await;
    eventually("a probe goes", async || receiver.requests().iter().any(|request| request.path == "/conatcts").then_some(())).await;
    opened(&relay).await;
    assert_eq!(dead(&relay).await, 20);
    relay.write_rules(to("/contacts"));
    relay.reloaded().await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 40).await;
    assert_eq!((dead(&relay).await, relay.metric("circuit_open", &[CRM]).await), (20, 0));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_one_that_still_refuses_costs_as_many_again() {
    let receiver = Receiver::always(Answer::status(404)).await;
    let relay = Setup::to(&receiver, "retry: { first: 1ms }, circuit: { refusals: 5, cooldown: 1h }").start().await;
    post(&relay, 0..30).await;
    opened(&relay).await;
    assert_eq!(dead(&relay).await, 5);
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "dead")], 10).await;
    opened(&relay).await;
    assert_eq!(dead(&relay).await, 10);
    receiver.become_always(Answer::status(200));
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 20).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_every_fifth_event_stays_closed() {
    let receiver = Receiver::scripted(|_, number| Answer::status(if number % 5 == 4 { 422 } else { 200 })).await;
    let relay = Setup::to(&receiver, "circuit: { cooldown: 1h }").start().await;
    post(&relay, 0..150).await;
    relay.wait_for_outcome("delivered", 120).await;
    relay.wait_for_outcome("dead", 30).await;
    assert!(!relay.log().contains("circuit breaker"), "{}", relay.log());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_switched_off_all_of_them_are_dead() {
    let receiver = Receiver::always(Answer::status(422)).await;
    let relay = Setup::to(&receiver, "circuit: { refusals: 0, cooldown: 1h }").start().await;
    post(&relay, 0..60).await;
    relay.wait_for_outcome("dead", 60).await;
    assert_eq!(relay.metric("circuit_open", &[CRM]).await, 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_of_which_no_request_can_be_made_costs_no_more_events() {
    let receiver = Receiver::start().await;
    let keys = |field: &str| format!("retry: {{ first: 1ms }}, circuit: {{ cooldown: 100ms }}, body: {{ id: '{{{{ data.{field} }}}}' }}");
    let mut relay = Setup::to(&receiver, &keys("nobody_sends_this")).start().await;
    post(&relay, 0..50).await;
    opened(&relay).await;
    relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 3).await;
    assert_eq!((dead(&relay).await, relay.metric("waiting", &[CRM]).await, receiver.count()), (20, 30, 0));
    relay.write_rules(one_destination(&receiver.url("/"), &keys("id")));
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 30).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_stay_in_order_while_nothing_is_taken() {
    let receiver = Receiver::always(Answer::status(422)).await;
    let keys = "order_by: $.data.line, retry: { first: 1ms }, circuit: { refusals: 4, cooldown: 100ms }, body: { number: $.data.number }";
    let relay = Setup::to(&receiver, keys).start().await;
    for number in 0..12 {
        relay.webhook(format!(r#"{{"type":"x","data":{{"id":{number},"line":"one","number":{number}}}}}"#)).accepted().await;
    }
    opened(&relay).await;
    let probes = receiver.wait_for(4 + 3).await;
    let numbers = |requests: &[crate::harness::Request]| -> Vec<u64> {
        requests.iter().map(|request| request.json()["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&probes)[..4], [0, 1, 2, 3]);
    assert!(numbers(&probes)[4..].iter().all(|number| *number == 4), "the first of the line is the probe: {:?}", numbers(&probes));
    receiver.become_always(Answer::status(200));
    relay.wait_for_outcome("delivered", 8).await;
    let taken: Vec<_> = receiver.requests().into_iter().filter(|request| request.answered == Some(200)).collect();
    assert_eq!(numbers(&taken), [4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(dead(&relay).await, 4);
    relay.finish().await;
}
