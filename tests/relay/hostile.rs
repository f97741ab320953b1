//! Senders who mean ill. Whatever they do, good webhooks get their 200 meanwhile, and nothing that was not meant for
//! the relay becomes an event.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::harness::{API_KEY, Raw, Receiver, Relay, Setup, gzip, reveal, sha256_hex};

/// Posts good webhooks while an attack runs, and makes sure that each is accepted.
async fn meanwhile(relay: &Relay, attack: impl Future<Output = ()> + Send + 'static) {
    let attack = tokio::spawn(attack);
    let before = relay.accepted().len();
    let mut number = u64::try_from(before).unwrap() * 1000;
    // At least so many, and for as long as it goes on.
    while relay.accepted().len() < before + 50 || !attack.is_finished() {
        number += 1;
        relay.webhook(reveal(number)).accepted().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    attack.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_headers_and_bodies_on_many_connections_hold_up_nobody() {
    const CONNECTIONS: usize = 300;
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let address = relay.webhooks;
    let beginnings = [
        "POST /webhooks/wiza HTTP/1.1\r\nx-slow: ".to_owned(),
        format!("{}content-length: 100000\r\n\r\n{{", Raw::head()),
        format!("{}transfer-encoding: chunked\r\n\r\n", Raw::head()),
    ];
    meanwhile(&relay, async move {
        let slow = (0..CONNECTIONS).map(|number| {
            let beginning = beginnings[number % beginnings.len()].clone();
            async move {
                let mut raw = Raw::connect(address).await;
                raw.write(beginning).await;
                raw.trickle(b"1\r\na\r\n1\r\na\r\n", Duration::from_millis(100)).await;
                raw
            }
        });
        drop(futures_util::future::join_all(slow).await);
    })
    .await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_keys_holds_up_no_right_one() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let address = relay.webhooks;
    meanwhile(&relay, async move {
        let flood = (0..8).map(|flood| async move {
            let mut raw = Raw::connect(address).await;
            for number in 0..250 {
                let wrong = Raw::head().replace(&sha256_hex(API_KEY), &sha256_hex(&format!("guess {flood} {number}")));
                raw.write(format!("{wrong}content-length: 2\r\n\r\n{{}}")).await;
                assert!([401, 429].contains(&raw.reply().await.status));
            }
        });
        futures_util::future::join_all(flood).await;
    })
    .await;
    let metrics = relay.metrics().await;
    let count = |outcome| metrics.get("webhooks_total", &[("outcome", outcome)]);
    assert_eq!(count("unauthorized") + count("limited"), 2000);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_depths_and_noise_in_bodies_are_kept_apart_and_hold_up_nobody() {
    const DEEP: usize = 100_000;
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let poster = relay.poster();
    meanwhile(&relay, async move {
        let bomb = gzip(&vec![b'['; 64 << 20]);
        let nested = gzip(&gzip(&vec![b' '; 64 << 20]));
        for round in 0..5 {
            let prefix = " ".repeat(round);
            for deep in [
                format!("{prefix}{}", "[".repeat(DEEP)),
                format!("{prefix}{{\"a\":{}1{}}}", "[".repeat(DEEP), "]".repeat(DEEP)),
                format!("{prefix}{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP)),
            ] {
                poster.webhook(deep).send().await.assert_problem(400, "quarantine");
            }
            let text = [prefix.as_bytes(), b"{\"name\":\"\xff\xfe\xc0\x80\"}"].concat();
            poster.webhook(text).send().await.assert_problem(400, "quarantine");
            poster.webhook([prefix.as_bytes(), b"{\"name\":\"\0\"}"].concat()).send().await.assert_problem(400, "quarantine");
            poster.webhook(bomb.clone()).header("content-encoding", "gzip").send().await.assert_problem(413, "1048576 bytes");
            let once = poster.webhook(nested.clone()).header("content-encoding", "gzip").send().await;
            once.assert_problem(400, "quarantine"); // Inflated once only.
            poster.webhook(nested.clone()).header("content-encoding", "gzip, gzip").send().await.assert_problem(415, "gzip");
            let mut cut = gzip(reveal(1).as_bytes());
            cut.truncate(cut.len() / 2);
            poster.webhook(cut).header("content-encoding", "gzip").send().await.assert_problem(400, "gzip");
        }
    })
    .await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_contradict_each_other_are_refused() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let wrong = sha256_hex("wrong");
    // Somebody in front may look at the one, and the relay at the other.
    for (first, second) in [(sha256_hex(API_KEY), wrong.clone()), (wrong, sha256_hex(API_KEY)), (sha256_hex(API_KEY), sha256_hex(API_KEY))]
    {
        let mut raw = relay.raw().await;
        raw.write(format!(
            "POST /webhooks/wiza HTTP/1.1\r\nhost: relay\r\nx-auth-key: {first}\r\nx-auth-key: {second}\r\ncontent-length: 2\r\n\r\n{{}}"
        ))
        .await;
        raw.reply().await.assert_problem(401, "x-auth-key");
    }
    let lengths = [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: +2",
        "content-length: 0x2",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 2",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\u{b}chunked",
        " transfer-encoding: chunked",
    ];
    for length in lengths {
        let mut raw = relay.raw().await;
        // To a reader that takes the other header for the right one, the second request is a part of the first.
        let smuggled = Raw::webhook("{\"smuggled\":true}");
        raw.write(format!("{}{length}\r\n\r\n0\r\n\r\n{smuggled}", Raw::head())).await;
        let reply = raw.find_reply().await;
        assert!(reply.as_ref().is_none_or(|reply| (400..500).contains(&reply.status) && reply.status != 404), "{length:?}: {reply:?}");
        let next = raw.find_reply().await;
        assert!(next.is_none(), "{length:?}: what followed on the connection was taken for a request: {next:?}");
    }
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "accepted")]).await, 0);
    relay.webhook(reveal(1)).accepted().await;
    relay.finish().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_targets_are_events_or_refused_and_harm_nobody() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let key = sha256_hex(API_KEY);
    let long = format!("/webhooks/wiza?q={}", "x".repeat(30_000));
    let targets: [(&[u8], Option<u16>); 12] = [
        (b"/webhooks/wiza/%00?x=%00&%ff=%fe", Some(200)),
        (b"/webhooks/wiza/../../etc/passwd", Some(200)),
        (b"/webhooks/wiza//a///b?&&&==&", Some(200)),
        (long.as_bytes(), Some(200)),
        (b"/webhooks/wiza?'%22;DROP TABLE events;--", None),
        (b"/webhooks/wiza/\0", None),
        (b"/webhooks/wiza?a=\0", None),
        (b"/webhooks/wiza\\..", None),
        (b"/webhooks/wiza?\xff\xfe", None),
        (b"http://other.example/webhooks/wiza/absolute", None),
        (b"*", None),
        (b"webhooks/wiza", None),
    ];
    for (number, (target, expected)) in targets.iter().enumerate() {
        let mut raw = relay.raw().await;
        let body = format!("{{\"number\":{number}}}");
        let head = format!(" HTTP/1.1\r\nhost: relay\r\nx-auth-key: {key}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        raw.write([b"POST ", *target, head.as_bytes()].concat()).await;
        let status = raw.find_reply().await.map(|reply| reply.status);
        let shown = String::from_utf8_lossy(&target[..target.len().min(60)]).into_owned();
        assert!(expected.is_none() || status == *expected, "{shown}: {status:?}");
        assert!(
            status.is_none_or(|status| status == 200 || (400..500).contains(&status) && ![403, 404].contains(&status)),
            "{shown}: {status:?}"
        );
    }
    let mut endless = relay.raw().await;
    endless.write(format!("POST /webhooks/wiza?q={} HTTP/1.1\r\nhost: relay\r\n\r\n", "x".repeat(1 << 20))).await;
    let status = endless.find_reply().await.map(|reply| reply.status);
    assert!(matches!(status, None | Some(414 | 431)), "{status:?}");
    for old in ["GET /webhooks/wiza\r\n\r\n", "POST /webhooks/wiza\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut raw = relay.raw().await;
        raw.write(old).await;
        let status = raw.find_reply().await.map(|reply| reply.status);
        assert!(status.is_none_or(|status| (400..600).contains(&status) && ![403, 404].contains(&status)), "{old}: {status:?}");
    }
    relay.webhook(reveal(1)).accepted().await;
    let stored = relay.stored();
    stored.assert_sound();
    relay.wait_for_metric("waiting", &[("destination", "crm")], 0).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_damaged_by_chance_harm_nobody() {
    const CASES: usize = 400;
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut random = SmallRng::seed_from_u64(7);
    for case in 0..CASES {
        let mut request = Raw::webhook(&reveal(1_000_000)).into_bytes();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..request.len());
            match random.random_range(0..4) {
                0 => request[at] = random.random(),
                1 => drop(request.remove(at)),
                2 => request.insert(at, [b'\r', b'\n', b':', b' ', 0, b','][random.random_range(0..6)]),
                _ => {
                    let end = random.random_range(at..request.len());
                    let piece = request[at..end].to_vec();
                    request.splice(at..at, piece);
                }
            }
        }
        let mut raw = relay.raw().await;
        raw.write(&request).await;
        raw.end().await;
        while let Some(reply) = raw.find_reply().await {
            assert!(
                reply.status == 200 || (400..500).contains(&reply.status) && reply.status != 403,
                "case {case}: {} to {:?}",
                reply.status,
                String::from_utf8_lossy(&request)
            );
        }
    }
    relay.webhook(reveal(1)).accepted().await;
    assert_eq!(relay.get("/healthz").await.0, 200);
    relay.finish().await;
}
