//! What the webhook port answers to what is too large, too slow, too much or malformed.

use std::time::Duration;

use crate::harness::{API_KEY, Answer, Gate, Raw, Receiver, Setup, eventually, gzip, reveal, sha256_hex};

/// `source.max_body` where it is left out.
const BODY_BYTES_MAX: usize = 1 << 20;

fn object_of(bytes: usize) -> String {
    format!("{{\"filler\":\"{}\"}}", "x".repeat(bytes - 13))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_exactly_the_limit() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let body = object_of(BODY_BYTES_MAX);
    assert_eq!(body.len(), BODY_BYTES_MAX);
    relay.webhook(body.clone()).accepted().await;
    relay.webhook(body + " ").send().await.assert_problem(413, "1048576 bytes");
    relay.finish().await;
    assert_eq!(receiver.requests()[0].body.len(), BODY_BYTES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_length_over_the_limit_is_refused_before_the_body() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut raw = relay.raw().await;
    raw.write(format!("{}content-length: {}\r\n\r\n", Raw::head(), BODY_BYTES_MAX + 1)).await;
    raw.reply().await.assert_problem(413, "1048576 bytes");
    let mut raw = relay.raw().await;
    raw.write(format!("{}content-length: 99999999999999999999999\r\n\r\n", Raw::head())).await;
    assert!((400..500).contains(&raw.reply().await.status));
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "too_large")]).await, 1);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_chunks_is_cut_off_at_the_limit() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut raw = relay.raw().await;
    raw.write(format!("{}transfer-encoding: chunked\r\n\r\n", Raw::head())).await;
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "x".repeat(64 << 10));
    for _ in 0..=16 {
        raw.write(&chunk).await;
    }
    raw.reply().await.assert_problem(413, "1048576 bytes");
    // Within the limit, chunks are as good as anything.
    let mut raw = relay.raw().await;
    raw.write(format!("{}transfer-encoding: chunked\r\n\r\n7\r\n{{\"a\":1,\r\n6\r\n\"b\":2}}\r\n0\r\n\r\n", Raw::head())).await;
    assert_eq!(raw.reply().await.word(), "accepted");
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
    assert_eq!(receiver.requests()[0].body, b"{\"a\":1,\"b\":2}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_much_too_much_still_reads_why_it_was_refused() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut got = Vec::new();
    for _ in 0..5 {
        let mut raw = relay.raw().await;
        // Writes all before it reads, as simple clients do.
        raw.write(Raw::webhook(&object_of(2 * BODY_BYTES_MAX))).await;
        got.push(raw.find_reply().await.map(|reply| reply.status));
    }
    assert_eq!(got, [Some(413); 5]);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_refused() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let bomb = gzip(&vec![b' '; 256 << 20]);
    assert!(bomb.len() < BODY_BYTES_MAX, "{}", bomb.len());
    let reply = relay.webhook(bomb).header("content-encoding", "gzip").send().await;
    reply.assert_problem(413, "1048576 bytes");
    // The limit is that of what comes out.
    relay.webhook(object_of(BODY_BYTES_MAX)).gzip().accepted().await;
    relay.webhook(object_of(BODY_BYTES_MAX + 1)).gzip().send().await.assert_problem(413, "1048576 bytes");
    let peak = peak_memory_bytes(relay.id());
    assert!(peak < 200 << 20, "the relay used {peak} bytes for a bomb");
    relay.finish().await;
}

