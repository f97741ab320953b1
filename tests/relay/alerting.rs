//! A real Prometheus scrapes the relay.

use crate::harness::{Answer, Prometheus, Receiver, Setup, reveal};

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_sees_what_the_relay_counts() {
    let rules = "groups: [{ name: test, rules: [{ alert: SomethingDied, expr: 'wiza_relay_dead_letters > 0', annotations: { summary: '{{ $value }} died' } }] }]";
    let Some(prometheus) = Prometheus::start(rules).await else { return };
    let receiver = Receiver::answering([Answer::status(404)]).await;
    let relay = Setup::to(&receiver, "").start().await;
    prometheus.scrape(&[(relay.admin, &[("namespace", "marketing")])]);
    relay.webhook(reveal(1)).accepted().await;
    let alert = prometheus.wait_for_firing("SomethingDied").await;
    assert_eq!((alert.labels["destination"].as_str(), alert.labels["namespace"].as_str()), ("crm", "marketing"));
    assert_eq!(alert.annotations["summary"], "1 died");
    let died = prometheus.query("wiza_relay_dead_letters").await;
    assert_eq!((died.len(), died[0].value), (1, 1.0));
    relay.webhook(reveal(2)).accepted().await;
    let seen = prometheus.wait_until(r#"wiza_relay_deliveries_total{outcome="delivered"} == 1"#).await;
    assert_eq!(seen[0].labels["job"], "wiza-relay");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let planned = prometheus.query_range("wiza_relay_planned_total", now - 60.0, now, 1.0).await;
    assert_eq!(planned[0].points.last().unwrap().1, 2.0);
    assert_eq!(relay.ask(&["redrive", "--destination", "crm", "--yes"]).await.code, Some(0));
    prometheus.wait_for_resolved("SomethingDied").await;
    relay.finish().await;
}
