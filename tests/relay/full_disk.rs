//! A store without room: refuse, lose nothing, go on by itself.

use std::path::PathBuf;

use crate::harness::{Answer, Gate, Receiver, Relay, Reply, Setup, Tmpfs, eventually, reveal, run, skipped};

async fn on_small_disk(receiver: &Receiver, size: &str) -> Option<(Tmpfs, Relay)> {
    on_small_disk_with(receiver, size, "").await
}

async fn on_small_disk_with(receiver: &Receiver, size: &str, keys: &str) -> Option<(Tmpfs, Relay)> {
    let Some(disk) = Tmpfs::mount(size) else {
        skipped("file systems cannot be mounted here");
        return None;
    };
    let relay = Setup::to(receiver, keys).store(disk.path().join("store")).start().await;
    Some((disk, relay))
}

fn large(number: u64) -> String {
    format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(100_000))
}

/// Posts until not even a small webhook is taken: the log has room left in its file when the disk has none.
async fn fill_up(disk: &Tmpfs, relay: &Relay) -> (PathBuf, Reply) {
    let ballast = disk.fill();
    let mut number = 1_000_000;
    let mut refused = None;
    for bytes in [100_000, 5_000, 1] {
        let reply = eventually("a webhook is refused", async || {
            number += 1;
            let body = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(bytes));
            let reply = relay.webhook(body).send().await;
            (reply.status != 200).then_some(reply)
        })
        .await;
        refused = Some(reply);
    }
    (ballast, refused.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_webhooks_and_loses_none() {
    let receiver = Receiver::start().await;
    let Some((disk, relay)) = on_small_disk(&receiver, "24m").await else { return };
    for number in 0..5 {
        relay.webhook(large(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    let (ballast, refused) = fill_up(&disk, &relay).await;
    refused.assert_problem(503, "disk is full");
    refused.assert_retry_after();
    let (status, text) = relay.get("/readyz").await;
    assert_eq!((status, text.contains("disk is full")), (503, true), "{text}");
    assert_eq!(relay.get("/healthz").await.0, 200);
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "unavailable")]).await, 3);
    assert!(relay.log().contains("cannot write"), "{}", relay.log());
    assert_eq!(relay.metric("ready", &[]).await, 0);
    assert!(relay.metric("store_errors_total", &[("operation", "write")]).await >= 3);
    assert!(relay.metric("store_available_bytes", &[]).await < 1 << 20, "{}", relay.metrics().await.text);
    // Nobody sends to a relay that is not ready, so it must find out by itself.
    std::fs::remove_file(ballast).unwrap();
    eventually("ready again", async || (relay.get("/readyz").await.0 == 200).then_some(())).await;
    assert_eq!(relay.metric("ready", &[]).await, 1);
    eventually("webhooks are taken again", async || (relay.webhook(large(5)).send().await.status == 200).then_some(())).await;
    let accepted = relay.accepted().len();
    assert_eq!(relay.stored().events(), u64::try_from(accepted).unwrap());
    relay.stored().assert_sound();
    relay.finish().await;
    assert_eq!(receiver.count(), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_while_the_disk_was_full_is_written_down_later() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let Some((disk, relay)) = on_small_disk(&receiver, "24m").await else { return };
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let (ballast, _) = fill_up(&disk, &relay).await;
    gate.open();
    let accepted = relay.accepted().len();
    receiver.wait_for(accepted).await;
    relay.metrics().await.assert_conserved();
    std::fs::remove_file(ballast).unwrap();
    relay.finish().await;
    assert_eq!(receiver.count(), accepted, "nothing is sent again only because it could not be written down");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_much_could_not_be_written_down_the_relay_answers_and_ends() {
    const EVENTS: u64 = 5_000;
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let Some((disk, mut relay)) = on_small_disk(&receiver, "48m").await else { return };
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let count = EVENTS.to_string();
    let sent = run(&["send", "--url", &url, "--api-key", "test-key", "--count", &count, "--concurrency", "16", "--sample", "failed"]).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let (ballast, _) = fill_up(&disk, &relay).await;
    gate.open();
    receiver.wait_for(usize::try_from(EVENTS).unwrap()).await;
    relay.webhook(large(0)).send().await.assert_problem(503, "disk is full");
    assert_eq!(relay.terminate().await.code(), Some(0));
    std::fs::remove_file(ballast).unwrap();
    relay.start_again().await;
    relay.finish().await;
    assert!(receiver.count() > usize::try_from(EVENTS).unwrap(), "what was not written down is delivered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_on_a_full_disk_is_killed_and_loses_nothing() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let Some((disk, mut relay)) = on_small_disk(&receiver, "24m").await else { return };
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let (ballast, _) = fill_up(&disk, &relay).await;
    relay.kill();
    gate.open();
    std::fs::remove_file(ballast).unwrap();
    relay.start_again().await;
    assert_eq!(relay.stored().events(), u64::try_from(relay.accepted().len()).unwrap());
    relay.stored().assert_sound();
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_written_down_is_not_sent_before_it_can() {
    let receiver = Receiver::start().await;
    let Some((disk, mut relay)) = on_small_disk_with(&receiver, "24m", "batch: { max: 1000, every: 8s }").await else {
        return;
    };
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let (ballast, _) = fill_up(&disk, &relay).await;
    let taken = u64::try_from(relay.accepted().len()).unwrap();
    eventually("the batch is due and cannot be written", async || {
        relay.log().contains("a batch cannot be written down, so it is not sent yet").then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 0, "who goes together is not known yet");
    std::fs::remove_file(ballast).unwrap();
    relay.wait_for_outcome("delivered", taken).await;
    relay.metrics().await.assert_conserved();
    relay.assert_balanced().await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    let ids: Vec<serde_json::Value> =
        receiver.requests().iter().flat_map(|request| serde_json::from_slice::<Vec<_>>(&request.body).unwrap()).collect();
    assert_eq!(u64::try_from(ids.len()).unwrap(), taken, "each once");
}
