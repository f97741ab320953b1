//! New shapes in bodies (`$each`, `$value`), a body around a batch, and texts that should be JSON: from routes.yaml to the bytes sent.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Config, load};
use crate::event::{Event, EventId};
use crate::explain::explain;

use crate::transform::{BatchError, Member, RenderContext, RenderedBatch, render_batch};

/// Rules with one destination that has these lines beside its URL.
fn rules(lines: &str) -> Config {
    let lines: String = lines.trim_end().lines().map(|line| format!("\n    {line}")).collect();
    let text = format!(
        "source: {{ path: /w, api_keys: [k] }}\ndestinations:\n  d:\n    url: https://host.example/{lines}\nroutes:\n  - {{ name: all, to: [d] }}\n"
    );
    let loaded = load("routes.yaml", &text, &|_| Some("s3cret".to_owned()));
    let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
    loaded.config.unwrap_or_else(|| panic!("{text}\n{findings:#?}"))
}

fn event(payload: &Value) -> Arc<Event> {
    let body = Bytes::from(payload.to_string());
    Arc::new(Event::new(EventId::from_bytes([7; 16]), Timestamp::UNIX_EPOCH, "emea".into(), String::new(), body))
}

/// The body that goes out, or why none does.
fn body(lines: &str, payload: &Value) -> Result<String, String> {
    let config = rules(lines);
    let mut deliveries = explain(&config, &event(payload), Timestamp::UNIX_EPOCH).deliveries;
    deliveries.remove(0).request.map_err(|error| error.to_string()).map(|request| String::from_utf8(request.body.to_vec()).unwrap())
}

fn json_body(lines: &str, payload: &Value) -> Value {
    serde_json::from_str(&body(lines, payload).unwrap()).unwrap()
}

fn batch(lines: &str, payloads: &[Value]) -> Result<RenderedBatch, BatchError> {
    let config = rules(lines);
    let contexts = payloads.iter().map(|payload| RenderContext { event: event(payload), route: "all".into(), now: Timestamp::UNIX_EPOCH });
    let members: Vec<Member<'_>> = contexts.map(|context| Member { context, shape: None }).collect();
    render_batch(&config.templates, config.destinations[0].outline(), &members)
}

fn text_of(batch: Result<RenderedBatch, BatchError>) -> String {
    String::from_utf8(batch.unwrap().request.body.to_vec()).unwrap()
}

fn payload() -> Value {
    json!({"type": "individual_reveal", "status": {"code": 200}, "data": {
        "id": 5, "name": "Ada", "company_size": 1200, "title": null,
        "emails": [{"email": "a@b.c", "email_type": "work"}, {"email": "d@e.f", "email_type": "personal"}],
        "phones": [{"number": "+1", "type": "mobile"}, {"number": "+2", "type": "work"}, {"type": "home"}]}})
}

