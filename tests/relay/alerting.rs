//! The alerts as they are shipped, in a real Prometheus that scrapes a real relay: a fault raises them, mending it ends
//! them. What each expression holds in all its cases is promtool's to test, in `alerts/tests`.

use std::time::{SystemTime, UNIX_EPOCH};

use regex::Regex;

use crate::harness::{Answer, Prometheus, Receiver, Setup, reveal};

/// The rules, sixty times as fast: a minute of theirs is a second, an hour a minute.
fn hurried_rules() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/rules.yaml")).unwrap();
    let minutes = Regex::new(r"(for: |\[)(\d+)m\b").unwrap().replace_all(&text, "${1}${2}s").into_owned();
    Regex::new(r"(for: |\[)(\d+)h\b").unwrap().replace_all(&minutes, "${1}${2}m").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_at_a_destination_raises_alerts_until_it_is_over() {
    let Some(prometheus) = Prometheus::start(&hurried_rules()).await else { return };
    let receiver = Receiver::start().await;
    let keys = "retry: { first: 1ms, factor: 1, attempts: 100 }, circuit: { failures: 3, cooldown: 1s }";
    let relay = Setup::to(&receiver, keys).start().await;
    prometheus.scrape(&[(relay.admin, &[("namespace", "marketing")])]);
    relay.webhook(reveal(0)).accepted().await;
    prometheus.wait_until(r#"destination:wiza_relay_delivered_total:max{destination="crm"} == 1"#).await;
    let late = prometheus.query("destination:wiza_relay_late:increase1h > 0").await;
    assert_eq!(late, [], "what arrived at once is not late");
    assert!(prometheus.alerts().await.iter().all(|alert| !alert.labels.contains_key("destination")), "all is well");

    receiver.become_always(Answer::status(500));
    for number in 1..=20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let open = prometheus.wait_for_firing("WizaRelayCircuitOpen").await;
    let label = |name: &str| open.labels.get(name).map_or("", String::as_str);
    assert_eq!(
        ["namespace", "job", "destination", "reason", "severity"].map(label),
        ["marketing", "wiza-relay", "crm", "circuit", "ticket"]
    );
    assert_eq!(open.annotations["summary"], "Nothing is delivered to crm");
    prometheus.wait_for_firing("WizaRelayDeliveriesLate").await;
    let late = prometheus.query(r#"ALERTS{alertname="WizaRelayDeliveriesLate", alertstate="firing", severity="page"}"#).await;
    assert_eq!(late.len(), 1, "{late:?}");
    let late = prometheus.query("destination:wiza_relay_late:increase1h").await;
    assert_eq!(late[0].value, 20.0, "{late:?}");

    receiver.become_always(Answer::status(200));
    prometheus.wait_for_resolved("WizaRelayCircuitOpen").await;
    prometheus.wait_until(r#"absent(ALERTS{alertname="WizaRelayDeliveriesLate", severity="page"})"#).await;
    // Afterwards one can see when it was.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let open = prometheus.query_range("wiza_relay_circuit_open", now - 300.0, now, 0.5).await;
    let open: Vec<f64> = open[0].points.iter().map(|(_, value)| *value).collect();
    assert_eq!(open.chunk_by(|one, other| one == other).map(|same| same[0]).collect::<Vec<f64>>(), [0.0, 1.0, 0.0]);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_dead_letters_and_a_crash_raise_alerts_until_they_are_mended() {
    let Some(prometheus) = Prometheus::start(&hurried_rules()).await else { return };
    let receiver = Receiver::answering([Answer::status(200), Answer::status(422)]).await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let valid = std::fs::read_to_string(relay.routes_file()).unwrap();
    prometheus.scrape(&[(relay.admin, &[])]);
    prometheus.wait_until(r#"destination:wiza_relay_dead_total:max == 0"#).await;

    relay.write_rules(valid.replace("to: [crm]", "to: [crn]"));
    relay.signal("HUP");
    prometheus.wait_for_firing("WizaRelayRulesRefused").await;
    relay.write_rules(&valid);
    relay.signal("HUP");
    prometheus.wait_for_resolved("WizaRelayRulesRefused").await;

    relay.webhook(reveal(1)).accepted().await;
    relay.webhook(reveal(2)).accepted().await;
    let dead = prometheus.wait_for_firing("WizaRelayDeadLetters").await;
    assert!(dead.annotations["description"].starts_with("1 in the last hour."), "{dead:?}");

    relay.kill();
    let down = prometheus.wait_for_firing("WizaRelayDown").await;
    assert_eq!(down.labels["severity"], "page");
    // Its address is another now, as in Kubernetes.
    relay.start_again().await;
    prometheus.scrape(&[(relay.admin, &[])]);
    prometheus.wait_for_resolved("WizaRelayDown").await;
    prometheus.wait_for_resolved("WizaRelayDeadLetters").await;
    relay.finish().await;
}
