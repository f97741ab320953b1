//! What the webhook port answers, case by case: stored, seen before, not Wiza's.

use uuid::Uuid;

use crate::harness::{API_KEY, Raw, Receiver, Setup, eventually, reveal, sha256_hex};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_event_is_accepted_under_an_id_that_sorts_by_time() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let reply = relay.webhook(reveal(1)).send().await;
    assert_eq!((reply.status, reply.word().as_str()), (200, "accepted"));
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json().as_object().unwrap().len(), 2, "{reply:?}");
    let id = Uuid::try_parse(&reply.id()).unwrap();
    assert_eq!(id.get_version_num(), 7);
    let (seconds, _) = id.get_timestamp().unwrap().to_unix();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(seconds.abs_diff(now) < 300, "{seconds} {now}");
    let second = relay.webhook(reveal(2)).accepted().await;
    assert_ne!(second, reply.id());
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "accepted")]).await, 2);
    relay.finish().await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_recognised_by_path_query_and_body() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let first = relay.webhook(reveal(1)).below("?campaign=q4").accepted().await;
    let again = relay.webhook(reveal(1)).below("?campaign=q4").send().await;
    assert_eq!((again.status, again.word().as_str(), again.id()), (200, "duplicate", first));
    // Anything else about it makes it another event.
    relay.webhook(reveal(1)).below("?campaign=q5").accepted().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.webhook(reveal(1)).below("/emea?campaign=q4").accepted().await;
    relay.webhook(reveal(1) + " ").below("?campaign=q4").accepted().await;
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "duplicate")]).await, 1);
    relay.finish().await;
    assert_eq!(receiver.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_repetition_is_one_too() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let first = relay.webhook(reveal(1)).accepted().await;
    let again = relay.webhook(reveal(1)).gzip().send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", first));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_can_say_what_a_repetition_is() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "source: {{ path: /webhooks/wiza, api_keys: [test-key], dedupe: {{ key: [$.type, $.data.id] }} }}
destinations: {{ crm: {{ url: '{}' }} }}
routes: [{{ name: everything, to: [crm] }}]",
        receiver.url("/")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let first = relay.webhook(r#"{"type":"a","data":{"id":7,"status":"queued"}}"#).accepted().await;
    let again = relay.webhook(r#"{"data":{"status":"finished","id":7},"type":"a"}"#).below("/emea?x=1").send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", first));
    relay.webhook(r#"{"type":"b","data":{"id":7}}"#).accepted().await;
    relay.webhook(r#"{"type":"a","data":{"id":8}}"#).accepted().await;
    relay.webhook(r#"{"type":"a","data":{"id":"7"}}"#).accepted().await;
    relay.finish().await;
    assert_eq!(receiver.count(), 4);
}

/// A list calls back once for each of its statuses, under one id; a repetition of each is one all the same.
#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_a_list_is_an_event_of_its_own() {
    for key in ["[]", "[$.type, $.data.id, $.data.status]"] {
        let receiver = Receiver::start().await;
        let routes = format!(
            "source: {{ path: /webhooks/wiza, api_keys: [test-key], dedupe: {{ key: {key} }} }}
destinations: {{ crm: {{ url: '{}', order_by: $.data.id }} }}
routes: [{{ name: lists, when: type == \"list\", to: [crm] }}]",
            receiver.url("/")
        );
        let relay = Setup::new(routes).seen_by(&receiver).start().await;
        let sample: serde_json::Value = serde_json::from_str(include_str!("../../samples/list.json")).unwrap();
        let statuses = ["queued", "resolving", "finished"];
        for status in statuses {
            let mut list = sample.clone();
            list["data"]["status"] = status.into();
            let first = relay.webhook(list.to_string()).accepted().await;
            let again = relay.webhook(list.to_string()).send().await;
            assert_eq!((again.word().as_str(), again.id()), ("duplicate", first), "{key}: {status}");
        }
        relay.finish().await;
        let told: Vec<String> = receiver
            .requests()
            .iter()
            .map(|request| {
                serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()["data"]["status"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(told, statuses, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_identical_posts_at_the_same_time_one_is_accepted() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for round in 0..20 {
        let poster = relay.poster();
        let posts = (0..4).map(|_| tokio::spawn(poster.webhook(reveal(round)).send()));
        let replies = futures_util::future::join_all(posts.collect::<Vec<_>>()).await;
        let replies: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
        let accepted: Vec<_> = replies.iter().filter(|reply| reply.word() == "accepted").collect();
        assert_eq!(accepted.len(), 1, "{replies:?}");
        assert!(replies.iter().all(|reply| reply.status == 200 && reply.id() == accepted[0].id()), "{replies:?}");
    }
    relay.finish().await;
    assert_eq!(receiver.count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_recognised_after_a_restart() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let first = relay.webhook(reveal(1)).accepted().await;
    relay.kill();
    relay.start_again().await;
    let again = relay.webhook(reveal(1)).send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", first.clone()));
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.start_again().await;
    let again = relay.webhook(reveal(1)).send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", first));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_of_repetitions_ends() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "source: {{ path: /webhooks/wiza, api_keys: [test-key], dedupe: {{ window: 1s }} }}
destinations: {{ crm: {{ url: '{}' }} }}
routes: [{{ name: everything, to: [crm] }}]",
        receiver.url("/")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let first = relay.webhook(reveal(1)).accepted().await;
    let second = eventually("the window ends", async || {
        let reply = relay.webhook(reveal(1)).send().await;
        (reply.word() == "accepted").then(|| reply.id())
    })
    .await;
    assert_ne!(first, second);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_whatever_its_form() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let right = sha256_hex(API_KEY);
    let not_hex = right.replace(|c: char| c.is_ascii_digit(), "g");
    let keys = [None, Some(""), Some(API_KEY), Some(&right[..63]), Some(not_hex.as_str()), Some(&*sha256_hex("other")), Some("0")]
        .map(|key| key.map(str::to_owned));
    for key in &keys {
        let reply = relay.webhook(reveal(1)).auth_key(key.as_deref()).send().await;
        reply.assert_problem(401, "x-auth-key");
        assert!(!reply.text().contains(&right), "{reply:?}");
    }
    let too_long = right.clone() + "0";
    relay.webhook(reveal(1)).auth_key(Some(&too_long)).send().await.assert_problem(401, "x-auth-key");
    let count = u64::try_from(keys.len()).unwrap() + 1;
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "unauthorized")]).await, count);
    assert_eq!(relay.stored().events(), 0);
    relay.finish().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_several_keys_is_right_in_either_case() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "source:
  path: /webhooks/wiza
  api_keys: [first-key, '${{SECOND_KEY}}', {{ sha256: {} }}, {{ sha256: {} }}]
destinations: {{ crm: {{ url: '{}' }} }}
routes: [{{ name: everything, to: [crm] }}]",
        sha256_hex("third-key"),
        sha256_hex("fourth-key").to_uppercase(),
        receiver.url("/")
    );
    let relay = Setup::new(routes).env("SECOND_KEY", "second-key").seen_by(&receiver).start().await;
    for (number, key) in ["first-key", "second-key", "third-key", "fourth-key"].iter().enumerate() {
        let hash = sha256_hex(key);
        relay.webhook(format!("{{\"lower\":{number}}}")).auth_key(Some(&hash)).accepted().await;
        relay.webhook(format!("{{\"upper\":{number}}}")).auth_key(Some(&hash.to_uppercase())).accepted().await;
    }
    relay.webhook("{}").auth_key(Some(&sha256_hex("fifth-key"))).send().await.assert_problem(401, "x-auth-key");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_limited_and_a_right_key_never_is() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let wrong = sha256_hex("wrong");
    let statuses = |reply: &crate::harness::Reply| reply.status;
    let mut replies = Vec::new();
    for _ in 0..60 {
        replies.push(relay.webhook("{}").auth_key(Some(&wrong)).send().await);
    }
    assert!(replies.iter().all(|reply| statuses(reply) == 401));
    // The allowance grows by one a second, so a slow machine may see a few more 401 first.
    let limited = eventually("429 after sixty wrong keys", async || {
        let reply = relay.webhook("{}").auth_key(Some(&wrong)).send().await;
        (reply.status != 401).then_some(reply)
    })
    .await;
    limited.assert_problem(429, "too many wrong keys");
    limited.assert_retry_after();
    relay.webhook(reveal(1)).accepted().await;
    let metrics = relay.metrics().await;
    assert!(metrics.get("webhooks_total", &[("outcome", "limited")]) >= 1);
    assert!(metrics.get("webhooks_total", &[("outcome", "unauthorized")]) >= 60);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_is_kept_in_quarantine() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for body in ["[1,2]", "\"text\"", "17", "null", "true", "", "{", "{\"a\":1}}", "{\"a\":01}", "{\"a\":\"\\ud8\"}"] {
        let reply = relay.webhook(body).below("/emea?campaign=q4").send().await;
        reply.assert_problem(400, "quarantine");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        let id = detail.rsplit(' ').next().unwrap();
        let event = relay.stored().event(id);
        assert_eq!((event.status, event.path.as_str(), event.query.as_str()), (2, "emea", "campaign=q4"), "{body}");
        assert_eq!(event.body, body.as_bytes());
        assert!(event.note.is_some_and(|note| detail.contains(&note)), "{detail}");
        assert_eq!(relay.stored().planned(id), []);
    }
    let invalid = relay.metric("webhooks_total", &[("outcome", "invalid")]).await;
    assert_eq!(invalid, 10);
    // JSON, but beyond what can be read: the reason says what it is.
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(127), "]".repeat(127));
    for (body, reason) in [(deep.as_str(), "it nests deeper than 127 levels"), ("{\"a\":1e400}", "it has a number beyond 1.8e308")] {
        let reply = relay.webhook(body).send().await;
        reply.assert_problem(400, reason);
        reply.assert_problem(400, "quarantine");
    }
    relay
        .webhook(*b"{\"a\":\"\xff\"}")
        .send()
        .await
        .assert_problem(400, "its bytes are not UTF-8 (RFC 8259, section 8.1), at line 1, column 7");
    // Wiza repeats what got 400: that must not fill the quarantine.
    let before = relay.stored().events();
    relay.webhook("[1,2]").below("/emea?campaign=q4").send().await.assert_problem(400, "quarantine");
    assert_eq!(relay.stored().events(), before);
    relay.finish().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_object_is_an_event_whatever_its_shape() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let bodies =
        ["{}", "{\"data\":null}", "{\"type\":7}", "{\"a\":1,\"a\":2}", "  {\"n\":1e300}", "{\"n\":12345678901234567890123}", &deep];
    let mut failed = Vec::new();
    for body in bodies {
        let reply = relay.webhook(body).send().await;
        if reply.status != 200 {
            failed.push(format!("{body}: {}", reply.text()));
        }
    }
    assert_eq!(failed, Vec::<String>::new());
    relay.finish().await;
    let mut got: Vec<_> = receiver.requests().into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect();
    got.sort();
    let mut sent = bodies.map(str::to_owned);
    sent.sort();
    assert_eq!(got, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_inflated_before_anything_else() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let body = reveal(1) + "\n\n  ";
    relay.webhook(body.clone()).gzip().accepted().await;
    relay.webhook("no gzip").header("content-encoding", "gzip").send().await.assert_problem(400, "content-encoding is gzip");
    let unknown = relay.webhook("{}").header("content-encoding", "br").send().await;
    unknown.assert_problem(415, "gzip");
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body, body.as_bytes());
    assert_eq!(requests[0].find_header("content-encoding"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused_without_the_words_that_stop_wiza() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for method in ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"] {
        for key in [Some(sha256_hex(API_KEY)), None] {
            let reply = relay.webhook("").method(method).below("/emea?x=1").auth_key(key.as_deref()).send().await;
            assert_eq!((reply.status, reply.header("allow")), (405, "POST"), "{method}");
        }
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_path_with_a_right_key_is_not_given_up_by_wiza() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for path in ["/", "/webhooks", "/webhooks/wizard", "/webhook/wiza", "/WEBHOOKS/WIZA", "/metrics"] {
        relay.webhook("{}").path(path).auth_key(None).send().await.assert_problem(404, "nothing is here");
        relay.webhook("{}").path(path).auth_key(Some("0")).send().await.assert_problem(404, "nothing is here");
        relay.webhook("{}").path(path).send().await.assert_problem(421, "/webhooks/wiza");
    }
    assert_eq!(relay.metric("misdirected_total", &[]).await, 6);
    relay.finish().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_path_and_the_query_are_seen_by_rules_and_templates() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations:
  crm:
    url: '{}'
    body: {{ campaign: '{{{{ event.query.campaign }}}}', path: '{{{{ event.path }}}}', id: '{{{{ event.id }}}}' }}
routes:
  - {{ name: emea, when: 'event.path == \"emea\"', to: [crm] }}
  - {{ name: deeper, when: 'event.path == \"apac/sg\" and event.query.record == \"0031x\"', to: [crm] }}",
        receiver.url("/")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let emea = relay.webhook(reveal(1)).below("/emea?campaign=q4%20%26%20more&campaign=second").accepted().await;
    relay.webhook(reveal(2)).below("/apac/sg?record=0031x&campaign=a+b").accepted().await;
    relay.webhook(reveal(3)).below("/amer?campaign=q4").accepted().await;
    assert_eq!(relay.metric("unmatched_total", &[]).await, 1);
    let stored = relay.stored().event(&emea);
    assert_eq!((stored.path.as_str(), stored.query.as_str()), ("emea", "campaign=q4%20%26%20more&campaign=second"));
    relay.finish().await;
    let mut bodies: Vec<_> = receiver.requests().iter().map(|request| request.json()).collect();
    bodies.sort_by_key(|body| body["path"].to_string());
    assert_eq!(bodies[0], serde_json::json!({"campaign": "a b", "path": "apac/sg", "id": bodies[0]["id"]}));
    assert_eq!(bodies[1], serde_json::json!({"campaign": "q4 & more", "path": "emea", "id": emea}));
    assert_eq!(bodies.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_also_without_waiting() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let mut raw = relay.raw().await;
    for number in 0..2 {
        raw.write(Raw::webhook(&reveal(number))).await;
        assert_eq!(raw.reply().await.word(), "accepted");
    }
    // A refusal in between does not cost the connection.
    raw.write("GET /nothing HTTP/1.1\r\nhost: relay\r\n\r\n").await;
    raw.reply().await.assert_problem(404, "nothing");
    let pipelined: String = (2..5).map(|number| Raw::webhook(&reveal(number))).collect();
    raw.write(pipelined).await;
    for _ in 2..5 {
        assert_eq!(raw.reply().await.word(), "accepted");
    }
    relay.wait_for_outcome("delivered", 5).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_does_not_wait_for_the_answer_is_counted_like_any_other() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    // Closed, both ways or one, as soon as all is written.
    for number in 0..40 {
        let mut raw = relay.raw().await;
        raw.write(Raw::webhook(&reveal(number))).await;
        if number % 2 == 0 {
            raw.end().await;
            assert_eq!(raw.reply().await.word(), "accepted");
        }
    }
    // A body that breaks off is nobody's event, and not the event's fault.
    let mut raw = relay.raw().await;
    raw.write(format!("{}content-length: 100\r\n\r\n{{", Raw::head())).await;
    raw.end().await;
    relay.wait_for_outcome("delivered", 40).await;
    relay.wait_for_metric("webhooks_total", &[("outcome", "accepted")], 40).await;
    relay.wait_for_metric("webhooks_total", &[("outcome", "timeout")], 1).await;
    for (name, labels) in [("ack_seconds_count", vec![]), ("route_matches_total", vec![("route", "everything")])] {
        assert_eq!(relay.metric(name, &labels).await, 40, "{name}");
    }
    relay.finish().await;
}
