//! The memory that webhooks take while they are being received: bounded by bytes, whatever they inflate to.

use std::time::Duration;

use crate::harness::{Raw, Receiver, Setup, eventually, gzip, reveal};

/// At once, each 1 KiB on the way and 1 MiB once it is inflated.
const BOMBS: usize = 200;
/// The relay itself, the budget of 128 MiB, and what 16 attempts and the store's log hold of such bodies at a time.
const PEAK_BYTES_MAX: u64 = 320 << 20;

/// The largest body that there may be, with a value for each three bytes.
fn bomb(number: usize) -> Vec<u8> {
    let head = format!("{{\"type\":\"bomb\",\"n\":{number},\"list\":[");
    let lists = "[],".repeat(((1 << 20) - head.len() - 4) / 3);
    let body = format!("{head}{lists}[]]}}");
    assert!(body.len() <= 1 << 20);
    gzip(body.as_bytes())
}

fn memory_bytes(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_bombs_at_once_keep_memory_bounded_and_hold_up_nobody() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations:\n  archive: {{ url: \"{0}\" }}\n  crm: {{ url: \"{0}\", body: {{ n: $.n, type: $.type }} }}\nroutes:\n  - {{ name: some, when: type == \"bomb\" and n < 20, to: [crm] }}\n  - {{ name: everything, to: [archive] }}\n",
        receiver.url("/")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let bombs: Vec<_> = (0..BOMBS)
        .map(|number| {
            let (poster, body) = (relay.poster(), bomb(number));
            assert!(body.len() < 2 << 10, "{}", body.len());
            tokio::spawn(async move {
                // As Wiza does, but for as long as it takes.
                loop {
                    let reply = poster.webhook(body.clone()).header("content-encoding", "gzip").send().await;
                    if reply.status == 200 {
                        return;
                    }
                    reply.assert_problem(503, "--receive-memory");
                    reply.assert_retry_after();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            })
        })
        .collect();
    // Ordinary ones go through at the first try.
    for id in 0..50 {
        relay.webhook(reveal(id)).accepted().await;
    }
    for bomb in bombs {
        bomb.await.unwrap();
    }
    relay.wait_for_metric("deliveries_total", &[("destination", "archive"), ("outcome", "delivered")], 250).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "crm"), ("outcome", "delivered")], 20).await;
    let peak = memory_bytes(relay.id(), "VmHWM:");
    println!("the relay's peak: {} MiB", peak >> 20);
    assert!(peak < PEAK_BYTES_MAX, "the relay used {} MiB for {BOMBS} bombs", peak >> 20);
    relay.wait_for_metric("receive_memory_bytes", &[], 0).await;
    assert_eq!(relay.metric("receive_memory_limit_bytes", &[]).await, 128 << 20);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_webhooks_get_503_and_whoever_hangs_up_gives_back_what_was_taken() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").flag("receive-memory", "1MiB").start().await;
    let filler = "x".repeat(60 << 10);
    let chunk = format!("{:x}\r\n{filler}\r\n", filler.len());
    // Senders that have sent a part and go no further.
    let mut stuck = Vec::new();
    let mut refused = 0;
    while refused == 0 {
        let mut raw = relay.raw().await;
        raw.write(format!("{}transfer-encoding: chunked\r\n\r\n", Raw::head())).await;
        for _ in 0..3 {
            raw.write(&chunk).await;
        }
        stuck.push(raw);
        assert!(stuck.len() < 100, "nobody was refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
        refused = relay.metric("webhooks_total", &[("outcome", "unavailable")]).await;
    }
    assert!(relay.metric("receive_memory_bytes", &[]).await >= 128 << 10);
    let large = format!("{{\"filler\":\"{}\"}}", "x".repeat(400 << 10));
    let reply = relay.webhook(large.clone()).send().await;
    reply.assert_problem(503, "1048576 bytes of --receive-memory");
    reply.assert_retry_after();
    // Room is kept for ordinary ones.
    relay.webhook(reveal(1)).accepted().await;
    drop(stuck);
    eventually("what was taken comes back", async || (relay.metric("receive_memory_bytes", &[]).await == 0).then_some(())).await;
    relay.webhook(large).accepted().await;
    // One that needs more than there is at all comes alone.
    relay.webhook(bomb(1)).header("content-encoding", "gzip").accepted().await;
    relay.wait_for_outcome("delivered", 3).await;
    eventually("nothing is held", async || (relay.metric("receive_memory_bytes", &[]).await == 0).then_some(())).await;
    relay.finish().await;
}
