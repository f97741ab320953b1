//! What a route asks for and a destination does not get: it is switched off, its guard refuses the event, or the time is over.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, reveal, run_with};

const CRM: (&str, &str) = ("destination", "crm");

fn personal(id: u64) -> String {
    format!("{{\"type\":\"individual_reveal\",\"data\":{{\"id\":{id},\"email_type\":\"personal\"}}}}")
}

fn work(id: u64) -> String {
    personal(id).replace("personal", "work")
}

fn one(receiver: &Receiver, keys: &str) -> String {
    let (url, other) = (receiver.url("/crm"), receiver.url("/other"));
    format!(
        "destinations: {{ crm: {{ url: '{url}', {keys} }}, other: {{ url: '{other}' }} }}\nroutes: [{{ name: all, to: [crm, other] }}]\n"
    )
}

/// Why the delivery of an event to `crm` is dead.
async fn reason(relay: &Relay, id: &str) -> String {
    let shown = relay.listed(&["deliveries", "show", &format!("{id}_crm")]).await;
    assert_eq!(shown[0]["status"], "dead", "{shown:?}");
    shown[0]["last_error"].as_str().unwrap_or_else(|| panic!("{shown:?}")).to_owned()
}

async fn all_expired(relay: &Relay, ids: &[String]) {
    let count = u64::try_from(ids.len()).unwrap();
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "dead")], count).await;
    relay.assert_balanced().await;
    for id in ids {
        assert_eq!(reason(relay, id).await, "expired: it was not delivered within 1s");
    }
}

