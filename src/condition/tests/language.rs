//! The language: what conditions mean, how they print, what `explain` and `paths` tell.

use serde_json::{Value, json};

use crate::condition::{Condition, Finding, PathRoot, Query, STEPS_MAX, Scope, Step, TooManySteps};

fn evaluate(text: &str, payload: &Value) -> Result<bool, TooManySteps> {
    let facts = json!({"id": "0190", "path": "/emea", "query": {"campaign": "q4"}});
    let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    condition.holds(&Scope { payload, event: &|| &facts })
}

fn reveal() -> Value {
    json!({
        "status": {"code": 200},
        "type": "individual_reveal",
        "event": {"path": "the payload's own"},
        "first name": "Ada",
        "in": 1, "and": {"or": 2}, "true": 3,
        "data": {
            "id": 9_007_199_254_740_993_i64, "unsigned": u64::MAX, "score": 0.5, "zero": -0.0, "none": null, "no": false,
            "name": "Ada Lovelace", "email_status": "valid", "title": "VP Sales\nEMEA",
            "emails": [
                {"email": "ada@home.example", "email_type": "personal", "email_status": "risky", "ok": true},
                {"email": "ada@work.example", "email_type": "work", "email_status": "valid"},
            ],
            "tags": ["vip", "uk"], "empty": [], "pattern": "Ada.*", "broken": "(",
            "one": {"a": [1, {"b": 2}], "c": null}, "same": {"c": null, "a": [1.0, {"b": 2.0}]},
        },
    })
}

fn check_all(cases: &[(&str, bool)]) {
    let payload = reveal();
    for (text, expected) in cases {
        assert_eq!(evaluate(text, &payload), Ok(*expected), "{text}");
        // Canonical text means the same, and is its own canonical text.
        let printed = Condition::parse(text).expect("evaluated above").to_string();
        assert_eq!(evaluate(&printed, &payload), Ok(*expected), "{text} printed as {printed}");
        assert_eq!(Condition::parse(&printed).expect("evaluated above").to_string(), printed);
    }
}

#[test]
fn names_are_found_among_few_members_and_among_many() {
    for count in 0..20 {
        let payload: Value = Value::Object((0..count).map(|number| (format!("n{number}"), number.into())).collect());
        for number in 0..20 {
            assert_eq!(evaluate(&format!("n{number} == {number}"), &payload), Ok(number < count), "n{number} of {count}");
            assert_eq!(evaluate(&format!("count($[\"n{number}\", \"\"]) == 1"), &payload), Ok(number < count), "n{number} of {count}");
        }
    }
}

#[test]
fn sugar() {
    check_all(&[
        ("data.email_status == \"valid\"", true),
        ("data.email_status == 'risky'", false),
        ("@.data.email_status == \"valid\" && $.status.code == 200", true),
        ("status.code == 400 or data.email_status == \"valid\"", true),
        ("not data.missing and not (status.code == 400)", true),
        ("not(data.missing)and(data.name)", true),
        ("data.emails[?@.email_type == \"work\" and @.email_status == \"valid\"]", true),
        ("data.emails[?@.email_type == \"personal\" and not (@.email_status in [\"risky\"])]", false),
        ("data[\"emails\"][1].email == \"ada@work.example\"", true),
        ("data['emails'] [-1] .email == \"ada@work.example\"", true),
        ("data.email_status in [\"risky\", 'valid']", true),
        ("data.email_status in [\"risky\"]", false),
        ("data.missing in [null]", false),
        ("data.none in [1, null, true]", true),
        ("length(data.tags) in [1, 2]", true),
        ("true == data.emails[0].ok", true),
    ]);
}

#[test]
fn words_count_only_where_operators_and_operands_stand() {
    check_all(&[
        ("@.in == 1 and @.and.or == 2", true),
        ("$.and.or == 2 or $.in == 2", true),
        ("@[\"first name\"] == \"Ada\"", true),
        ("data.name == \"a and b or not in\"", false),
        ("@.true == 3", true),
        ("data.notes or data.android or data.inbox or data.orders", false),
        ("order or notes or inner or nothing", false),
    ]);
}