#[test]
fn each_maps_a_list_to_new_objects() {
    let cases = [
        // The two paths of the list and of its elements are one.
        (
            "phones: { $each: $.data.phones, $do: { n: '@.number', kind: '@.type', of: $.data.id } }",
            json!({"phones": [
            {"n": "+1", "kind": "mobile", "of": 5}, {"n": "+2", "kind": "work", "of": 5}, {"kind": "home", "of": 5}]}),
        ),
        ("phones: { $each: '$.data.phones[*]', $do: '@.number' }", json!({"phones": ["+1", "+2"]})),
        ("a: { $each: '$.data.phones[?@.type == \"mobile\"]', $do: '@' }", json!({"a": [{"number": "+1", "type": "mobile"}]})),
        // In the element's own filters `@` is what they test, and `$` the payload everywhere.
        ("a: { $each: '$', $do: { x: 1 } }", json!("$each` of")),
        (
            "a: { $each: '$.data.emails', $do: { all: '$.data.phones[?@.type == \"mobile\"].number', id: '$.data.id' } }",
            json!({"a": [{"all": ["+1"], "id": 5}, {"all": ["+1"], "id": 5}]}),
        ),
        // Templates see the element as `item`, the payload as ever, and `loop`.
        (
            "a: { $each: $.data.emails, $do: '{{ loop.index }}/{{ loop.length }} {{ item.email | upper }} {{ data.name }} {{ event.path }}' }",
            json!({"a": ["1/2 A@B.C Ada emea", "2/2 D@E.F Ada emea"]}),
        ),
        // What finds nothing, or null, is an empty list.
        ("a: { $each: $.data.nope, $do: 1 }", json!({"a": []})),
        ("a: { $each: $.data.title, $do: 1 }", json!({"a": []})),
        ("a: { $each: $.data.name, $do: 1 }", json!("a: what the path finds is not a list")),
        // As an item of a list it gives its elements to that list.
        (
            "blocks: [head, { $each: $.data.emails, $do: { t: '@.email' } }, foot]",
            json!({"blocks": ["head", {"t": "a@b.c"}, {"t": "d@e.f"}, "foot"]}),
        ),
        ("a: [{ $each: $.data.nope, $do: 1 }, 2]", json!({"a": [2]})),
        // One inside of another.
        (
            "a: { $each: $.data.emails, $do: { mail: '@.email', others: { $each: $.data.phones, $do: '{{ item.type }}' } } }",
            json!({"a": [
            {"mail": "a@b.c", "others": ["mobile", "work", "home"]}, {"mail": "d@e.f", "others": ["mobile", "work", "home"]}]}),
        ),
        ("a: { $each: '$..emails', $do: { $each: '@', $do: '@.email' } }", json!({"a": ["a@b.c", "d@e.f"]})),
        // A key that is to be sent so.
        ("a: { $$each: [1], $$do: $$each, $push: 1 }", json!({"a": {"$each": [1], "$do": "$$each", "$push": 1}})),
        // A payload's own `item`, and one that is no element.
        ("a: '{{ item | default(\"none\") }}'", json!({"a": "none"})),
    ];
    for (line, expected) in cases {
        match (body(&format!("body:\n  {line}"), &payload()), expected) {
            (Ok(found), expected) => assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), expected, "{line}"),
            (Err(error), Value::String(words)) => assert!(error.contains(&words), "{line}: {error}"),
            (Err(error), _) => panic!("{line}: {error}"),
        }
    }
    assert_eq!(json_body("body: { $each: $.data.emails, $do: '@.email' }", &payload()), json!(["a@b.c", "d@e.f"]));
}

#[test]
fn errors_in_an_element_name_it() {
    let error = body("body: { list: [1, { $each: $.data.phones, $do: { n: '{{ item.number }}' } }] }", &payload()).unwrap_err();
    assert_eq!(error, "body.list[1][2].n: `item.number` is not in this event; where it may be absent, write `| default(\"...\")`");
}

#[test]
fn the_elements_of_a_body_have_a_limit() {
    let many: Vec<u32> = (0..101).collect();
    let payload = json!({"data": {"many": many}});
    let nested = "body: { $each: $.data.many, $do: { $each: $.data.many, $do: '@' } }";
    assert_eq!(body(nested, &payload).unwrap_err(), "body[98]: `$each` makes more than 10000 elements of this body");
}

