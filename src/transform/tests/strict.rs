//! Null, `true` and absence never become Python's words, another kind of value, or nothing. Beside the table in
//! docs/rules.md, which shows each filter by itself: what people write, and what the errors say.

use serde_json::{Value, json};

use super::requests::destination;
use super::templates::{context_of, text};
use crate::transform::*;

fn outcome(written: &str, payload: &Value) -> Result<String, String> {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), Escape::None).map_err(|error| format!("at load: {error}"))?;
    let rendered = template.render(&templates, &context_of(payload)).map(std::borrow::Cow::into_owned);
    rendered.map_err(|error| error.message)
}

fn payload() -> Value {
    json!({
        "z": null, "t": true, "s": "abc", "n": 50, "text": "50", "big": 1e16, "small": 1e-7,
        "l": ["a", null, true, 1.0], "items_": {"b": true}, "e": [{"e": "a"}, {}], "m": [{"n": 1}, {"n": null}, {"n": "7"}, {}],
        "data": {"name": null, "id": 7}
    })
}

#[test]
fn what_slipped_through_is_an_error() {
    for (written, says) in [
        ("{{ '%s' | format(z) }}", "works with a value that is null (`z`)"),
        ("{{ s | replace('a', z) }}", "works with a value that is null (`z`)"),
        ("{{ s | replace(z, 'a') }}", "null (`z`)"),
        ("{{ z | pprint }}", "prints a value that is null (`z`); say what to print instead: `| default(\"...\", true)`"),
        ("{{ l | map('string') | join(',') }}", "null"),
        ("{{ l | map('trim') | join(',') }}", "null"),
        ("{{ l | map('upper') | join(',') }}", "null"),
        ("{{ l | map('replace', 'a', 'b') | join(',') }}", "null"),
        (
            "{{ e | map(attribute='e') | join(', ') }}",
            "an item is absent; with `map(attribute=...)`, give `default=\"...\"` or keep those that have it: `selectattr` with the same attribute",
        ),
        ("{{ e | join(', ', attribute='e') }}", "an item has no such attribute"),
        ("{{ z | join }}", "null (`z`)"),
        ("{{ l | join(',') }}", "an item is null; `| select` before `join` drops such items"),
        ("{{ nothing | tojson }}", "`nothing` is not in this event"),
        ("{{ [nothing] | tojson }}", "a part of this list or object is absent"),
        ("{{ e | map(attribute='e') | tojson }}", "absent"),
        ("{{ z | float }}", "null (`z`)"),
        ("{{ z | int }}", "null (`z`)"),
        ("{{ z | bool }}", "null (`z`)"),
        ("{{ nothing | bool }}", "`nothing` is not in this event"),
        ("{{ 'false' | bool }}", "this one says no"),
        ("{{ 'nan' | float }}", "needs a text that reads as a number"),
        ("{{ 'inf' | int }}", "needs a text that reads as a number"),
        ("{{ '1e999' | float }}", "cannot hold a number that large"),
        ("{{ s | int }}", "`int(0)` gives 0 instead"),
        ("{{ z | safe }}", "null (`z`)"),
        ("{{ z | sum }}", "null (`z`)"),
        ("{{ z[:3] }}", "null (`z`)"),
        ("{{ s[:z] }}", "null (`z`)"),
        ("{{ nothing[:3] }}", "`nothing` is not in this event"),
        ("{% for x in z %}{% endfor %}", "`for x in z` works with a value that is null (`z`)"),
        ("{% for x in s %}{% endfor %}", "`for` needs a list, and this is a text"),
        ("{{ s | join(',') }}", "`join` needs a list or an object, and this is a text"),
        ("{{ z in 'None of it' }}", "null (`z`)"),
        ("{{ t in 'True story' }}", "only a text can be in a text, and this is a boolean"),
        ("{{ n in '1,50' }}", "only a text can be in a text, and this is a number"),
        ("{{ t + 1 }}", "there is no arithmetic with a boolean"),
        ("{{ text * 2 }}", "`*` would repeat a text that looks like a number"),
        ("{{ -t }}", "there is no arithmetic with a boolean"),
        ("{{ 1 / 0 }}", "divided by 0"),
        ("{{ n // 0 }}", "divided by 0"),
        ("{{ m | sum(attribute='n') }}", "`sum` adds numbers, and an item is null"),
        ("{{ m | sort(attribute='n') | list }}", "`sort` orders numbers or texts"),
        ("{{ m | map(attribute='n') | max }}", "`max` orders numbers or texts"),
        ("{{ [1, true] | unique | list }}", "cannot tell booleans from numbers"),
        ("{{ '%d' | format(text) }}", "`%d` needs a number, and this is a text"),
        ("{{ '%d' | format(t) }}", "`%d` needs a number, and this is a boolean"),
        ("{{ {'a': z} | urlencode }}", "null"),
        ("{{ range(t) }}", "`range` needs whole numbers, and this is a boolean"),
        ("{{ s | trim(t) }}", "`trim` needs texts, and this is a boolean"),
        ("{{ ['a', 'b'] | join(l) }}", "`join` needs a text between the items, and this is a list"),
        ("{{ s | split(z) }}", "null (`z`)"),
        ("{{ n | round(z) }}", "null (`z`)"),
    ] {
        let error = outcome(written, &payload()).expect_err(written);
        assert!(error.contains(says), "{written}: {error}");
        let told = error.replace(written.trim_matches(['{', '}', '%', ' ']), "");
        assert!(!told.contains("50") && !told.contains("abc"), "{written} quotes a value: {error}");
    }
}