fn to_crm(receiver: &Receiver) -> usize {
    receiver.requests().iter().filter(|request| request.path == "/crm").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_ends_behind_an_open_circuit_and_is_sent_once_it_is_redriven() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = "expire: 1s, circuit: { failures: 1, cooldown: 1h }, retry: { first: 1h, max: 1h }";
    let relay = Setup::new(one(&receiver, keys)).start().await;
    let mut ids = vec![relay.webhook(reveal(1)).accepted().await];
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    // These are never attempted.
    for number in 2..5 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    all_expired(&relay, &ids).await;
    assert_eq!(to_crm(&receiver), 1);
    assert!(relay.log().contains("deliveries have expired"), "{}", relay.log());
    assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "dead")]).await, 0, "no attempt was made of these");

    receiver.become_always(Answer::status(200));
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    let redriven = relay.ask(&["redrive", "--destination", "crm", "--rate", "0", "--yes"]).await;
    assert_eq!(redriven.code, Some(0), "{redriven:?}");
    // From here its time counts anew, though the events are older than that.
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 4).await;
    relay.assert_balanced().await;
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_ends_while_paused_and_after_a_restart() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::new(one(&receiver, "expire: 1s")).seen_by(&receiver).start().await;
    assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
    let ids = [relay.webhook(reveal(1)).accepted().await, relay.webhook(reveal(2)).accepted().await];
    all_expired(&relay, &ids).await;
    // One that is not over yet when the relay is killed.
    let later = relay.webhook(reveal(3)).accepted().await;
    relay.kill();
    relay.start_again().await;
    let ids = [ids[0].clone(), ids[1].clone(), later];
    all_expired(&relay, &ids).await;
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    let fresh = relay.webhook(reveal(4)).accepted().await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
    let came: Vec<String> =
        receiver.requests().iter().filter(|request| request.path == "/crm").map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(came, [format!("{fresh}_crm")]);
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_ends_in_line_behind_others_and_the_line_goes_on() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = "expire: 1s, order_by: $.data.id, retry: { first: 1h, max: 1h }, circuit: { failures: 1000, cooldown: 1s }";
    let relay = Setup::new(one(&receiver, keys)).start().await;
    let mut ids = Vec::new();
    for note in 0..4 {
        ids.push(relay.webhook(format!("{{\"data\":{{\"id\":7}},\"note\":{note}}}")).accepted().await);
    }
    all_expired(&relay, &ids).await;
    assert_eq!(to_crm(&receiver), 1, "only the first was attempted");
    receiver.become_always(Answer::status(200));
    relay.webhook("{\"data\":{\"id\":7},\"note\":9}").accepted().await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
    relay.assert_balanced().await;
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_ends_in_a_batch_that_waits() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = "expire: 1s, batch: { max: 3, every: 10ms }, retry: { first: 1h, max: 1h }, circuit: { failures: 1, cooldown: 1h }";
    let relay = Setup::new(one(&receiver, keys)).start().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    all_expired(&relay, &ids).await;
    relay.audit().await;
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_over_is_sent_by_a_lane_that_is_behind() {
    let receiver = Receiver::start().await;
    let relay = Setup::new(one(&receiver, "expire: 1s, rate_limit: 1/h")).start().await;
    let mut ids = Vec::new();
    for number in 0..300 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "dead")], 299).await;
    relay.assert_balanced().await;
    assert_eq!(to_crm(&receiver), 1);
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_switched_off_gets_nothing_and_loses_nothing_that_waited() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let keys = "retry: { first: 1h, max: 1h }";
    let mut relay = Setup::new(one(&receiver, keys)).start().await;
    let before = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("attempts_total", &[CRM, ("result", "retried")], 1).await;
    receiver.become_always(Answer::status(200));

    relay.write_rules(one(&receiver, &format!("{keys}, enabled: false")));
    relay.reloaded().await;
    let while_off = relay.webhook(reveal(2)).accepted().await;
    eventually("the other one has both", async || (relay.metric("waiting", &[("destination", "other")]).await <= 1).then_some(())).await;
    let planned: Vec<String> = relay.stored().planned(&while_off).into_iter().map(|delivery| delivery.destination).collect();
    assert_eq!(planned, ["other"]);
    assert_eq!(relay.metric("not_planned_total", &[CRM, ("reason", "disabled")]).await, 1);
    assert_eq!(relay.metric("not_planned_total", &[CRM, ("reason", "never")]).await, 0);
    assert_eq!((relay.metric("parked", &[CRM]).await, relay.metric("waiting", &[CRM]).await), (1, 0));
    let listed = relay.listed(&["destinations"]).await;
    let crm = listed.iter().find(|state| state["name"] == "crm").unwrap();
    assert_eq!((&crm["active"], &crm["disabled"]), (&json!(false), &json!(true)));
    assert!(relay.ask(&["destinations"]).await.output.contains("enabled: false"));
    assert_eq!(relay.listed(&["deliveries", "show", &format!("{before}_crm")]).await[0]["status"], "parked");
    relay.assert_balanced().await;

    // Also over a restart.
    relay.kill();
    relay.start_again().await;
    assert_eq!(relay.metric("parked", &[CRM]).await, 1);
    assert_eq!(to_crm(&receiver), 1);

    relay.write_rules(one(&receiver, "retry: { first: 1ms, max: 1ms }"));
    relay.reloaded().await;
    relay.webhook(reveal(3)).accepted().await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
    assert_eq!(relay.metric("parked", &[CRM]).await, 0);
    relay.assert_balanced().await;
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switched_off_destinations_deliveries_expire_too() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::new(one(&receiver, "expire: 1s")).start().await;
    assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.write_rules(one(&receiver, "expire: 1s, enabled: false"));
    relay.reloaded().await;
    all_expired(&relay, &[id]).await;
    relay.kill_quietly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_refuses_when_it_is_planned() {
    let receiver = Receiver::start().await;
    let relay = Setup::new(one(&receiver, "never: 'data.email_type == \"personal\"'")).seen_by(&receiver).start().await;
    let refused = relay.webhook(personal(1)).accepted().await;
    relay.webhook(work(2)).accepted().await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
    let planned: Vec<String> = relay.stored().planned(&refused).into_iter().map(|delivery| delivery.destination).collect();
    assert_eq!(planned, ["other"]);
    assert_eq!(relay.metric("not_planned_total", &[CRM, ("reason", "never")]).await, 1);
    assert_eq!(relay.metric("planned_total", &[CRM]).await, 1);
    relay.finish().await;
    let sent: Vec<Value> =
        receiver.requests().iter().filter(|request| request.path == "/crm").map(|request| request.json()["data"]["id"].clone()).collect();
    assert_eq!(sent, [json!(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_refuses_what_was_planned_before_it_was_there_and_what_is_redriven() {
    let receiver = Receiver::start().await;
    for more in ["", ", batch: { max: 10, every: 10ms }"] {
        receiver.forget();
        let keys = |rest: &str| format!("timeout: 5s{more}{rest}");
        let mut relay = Setup::new(one(&receiver, &keys(""))).start().await;
        assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
        let ids = [relay.webhook(personal(1)).accepted().await, relay.webhook(work(2)).accepted().await];
        relay.write_rules(one(&receiver, &keys(", never: 'data.email_type == \"personal\"'")));
        relay.reloaded().await;
        assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
        relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 1).await;
        relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "dead")], 1).await;
        assert_eq!(reason(&relay, &ids[0]).await, "refused: the destination's `never` holds on this event");
        assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "dead")]).await, 0, "no attempt was made of it");
        let redriven = relay.ask(&["redrive", "--destination", "crm", "--yes"]).await;
        assert_eq!(redriven.code, Some(0), "{redriven:?}");
        relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "dead")], 2).await;
        relay.assert_balanced().await;
        let bodies: Vec<String> = receiver
            .requests()
            .iter()
            .filter(|request| request.path == "/crm")
            .map(|request| String::from_utf8_lossy(&request.body).into_owned())
            .collect();
        assert!(bodies.len() == 1 && !bodies[0].contains("personal"), "{more}: {bodies:?}");
        relay.kill_quietly();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_and_tests_say_what_gets_nothing_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rules = "source: { path: /w, api_keys: [k] }
