use serde_json::{Value, json};

use super::Index;
use crate::condition::{Condition, Scope, TooManySteps};

fn index(texts: &[&str]) -> Index {
    let conditions: Vec<Condition> = texts.iter().map(|text| Condition::parse(text).expect("valid")).collect();
    Index::for_at_least(0, conditions.iter().map(Some))
}

fn candidates(index: &Index, payload: &Value) -> Vec<usize> {
    let facts = json!({ "path": "emea", "query": { "campaign": "q4" } });
    let bytes = payload.to_string().len() + facts.to_string().len();
    index.candidates(&Scope { payload, event: &|| &facts }, bytes).collect()
}

fn holds(text: &str, payload: &Value) -> Result<bool, TooManySteps> {
    Condition::parse(text).expect("valid").holds(&Scope { payload, event: &|| &Value::Null })
}

/// Whether a condition is a candidate on a payload.
fn can_hold(text: &str, payload: &Value) -> bool {
    !candidates(&index(&[text]), payload).is_empty()
}

#[test]
fn an_equality_that_does_not_hold_rules_a_condition_out() {
    let payload = json!({ "type": "reveal", "status": { "code": 200 }, "tags": ["a", "b"], "event": "mine", "none": null });
    for (text, expected) in [
        ("type == \"reveal\"", true),
        ("type == \"list\"", false),
        ("\"list\" == @.type", false),
        ("$[\"type\"] == \"list\"", false),
        ("status.code == 200.0", true),
        ("status.code in [400, 2e2]", true),
        ("status.code in [400, 201]", false),
        ("status.code == \"200\"", false),
        ("status.code == true", false),
        ("tags[0] == \"a\" and tags[-1] == \"b\"", true),
        ("tags[-1] == \"a\"", false),
        ("tags[2] == \"a\"", false),
        ("none == null", true),
        ("none == false", false),
        ("absent == null", false),
        ("event.path == \"emea\"", true),
        ("event.path == \"apac\"", false),
        ("event.query.campaign in [\"q3\", \"q2\"]", false),
        ("@.event == \"mine\"", true),
        ("@.event == \"emea\"", false),
        // Both sides of an `or` have to be ruled out, one of an `and`.
        ("type == \"list\" or status.code == 200", true),
        ("type == \"list\" or status.code == 400", false),
        ("type == \"list\" or absent", true),
        ("type == \"list\" and absent", false),
        ("absent and type == \"list\"", false),
        ("(type == \"list\" or tags[0] == \"a\") and (type == \"reveal\" or tags[0] == \"b\")", true),
        ("(type == \"list\" or tags[0] == \"b\") and (type == \"reveal\" or tags[0] == \"b\")", false),
        ("(type == \"list\" and tags) or (status.code == 400 and tags)", false),
        // What stands before an equality takes few steps on a payload of this size.
        ("tags[?@ == \"a\"] and type == \"list\"", false),
        ("search(type, \"r.*l\") and count(tags[*]) < 3 and type == \"list\"", false),
        ("(tags[?@ in [\"c\", \"d\"] or @.name] and type == \"list\") or status.code == 400", false),
        ("type == tags[0] or type == \"list\"", true),
        ("$..code and type == \"list\"", true),
        // What is no equality with a literal is not indexed.
        ("not (type == \"reveal\")", true),
        ("type != \"reveal\"", true),
        ("absent == @.missing", true),
        ("length(type) == 3", true),
    ] {
        assert_eq!(can_hold(text, &payload), expected, "{text}");
    }
}

#[test]
fn numbers_are_found_by_their_exact_value() {
    let numbers = [
        "0",
        "-0.0",
        "1",
        "1.0",
        "0.1",
        "-1",
        "9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "9223372036854775807",
        "9223372036854775808",
        "9223372036854775808.0",
        "18446744073709551615",
        "18446744073709551616.0",
        "36893488147419103232.0",
        "-9223372036854775808",
        "-9223372036854775808.0",
        "1e300",
    ];
    for literal in numbers {
        let condition = Condition::parse(&format!("n == {literal}")).expect("valid");
        let index = Index::for_at_least(0, [Some(&condition)]);
        for number in numbers {
            let payload: Value = serde_json::from_str(&format!("{{\"n\": {number}}}")).expect("JSON");
            let holds = condition.holds(&Scope { payload: &payload, event: &|| &Value::Null });
            assert_eq!(Ok(candidates(&index, &payload) == [0]), holds, "{literal} == {number}");
        }
    }
}