#[test]
fn what_can_be_meant_goes_on() {
    for (written, expected) in [
        ("{{ '%s' | format(t) }} {{ '%s %5.1f' | format(l, 2) }}", "true [\"a\",null,true,1.0]   2.0"),
        ("{{ '%(k)s' | format({'k': t}) }} {{ '100%% %s' | format(s) }}", "true 100% abc"),
        ("{{ items_ | items | map('join', '=') | join }}", "b=true"),
        ("{{ z | tojson }} {{ l | tojson }}", "null [\"a\",null,true,1.0]"),
        ("{{ l | reject('none') | join(',') }}", "a,true,1.0"),
        ("{{ e | map(attribute='e', default='?') | join(', ') }}", "a, ?"),
        ("{{ e | selectattr('e') | map(attribute='e') | join(', ') }}", "a"),
        (
            "{{ z | int(0) }} {{ nothing | int(0) }} {{ s | int(default=3) }} {{ '0x1F' | int(base=16) }} {{ ' ' | float(1.5) }}",
            "0 0 3 31 1.5",
        ),
        ("{{ t | lower }} {{ n | string | length }} {{ text | int + 1 }} {{ text ~ n }}", "true 2 51 5050"),
        ("{{ z | default('-', true) | title }} {{ z or 'none' }} {{ nothing or 'none' }}", "- none none"),
        ("{% if nothing %}{{ nothing }}{% else %}-{% endif %}{{ 'y' if nothing else 'n' }}{{ not nothing }}", "-ntrue"),
        ("{{ z is startingwith('No') }}{{ nothing is startingwith('x') }}{{ nothing is ne(1) }}", "falsefalsetrue"),
        ("{{ nothing < 50 }}{{ nothing == 'x' }}{{ nothing in [1] }}{{ nothing != 1 }}{{ nothing not in [1] }}", "falsefalsefalsetruetrue"),
        ("{% for x in z or [] %}{{ x }}{% endfor %}{% for k in data %}{{ k }},{% endfor %}", "name,id,"),
        ("{{ m | selectattr('n', 'number') | sum(attribute='n') }}", "1"),
        ("{{ m | selectattr('n', 'lt', 50) | list }} {{ m | rejectattr('n', 'ge', 0) | list | length }}", "[{\"n\":1}] 3"),
        ("{{ 'ab' * 2 }} {{ '=' * (n // 10) }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ -n }}", "abab ===== 3 3.5 8 -50"),
        ("{% for a in [[1, [2]]] recursive %}{{ a[0] }}{% if a[1] %}{{ loop([a[1]]) }}{% endif %}{% endfor %}", "12"),
    ] {
        match outcome(written, &payload()) {
            Ok(text) => assert_eq!(text, expected, "{written}"),
            Err(error) => panic!("{written}: {error}"),
        }
    }
}