#[test]
fn event_is_the_relays() {
    check_all(&[
        ("event.path == \"/emea\"", true),
        ("event.query.campaign == \"q4\" and event[\"id\"]", true),
        ("event.query.record", false),
        ("@.event.path == \"the payload's own\"", true),
        ("$.event.path == \"the payload's own\"", true),
        ("data.event", false),
        ("event", true),
    ]);
}

#[test]
fn facts_are_built_only_when_needed() {
    let payload = reveal();
    let unneeded = Scope { payload: &payload, event: &|| panic!("nobody asked") };
    for text in ["data.name and @.event.path", "data.name or event.path"] {
        assert_eq!(Condition::parse(text).expect("valid").holds(&unneeded), Ok(true), "{text}");
    }
}

#[test]
fn absence_and_existence() {
    check_all(&[
        ("data.none", true),
        ("data.no", true),
        ("data.missing", false),
        ("data.missing == data.absent", true),
        ("data.missing == null", false),
        ("data.missing != null", true),
        ("data.missing != 5", true),
        ("data.missing < 5", false),
        ("data.missing <= data.absent", true),
        ("data.none == null", true),
        ("data.name.first", false),
        ("data.tags[2]", false),
        ("data.tags[-2]", true),
        ("data.tags[-3]", false),
        ("data.tags.vip", false),
        ("data[0]", false),
    ]);
}

#[test]
fn comparisons() {
    check_all(&[
        ("data.score == 0.5 and data.score == 5e-1", true),
        ("data.score < 1 and data.score > 0", true),
        ("data.zero == 0 and data.zero == -0", true),
        ("status.code == 200.0", true),
        ("status.code == \"200\"", false),
        ("status.code < \"3\"", false),
        ("\"Ada\" < data.name and data.name < \"B\"", true),
        ("\"é\" > \"z\"", true),
        ("data.no < 1", false),
        ("data.none <= null", true),
        ("data.no >= false", true),
        ("data.one == data.same", true),
        ("data.one != data.same", false),
        ("data.tags == data.empty", false),
        ("data.tags < data.empty", false),
        ("1 == 1 and 1 != 2", true),
    ]);
}

#[test]
fn integers_compare_exactly() {
    check_all(&[
        ("data.id == 9007199254740993", true),
        ("12345678901234567890123 == 12345678901234567890123", true),
        ("12345678901234567890123 == 12345678901234567890124", false),
        ("12345678901234567890123 < 12345678901234567890124", true),
        ("-12345678901234567890123 > -12345678901234567890124", true),
        ("12345678901234567890123 in [12345678901234567890124]", false),
        ("data.id == 9007199254740992", false),
        ("data.id > 9007199254740992.0", true),
        ("9007199254740992.0 < data.id", true),
        ("data.id != 9007199254740994.0", true),
        ("data.unsigned == 18446744073709551615", true),
        ("data.unsigned < 18446744073709551616.0", true),
        ("data.unsigned == 18446744073709551616.0", false),
        ("data.unsigned > -1 and data.unsigned > 1.5", true),
        ("data.unsigned < 1e300 and data.unsigned > -1e300", true),
        ("-9223372036854775808 < -9223372036854775807", true),
        ("-1.5 < -1 and -1 < -0.5 and 1 < 1.5", true),
    ]);
}

#[test]
fn functions() {
    check_all(&[
        ("length(data.name) == 12 and length(\"é\") == 1", true),
        ("length(data.tags) == 2 and length(status) == 1", true),
        ("length(data.score) == length(data.missing)", true),
        ("length(data.none) == 0", false),
        ("count(data.emails[*]) == 2 and count(data.missing) == 0 and count(data.none) == 1", true),
        ("count(data.emails[?@.email_status == \"valid\"]) == 1", true),
        ("value(data..email_type) == \"work\"", false),
        ("value(data.emails[?@.ok].email) == \"ada@home.example\"", true),
        ("match(data.name, \"Ada\")", false),
        ("match(data.name, \"Ada.*\") and search(data.name, \"Love\")", true),
        ("match(\"ab\", \"a|ab\")", true),
        ("match(data.title, \"VP.*\")", false),
        ("search(data.title, \"VP.*EMEA\")", false),
        ("search(data.title, \"(?i)vp\") and not search(data.title, \"vp\")", true),
        ("search(data.title, \"[.]\") or search(data.title, \"\\\\.\")", false),
        ("match(data.name, data.pattern)", true),
        ("match(data.name, data.broken) or search(data.name, data.missing) or search(data.name, 1)", false),
        ("search(data.score, \"5\")", false),
        ("data.emails[?search(@.email, \"@work[.]\") and length(@.email) > 3]", true),
    ]);
}

