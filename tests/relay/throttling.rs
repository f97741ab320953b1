//! What a reply says of time counts: throttles, maintenance, and what receivers mean by statuses of their own.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::harness::setup::one_destination;
use crate::harness::{Answer, Limiter, Receiver, Relay, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");

async fn post(relay: &Relay, count: u64) {
    for number in 0..count {
        relay.webhook(reveal(number)).accepted().await;
    }
}

/// Takes one request a second and says of the others when the next one may come.
fn one_a_second(says: impl Fn() -> Answer + Send + Sync + 'static) -> impl Fn() -> Answer + Send + Sync + 'static {
    let last: Mutex<Option<Instant>> = Mutex::default();
    move || {
        let mut last = last.lock().unwrap();
        if last.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            return says();
        }
        *last = Some(Instant::now());
        Answer::status(200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_with_a_time_costs_no_attempts_and_little_more_than_one_request_an_event() {
    const EVENTS: u64 = 12;
    let limiter = one_a_second(|| Answer::status(429).header("retry-after", 1));
    let receiver = Receiver::scripted(move |_, _| limiter()).await;
    // Two attempts and a long back-off: an event whose throttles counted would be dead, or wait for an hour.
    let keys = "concurrency: 4, retry: { attempts: 2, first: 1h, max: 2h }, circuit: { failures: 2, cooldown: 1h }";
    let relay = Setup::to(&receiver, keys).start().await;
    post(&relay, EVENTS).await;
    relay.wait_for_outcome("delivered", EVENTS).await;
    let metrics = relay.metrics().await;
    let throttled = metrics.get("attempt_failures_total", &[CRM, ("reason", "throttled")]);
    assert_eq!(metrics.get("attempts_total", &[CRM, ("result", "retried")]), throttled, "each throttled attempt is counted as what it was");
    relay.finish().await;
    let requests = receiver.count() as u64;
    assert_eq!(requests, EVENTS + throttled);
    assert!(throttled > 0 && requests <= 2 * EVENTS + 4, "{requests} requests for {EVENTS} events");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rest_one_attempt_goes_first() {
    let gate = crate::harness::Gate::new();
    let waits = gate.clone();
    let receiver = Receiver::scripted(move |_, number| match number {
        0 => Answer::status(503).header("retry-after", 1),
        1 => Answer::status(200).behind(&waits),
        _ => Answer::status(200),
    })
    .await;
    let relay = Setup::to(&receiver, "concurrency: 1, retry: { first: 1ms }").start().await;
    post(&relay, 1).await;
    relay.wait_for_metric("held", &[CRM, ("reason", "retry_after")], 1).await;
    let mut relay = relay;
    relay.write_rules(one_destination(&receiver.url("/crm"), "concurrency: 8, retry: { first: 1ms }"));
    relay.reloaded().await;
    for number in 1..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    receiver.wait_for(2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(receiver.count(), 2, "the first after a rest is alone until it is answered");
    gate.open();
    relay.finish().await;
    assert!(receiver.parallel_max() > 1, "then there are more at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_status_a_time_means_again() {
    for status in [302, 304, 404, 409, 410, 413, 423, 451, 700] {
        let receiver = Receiver::answering([Answer::status(status).header("retry-after", 1)]).await;
        let relay = Setup::to(&receiver, "concurrency: 1, retry: { first: 1ms, attempts: 2 }").start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        receiver.wait_for(1).await;
        relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 1).await;
        assert_eq!(relay.metric("held", &[CRM, ("reason", "retry_after")]).await, 0, "{status} speaks of this delivery alone");
        // Another one does not wait for it.
        relay.webhook(reveal(2)).accepted().await;
        relay.wait_for_outcome("delivered", 2).await;
        assert_eq!(relay.delivery(&id).await.attempts, 2, "{status}");
        let requests = receiver.requests();
        assert_eq!(requests.len(), 3, "{status}");
        let again = requests.iter().rfind(|request| request.webhook_id().starts_with(&id)).unwrap();
        assert!(again.at.duration_since(requests[0].at) >= Duration::from_millis(950), "{status} came again too early");
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn misdirected_and_unknown_statuses_are_tried_again_like_any_failure() {
    let receiver = Receiver::answering([421, 600, 999].map(Answer::status)).await;
    let relay = Setup::to(&receiver, "retry: { first: 1ms, factor: 1 }").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let statuses: Vec<_> = relay.stored().attempts(&id).iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [421, 600, 999].map(Some));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_modified_is_told_as_what_it_is() {
    let receiver = Receiver::always(Answer::status(304)).await;
    let relay = Setup::to(&receiver, "").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let told = relay.delivery(&id).await.last_error.unwrap();
    assert_eq!(told, "status 304: the destination says that nothing was modified, and took nothing");
    assert_eq!(relay.metric("attempt_failures_total", &[CRM, ("reason", "redirect")]).await, 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_mean_later_here_are_tried_again() {
    let answers = [302, 404, 410, 403].map(Answer::status);
    let receiver = Receiver::answering(answers).await;
    let routes = format!(
        "defaults: {{ retry: {{ on: [302, 404] }} }}
destinations:
  crm: {{ url: '{}', concurrency: 1, retry: {{ first: 1ms, factor: 1, on: [302, 404, 410, 403] }}, circuit: {{ failures: 10 }} }}
routes: [{{ name: everything, to: [crm] }}]",
        receiver.url("/")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.delivery(&id).await.attempts, 5, "each counts");
    let metrics = relay.metrics().await;
    assert_eq!(metrics.get("circuit_open", &[CRM]), 0, "neither refused nor gone");
    assert_eq!(metrics.get("attempt_failures_total", &[CRM, ("reason", "throttled")]), 4);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_throttled_delivery_is_dead_and_says_why() {
    let receiver = Receiver::always(Answer::status(429).header("retry-after", 1)).await;
    let relay = Setup::to(&receiver, "concurrency: 1, retry: { attempts: 1, first: 1ms, deadline: 2500ms }").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!(delivery.last_error.unwrap(), "given up at the deadline of 2s 500ms, the last: status 429");
    assert!((2..=4).contains(&receiver.count()), "{}", receiver.count());
    relay.finish().await;
}

/// Real limiters of one request a second, or two in two: what they say is understood, nothing dies, and few requests are
/// refused.
async fn through(program: &str, retry: &str) {
    const EVENTS: u64 = 8;
    let Some(limiter) = Limiter::start(program).await else { return };
    let keys = format!("concurrency: 8, retry: {{ {retry} }}, circuit: {{ failures: 1000 }}");
    let mut relay = Setup::new(one_destination(&limiter.url(), &keys)).start().await;
    post(&relay, EVENTS).await;
    eventually(&format!("{program} takes all"), async || {
        let metrics = relay.metrics().await;
        assert_eq!(metrics.get("deliveries_total", &[CRM, ("outcome", "dead")]), 0, "{program}");
        (metrics.get("deliveries_total", &[CRM, ("outcome", "delivered")]) == EVENTS).then_some(())
    })
    .await;
    let throttled = relay.metric("attempt_failures_total", &[CRM, ("reason", "throttled")]).await;
    let attempts = relay.metric("attempt_seconds_count", &[CRM]).await;
    assert_eq!(attempts, EVENTS + throttled, "{program}: nothing failed in another way");
    // The first rest finds up to seven under way, and so many each that is behind a rest.
    assert!(throttled > 0 && throttled <= 8 + 2 * EVENTS, "{program}: {throttled} throttled of {attempts}");
    relay.kill();
    relay.assert_balanced().await;
    let attempted: HashSet<u32> = relay.accepted().iter().map(|id| relay.stored().delivery(id).attempts).collect();
    if !program.starts_with("django") {
        assert_eq!(attempted, HashSet::from([1]), "{program}: no throttle used up an attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_koa_ratelimit_which_says_retry_after_0() {
    through("koa.mjs", "first: 300ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_express_rate_limit() {
    through("express.mjs", "first: 1m").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_fastify_rate_limit() {
    through("fastify.mjs", "first: 1m").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_litestar_which_says_ratelimit_reset() {
    through("litestar_app.py", "first: 1m").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_slowapi_which_says_a_date_that_ends_in_minus_0000() {
    through("slowapi_app.py", "first: 1m").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_django_ratelimit_which_says_403_and_nothing_of_time() {
    through("django_app.py", "first: 300ms, on: [403]").await;
}
