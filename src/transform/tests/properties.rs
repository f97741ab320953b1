//! What holds for any value: URLs keep their structure, bodies are JSON, errors keep secrets, nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::requests::destination;
use super::templates::{context_of, text};
use crate::transform::*;

fn url_of(written: &str, value: &str) -> Result<Url, RenderError> {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), Escape::Url).unwrap();
    let shape = Shape { url: Some(template), headers: Vec::new(), body: None };
    let destination = destination(Method::POST, shape);
    render(&templates, destination.outline(), None, &context_of(&json!({"v": value}))).map(|request| request.url)
}

fn decoded(segment: &str) -> String {
    // A plus is a space in forms only.
    let pair = format!("x={}", segment.replace('+', "%2B"));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next().unwrap();
    value.into_owned()
}

/// Texts in which what URLs, templates and JSON give a meaning to is common.
fn text_values() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("..".to_owned()),
        Just("/".to_owned()),
        Just("@".to_owned()),
        Just("?".to_owned()),
        Just("#".to_owned()),
        Just("&a=".to_owned()),
        Just("%2e".to_owned()),
        Just("\\".to_owned()),
        Just("://".to_owned()),
        Just("\r\n".to_owned()),
        Just("{{ x }}".to_owned()),
        Just("{%".to_owned()),
        Just("ä🎉".to_owned()),
        Just("+ ".to_owned()),
        any::<char>().prop_map(String::from),
        "[a-z0-9.]{0,4}",
    ];
    proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1000..1000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
        text_values().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[abc]", inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn queries() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        "[abc]".prop_map(|name| format!(".{name}")),
        Just(".*".to_owned()),
        Just("..a".to_owned()),
        Just("..*".to_owned()),
        (-3..3).prop_map(|index| format!("[{index}]")),
        (-3..3, -3..3).prop_map(|(start, end)| format!("[{start}:{end}]")),
        Just("[::-1]".to_owned()),
        Just("['a','b']".to_owned()),
        Just("[?@.a]".to_owned()),
        Just("[?@.a == 1]".to_owned()),
        Just("[?@.a < @.b]".to_owned()),
        Just("[?@ == 'a' || !@.b]".to_owned()),
        Just("[?@ >= 0 && @ != 2]".to_owned()),
        Just("[?@[?@.a]]".to_owned()),
        Just("[?length(@) > 1]".to_owned()),
        Just("[?@.a == $.a]".to_owned()),
    ];
    proptest::collection::vec(segment, 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

/// Jinja expressions with many a `~`.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("v".to_owned()),
        Just("m.a".to_owned()),
        Just("m['in']".to_owned()),
        Just("'s~|'".to_owned()),
        Just("7".to_owned()),
        Just("m.in".to_owned()),
        Just("[1, 2][1]".to_owned()),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["~", "~", "~", "+", "-", "*", "//", "==", "<", "and", "or", "in", "not in"]);
        let wrapped = prop::sample::select(vec![
            "(X)",
            "X|upper",
            "X | join('~')",
            "-X",
            "not X",
            "X is defined",
            "X is not none",
            "X is eq 7",
            "[X, X][0]",
            "{'k': X}['k']",
            "dict(a=X).a",
            "X is not in [1]",
            "X[:1]",
            "X|replace('s', X)",
        ]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            2 => (wrapped, inner.clone()).prop_map(|(shape, inside)| shape.replace('X', &inside)),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(yes, condition, no)| format!("{yes} if {condition} else {no}")),
        ]
    })
}

