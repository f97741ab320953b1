//! Random rules and random events: the decision by the index against the one by every route.
//!
//! Rules and events share few paths and few values, so that conditions often hold. Some of both are so that an
//! evaluation takes too many steps: a filter in a filter over the same list, and a long list.

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{Decision, decide, decide_by_every_route};
use crate::config::{self, Config};
use crate::event::{Event, EventId};

/// A list of so many elements takes [`QUADRATIC`] over the limit of steps.
const LONG_LIST: usize = 600;
/// Looks at every element for every element, unless one is `"needle"`.
const QUADRATIC: &str = r#"data.list[?$.data.list[?@ == "needle"]]"#;
const DESTINATIONS: usize = 4;

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "@.type",
        "$.type",
        "@[\"type\"]",
        "status.code",
        "$[\"status\"].code",
        "data.email_status",
        "data.company_domain",
        "data.number",
        "data.tags[0]",
        "data.tags[-1]",
        "data.absent",
        "@.data",
        "@.event",
        "event.path",
        "event.query.campaign",
        "event.id",
    ])
}

/// What paths find and what they are compared with: as JSON, which conditions read as well.
fn value() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => prop::sample::select(vec![r#""reveal""#, r#""valid""#, r#""risky""#, r#""a.example""#, r#""emea""#, r#""""#, r#""200""#]),
        4 => prop::sample::select(vec!["200", "200.0", "2e2", "400", "0", "-0.0", "0.5"]),
        2 => prop::sample::select(vec!["9007199254740992", "9007199254740993", "9007199254740992.0", "18446744073709551615", "1e300"]),
        3 => prop::sample::select(vec!["null", "true", "false"]),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let list = || prop::collection::vec(value(), 1..4).prop_map(|values| values.join(", "));
    let operator = prop::sample::select(vec!["!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        9 => (path(), value()).prop_map(|(path, value)| format!("{path} == {value}")),
        3 => (path(), value()).prop_map(|(path, value)| format!("{value} == {path}")),
        4 => (path(), list()).prop_map(|(path, list)| format!("{path} in [{list}]")),
        2 => (path(), operator, value()).prop_map(|(path, operator, value)| format!("{path} {operator} {value}")),
        1 => (path(), path()).prop_map(|(left, right)| format!("{left} == {right}")),
        1 => path().prop_map(str::to_owned),
        1 => path().prop_map(|path| format!("search({path}, \"e\")")),
        1 => value().prop_map(|value| format!("data.tags[?@ == {value}]")),
        2 => Just(QUADRATIC.to_owned()),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| terms.iter().map(|term| format!("({term})")).collect::<Vec<_>>().join(" and ")),
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| terms.iter().map(|term| format!("({term})")).collect::<Vec<_>>().join(" or ")),
            1 => inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

/// A route in YAML's flow style.
fn route() -> impl Strategy<Value = String> {
    let when = prop::option::weighted(0.98, condition());
    let to = prop::collection::btree_set(0..DESTINATIONS, 0..3);
    (when, to, prop::bool::weighted(0.1), prop::bool::weighted(0.15)).prop_map(|(when, to, stop, shadow)| {
        let when = when.map(|when| format!("when: {}, ", json!(when))).unwrap_or_default();
        let to: Vec<String> = to.iter().map(|place| format!("d{place}")).collect();
        format!("{when}to: [{}], stop: {stop}, shadow: {shadow}", to.join(", "))
    })
}

fn config() -> impl Strategy<Value = Config> {
    let routes = prop_oneof![2 => prop::collection::vec(route(), 1..12), 8 => prop::collection::vec(route(), 12..60)];
    routes.prop_map(|routes| {
        let mut text = "source: { path: /w, api_keys: [k] }\nunmatched: [d0]\ndestinations:\n".to_owned();
        for place in 0..DESTINATIONS {
            text += &format!("  d{place}: {{ url: 'http://127.0.0.1:9/' }}\n");
        }
        text += "routes:\n";
        for (place, route) in routes.iter().enumerate() {
            text += &format!("  - {{ name: r{place}, {route} }}\n");
        }
        let loaded = config::load("routes.yaml", &text, &|_| None);
        loaded.config.unwrap_or_else(|| panic!("{:?}\n{text}", loaded.findings))
    })
}

fn event() -> impl Strategy<Value = Event> {
    let value = || value().prop_map(|value| serde_json::from_str::<Value>(value).expect("JSON"));
    let part = move || prop::option::weighted(0.9, value());
    let tags = prop::collection::vec(value(), 0..3);
    let long = prop::bool::weighted(0.25);
    // Large payloads are decided by another index.
    let padded = prop::bool::weighted(0.3);
    let needle = prop::bool::weighted(0.3);
    let place = (prop::sample::select(vec!["", "emea", "200"]), prop::sample::select(vec!["", "campaign=valid", "campaign="]));
    (prop::collection::vec(part(), 6), tags, long, padded, needle, place).prop_map(|(parts, tags, long, padded, needle, (path, query))| {
        let mut payload = json!({ "status": {}, "data": { "tags": tags } });
        let mut put = |pointer: &str, key: &str, value: Option<Value>| {
            if let (Some(Value::Object(members)), Some(value)) = (payload.pointer_mut(pointer), value) {
                members.insert(key.to_owned(), value);
            }
        };
        let places =
            [("", "type"), ("/status", "code"), ("/data", "email_status"), ("/data", "company_domain"), ("/data", "number"), ("", "event")];
        for ((pointer, key), value) in places.into_iter().zip(parts) {
            put(pointer, key, value);
        }
        let list = vec![Value::from(if needle { "needle" } else { "straw" }); if long { LONG_LIST } else { 2 }];
        put("/data", "padding", padded.then(|| Value::from("x".repeat(20_000))));
        put("/data", "list", Some(Value::Array(list)));
        let now = Timestamp::UNIX_EPOCH;
        Event::new(EventId::new(now), now, path.to_owned(), query.to_owned(), Bytes::from(payload.to_string()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_changes_no_decision(config in config(), events in prop::collection::vec(event(), 1..6)) {
        for event in &events {
            prop_assert_eq!(decide(&config, event), decide_by_every_route(&config, event), "{:?} {:?}", event, config.routes);
        }
    }
}

/// The test above would be worth little if its rules and events did not meet.
#[test]
fn the_random_cases_meet_what_matters() {
    let mut runner = TestRunner::deterministic();
    let (mut matched, mut undecided, mut stopped, mut shadowed, mut unmatched, mut shared) = (0, 0, 0, 0, 0, 0);
    let (mut looked_at, mut routes) = (0, 0);
    const CASES: usize = 80;
    for _ in 0..CASES {
        let config = config().new_tree(&mut runner).expect("generates").current();
        let event = event().new_tree(&mut runner).expect("generates").current();
        let facts = || event.facts();
        let scope = crate::condition::Scope { payload: event.payload(), event: &facts };
        looked_at += config.index.candidates(&scope, event.bytes()).count();
        routes += config.routes.len();
        let decision: Decision = decide(&config, &event);
        let of = |place: &usize| &config.routes[*place];
        let went: usize = decision.matched.iter().map(of).filter(|route| !route.shadow).map(|route| route.to.len()).sum();
        matched += usize::from(!decision.matched.is_empty());
        undecided += usize::from(!decision.undecided.is_empty());
        stopped += usize::from(decision.matched.iter().map(of).any(|route| route.stop && !route.shadow));
        shadowed += usize::from(decision.matched.iter().map(of).any(|route| route.shadow));
        unmatched += usize::from(decision.unmatched);
        shared += usize::from(went > decision.deliveries.len());
    }
    assert!(matched > CASES / 2, "{matched} cases had a match");
    for (what, cases) in [("undecided", undecided), ("stop", stopped), ("shadow", shadowed), ("shared destination", shared)] {
        assert!(cases >= CASES / 20, "{cases} of {CASES} cases had: {what}");
    }
    assert!(unmatched >= 1, "no case was unmatched");
    assert!(looked_at * 3 < routes * 2, "the index left {looked_at} of {routes} routes to look at");
}
