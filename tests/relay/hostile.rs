//! Senders who mean ill. Whatever they do, good webhooks get their 200 meanwhile, and nothing that was not meant for
//! the relay becomes an event.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::harness::{API_KEY, Raw, Receiver, Relay, Setup, eventually, gzip, reveal, sha256_hex};

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

/// Connections that say nothing, or something that is not a whole request.
async fn silent(address: SocketAddr, from: [u8; 4], count: usize, beginning: &str) -> Vec<Raw> {
    let mut silent = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect_from(IpAddr::from(from), address).await;
        raw.write(beginning).await;
        silent.push(raw);
    }
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_take_the_admin_port_from_no_probe() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let follow = reqwest::get(format!("http://{}/api/events/follow", relay.admin)).await.unwrap();
    let mut strangers = Vec::new();
    // More than there is room for, on 256 connections, from one address and from many; before, one such took it for 75 s.
    for round in 0..3_u8 {
        strangers.extend(silent(relay.admin, [127, 0, 0, 1], 300, "").await);
        strangers.extend(silent(relay.admin, [127, 0, 0, 1], 20, "GET /healthz HTTP/1.1\r\nx-slow: ").await);
        for host in 1..100 {
            strangers.extend(silent(relay.admin, [127, 1, round, host], 2, "").await);
        }
        for path in ["/healthz", "/readyz", "/metrics", "/api/destinations"] {
            // As kubelet asks: on a connection of its own, in a second.
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let asked = client.get(format!("http://{}{path}", relay.admin)).timeout(Duration::from_secs(30)).send().await;
            assert_eq!(asked.unwrap().status(), 200, "{path}");
        }
    }
    let crowded = [("port", "admin"), ("reason", "crowded")];
    assert!(relay.metric("connections_closed_total", &crowded).await >= 500);
    assert_eq!(relay.log().matches("all connections are taken").count(), 1, "{}", relay.log());
    // Who follows is not idle, however little happens.
    let mut follow = follow;
    relay.webhook(reveal(1)).accepted().await;
    assert!(follow.chunk().await.unwrap().is_some_and(|line| !line.is_empty()));
    // The rest is closed for its silence.
    let silent = [("port", "admin"), ("reason", "silent")];
    eventually("silent connections are closed", async || (relay.metric("connections_closed_total", &silent).await >= 150).then_some(()))
        .await;
    drop(strangers);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_hold_no_connection_of_the_admin_port_for_long() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let beginning = format!("POST /api/deliveries/redrive HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\n{{", relay.admin);
    // More than there may be connections: those whose body is being read cannot be sent away, so there are few of them.
    let mut slow = silent(relay.admin, [127, 0, 0, 1], 300, &beginning).await;
    eventually("a probe is answered", async || relay.try_get("/healthz").await.filter(|(status, _)| *status == 200)).await;
    let mut answers = Vec::new();
    for one in &mut slow {
        answers.extend(one.find_reply().await.map(|reply| reply.status));
    }
    let timed_out = answers.iter().filter(|status| **status == 408).count();
    assert!((1..=32).contains(&timed_out) && answers.contains(&503), "{answers:?}");
    drop(slow);
    let mut long = silent(relay.admin, [127, 0, 0, 1], 1, &beginning.replace("1000", "99999999")).await;
    long[0].write(vec![b' '; 3 << 20]).await;
    assert!(long[0].find_reply().await.is_none_or(|reply| reply.status == 413));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_take_the_webhook_port_from_no_webhook() {
    const MAX: usize = 200;
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").flag("max-connections", &MAX.to_string()).start().await;
    // A proxy in front: one address for all webhooks, with a connection that it keeps.
    let mut proxy = Raw::connect_from(IpAddr::from([127, 9, 9, 9]), relay.webhooks).await;
    proxy.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(proxy.reply().await.word(), "accepted");
    let slow_headers = "POST /webhooks/wiza HTTP/1.1\r\nx-slow: ";
    for (number, (from, beginning)) in
        [([127, 0, 0, 1], ""), ([127, 0, 0, 1], slow_headers), ([127, 9, 9, 9], ""), ([127, 9, 9, 9], slow_headers)].into_iter().enumerate()
    {
        let strangers = silent(relay.webhooks, from, MAX + 50, beginning).await;
        let number = u64::try_from(number).unwrap() * 10 + 10;
        // On the connection that was kept, and on a new one, from the same address as the strangers and from another.
        proxy.write(Raw::webhook(&reveal(number))).await;
        assert_eq!(proxy.reply().await.word(), "accepted", "the proxy's connection is kept");
        for (more, address) in [(1, [127, 0, 0, 1]), (2, [127, 9, 9, 9]), (3, [127, 5, 5, 5])] {
            let mut raw = Raw::connect_from(IpAddr::from(address), relay.webhooks).await;
            raw.write(Raw::webhook(&reveal(number + more))).await;
            assert_eq!(raw.reply().await.word(), "accepted", "{address:?} {beginning:?}");
        }
        assert!(relay.metric("connections", &[]).await <= u64::try_from(MAX).unwrap());
        drop(strangers);
    }
    relay.wait_for_outcome("delivered", 17).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_that_says_nothing_is_closed_and_one_that_was_used_is_kept() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for address in [relay.webhooks, relay.admin] {
        let mut used = Raw::connect(address).await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        used.write(&request).await;
        let status = used.reply().await.status;
        let mut silent = Raw::connect(address).await;
        assert!(silent.find_reply().await.is_none(), "it is closed without a word");
        used.write(&request).await;
        assert_eq!(used.reply().await.status, status, "it was silent for as long");
    }
    for port in ["webhooks", "admin"] {
        assert_eq!(relay.metric("connections_closed_total", &[("port", port), ("reason", "silent")]).await, 1, "{port}");
    }
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "timeout")]).await, 0, "it was no webhook");
    relay.finish().await;
}