#[test]
fn an_evaluation_that_would_end_in_an_error_is_not_left_out() {
    let payload = json!({ "type": "reveal", "list": vec!["straw"; 600] });
    let large = "list[?$.list[?@ == \"needle\"]]";
    for (text, result) in [
        (format!("{large} and type == \"list\""), Err(TooManySteps)),
        (format!("({large} or type == \"list\") and type == \"list\""), Err(TooManySteps)),
        (format!("not ({large}) and type == \"list\""), Err(TooManySteps)),
        (format!("{large} or type == \"list\""), Err(TooManySteps)),
        (format!("type == \"list\" or {large} and type == \"list\""), Err(TooManySteps)),
        (format!("type == \"list\" and {large}"), Ok(false)),
        (format!("type == \"list\" and {large} or type == \"other\" and {large}"), Ok(false)),
    ] {
        assert_eq!(holds(&text, &payload), result, "{text}");
        assert_eq!(can_hold(&text, &payload), result.is_err(), "{text}");
    }
}

#[test]
fn a_large_payload_makes_more_terms_dear() {
    let filter = "list[?@ == \"needle\"] and type == \"list\"";
    let search = "search(text, \"needle\") and type == \"list\"";
    let plain = "type == \"list\" and list[?@ == \"needle\"]";
    let small = json!({ "type": "reveal", "list": [1], "text": "straw" });
    let many = json!({ "type": "reveal", "list": vec![1; 400_000] });
    let long = json!({ "type": "reveal", "text": "straw".repeat(4_000_000) });
    for (text, payload, result) in [
        (filter, &small, Ok(false)),
        (search, &small, Ok(false)),
        (plain, &small, Ok(false)),
        (filter, &many, Err(TooManySteps)),
        (search, &long, Err(TooManySteps)),
        (plain, &many, Ok(false)),
    ] {
        assert_eq!(holds(text, payload), result, "{text}");
        assert_eq!(can_hold(text, payload), result.is_err(), "{text}");
    }
}

#[test]
fn terms_add_up() {
    // Each takes few steps, all of them together too many: the cost of what comes before counts, not of one term.
    let filters = vec!["list[?@ == 1]"; 300].join(" or ");
    let text = format!("({filters}) and type == \"list\"");
    let payload = json!({ "type": "reveal", "list": vec![0; 1200] });
    assert_eq!(holds(&text, &payload), Err(TooManySteps));
    assert!(can_hold(&text, &payload));
    // Many selectors multiply what one finds.
    let text = format!("list{} and type == \"list\"", "[*, *]".repeat(20));
    let nested = (0..20).fold(json!(1), |inner, _| json!([inner]));
    let payload = json!({ "type": "reveal", "list": nested });
    assert!(can_hold(&text, &payload));
}

#[test]
fn candidates_are_few_ascending_and_each_once() {
    let mut texts: Vec<String> = (0..1000).map(|n| format!("type == \"reveal\" and domain == \"{n}.example\"")).collect();
    texts.extend((0..1000).map(|n| format!("a == {} and b == {} and c == {}", n / 100, n / 10 % 10, n % 10)));
    texts.extend(["a == 1 or b == 2 or c == 3", "missing or type", "a in [1, 2] and b in [1, 2] and c in [1, 2, 3]"].map(str::to_owned));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let index = index(&texts);
    let found = candidates(&index, &json!({ "type": "reveal", "domain": "77.example", "a": 1, "b": 2, "c": 3 }));
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    assert!([77, 1123, 2000, 2001, 2002].iter().all(|place| found.contains(place)), "{found:?}");
    assert!(found.len() < 12, "{found:?}");
    // A route that matches nothing indexed costs nothing; the one that is not indexed stays.
    assert_eq!(candidates(&index, &json!({ "type": "list" })), [2001]);
}

#[test]
fn facts_are_built_only_where_a_condition_compares_them() {
    let unneeded = Scope { payload: &json!({}), event: &|| panic!("nobody asked") };
    assert_eq!(index(&["type == 1", "event.path and type == 2"]).candidates(&unneeded, 2).count(), 0);
}

#[test]
fn hostile_conditions_make_no_large_index() {
    // Each divides on, and each may go many ways; so may their product.
    let lists: Vec<String> =
        (0..8).map(|path| format!("p{path} in [{}]", (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(", "))).collect();
    let text = lists.join(" and ");
    let texts = vec![text.as_str(); 200];
    let index = index(&texts);
    assert!(index.ordinary.tree.size() <= 200 * 8 * 40, "{} entries", index.ordinary.tree.size());
    assert_eq!(candidates(&index, &json!({ "p0": 1, "p1": 2, "p2": 3, "p3": 4, "p4": 5, "p5": 6, "p6": 7, "p7": 39 })).len(), 200);
}