#[test]
fn a_value_keeps_its_type() {
    for (template, expected) in [
        ("{{ data.company_size > 1000 }}", json!(true)),
        ("{{ data.company_size * 2 + 1 }}", json!(2401)),
        ("{{ '42' | int }}", json!(42)),
        ("{{ '1.5' | float }}", json!(1.5)),
        ("{{ data.emails | length }}", json!(2)),
        ("{{ data.emails | map(attribute='email') | list }}", json!(["a@b.c", "d@e.f"])),
        ("{{ data.company_size if data.company_size > 5000 else none }}", json!(null)),
        ("{{ data.title }}", json!(null)),
        ("{{ data.name ~ '!' }}", json!("Ada!")),
        ("{{ data.name | escape }}", json!("Ada")),
        ("{{ {'a': data.id, 'b': [none, true]} }}", json!({"a": 5, "b": [null, true]})),
        (" {{- data.name or 'x' -}} ", json!("Ada")),
        ("{{ 12345678901234567890123 }}", serde_json::from_str("12345678901234567890123").unwrap()),
    ] {
        let lines = format!("body: {{ v: {{ $value: {} }} }}", Value::from(template));
        assert_eq!(json_body(&lines, &payload()), json!({"v": expected}), "{template}");
    }
    for (template, error) in [
        ("{{ data.nope }}", "body.v: `data.nope` is not in this event"),
        ("{{ data.company_size / (data.id - 5) }}", "body.v: "),
        ("{{ [data.nope] }}", "body.v: `[data.nope]` cannot be rendered: a part of this list or object is absent"),
    ] {
        let lines = format!("body: {{ v: {{ $value: {} }} }}", Value::from(template));
        let found = body(&lines, &payload()).unwrap_err();
        assert!(found.starts_with(error), "{template}: {found}");
    }
    let of_elements =
        "body: { $each: $.data.phones, $do: { i: { $value: '{{ loop.index0 }}' }, m: { $value: \"{{ item.type == 'mobile' }}\" } } }";
    assert_eq!(json_body(of_elements, &payload())[1], json!({"i": 1, "m": false}));
}

#[test]
fn present_leaves_out_what_says_nothing() {
    let payload = json!({"type": "t", "data": {"id": 0, "no": false, "null": null, "empty": "", "white": " \n", "none": [], "bare": {},
        "name": "Ada", "list": [null, "", 1], "phones": [{"n": "+1", "x": null}, {"x": ""}, {"n": null, "x": 5}]}});
    for (written, expected) in [
        ("{ a: { $present: $.data.name }, b: 1 }", json!({"a": "Ada", "b": 1})),
        ("{ a: { $present: $.data.nope }, b: 1 }", json!({"b": 1})),
        ("{ a: { $present: $.data.null }, b: $.data.null }", json!({"b": null})),
        (
            "{ a: { $present: $.data.empty }, b: { $present: $.data.white }, c: { $present: $.data.none }, d: { $present: $.data.bare } }",
            json!({}),
        ),
        (
            "{ a: { $present: $.data.id }, b: { $present: $.data.no }, c: { $present: $.data.list } }",
            json!({"a": 0, "b": false, "c": [null, "", 1]}),
        ),
        // Templates: by what they give, and by what they need.
        (
            "{ a: { $present: 'Tel. {{ data.null }}' }, b: { $present: '{{ data.nope.more }}' }, c: { $present: '{{ data.empty }} ' } }",
            json!({}),
        ),
        ("{ a: { $present: '{{ data.null | upper }}' }, b: { $present: '{{ data.name | upper }}' } }", json!({"b": "ADA"})),
        ("{ a: { $present: { $value: '{{ data.id + 1 }}' } }, b: { $present: { $value: '{{ data.null * 2 }}' } } }", json!({"a": 1})),
        ("{ a: { $present: { $value: '{{ data.null }}' } }, b: { $present: { $value: '{{ data.nope }}' } } }", json!({})),
        // Each value of a mapping or list, not deeper, and itself where nothing remains.
        (
            "{ $present: { a: $.data.null, b: '{{ data.null }}', c: { d: $.data.null }, e: 1, f: 0 } }",
            json!({"c": {"d": null}, "e": 1, "f": 0}),
        ),
        ("{ p: { $present: { a: $.data.null, b: $.data.nope } }, q: { $present: { a: { b: $.data.nope } } }, r: 1 }", json!({"r": 1})),
        ("{ p: { $present: [$.data.null, $.data.name, '{{ data.null }}', { $each: $.data.none, $do: 1 }] } }", json!({"p": ["Ada"]})),
        ("{ p: { $present: [$.data.null] }, q: [{ $present: $.data.null }, 1] }", json!({"q": [1]})),
        ("{ $present: { a: { $present: { b: $.data.null, c: 1 } } } }", json!({"a": {"c": 1}})),
        // Around `$each`, as what it does, and in it.
        (
            "{ a: { $present: { $each: $.data.none, $do: 1 } }, b: { $present: { $each: $.data.phones, $do: '@.n' } } }",
            json!({"b": ["+1", null]}),
        ),
        ("{ a: { $each: $.data.phones, $do: { $present: '@.n' } } }", json!({"a": ["+1"]})),
        ("{ a: { $each: $.data.phones, $do: { $present: '{{ item.x }}' } } }", json!({"a": ["5"]})),
        ("{ a: { $each: $.data.phones, $do: { $present: { n: '@.n', x: '@.x' } } } }", json!({"a": [{"n": "+1"}, {"x": 5}]})),
        ("{ a: [0, { $present: { $each: $.data.phones, $do: '@.n' } }, 9] }", json!({"a": [0, "+1", null, 9]})),
        // A key that is to be sent so.
        ("{ $$present: 1, b: { $present: { $$present: $.data.null, $$value: 2 } } }", json!({"$present": 1, "b": {"$value": 2}})),
    ] {
        assert_eq!(json_body(&format!("body: {written}"), &payload), expected, "{written}");
    }
    // What else is wrong is not hidden, nor what stands deeper.
    for (written, error) in [
        ("{ a: { $present: '{{ data.name + 1 }}' } }", "body.a: "),
        ("{ a: { $present: { b: { c: '{{ data.null }}' } } } }", "body.a.b.c: `data.null` is null"),
        ("{ $present: { a: $.data.null } }", "body: `$present` leaves nothing of the body for this event"),
    ] {
        let found = body(&format!("body: {written}"), &payload).unwrap_err();
        assert!(found.starts_with(error), "{written}: {found}");
    }
}