/// The limit of wrong keys, after more addresses than it once remembered.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_wrong_keys_holds_however_many_addresses_guess() {
    const ADDRESSES: u32 = 10_500;
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let address = relay.webhooks;
    let wrong = format!("{}content-length: 2\r\n\r\n{{}}", Raw::head().replace(&sha256_hex(API_KEY), &sha256_hex("guess")));
    let guesser = IpAddr::from([127, 200, 0, 1]);
    let mut raw = Raw::connect_from(guesser, address).await;
    let mut statuses = Vec::new();
    for _ in 0..70 {
        raw.write(&wrong).await;
        statuses.push(raw.reply().await.status);
    }
    assert!(statuses[..60].iter().all(|status| *status == 401) && statuses[69] == 429, "{statuses:?}");
    let flood = (0..8).map(|lane| {
        let wrong = wrong.clone();
        async move {
            for number in (lane..ADDRESSES).step_by(8) {
                let [_, _, high, low] = number.to_be_bytes();
                let mut raw = Raw::connect_from(IpAddr::from([127, 100, high, low]), address).await;
                raw.write(&wrong).await;
                assert_eq!(raw.reply().await.status, 401, "{number}");
            }
        }
    });
    futures_util::future::join_all(flood).await;
    // One who comes after all of them is limited, and one who was limited before is not forgotten.
    let mut last = Raw::connect_from(IpAddr::from([127, 201, 0, 1]), address).await;
    let mut limited = 0;
    for _ in 0..80 {
        last.write(&wrong).await;
        limited += u32::from(last.reply().await.status == 429);
    }
    assert!(limited > 0, "80 wrong keys from one address, and none was limited");
    // A right key is none of this, and a path that is not the source's is no way around it.
    last.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(last.reply().await.word(), "accepted");
    last.write(wrong.replace("/webhooks/wiza", "/elsewhere")).await;
    assert_eq!(last.reply().await.status, 429);
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
