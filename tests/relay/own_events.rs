//! The relay's own events: who is told what, how often, and that nothing goes round in circles.

use serde_json::Value;

use crate::harness::{Answer, Receiver, Relay, Setup, Tmpfs, eventually, reveal, run, skipped};

const CRM: (&str, &str) = ("destination", "crm");

/// What a receiver was told, as type and payload, in its order.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let bodies = receiver.requests().into_iter().filter(|request| request.answered == Some(200)).map(|request| request.json());
    bodies.map(|body| (body["type"].as_str().unwrap_or_default().to_owned(), body)).collect()
}

fn types(receiver: &Receiver) -> Vec<String> {
    told(receiver).into_iter().map(|(kind, _)| kind).collect()
}

async fn wait_for_types(receiver: &Receiver, wanted: &[&str]) {
    eventually(&format!("{wanted:?} were told"), async || (types(receiver) == wanted).then_some(())).await;
}

/// Makes the relay tell something that comes after all that it had to tell before: its rules are refused. Then puts them back.
async fn tell_one_more(relay: &mut Relay, receiver: &Receiver) {
    let good = std::fs::read_to_string(relay.routes_file()).unwrap();
    std::fs::write(relay.routes_file(), "nothing: of it\n").unwrap();
    eventually("the refusal is told", async || types(receiver).iter().any(|kind| kind == "relay.rules_refused").then_some(())).await;
    std::fs::write(relay.routes_file(), good).unwrap();
    relay.reloaded().await;
}

