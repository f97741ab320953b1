//! `success`: a 2xx counts only if its reply says so.

use std::time::Duration;

use crate::harness::{Answer, Receiver, Setup, eventually, reveal};

const QUICK: &str = "timeout: 2s, retry: { first: 5ms, max: 20ms, attempts: 12 }, circuit: { failures: 100, cooldown: 20ms }";
const LIMIT: usize = 256 * 1024;

fn ok(padding: usize) -> Vec<u8> {
    let mut reply = br#"{"padding":""#.to_vec();
    reply.extend(vec![b'x'; padding]);
    reply.extend(br#"","ok":true}"#);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_2xx_counts_once_its_reply_says_so() {
    let long = LIMIT - ok(0).len() + 1;
    let answers = [
        Answer::status(200).body(r#"{"ok":false}"#),
        Answer::status(202).body("ok"),
        Answer::status(204),
        Answer::CutBody(200),
        Answer::status(200).body(ok(long)),
        Answer::EndlessBody(200),
        Answer::status(503).body(r#"{"ok":true}"#),
    ];
    let count = answers.len();
    let receiver =
        Receiver::scripted(move |_, number| answers.get(number).cloned().unwrap_or_else(|| Answer::status(201).body(ok(long - 1)))).await;
    let relay = Setup::to(&receiver, &format!("{QUICK}, success: $.ok == true")).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(receiver.count(), count + 1, "the longest reply that is read counts");
    let attempts = relay.stored().attempts(&id);
    let told: Vec<(Option<u16>, Option<&str>)> = attempts.iter().map(|attempt| (attempt.status, attempt.error.as_deref())).collect();
    assert_eq!(
        told,
        [
            (Some(200), Some("`success` does not hold on the reply")),
            (Some(202), Some("the reply that `success` is asked of is not JSON")),
            (Some(204), Some("there is no reply that `success` could be asked of")),
            (Some(200), Some("the reply that `success` is asked of was cut off")),
            (Some(200), Some("the reply is longer than the 256 KiB that `success` is asked of")),
            (Some(200), Some("the reply that `success` is asked of did not end in time")),
            (Some(503), None),
        ]
    );
    assert_eq!(attempts[4].reply.as_ref().map(Vec::len), Some(1024), "of a long reply its first is kept");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_never_succeed_open_the_circuit_and_end_in_the_dead_letters() {
    let receiver = Receiver::always(Answer::status(200).body(r#"{"ok":false}"#)).await;
    let keys =
        "retry: { first: 1ms, max: 1ms, attempts: 3 }, circuit: { failures: 2, cooldown: 300ms }, concurrency: 1, success: ok == true";
    let mut relay = Setup::to(&receiver, keys).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("circuit_open", &[("destination", "crm")], 1).await;
    relay.wait_for_outcome("dead", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!((delivery.attempts, delivery.last_status), (3, Some(200)));
    assert_eq!(
        delivery.last_error.as_deref(),
        Some("given up after 3 attempts, the last: status 200, but `success` does not hold on the reply")
    );
    relay.metrics().await.assert_conserved();
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_slowly_is_waited_for_within_the_timeout() {
    // Longer than a reply is waited for whose status alone counts.
    let receiver = Receiver::always(Answer::status(200).body(r#"{"ok":true}"#).after(Duration::from_millis(2500))).await;
    let relay = Setup::to(&receiver, "timeout: 60s, success: $.ok == true").start().await;
    relay.webhook(reveal(1)).accepted().await;
    eventually("it is delivered", async || {
        (relay.metric("deliveries_total", &[("destination", "crm"), ("outcome", "delivered")]).await == 1).then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 1);
    relay.finish().await;
}
