//! Panics of the relay's own parts. None comes by itself, so each is caused in a build for development: the part that comes to a place
//! whose file lies in a folder takes that file away and panics (`src/fault.rs`).

use tempfile::TempDir;

use crate::harness::setup::one_destination;
use crate::harness::{Answer, Receiver, Relay, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");

/// What makes parts panic.
struct Panics(TempDir);

impl Panics {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn of(&self, setup: Setup) -> Setup {
        setup.env("WIZA_RELAY_TEST_PANICS", self.0.path().to_str().unwrap())
    }

    fn next(&self, place: &str) {
        std::fs::write(self.0.path().join(place), "").unwrap();
    }
}

async fn panics(relay: &Relay, part: &str) -> u64 {
    relay.metric("panics_total", &[("part", part)]).await
}

/// Waits until health says what was lost.
async fn lost(relay: &Relay, words: &str) {
    eventually("health fails", async || (relay.get("/healthz").await.0 == 503).then_some(())).await;
    let (_, text) = relay.get("/healthz").await;
    assert!(text.contains(words) && text.contains("needs a restart"), "{text}");
    assert_eq!(relay.metric("healthy", &[]).await, 0);
    assert_logged_without_its_message(relay);
}

fn assert_logged_without_its_message(relay: &Relay) {
    let log = relay.log();
    assert!(log.contains("panicked") && log.contains("src/fault.rs"), "{log}");
    assert!(!log.contains("s3cret-of-a-panic"), "a panic's message may quote anything: {log}");
}

/// Started again, it has everything that was acknowledged, and is well.
async fn restart(relay: &mut Relay) {
    relay.kill();
    relay.start_again().await;
    assert_eq!(relay.get("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_panics_has_failed_and_is_made_again() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let keys = "retry: { attempts: 3, first: 10ms }, circuit: { failures: 1, cooldown: 1h }";
    let mut relay = panicking.of(Setup::to(&receiver, keys)).start().await;
    panicking.next("attempt");
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(panics(&relay, "attempt").await, 1);
    assert_eq!(relay.metric("attempt_failures_total", &[CRM, ("reason", "internal")]).await, 1);
    assert_eq!(relay.get("/healthz").await.0, 200, "the next attempt is another one");
    assert_eq!(relay.delivery(&id).await.attempts, 2, "no restart was needed, and the breaker learnt nothing");
    let attempts = relay.stored().attempts(&id);
    assert!(attempts[0].error.as_ref().unwrap().contains("a bug"), "{attempts:?}");
    assert_logged_without_its_message(&relay);
    relay.metrics().await.assert_conserved();
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_panics_counts_against_the_limit_of_attempts() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let mut relay = panicking.of(Setup::to(&receiver, "retry: { attempts: 1 }")).start().await;
    panicking.next("attempt");
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let reason = relay.delivery(&id).await.last_error.unwrap();
    assert!(reason.contains("given up after 1 attempts") && reason.contains("a bug"), "{reason}");
    relay.metrics().await.assert_conserved();
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_panics_fails_the_health_and_harms_no_other() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let rules = format!(
        "destinations:\n  crm: {{ url: \"{}\" }}\n  other: {{ url: \"{}\" }}\nroutes:\n  - {{ name: one, when: data.id == 1, to: [crm] }}\n  - {{ name: others, when: data.id != 1, to: [other] }}\n",
        receiver.url("/crm"),
        receiver.url("/other")
    );
    let mut relay = panicking.of(Setup::new(rules).seen_by(&receiver)).start().await;
    panicking.next("lane");
    // Its claim wakes this lane and no other.
    relay.webhook(reveal(1)).accepted().await;
    lost(&relay, "the lane of `crm`").await;
    assert_eq!(panics(&relay, "lane").await, 1);
    relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 1).await;
    assert_eq!(relay.get("/readyz").await.0, 200, "webhooks can still be stored");
    restart(&mut relay).await;
    relay.webhook(reveal(1).replace("finished", "failed")).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.kill();
    relay.assert_everything_arrived();
    relay.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_refuses_webhooks_and_loses_nothing() {
    let (panicking, receiver) = (Panics::new(), Receiver::always(Answer::status(503)).await);
    let mut relay = panicking.of(Setup::to(&receiver, "retry: { first: 1h }")).start().await;
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    panicking.next("store_writer");
    lost(&relay, "store_writer").await;
    assert_eq!(panics(&relay, "store_writer").await, 1);
    let refused = relay.webhook(reveal(100)).send().await;
    refused.assert_problem(503, "panicked");
    refused.assert_retry_after();
    let (status, text) = relay.get("/readyz").await;
    assert_eq!(status, 503, "{text}");
    restart(&mut relay).await;
    assert_eq!(relay.metric("waiting", &[CRM]).await, 20, "all that was acknowledged, and no more");
    relay.kill();
    relay.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_the_store_that_panics_fails_the_health() {
    let (panicking, receiver) = (Panics::new(), Receiver::always(Answer::status(503)).await);
    let keys = "retry: { first: 1ms, factor: 1, attempts: 1000 }, circuit: { failures: 1000, cooldown: 1ms }";
    let mut relay = panicking.of(Setup::to(&receiver, keys)).start().await;
    panicking.next("store_read");
    // A retry is read back from the store.
    relay.webhook(reveal(1)).accepted().await;
    lost(&relay, "store_read").await;
    assert_eq!(panics(&relay, "store_read").await, 1);
    receiver.become_always(Answer::status(200));
    restart(&mut relay).await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.kill();
    relay.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_panics_is_answered_and_fails_the_health_and_deliveries_go_on() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let mut relay = panicking.of(Setup::to(&receiver, "")).start().await;
    panicking.next("reloader");
    let (status, answer) = relay.post("/-/reload").await;
    assert_eq!(status, 500, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("a bug"), "{answer}");
    lost(&relay, "what reloads the rules").await;
    assert_eq!(panics(&relay, "reloader").await, 1);
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.write_rules(one_destination(&receiver.url("/crm2"), ""));
    relay.reloaded().await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_panics_fails_the_health() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let mut relay = panicking.of(Setup::to(&receiver, "")).start().await;
    assert_eq!(relay.get("/healthz").await.0, 200, "the client keeps this connection, so the next one is for webhooks");
    panicking.next("listener");
    let _ = tokio::net::TcpStream::connect(relay.webhooks).await;
    lost(&relay, "the listener of the webhook port").await;
    assert_eq!(relay.get("/readyz").await.0, 503, "no webhook can come");
    assert_eq!(panics(&relay, "listener").await, 1);
    eventually("the port is closed", async || tokio::net::TcpStream::connect(relay.webhooks).await.is_err().then_some(())).await;
    restart(&mut relay).await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_panics_is_answered_and_the_next_one_is_served() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let mut relay = panicking.of(Setup::to(&receiver, "")).start().await;
    panicking.next("request");
    let reply = relay.webhook(reveal(1)).send().await;
    assert_eq!(reply.status, 500, "Wiza repeats it: {reply:?}");
    assert_eq!(panics(&relay, "request").await, 1);
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.get("/healthz").await.0, 200);
    assert_logged_without_its_message(&relay);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_books_that_panics_fails_the_health() {
    let (panicking, receiver) = (Panics::new(), Receiver::start().await);
    let mut relay = panicking.of(Setup::to(&receiver, "").flag("audit-interval", "1s")).start().await;
    panicking.next("audit");
    lost(&relay, "what checks the books").await;
    assert_eq!(panics(&relay, "audit").await, 1);
    relay.kill();
}