#[test]
fn roots_inside_filters() {
    check_all(&[
        ("data.emails[?@.email_status == $.data.email_status]", true),
        ("data[?@[?@.email_type == \"work\"]]", true),
        ("$[?@.code == 200]", true),
        ("$.data.tags[?@ == \"vip\"]", true),
        ("$..[?@.email_type == \"work\"]", true),
        ("data..missing", false),
        ("data.emails[*].ok and data.emails[0, 1].email and data.emails[::-1]", true),
        ("data.tags[5:] or data.empty[*]", false),
    ]);
}

#[test]
fn precedence() {
    check_all(&[
        ("1 == 1 or 1 == 1 and 1 == 2", true),
        ("(1 == 1 or 1 == 1) and 1 == 2", false),
        ("not (1 == 2) and 1 == 1", true),
        ("!(1 == 2 || 1 == 1)", false),
        ("status.code in [1, 200] and 1 == 2", false),
    ]);
}

#[test]
fn canonical_text() {
    let cases = [
        ("data.email_status == 'valid'", "@.data.email_status == \"valid\""),
        ("a and not b or (c or d) and e", "@.a && !@.b || (@.c || @.d) && @.e"),
        ("not (a == 1)", "!(@.a == 1)"),
        ("not (a in [1, \"x\"])", "!(@.a == 1 || @.a == \"x\")"),
        ("a in [1, 2] and b in [3]", "(@.a == 1 || @.a == 2) && @.b == 3"),
        ("a[?@.b or @['c d']]", "@.a[?@.b || @[\"c d\"]]"),
        ("$..a[ 'b' , 1:2 , * ]", "$..[\"a\"][\"b\", 1:2, *]"),
        ("match( a , 'x\\\\.y' )", "match(@.a, \"x\\\\.y\")"),
        ("a == '\"\\u0001\\n\\''", "@.a == \"\\\"\\u0001\\n'\""),
        ("event.path == 'x'", "event.path == \"x\""),
        ("a == 1e2 or a == -0", "@.a == 100.0 || @.a == -0"),
    ];
    for (text, expected) in cases {
        assert_eq!(Condition::parse(text).expect("valid").to_string(), expected, "{text}");
    }
    assert_eq!(Query::parse("$ .a['b']").expect("valid").to_string(), "$.a.b");
}

#[test]
fn queries_know_whether_they_are_singular() {
    for (text, singular) in
        [("$", true), ("$.a['b'][-1]", true), ("$.a[*]", false), ("$..a", false), ("$['a', 'b']", false), ("$[?@.a]", false)]
    {
        assert_eq!(Query::parse(text).expect("valid").is_singular(), singular, "{text}");
    }
}

#[test]
fn queries_select_in_order() {
    let payload = json!({"list": [0, 1, 2, 3, 4, 5, 6], "o": {"b": {"x": 1}, "a": [{"x": 2}, {"x": 3}]}});
    for (text, expected) in [
        ("$.list[1:6:2]", json!([1, 3, 5])),
        ("$.list[::-3]", json!([6, 3, 0])),
        ("$.list[-2:]", json!([5, 6])),
        ("$.list[:2]", json!([0, 1])),
        ("$.list[5:1:-2]", json!([5, 3])),
        ("$.list[-100:100:3]", json!([0, 3, 6])),
        ("$.list[1:3:0]", json!([])),
        ("$.list[9007199254740991, -1, 0, 0]", json!([6, 0, 0])),
        ("$.list[?@ > 2 and @ <= 4, 1]", json!([3, 4, 1])),
        ("$.o['a', 'b'][0, 'x']", json!([{"x": 2}, 1])),
        ("$.o..x", json!([1, 2, 3])),
        ("$.o..[0, 'x']", json!([1, {"x": 2}, 2, 3])),
        ("$.o.a[*].x", json!([2, 3])),
        ("$.o.missing", json!([])),
        ("$", json!([payload])),
    ] {
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = query.select(&payload).expect("small");
        assert_eq!(json!(found), expected, "{text}");
    }
}