/// Three destinations: the CRM gets every webhook and, like `ops`, every own event; the warehouse has a route without `when`.
fn rules(crm: &Receiver, warehouse: &Receiver, ops: &Receiver, crm_keys: &str) -> String {
    format!(
        "destinations:
  crm: {{ url: '{}', concurrency: 1, {crm_keys} }}
  warehouse: {{ url: '{}' }}
  ops: {{ url: '{}' }}
own_events: {{ queue_old: 10m, every: 1s }}
routes:
  - {{ name: own, when: event.source == \"relay\", to: [crm, ops] }}
  - {{ name: people, when: type == \"individual_reveal\", to: [crm] }}
  - {{ name: everything, to: [warehouse] }}
",
        crm.url("/crm"),
        warehouse.url("/warehouse"),
        ops.url("/ops")
    )
}

const FRAGILE: &str = "retry: { first: 1ms, factor: 1, attempts: 50 }, circuit: { failures: 3, cooldown: 1s }";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_told_that_a_circuit_opened_and_closed_and_nobody_else() {
    let [crm, warehouse, ops] = [Receiver::always(Answer::status(503)).await, Receiver::start().await, Receiver::start().await];
    let setup = Setup::new(rules(&crm, &warehouse, &ops, FRAGILE)).seen_by(&crm).seen_by(&warehouse).seen_by(&ops);
    let relay = setup.start().await;
    let address = "ada.private@example.com";
    let person = format!(r#"{{"type":"individual_reveal","data":{{"id":1,"status":"finished","email":"{address}"}}}}"#);
    relay.webhook(person).accepted().await;
    wait_for_types(&ops, &["relay.circuit_opened"]).await;
    let (_, opened) = told(&ops).remove(0);
    assert_eq!(opened["data"]["destination"], "crm");
    assert_eq!(opened["data"]["opened_by"], "failures");
    assert_eq!((&opened["data"]["reason"], &opened["data"]["status"]), (&"server_error".into(), &503.into()));
    assert_eq!(opened["data"]["waiting"], 1);
    let summary = opened["data"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("crm: the circuit is open (server_error, status 503). 1 delivery waits there"), "{summary}");
    crm.become_always(Answer::status(200));
    wait_for_types(&ops, &["relay.circuit_opened", "relay.circuit_closed"]).await;

    // It is an event like others, and no webhook: the route without `when` never saw it, and nothing counts it as one.
    let events = relay.listed(&["events"]).await;
    let own: Vec<&Value> = events.iter().filter(|event| event["type"].as_str().unwrap().starts_with("relay.")).collect();
    assert_eq!(own.len(), 2, "{events:?}");
    for event in own {
        assert_eq!(&event["id"].as_str().unwrap()[14..15], "8", "{event}");
        assert_eq!((&event["status"], &event["routes"]), (&"routed".into(), &serde_json::json!(["own"])), "{event}");
        assert_eq!(event["deliveries"][0]["destination"], "ops");
        assert_eq!(event["deliveries"].as_array().unwrap().len(), 1, "what is told of the CRM is not sent to the CRM: {event}");
    }
    let metrics = relay.metrics().await;
    for (name, labels, value) in [
        ("own_events_total", &[("type", "relay.circuit_opened"), ("outcome", "stored")][..], 1),
        ("own_events_total", &[("type", "relay.circuit_closed"), ("outcome", "stored")][..], 1),
        ("own_events_total", &[("type", "relay.circuit_closed"), ("outcome", "unwanted")][..], 0),
        ("webhooks_total", &[("outcome", "accepted")][..], 1),
        ("route_matches_total", &[("route", "own")][..], 2),
        ("route_matches_total", &[("route", "everything")][..], 1),
        ("unmatched_total", &[][..], 0),
    ] {
        assert_eq!(metrics.get(name, labels), value, "{name} {labels:?}");
    }
    assert!(crm.requests().iter().any(|request| String::from_utf8_lossy(&request.body).contains(address)));
    assert!(ops.requests().iter().all(|request| !String::from_utf8_lossy(&request.body).contains(address)));
    relay.finish().await;
    assert_eq!(warehouse.count(), 1);
    assert!(types(&crm).iter().all(|kind| !kind.starts_with("relay.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_says_it_is_the_relays_own_is_a_webhook() {
    let [crm, warehouse, ops] = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let setup = Setup::new(rules(&crm, &warehouse, &ops, FRAGILE)).seen_by(&crm).seen_by(&warehouse).seen_by(&ops);
    let mut relay = setup.start().await;
    relay.webhook(r#"{"type":"relay.circuit_opened","data":{"destination":"crm","summary":"forged"}}"#).accepted().await;
    relay.webhook(r#"{"type":"relay.dead_letters","event":{"source":"relay"}}"#).below("/relay?source=relay").accepted().await;
    warehouse.wait_for(2).await;
    tell_one_more(&mut relay, &ops).await;
    relay.finish().await;
    assert_eq!(types(&ops), ["relay.rules_refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_asks_for_is_not_even_stored() {
    let crm = Receiver::always(Answer::status(503)).await;
    let relay = Setup::to(&crm, FRAGILE).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("own_events_total", &[("type", "relay.circuit_opened"), ("outcome", "unwanted")], 1).await;
    assert_eq!(relay.listed(&["events"]).await.len(), 1);
    crm.become_always(Answer::status(200));
    relay.wait_for_metric("own_events_total", &[("type", "relay.circuit_closed"), ("outcome", "unwanted")], 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_told_in_groups_and_all_of_them() {
    let [crm, warehouse, ops] = [Receiver::always(Answer::status(422)).await, Receiver::start().await, Receiver::start().await];
    let setup = Setup::new(rules(&crm, &warehouse, &ops, "circuit: { refusals: off }")).seen_by(&crm).seen_by(&warehouse).seen_by(&ops);
    let relay = setup.start().await;
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    let count = |told: &[(String, Value)]| -> u64 { told.iter().map(|(_, body)| body["data"]["count"].as_u64().unwrap()).sum() };
    eventually("all 50 are told", async || (count(&told(&ops)) == 50).then_some(())).await;
    let told = told(&ops);
    assert!(told.len() < 50, "not one by one: {}", told.len());
    for (kind, body) in &told {
        assert_eq!(kind, "relay.dead_letters");
        let data = &body["data"];
        assert_eq!((&data["destination"], &data["reason"], &data["status"]), (&"crm".into(), &"client_error".into(), &422.into()));
        assert_eq!(data["detail"], "status 422: not worth repeating");
    }
    assert_eq!(told[0].1["data"]["first_event_id"].as_str().unwrap(), ids[0]);
    assert_eq!(told.last().unwrap().1["data"]["last_event_id"].as_str().unwrap(), ids[49]);
    relay.finish().await;
}

/// What lanes never came to: behind an open circuit, the store ends it; and what a lane does not send any more.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_were_never_attempted_are_told_with_why() {
    let [crm, warehouse, ops] = [Receiver::always(Answer::status(503)).await, Receiver::start().await, Receiver::start().await];
    let broken = "expire: 1s, circuit: { failures: 1, cooldown: 1h }, retry: { first: 1h, max: 1h }";
    let mut relay = Setup::new(rules(&crm, &warehouse, &ops, broken)).seen_by(&warehouse).seen_by(&ops).start().await;
    let mut ids = vec![relay.webhook(reveal(1)).accepted().await];
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    for number in 2..5 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    let dead = |told: Vec<(String, Value)>| -> Vec<Value> {
        told.into_iter().filter(|(kind, _)| kind == "relay.dead_letters").map(|(_, body)| body["data"].clone()).collect()
    };
    let counted = |dead: &[Value]| -> u64 { dead.iter().map(|data| data["count"].as_u64().unwrap()).sum() };
    eventually("all four are told", async || (counted(&dead(told(&ops))) == 4).then_some(())).await;
    let told_of = dead(told(&ops));
    for data in &told_of {
        assert_eq!((&data["destination"], &data["reason"], &data["status"]), (&"crm".into(), &"expired".into(), &Value::Null), "{data}");
        assert_eq!(data["detail"], "expired: it was not delivered within 1s");
        let summary = data["summary"].as_str().unwrap();
        assert!(summary.contains("given up: expired: it was not delivered within 1s. To send again"), "{summary}");
    }
    assert_eq!(told_of[0]["first_event_id"], ids[0].as_str());
    assert_eq!(told_of.last().unwrap()["last_event_id"], ids[3].as_str());
    relay.wait_for_metric("given_up_total", &[CRM, ("reason", "expired")], 4).await;
    assert_eq!(relay.metric("deliveries_total", &[CRM, ("outcome", "dead")]).await, 4);
    relay.metrics().await.assert_conserved();

    // A guard that came later refuses what was planned before.
    assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
    relay.webhook(reveal(9)).accepted().await;
    relay.write_rules(rules(&crm, &warehouse, &ops, "never: data.id == 9"));
    relay.reloaded().await;
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    eventually("the guard is told of", async || (counted(&dead(told(&ops))) == 5).then_some(())).await;
    assert_eq!(dead(told(&ops)).last().unwrap()["reason"], "never");
    assert_eq!(relay.metric("given_up_total", &[CRM, ("reason", "never")]).await, 1);
    relay.kill_quietly();
}

/// An own event that the store gives up is dead like others, and counted; nobody is told.
#[tokio::test(flavor = "multi_thread")]
async fn own_events_that_the_store_gives_up_are_told_to_nobody() {
    let [crm, slack, mail] =
        [Receiver::always(Answer::status(422)).await, Receiver::always(Answer::status(503)).await, Receiver::start().await];
    let routes = format!(
        "destinations:
  crm: {{ url: '{}' }}
  slack-ops: {{ url: '{}', expire: 1s, retry: {{ first: 1h, max: 1h }}, circuit: {{ failures: 1, cooldown: 1h }} }}
  mail-ops: {{ url: '{}' }}
own_events: {{ every: 1s }}
routes:
  - {{ name: own, when: event.source == \"relay\", to: [slack-ops, mail-ops] }}
  - {{ name: everything, to: [crm] }}
",
        crm.url("/"),
        slack.url("/"),
        mail.url("/")
    );
    let mut relay = Setup::new(routes).seen_by(&crm).seen_by(&mail).start().await;
    relay.webhook(reveal(1)).accepted().await;
    wait_for_types(&mail, &["relay.dead_letters"]).await;
    relay.wait_for_metric("given_up_total", &[("destination", "slack-ops"), ("reason", "expired")], 1).await;
    tell_one_more(&mut relay, &mail).await;
    assert_eq!(types(&mail), ["relay.dead_letters", "relay.rules_refused"]);
    relay.kill_quietly();
}

/// Two destinations get own events, one of them is broken in every way. Whatever happens to its deliveries is told to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn the_delivery_of_an_own_event_is_never_the_cause_of_another() {
    for broken in [Answer::status(503), Answer::status(400), Answer::status(410), Answer::status(401)] {
        let [crm, slack, mail] = [Receiver::always(Answer::status(422)).await, Receiver::always(broken).await, Receiver::start().await];
        let routes = format!(
            "destinations:
  crm: {{ url: '{}' }}
  slack-ops: {{ url: '{}', retry: {{ first: 1ms, factor: 1, attempts: 2 }}, circuit: {{ failures: 1, cooldown: 1s, refusals: 1 }} }}
  mail-ops: {{ url: '{}' }}
own_events: {{ queue_old: 1s, every: 1s }}
routes:
  - {{ name: own, when: event.source == \"relay\", to: [slack-ops, mail-ops] }}
  - {{ name: everything, to: [crm] }}
",
            crm.url("/"),
            slack.url("/"),
            mail.url("/")
        );
        let mut relay = Setup::new(routes).seen_by(&crm).seen_by(&slack).seen_by(&mail).start().await;
        relay.webhook(reveal(1)).accepted().await;
        wait_for_types(&mail, &["relay.dead_letters"]).await;
        relay.wait_for_metric("circuit_open", &[("destination", "slack-ops")], 1).await;
        // Past the age at which a queue is told of, and several looks.
        slack.wait_for(1).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        tell_one_more(&mut relay, &mail).await;
        assert_eq!(types(&mail), ["relay.dead_letters", "relay.rules_refused"]);
        relay.kill_quietly();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_was_open_before_a_restart_is_not_told_again_and_its_closing_is() {
    let [crm, warehouse, ops] = [Receiver::always(Answer::status(503)).await, Receiver::start().await, Receiver::start().await];
    let setup = Setup::new(rules(&crm, &warehouse, &ops, FRAGILE)).seen_by(&crm).seen_by(&warehouse).seen_by(&ops);
    let mut relay = setup.start().await;
    relay.webhook(reveal(1)).accepted().await;
    wait_for_types(&ops, &["relay.circuit_opened"]).await;
    relay.wait_for_metric("waiting", &[("destination", "ops")], 0).await;
    let before = crm.count();
    relay.kill();
    relay.start_again().await;
    crm.wait_for(before + 1).await; // A probe has failed since.
    tell_one_more(&mut relay, &ops).await;
    crm.become_always(Answer::status(200));
    wait_for_types(&ops, &["relay.circuit_opened", "relay.rules_refused", "relay.circuit_closed"]).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_too_old_is_told_of() {
    let [crm, ops] = [Receiver::always(Answer::Hang).await, Receiver::start().await];
    let routes = format!(
        "destinations: {{ crm: {{ url: '{}', timeout: 60s }}, ops: {{ url: '{}' }} }}
own_events: {{ queue_old: 1s }}
routes: [{{ name: own, when: type == \"relay.queue_old\", to: [ops] }}, {{ name: everything, to: [crm] }}]",
        crm.url("/"),
        ops.url("/")
    );
    let relay = Setup::new(routes).start().await;
    relay.webhook(reveal(1)).accepted().await;
    wait_for_types(&ops, &["relay.queue_old"]).await;
    let (_, old) = told(&ops).remove(0);
    assert_eq!(
        (&old["data"]["destination"], &old["data"]["circuit"], &old["data"]["waiting"]),
        (&"crm".into(), &"closed".into(), &1.into())
    );
    assert!(old["data"]["oldest_seconds"].as_u64().unwrap() >= 1, "{old}");
    relay.kill_quietly();
}

/// A reload takes in a route for own events, and the limits; a file that is refused is told of by the rules that go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_own_events_in_and_what_it_refuses_is_told() {
    let [crm, ops] = [Receiver::always(Answer::status(503)).await, Receiver::start().await];
    let destinations = format!("destinations: {{ crm: {{ url: '{}', {FRAGILE} }}, ops: {{ url: '{}' }} }}\n", crm.url("/"), ops.url("/"));
    let everything = "  - { name: everything, to: [crm] }\n";
    let other = "  - { name: other, when: type == \"other\", to: [ops] }\n";
    let mut relay = Setup::new(format!("{destinations}routes:\n{everything}{other}")).seen_by(&crm).seen_by(&ops).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("own_events_total", &[("type", "relay.circuit_opened"), ("outcome", "unwanted")], 1).await;
    let own = "  - { name: own, when: event.source == \"relay\", to: [ops] }\n";
    relay.write_rules(format!("{destinations}own_events: {{ queue_old: 1s, every: 1s }}\nroutes:\n{everything}{own}"));
    relay.reloaded().await;
    eventually("the queue is told of, by the new limit", async || types(&ops).contains(&"relay.queue_old".to_owned()).then_some(())).await;
    let version = wiza_relay_version(&relay).await;
    std::fs::write(relay.routes_file(), "source: { path: /w, api_keys: [a-secret-key] }\ndestinations: {}\nrouts: []\n").unwrap();
    eventually("the refusal is told", async || types(&ops).contains(&"relay.rules_refused".to_owned()).then_some(())).await;
    let (_, refused) = told(&ops).into_iter().find(|(kind, _)| kind == "relay.rules_refused").unwrap();
    let reason = refused["data"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("1 error, at ") && reason.ends_with("routes.yaml:3:1"), "{reason}");
    assert_eq!(refused["data"]["version"], version);
    assert!(!refused.to_string().contains("a-secret-key"));
    relay.kill_quietly();
}

async fn wiza_relay_version(relay: &Relay) -> Value {
    let told = relay.get("/readyz?verbose").await.1;
    let version = told.split("version ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    version.into()
}

/// A small disk is nearly full from the start. When it is full nothing can be stored, and that is told when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_trouble_is_told_of_before_and_after() {
    let [crm, warehouse, ops] = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let Some(disk) = Tmpfs::mount("24m") else { return skipped("file systems cannot be mounted here") };
    let setup = Setup::new(rules(&crm, &warehouse, &ops, FRAGILE)).seen_by(&crm).seen_by(&warehouse).seen_by(&ops);
    let relay = setup.store(disk.path().join("store")).start().await;
    wait_for_types(&ops, &["relay.store_trouble"]).await;
    let data = told(&ops).remove(0).1["data"].clone();
    assert_eq!((&data["trouble"], &data["over"]), (&"disk_nearly_full".into(), &false.into()), "{data}");
    relay.wait_for_metric("waiting", &[("destination", "ops")], 0).await;
    let ballast = disk.fill();
    let mut number = 0;
    eventually("a webhook is refused", async || {
        number += 1;
        let reply = relay.webhook(format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(100_000))).send().await;
        (reply.status == 503).then_some(())
    })
    .await;
    eventually("the trouble is seen", async || (relay.get("/readyz").await.0 == 503).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await; // Two looks, while it lasts.
    std::fs::remove_file(ballast).unwrap();
    eventually("that it is over is told", async || {
        let over = told(&ops).into_iter().any(|(_, body)| body["data"]["trouble"] == "cannot_write" && body["data"]["over"] == true);
        over.then_some(())
    })
    .await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_own_events_are_tried_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.yaml");
    let text = "source: { path: /w, api_keys: [key] }
destinations:
  ops: { url: 'https://ops.example.com/', body: { text: '{{ data.summary }}', whose: '{{ event.source }}' } }
  crm: { url: 'https://crm.example.com/' }
routes:
  - { name: circuits, when: 'type in [\"relay.circuit_opened\", \"relay.circuit_closed\"]', to: [ops] }
  - { name: everything, to: [crm] }
tests:
  - { name: opened, payload: { type: relay.circuit_opened, data: { destination: crm, summary: it is open } }, expect: { ops: { body: { text: it is open, whose: relay } } } }
  - { name: about ops, payload: { type: relay.circuit_opened, data: { destination: ops, summary: it is open } }, routes: [circuits], expect: {} }
  - { name: another, payload: { type: relay.dead_letters, data: { destination: crm } }, expect: {} }
  - { name: forged, payload: { type: relay.circuit_opened, data: { summary: x } }, event: { source: wiza }, expect: { crm: {} } }
";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let ran = run(&["check", &file]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(&["test", &file]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(&["explain", &file, "relay.circuit_opened"]).await;
    assert!(ran.output.contains("match  circuits") && ran.output.contains("everything (it is for Wiza's webhooks)"), "{ran:?}");
    assert!(ran.output.contains("crm: the circuit is open (server_error, status 503)"), "{ran:?}");
    let ran = run(&["explain", &file, "relay-circuit-opened", "--source", "wiza"]).await;
    assert!(ran.output.contains("circuits (it is for the relay's own events)") && ran.output.contains("match  everything"), "{ran:?}");
    let ran = run(&["explain", &file, "relay.dead_letters"]).await;
    assert!(ran.output.contains("No route sends this event of the relay's own: it is not stored"), "{ran:?}");
    let ran = run(&["explain", &file, "relay.circuit_opened", "--json"]).await;
    let explained: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!((&explained["routes"][1]["only_for"], &explained["unmatched"]), (&"wiza".into(), &false.into()));
    // Nobody plays them: only the relay makes them.
    let ran = run(&["send", "--sample", "relay-circuit-opened", "--api-key", "key"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_pauses_and_resumes_is_no_news() {
    let [crm, ops] = [Receiver::start().await, Receiver::start().await];
    let routes = format!(
        "destinations: {{ crm: {{ url: '{}' }}, ops: {{ url: '{}' }} }}
own_events: {{ every: 1s }}
routes: [{{ name: own, when: event.source == \"relay\", to: [ops] }}, {{ name: everything, to: [crm] }}]",
        crm.url("/"),
        ops.url("/")
    );
    let mut relay = Setup::new(routes).seen_by(&crm).seen_by(&ops).start().await;
    assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("held", &[CRM, ("reason", "paused")], 1).await;
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    relay.wait_for_outcome("delivered", 1).await;
    tell_one_more(&mut relay, &ops).await;
    relay.finish().await;
    assert_eq!(types(&ops), ["relay.rules_refused"]);
}
