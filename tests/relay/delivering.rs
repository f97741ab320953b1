//! What a destination gets, and how much of it at a time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::harness::{Answer, Gate, Receiver, Setup, eventually, reveal};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_body_the_payload_goes_on_byte_for_byte() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let body = "\t{ \"z\" : 1.0, \"a\":\"\\u00e9\u{e9}\u{1f600}\",\r\n \"z\":1e2 }\n\n";
    let id = relay.webhook(body).below("/emea?campaign=q4").accepted().await;
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str(), request.query.as_str()), ("POST", "/crm", ""));
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("user-agent"), concat!("wiza-relay/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.webhook_id(), format!("{id}_crm"));
    assert_eq!(request.header("idempotency-key"), request.webhook_id());
    let timestamp: u64 = request.header("webhook-timestamp").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(timestamp <= now && now - timestamp < 300, "{timestamp} {now}");
    // What proves to the relay that a webhook is Wiza's is nobody else's affair.
    assert_eq!(request.find_header("x-auth-key"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_keeps_its_name_over_retries_and_each_attempt_its_time() {
    let receiver = Receiver::answering([Answer::status(500), Answer::status(502)]).await;
    let relay = Setup::to(&receiver, "retry: { first: 1500ms, factor: 1 }").start().await;
    let (first, second) = (relay.webhook(reveal(1)).accepted().await, relay.webhook(reveal(2)).accepted().await);
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 4);
    let names: HashSet<_> = requests.iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(names, HashSet::from([format!("{first}_crm"), format!("{second}_crm")]));
    for name in names {
        let of: Vec<_> = requests.iter().filter(|request| request.webhook_id() == name).collect();
        assert!(of.iter().all(|request| request.header("idempotency-key") == name && request.body == of[0].body));
        let times: Vec<u64> = of.iter().map(|request| request.header("webhook-timestamp").parse().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_the_shape_that_the_destination_gives_them() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations:
  crm:
    url: '{}/contacts/{{{{ data.id }}}}?name={{{{ data.name }}}}'
    method: PUT
    headers: {{ authorization: 'Bearer ${{TOKEN}}', x-campaign: '{{{{ event.query.campaign }}}}' }}
    body:
      email: $.data.email
      absent: $.data.absent
      emails: $.data.emails[*].email
      none: $.data.phones[*].number
      name: '{{{{ data.name | title }}}}'
      score: $.data.score
      literal: [1, true, null, plain]
routes: [{{ name: everything, to: [crm] }}]",
        receiver.url("")
    );
    let relay = Setup::new(routes).env("TOKEN", "s3cret-token").seen_by(&receiver).start().await;
    let payload =
        r#"{"data":{"id":"a/b c","name":"ann o'neil & co","email":"ann@x.example","score":1.50,"emails":[{"email":"1"},{"email":"2"}]}}"#;
    relay.webhook(payload).below("?campaign=q4").accepted().await;
    relay.finish().await;
    let request = &receiver.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/contacts/a%2Fb%20c"));
    let name = request.query.strip_prefix("name=").unwrap();
    assert_eq!(percent_encoding::percent_decode_str(name).decode_utf8().unwrap(), "ann o'neil & co");
    assert_eq!(request.header("authorization"), "Bearer s3cret-token");
    assert_eq!(request.header("x-campaign"), "q4");
    assert_eq!(request.header("content-type"), "application/json");
    let body = request.json();
    assert_eq!(body["email"], "ann@x.example");
    assert_eq!(body.get("absent"), None);
    assert_eq!((&body["emails"], &body["none"]), (&serde_json::json!(["1", "2"]), &serde_json::json!([])));
    assert_eq!((&body["score"], &body["literal"]), (&serde_json::json!(1.5), &serde_json::json!([1, true, null, "plain"])));
    let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["email", "emails", "none", "name", "score", "literal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hangs_delays_nobody_else() {
    let (slow, fast) = (Receiver::always(Answer::Hang).await, Receiver::start().await);
    let routes = format!(
        "destinations:
  slow: {{ url: '{}', timeout: 5m, concurrency: 2 }}
  fast: {{ url: '{}', concurrency: 2 }}
routes: [{{ name: everything, to: [slow, fast] }}]",
        slow.url("/"),
        fast.url("/")
    );
    let mut relay = Setup::new(routes).flag("grace", "100ms").seen_by(&slow).seen_by(&fast).start().await;
    for number in 0..50 {
        relay.webhook(reveal(number)).accepted().await;
    }
    // All of it, while not one of the other's attempts has ended.
    fast.wait_for(50).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "fast"), ("outcome", "delivered")], 50).await;
    assert_eq!(slow.count(), 2, "no more than two at a time");
    let metrics = relay.metrics().await;
    assert_eq!(metrics.get("waiting", &[("destination", "slow")]), 50);
    assert_eq!(metrics.get("attempt_seconds_count", &[("destination", "slow")]), 0);
    metrics.assert_conserved();
    // It recovers, and gets what it missed.
    relay.kill();
    slow.become_always(Answer::status(200));
    relay.start_again().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_at_a_time_than_the_destination_allows() {
    let receiver = Receiver::always(Answer::status(200).after(Duration::from_millis(20))).await;
    let relay = Setup::to(&receiver, "concurrency: 3").start().await;
    for number in 0..60 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.finish().await;
    assert_eq!(receiver.parallel_max(), 3);
    assert_eq!(receiver.count(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_keeps_the_order_of_acceptance() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "concurrency: 1").start().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(relay.webhook(reveal(number)).accepted().await + "_crm");
    }
    relay.finish().await;
    let got: Vec<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(got, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_spreads_requests() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "rate_limit: { rate: 20/s, burst: 5 }").start().await;
    for number in 0..50 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 50);
    let mut times: Vec<Instant> = requests.iter().map(|request| request.at).collect();
    times.sort();
    // Five at once and then one in 50 ms. Requests may bunch up on their way, so the windows are long.
    for (first, start) in times.iter().enumerate() {
        let within = times[first..].iter().take_while(|at| at.duration_since(*start) < Duration::from_secs(1)).count();
        assert!(within <= 5 + 20 + 5, "{within} in a second from request {first} on");
    }
    assert!(times[49].duration_since(times[0]) > Duration::from_millis(1900), "{:?}", times[49].duration_since(times[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_larger_than_the_window_in_memory_arrives_once_each() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let relay = Setup::to(&receiver, "concurrency: 8").start().await;
    let poster = relay.poster();
    let posts = (0..8).map(|task| {
        let poster = poster.clone();
        tokio::spawn(async move {
            for number in 0..250 {
                poster.webhook(reveal(task * 1000 + number)).accepted().await;
            }
        })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await.unwrap();
    }
    assert_eq!(relay.metric("waiting", &[("destination", "crm")]).await, 2000);
    assert!(relay.metrics().await.find("queue_oldest_seconds", &[("destination", "crm")]).unwrap() > 0.0);
    gate.open();
    relay.finish().await;
    let requests = receiver.requests();
    let names: HashSet<_> = requests.iter().map(|request| request.webhook_id()).collect();
    assert_eq!((requests.len(), names.len()), (2000, 2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_a_destination_are_used_again() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "concurrency: 1").start().await;
    let before = connections_made(relay.id());
    for number in 0..30 {
        relay.webhook(reveal(number)).accepted().await;
    }
    eventually("all arrive", async || (receiver.count() == 30).then_some(())).await;
    let made = connections_made(relay.id()).saturating_sub(before);
    assert!(made <= 6, "{made} sockets are open after 30 deliveries");
    relay.finish().await;
}

/// Sockets that the process has open.
fn connections_made(process: u32) -> usize {
    let links = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    links
        .filter(|link| std::fs::read_link(link.as_ref().unwrap().path()).is_ok_and(|to| to.display().to_string().starts_with("socket")))
        .count()
}
