//! The commands and flags, and what a relay shows from its first moment on.

use serde_json::Value;

use crate::harness::{API_KEY, Receiver, Setup, reveal, run, run_with};

const GOOD: &str = "source: { path: /webhooks/wiza, api_keys: [test-key] }
destinations: { crm: { url: 'http://127.0.0.1:9/' } }
routes: [{ name: everything, to: [crm] }]
";
const BAD: &str = "source: { path: /webhooks/wiza, api_keys: [test-key] }
destinations: { crm: { url: 'http://127.0.0.1:9/', timout: 3s } }
routes: [{ name: everything, to: [cmr] }]
";

/// A routes.yaml in a folder of its own.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_yes_or_no() {
    let (_folder, good) = file(GOOD);
    let ran = run(&["check", &good]).await;
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.output.contains("1 route to 1 destination"), "{ran:?}");
    let (_folder, bad) = file(BAD);
    let ran = run(&["check", &bad]).await;
    let places = [format!("{bad}:2:52"), format!("{bad}:3:35")];
    ran.assert_refused(1, &["`timout`", "`timeout`", "`cmr`", "`crm`", &places[0], &places[1], "^"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_it_to_machines_too() {
    let (_folder, good) = file(GOOD);
    let ran = run(&["check", "--json", &good]).await;
    assert_eq!(ran.code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&ran.output).unwrap(), serde_json::json!({"ok": true, "findings": []}));
    let (_folder, bad) = file(BAD);
    let ran = run(&["check", "--json", &bad]).await;
    assert_eq!((ran.code, ran.error.as_str()), (Some(1), ""));
    let answer: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(answer["ok"], false);
    let findings = answer["findings"].as_array().unwrap();
    assert!(findings.len() >= 2, "{answer}");
    for finding in findings {
        let mut keys: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["column", "file", "hint", "line", "message", "severity"]);
        assert_eq!(finding["file"], bad);
        assert!(finding["line"].is_u64() && finding["column"].is_u64(), "{finding}");
        assert!(finding["severity"] == "error" || finding["severity"] == "warning", "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_prints_the_schemas_of_both_files() {
    for (arguments, expected) in [
        (["schema"].as_slice(), wiza_relay::config::schema::routes_file()),
        (&["schema", "--tests"], wiza_relay::config::schema::tests_file()),
    ] {
        let ran = run(arguments).await;
        assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""));
        assert_eq!(serde_json::from_str::<Value>(&ran.output).unwrap(), expected);
        assert!(ran.output.starts_with("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"), "{}", ran.output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_plays_everything_through() {
    let ran = run(&["demo", "--once"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output.contains("Everything planned was delivered."), "{}", ran.output);
    // In the order in which it happens: an event is stored and answered before anything is delivered of it.
    let (mut stored, mut told) = (std::collections::HashSet::new(), 0);
    for line in ran.output.lines() {
        let Some(event) = line.split('…').nth(1).and_then(|rest| rest.split(' ').next()) else { continue };
        if line.contains("stored …") {
            stored.insert(event);
        } else {
            told += 1;
            assert!(stored.contains(event), "{line}\n is told before the event is stored:\n{}", ran.output);
        }
    }
    assert!(stored.len() >= 7 && told > stored.len(), "{}", ran.output);
    let first_got = ran.output.lines().position(|line| line.contains(" got ")).unwrap();
    assert!(ran.output.lines().take(first_got).any(|line| line.contains("answered 200")), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_plays_wiza() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let url = format!("http://{}/webhooks/wiza/emea?campaign=q4", relay.webhooks);
    let ran = run(&["send", "--url", &url, "--api-key", API_KEY, "--count", "50", "--concurrency", "4"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output.contains("50 webhooks in") && ran.output.contains("50  200 accepted"), "{}", ran.output);
    assert!(ran.output.contains("p99"), "{}", ran.output);
    relay.wait_for_outcome("delivered", 50).await;
    // A file of one's own, twice the same.
    let payload = relay.folder().join("payload.json");
    std::fs::write(&payload, reveal(7)).unwrap();
    let payload = payload.display().to_string();
    let ran = run_with(&["send", "--url", &url, "--sample", &payload, "--same", "--count", "2"], &[("WIZA_API_KEY", API_KEY)]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output.contains("1  200 accepted") && ran.output.contains("1  200 duplicate"), "{}", ran.output);
    relay.wait_for_outcome("delivered", 51).await;
    relay.finish().await;
    assert_eq!(receiver.count(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_says_no_where_the_relay_does() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let ran = run(&["send", "--url", &url, "--api-key", "wrong-key", "--count", "3"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.output.contains("3  401"), "{ran:?}");
    assert!(!ran.output.contains("wrong-key") && !ran.error.contains("wrong-key"), "{ran:?}");
    let ran = run(&["send", "--url", &url, "--api-key", API_KEY, "--sample", "vaild"]).await;
    ran.assert_refused(2, &["vaild", "valid"]);
    relay.finish().await;
    let ran = run(&["send", "--url", &url, "--api-key", API_KEY, "--count", "1"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.output.contains("cannot connect"), "{ran:?}");
    assert!(ran.error.contains(&format!("nothing listens at {url}")) && ran.error.contains("--url"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn misuse_is_told_from_failure() {
    for arguments in [
        &["serve", "--lisen", "x"][..],
        &["serve", "--listen", "nonsense"],
        &["serve", "--grace", "25"],
        &["serve", "--log", "a=b=c"],
        &["serve", "--max-connections", "0"],
        &["send", "--count", "0", "--api-key", "k"],
        &["send"],
        &["nonsense"],
        &[],
    ] {
        let ran = run(arguments).await;
        assert_eq!(ran.code, Some(2), "{arguments:?} {ran:?}");
        assert!(!ran.error.is_empty(), "{arguments:?}");
    }
    for flag in ["--grace", "--audit-interval"] {
        run(&["serve", flag, "1M"]).await.assert_refused(2, &[flag, "`1m` for minutes", "`1month`"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_names_every_flag_and_those_variables_that_stand_in_for_one() {
    const FILTERS: [&str; 10] = ["status", "destination", "route", "account", "since", "until", "search", "limit", "follow", "json"];
    const REMOTE: [&str; 3] = ["admin-url", "admin-token", "admin-token-file"];
    /// What a variable may say to other commands than `serve`: where something is, never what is done.
    const WAYS: [&str; 8] = ["config", "secrets-from", "store", "url", "api-key", REMOTE[0], REMOTE[1], REMOTE[2]];
    let listing = [&FILTERS[..], &REMOTE, &["color"]].concat();
    let redrive =
        [&["all", "destination", "route", "account", "since", "until", "search", "rate", "dry-run", "yes", "json"], &REMOTE[..]].concat();
    let json = [&["json", "color"], &REMOTE[..]].concat();
    let every: [(&str, &[&str]); 13] = [
        (
            "serve",
            &[
                "config",
                "listen",
                "admin",
                "store",
                "hold",
                "grace",
                "max-backlog",
                "max-connections",
                "receive-memory",
                "audit-interval",
                "log",
                "log-format",
                "admin-token",
                "admin-token-file",
                "viewer-token",
                "viewer-token-file",
                "secrets-from",
            ],
        ),
        ("demo", &["once"]),
        ("send", &["sample", "url", "api-key", "count", "rate", "concurrency", "same", "quiet", "json"]),
        ("check", &["config", "no-env", "strict", "secrets-from", "store", "json"]),
        ("events", &listing),
        ("deliveries", &listing),
        ("redrive", &redrive),
        ("destinations", &json),
        ("reload", &json),
        ("pause", &json),
        ("resume", &json),
        ("audit", &["store", "json"]),
        ("backup", &["store"]),
    ];
    for (command, flags) in every {
        let ran = run(&[command, "--help"]).await;
        assert_eq!(ran.code, Some(0));
        let words = ran.output.split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in flags {
            assert!(ran.output.contains(&format!("--{flag}")), "{command} --{flag}");
            let variable = match *flag {
                "api-key" => "WIZA_API_KEY".to_owned(),
                flag => format!("WIZA_RELAY_{}", flag.to_uppercase().replace('-', "_")),
            };
            let named = words.contains(&format!("[env: {variable}"));
            assert_eq!(named, command == "serve" || WAYS.contains(flag), "{command} {variable}");
        }
        let known: Vec<String> = ran.output.split_whitespace().filter_map(flag_name).collect();
        for flag in known {
            assert!(flag == "help" || flags.contains(&flag.as_str()), "{command} --{flag} is new: name it in this test");
        }
    }
    let ran = run_with(&["send", "--help"], &[("WIZA_API_KEY", "a-secret-value")]).await;
    assert!(!ran.output.contains("a-secret-value"), "{}", ran.output);
    let ran = run(&["--version"]).await;
    assert_eq!((ran.code, ran.output.trim()), (Some(0), concat!("wiza-relay ", env!("CARGO_PKG_VERSION"))));
}

fn flag_name(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    Some(name.trim_end_matches(|c: char| !c.is_ascii_lowercase()).to_owned()).filter(|name| !name.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_from_the_start() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/");
    let routes = format!(
        "destinations: {{ crm: {{ url: '{url}' }}, dialler: {{ url: '{url}' }} }}
routes: [{{ name: all of it, to: [crm] }}, {{ name: tried out, shadow: true, to: [dialler] }}]"
    );
    let relay = Setup::new(routes).start().await;
    let metrics = relay.metrics().await;
    for outcome in ["accepted", "duplicate", "unauthorized", "limited", "invalid", "too_large", "timeout", "unavailable"] {
        assert_eq!(metrics.get("webhooks_total", &[("outcome", outcome)]), 0);
    }
    for destination in [("destination", "crm"), ("destination", "dialler")] {
        for result in ["delivered", "retried", "dead"] {
            assert_eq!(metrics.get("attempts_total", &[destination, ("result", result)]), 0);
        }
        for outcome in ["delivered", "dead"] {
            assert_eq!(metrics.get("deliveries_total", &[destination, ("outcome", outcome)]), 0);
        }
        let single = ["planned_total", "redriven_total", "waiting", "parked", "dead_letters", "queue_oldest_seconds", "circuit_open"];
        for name in single.into_iter().chain(["attempt_seconds_count", "delivery_seconds_count"]) {
            assert_eq!(metrics.get(name, &[destination]), 0, "{name}");
        }
    }
    for route in ["all of it", "tried out"] {
        assert_eq!(metrics.get("route_matches_total", &[("route", route)]), 0);
    }
    assert_eq!(metrics.get("unmatched_total", &[]), 0);
    assert_eq!(metrics.get("ack_seconds_count", &[]), 0);
    assert_eq!(metrics.get("config_last_reload_successful", &[]), 1);
    assert_eq!(metrics.get("build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1);
    assert!(metrics.find("config_last_reload_success_timestamp_seconds", &[]).unwrap() > 1.7e9);
    assert!(metrics.find("store_commit_seconds_count", &[]).is_some());
    assert!(metrics.get("store_bytes", &[]) > 0);
    for family in metrics.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        assert!(metrics.text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_plain_where_nobody_looks_on_and_json_on_demand() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert!(!relay.log().contains('\u{1b}'), "a file of logs holds colours: {}", relay.log());
    relay.finish().await;
    let relay = Setup::to(&receiver, "").flag("log-format", "json").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let lines: Vec<Value> = relay.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let attempt = lines.iter().find(|line| line["message"] == "attempt").unwrap();
    assert_eq!((&attempt["event_id"], &attempt["destination"], &attempt["status"]), (&id.into(), &"crm".into(), &200.into()));
    relay.finish().await;
}
