//! `auth: oauth2`: against a token server that counts what it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Answer, Gate, Receiver, Setup, eventually, one_destination, reveal};

const CRM: (&str, &str) = ("destination", "crm");
const QUICK: &str = "retry: { first: 5ms, max: 20ms }, circuit: { cooldown: 20ms }";

/// A token server whose tokens are `token-0`, `token-1` and so on; `more` is what its answers say beside.
async fn token_server(more: &str) -> Receiver {
    let more = more.to_owned();
    Receiver::scripted(move |_, number| granted(number, &more)).await
}

fn granted(number: usize, more: &str) -> Answer {
    Answer::status(200).body(format!(r#"{{"access_token":"token-{number}","token_type":"Bearer"{more}}}"#))
}

fn auth(tokens: &Receiver, more: &str) -> String {
    let url = tokens.url("/token");
    format!("auth: {{ oauth2: {{ token_url: '{url}', client_id: relay, client_secret: '${{CLIENT_SECRET}}'{more} }} }}")
}

/// The token of an authorization, by its number.
fn number(authorization: &str) -> usize {
    authorization.strip_prefix("Bearer token-").unwrap_or_else(|| panic!("{authorization}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_attempts_at_once_share_one_token() {
    let gate = Gate::new();
    let held = granted(0, r#","expires_in":3600"#).behind(&gate);
    let tokens = Receiver::scripted(move |_, number| if number == 0 { held.clone() } else { granted(number, "") }).await;
    let receiver = Receiver::start().await;
    let keys = format!("concurrency: 100, {}", auth(&tokens, ", scope: 'contacts.write deals', client_auth: basic"));
    let relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret+").start().await;
    for number in 0..100 {
        relay.webhook(reveal(number)).accepted().await;
    }
    tokens.wait_for(1).await;
    assert_eq!(receiver.count(), 0, "nothing is sent without a token");
    gate.open();
    relay.wait_for_outcome("delivered", 100).await;
    assert!(receiver.requests().iter().all(|request| request.header("authorization") == "Bearer token-0"));
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/token"));
    assert_eq!(asked[0].header("authorization"), "Basic cmVsYXk6czNjcmV0JTJC", "relay:s3cret%2B");
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(asked[0].body, b"grant_type=client_credentials&scope=contacts.write+deals");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_wait_for_one_token_share_its_failure_too() {
    let gate = Gate::new();
    let tokens = Receiver::always(Answer::status(503).behind(&gate)).await;
    let receiver = Receiver::start().await;
    let keys =
        format!("timeout: 60s, concurrency: 50, retry: {{ first: 1h, factor: 1 }}, circuit: {{ failures: 100 }}, {}", auth(&tokens, ""));
    let mut relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret").start().await;
    for number in 0..50 {
        relay.webhook(reveal(number)).accepted().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await; // So that they have come to wait.
    gate.open();
    relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 50).await;
    assert!(tokens.count() <= 5, "{} requests for 50 attempts at once", tokens.count());
    assert_eq!(receiver.count(), 0);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_before_its_end_and_its_server_may_be_away_for_a_moment() {
    const LIFE: Duration = Duration::from_secs(4);
    let made: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&made);
    // Every second request for a token comes to nothing.
    let tokens = Receiver::scripted(move |_, number| {
        if number % 2 == 1 {
            return Answer::status(500);
        }
        let mut made = seen.lock().unwrap();
        made.push(Instant::now());
        granted(made.len() - 1, &format!(r#","expires_in":{}"#, LIFE.as_secs()))
    })
    .await;
    let receiver = Receiver::scripted(move |request, _| {
        let is_good = made.lock().unwrap()[number(request.header("authorization"))].elapsed() < LIFE;
        Answer::status(if is_good { 200 } else { 401 })
    })
    .await;
    let relay = Setup::to(&receiver, &format!("{QUICK}, {}", auth(&tokens, ""))).env("CLIENT_SECRET", "s3cret").start().await;
    let mut posted = 0;
    while receiver.requests().last().is_none_or(|request| number(request.header("authorization")) < 2) {
        relay.webhook(reveal(posted)).accepted().await;
        posted += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(posted < 1000, "a token lasts for ever");
    }
    relay.wait_for_outcome("delivered", posted).await;
    assert!(receiver.requests().iter().all(|request| request.answered == Some(200)), "no token was used after its end");
    assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "retried")]).await, 0, "and none was missing before its end");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_replaced_once_and_costs_no_attempt() {
    let tokens = token_server(r#","expires_in":3600"#).await;
    let valid = Arc::new(AtomicUsize::new(0));
    let known = Arc::clone(&valid);
    let receiver = Receiver::scripted(move |request, _| {
        let is_valid = number(request.header("authorization")) >= known.load(Ordering::SeqCst);
        Answer::status(if is_valid { 200 } else { 401 }).after(Duration::from_millis(20))
    })
    .await;
    let keys = format!("concurrency: 50, {}", auth(&tokens, ", client_auth: body"));
    let relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret&").start().await;
    relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    valid.store(1, Ordering::SeqCst);
    for number in 1..=50 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 51).await;
    assert_eq!(tokens.count(), 2, "fifty refusals, and one new token");
    assert_eq!(tokens.requests()[0].body, b"grant_type=client_credentials&client_id=relay&client_secret=s3cret%26");
    assert_eq!(tokens.requests()[0].find_header("authorization"), None);
    assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "retried")]).await, 0);
    let refused: Vec<_> = receiver.requests().into_iter().filter(|request| request.answered == Some(401)).collect();
    assert!(!refused.is_empty());
    for request in &refused {
        let again: Vec<_> = receiver.requests().into_iter().filter(|other| other.webhook_id() == request.webhook_id()).collect();
        assert_eq!(again.len(), 2);
        assert_eq!(again[0].body, again[1].body);
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_likes_no_token_is_no_loop() {
    let tokens = token_server(r#","expires_in":3600"#).await;
    let receiver = Receiver::always(Answer::status(401)).await;
    let keys = format!("retry: {{ first: 5ms, max: 20ms }}, circuit: {{ cooldown: 100ms }}, concurrency: 1, {}", auth(&tokens, ""));
    let mut relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret").start().await;
    let id = relay.webhook(reveal(0)).accepted().await;
    receiver.wait_for(9).await;
    relay.kill();
    // The first attempt's token is new, so it is not asked for again; each attempt after it asks once.
    let (asked, sent) = (tokens.count(), receiver.count());
    assert!(asked <= 1 + sent / 2, "{asked} tokens for {sent} requests");
    let pairs: Vec<usize> = receiver.requests().iter().map(|request| number(request.header("authorization"))).collect();
    assert_eq!(pairs[..7], [0, 0, 1, 1, 2, 2, 3]);
    let delivery = relay.stored().delivery(&id);
    assert_eq!((delivery.state, delivery.attempts), ("retrying", 0), "a wrong token costs no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_that_is_refused_costs_no_event_and_a_mended_one_takes_effect() {
    let tokens = Receiver::scripted(|request, number| match request.header("authorization") {
        "Basic cmVsYXk6cmlnaHQ=" => granted(number, ""),
        _ => Answer::status(401).body(r#"{"error":"invalid_client","error_description":"Zq7"}"#),
    })
    .await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let keys = |timeout: &str| {
        let auth = auth(&tokens, "").replace("${CLIENT_SECRET}", &format!("${{file:{}}}", secret.display()));
        format!("timeout: {timeout}, retry: {{ first: 5ms, max: 20ms, attempts: 2, deadline: 1s }}, circuit: {{ cooldown: 100ms }}, {auth}")
    };
    let mut relay = Setup::to(&receiver, &keys("10s")).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    let asked = tokens.count();
    tokens.wait_for(asked + 3).await;
    assert_eq!(receiver.count(), 0);
    let id = &relay.accepted()[0];
    let error = eventually("an attempt is written", async || relay.stored().delivery(id).last_error).await;
    assert_eq!(error, "the token server answered 401: invalid_client");
    assert_eq!(relay.stored().delivery(id).attempts, 0);
    tokio::time::sleep(Duration::from_secs(1)).await; // Past the deadline of all.
    std::fs::write(&secret, "right").unwrap();
    assert_eq!(relay.post("/-/reload").await.1["status"], "reloaded");
    relay.wait_for_outcome("delivered", 5).await;
    let asked = tokens.count();

    // What has nothing to do with the token leaves it alone.
    relay.write_rules(one_destination(&receiver.url("/crm"), &keys("9s")));
    relay.reloaded().await;
    relay.webhook(reveal(5)).accepted().await;
    relay.wait_for_outcome("delivered", 6).await;
    assert_eq!(tokens.count(), asked);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_in_trouble_fails_attempts_which_are_made_again() {
    let troubles = [
        Answer::status(503),
        Answer::status(200).body("<html>"),
        Answer::CutBody(200),
        Answer::EndlessBody(200),
        Answer::Hang,
        Answer::status(200).body(format!(r#"{{"access_token":"{}"}}"#, "x".repeat(70_000))),
        Answer::ResetMidRequest,
    ];
    let count = troubles.len();
    let tokens = Receiver::scripted(move |_, number| troubles.get(number).cloned().unwrap_or_else(|| granted(number, ""))).await;
    let receiver = Receiver::start().await;
    let keys = format!("timeout: 500ms, {}, {}", QUICK.replace("cooldown", "failures: 100, cooldown"), auth(&tokens, ""));
    let relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret").start().await;
    let id = relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!((tokens.count(), receiver.count()), (count + 1, 1));
    let errors: Vec<String> = relay.stored().attempts(&id).into_iter().map(|attempt| attempt.error.unwrap()).collect();
    let words = ["answered 503", "no JSON", "cut off", "within 500ms", "within 500ms", "more than 64 KiB", "token server: "];
    assert_eq!(errors.len(), count);
    for (error, words) in errors.iter().zip(words) {
        assert!(error.starts_with("the token server") && error.contains(words), "{error}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_that_throttles_with_a_time_uses_up_no_attempt() {
    for status in [429, 403] {
        let tokens = Receiver::scripted(move |_, number| match number {
            0..3 => Answer::status(status).header("retry-after", 1),
            _ => granted(number, ""),
        })
        .await;
        let receiver = Receiver::start().await;
        let keys =
            format!("retry: {{ attempts: 2, first: 5ms, max: 10s }}, circuit: {{ failures: 1, cooldown: 1h }}, {}", auth(&tokens, ""));
        let relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret").start().await;
        for number in 0..5 {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.wait_for_outcome("delivered", 5).await;
        assert_eq!(tokens.count(), 4, "{status}: nothing is asked for before the time");
        assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "dead")]).await, 0);
        assert!(!relay.log().contains("WARN circuit breaker"), "{}", relay.log());
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_under_maintenance_is_not_asked_before_its_time() {
    let tokens = Receiver::scripted(move |_, number| match number {
        0 => Answer::status(503).header("retry-after", 2),
        _ => granted(number, ""),
    })
    .await;
    let receiver = Receiver::start().await;
    let keys = format!("concurrency: 1, retry: {{ attempts: 2, first: 5ms, max: 10s }}, {}", auth(&tokens, ""));
    let relay = Setup::to(&receiver, &keys).env("CLIENT_SECRET", "s3cret").start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    assert_eq!(tokens.count(), 2, "one that says when, and one that gives a token");
    assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "retried")]).await, 1, "the others waited without an attempt");
    relay.finish().await;
}