#[test]
fn present_holds_in_a_batchs_body_and_in_its_members() {
    let payloads = [json!({"data": {"id": 1, "phone": null}}), json!({"data": {"id": 2, "phone": "+2"}})];
    let lines = "body: { $present: { id: $.data.id, phone: $.data.phone } }\n\
                 batch: { body: { inputs: $, first: { $present: '$[0].phone' }, all: { $each: $, $do: { $present: '@.phone' } }, t: { $present: '{{ items[0].phone }}' } } }";
    let found: Value = serde_json::from_str(&text_of(batch(lines, &payloads))).unwrap();
    assert_eq!(found, json!({"inputs": [{"id": 1}, {"id": 2, "phone": "+2"}], "all": ["+2"]}));
}

#[test]
fn explain_says_what_is_left_out_and_why() {
    let told = |lines: &str, payload: &Value| -> Vec<String> {
        let config = rules(lines);
        let deliveries = explain(&config, &event(payload), Timestamp::UNIX_EPOCH).deliveries;
        deliveries[0].left_out.iter().map(ToString::to_string).collect()
    };
    let payload = json!({"data": {"title": null, "white": " ", "phones": [{"n": null}, {"n": "+1"}]}});
    let lines = "body: { p: { $present: { title: $.data.title, nope: $.data.nope, text: '{{ data.title }}', white: $.data.white, 'a b': $.data.title } }, \
                 q: [1, { $each: $.data.phones, $do: { $present: '@.n' } }] }";
    assert_eq!(
        told(lines, &payload),
        [
            "body.p.title is left out: the value is null",
            "body.p.nope is left out: the path finds nothing",
            "body.p.text is left out: `data.title` is null",
            "body.p.white is left out: the text is empty",
            "body.p[\"a b\"] is left out: the value is null",
            "body.p is left out: the object has no key",
            "body.q[1][0] is left out: the value is null",
        ]
    );
    let batched = "body: { a: 1, t: { $present: $.data.title } }\nbatch: { body: { inputs: $, t: { $present: '$[0].t' } } }";
    assert_eq!(told(batched, &payload), ["body.t is left out: the value is null", "batch.body.t is left out: the path finds nothing"]);
    assert_eq!(told("body: { t: $.data.title }", &payload), [""; 0]);
}

