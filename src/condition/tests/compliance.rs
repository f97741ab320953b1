//! The public JSONPath compliance test suite, read from where `JSONPATH_CTS` says: it is other people's data and no
//! part of this repository.

use std::path::PathBuf;

use serde_json::Value;

use crate::condition::{Condition, Query, Scope};

/// Selectors that RFC 9535 refuses and this module takes, because of the words `and or not in`. So far there are none.
const TAKEN_FOR_THE_WORDS: [&str; 0] = [];

/// The suite's cases; none without the file, which is a failure only under CI.
fn cases() -> Vec<Value> {
    let path = std::env::var_os("JSONPATH_CTS").map_or_else(|| PathBuf::from("../shared/cts.json"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing: set JSONPATH_CTS", path.display());
        println!("skipped: no compliance suite at {}", path.display());
        return Vec::new();
    };
    let suite: Value = serde_json::from_str(&text).expect("the suite is JSON");
    suite["tests"].as_array().expect("the suite has tests").clone()
}

fn accepted_results(case: &Value) -> Vec<&Value> {
    match case.get("results") {
        Some(results) => results.as_array().expect("results is a list").iter().collect(),
        None => vec![&case["result"]],
    }
}

#[test]
fn queries_comply() {
    let mut failures = Vec::new();
    let cases = cases();
    for case in &cases {
        let selector = case["selector"].as_str().expect("a selector is a text");
        let invalid = case["invalid_selector"] == true && !TAKEN_FOR_THE_WORDS.contains(&selector);
        match (Query::parse(selector), invalid) {
            (Err(_), true) => {}
            (Ok(_), true) => failures.push(format!("taken, but invalid: {selector:?} ({})", case["name"])),
            (Err(error), false) => failures.push(format!("refused: {selector:?}: {error}")),
            (Ok(query), false) => {
                let expected = accepted_results(case);
                let printed = Query::parse(&query.to_string()).expect("canonical text is a query");
                for query in [&query, &printed] {
                    let found = query.select(&case["document"]).expect("small documents cost little");
                    let found = Value::Array(found.into_iter().cloned().collect());
                    if !expected.contains(&&found) {
                        failures.push(format!("{query}: {selector:?}: found {found}, expected {expected:?}"));
                    }
                }
            }
        }
    }
    println!("{} queries, {} failures", cases.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `$[?EXPRESSION]` finds exactly those children over which the condition `EXPRESSION` holds.
#[test]
fn filters_comply_as_conditions() {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in &cases() {
        let selector = case["selector"].as_str().expect("a selector is a text");
        let Some(expression) = selector.strip_prefix("$[?").and_then(|rest| rest.strip_suffix(']')) else {
            continue;
        };
        let is_one_filter = Query::parse(selector).is_ok() && !expression.contains(['$', '?']);
        if !is_one_filter || case["invalid_selector"] == true || Condition::parse(expression).is_err() {
            continue;
        }
        count += 1;
        let condition = Condition::parse(expression).expect("parsed a moment ago");
        let children: Vec<&Value> = match &case["document"] {
            Value::Array(elements) => elements.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => Vec::new(),
        };
        let holds = |child: &&&Value| condition.holds(&Scope { payload: child, event: &|| &Value::Null }) == Ok(true);
        let found = Value::Array(children.iter().filter(holds).map(|child| (*child).clone()).collect());
        if !accepted_results(case).contains(&&found) {
            failures.push(format!("{expression}: found {found}"));
        }
    }
    println!("{count} conditions, {} failures", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
