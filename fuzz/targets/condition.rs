//! Hostile text as a condition and as a query, evaluated over a known payload and over a hostile one.
//!
//! An input is the text, up to the first zero byte, then a payload of JSON.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use wiza_relay::condition::{Condition, Query, Scope, SyntaxError, TEXT_BYTES_MAX};
use wiza_relay::transform::{Selected, Selection};

/// A payload of the kind that Wiza sends.
static KNOWN: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../../samples/full.json")).expect("JSON"));
static FACTS: LazyLock<Value> =
    LazyLock::new(|| json!({"id": "1", "received_at": "2026-01-01T00:00:00.000Z", "path": "a/b", "query": {"q": "4"}}));

fuzz_target!(|data: &[u8]| {
    let (text, payload) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (&data[..end], serde_json::from_slice(&data[end + 1..]).unwrap_or(Value::Null)),
        None => (data, Value::Null),
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    condition(text, &payload);
    query(text, &payload);
});

fn condition(text: &str, payload: &Value) {
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => return error_is_sound(text, &error),
    };
    let canonical = condition.to_string();
    let again = reparsed(&canonical, Condition::parse(&canonical));
    for payload in [&KNOWN, payload] {
        let scope = Scope { payload, event: &|| &FACTS };
        let holds = condition.holds(&scope);
        if let Some(again) = &again {
            assert_eq!(&again.to_string(), &canonical, "printing is not stable");
            // Canonical text can take more steps: `in` is written out.
            if let (Ok(holds), Ok(canonical_holds)) = (&holds, again.holds(&scope)) {
                assert_eq!(*holds, canonical_holds, "the canonical text means something else: {canonical}");
            }
        }
        for finding in condition.explain(&scope) {
            assert!(text.contains(&finding.condition) && !finding.condition.is_empty());
        }
    }
    for used in condition.paths() {
        assert!(text.get(used.span).is_some());
    }
}

fn query(text: &str, payload: &Value) {
    let query = match Query::parse(text) {
        Ok(query) => query,
        Err(error) => return error_is_sound(text, &error),
    };
    let canonical = query.to_string();
    if let Some(again) = reparsed(&canonical, Query::parse(&canonical)) {
        assert_eq!(again.to_string(), canonical, "printing is not stable");
    }
    let Ok(selection) = Selection::parse(text) else { panic!("a query is no selection") };
    for payload in [&KNOWN, payload] {
        // jsonpath-rust may find what the own evaluation gave up looking for.
        if let (Ok(expected), Ok(selected)) = (query.select(payload), selection.select(payload)) {
            match selected {
                Selected::One(value) => assert_eq!(value.as_ref(), expected.first().copied()),
                Selected::Many(values) => assert_eq!(values.iter().collect::<Vec<_>>(), expected, "{canonical}"),
            }
        }
    }
}

/// Canonical text must be readable, but for its length and depth: `in` becomes `(... || ...)`.
fn reparsed<T>(canonical: &str, again: Result<T, SyntaxError>) -> Option<T> {
    match again {
        Ok(again) => Some(again),
        Err(_) if canonical.len() > TEXT_BYTES_MAX => None,
        Err(error) if error.message.contains("inside one another") => None,
        Err(error) => panic!("{canonical} is not understood: {error}"),
    }
}

fn error_is_sound(text: &str, error: &SyntaxError) {
    assert!(error.span.start <= error.span.end && error.span.end <= text.len() + 1, "{error:?}");
    assert!(text.is_char_boundary(error.span.start.min(text.len())), "{error:?}");
    assert!(!error.message.is_empty());
}
