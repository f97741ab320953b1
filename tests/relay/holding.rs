//! What holds a destination back survives a restart, and can be set and ended by hand.

use std::time::Duration;

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");

/// Far more than it takes to send what may be sent.
const WHILE: Duration = Duration::from_millis(700);

async fn circuit(relay: &Relay) -> String {
    relay.listed(&["destinations"]).await[0]["circuit"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_by_hand_nothing_is_attempted_also_after_a_kill_until_it_is_resumed() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let paused = relay.ask(&["pause", "crm"]).await;
    assert_eq!((paused.code, paused.output.as_str()), (Some(0), "crm is paused: 0 waiting; `wiza-relay resume crm` goes on\n"));
    eventually("the lane knows", async || (relay.metric("circuit_open", &[CRM]).await == 1).then_some(())).await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    tokio::time::sleep(WHILE).await;
    assert_eq!((receiver.count(), circuit(&relay).await.as_str()), (0, "paused"));
    relay.kill();
    relay.start_again().await;
    relay.webhook(reveal(5)).accepted().await;
    tokio::time::sleep(WHILE).await;
    assert_eq!(receiver.count(), 0, "a restart does not end a pause");
    assert_eq!((relay.metric("circuit_open", &[CRM]).await, relay.metric("waiting", &[CRM]).await), (1, 6));
    let resumed = relay.ask(&["resume", "crm"]).await;
    assert_eq!((resumed.code, resumed.output.as_str()), (Some(0), "crm was paused and goes on: 6 waiting\n"));
    relay.wait_for_outcome("delivered", 6).await;
    assert_eq!((circuit(&relay).await.as_str(), relay.metric("circuit_open", &[CRM]).await), ("closed", 0));
    relay.finish().await;
    assert_eq!(receiver.count(), 6, "no attempt was used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_in_flight_does_not_end_a_pause() {
    let gate = crate::harness::Gate::new();
    let waits = gate.clone();
    let receiver = Receiver::scripted(move |_, _| Answer::status(200).behind(&waits)).await;
    let relay = Setup::to(&receiver, "concurrency: 1").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.webhook(reveal(2)).accepted().await;
    receiver.wait_for(1).await;
    relay.ask(&["pause", "crm"]).await;
    gate.open();
    relay.wait_for_outcome("delivered", 1).await;
    tokio::time::sleep(WHILE).await;
    assert_eq!(receiver.count(), 1, "what was in flight ended, and nothing more began");
    relay.ask(&["resume", "crm"]).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_said_410_stays_alone_over_a_restart_until_it_is_resumed() {
    let receiver = Receiver::answering([Answer::status(410)]).await;
    let mut relay = Setup::to(&receiver, "concurrency: 1").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    eventually("it is kept", async || (circuit(&relay).await == "gone").then_some(())).await;
    relay.kill();
    relay.start_again().await;
    relay.webhook(reveal(2)).accepted().await;
    tokio::time::sleep(WHILE).await;
    assert_eq!((receiver.count(), circuit(&relay).await.as_str()), (1, "gone"));
    relay.ask(&["resume", "crm"]).await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.ask(&["redrive", "--all", "--yes"]).await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_and_a_hold_survive_a_kill() {
    let open = Answer::status(500);
    let held = Answer::status(429).header("retry-after", 3600);
    for (answer, keys, shown) in [
        (open, "circuit: { failures: 1, cooldown: 1h }, retry: { first: 1ms, max: 10ms }", "open_until"),
        (held, "retry: { first: 1ms, max: 2h }", "hold_until"),
    ] {
        let receiver = Receiver::always(answer).await;
        let mut relay = Setup::to(&receiver, &format!("concurrency: 1, {keys}")).start().await;
        relay.webhook(reveal(1)).accepted().await;
        eventually("it is kept", async || relay.listed(&["destinations"]).await[0][shown].is_string().then_some(())).await;
        let before = receiver.count();
        relay.kill();
        relay.start_again().await;
        relay.webhook(reveal(2)).accepted().await;
        tokio::time::sleep(WHILE).await;
        assert_eq!(receiver.count(), before, "{shown}: a restart ended it");
        receiver.become_always(Answer::status(200));
        relay.ask(&["resume", "crm"]).await;
        // The first was to be tried again in an hour only; the second knows nothing of it.
        relay.wait_for_outcome("delivered", if shown == "open_until" { 2 } else { 1 }).await;
        relay.kill();
        relay.assert_balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_gets_a_probe_a_cooldown_and_then_the_whole_backlog_at_the_allowed_rate() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys =
        "concurrency: 4, rate_limit: 200/s, retry: { first: 1ms, factor: 1, attempts: 12 }, circuit: { failures: 4, cooldown: 200ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    let started = std::time::Instant::now();
    for number in 0..300 {
        relay.webhook(reveal(number)).accepted().await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let cooldowns = usize::try_from(started.elapsed().as_millis() / 200).unwrap();
    let attempts = receiver.count();
    // Before it opened, four in a row and those that were on their way.
    assert!(attempts <= 4 + 4 + cooldowns, "{attempts} attempts in {cooldowns} cooldowns");
    assert!(attempts > 10, "but probes there were: {attempts}");
    receiver.become_always(Answer::status(200));
    relay.wait_for_outcome("delivered", 300).await;
    let arrived: Vec<_> = receiver.requests()[attempts..].iter().map(|request| request.at).collect();
    let took = arrived.last().unwrap().duration_since(arrived[1]);
    assert!(took > Duration::from_millis(1000), "the rate limit holds: 300 in {took:?}");
    assert_eq!(relay.metric("deliveries_total", &[CRM, ("outcome", "dead")]).await, 0, "the outage burned nobody's attempts");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_leaves_the_file_is_no_alarm_any_more() {
    let (crm, other) = (Receiver::always(Answer::status(500)).await, Receiver::start().await);
    let other_line = format!("  other: {{ url: '{}' }}\n", other.url("/"));
    let with_crm = format!(
        "destinations:\n  crm: {{ url: '{}', circuit: {{ failures: 1, cooldown: 1h }} }}\n{other_line}routes:\n  - {{ name: all, to: [crm, other] }}\n",
        crm.url("/")
    );
    let mut relay = Setup::new(&with_crm).seen_by(&crm).seen_by(&other).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    relay.write_rules(format!("destinations:\n{other_line}routes:\n  - {{ name: all, to: [other] }}\n"));
    relay.reloaded().await;
    relay.wait_for_metric("circuit_open", &[CRM], 0).await;
    crm.become_always(Answer::status(200));
    relay.write_rules(&with_crm);
    relay.reloaded().await;
    relay.finish().await;
}
