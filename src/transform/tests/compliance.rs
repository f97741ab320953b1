//! Selections against the public `jsonpath-compliance-test-suite`, which is other people's data and so lies outside of
//! the repository: its path is `JSONPATH_CTS`, else `../shared/cts.json`. Without it the test is skipped, and fails
//! under CI.

use serde_json::Value;

use crate::transform::{Selected, Selection};

const CASES_MIN: usize = 600;

#[test]
fn selections_comply_with_the_public_suite() {
    let path = std::env::var("JSONPATH_CTS").unwrap_or_else(|_| "../shared/cts.json".to_owned());
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "no compliance test suite at {path}: set JSONPATH_CTS");
        eprintln!("skipped: no compliance test suite at {path}");
        return;
    };
    let suite: Value = serde_json::from_str(&text).unwrap();
    let cases = suite["tests"].as_array().unwrap();
    assert!(cases.len() >= CASES_MIN, "only {} cases in {path}", cases.len());
    let (mut valid, mut by_jsonpath_rust, mut wrong) = (0, 0, Vec::new());
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let selection = Selection::parse(case["selector"].as_str().unwrap());
        if case["invalid_selector"] == true {
            if selection.is_ok() {
                wrong.push(format!("{name}: accepted"));
            }
            continue;
        }
        valid += 1;
        let Ok(selection) = selection else {
            wrong.push(format!("{name}: refused"));
            continue;
        };
        by_jsonpath_rust += usize::from(selection.is_by_jsonpath_rust());
        let found = match selection.select(&case["document"]).unwrap() {
            Selected::One(value) => Value::from(value.into_iter().collect::<Vec<_>>()),
            Selected::Many(values) => Value::from(values),
        };
        let is_right = match case["results"].as_array() {
            Some(allowed) => allowed.contains(&found),
            None => case["result"] == found,
        };
        if !is_right {
            wrong.push(format!("{name}: {selection} found {found}"));
        }
    }
    eprintln!("{} cases, {valid} valid ones, {by_jsonpath_rust} of them by jsonpath-rust", cases.len());
    assert!(wrong.is_empty(), "{} cases fail:\n{}", wrong.len(), wrong.join("\n"));
}