destinations:
  crm: { url: https://crm.example.com, never: data.email_type == \"personal\" }
  off: { url: https://off.example.com, enabled: false }
  on: { url: https://on.example.com }
routes: [{ name: all, to: [crm, off, on] }]
tests:
  - { name: refused, payload: { data: { email_type: personal } }, expect: { on: {} } }
  - { name: sent, payload: { data: { email_type: work } }, expect: { crm: {}, on: {} } }
";
    std::fs::write(path("routes.yaml"), rules).unwrap();
    std::fs::write(path("payload.json"), personal(1)).unwrap();
    let (routes, payload) = (path("routes.yaml"), path("payload.json"));
    assert_eq!(run_with(&["test", &routes], &[]).await.code, Some(0));
    let told = run_with(&["explain", "--config", &routes, "--json", &payload], &[]).await.output;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["deliveries"].as_array().unwrap().len(), 1, "{told}");
    let withheld = told["withheld"].as_array().unwrap();
    let short: Vec<(&Value, &Value, &Value)> =
        withheld.iter().map(|kept| (&kept["destination"], &kept["route"], &kept["reason"])).collect();
    let (crm, off, all, never, disabled) = (json!("crm"), json!("off"), json!("all"), json!("never"), json!("disabled"));
    assert_eq!(short, [(&crm, &all, &never), (&off, &all, &disabled)]);
    assert_eq!((&withheld[0]["why"][0]["value"], &withheld[0]["why"][0]["holds"]), (&json!("personal"), &json!(true)));
    let words = run_with(&["explain", "--config", &routes, &payload], &[]).await.output;
    for line in ["nothing is planned: it refuses this event: its `never` holds.", "nothing is planned: it has `enabled: false`."] {
        assert!(words.contains(line), "{line}\n{words}");
    }
    std::fs::write(path("routes.yaml"), rules.replace("expect: { on: {} }", "expect: { on: {}, off: {} }")).unwrap();
    let failed = run_with(&["test", &routes], &[]).await;
    assert!(failed.code == Some(1) && failed.output.contains("nothing: it has `enabled: false`"), "{failed:?}");
}
