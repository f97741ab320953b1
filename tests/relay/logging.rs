//! The log as JSON: each line an object with the fields that docs/watching.md has, and of the types that it gives.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use serde_json::{Map, Value};

use crate::harness::command::relay;
use crate::harness::setup::with_source;
use crate::harness::{Answer, Receiver, Setup, eventually, free_address, one_destination, repository, reveal, run_with};

/// The table of fields: names and types.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repository("docs/watching.md")).unwrap();
    let section = text.split("\n## Logs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut fields = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (names, types) = (cells.next().unwrap(), cells.next().unwrap());
        let names = names.split(", ").map(|name| name.trim_matches('`').to_owned());
        // One type for all, or one for each.
        let types: Vec<&str> = types.split(", ").collect();
        fields.extend(names.enumerate().map(|(place, name)| (name, (*types.get(place).unwrap_or(&types[0])).to_owned())));
    }
    assert!(fields.len() > 30, "{fields:?}");
    fields
}

fn lines(log: &str) -> Vec<Map<String, Value>> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_has_documented_fields_of_documented_types() {
    let receiver = Receiver::answering([Answer::status(503), Answer::status(200), Answer::status(422), Answer::status(410)]).await;
    let keys = "retry: { first: 5ms }, concurrency: 1";
    let setup = Setup::to(&receiver, keys).flag("log-format", "json").flag("log", "wiza_relay=debug").flag("grace", "3s");
    let mut relay = setup.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").env("OTEL_BSP_SCHEDULE_DELAY", "1").start().await;
    let delivered = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.webhook(reveal(1)).send().await.word(), "duplicate");
    let dead = relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    assert_eq!(relay.webhook("[]").send().await.status, 400);
    assert_eq!(relay.webhook(reveal(3)).path("/elsewhere").send().await.status, 421);
    relay.webhook(reveal(4)).accepted().await;
    relay.wait_for_metric("held", &[("destination", "crm"), ("reason", "gone")], 1).await;
    for arguments in [&["resume", "crm"][..], &["redrive", "--all", "--yes"], &["pause", "crm"]] {
        let ran = relay.ask(arguments).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    relay.write_rules("destinations: { crm: { url: 1 } }");
    assert_eq!(relay.post("/-/reload").await.0, 422);
    relay.write_rules(one_destination(&receiver.url("/crm"), "timeout: 3s"));
    assert_eq!(relay.post("/-/reload").await.0, 200);
    eventually("the collector's absence is told", async || relay.log().contains("spans could not be exported").then_some(())).await;
    assert_eq!(relay.terminate().await.code(), Some(0));

    let log = relay.log();
    let mut latencies = log.split("\"latency_ms\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap()).peekable();
    assert!(latencies.peek().is_some());
    for latency in latencies {
        let decimals = latency.split_once('.').map_or("", |(_, decimals)| decimals);
        assert!(decimals.len() <= 3, "nobody wants to read {latency}");
    }
    let documented = documented();
    let lines = lines(&log);
    let mut seen = BTreeSet::new();
    for line in &lines {
        for always in ["timestamp", "level", "target", "message"] {
            assert!(line.contains_key(always), "no {always}: {line:?}");
        }
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        for (name, value) in line {
            let kind = match value {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "true or false",
                other => panic!("{name} is {other}: {line:?}"),
            };
            assert_eq!(documented.get(name).map(String::as_str), Some(kind), "{name}: {line:?}");
            seen.insert((line["message"].as_str().unwrap().to_owned(), name.clone()));
        }
    }
    for (message, field) in [
        ("the store is open", "store"),
        ("started", "rules"),
        ("stored", "destinations"),
        ("attempt", "next_attempt_at"),
        ("attempt", "span_id"),
        ("attempt", "reason"),
        ("a webhook was seen before", "first_event_id"),
        ("an authentic webhook that is no event went to quarantine", "reason"),
        ("circuit breaker", "circuit"),
        ("a circuit breaker was set by hand", "circuit"),
        ("dead deliveries were taken up again", "deliveries"),
        ("the rules were not reloaded; the old ones go on", "error"),
        ("the rules were reloaded", "rules"),
        ("stopped", "outstanding"),
    ] {
        assert!(seen.contains(&(message.to_owned(), field.to_owned())), "{message} with {field} is not in\n{}", relay.log());
    }
    let attempts = |event: &str| -> Vec<&Map<String, Value>> {
        lines.iter().filter(|line| line["message"] == "attempt" && line["event_id"] == event).collect()
    };
    let (delivered, dead) = (attempts(&delivered), attempts(&dead));
    let told = |line: &Map<String, Value>| (line["level"].clone(), line["attempt"].clone(), line["result"].clone(), line["status"].clone());
    assert_eq!(told(delivered[0]), ("WARN".into(), 1.into(), "retried".into(), 503.into()));
    assert_eq!(told(delivered[1]), ("INFO".into(), 2.into(), "delivered".into(), 200.into()));
    assert_eq!(told(dead[0]), ("WARN".into(), 1.into(), "dead".into(), 422.into()));
    assert!(!delivered[1].contains_key("error") && !delivered[1].contains_key("batch"), "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_started_only_once_the_rules_are_in_effect() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").flag("log-format", "json").start().await;
    let log = lines(&relay.log());
    let started = log.iter().find(|line| line["message"] == "started").unwrap();
    assert_eq!(started["webhooks"], format!("http://{}/webhooks/wiza", relay.webhooks));
    assert_eq!(started["admin"], format!("http://{}", relay.admin));
    let rules = started["rules"].as_str().unwrap();
    assert!(relay.get("/readyz?verbose").await.1.contains(&format!("version {rules} in effect")));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_the_start_is_a_line_of_the_log_too() {
    let receiver = Receiver::start().await;
    let warned =
        one_destination(&receiver.url("/crm"), "").replace("destinations:", "destinations:\n  unused: { url: 'http://127.0.0.1:9/' }");
    let mut relay = Setup::new(warned.clone()).flag("log-format", "json").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    let log = lines(&relay.log());
    let warning = log.iter().find(|line| line["level"] == "WARN").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("unused") && warning["line"].is_number() && warning["hint"].is_string());

    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("routes.yaml");
    for (text, code, lines_at_least) in [(warned.replace("to: [crm]", "to: [cmr]"), 1, 2), ("source: [".to_owned(), 1, 2)] {
        std::fs::write(&rules, text).unwrap();
        let ran = run_with(&["serve", "--log-format", "json", "--config", &rules.display().to_string()], &[]).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let told = lines(&ran.error);
        assert!(told.len() >= lines_at_least, "{told:?}");
        let last = told.last().unwrap();
        assert!(last["level"] == "ERROR" && last["error"].as_str().unwrap().contains("nothing was started"), "{last:?}");
    }
    // Whoever wants no log at all is still told why there is no relay.
    let ran = run_with(&["serve", "--log", "off", "--log-format", "json", "--config", "/nowhere.yaml"], &[]).await;
    ran.assert_refused(2, &["/nowhere.yaml"]);
}

/// A log on a full disk, as a container's may be, is lost; the relay is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routes.yaml"), with_source(&one_destination("http://127.0.0.1:9/", ""))).unwrap();
    for format in ["text", "json"] {
        let (webhooks, admin) = (free_address().to_string(), free_address().to_string());
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = relay();
        command.args(["serve", "--log", "debug", "--log-format", format, "--listen", &webhooks, "--admin", &admin]);
        let mut child = command.current_dir(folder.path()).stdout(Stdio::null()).stderr(full).spawn().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = eventually("it is ready", async || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended, for want of a log");
            client.get(format!("http://{admin}/readyz")).send().await.ok()
        })
        .await;
        assert_eq!(answer.status(), 200);
        assert_eq!(client.post(format!("http://{admin}/-/reload")).send().await.unwrap().status(), 200);
        assert_eq!(client.get(format!("http://{admin}/healthz")).send().await.unwrap().status(), 200);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
