//! Connections that end, fall silent or lead to where nobody is any more: the relay notices, and it costs no attempt.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::harness::command::may_have_own_hosts;
use crate::harness::{Answer, Asked, Fault, Http2Answer, Http2Receiver, Link, Receiver, Relay, Setup, eventually, one_destination, reveal};

const CRM: (&str, &str) = ("destination", "crm");
/// One failure is not waited out.
const QUICK: &str = "retry: { first: 20ms, max: 50ms }, circuit: { failures: 1000, cooldown: 20ms }";
/// A failed attempt is the delivery's end, and one failure opens the circuit for longer than a test takes.
const UNFORGIVING: &str = "retry: { attempts: 1 }, circuit: { failures: 1, cooldown: 1h }";
/// More than fits into a connection's window and small buffers: if it is sent into a silent connection, that shows.
const LONG: usize = 40_000;

async fn assert_first_attempts(relay: &Relay, count: u64) {
    let metrics = relay.metrics().await;
    for (result, attempts) in [("delivered", count), ("retried", 0), ("dead", 0)] {
        assert_eq!(metrics.get("attempts_total", &[CRM, ("result", result)]), attempts, "{result}: {}", relay.log());
    }
    assert!(!relay.log().contains("WARN circuit breaker"), "{}", relay.log());
    metrics.assert_conserved();
}

fn long(number: u64) -> String {
    format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(LONG))
}

/// A receiver of HTTP/2 that answers everything, and a link to it.
async fn behind_a_link() -> (Http2Receiver, Link) {
    let receiver = Http2Receiver::scripted(None, |_| Http2Answer::Fine).await;
    let link = Link::to(receiver.address).await;
    (receiver, link)
}