fn peak_memory_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_headers_get_408() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut stuck = relay.raw().await;
    stuck.write("POST /webhooks/wiza HTTP/1.1\r\nhost:").await;
    let mut slow = relay.raw().await;
    let trickle = tokio::spawn(async move {
        slow.trickle("POST /webhooks/wiza HTTP/1.1\r\nx-slow: ".as_bytes(), Duration::from_millis(10)).await;
        slow.trickle(&[b'x'; 600], Duration::from_millis(100)).await;
        slow
    });
    let mut second = relay.raw().await;
    second.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(second.reply().await.status, 200);
    second.write("POST /webhooks/wiza HTTP/1.1\r\n").await;
    for raw in [&mut stuck, &mut trickle.await.unwrap(), &mut second] {
        assert_eq!(raw.reply().await.status, 408);
    }
    stuck.wait_until_closed().await;
    second.wait_until_closed().await;
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "timeout")]).await, 3);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_gets_408_and_an_idle_connection_is_kept() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut idle = relay.raw().await;
    idle.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(idle.reply().await.status, 200);
    let mut slow = relay.raw().await;
    slow.write(format!("{}content-length: 1000\r\n\r\n{{\"a\":", Raw::head())).await;
    let mut slow_chunks = relay.raw().await;
    slow_chunks.write(format!("{}transfer-encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n", Raw::head())).await;
    slow.reply().await.assert_problem(408, "15 s");
    slow_chunks.reply().await.assert_problem(408, "15 s");
    slow.wait_until_closed().await;
    slow_chunks.wait_until_closed().await;
    // Longer than headers may take, and still there.
    idle.write(Raw::webhook(&reveal(2))).await;
    assert_eq!(idle.reply().await.status, 200);
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "timeout")]).await, 2);
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_is_not_an_event() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut raw = relay.raw().await;
    raw.write(format!("{}content-length: 100\r\n\r\n{{\"a\":1}}", Raw::head())).await;
    drop(raw);
    relay.wait_for_metric("webhooks_total", &[("outcome", "timeout")], 1).await;
    assert_eq!(relay.stored().events(), 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_backlog_is_refused_until_it_shrinks() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let relay = Setup::to(&receiver, "").flag("max-backlog", "3").start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let refused = relay.webhook(reveal(3)).send().await;
    refused.assert_problem(503, "--max-backlog is 3");
    refused.assert_retry_after();
    // Not even a repetition of what is stored is looked for.
    assert_eq!(relay.webhook(reveal(0)).send().await.status, 503);
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "unavailable")]).await, 2);
    assert_eq!(relay.get("/healthz").await.0, 200);
    let (status, text) = relay.get("/readyz").await;
    assert_eq!((status, text.contains("--max-backlog is 3"), relay.metric("ready", &[]).await), (503, true, 0), "{text}");
    gate.open();
    eventually("ready again", async || (relay.get("/readyz").await.0 == 200).then_some(())).await;
    eventually("the backlog has room again", async || (relay.webhook(reveal(3)).send().await.status == 200).then_some(())).await;
    relay.finish().await;
    assert_eq!(receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_headers_get_431() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut long = relay.raw().await;
    long.write(format!("{}x-long: {}\r\n\r\n", Raw::head(), "x".repeat(1 << 20))).await;
    assert_eq!(long.reply().await.status, 431);
    let mut many = relay.raw().await;
    let headers: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    many.write(format!("{}{headers}content-length: 2\r\n\r\n{{}}", Raw::head())).await;
    assert_eq!(many.reply().await.status, 431);
    relay.webhook(reveal(1)).header("x-fine", &"x".repeat(8 << 10)).accepted().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_harms_nobody() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let smuggled = format!("{}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Raw::head());
    let nasty = [
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}garbage\r\n\r\n".to_owned(),
        "POST\r\n\r\n".to_owned(),
        "POST /webhooks/wiza HTTP/9.9\r\n\r\n".to_owned(),
        format!("{}content-length: -1\r\n\r\n", Raw::head()),
        format!("{}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}", Raw::head()),
        format!("{}transfer-encoding: chunked\r\n\r\nzz\r\n", Raw::head()),
    ];
    for text in nasty {
        let mut raw = relay.raw().await;
        raw.write(&text).await;
        if let Some(reply) = raw.find_reply().await {
            assert!((400..500).contains(&reply.status) && ![403, 404].contains(&reply.status), "{text:?}: {}", reply.status);
        }
    }
    let mut raw = relay.raw().await;
    raw.write(smuggled).await;
    assert!(raw.find_reply().await.is_none_or(|reply| reply.status == 400));
    // Two different keys: either answer is fine but 200.
    let mut raw = relay.raw().await;
    raw.write(format!("{}x-auth-key: {}\r\ncontent-length: 2\r\n\r\n{{}}", Raw::head().replacen(&sha256_hex(API_KEY), "0", 1), "1")).await;
    assert_eq!(raw.reply().await.status, 401);
    relay.webhook(reveal(1)).accepted().await;
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "accepted")]).await, 1);
    relay.finish().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_limit_gets_the_place_of_one_that_was_never_used() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").flag("max-connections", "2").start().await;
    let (mut first, mut second) = (relay.raw().await, relay.raw().await);
    second.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(second.reply().await.status, 200);
    let mut third = relay.raw().await;
    third.write(Raw::webhook(&reveal(2))).await;
    assert_eq!(third.reply().await.status, 200);
    assert!(first.find_reply().await.is_none(), "it had to go");
    second.write(Raw::webhook(&reveal(3))).await;
    assert_eq!(second.reply().await.status, 200, "it is used, and stays");
    // Of those that are all used, the one goes that has been idle for longest.
    let mut fourth = relay.raw().await;
    fourth.write(Raw::webhook(&reveal(4))).await;
    assert_eq!(fourth.reply().await.status, 200);
    assert!(third.find_reply().await.is_none(), "it had to go");
    relay.wait_for_outcome("delivered", 4).await;
    relay.finish().await;
}

/// Container engines start programs with a soft limit of 1024.
#[tokio::test(flavor = "multi_thread")]
async fn open_files_are_raised_to_what_is_allowed() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").open_files(64, 1024).flag("max-connections", "400").start().await;
    let (_, metrics) = relay.get("/metrics").await;
    assert!(metrics.contains("\nprocess_max_fds 1024\n"), "{metrics}");
    assert!(!relay.log().contains("more than the process may have open"), "{}", relay.log());
    // Far more than the soft limit would have let in.
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(relay.raw().await);
    }
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_never_take_all_the_files_that_may_be_open() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").open_files(128, 128).start().await;
    assert!(relay.log().contains("--max-connections is more than the process may have open"), "{}", relay.log());
    assert_eq!(relay.metric("connections_limit", &[]).await, 64);
    relay.webhook(reveal(1)).accepted().await;
    let mut idle = Vec::new();
    for _ in 0..120 {
        idle.push(relay.raw().await);
    }
    let crowded = [("port", "webhooks"), ("reason", "crowded")];
    eventually("the limit is reached", async || (relay.metric("connections_closed_total", &crowded).await >= 56).then_some(())).await;
    assert!(relay.metric("connections", &[]).await <= 64);
    // Who asks how it is gets an answer, and deliveries go out.
    assert_eq!(relay.get("/healthz").await.0, 200);
    relay.wait_for_outcome("delivered", 1).await;
    assert!(!relay.log().contains("Too many open files"), "{}", relay.log());
    relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    drop(idle);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_first_whether_to_send_the_body_is_told() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut raw = relay.raw().await;
    raw.write(format!("{}expect: 100-continue\r\ncontent-length: 7\r\n\r\n", Raw::head())).await;
    assert_eq!(raw.reply().await.status, 100);
    raw.write("{\"a\":1}").await;
    assert_eq!(raw.reply().await.word(), "accepted");
    // Refused without having to send it.
    let mut raw = relay.raw().await;
    raw.write(format!("{}expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n", Raw::head())).await;
    assert_eq!(raw.reply().await.status, 413);
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}