/// Whether a receiver learns nothing from a value, by a way of its own.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `$present` around a mapping of these paths, and around a list of them; the same without it.
fn with_and_without_present(keys: [&str; 3]) -> (Tree, Tree) {
    let select = |key: &str| Tree::Select(Selection::parse(&format!("$.{key}")).unwrap());
    let present = |tree| Tree::Present(Box::new(tree));
    let body = |wrap: &dyn Fn(Tree) -> Tree| {
        let map = Tree::Map(keys.iter().map(|key| ((*key).to_owned(), wrap(select(key)))).collect());
        let list = Tree::List(keys.iter().map(|key| wrap(select(key))).collect());
        Tree::Map(vec![("map".to_owned(), wrap(map)), ("list".to_owned(), wrap(list)), ("one".to_owned(), Tree::Literal(json!(1)))])
    };
    (body(&present), body(&|tree| tree))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn present_takes_out_what_says_nothing_and_changes_nothing_else(a in json_values(), b in json_values()) {
        // `c` is never there.
        let payload = json!({"a": a, "b": b});
        let render = |tree: Tree| {
            let shape = Shape { url: Some(Template::compile(&mut Templates::new(), &text("https://h.example"), Escape::Url).unwrap()),
                headers: Vec::new(), body: Some(Body::Tree(tree)) };
            let request = render(&Templates::new(), destination(Method::POST, shape).outline(), None, &context_of(&payload)).unwrap();
            serde_json::from_slice::<Value>(&request.body).unwrap()
        };
        let (with, without) = with_and_without_present(["a", "b", "c"]);
        let mut expected = render(without);
        let map = expected["map"].as_object_mut().unwrap();
        map.retain(|_, value| !is_nothing(value));
        let list = expected["list"].as_array_mut().unwrap();
        list.retain(|value| !is_nothing(value));
        expected.as_object_mut().unwrap().retain(|_, value| !is_nothing(value));
        prop_assert_eq!(render(with), expected);
    }

    #[test]
    fn a_value_in_a_path_segment_stays_one_segment_and_decodes_to_itself(value in text_values()) {
        match url_of("https://u@h.example:8443/a/{{ v }}/b/{{ v }}?q#f", &value) {
            Ok(url) => {
                let segments: Vec<String> = url.path_segments().unwrap().map(decoded).collect();
                prop_assert_eq!(segments, ["a", value.as_str(), "b", value.as_str()]);
                prop_assert_eq!(url.origin().ascii_serialization(), "https://h.example:8443");
                prop_assert_eq!((url.username(), url.query(), url.fragment()), ("u", Some("q"), Some("f")));
            }
            // A server that reads `%2F` as a slash would go up.
            Err(error) => prop_assert!(value.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")), "{error}: {value:?}"),
        }
    }

    #[test]
    fn a_value_in_a_query_stays_one_parameter_and_decodes_to_itself(value in text_values()) {
        let url = url_of("https://h.example?first={{ v }}&second={{ v | urlencode }}&third=3", &value).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let expected = [("first", value.as_str()), ("second", value.as_str()), ("third", "3")];
        prop_assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        prop_assert_eq!((url.host_str(), url.path(), url.fragment()), (Some("h.example"), "/", None));
    }

    /// With `| safe` the author vouches for the value; host and literal path hold all the same.
    #[test]
    fn a_safe_value_cannot_change_the_host_or_climb(value in text_values()) {
        if let Ok(url) = url_of("https://h.example/a/{{ v | safe }}", &value) {
            prop_assert_eq!(url.origin().ascii_serialization(), "https://h.example");
            prop_assert!(url.path().starts_with("/a/"), "{}", url);
            prop_assert!(url.username().is_empty());
        }
    }

    #[test]
    fn a_header_holds_the_value_or_is_refused(value in text_values()) {
        let mut templates = Templates::new();
        let template = Template::compile(&mut templates, &text("a {{ v }}"), Escape::Header).unwrap();
        match template.header(&templates, || context_of(&json!({"v": value})).names()) {
            Ok(header) => prop_assert_eq!(header.as_bytes().to_vec(), format!("a {value}").into_bytes()),
            Err(_) => prop_assert!(value.contains(char::is_control)),
        }
    }

    #[test]
    fn bodies_are_json_and_keep_values(value in json_values(), query in queries()) {
        let payload = json!({"a": value, "b": 1});
        let context = context_of(&payload);
        let selection = Selection::parse(&query).unwrap();
        let expected = selection.select(&payload).unwrap();
        let entries = vec![("x".to_owned(), Tree::Select(selection)), ("y".to_owned(), Tree::List(vec![]))];
        let shape = Shape { url: None, headers: Vec::new(), body: Some(Body::Tree(Tree::Map(entries))) };
        let mut templates = Templates::new();
        let url = Some(Template::compile(&mut templates, &text("https://h/"), Escape::Url).unwrap());
        let destination = destination(Method::POST, Shape { url, ..shape });
        let request = render(&templates, destination.outline(), None, &context).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        match expected {
            Selected::One(None) => prop_assert_eq!(body, json!({"y": []})),
            Selected::One(Some(value)) => prop_assert_eq!(body, json!({"x": value, "y": []})),
            Selected::Many(values) => prop_assert_eq!(body, json!({"x": values, "y": []})),
        }
    }

    /// Whichever evaluates a query, the answer is the same.
    #[test]
    fn both_evaluators_agree(value in json_values(), query in queries()) {
        let selection = Selection::parse(&query).unwrap();
        let found = match selection.select(&value).unwrap() {
            Selected::One(value) => value.into_iter().collect::<Vec<_>>(),
            Selected::Many(values) => values,
        };
        let own = crate::condition::Query::parse(&query).unwrap();
        let expected: Vec<Value> = own.select(&value).unwrap().into_iter().cloned().collect();
        prop_assert_eq!(found, expected, "{} by jsonpath-rust: {}", query, selection.is_by_jsonpath_rust());
    }

    /// Values of `${...}` appear as they are, whatever they and their neighbours hold.
    #[test]
    fn values_from_outside_are_never_parsed(before in "[{%#} a]{0,4}", value in text_values(), after in "[{%#} a]{0,4}") {
        use crate::text::{Part, Secret, Text};
        let parts = vec![
            Part::Written { text: before.clone(), offset: 0 },
            Part::Value(Secret::new("X", value.clone())),
            Part::Written { text: format!("{after}|{{{{ v }}}}"), offset: before.len() + 4 },
        ];
        let mut templates = Templates::new();
        let marked = |text: &str| ["{{", "{%", "{#"].iter().any(|marker| text.contains(marker));
        if marked(&before) || marked(&after) {
            return Ok(());
        }
        let template = Template::compile(&mut templates, &Text { parts }, Escape::None).unwrap();
        let rendered = template.render(&templates, &context_of(&json!({"v": "{{ x }}"}))).unwrap().into_owned();
        prop_assert_eq!(rendered, format!("{before}{value}{after}|{{{{ x }}}}"));
    }

    /// Any text compiles or is refused with a place inside of it; rendering ends, and errors quote neither payload nor secret.
    #[test]
    fn any_text_is_compiled_or_refused(pieces in proptest::collection::vec(prop_oneof![
        Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just("{#"), Just("#}"), Just(" v "), Just("~"), Just("|"), Just("title"), Just("("),
        Just(")"), Just("["), Just("]"), Just("'"), Just("\""), Just(" if "), Just(" else "), Just("endif"), Just(" for x in v "), Just("endfor"),
        Just("raw"), Just("endraw"), Just(" is "), Just(" not "), Just("none"), Just("-"), Just("+"), Just("ä"), Just("1"), Just("."), Just("${S=hidden}"),
        Just("join"), Just("default"), Just(","), Just(" set "), Just("="), Just("\\"), Just("\n"), Just("{"), Just("}"),
    ], 0..14)) {
        let written = pieces.concat();
        let mut templates = Templates::new();
        match Template::compile(&mut templates, &text(&written), Escape::None) {
            Err(error) => {
                prop_assert!(!error.to_string().contains("hidden"), "{}: {}", written, error);
                prop_assert!(error.offset <= written.len(), "{}: {}", written, error);
            }
            Ok(template) => {
                if let Err(error) = template.render(&templates, &context_of(&json!({"v": "personal"}))) {
                    prop_assert!(!error.message.contains("hidden") && !error.message.contains("personal"), "{}: {}", written, error);
                }
            }
        }
    }

    /// The strict form of a template changes nothing but the spelling of booleans and lists, and what it refuses.
    #[test]
    fn what_is_added_to_a_template_does_not_change_it(expression in expressions(), tag in prop::sample::select(vec![
        "{{ E }}", "{%- if E %}yes{% endif %}", "{% set x = E %}{{ x }}", "{% for x in [E] %}{{ x }}{% endfor %}",
    ])) {
        let written = tag.replace('E', &expression);
        let payload = json!({"v": "text", "m": {"a": "deep", "in": 3}});
        let environment = minijinja::Environment::new();
        let plain = environment.template_from_str(&written);
        let mut templates = Templates::new();
        let compiled = Template::compile(&mut templates, &text(&written), Escape::None);
        // Parentheses that were added can make valid what minijinja takes for an ambiguous test; never the reverse. What
        // is refused because it can never render does not render.
        let renders = plain.as_ref().is_ok_and(|plain| plain.render(crate::transform::semantics::digits::copy(&payload)).is_ok());
        if let Err(error) = &compiled {
            prop_assert!(!renders || error.message.contains("can never be rendered, whatever the event"), "{}: {}", written, error);
        }
        let (Ok(plain), Ok(compiled)) = (plain, compiled) else { return Ok(()) };
        let plain = plain.render(crate::transform::semantics::digits::copy(&payload));
        let rendered = compiled.render(&templates, &context_of(&payload));
        let spelled = |text: &str| text.to_lowercase().replace([' ', '\'', '"'], "");
        match (plain, rendered) {
            // minijinja orders a text behind every number, and here there is no order between them.
            _ if expression.contains('<') => {}
            // A boolean that was joined into text or counted as a number, and then compared: `true` is neither `True` nor 1.
            _ if expression.matches(['<', '=']).count() + expression.matches("is ").count() + expression.matches("not ").count() + expression.matches(" in ").count() > 1 => {}
            (Ok(plain), Ok(rendered)) => prop_assert_eq!(spelled(&plain), spelled(&rendered), "{}", written),
            (Ok(_), Err(refused)) => prop_assert!(!refused.message.contains("invalid operation"), "{}: {}", written, refused),
            (Err(plain), Ok(rendered)) => prop_assert!(false, "{}: {} {}", written, plain, rendered),
            (Err(_), Err(_)) => {}
        }
    }
}
