//! What the random rules of `property_tests.rs` do not reach: both ways of deciding share it.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Decision, about, decide};
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

/// What a webhook with this payload comes to: destinations with the routes that send it there, and withheld ones with theirs, all by name.
fn decided(rules: &str, payload: Value) -> (Vec<String>, Vec<String>, Decision) {
    let loaded = config::load("routes.yaml", rules, &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.findings));
    let decision = decide(&config, &event(EventSource::Wiza, &payload));
    let route = |place: &Option<usize>| place.map_or("unmatched", |place| &config.routes[place].name).to_owned();
    let deliveries = decision.deliveries.iter().map(|(to, by)| format!("{} by {}", config.destinations[*to].name, route(by))).collect();
    let withheld =
        decision.withheld.iter().map(|(to, by, why)| format!("{} by {}: {}", config.destinations[*to].name, route(by), why.label()));
    let withheld = withheld.collect();
    (deliveries, withheld, decision)
}

const MANY: &str = r#"
source: { path: /webhooks/wiza, api_keys: [key] }
destinations:
  a: { url: https://a.example.com/ }
  b: { url: https://b.example.com/ }
  off: { url: https://off.example.com/, enabled: false }
  guarded: { url: https://guarded.example.com/, never: data.secret == true }
routes:
  - { name: tried, shadow: true, stop: true, to: [b] }
  - { name: first, when: data.n > 0, to: [a, off, guarded] }
  - { name: second, when: data.n > 0, to: [off, guarded, a, b] }
  - { name: last, when: data.n > 5, to: [], stop: true }
  - { name: behind, when: data.n > 0, to: [b] }
unmatched: [b]
"#;

#[test]
fn the_first_route_to_a_destination_gets_it_and_all_others_apply() {
    let (deliveries, withheld, decision) = decided(MANY, json!({ "data": { "n": 1 } }));
    assert_eq!(deliveries, ["a by first", "guarded by first", "b by second"]);
    assert_eq!(withheld, ["off by first: disabled"], "it is told once, of the first route");
    assert_eq!((decision.matched, decision.unmatched), (vec![0, 1, 2, 4], false));
}

#[test]
fn a_guard_keeps_an_event_back_for_all_routes() {
    let (deliveries, withheld, _) = decided(MANY, json!({ "data": { "n": 1, "secret": true } }));
    assert_eq!(deliveries, ["a by first", "b by second"]);
    assert_eq!(withheld, ["off by first: disabled", "guarded by first: never"]);
}

#[test]
fn stop_ends_the_walk_and_a_shadow_route_does_not() {
    let (_, _, decision) = decided(MANY, json!({ "data": { "n": 6 } }));
    assert_eq!(decision.matched, [0, 1, 2, 3], "`tried` has `stop` too, but it is a shadow");
}

#[test]
fn what_no_route_takes_goes_to_unmatched() {
    let (deliveries, withheld, decision) = decided(MANY, json!({ "data": { "n": 0 } }));
    assert_eq!((deliveries, withheld), (vec!["b by unmatched".to_owned()], vec![]));
    assert_eq!((decision.matched, decision.unmatched), (vec![0], true), "a shadow route takes nothing");
    // A route that sends nowhere has taken it all the same.
    let to_nobody = MANY.replace("data.n > 5", "data.n == 0");
    let (deliveries, _, decision) = decided(&to_nobody, json!({ "data": { "n": 0 } }));
    assert!(deliveries.is_empty() && !decision.unmatched);
}
