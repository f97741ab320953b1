//! What the random rules of `property_tests.rs` do not reach: both ways of deciding share it.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{about, decide};
use crate::config::{self, Config};
use crate::event::{Event, EventId, EventSource};

const RULES: &str = r#"
source: { path: /webhooks/wiza, api_keys: [key] }
destinations:
  crm: { url: https://crm.example.com/ }
  ops: { url: https://ops.example.com/, body: { text: "{{ data.summary }}" } }
routes:
  - { name: trouble, when: type == "relay.circuit_opened", to: [crm, ops] }
  - { name: reveals, when: type == "individual_reveal", to: [crm] }
unmatched: [ops]
"#;

fn rules() -> Config {
    let loaded = config::load("routes.yaml", RULES, &|_| None);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

fn event(source: EventSource, payload: &Value) -> Event {
    let now = Timestamp::UNIX_EPOCH;
    Event::new(EventId::of(source, now), now, String::new(), String::new(), Bytes::from(payload.to_string()))
}

fn opened(destination: &str) -> Value {
    json!({ "type": "relay.circuit_opened", "data": { "destination": destination, "summary": "x" } })
}

#[test]
fn an_own_event_is_not_sent_to_the_destination_that_it_is_about() {
    let config = rules();
    let about_crm = decide(&config, &event(EventSource::Relay, &opened("crm")));
    assert_eq!(about_crm.deliveries, [(1, Some(0))], "the circuit of `crm` is open");
    let about_ops = decide(&config, &event(EventSource::Relay, &opened("ops")));
    assert_eq!(about_ops.deliveries, [(0, Some(0))]);
    // A destination that is no longer in the file is none of those that are.
    let about_another = decide(&config, &event(EventSource::Relay, &opened("gone")));
    assert_eq!(about_another.deliveries, [(0, Some(0)), (1, Some(0))]);
}

#[test]
fn only_an_own_event_is_about_a_destination() {
    let config = rules();
    assert_eq!(about(&config, EventSource::Relay, &opened("ops")), Some(1));
    assert_eq!(about(&config, EventSource::Wiza, &opened("ops")), None, "a webhook that looks like an own event");
    for payload in [json!({}), json!({ "data": {} }), json!({ "data": { "destination": 3 } })] {
        assert_eq!(about(&config, EventSource::Relay, &payload), None, "{payload}");
    }
}