fn secure(link: &Link) -> String {
    link.url("/crm").replace("http:", "https:")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_2_connection_that_falls_silent_is_found_out_and_the_request_repeated() {
    let (receiver, link) = behind_a_link().await;
    let keys = format!("{UNFORGIVING}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&secure(&link), &keys)).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    link.silence();
    for number in 2..6 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    assert!(receiver.connections() >= 2);
    assert_eq!(receiver.taken().len(), 5);
    assert_first_attempts(&relay, 5).await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_a_request_timed_out_is_given_up() {
    let (receiver, link) = behind_a_link().await;
    // Less than it takes to find out that nobody is there.
    let keys = format!("timeout: 1s, {QUICK}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&secure(&link), &keys)).start().await;
    for number in 0..5 {
        let id = relay.webhook(reveal(number)).accepted().await;
        relay.wait_for_outcome("delivered", number + 1).await;
        assert!(relay.stored().attempts(&id).len() <= 1, "only the first request meets the silence");
        link.silence();
    }
    assert_eq!(receiver.taken().len(), 5);
    relay.metrics().await.assert_conserved();
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_and_reload_begin_with_new_connections() {
    let (receiver, link) = behind_a_link().await;
    let keys = format!("timeout: 60s, {UNFORGIVING}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&secure(&link), &keys)).start().await;
    let mut delivered = 0;
    for anew in ["resume", "/-/reload", "SIGHUP", "another file"] {
        relay.webhook(long(delivered)).accepted().await;
        delivered += 1;
        relay.wait_for_outcome("delivered", delivered).await;
        let connections = receiver.connections();
        link.silence();
        match anew {
            "resume" => assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0)),
            "/-/reload" => assert_eq!(relay.post("/-/reload").await.0, 200),
            "SIGHUP" => {
                let reloads = || relay.log().matches("the rules were reloaded").count();
                let before = reloads();
                relay.signal("HUP");
                eventually("the rules are reloaded", async || (reloads() > before).then_some(())).await;
            }
            _ => {
                relay.write_rules(one_destination(&secure(&link), &format!("concurrency: 3, {keys}")));
                relay.reloaded().await;
            }
        }
        let swallowed = link.swallowed();
        relay.webhook(long(delivered)).accepted().await;
        delivered += 1;
        relay.wait_for_outcome("delivered", delivered).await;
        assert!(link.swallowed() - swallowed < LONG / 2, "{anew}: the request went into the old connection");
        assert!(receiver.connections() > connections, "{anew}");
    }
    assert_first_attempts(&relay, delivered).await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_closes_each_connection_soon_after_its_answer_costs_no_attempt() {
    let receiver = Receiver::always(Answer::ReplyThenClose(200, Duration::from_millis(20))).await;
    let relay = Setup::to(&receiver, UNFORGIVING).start().await;
    for number in 0..100 {
        relay.webhook(reveal(number)).accepted().await;
        // Around the moment at which the connection is closed.
        tokio::time::sleep(Duration::from_millis(15 + number % 10)).await;
    }
    relay.wait_for_outcome("delivered", 100).await;
    assert_first_attempts(&relay, 100).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_that_ends_without_an_answer_counts() {
    let receiver = Receiver::always(Answer::ResetMidRequest).await;
    let mut relay = Setup::to(&receiver, UNFORGIVING).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    assert_eq!(receiver.count(), 1, "it is not repeated");
    let error = relay.stored().attempts(&id)[0].error.clone().unwrap();
    assert!(error.contains("reset") || error.contains("closed before"), "{error}");
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_begun_is_not_asked_for_again_at_once() {
    let receiver = Receiver::answering([Answer::status(200), Answer::CutHead]).await;
    let relay = Setup::to(&receiver, QUICK).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let id = relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    let attempts = relay.stored().attempts(&id);
    assert!(attempts[0].error.as_ref().unwrap().contains("closed before the answer's status"), "{attempts:?}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ways_in_which_http_2_says_not_here_cost_no_attempt() {
    type Script = fn(Asked) -> Http2Answer;
    let scripts: [(&str, Script); 4] = [
        ("after an answer", |asked| if asked.on_connection % 3 == 2 { Http2Answer::FineAndGoAway } else { Http2Answer::Fine }),
        ("instead of an answer", |asked| if asked.on_connection == 2 { Http2Answer::GoAwayUnprocessed } else { Http2Answer::Fine }),
        ("of one request", |asked| if asked.number % 4 == 1 { Http2Answer::Refused } else { Http2Answer::Fine }),
        ("with a reset", |asked| if asked.on_connection == 3 { Http2Answer::Reset } else { Http2Answer::Fine }),
    ];
    for (way, script) in scripts {
        let receiver = Http2Receiver::scripted(None, script).await;
        let keys = format!("concurrency: 1, {UNFORGIVING}, {}", receiver.trusted());
        let mut relay = Setup::new(one_destination(&format!("https://{}/crm", receiver.address), &keys)).start().await;
        for number in 0..20 {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.wait_for_metric("waiting", &[CRM], 0).await;
        assert_first_attempts(&relay, 20).await;
        let mut expected: Vec<String> = relay.accepted().iter().map(|id| format!("{id}_crm")).collect();
        expected.sort();
        assert_eq!(receiver.taken(), expected, "{way}: each is taken once");
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_2_says_of_a_request_counts_and_is_told_as_what_it_is() {
    let receiver = Http2Receiver::scripted(None, |asked| if asked.number == 1 { Http2Answer::BrokenOff } else { Http2Answer::Fine }).await;
    let keys = format!("{QUICK}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&format!("https://{}/crm", receiver.address), &keys)).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let id = relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    let errors: Vec<_> = relay.stored().attempts(&id).into_iter().filter_map(|attempt| attempt.error).collect();
    assert_eq!(errors, ["the server broke the request off (HTTP/2 RST_STREAM, INTERNAL_ERROR)"]);
    assert_eq!(receiver.connections(), 1, "the connection is as good as before");
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gets_no_more_requests_at_once_on_a_connection_than_it_takes() {
    let receiver = Http2Receiver::scripted(Some(2), |_| Http2Answer::Fine).await;
    let keys = format!("concurrency: 8, {UNFORGIVING}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&format!("https://{}/crm", receiver.address), &keys)).start().await;
    for number in 0..40 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("waiting", &[CRM], 0).await;
    assert_first_attempts(&relay, 40).await;
    assert!(receiver.connections() <= 8, "{}", receiver.connections());
    assert_eq!(receiver.requests(), 40);
    relay.kill();
}

/// Two receivers, on one port of two addresses.
async fn twins() -> (Receiver, Receiver, u16) {
    loop {
        let old = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
        let port = old.local_addr().unwrap().port();
        if let Ok(new) = TcpListener::bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), port))).await {
            return (Receiver::on_listener(old), Receiver::on_listener(new), port);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moves_is_followed_although_its_old_address_still_answers() {
    if !may_have_own_hosts() {
        return;
    }
    let (old, new, port) = twins().await;
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let points_to = |address: &str| std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} crm.test\n")).unwrap();
    points_to("127.0.0.2");
    let routes = one_destination(&format!("http://crm.test:{port}/crm"), UNFORGIVING);
    let relay = Setup::new(&routes).hosts(&hosts).seen_by(&old).seen_by(&new).start().await;
    relay.webhook(reveal(0)).accepted().await;
    old.wait_for(1).await;

    // By itself, under a load that leaves no connection idle for long.
    points_to("127.0.0.3");
    let mut number = 0;
    eventually("the traffic follows", async || {
        number += 1;
        relay.webhook(reveal(number)).accepted().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        (new.count() > 0).then_some(())
    })
    .await;
    relay.wait_for_metric("waiting", &[CRM], 0).await;

    // At once, where somebody asks for it.
    points_to("127.0.0.2");
    relay.webhook(reveal(10_000)).accepted().await;
    relay.wait_for_metric("waiting", &[CRM], 0).await;
    relay.post("/-/reload").await;
    let before = (old.count(), new.count());
    relay.webhook(reveal(10_001)).accepted().await;
    relay.wait_for_metric("waiting", &[CRM], 0).await;
    assert_eq!((old.count(), new.count()), (before.0 + 1, before.1));
    assert_first_attempts(&relay, relay.accepted().len() as u64).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_connections_that_fell_silent_open_no_circuit() {
    const AT_ONCE: u64 = 10;
    let fine = Answer::status(200).after(Duration::from_millis(300));
    let receiver = Receiver::always(fine).await;
    let link = Link::to(receiver.address).await;
    let (secure_receiver, secure_link) = behind_a_link().await;
    for (url, link, trusted) in [(link.url("/crm"), &link, String::new()), (secure(&secure_link), &secure_link, secure_receiver.trusted())]
    {
        let keys =
            format!("timeout: 2s, concurrency: {AT_ONCE}, retry: {{ first: 20ms, max: 50ms }}, circuit: {{ failures: 1, cooldown: 1h }}");
        let keys = if trusted.is_empty() { keys } else { format!("{keys}, {trusted}") };
        let mut relay = Setup::new(one_destination(&url, &keys)).start().await;
        for number in 0..AT_ONCE {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.wait_for_outcome("delivered", AT_ONCE).await;
        link.silence();
        for number in AT_ONCE..2 * AT_ONCE {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.wait_for_outcome("delivered", 2 * AT_ONCE).await;
        assert!(relay.metric("attempts_total", &[CRM, ("result", "retried")]).await > 0, "the silence cost attempts");
        assert!(!relay.log().contains("WARN circuit breaker"), "{}", relay.log());
        // A new connection on which nothing comes counts.
        link.silence();
        link.inject(Fault::Hang);
        relay.webhook(reveal(2 * AT_ONCE)).accepted().await;
        eventually("the circuit opens", async || relay.log().contains("WARN circuit breaker").then_some(())).await;
        relay.metrics().await.assert_conserved();
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http_2_that_answers_no_ping_is_told_as_that() {
    // As one does whose event loop is blocked by its own work.
    let receiver = Http2Receiver::scripted(None, |asked| {
        if asked.number == 0 {
            std::thread::sleep(Duration::from_secs(9));
        }
        Http2Answer::Fine
    })
    .await;
    let keys = format!("{QUICK}, {}", receiver.trusted());
    let mut relay = Setup::new(one_destination(&format!("https://{}/crm", receiver.address), &keys)).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let errors: Vec<_> = relay.stored().attempts(&id).into_iter().filter_map(|attempt| attempt.error).collect();
    assert_eq!(errors, ["the server sent nothing for 7s, and did not answer a PING of HTTP/2"]);
    relay.kill();
}