fn explained(text: &str) -> Vec<Finding> {
    let payload = reveal();
    let facts = json!({"path": "/emea"});
    Condition::parse(text).expect("valid").explain(&Scope { payload: &payload, event: &|| &facts })
}

#[test]
fn explain_tells_every_term() {
    let findings = explained("status.code == 200 or (not data.missing and event.path == 'x') or data.email_status in ['a']");
    let told: Vec<_> = findings.iter().map(|f| (f.condition.as_str(), f.path.as_deref(), f.value.clone(), f.holds)).collect();
    assert_eq!(
        told,
        [
            ("status.code == 200", Some("status.code"), Some(json!(200)), true),
            ("data.missing", Some("data.missing"), None, false),
            ("event.path == 'x'", Some("event.path"), Some(json!("/emea")), false),
            ("data.email_status in ['a']", Some("data.email_status"), Some(json!("valid")), false),
        ]
    );
}

#[test]
fn explain_shows_both_sides_and_many_values() {
    let findings = explained("data.score < data.id and data.emails[*].email_type and 1 == 1 and length(data.tags) > 1 and data.empty[*]");
    let [compared, many, literals, function, nothing] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((compared.path.as_deref(), compared.others[0].path.as_str()), (Some("data.score"), "data.id"));
    assert_eq!(compared.others[0].value, Some(json!(9_007_199_254_740_993_i64)));
    assert_eq!((many.value.clone(), many.holds), (Some(json!(["personal", "work"])), true));
    assert_eq!((literals.path.clone(), literals.value.clone(), literals.holds), (None, None, true));
    assert_eq!((function.path.as_deref(), function.value.clone()), (Some("data.tags"), Some(json!(["vip", "uk"]))));
    assert_eq!((nothing.value.clone(), nothing.holds), (None, false));
}

#[test]
fn explain_caps_the_values() {
    let payload = json!({"list": (0..50).collect::<Vec<_>>()});
    let findings = Condition::parse("list[*]").expect("valid").explain(&Scope { payload: &payload, event: &|| &Value::Null });
    assert_eq!(findings[0].value, Some(json!((0..10).collect::<Vec<_>>())));
}

#[test]
fn paths_are_told_from_their_root() {
    let text = "data.emails[?@.email_status == $.type].email and event.query.campaign == 'q' and data..deep and data['a', 'b'].c";
    let paths = Condition::parse(text).expect("valid").paths();
    let told: Vec<_> = paths.iter().map(|path| (path.root, path.names().join("."), &text[path.span.clone()])).collect();
    assert_eq!(
        told,
        [
            (PathRoot::Payload, "data.emails.email".to_owned(), "data.emails[?@.email_status == $.type].email"),
            (PathRoot::Payload, "data.emails.email_status".to_owned(), "@.email_status"),
            (PathRoot::Payload, "type".to_owned(), "$.type"),
            (PathRoot::Event, "query.campaign".to_owned(), "event.query.campaign"),
            (PathRoot::Payload, "data".to_owned(), "data..deep"),
            (PathRoot::Payload, "data".to_owned(), "data['a', 'b'].c"),
        ]
    );
    let name = |name: &str| Step::Name(name.to_owned());
    assert_eq!(paths[0].steps, [name("data"), name("emails"), Step::Element, name("email")]);
    let query = Query::parse("$.data.emails[0].email").expect("valid").paths();
    assert_eq!(query[0].names(), ["data", "emails", "email"]);
}

