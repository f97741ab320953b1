//! A disk that fails. A failed write may be tried again; after a failed fsync nobody knows what the disk holds, so
//! nothing is acknowledged any more until a restart has looked.

use crate::harness::{Answer, Faults, Gate, Receiver, Relay, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");
/// So large that two hundred of them fill the write-ahead log up to a checkpoint.
const LARGE: usize = 100_000;

fn large(number: u64) -> String {
    format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(LARGE))
}

/// Readiness fails and says why, and so does what Kubernetes restarts by; the operator is told what to do.
async fn assert_failed_for_good(relay: &Relay) {
    eventually("readiness fails and says what helps", async || {
        let (status, text) = relay.get("/readyz").await;
        (status == 503 && text.contains("restart")).then_some(())
    })
    .await;
    let (status, text) = relay.get("/healthz").await;
    assert!(status == 503 && text.contains("needs a restart"), "{status} {text}");
    assert!(relay.log().contains("takes nothing more; restart the relay"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_is_final_and_a_restart_recovers() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 3).await;
    faults.inject("sync relay.db-wal EIO");
    let refused = relay.webhook(reveal(3)).send().await;
    refused.assert_problem(503, "needs a restart");
    refused.assert_retry_after();
    // The disk is well again; what it made of that fsync is as unknown as before.
    faults.clear();
    for number in 4..10 {
        relay.webhook(reveal(number)).send().await.assert_problem(503, "needs a restart");
    }
    assert_failed_for_good(&relay).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.start_again().await;
    relay.metrics().await.assert_conserved();
    // Wiza repeats what was refused. What was half-way stored is a duplicate; both are delivered.
    for number in 3..10 {
        assert_eq!(relay.webhook(reveal(number)).send().await.status, 200);
    }
    eventually("all is delivered", async || (receiver.count() == 10).then_some(())).await;
    assert_eq!(relay.stored().events(), 10);
    relay.stored().assert_sound();
    relay.finish().await;
    assert_eq!(receiver.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_could_not_be_synced_is_attempted_again_after_the_restart() {
    let Some(faults) = Faults::new() else { return };
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let mut relay = Setup::to(&receiver, "timeout: 60s").with(&faults).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(1).await;
    faults.inject("sync relay.db-wal EIO");
    gate.open();
    // No webhook comes, and still it is known that the store has failed.
    assert_failed_for_good(&relay).await;
    relay.metrics().await.assert_conserved();
    relay.kill();
    faults.clear();
    relay.start_again().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
    // Whether the outcome has reached the disk is the disk's secret: delivered once or twice, and never not at all.
    let names: Vec<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    assert!(matches!(names.len(), 1 | 2) && names.iter().all(|name| *name == format!("{id}_crm")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_whose_fsync_fails_is_final_too() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    faults.inject("sync relay.db EIO");
    let mut number = 0;
    let refused = eventually("a webhook is refused", async || {
        number += 1;
        assert!(number < 1000, "the log never came to a checkpoint");
        let reply = relay.webhook(large(number)).send().await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    refused.assert_problem(503, "needs a restart");
    assert_failed_for_good(&relay).await;
    let accepted = relay.accepted().len();
    assert!(accepted > 100, "{accepted}");
    relay.kill();
    faults.clear();
    relay.start_again().await;
    assert_eq!(relay.metric("planned_total", &[CRM]).await, u64::try_from(accepted).unwrap());
    relay.stored().assert_sound();
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails_at_the_end_costs_nothing() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 20).await;
    for rule in ["sync relay.db EIO", "write relay.db EIO", "truncate relay.db-wal EIO", "sync relay.db-wal EIO"] {
        faults.inject(rule);
        assert!(relay.terminate().await.code().is_some(), "{rule}: it ended by a signal");
        faults.clear();
        relay.start_again().await;
        let metrics = relay.metrics().await;
        assert_eq!(metrics.get("planned_total", &[CRM]), 20, "{rule}");
        metrics.assert_conserved();
        relay.stored().assert_sound();
    }
    relay.finish().await;
    assert!(receiver.count() >= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_is_refused_and_tried_again() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").with(&faults).start().await;
    relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    for (number, rule) in (1..).zip(["write relay.db-wal EIO", "write relay.db-wal ENOSPC"]) {
        faults.inject(rule);
        let refused = relay.webhook(reveal(number)).send().await;
        refused.assert_problem(503, "the store cannot write");
        refused.assert_retry_after();
        assert_eq!(relay.get("/readyz").await.0, 503);
        faults.clear();
        eventually("ready again by itself", async || (relay.get("/readyz").await.0 == 200).then_some(())).await;
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.stored().assert_sound();
    relay.finish().await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn short_writes_are_completed() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    faults.inject("write relay.db-wal short\nwrite relay.db short");
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 20).await;
    relay.stored().assert_sound();
    assert_eq!(relay.terminate().await.code(), Some(0));
    faults.clear();
    relay.start_again().await;
    relay.stored().assert_sound();
    relay.finish().await;
    assert_eq!(receiver.count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_cannot_be_read_waits_for_a_restart() {
    // More than a window holds, and more than SQLite keeps in its cache.
    const EVENTS: u64 = 1000;
    let filler = "x".repeat(5000);
    let Some(faults) = Faults::new() else { return };
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let mut relay = Setup::to(&receiver, "timeout: 60s").with(&faults).flag("grace", "1ms").start().await;
    for number in 0..EVENTS {
        relay.webhook(format!("{{\"number\":{number},\"filler\":\"{filler}\"}}")).accepted().await;
    }
    // All of it is in the file now, and nothing in memory.
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.start_again().await;
    receiver.wait_for(32).await;
    faults.inject("read relay.db EIO");
    gate.open();
    eventually("the log tells", async || relay.log().contains("the store cannot be read").then_some(())).await;
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    assert!(metrics.get("waiting", &[CRM]) > 0, "{}", metrics.text);
    assert_failed_for_good(&relay).await;
    relay.kill();
    faults.clear();
    relay.start_again().await;
    relay.wait_for_outcome("delivered", EVENTS).await;
    relay.stored().assert_sound();
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_read_is_not_opened_and_not_changed() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    relay.kill();
    for rule in ["read relay.db EIO", "read relay.db-wal EIO"] {
        faults.inject(rule);
        relay
            .refused_start()
            .await
            .assert_refused(1, &["cannot open the store in", &relay.store().display().to_string(), "look at the system's log"]);
        faults.clear();
    }
    relay.start_again().await;
    assert_eq!(relay.metric("planned_total", &[CRM]).await, 5);
    relay.stored().assert_sound();
    relay.finish().await;
}