#[test]
fn a_text_that_is_said_to_be_json_is_json() {
    let lines = |kind: &str, text: &str| format!("headers: {{ content-type: {kind} }}\nbody: {}", Value::from(text));
    let good = "{\"name\": {{ data.name | tojson }}, \"phones\": [{% for p in data.phones %}{{ p.type | tojson }}{% if not loop.last %},{% endif %}{% endfor %}]}";
    assert_eq!(json_body(&lines("application/json", good), &payload()), json!({"name": "Ada", "phones": ["mobile", "work", "home"]}));
    let bad = good.replace("{% if not loop.last %},{% endif %}", ",");
    let error = body(&lines("application/json", &bad), &payload()).unwrap_err();
    assert_eq!(
        error,
        "body: the text is not valid JSON: a value is expected at line 1, column 51, and `content-type` says that it is JSON"
    );
    assert!(body(&lines("text/plain", &bad), &payload()).is_ok());
    let error = body(&lines("application/x-ndjson", "{{ data | tojson }}\n{{ data.name }}\n"), &payload()).unwrap_err();
    assert!(error.contains("at line 2, column 1"), "{error}");
}

#[test]
fn a_body_around_a_batch_has_the_list_of_its_members_bodies_as_its_root() {
    let payloads = [json!({"data": {"id": 1, "name": "Ada"}}), json!({"data": {"id": 2, "name": null}})];
    let members = "body: { properties: { email: 'x{{ data.id }}@b.c' }, n: $.data.id }\n";
    for (around, expected) in [
        ("{ inputs: $ }", json!({"inputs": [{"properties": {"email": "x1@b.c"}, "n": 1}, {"properties": {"email": "x2@b.c"}, "n": 2}]})),
        ("{ emails: '$[*].properties.email', first: '$[0].n' }", json!({"emails": ["x1@b.c", "x2@b.c"], "first": 1})),
        (
            "{ count: { $value: '{{ items | length }}' }, text: '{{ items | length }} at {{ now() | date }}' }",
            json!({"count": 2, "text": "2 at 1970-01-01"}),
        ),
        (
            "{ records: { $each: $, $do: { id: '@.n', place: '{{ loop.index }} of {{ items | length }}' } } }",
            json!({"records": [{"id": 1, "place": "1 of 2"}, {"id": 2, "place": "2 of 2"}]}),
        ),
        ("$", json!([{"properties": {"email": "x1@b.c"}, "n": 1}, {"properties": {"email": "x2@b.c"}, "n": 2}])),
    ] {
        let found = text_of(batch(&format!("{members}batch: {{ body: {around} }}"), &payloads));
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), expected, "{around}");
    }
    // Payloads go on as they came, byte for byte.
    let raw = text_of(batch("batch: { body: { inputs: $ } }", &payloads));
    assert_eq!(raw, format!("{{\"inputs\":[{},{}]}}", payloads[0], payloads[1]));
}

