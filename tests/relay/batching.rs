//! `batch`: several deliveries in one request, repeated as the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Request, Setup, eventually, reveal};

/// The ids in a batch.
fn members(request: &Request) -> Vec<u64> {
    let body: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
    body.iter().map(|member| member["data"]["id"].as_u64().unwrap()).collect()
}

async fn post(relay: &Relay, numbers: std::ops::Range<u64>) {
    for number in numbers {
        relay.webhook(reveal(number)).accepted().await;
    }
}

/// Ends a relay whose receivers saw batches, not single deliveries by which `finish` would know them.
async fn end(mut relay: Relay, delivered: u64) {
    relay.wait_for_outcome("delivered", delivered).await;
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.metric("waiting", &[("destination", "crm")]).await, 0);
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.assert_balanced().await;
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_within_the_time_goes_together_and_never_more_than_the_maximum() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "batch: { max: 10, every: 2s }, concurrency: 1").start().await;
    post(&relay, 0..25).await;
    relay.wait_for_outcome("delivered", 20).await;
    assert_eq!(receiver.count(), 2, "the last five still wait for company");
    end(relay, 25).await;
    let requests = receiver.requests();
    assert_eq!(
        requests.iter().map(members).collect::<Vec<_>>(),
        [(0..10).collect::<Vec<_>>(), (10..20).collect::<Vec<_>>(), (20..25).collect::<Vec<_>>()]
    );
    let ids: BTreeSet<&str> = requests.iter().map(Request::webhook_id).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    for request in &requests {
        assert!(request.webhook_id().starts_with("batch_") && request.webhook_id().ends_with("_crm"), "{}", request.webhook_id());
        assert_eq!(request.header("idempotency-key"), request.webhook_id());
        assert_eq!(request.header("content-type"), "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_alone_is_a_batch_too_and_each_member_has_its_own_shape() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations:\n  crm: {{ url: '{}', batch: {{ every: 1s }}, body: {{ id: $.data.id }} }}\nroutes:\n  - {{ name: failures, when: data.status == \"failed\", to: [{{ destination: crm, body: {{ failed: $.data.id, by: '{{{{ event.route }}}}' }} }}] }}\n  - {{ name: all, to: [crm] }}\n",
        receiver.url("/bulk")
    );
    let relay = Setup::new(routes).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.webhook(reveal(2)).accepted().await;
    relay.webhook(reveal(3).replace("finished", "failed")).accepted().await;
    end(relay, 3).await;
    let bodies: Vec<Value> = receiver.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert_eq!(bodies, [json!([{ "id": 1 }]), json!([{ "id": 2 }, { "failed": 3, "by": "failures" }])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_repeated_as_the_same_batch_also_after_a_kill() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = "batch: { max: 8, every: 300ms }, concurrency: 2, retry: { attempts: 1000, first: 50ms, factor: 1 }, circuit: { failures: 100000, cooldown: 1ms }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    post(&relay, 0..20).await;
    receiver.wait_for(6).await;
    relay.kill();
    relay.assert_balanced().await;
    relay.start_again().await;
    post(&relay, 20..30).await;
    let so_far = receiver.count();
    receiver.wait_for(so_far + 6).await;
    let waiting = relay.listed(&["deliveries", "--limit", "0"]).await;
    assert_eq!(waiting.len(), 30);
    assert!(waiting.iter().all(|delivery| delivery["status"] != "delivered"), "{waiting:?}");
    receiver.become_always(Answer::status(200));
    end(relay, 30).await;

    // One id, one set of members, whenever it came.
    let mut batches: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut arrived: Vec<u64> = Vec::new();
    for request in receiver.requests() {
        let members = members(&request);
        let known = batches.entry(request.webhook_id().to_owned()).or_insert_with(|| members.clone());
        assert_eq!(*known, members, "{}", request.webhook_id());
        if request.answered == Some(200) {
            arrived.extend(members);
        }
    }
    arrived.sort_unstable();
    assert_eq!(arrived, (0..30).collect::<Vec<_>>(), "each once");
    assert!(batches.values().all(|members| members.len() <= 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_dies_is_dead_as_a_whole_and_its_members_can_be_sent_again() {
    let receiver = Receiver::always(Answer::status(404).body("not these")).await;
    let relay = Setup::to(&receiver, "batch: { max: 5, every: 500ms }").start().await;
    post(&relay, 0..5).await;
    relay.wait_for_outcome("dead", 5).await;
    let dead = relay.listed(&["deliveries", "--status", "dead"]).await;
    for delivery in &dead {
        let shown = &relay.listed(&["deliveries", "show", delivery["id"].as_str().unwrap()]).await[0];
        assert_eq!((&shown["last_status"], &shown["attempt_log"][0]["reply"]), (&json!(404), &json!("not these")), "{shown}");
    }
    receiver.become_always(Answer::status(200));
    let one = dead[0]["id"].as_str().unwrap();
    assert_eq!(relay.ask(&["redrive", one, "--yes"]).await.code, Some(0));
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.ask(&["redrive", "--all", "--yes", "--rate", "0"]).await.code, Some(0));
    end(relay, 5).await;
    let requests = receiver.requests();
    assert_eq!((members(&requests[1]).len(), members(&requests[2]).len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_cannot_be_rendered_is_dead_alone_even_where_it_leads() {
    let receiver = Receiver::answering([Answer::status(500)]).await;
    let keys = "batch: { max: 6, every: 500ms }, retry: { first: 10ms }, body: { data: { id: $.data.id, name: '{{ data.name }}' } }";
    let relay = Setup::to(&receiver, keys).flag("log-format", "json").start().await;
    let with_name = |id: u64| reveal(id).replace("\"status\":\"finished\"", "\"status\":\"finished\",\"name\":\"A B\"");
    let mut events = Vec::new();
    for id in 0..6 {
        let nameless = id == 0 || id == 3;
        events.push(relay.webhook(if nameless { reveal(id) } else { with_name(id) }).accepted().await);
    }
    relay.wait_for_outcome("dead", 2).await;
    relay.wait_for_outcome("delivered", 4).await;

    // Told as what they are, each under its own name: two that died, and a batch of four that arrived at the second attempt.
    assert_eq!(relay.metric("delivery_seconds_count", &[("destination", "crm")]).await, 4);
    assert_eq!(relay.metric("attempt_failures_total", &[("destination", "crm"), ("reason", "unrenderable")]).await, 2);
    let log = relay.log();
    let attempts: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["message"] == "attempt").collect();
    let told =
        |line: &Value| (line["event_id"].as_str().unwrap().to_owned(), line["result"].as_str().unwrap().to_owned(), line["batch"].as_u64());
    let expected = [(0, "dead", None), (3, "dead", None), (1, "retried", Some(4)), (1, "delivered", Some(4))];
    assert_eq!(
        attempts.iter().map(told).collect::<Vec<_>>(),
        expected.map(|(id, result, batch): (usize, &str, Option<u64>)| (events[id].clone(), result.to_owned(), batch))
    );
    assert!(attempts[0]["reason"].as_str().unwrap().contains("the request cannot be made"), "{}", attempts[0]);
    end(relay, 4).await;
    let requests = receiver.requests();
    assert_eq!(requests.iter().map(members).collect::<Vec<_>>(), [[1, 2, 4, 5], [1, 2, 4, 5]]);
    assert_eq!(requests[0].webhook_id(), requests[1].webhook_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gathers_when_the_relay_stops_or_its_destination_leaves_is_not_lost() {
    let (crm, other) = (Receiver::start().await, Receiver::start().await);
    let rules = |crm_keys: &str| {
        format!(
            "destinations:\n  crm: {{ url: '{}', {crm_keys} }}\n  other: {{ url: '{}' }}\nroutes:\n  - {{ name: all, to: [crm, other] }}\n",
            crm.url("/"),
            other.url("/")
        )
    };
    let without = format!("destinations:\n  other: {{ url: '{}' }}\nroutes:\n  - {{ name: all, to: [other] }}\n", other.url("/"));
    let slowly = rules("batch: { every: 1h }");
    let mut relay = Setup::new(&slowly).start().await;
    post(&relay, 0..3).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 3).await;
    // It leaves while three gather, and comes back with batches that do not wait so long.
    relay.write_rules(&without);
    relay.reloaded().await;
    relay.write_rules(rules("batch: { max: 3, every: 1h }"));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 3).await;
    // It stops while two gather.
    post(&relay, 3..5).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert_eq!(crm.count(), 1);
    relay.start_again_with(rules("batch: { every: 100ms }")).await;
    relay.wait_for_outcome("delivered", 5).await;
    // And `batch` is taken out while one gathers.
    relay.write_rules(&slowly);
    relay.reloaded().await;
    post(&relay, 5..6).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 6).await;
    relay.write_rules(rules("timeout: 9s"));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 6).await;
    let alone = crm.requests().last().unwrap().body.clone();
    assert_eq!(serde_json::from_slice::<Value>(&alone).unwrap()["data"]["id"], 5, "no batch any more");
    end(relay, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_survive_kill_9_again_and_again() {
    let rounds: u64 = std::env::var("KILL_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap());
    let receiver =
        Receiver::scripted(|_, number| Answer::status(if number % 3 == 0 { 503 } else { 200 }).after(Duration::from_millis(3))).await;
    let keys = "batch: { max: 7, every: 50ms }, concurrency: 3, retry: { attempts: 1000, first: 20ms, factor: 1 }, circuit: { failures: 100000, cooldown: 1ms }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    for round in 0..rounds {
        let before = receiver.count();
        post(&relay, round * 40..(round + 1) * 40).await;
        let some = before + usize::try_from(round % 8).unwrap();
        eventually("some are sent", async || (receiver.count() > some).then_some(())).await;
        relay.kill();
        relay.assert_balanced().await;
        relay.start_again().await;
    }
    end(relay, rounds * 40).await;
    let mut batches: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut arrived = BTreeSet::new();
    for request in receiver.requests() {
        let members = members(&request);
        let known = batches.entry(request.webhook_id().to_owned()).or_insert_with(|| members.clone());
        assert_eq!(*known, members);
        if request.answered == Some(200) {
            arrived.extend(members);
        }
    }
    assert_eq!(arrived.len() as u64, rounds * 40, "0 lost");
    let sent: usize = batches.values().map(Vec::len).sum();
    assert_eq!(sent as u64, rounds * 40, "nobody was in two batches");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_before_a_payload_does_not_spoil_the_batch() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "batch: { max: 3, every: 1h }").start().await;
    for number in 0..3 {
        let mark = if number == 1 { "" } else { "\u{feff}" };
        relay.webhook(format!("{mark}{}", reveal(number))).accepted().await;
    }
    receiver.wait_for(1).await;
    let request = &receiver.requests()[0];
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(!body.contains('\u{feff}'), "{body}");
    assert_eq!(members(request).len(), 3);
    end(relay, 3).await;
}

/// The body of a request.
fn json_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// The signature of Standard Webhooks over the bytes that came.
fn signature(request: &Request) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{KeyInit as _, Mac as _};
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", request.webhook_id(), request.header("webhook-timestamp")).as_bytes());
    mac.update(&request.body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_around_a_batch_is_repeated_as_it_was_under_one_id_and_a_signature_over_its_bytes() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = format!(
        "sign: {{ secret: {SECRET} }}, batch: {{ max: 4, every: 1s, body: {{ inputs: $, ids: '$[*].data.id', n: {{ $value: '{{{{ items | length }}}}' }} }} }}, retry: {{ attempts: 1000, first: 50ms, factor: 1 }}, circuit: {{ failures: 100000, cooldown: 1ms }}"
    );
    let mut relay = Setup::to(&receiver, &keys).start().await;
    post(&relay, 0..4).await;
    receiver.wait_for(3).await;
    relay.kill();
    relay.start_again().await;
    let so_far = receiver.count();
    receiver.wait_for(so_far + 2).await;
    receiver.become_always(Answer::status(200));
    end(relay, 4).await;
    let requests = receiver.requests();
    let first = &requests[0];
    let payloads: Vec<Value> = (0..4).map(|id| serde_json::from_str(&reveal(id)).unwrap()).collect();
    assert_eq!(json_of(first), json!({ "inputs": payloads, "ids": [0, 1, 2, 3], "n": 4 }));
    for request in &requests {
        assert_eq!((request.webhook_id(), &request.body), (first.webhook_id(), &first.body));
        assert_eq!(request.header("webhook-signature"), signature(request));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_spoils_the_batchs_body_is_dead_alone_even_where_it_leads() {
    let receiver = Receiver::start().await;
    let keys = "batch: { max: 4, every: 500ms, body: { text: '{% for i in items %}{{ i.data.name }};{% endfor %}' } }";
    let relay = Setup::to(&receiver, keys).start().await;
    let named = |id: u64| reveal(id).replace("\"status\":\"finished\"", &format!("\"status\":\"finished\",\"name\":\"N{id}\""));
    for id in 0..4 {
        relay.webhook(if id == 0 || id == 2 { reveal(id) } else { named(id) }).accepted().await;
    }
    relay.wait_for_outcome("dead", 2).await;
    relay.wait_for_outcome("delivered", 2).await;
    for dead in relay.listed(&["deliveries", "--status", "dead"]).await {
        let error = dead["last_error"].as_str().unwrap();
        assert!(error.contains("batch.body.text: `i.data.name` is not in this batch"), "{error}");
    }
    end(relay, 2).await;
    assert_eq!(receiver.requests().iter().map(json_of).collect::<Vec<_>>(), [json!({ "text": "N1;N3;" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_cannot_go_together_go_one_by_one_and_none_is_lost() {
    let receiver = Receiver::answering([Answer::status(500)]).await;
    // Of numbers and texts together there is no order.
    let keys = "batch: { max: 6, every: 500ms, body: { ids: { $value: \"{{ items | map(attribute='data') | map(attribute='key') | sort | list }}\" } } }, concurrency: 1, retry: { attempts: 3, first: 10ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    let keyed = |id: u64, key: &str| reveal(id).replace("\"status\":\"finished\"", &format!("\"status\":\"finished\",\"key\":{key}"));
    let mut events = Vec::new();
    for (id, key) in (0..).zip(["1", "\"x\"", "2", "\"y\"", "3", "[]"]) {
        events.push(relay.webhook(keyed(id, key)).accepted().await);
    }
    // A list has no order, even alone.
    relay.wait_for_outcome("dead", 1).await;
    relay.wait_for_outcome("delivered", 5).await;
    let requests = receiver.requests();
    let ids: BTreeSet<&str> = requests.iter().map(Request::webhook_id).collect();
    let mut bodies: Vec<String> =
        requests.iter().filter(|request| request.answered == Some(200)).map(|request| json_of(request).to_string()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["{\"ids\":[\"x\"]}", "{\"ids\":[\"y\"]}", "{\"ids\":[1]}", "{\"ids\":[2]}", "{\"ids\":[3]}"]);
    assert_eq!((ids.len(), requests.len()), (5, 6), "each under its own id, one of them repeated under it");
    let shown = &relay.listed(&["deliveries", "show", &format!("{}_crm", events[0])]).await[0];
    assert_eq!(shown["status"], "delivered");
    assert!(shown["attempts"].as_u64().unwrap() <= 2, "to part a batch uses up no attempt: {shown}");
    end(relay, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_for_its_repetition_takes_a_new_body_and_keeps_its_members_and_its_id() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let rules = |body: &str| {
        format!(
            "destinations:\n  crm: {{ url: '{}', batch: {{ max: 3, every: 1h, body: {body} }}, retry: {{ attempts: 1000, first: 50ms, factor: 1 }}, circuit: {{ failures: 100000, cooldown: 1ms }} }}\nroutes:\n  - {{ name: all, to: [crm] }}\n",
            receiver.url("/")
        )
    };
    let mut relay = Setup::new(rules("{ before: '$[*].data.id' }")).start().await;
    post(&relay, 0..3).await;
    receiver.wait_for(2).await;
    relay.write_rules(rules("{ after: '$[*].data.id' }"));
    relay.reloaded().await;
    eventually("the new shape", async || {
        let requests = receiver.requests();
        requests.iter().any(|request| json_of(request) == json!({ "after": [0, 1, 2] })).then_some(())
    })
    .await;
    // An outer body that does not load takes no effect, and says where.
    relay.write_rules(rules("{ after: '{{ data.id }}' }"));
    let (status, refused) = relay.post("/-/reload").await;
    assert!(status == 422 && refused.to_string().contains("`data.id` is not known in a batch's body"), "{refused}");
    receiver.become_always(Answer::status(200));
    end(relay, 3).await;
    let requests = receiver.requests();
    assert_eq!(json_of(&requests[0]), json!({ "before": [0, 1, 2] }));
    assert_eq!(json_of(requests.last().unwrap()), json!({ "after": [0, 1, 2] }));
    assert_eq!(requests.iter().map(Request::webhook_id).collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_opens_nothing_and_a_run_of_refused_members_does() {
    let receiver = Receiver::answering([Answer::status(400), Answer::status(200)]).await;
    let keys = "concurrency: 1, batch: { max: 30, every: 1h }, retry: { first: 1ms }, circuit: { cooldown: 100ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    post(&relay, 0..60).await;
    relay.wait_for_outcome("delivered", 60).await;
    assert!(!relay.log().contains("circuit breaker"), "{}", relay.log());
    receiver.become_always(Answer::status(400));
    post(&relay, 60..180).await;
    relay.wait_for_metric("held", &[("destination", "crm"), ("reason", "refusals")], 1).await;
    let count = receiver.count();
    receiver.wait_for(count + 3).await;
    let dead = relay.metric("deliveries_total", &[("destination", "crm"), ("outcome", "dead")]).await;
    assert!((1..=60).contains(&dead), "as many as it takes to open it, and no probe: {dead}");
    receiver.become_always(Answer::status(200));
    relay.wait_for_metric("waiting", &[("destination", "crm")], 0).await;
    assert_eq!(relay.metric("deliveries_total", &[("destination", "crm"), ("outcome", "dead")]).await, dead);
    end(relay, 180 - dead).await;
}

/// A receiver that refuses the first request and one more.
async fn refusing(status: u16, another: usize) -> Receiver {
    Receiver::scripted(move |_, number| Answer::status(if number == 0 || number == another { status } else { 200 })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_is_parted_also_where_its_leader_cannot_be_rendered() {
    let receiver = refusing(400, 2).await;
    let keys = "batch: { max: 5, every: 1h }, body: { data: { id: $.data.id, name: '{{ data.name }}' } }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    let named = |id: u64| reveal(id).replace("\"status\":\"finished\"", "\"status\":\"finished\",\"name\":\"A B\"");
    for id in 0..5 {
        relay.webhook(if id == 0 { reveal(id) } else { named(id) }).accepted().await;
    }
    relay.wait_for_outcome("dead", 2).await;
    relay.wait_for_outcome("delivered", 3).await;
    let mut carried: Vec<Vec<u64>> = receiver.requests().iter().map(members).collect();
    carried[1..].sort_unstable();
    assert_eq!(carried, [vec![1, 2, 3, 4], vec![1], vec![2], vec![3], vec![4]]);
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_for_which_a_batch_is_refused_is_dead_alone() {
    for status in [400, 413, 422] {
        let receiver = refusing(status, 8).await;
        let relay = Setup::to(&receiver, "batch: { max: 10, every: 1h }, retry: { first: 10ms }").start().await;
        post(&relay, 0..10).await;
        relay.wait_for_outcome("dead", 1).await;
        relay.wait_for_outcome("delivered", 9).await;
        let requests = receiver.requests();
        assert_eq!((members(&requests[0]).len(), requests.len()), (10, 11), "all together, and each once alone");
        let ids: BTreeSet<&str> = requests.iter().map(Request::webhook_id).collect();
        assert_eq!(ids.len(), 11);
        let dead = relay.listed(&["deliveries", "--status", "dead"]).await;
        assert_eq!((dead.len(), &dead[0]["attempts"]), (1, &json!(1)), "to part the batch uses up no attempt: {dead:?}");
        assert!(relay.log().contains(&format!("status {status} for the batch: its members go one by one")), "{}", relay.log());
        assert!(!relay.log().contains("circuit breaker"), "{}", relay.log());
        end(relay, 9).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_speaks_of_no_content_parts_no_batch() {
    let receiver = Receiver::always(Answer::status(404)).await;
    let relay = Setup::to(&receiver, "batch: { max: 5, every: 1h }, retry: { first: 10ms }").start().await;
    post(&relay, 0..5).await;
    relay.wait_for_outcome("dead", 5).await;
    assert_eq!(receiver.requests().iter().map(|request| members(request).len()).collect::<Vec<_>>(), [5]);
    end(relay, 0).await;
}
