//! A clock that is set forward or back while work waits: nothing is lost, and nothing waits for ever.

use crate::harness::{Answer, Faults, Receiver, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");
const DAY: i64 = 24 * 60 * 60;
/// No retry of it comes by itself within a test, and none is given up.
const SLOW: &str = "retry: { attempts: 100, first: 2h, factor: 1, deadline: 30d }, circuit: { failures: 1000, cooldown: 1ms }";

/// A retry comes within a second.
const FAST: &str = "retry: { attempts: 1000, first: 1s, factor: 1, deadline: 30d }, circuit: { failures: 1000, cooldown: 1ms }";

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_forward_makes_retries_due_and_costs_none() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::always(Answer::status(500)).await;
    let relay = Setup::to(&receiver, SLOW).with(&faults).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 5).await;
    receiver.become_always(Answer::status(200));
    faults.inject(&format!("clock {DAY}"));
    relay.wait_for_outcome("delivered", 5).await;
    relay.webhook(reveal(5)).accepted().await;
    relay.finish().await;
    assert!(receiver.count() >= 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_back_does_not_make_retries_wait_for_the_time_to_come_again() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::always(Answer::status(500)).await;
    // The machine starts with a clock that is wrong, as machines without a battery do, and then learns the time.
    faults.inject(&format!("clock {DAY}"));
    let mut relay = Setup::to(&receiver, FAST).with(&faults).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    eventually("all have failed", async || (relay.metric("attempts_total", &[CRM, ("result", "retried")]).await >= 5).then_some(())).await;
    faults.clear();
    receiver.become_always(Answer::status(200));
    relay.webhook(reveal(5)).accepted().await;
    relay.wait_for_outcome("delivered", 6).await;
    assert!(relay.log().contains("the clock was set back"), "{}", relay.log());

    // And the same with a restart in between.
    faults.inject(&format!("clock {DAY}"));
    receiver.become_always(Answer::status(500));
    let id = relay.webhook(reveal(6)).accepted().await;
    eventually("the failure is written down", async || (relay.stored().delivery(&id).state == "retrying").then_some(())).await;
    relay.kill();
    faults.clear();
    receiver.become_always(Answer::status(200));
    relay.start_again().await;
    relay.wait_for_outcome("delivered", 7).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_an_open_circuit_do_not_follow_the_clock() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::answering([Answer::status(429).header("retry-after", "2"), Answer::status(401)]).await;
    let keys = "concurrency: 1, retry: { attempts: 1000, first: 1ms, deadline: 30d }, circuit: { failures: 1, cooldown: 1s }";
    let relay = Setup::to(&receiver, keys).with(&faults).start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    receiver.wait_for(1).await;
    faults.inject(&format!("clock {}", -DAY));
    receiver.wait_for(2).await;
    faults.inject(&format!("clock {}", -2 * DAY));
    relay.wait_for_outcome("delivered", 3).await;
    let requests = receiver.requests();
    let held = requests[1].at.duration_since(requests[0].at);
    assert!(held.as_millis() >= 1900, "held for {held:?}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_are_known_through_a_jump_within_the_window() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").with(&faults).start().await;
    let first = relay.webhook(reveal(1)).accepted().await;
    for seconds in [DAY / 2, -DAY, -30 * DAY, 60] {
        faults.inject(&format!("clock {seconds}"));
        // The library looks for its rules now and then only.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let again = relay.webhook(reveal(1)).send().await;
        assert_eq!((again.word().as_str(), again.id()), ("duplicate", first.clone()), "{seconds}");
        relay.webhook(format!("{{\"at\":{seconds}}}")).accepted().await;
    }
    // Beyond the window it is a new event, and nothing worse.
    faults.inject(&format!("clock {}", 2 * DAY));
    eventually("the window is over", async || (relay.webhook(reveal(1)).send().await.word() == "accepted").then_some(())).await;
    relay.wait_for_outcome("delivered", 6).await;
    relay.finish().await;
    assert_eq!(receiver.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_after_a_jump_forward_deletes_nothing_that_waits() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::always(Answer::status(500)).await;
    let routes = crate::harness::one_destination(&receiver.url("/crm"), FAST) + "retention: { delivered: 1h, dead: 1h }\n";
    let mut relay = Setup::new(routes).seen_by(&receiver).with(&faults).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    eventually("all have failed", async || (relay.metric("attempts_total", &[CRM, ("result", "retried")]).await >= 5).then_some(())).await;
    faults.inject(&format!("clock {}", 20 * DAY));
    relay.terminate().await;
    // A sweep comes at once after the start.
    relay.start_again().await;
    eventually("some are tried again", async || (relay.metric("attempts_total", &[CRM, ("result", "retried")]).await >= 5).then_some(()))
        .await;
    assert_eq!(relay.stored().events(), 5);
    faults.clear();
    receiver.become_always(Answer::status(200));
    relay.wait_for_outcome("delivered", 5).await;
    relay.finish().await;
}