/// Somebody else's record: once it was `POST .../c/None/0`.
#[test]
fn no_url_leads_to_a_record_called_none() {
    for written in
        ["https://h.example/c/{{ data.name | safe }}", "https://h.example/c/{{ data.name | int }}", "https://h.example/c/{{ data.name }}"]
    {
        let mut templates = Templates::new();
        let url = Some(Template::compile(&mut templates, &text(written), Escape::Url).unwrap());
        let destination = destination(Method::POST, Shape { url, headers: Vec::new(), body: None });
        for payload in [json!({"data": {"name": null}}), json!({"data": {}}), json!({"data": {"name": ["x"]}})] {
            if payload["data"]["name"].is_array() && !written.contains("int") {
                continue;
            }
            let error = render(&templates, destination.outline(), None, &context_of(&payload)).expect_err(written);
            assert_eq!(error.place, "url", "{written}");
        }
    }
}

/// A template promises what a condition promises; only what is absent is an error.
#[test]
fn comparisons_are_those_of_conditions() {
    let values = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "50",
        "50.0",
        "1e16",
        "10000000000000000",
        "9007199254740993",
        "9007199254740992.0",
        "12345678901234567890123",
        "12345678901234567890124",
        "1234567890123456789012345678901234567890123",
        "1234567890123456789012345678901234567890124",
    ];
    let texts = ["\"50\"", "\"\"", "\"Zoe\"", "\"ada\"", "[]", "[1]", "[true]", "[null]", "{}", "{\"a\":1}", "{\"a\":true}", "0.1", "-1"];
    let all: Vec<&str> = values.into_iter().chain(texts).collect();
    let mut templates = Templates::new();
    for (operator, test) in [("==", "eq"), ("!=", "ne"), ("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge")] {
        let condition = crate::condition::Condition::parse(&format!("@.a {operator} @.b")).unwrap();
        let written = format!("{{{{ a {operator} b }}}} {{{{ a is {test}(b) }}}} {{{{ [a] | select('{test}', b) | list | length == 1 }}}}");
        let template = Template::compile(&mut templates, &text(&written), Escape::None).unwrap();
        for left in &all {
            for right in &all {
                let payload = crate::json::parse(format!("{{\"a\":{left},\"b\":{right}}}").as_bytes()).unwrap();
                let facts = Value::Null;
                let promised = condition.holds(&crate::condition::Scope { payload: &payload, event: &|| &facts }).unwrap();
                let told = template.render(&templates, &context_of(&payload)).unwrap();
                assert_eq!(told, format!("{promised} {promised} {promised}"), "{left} {operator} {right}");
            }
        }
    }
}

/// What is false of 0 is false of `-0`, and arithmetic takes it for 0.
#[test]
fn negative_zero_is_a_zero() {
    let payload = crate::json::parse(b"{\"x\":-0}").unwrap();
    for (written, expected) in [
        ("{{ x }}", "-0"),
        ("{{ 'yes' if x else 'no' }}", "no"),
        ("{{ x or 'none' }}", "none"),
        ("{{ x + 1 }} {{ 2 * x }} {{ -x }}", "1 0 0"),
        ("{{ x | int }} {{ x | float }}", "0 -0.0"),
        ("{{ x == 0 }} {{ x < 1 }} {{ x is integer }}", "true true true"),
    ] {
        assert_eq!(outcome(written, &payload).as_deref(), Ok(expected), "{written}");
    }
}

/// One printing for all: `{{ }}`, `~`, filters that read text, lists, `tojson`.
#[test]
fn a_number_prints_the_same_everywhere() {
    for number in [
        "1e16",
        "1e-7",
        "0.1",
        "1.0",
        "1e300",
        "-0.0",
        "-0",
        "50",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789.125",
        "12345678901234567890123",
        "-1234567890123456789012345678901234567890123",
    ] {
        let payload = crate::json::parse(format!("{{\"x\":{number}}}").as_bytes()).unwrap();
        let expected = payload["x"].to_string();
        for written in [
            "{{ x }}",
            "{{ x ~ '' }}",
            "{{ x | tojson }}",
            "{{ x | string }}",
            "{{ [x] | join }}",
            "{{ [x] | map('string') | join }}",
            "{{ '%s' | format(x) }}",
            "{{ x | pprint }}",
            "{{ x | safe }}",
            "{{ x | trim }}",
            "{{ 'a' | replace('a', x) }}",
            "{{ ([x] | tojson)[1:-1] }}",
            "{% set y = x %}{{ y }}",
        ] {
            assert_eq!(outcome(written, &payload).unwrap(), expected, "{written}");
        }
    }
}
