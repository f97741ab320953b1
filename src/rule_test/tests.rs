use bytes::Bytes;
use jiff::Timestamp;

use super::{DIFFERENCES_MAX, Difference, run};
use crate::config::{self, Config};

/// Rules with one test, whose `expect` and other keys are given.
fn config(test: &str) -> Config {
    let text = format!(
        r#"
source: {{ path: /w, api_keys: [k] }}
destinations:
  slack: {{ url: "${{SLACK_URL}}", body: "reveal {{{{ data.id }}}}" }}
  crm:
    url: https://crm.example.com/{{{{ data.id }}}}
    method: PUT
    headers: {{ authorization: "Bearer ${{TOKEN}}" }}
    body: {{ email: $.data.email, tags: [a, b, {{ deep: 1 }}], name: "{{{{ data.name }}}}" }}
  log: {{ url: https://log.example.com/ }}
routes:
  - {{ name: contacts, when: data.email, to: [crm] }}
  - {{ name: failures, when: data.status == "failed", to: [slack], stop: true }}
  - {{ name: all, to: [log] }}
tests:
  - {test}
"#
    );
    let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret-token".to_owned());
    let loaded = config::load_for_dry_run("routes.yaml", &text, &lookup);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

fn differences(payload: &str, rest: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let config = config(&format!("{{ name: t, payload: {{}}, {rest} }}"));
    let found = run(&config, &config.tests[0], Bytes::from(payload.to_owned()), Timestamp::UNIX_EPOCH).unwrap();
    found.into_iter().map(|Difference { place, wanted, found }| (place, wanted, found)).collect()
}

fn difference(place: &str, wanted: Option<&str>, found: Option<&str>) -> (String, Option<String>, Option<String>) {
    (place.into(), wanted.map(str::to_owned), found.map(str::to_owned))
}

const CONTACT: &str = r#"{"data":{"id":7,"email":"a@b.c","name":"Ada"}}"#;

#[test]
fn what_is_as_expected_passes() {
    for expect in [
        "expect: { crm: {}, log: {} }",
        "routes: [contacts, all], expect: { crm: { route: contacts, method: put }, log: {} }",
        "expect: { crm: { url: https://crm.example.com/7, headers: { Authorization: 'Bearer ${TOKEN}' } }, log: { url: 'https://log.example.com' } }",
        "expect: { crm: { body: { email: a@b.c, tags: [a, b, { deep: 1 }], name: Ada } }, log: {} }",
        "expect: { crm: { body_contains: { name: Ada, tags: [{ deep: 1 }, a] } }, log: { body: { data: { id: 7, email: a@b.c, name: Ada } } } }",
    ] {
        assert_eq!(differences(CONTACT, expect), [], "{expect}");
    }
}

#[test]
fn what_goes_to_nobody_is_expected_of_nobody() {
    let failed = r#"{"data":{"id":7,"status":"failed"}}"#;
    assert_eq!(differences(failed, "expect: { slack: { body: reveal 7 } }"), []);
    assert_eq!(differences(failed, "expect: { slack: { body_contains: veal } }"), []);
    assert_eq!(differences(failed, "expect: { slack: {}, log: {} }"), [difference("log", Some("a request"), None)]);
    let got = difference("slack", None, Some("POST ${SLACK_URL} (route `failures`)"));
    assert_eq!(differences(failed, "expect: {}"), [got]);
}

/// What a test says of the time holds on every day.
#[test]
fn now_is_pinned_by_the_test() {
    let text = "source: { path: /w, api_keys: [k] }
destinations: { d: { url: 'https://d.example/', body: \"{{ now() | date('%H:%M', tz='Europe/Berlin') }} {{ event.received_at | date }}\" } }
routes: [{ name: all, to: [d] }]
tests:
  - { name: both, payload: {}, event: { received_at: 2026-02-03T04:05:06Z }, now: 2026-07-01T10:00:00Z, expect: { d: { body: 12:00 2026-02-03 } } }
  - { name: the event's, payload: {}, event: { received_at: 2026-02-03T04:05:06Z }, expect: { d: { body: 05:05 2026-02-03 } } }
  - { name: none, payload: {}, expect: { d: { body: 13:30 2026-11-27 } } }
";
    let loaded = config::load("routes.yaml", text, &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.findings));
    for case in &config.tests {
        let found = run(&config, case, Bytes::from_static(b"{}"), "2026-11-27T12:30:00Z".parse().unwrap()).unwrap();
        assert_eq!(found, [], "{}", case.name);
    }
}

#[test]
fn each_difference_has_its_place() {
    let expect = "routes: [all], expect: { log: {}, crm: { route: all, method: POST, url: https://crm.example.com/8, \
                  headers: { authorization: Bearer other, x-none: x }, body: { email: x@b.c, more: 1, tags: [a, c] } } }";
    assert_eq!(
        differences(CONTACT, expect),
        [
            difference("routes", Some("[all]"), Some("[contacts, all]")),
            difference("crm: route", Some("all"), Some("contacts")),
            difference("crm: method", Some("POST"), Some("PUT")),
            difference("crm: url", Some("https://crm.example.com/8"), Some("https://crm.example.com/7")),
            // The secret itself is not shown.
            difference("crm: headers.authorization", Some("Bearer other"), Some("Bearer ${TOKEN}")),
            difference("crm: headers.x-none", Some("x"), None),
            difference("crm: body.email", Some("\"x@b.c\""), Some("\"a@b.c\"")),
            difference("crm: body.more", Some("1"), None),
            difference("crm: body.tags[1]", Some("\"c\""), Some("\"b\"")),
            difference("crm: body.tags[2]", None, Some("{\"deep\":1}")),
            difference("crm: body.name", None, Some("\"Ada\"")),
        ]
    );
    let part = "expect: { log: {}, crm: { body_contains: { email: a@b, tags: [c, { deep: 1 }] } } }";
    assert_eq!(
        differences(CONTACT, part),
        [
            difference("crm: body.email", Some("\"a@b\""), Some("\"a@b.c\"")),
            difference("crm: body.tags[]", Some("\"c\""), Some("[\"a\",\"b\",{\"deep\":1}]")),
        ]
    );
}

#[test]
fn a_render_error_can_be_expected() {
    let nameless = r#"{"data":{"id":7,"email":"a@b.c"}}"#;
    assert_eq!(differences(nameless, "expect: { crm: { error: name }, log: {} }"), []);
    let found = differences(nameless, "expect: { crm: {}, log: {} }");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0.as_str(), &found[0].1), ("crm: error", &None));
    assert!(found[0].2.as_ref().is_some_and(|error| error.contains("data.name")), "{found:?}");
    let none = differences(CONTACT, "expect: { crm: { error: name }, log: {} }");
    assert_eq!(none, [difference("crm: error", Some("name"), Some("PUT https://crm.example.com/7"))]);
}

#[test]
fn what_is_no_event_is_said() {
    let config = config("{ name: t, payload: {}, expect: {} }");
    for body in ["[]", "nonsense"] {
        let refused = run(&config, &config.tests[0], Bytes::from(body), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(refused.contains("quarantine"), "{refused}");
    }
}

#[test]
fn of_very_many_differences_the_first_are_told_and_the_rest_are_counted() {
    let numbers: Vec<String> = (0..DIFFERENCES_MAX + 10).map(|number| number.to_string()).collect();
    let expect = format!("expect: {{ log: {{ body: {{ data: {{ list: [{}] }} }} }} }}", numbers.join(", "));
    let found = differences(r#"{"data":{"list":[]}}"#, &expect);
    assert_eq!(found.len(), DIFFERENCES_MAX + 1);
    assert_eq!(found[DIFFERENCES_MAX - 1], difference("log: body.data.list[49]", Some("49"), None));
    assert_eq!(found[DIFFERENCES_MAX], difference("and 10 more", None, None));
}