#[test]
fn a_batch_can_be_lines_or_one_message() {
    let payloads = [json!({"data": {"id": 1, "name": "A\n\"B\""}}), json!({"data": {"id": 2}})];
    let lines =
        "headers: { content-type: application/x-ndjson }\nbatch:\n  body: \"{% for item in items %}{{ item | tojson }}\\n{% endfor %}\"";
    let rendered = batch(lines, &payloads).unwrap();
    assert_eq!(rendered.request.headers["content-type"], "application/x-ndjson");
    assert_eq!(rendered.request.body, format!("{}\n{}\n", payloads[0], payloads[1]));
    let digest = "batch:\n  body:\n    text: \"{{ items | length }} failed{% for i in items %}; {{ i.data.id }}{% endfor %}\"";
    assert_eq!(text_of(batch(digest, &payloads)), "{\"text\":\"2 failed; 1; 2\"}");
    // A member whose body is a text stands in the list as that text.
    let csv = "headers: { content-type: text/csv }\nbody: \"{{ [data.id, data.name or ''] | csv }}\"\nbatch:\n  body: \"id,name\\r\\n{{ items | join('\\r\\n') }}\\r\\n\"";
    let csv = csv.replace("'\\r\\n'", "'\\\\r\\\\n'");
    assert_eq!(text_of(batch(&csv, &payloads)), "id,name\r\n1,\"A\n\"\"B\"\"\"\r\n2,\"\"\r\n");
}

#[test]
fn a_member_that_spoils_the_batch_is_left_out_and_the_others_go() {
    let payloads = [json!({"data": {"id": 1}}), json!({"data": {"id": 2, "name": "B"}}), json!({"data": {"id": 3, "name": "C"}})];
    let lines = "batch:\n  body: { text: \"{% for i in items %}{{ i.data.name }};{% endfor %}\" }";
    let rendered = batch(lines, &payloads).unwrap();
    assert_eq!(rendered.request.body, "{\"text\":\"B;C;\"}");
    let left_out: Vec<String> = rendered.left_out.iter().map(|(place, error)| format!("{place}: {error}")).collect();
    assert_eq!(left_out, ["0: batch.body.text: `i.data.name` is not in this batch; where it may be absent, write `| default(\"...\")`"]);
    // Nobody is left: why the first cannot go.
    let error = batch(lines, &payloads[..1]).unwrap_err();
    assert!(matches!(&error, BatchError::NotRendered(error) if error.place == "batch.body.text"), "{error:?}");
    // A text that is no JSON is the same kind of failure.
    let lines = "headers: { content-type: application/json }\nbatch: { body: \"[{{ items | map(attribute='data') | map(attribute='name') | join(',') }}]\" }";
    let numbers = [json!({"data": {"name": 1}}), json!({"data": {"name": "x"}}), json!({"data": {"name": 3}})];
    let rendered = batch(lines, &numbers).unwrap();
    assert_eq!((rendered.request.body.as_ref(), rendered.left_out.len()), (&b"[1,3]"[..], 1));
}

#[test]
fn members_that_cannot_go_together_are_nobodys_fault() {
    let payloads = [json!({"data": {"id": 1}}), json!({"data": {"id": "x"}})];
    let lines = "batch:\n  body: { text: \"{{ items | map(attribute='data') | sort(attribute='id') | map(attribute='id') | join }}\" }";
    let error = batch(lines, &payloads).unwrap_err();
    assert!(matches!(&error, BatchError::NotTogether(_)), "{error:?}");
    for payload in payloads {
        assert!(batch(lines, std::slice::from_ref(&payload)).is_ok());
    }
}

#[test]
fn a_batch_of_the_largest_payloads_and_of_the_deepest_is_no_trouble() {
    let deepest = (0..126).fold(json!(1), |inner, _| json!({"d": inner}));
    let found = text_of(batch("batch: { body: { inputs: $, again: '$[*]' } }", &[deepest.clone(), deepest.clone()]));
    assert!(found.starts_with("{\"inputs\":[{\"d\":") && found.matches("\"d\"").count() == 4 * 126);
    let payloads: Vec<Value> = (0..1000).map(|id| json!({"data": {"id": id, "text": "x".repeat(4000)}})).collect();
    let lines = "headers: { content-type: application/jsonl }\nbatch: { max: 1000, body: \"{% for item in items %}{{ item | tojson }}\\n{% endfor %}\" }";
    let found = batch(lines, &payloads).unwrap();
    assert!(found.left_out.is_empty());
    assert_eq!(found.request.body.iter().filter(|byte| **byte == b'\n').count(), 1000);
}
