//! What an operator sees who asks why something is not delivered: `destinations`, `deliveries` and `show`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, free_address, reveal};

const REFUSAL: &str =
    r#"{"status":"error","message":"Ask ada@example.com for the token Zq7-secret-token","category":"INVALID_AUTHENTICATION"}"#;

/// How the destination with this name stands.
async fn state(relay: &Relay, name: &str) -> Value {
    let all = relay.listed(&["destinations"]).await;
    all.into_iter().find(|state| state["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

async fn stands(relay: &Relay, name: &str, word: &str) -> Value {
    eventually(&format!("{name} is {word}"), async || {
        let state = state(relay, name).await;
        (state["state"] == word).then_some(state)
    })
    .await
}

/// The line of a listing, piped, that begins with these words or has them as a word.
async fn line(relay: &Relay, command: &[&str], word: &str) -> String {
    let ran = relay.ask(command).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = ran.output.lines().find(|line| line.split_whitespace().any(|one| one == word || one.ends_with(&format!("_{word}"))));
    found.unwrap_or_else(|| panic!("no line with {word} in\n{}", ran.output)).to_owned()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no time: {value}")).parse().unwrap()
}

fn assert_has(line: &str, texts: &[&str]) {
    for text in texts {
        assert!(line.contains(text), "`{text}` is not in: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_say_why_since_when_and_for_how_long_also_after_a_restart() {
    let refusing = Receiver::always(Answer::status(401).body(REFUSAL)).await;
    let missing = Receiver::always(Answer::status(404).body("no such channel")).await;
    let throttling = Receiver::always(Answer::status(429).header("retry-after", 3600)).await;
    let leaving = Receiver::always(Answer::status(410)).await;
    let good = Receiver::start().await;
    let removed = format!("  removed: {{ url: '{}' }}\n", good.url("/"));
    let rules = |removed: &str, more: &str| {
        format!(
            "defaults: {{ retry: {{ first: 10m, max: 2h }} }}
destinations:
  hubspot: {{ url: '{}', rate_limit: 1/s, headers: {{ x-token: '${{TOKEN}}' }}, circuit: {{ failures: 1, cooldown: 1h }} }}
  slack: {{ url: '{missing}', circuit: {{ refusals: off }} }}
  mapped: {{ url: '{missing}', circuit: {{ cooldown: 1h }} }}
  dialler: {{ url: '{}' }}
  gone: {{ url: '{}' }}
  nobody: {{ url: 'http://{}/' }}
  paused: {{ url: '{good}' }}
  warehouse: {{ url: '{good}' }}
{removed}routes:
  - {{ name: everything, to: [hubspot, slack, mapped, dialler, gone, nobody, paused, warehouse{more}] }}
",
            refusing.url("/"),
            throttling.url("/"),
            leaving.url("/"),
            free_address(),
            missing = missing.url("/"),
            good = good.url("/"),
        )
    };
    let mut relay = Setup::new(rules(&removed, ", removed")).env("TOKEN", "Zq7-secret-token").start().await;
    let begun = Timestamp::now();
    for name in ["paused", "removed"] {
        assert_eq!(relay.ask(&["pause", name]).await.code, Some(0));
    }
    for number in 0..90 {
        relay.webhook(reveal(number)).accepted().await;
    }
    for (name, word) in [
        ("hubspot", "open"),
        ("mapped", "open"),
        ("slack", "failing"),
        ("dialler", "held"),
        ("gone", "gone"),
        ("paused", "paused"),
        ("warehouse", "ok"),
    ] {
        stands(&relay, name, word).await;
    }
    eventually("the store has it all", async || {
        let state = state(&relay, "warehouse").await;
        (state["delivered"] == 90 && state["waiting"] == 0).then_some(())
    })
    .await;
    eventually("slack has refused all", async || (state(&relay, "slack").await["dead_letters"] == 90).then_some(())).await;
    relay.write_rules(rules("", ""));
    relay.reloaded().await;
    stands(&relay, "removed", "removed").await;

    for restarted in [false, true] {
        let hubspot = stands(&relay, "hubspot", "open").await;
        assert_eq!((&hubspot["last_status"], &hubspot["last_error"]), (&json!(401), &json!(null)), "{hubspot}");
        assert_eq!(hubspot["last_reply"], "INVALID_AUTHENTICATION: Ask ada@example.com for the token ${TOKEN}");
        assert_eq!((&hubspot["waiting"], &hubspot["backlog_rate_by"]), (&json!(90), &json!("rate_limit")));
        assert_eq!((&hubspot["backlog_rate"], &hubspot["backlog_seconds"]), (&json!(1.0), &json!(90.0)));
        for since in ["state_since", "oldest_received_at", "last_failed_at"] {
            assert!(time(&hubspot[since]) >= begun && time(&hubspot[since]) <= Timestamp::now(), "{since}: {hubspot}");
        }
        assert_has(
            &line(&relay, &["destinations"], "hubspot").await,
            &["OPEN ", "90 waiting (oldest ", ", about 2 min at 1/s)", "401 INVALID_AUTHENTICATION: Ask", "probe in "],
        );
        let nobody = state(&relay, "nobody").await;
        assert!(nobody["last_status"].is_null() && nobody["last_error"].as_str().unwrap().contains("cannot connect"), "{nobody}");
        assert!(nobody["backlog_seconds"].is_null(), "no rate is known: {nobody}");
        let slack = &line(&relay, &["destinations"], "slack").await;
        assert_has(slack, &["nothing waiting", "90 dead letters", "last error ", " ago: 404 no such channel", "nothing delivered yet"]);
        let mapped = &line(&relay, &["destinations"], "mapped").await;
        assert_has(mapped, &["OPEN ", "404 no such channel", "refuses every event; mend its mapping or URL; probe in "]);
        let dialler = stands(&relay, "dialler", "held").await;
        assert!(time(&dialler["hold_until"]) > Timestamp::now() && time(&dialler["state_since"]) >= begun, "{dialler}");
        assert_has(
            &line(&relay, &["destinations"], "dialler").await,
            &["HELD ", " 429", "goes on in ", dialler["hold_until"].as_str().unwrap()],
        );
        assert_has(&line(&relay, &["destinations"], "gone").await, &["GONE ", "dead letter", "410", "`wiza-relay resume` goes on"]);
        let paused = stands(&relay, "paused", "paused").await;
        assert_eq!(paused["paused_by"], "this machine", "{paused}");
        assert!(time(&paused["state_since"]) >= begun - Duration::from_secs(60), "{paused}");
        assert_has(&line(&relay, &["destinations"], "paused").await, &["PAUSED ", "90 waiting (oldest ", "paused by this machine"]);
        let removed = stands(&relay, "removed", "removed").await;
        assert!(time(&removed["state_since"]) >= begun, "{removed}");
        assert_eq!((&removed["active"], &removed["parked"], &removed["waiting"]), (&json!(false), &json!(90), &json!(0)));
        assert_has(&line(&relay, &["destinations"], "removed").await, &["REMOVED ", "90 parked (oldest ", "not in routes.yaml"]);
        assert_has(&line(&relay, &["destinations"], "warehouse").await, &["ok ", "nothing waiting", "90 delivered, the last "]);
        // The reply may hold personal data: it is kept with its event, and ends with it.
        let kept = relay.stored().destinations();
        assert!(!kept.contains("ada@") && !kept.contains("INVALID_AUTH"), "{kept}");
        if !restarted {
            relay.kill();
            relay.start_again().await;
        }
    }
    relay.ask(&["resume", "paused"]).await;
    let paused = state(&relay, "paused").await;
    assert!(paused["paused_by"].is_null() && paused["state"] != "paused", "{paused}");
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_takes_as_long_as_the_last_minute_shows_where_that_is_slower_than_the_limit() {
    let receiver = Receiver::always(Answer::status(200).after(Duration::from_millis(200))).await;
    let mut relay = Setup::to(&receiver, "concurrency: 1, rate_limit: 1000/s").start().await;
    for number in 0..100 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let crm = eventually("some were delivered", async || {
        let crm = state(&relay, "crm").await;
        (crm["delivered"].as_u64().unwrap() > 5 && crm["waiting"].as_u64().unwrap() > 5).then_some(crm)
    })
    .await;
    assert_eq!(crm["backlog_rate_by"], "last_minute", "{crm}");
    assert!(crm["backlog_rate"].as_f64().unwrap() < 10.0, "{crm}");
    assert_has(&line(&relay, &["destinations"], "crm").await, &[", as in the last minute)"]);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_batch_say_how_they_went_with_it_and_the_request_is_rendered_again() {
    let receiver = Receiver::always(Answer::status(503).body("come back later")).await;
    let keys = "batch: { max: 3, every: 2s }, headers: { x-token: '${TOKEN}' }, body: { id: $.data.id }, retry: { first: 1h, factor: 1, max: 1h }, circuit: { failures: 100 }";
    let mut relay = Setup::to(&receiver, keys).env("TOKEN", "Zq7-secret-token").start().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(format!("{}_crm", relay.webhook(reveal(number)).accepted().await));
    }
    let listed = eventually("all are retried", async || {
        let listed = relay.listed(&["deliveries", "--status", "retrying"]).await;
        (listed.len() == 3 && listed.iter().all(|one| one["attempts"] == 1)).then_some(listed)
    })
    .await;
    for delivery in &listed {
        assert_eq!((&delivery["last_status"], &delivery["last_reply"]), (&json!(503), &json!("come back later")), "{delivery}");
        assert_eq!((&delivery["batch"], &delivery["attempts_max"]), (&json!(ids[0]), &json!(20)), "{delivery}");
        assert_eq!(delivery["next_attempt_at"], listed[0]["next_attempt_at"]);
        assert!(time(&delivery["last_attempt_at"]) <= Timestamp::now());
    }
    let text = relay.ask(&["deliveries"]).await.output;
    assert_eq!(text.matches("status 503  \"come back later\"").count(), 3, "{text}");
    assert_eq!(text.matches(", in a batch").count(), 3, "{text}");

    let sent = receiver.requests();
    let shown = &relay.listed(&["deliveries", "show", &ids[1]]).await[0];
    assert_eq!((&shown["batch_size"], &shown["attempt_log"][0]["status"]), (&json!(3), &json!(503)), "{shown}");
    let request = &shown["request"];
    assert_eq!(request["body"], json!([{ "id": 0 }, { "id": 1 }, { "id": 2 }]));
    assert_eq!(request["headers"]["webhook-id"], sent[0].webhook_id());
    assert_eq!((&request["headers"]["x-token"], &request["error"]), (&json!("${TOKEN}"), &json!(null)));
    assert_eq!(request["headers"]["webhook-timestamp"], "(made anew for each attempt)");
    let text = relay.ask(&["deliveries", "show", &ids[1]]).await.output;
    assert_has(&text, &["request, rendered again by the rules in effect now (version ", "what was sent is not kept", "x-token: ${TOKEN}"]);
    assert!(!text.contains("Zq7-secret"), "{text}");

    receiver.become_always(Answer::status(200));
    relay.ask(&["pause", "crm"]).await;
    let waiting = &relay.listed(&["deliveries"]).await[0];
    assert_eq!((&waiting["waits_for"], &waiting["next_attempt_at"]), (&json!("resume"), &json!(null)), "{waiting}");
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_cannot_be_rendered_any_more_says_why() {
    let receiver = Receiver::always(Answer::status(422).body(r#"{"message":"no such person"}"#)).await;
    let mut relay = Setup::to(&receiver, "body: { name: '{{ data.id }}' }").start().await;
    let id = format!("{}_crm", relay.webhook(reveal(7)).accepted().await);
    relay.wait_for_outcome("dead", 1).await;
    let dead = &relay.listed(&["deliveries", "--status", "dead"]).await[0];
    assert_eq!(dead["last_reply"], "no such person");
    assert!(time(&dead["dead_at"]) <= Timestamp::now() && dead["next_attempt_at"].is_null());
    assert_has(&line(&relay, &["deliveries"], "crm").await, &["dead", "1 of 20", "status 422", "\"no such person\"", "  at 20"]);
    relay.write_rules(crate::harness::one_destination(&receiver.url("/crm"), "body: { name: '{{ data.nothing }}' }"));
    relay.reloaded().await;
    let request = &relay.listed(&["deliveries", "show", &id]).await[0]["request"];
    assert!(request["error"].as_str().unwrap().contains("data.nothing") && request["body"].is_null(), "{request}");
    relay.write_rules(crate::harness::one_destination(&receiver.url("/crm"), "").replace("crm", "other"));
    relay.reloaded().await;
    let shown = &relay.listed(&["deliveries", "show", &id]).await[0];
    assert_eq!((&shown["request"]["error"], &shown["attempts_max"]), (&json!("crm is not in routes.yaml"), &json!(null)));
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_in_one_way_in_the_list_in_the_log_and_in_show() {
    let receiver = Receiver::answering([Answer::status(401), Answer::status(401), Answer::status(503), Answer::status(503)]).await;
    let keys = "retry: { first: 1ms, factor: 1, attempts: 7 }, circuit: { failures: 100, cooldown: 10ms }";
    let relay = Setup::to(&receiver, keys).flag("log-format", "json").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let shown = &relay.listed(&["deliveries", "show", &format!("{id}_crm")]).await[0];
    let numbers: Vec<&Value> = shown["attempt_log"].as_array().unwrap().iter().map(|attempt| &attempt["number"]).collect();
    assert_eq!(numbers, [&json!(null), &json!(null), &json!(1), &json!(2), &json!(3)], "401 does not count");
    assert_eq!((&shown["attempts"], &shown["attempts_max"]), (&json!(3), &json!(7)));
    let log = eventually("the log has all", async || {
        let log: Vec<Value> = relay.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let log: Vec<Value> = log.into_iter().filter(|line: &Value| line["message"] == "attempt").collect();
        (log.len() == 5).then_some(log)
    })
    .await;
    assert_eq!(log.iter().map(|line| &line["attempt"]).collect::<Vec<_>>(), numbers);
    assert_eq!(log.iter().map(|line| &line["counted"]).collect::<Vec<_>>()[..3], [&json!(false), &json!(false), &json!(null)]);
    let text = relay.ask(&["deliveries", "show", &format!("{id}_crm")]).await.output;
    assert_has(&text, &["attempts: 3 of 7\n", "  not counted  ", "  1 of 7  ", "  3 of 7  "]);
    assert_has(&line(&relay, &["deliveries"], "crm").await, &["delivered", "3 of 7"]);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_and_held_back_is_never_again_at_a_time_that_is_over() {
    let receiver = Receiver::always(Answer::status(500)).await;
    let keys = "retry: { first: 1ms, factor: 1 }, circuit: { failures: 1, cooldown: 1h }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    relay.webhook(reveal(1)).accepted().await;
    let open = stands(&relay, "crm", "open").await;
    let delivery = eventually("it is retried", async || relay.listed(&["deliveries", "--status", "retrying"]).await.pop()).await;
    assert_eq!((&delivery["waits_for"], &delivery["next_attempt_at"]), (&json!("probe"), &open["open_until"]), "{delivery}");
    assert_has(&line(&relay, &["deliveries"], "crm").await, &["waits for a probe, at ", open["open_until"].as_str().unwrap()]);
    relay.ask(&["pause", "crm"]).await;
    let delivery = relay.listed(&["deliveries"]).await.pop().unwrap();
    assert_eq!((&delivery["waits_for"], &delivery["next_attempt_at"]), (&json!("resume"), &json!(null)), "{delivery}");
    assert_has(&line(&relay, &["deliveries"], "crm").await, &["waits for `wiza-relay resume`"]);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_lines_fit_times_are_local_too_and_no_destination_is_named_twice() {
    let (good, bad) = (Receiver::start().await, Receiver::always(Answer::status(404).body("no such channel in this workspace")).await);
    let long = "salesforce-contacts-of-the-emea-region";
    let routes = format!(
        "destinations:\n  {long}: {{ url: '{}' }}\n  slack: {{ url: '{}' }}\nroutes:\n  - {{ name: everything that comes in from the list, to: [{long}, slack] }}\n",
        good.url("/"),
        bad.url("/")
    );
    let mut relay = Setup::new(&routes).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("deliveries_total", &[("destination", "slack"), ("outcome", "dead")], 1).await;
    relay.wait_for_metric("deliveries_total", &[("destination", long), ("outcome", "delivered")], 1).await;
    let berlin = [("TZ", "Europe/Berlin")];
    for columns in [80, 100, 200] {
        for command in [&["destinations"][..], &["deliveries"], &["events"]] {
            let shown = relay.ask_at_terminal(columns, &[command, &["--color", "never"]].concat(), &berlin).await;
            for line in shown.lines() {
                assert!(line.chars().count() <= usize::from(columns), "{command:?} at {columns}:\n{shown}");
                assert!(line.matches("slack").count() <= 1 && line.matches(long).count() <= 1, "{command:?} at {columns}:\n{shown}");
            }
            if command != ["destinations"] {
                assert!(shown.contains(&id), "an id is shown whole: {shown}");
                assert!(shown.contains("Z (") && (shown.contains(" CET)") || shown.contains(" CEST)")), "{shown}");
            }
        }
    }
    let shown = relay.ask_at_terminal(100, &["deliveries", "show", &format!("{id}_slack")], &berlin).await;
    assert!(shown.lines().any(|line| line.starts_with("dead_at: ") && line.contains("Z (")), "{shown}");
    // In UTC there is nothing to add, and a program gets what it always got.
    let shown = relay.ask_at_terminal(100, &["events"], &[("TZ", "UTC")]).await;
    assert!(shown.contains("Z  ") && !shown.contains("Z ("), "{shown}");
    let piped = relay.ask(&["events"]).await.output;
    assert_eq!(piped.lines().count(), 2, "an item is a line: {piped}");
    let received = piped.lines().last().unwrap().split_whitespace().next().unwrap();
    received.parse::<Timestamp>().unwrap();

    let escape = '\u{1b}';
    assert!(relay.ask_at_terminal(100, &["destinations"], &[]).await.contains(escape));
    assert!(!relay.ask_at_terminal(100, &["destinations"], &[("NO_COLOR", "1")]).await.contains(escape));
    assert!(!relay.ask_at_terminal(100, &["destinations", "--color", "never"], &[]).await.contains(escape));
    assert!(!relay.ask(&["destinations"]).await.output.contains(escape));
    assert!(relay.ask(&["destinations", "--color", "always"]).await.output.contains(escape));
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_sees_every_member_of_a_batch_arrive() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "batch: { max: 3, every: 2s }").start().await;
    let mut follow = reqwest::get(format!("http://{}/api/deliveries/follow?status=delivered", relay.admin)).await.unwrap();
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(format!("{}_crm", relay.webhook(reveal(number)).accepted().await));
    }
    let mut text = String::new();
    while text.matches("\"delivered_at\":\"").count() < 3 {
        let chunk = tokio::time::timeout(crate::harness::PATIENCE, follow.chunk()).await.expect("three lines").unwrap().unwrap();
        text += std::str::from_utf8(&chunk).unwrap();
    }
    for id in &ids {
        assert!(text.contains(&format!("\"id\":\"{id}\"")), "{id} is not in\n{text}");
    }
    relay.kill();
}
