//! What `/metrics` says: as docs/metrics.md has it, as Prometheus wants it, and what really happened.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Answer, Authority, Gate, Receiver, Setup, eventually, free_address, one_destination, reveal, skipped};

const CRM: (&str, &str) = ("destination", "crm");

/// A family: its name, its type, its labels.
type Family = (String, String, Vec<String>);

/// The families of a scrape.
fn exposed(text: &str) -> BTreeSet<Family> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    typed
        .map(|(name, kind)| {
            let sample = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
            let line = text.lines().find(|line| line.strip_prefix(&sample).is_some_and(|rest| rest.starts_with([' ', '{'])));
            let series = line.unwrap_or_else(|| panic!("{name} has no series")).rsplit_once(' ').unwrap().0;
            let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let mut labels: Vec<String> = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())).collect();
            labels.sort();
            (name.to_owned(), kind.to_owned(), labels)
        })
        .collect()
}

/// The families of the tables in docs/metrics.md.
fn documented() -> BTreeSet<Family> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `wiza_relay_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let mut labels: Vec<String> =
            cells[3].split(", ").filter(|label| !label.is_empty()).map(|label| label.trim_matches('`').to_owned()).collect();
        labels.sort();
        (cells[1].trim_matches('`').to_owned(), cells[2].to_owned(), labels)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_in_the_document_with_its_type_and_labels_and_the_other_way_round() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").flag("audit-interval", "100ms").start().await;
    eventually("the books were checked", async || relay.metrics().await.find("audit_last_balanced", &[])).await;
    let exposed = exposed(&relay.metrics().await.text);
    let documented = documented();
    assert_eq!(exposed.difference(&documented).collect::<Vec<_>>(), Vec::<&Family>::new(), "these are not in docs/metrics.md");
    assert_eq!(documented.difference(&exposed).collect::<Vec<_>>(), Vec::<&Family>::new(), "these are only in docs/metrics.md");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_say_of_them() {
    let receiver = Receiver::answering([Answer::status(500)]).await;
    let relay = Setup::to(&receiver, "retry: { first: 1ms }").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let text = relay.metrics().await.text;
    relay.finish().await;
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else { return skipped("there is no promtool: Debian's package is prometheus") };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_counted_by_its_reason() {
    let answers = [
        ("server_error", Answer::status(500)),
        ("server_error", Answer::status(503)),
        ("throttled", Answer::status(429)),
        ("client_error", Answer::status(408)),
        ("credentials", Answer::status(401)),
        ("unsuccessful", Answer::status(200).body("{\"ok\": false}")),
        ("timeout", Answer::Hang),
        ("connection", Answer::CutHead),
        ("redirect", Answer::status(302)),
    ];
    let receiver = Receiver::answering(answers.iter().map(|(_, answer)| answer.clone())).await;
    let keys = "timeout: 500ms, success: $.ok == true, retry: { first: 1ms, factor: 1 }, circuit: { failures: 1000, cooldown: 1ms }";
    // Not `to`: one of the answers is a 2xx that does not count.
    let relay = Setup::new(one_destination(&receiver.url("/"), keys)).start().await;
    relay.webhook(reveal(1)).accepted().await;
    // The redirect is the last word.
    relay.wait_for_outcome("dead", 1).await;
    let metrics = relay.metrics().await;
    for reason in [
        "timeout",
        "connection",
        "tls",
        "credentials",
        "client_error",
        "server_error",
        "throttled",
        "redirect",
        "unsuccessful",
        "unrenderable",
    ] {
        let expected = answers.iter().filter(|(of, _)| *of == reason).count();
        assert_eq!(metrics.get("attempt_failures_total", &[CRM, ("reason", reason)]), expected as u64, "{reason}");
    }
    assert_eq!(receiver.count(), answers.len());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_or_reached_or_trusted_has_its_reason_too() {
    let authority = Authority::new();
    let secure = Receiver::secure(Authority::serve(&authority.issue(&["localhost", "127.0.0.1"]), None)).await;
    let nowhere = free_address();
    let keys = "retry: { attempts: 1 }";
    let rules = format!(
        "destinations:\n  untrusted: {{ url: \"{}\", {keys} }}\n  nowhere: {{ url: \"http://{nowhere}/\", {keys} }}\n  \
         template: {{ url: \"http://{nowhere}/\", body: {{ text: \"{{{{ data.missing }}}}\" }} }}\n\
         routes:\n  - {{ name: everything, to: [untrusted, nowhere, template] }}\n",
        secure.url("/"),
    );
    let relay = Setup::new(rules).start().await;
    relay.webhook(reveal(1)).accepted().await;
    for (destination, reason) in [("untrusted", "tls"), ("nowhere", "connection"), ("template", "unrenderable")] {
        relay.wait_for_metric("attempt_failures_total", &[("destination", destination), ("reason", reason)], 1).await;
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_a_destination_back_is_named() {
    let receiver = Receiver::answering([Answer::status(500)]).await;
    let relay = Setup::to(&receiver, "retry: { first: 1ms, factor: 1 }, circuit: { failures: 1, cooldown: 1h }").start().await;
    let held = async |wanted: &str| {
        eventually(&format!("held: {wanted:?}"), async || {
            let metrics = relay.metrics().await;
            let reasons = ["circuit", "gone", "paused", "retry_after"];
            let held: Vec<&str> = reasons.into_iter().filter(|reason| metrics.get("held", &[CRM, ("reason", reason)]) == 1).collect();
            (held.join(" ") == wanted).then_some(())
        })
        .await;
    };
    held("").await;
    relay.webhook(reveal(1)).accepted().await;
    held("circuit").await;
    relay.ask(&["pause", "crm"]).await;
    held("paused").await;
    receiver.become_always(Answer::status(410));
    relay.ask(&["resume", "crm"]).await;
    held("gone").await;
    receiver.become_always(Answer::status(503).header("retry-after", 2));
    relay.ask(&["resume", "crm"]).await;
    held("").await;
    relay.webhook(reveal(2)).accepted().await;
    held("circuit retry_after").await;
    receiver.become_always(Answer::status(200));
    held("circuit").await;
    relay.ask(&["resume", "crm"]).await;
    relay.wait_for_outcome("delivered", 1).await;
    held("").await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_and_connections_are_counted_while_they_last() {
    let gate = Gate::new();
    let waits = gate.clone();
    let receiver = Receiver::scripted(move |_, _| Answer::status(200).behind(&waits)).await;
    let relay = Setup::to(&receiver, "concurrency: 2, timeout: 30s").flag("max-connections", "7").start().await;
    let raw = relay.raw().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("in_flight", &[CRM], 2).await;
    let metrics = relay.metrics().await;
    assert!((1..=7).contains(&metrics.get("connections", &[])), "{}", metrics.text);
    assert_eq!(metrics.get("connections_limit", &[]), 7);
    drop(raw);
    gate.open();
    relay.wait_for_outcome("delivered", 3).await;
    relay.wait_for_metric("in_flight", &[CRM], 0).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_and_its_runtime_are_measured() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let value = |text: &str, name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    let before = relay.metrics().await.text;
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 20).await;
    let after = relay.metrics().await.text;
    for name in ["wiza_relay_tokio_busy_seconds_total", "wiza_relay_tokio_parks_total"] {
        assert!(value(&after, name) > value(&before, name), "{name}");
    }
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", relay.id())).unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    let ratio = value(&after, "process_resident_memory_bytes") / (pages * 4096.0);
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
    let started = Duration::from_secs_f64(value(&after, "process_start_time_seconds"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.abs_diff(started) < Duration::from_secs(600), "{started:?}");
    assert!(value(&after, "wiza_relay_store_available_bytes") > 0.0);
    relay.finish().await;
}