#[test]
fn steps_are_limited() {
    let wide = json!({"list": vec![json!({"a": 1}); 2000], "text": "x".repeat(100_000)});
    for text in [
        "list[?count($.list[*]) == 1]",
        "list[?$.list[?$.list[?@.b]]]",
        "list[?$.list == $.other or @ == 1 or $.list == $.list and @.b]",
        "list[?length($.text) == 1 and @.b or length($.text) == 2]",
        "list[?search($.text, \"y\")]",
        "list[?search(\"x\", $.text) or match(\"y\", @.a) or match(\"y\", $.list[0].b) or count($..*) == 0]",
    ] {
        assert_eq!(evaluate(text, &wide), Err(TooManySteps), "{text}");
    }
    let patterns = json!({"list": vec!["a+"; 200]});
    assert_eq!(evaluate("list[?match(\"b\", @)]", &patterns), Err(TooManySteps));
    assert_eq!(evaluate("list[?@.a == 1] and list[1999].a and search(text, \"x$\")", &wide), Ok(true));
}

/// The deepest payload that serde_json reads, in the smallest stack that threads here have.
#[test]
fn the_stack_is_safe() {
    let deep = format!("{}{{\"end\":1}}{}", "{\"a\":".repeat(125), "}".repeat(125));
    let payload: Value = serde_json::from_str(&deep).expect("within the limit");
    let filters = format!("{}@.end{}", "$..[?@.end && ".repeat(60), "]".repeat(60));
    let nested = format!("{}@.a{}", "@.a[?".repeat(60), "]".repeat(60));
    let parentheses = format!("{}@.a{}", "(".repeat(63), ")".repeat(63));
    let run = move || {
        assert_eq!(evaluate(&filters, &payload), Err(TooManySteps));
        assert_eq!(evaluate(&nested, &payload), Ok(true));
        assert_eq!(evaluate(&parentheses, &payload), Ok(true));
        assert_eq!(evaluate("@ == $ and $..end and @..*..*", &payload), Ok(true));
        for open in ["(", "!(", "a[?", "length(", "not (", "@[?!("] {
            assert!(Condition::parse(&open.repeat(1500)).is_err(), "{open}");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread").join().expect("no overflow");
}

#[test]
fn conditions_are_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>() {}
    shareable::<Condition>();
    shareable::<Query>();
}

#[test]
fn a_search_costs_what_its_text_and_its_pattern_can_make_it_cost() {
    let payload = |bytes: usize| json!({"t": "ab".repeat(bytes / 2)});
    let holds = |text: &str, payload: &Value| Condition::parse(text).expect("valid").holds(&Scope { payload, event: &|| &Value::Null });
    // Small patterns on the largest body that is received by default.
    for text in ["search(t, \"a+b$\")", "match(t, \"(ab)*\")", "search(t, \"(?i)AB\")"] {
        assert_eq!(holds(text, &payload(1 << 20)), Ok(true), "{text}");
    }
    // A large one on a text of the length of a description, and on one where it would take seconds.
    let large = "search(t, \"a[ab]{900}[cde]\")";
    assert_eq!(holds(large, &payload(4_000)), Ok(false));
    assert_eq!(holds(large, &payload(1 << 20)), Err(TooManySteps));
    assert_eq!(holds("search(t, @.p)", &json!({"t": "ab".repeat(1 << 19), "p": "a[ab]{900}[cde]"})), Err(TooManySteps));
}

#[test]
fn long_conditions_tell_no_more_than_they_hold() {
    // Each path below repeats the steps of those around it.
    let path = format!("a{}", "[*].b".repeat(1_500));
    assert_eq!(Condition::parse(&path).expect("valid").paths()[0].steps.len(), STEPS_MAX);
    let filters = format!("a{}", "[?@.b]".repeat(1_300));
    let paths = Condition::parse(&filters).expect("valid").paths();
    assert!(paths.len() > 8 && paths.iter().all(|path| path.steps.len() <= STEPS_MAX + 1));
    // `in` is written out in canonical text, with the whole path for each value.
    let query = format!("$[?@{} in [1{}]]", ".a".repeat(1_000), ", 1".repeat(1_000));
    assert_eq!(Query::parse(&query).expect("valid").canonical(), None);
    let hint = Condition::parse(&format!("{} == 1", query.replacen('$', "a", 1))).expect_err("many values").hint;
    assert!(hint.is_some_and(|hint| hint.len() < 200));
}
