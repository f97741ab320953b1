//! Random conditions and queries: this evaluator against jsonpath-rust, and canonical text against its origin.
//!
//! Known deviations of jsonpath-rust 1.0.12 from RFC 9535, which the generator leaves out:
//! - it accepts ill-typed functions, and blanks inside of names: nothing here parses so they are never generated;
//! - a filter directly on `@`, as in `@[?...]`, tests `@` itself instead of its children: some step comes before it;
//! - several selectors in one segment over several nodes give another order: found values are compared in any order;
//! - integers from 2^53 on, in literals a syntax error, in payloads compared as floats: numbers stay small;
//! - `count()` of a path that finds nothing is Nothing instead of 0: every `count(path)` comes behind `path and`;
//! - inside lists and objects 1 and 1.0 count as different: payloads hold no whole floats;
//! - floats closer than 2.2e-16 count as equal: no such pair is generated.

use jsonpath_rust::JsonPath;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::condition::{Condition, Query, Scope};

fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-2_i64..4).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.5)].prop_map(Value::from),
        text().prop_map(Value::String),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    });
    prop::collection::vec((name(), value), 0..5).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "and", "in", "first name", "é", "quote\"d", "back\\slash", "it's"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "ab", "abc", "b", "é", "a\"b", "it's", "line\nbreak", "back\\slash", "tab\t"])
        .prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("1.0".to_owned()),
        Just("-0".to_owned()),
        Just("15e-1".to_owned()),
        (-2_i64..4).prop_map(|number| number.to_string()),
        text().prop_map(|text| crate::condition::strings::quoted(&text)),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![".a", ".b", ".c", ".and", ".in", ".é"]).prop_map(str::to_owned),
        1 => name().prop_map(|name| format!("[{}]", crate::condition::strings::quoted(&name))),
        1 => (-3_i64..3).prop_map(|index| format!("[{index}]")),
    ]
}

/// The steps of a singular path.
fn keys() -> impl Strategy<Value = String> {
    prop::collection::vec(key(), 0..4).prop_map(|keys| keys.concat())
}

fn segment(filter: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let number = || prop_oneof![Just(String::new()), (-3_i64..4).prop_map(|number| number.to_string())];
    let slice = (number(), number(), number()).prop_map(|(start, end, step)| format!("{start}:{end}:{step}"));
    let selector = prop_oneof![
        2 => Just("*".to_owned()),
        2 => slice,
        1 => (-3_i64..3).prop_map(|index| index.to_string()),
        1 => name().prop_map(|name| crate::condition::strings::quoted(&name)),
        4 => filter.prop_map(|filter| format!("?{filter}")),
    ];
    (prop::bool::weighted(0.2), prop::collection::vec(selector, 1..3))
        .prop_map(|(below, selectors)| format!("{}[{}]", if below { ".." } else { "" }, selectors.join(", ")))
}

/// Conditions whose `@` and, where wanted, `$` mean the same to jsonpath-rust.
fn condition(roots: &'static [&'static str]) -> BoxedStrategy<String> {
    let root = move || prop::sample::select(roots);
    let singular = move || (root(), keys()).prop_map(|(root, keys)| format!("{root}{keys}"));
    let leaf = (singular(), operator(), literal()).prop_map(|(path, operator, literal)| format!("{path} {operator} {literal}"));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let many = (root(), key(), keys(), segment(inner.clone()), keys())
            .prop_map(|(root, first, before, segment, after)| format!("{root}{first}{before}{segment}{after}"))
            .boxed();
        let many = || many.clone();
        let value = prop_oneof![
            3 => singular(),
            2 => literal(),
            1 => prop_oneof![singular(), literal()].prop_map(|operand| format!("length({operand})")),
            1 => prop_oneof![singular(), many()].prop_map(|path| format!("value({path})")),
        ]
        .boxed();
        let value = || value.clone();
        let pattern = prop::sample::select(vec!["a.*", "[a-b]+", ".", "b?", "(a|ab)", "\\\\p{L}.", "é", "a\\\\.b"]);
        let function = prop::sample::select(vec!["match", "search"]);
        let list = prop::collection::vec(literal(), 1..4).prop_map(|values| values.join(", "));
        prop_oneof![
            2 => singular(),
            2 => many(),
            3 => (value(), operator(), value()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            1 => (singular(), list).prop_map(|(path, list)| format!("{path} in [{list}]")),
            1 => (prop_oneof![singular(), many()], operator(), value())
                .prop_map(|(path, operator, value)| format!("({path} and count({path}) {operator} {value})")),
            1 => (function, value(), pattern).prop_map(|(name, text, pattern)| format!("{name}({text}, \"{pattern}\")")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} and {right}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} || {right}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} or {right}) && {left}")),
            1 => inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
    .boxed()
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
}

fn query() -> impl Strategy<Value = String> {
    (keys(), segment(condition(&["@", "@", "$"])), keys()).prop_map(|(before, segment, after)| format!("${before}{segment}{after}"))
}

fn holds(condition: &Condition, payload: &Value) -> bool {
    let scope = Scope { payload, event: &|| &Value::Null };
    condition.holds(&scope).expect("small payloads cost little")
}

fn in_any_order(values: &[&Value]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conditions_agree_with_jsonpath_rust(written in condition(&["@"]), payload in payload()) {
        let condition = Condition::parse(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        let elements = json!([payload]);
        let selector = format!("$[?{condition}]");
        let found = elements.query(&selector).map_err(|error| TestCaseError::fail(format!("{selector}: {error}")))?;
        prop_assert_eq!(holds(&condition, &payload), !found.is_empty(), "{}", selector);
    }

    #[test]
    fn canonical_text_means_the_same(written in condition(&["@", "$"]), payload in payload()) {
        let condition = Condition::parse(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        let printed = Condition::parse(&condition.to_string()).map_err(|error| TestCaseError::fail(format!("{condition}: {error}")))?;
        prop_assert_eq!(condition.to_string(), printed.to_string());
        prop_assert_eq!(holds(&condition, &payload), holds(&printed, &payload));
    }

    #[test]
    fn queries_agree_with_jsonpath_rust(written in query(), payload in payload()) {
        let query = Query::parse(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        let selector = query.to_string();
        let theirs = payload.query(&selector).map_err(|error| TestCaseError::fail(format!("{selector}: {error}")))?;
        let ours = query.select(&payload).expect("small payloads cost little");
        prop_assert_eq!(in_any_order(&ours), in_any_order(&theirs), "{}", selector);
    }

    #[test]
    fn no_text_panics(text in "[ -~é\n]{0,40}", mangled in condition(&["@", "data.a", "event.query"]), cut in 0_usize..200) {
        let _ = (Condition::parse(&text), Query::parse(&text));
        let end = mangled.char_indices().map(|(offset, _)| offset).nth(cut).unwrap_or(mangled.len());
        for text in [&text, &mangled[..end]] {
            if let Err(error) = Condition::parse(text) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{:?} of {:?}", error.span, text);
            }
        }
    }
}
