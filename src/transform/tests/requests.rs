//! Whole requests: what is sent, under which headers, and what may not be sent.

use serde_json::{Value, json};

use super::templates::{SECRET, context, context_of, payload, text};
use crate::transform::*;

/// Builds a shape out of texts in the notation of [`text`]; a body's strings are read as routes.yaml's are.
struct Maker {
    templates: Templates,
}

impl Maker {
    fn new() -> Self {
        Self { templates: Templates::new() }
    }

    fn template(&mut self, written: &str, escape: Escape) -> Template {
        Template::compile(&mut self.templates, &text(written), escape).unwrap_or_else(|error| panic!("{written}: {error}"))
    }

    fn tree(&mut self, value: &Value) -> Tree {
        match value {
            Value::Object(map) => Tree::Map(map.iter().map(|(key, value)| (key.clone(), self.tree(value))).collect()),
            Value::Array(items) => Tree::List(items.iter().map(|item| self.tree(item)).collect()),
            Value::String(path) if Selection::is_written_in(path) => Tree::Select(Selection::parse(path).unwrap()),
            Value::String(text) if text.contains("{{") || text.contains("${") => Tree::Template(self.template(text, Escape::None)),
            other => Tree::Literal(other.clone()),
        }
    }

    fn shape(&mut self, url: Option<&str>, headers: &[(&str, &str)], body: Option<Body>) -> Shape {
        let url = url.map(|url| self.template(url, Escape::Url));
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), self.template(value, Escape::Header))).collect();
        Shape { url, headers, body }
    }

    fn json_body(&mut self, value: &Value) -> Option<Body> {
        Some(Body::Tree(self.tree(value)))
    }

    fn render(&self, method: Method, shape: Shape, own: Option<&Shape>) -> Result<Request, RenderError> {
        render(&self.templates, destination(method, shape).outline(), own, &context())
    }
}

/// What a destination says of its requests.
pub(in crate::transform) struct Kept {
    method: Method,
    shape: Shape,
}

impl Kept {
    pub(in crate::transform) fn outline(&self) -> Outline<'_> {
        Outline { method: &self.method, shape: &self.shape, batch_body: None }
    }
}

pub(in crate::transform) fn destination(method: Method, shape: Shape) -> Kept {
    Kept { method, shape }
}

fn post_json(body: &Value) -> Result<Value, RenderError> {
    let mut maker = Maker::new();
    let body = maker.json_body(body);
    let shape = maker.shape(Some("https://h/"), &[], body);
    maker.render(Method::POST, shape, None).map(|request| serde_json::from_slice(&request.body).unwrap())
}

#[test]
fn trees_become_json() {
    for (tree, expected) in [
        (json!({}), json!({})),
        (json!([]), json!([])),
        (json!({"a": 1, "b": "x", "c": null, "d": [true, {"e": 2.5}]}), json!({"a": 1, "b": "x", "c": null, "d": [true, {"e": 2.5}]})),
        // Selections keep their types.
        (
            json!({"id": "$.data.id", "s": "$.data.score", "n": "$.data.fail_error", "o": "$.status"}),
            json!({"id": 123_456, "s": 0.5, "n": null, "o": {"code": 200, "message": "🎉 Success!"}}),
        ),
        // One value at most, and none found: the key or item goes, wherever it stands.
        (json!({"a": "$.nope", "b": 1, "c": "$.data.nope"}), json!({"b": 1})),
        (json!({"b": 1, "a": "$.nope"}), json!({"b": 1})),
        (json!({"a": "$.nope"}), json!({})),
        (json!(["$.nope", 1, "$.nope", "$.data.id", "$.data.emails[9]"]), json!([1, 123_456])),
        (json!({"a": {"b": "$.nope"}, "c": ["$.nope"]}), json!({"a": {}, "c": []})),
        // Many: a list, the empty one too.
        (json!({"v": "$.data.emails[?@.email_status == \"valid\"].email"}), json!({"v": ["tom@acme.io"]})),
        (json!({"v": "$.data.emails[?@.email_status == \"none\"].email"}), json!({"v": []})),
        (json!({"v": "$.nope[*]", "w": "$..email_status"}), json!({"v": [], "w": ["valid", "risky"]})),
        (json!("$.data.emails[0]"), json!({"email": "tom@acme.io", "email_status": "valid"})),
        (json!("$"), payload()),
        (json!({"p": "$", "l": ["$"], "t": "{{ \"$\" }}"}), json!({"p": payload(), "l": [payload()], "t": "$"})),
        (json!(["$$", "$x", "$5", "$ ", " $"]), json!(["$$", "$x", "$5", "$ ", " $"])),
        // Templates give strings.
        (
            json!({"t": "{{ data.id }}", "u": "{{ data.title }}\n", "v": "${X}", "w": ["{{ event.route }}"]}),
            json!({"t": "123456", "u": "a \"b\" <c>\n", "v": SECRET, "w": ["failures"]}),
        ),
        (json!({"t": "{{ \"$.x\" }}"}), json!({"t": "$.x"})),
        (json!({"a \"key\"\n": "$.data.id"}), json!({"a \"key\"\n": 123_456})),
    ] {
        assert_eq!(post_json(&tree).unwrap_or_else(|error| panic!("{tree}: {error}")), expected, "{tree}");
    }
}

#[test]
fn an_integer_keeps_its_digits_wherever_it_goes() {
    // Beyond 64 bits, beyond 128, and below zero.
    for digits in ["12345678901234567890123", &"9".repeat(60), "-9223372036854775809"] {
        let payload =
            crate::json::parse(format!(r#"{{"id": {digits}, "list": [{digits}, 1.50], "m": {{"k": {digits}}}}}"#).as_bytes()).unwrap();
        let mut maker = Maker::new();
        let body = maker.json_body(&json!({
            "one": "$.id", "many": "$.list[*]", "all": "$", "text": "{{ id }}", "json": "{{ payload | tojson }}", "joined": "{{ list | join('/') }}",
            "indented": "{{ m | tojson(indent=1) }}", "upper": "{{ id | upper }}", "shadow": "{{ id ~ '!' }}",
        }));
        let shape = maker.shape(Some("https://h/{{ id }}"), &[("x-id", "{{ id }}")], body);
        let request = render(&maker.templates, destination(Method::POST, shape).outline(), None, &context_of(&payload)).unwrap();
        let all = format!(r#"{{"id":{digits},"list":[{digits},1.5],"m":{{"k":{digits}}}}}"#);
        let expected = format!(
            r#"{{"one":{digits},"many":[{digits},1.5],"all":{all},"text":"{digits}","json":"{}","joined":"{digits}/1.5","indented":"{{\n \"k\": {digits}\n}}","upper":"{digits}","shadow":"{digits}!"}}"#,
            all.replace('"', "\\\"")
        );
        assert_eq!(String::from_utf8_lossy(&request.body), expected);
        assert_eq!(request.url.path(), format!("/{digits}"));
        assert_eq!(request.headers["x-id"], digits);
    }
}

#[test]
fn keys_keep_their_order() {
    let mut maker = Maker::new();
    let body = maker.json_body(&json!({"z": "$.data.id", "a": "$.nope", "m": [1, "$.nope"]}));
    let shape = maker.shape(Some("https://h/"), &[], body);
    let request = maker.render(Method::POST, shape, None).unwrap();
    assert_eq!(request.body, r#"{"z":123456,"m":[1]}"#);
}

#[test]
fn errors_name_their_place() {
    for (url, header, body, place) in [
        ("https://h/{{ nope }}", "x", json!({}), "url"),
        ("https://h/", "{{ nope }}", json!({}), "headers.authorization"),
        ("https://h/", "x", json!({"text": "{{ nope }}"}), "body.text"),
        ("https://h/", "x", json!({"items": [1, 2, "{{ nope }}"]}), "body.items[2]"),
        ("https://h/", "x", json!([{"a-b": {"full name": "{{ nope }}"}}]), "body[0].a-b[\"full name\"]"),
        ("https://h/", "x", json!("{{ nope }}"), "body"),
        ("https://h/", "x", json!("$.nope"), "body"),
    ] {
        let mut maker = Maker::new();
        let body = maker.json_body(&body);
        let shape = maker.shape(Some(url), &[("authorization", header)], body);
        let error = maker.render(Method::POST, shape, None).unwrap_err();
        assert_eq!(error.place, place, "{error}");
        assert!(error.to_string().starts_with(&format!("{place}: ")), "{error}");
    }
}

#[test]
fn every_part_that_fails_is_named() {
    let mut maker = Maker::new();
    let body =
        maker.json_body(&json!({"a": "{{ nope }}", "b": 1, "c": [{"d": "{{ data.id }}"}, "{{ data.nope }}"], "e": "{{ data.gone }}"}));
    let shape = maker.shape(Some("https://h/{{ data.no_path }}"), &[("x-a", "{{ nothing }}"), ("x-b", "fine")], body);
    let error = maker.render(Method::POST, shape, None).unwrap_err();
    let places: Vec<String> = error.each().map(|failure| failure.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["url", "headers.x-a", "body.a", "body.c[1]", "body.e"]);
    assert!(error.to_string().contains("; also body.c[1]: `data.nope` is not in this event"), "{error}");
    // Behind a limit nothing is looked at.
    let deep = (0..BODY_DEPTH_MAX + 2).fold(json!("x"), |inner, _| json!([inner]));
    let body = maker.json_body(&json!({"a": "{{ nope }}", "deep": deep, "z": "{{ nope }}"}));
    let shape = maker.shape(Some("https://h/"), &[], body);
    let error = maker.render(Method::POST, shape, None).unwrap_err();
    assert_eq!(error.others.len(), 1, "{error}");
}

#[test]
fn bodies_and_their_content_type() {
    let json_bytes = Bytes::from(serde_json::to_vec(&payload()).unwrap());
    for (method, body, header, expected_type, expected_body) in [
        (Method::POST, None, None, Some("application/json"), json_bytes.clone()),
        (Method::PUT, None, Some("application/x-wiza"), Some("application/x-wiza"), json_bytes.clone()),
        (Method::DELETE, None, None, Some("application/json"), json_bytes),
        (Method::GET, None, None, None, Bytes::new()),
        (Method::HEAD, None, None, None, Bytes::new()),
        (Method::GET, Some("tree"), None, Some("application/json"), Bytes::from_static(b"{\"a\":1}")),
        (Method::POST, Some("tree"), None, Some("application/json"), Bytes::from_static(b"{\"a\":1}")),
        (Method::POST, Some("tree"), Some("application/vnd.x+json"), Some("application/vnd.x+json"), Bytes::from_static(b"{\"a\":1}")),
        (Method::POST, Some("text"), None, Some("text/plain; charset=utf-8"), Bytes::from_static(b"hi 123456")),
        (Method::POST, Some("text"), Some("text/csv"), Some("text/csv"), Bytes::from_static(b"hi 123456")),
    ] {
        let mut maker = Maker::new();
        let body = body.and_then(|kind| match kind {
            "tree" => maker.json_body(&json!({"a": 1})),
            _ => Some(Body::Text(maker.template("hi {{ data.id }}", Escape::None))),
        });
        let headers: Vec<(&str, &str)> = header.iter().map(|value| ("content-type", *value)).collect();
        let shape = maker.shape(Some("https://h/"), &headers, body);
        let request = maker.render(method.clone(), shape, None).unwrap();
        assert_eq!(request.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap()), expected_type, "{method}");
        assert_eq!(request.body, expected_body, "{method}");
        assert_eq!(request.method, method);
    }
}

/// A payload that is not as serde_json would write it goes out as it came in.
#[test]
fn without_a_body_the_payload_goes_out_byte_for_byte() {
    let received = Bytes::from_static(b"{ \"a\":1.50,\n \"a\": 1e2 }");
    let event = crate::event::Event::new(
        crate::event::EventId::from_bytes([0; 16]),
        jiff::Timestamp::UNIX_EPOCH,
        String::new(),
        String::new(),
        received.clone(),
    );
    let context = RenderContext { event: std::sync::Arc::new(event), route: "r".into(), now: jiff::Timestamp::UNIX_EPOCH };
    let mut maker = Maker::new();
    let shape = maker.shape(Some("https://h/"), &[], None);
    assert_eq!(render(&maker.templates, destination(Method::POST, shape).outline(), None, &context).unwrap().body, received);
}

#[test]
fn a_routes_shape_wins_key_by_key() {
    let mut maker = Maker::new();
    let body = maker.json_body(&json!({"from": "destination"}));
    // The destination's own header cannot be rendered, and is not, where the route gives another.
    let base = maker.shape(Some("https://h/destination"), &[("x-a", "{{ nope }}"), ("x-b", "2")], body);
    let own_body = maker.json_body(&json!({"from": "route"}));
    let own = maker.shape(None, &[("X-A", "{{ event.route }}"), ("x-c", "3")], own_body);
    let request = maker.render(Method::POST, base, Some(&own)).unwrap();
    let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    assert_eq!(headers, ["x-b=2", "x-a=failures", "x-c=3", "content-type=application/json"]);
    assert_eq!(request.url.as_str(), "https://h/destination");
    assert_eq!(request.body, r#"{"from":"route"}"#);

    let base = maker.shape(Some("https://h/destination"), &[], None);
    let own = maker.shape(Some("https://other/route"), &[], None);
    assert_eq!(maker.render(Method::POST, base, Some(&own)).unwrap().url.as_str(), "https://other/route");
    let none = maker.shape(None, &[], None);
    assert_eq!(maker.render(Method::POST, none, None).unwrap_err().to_string(), "url: the destination has no url");
}

#[test]
fn headers_cannot_be_injected() {
    let mut hostile = payload();
    for (value, expected) in [
        ("plain", Some("plain")),
        ("Müller 🎉", Some("Müller 🎉")),
        ("a\r\nx-evil: 1", None),
        ("a\nb", None),
        ("a\rb", None),
        ("a\tb", None),
        ("a\0b", None),
        ("a\u{7f}b", None),
        ("a\u{85}b", None),
    ] {
        hostile["data"]["name"] = value.into();
        let mut maker = Maker::new();
        let shape = maker.shape(Some("https://h/"), &[("x-name", "{{ data.name }}")], None);
        let outcome = render(&maker.templates, destination(Method::POST, shape).outline(), None, &context_of(&hostile));
        match expected {
            Some(text) => assert_eq!(outcome.unwrap().headers["x-name"].as_bytes(), text.as_bytes()),
            None => {
                let error = outcome.unwrap_err().to_string();
                assert_eq!(error, "headers.x-name: a header's value cannot hold a line break or another control character");
            }
        }
    }
    let long = "x".repeat(HEADER_BYTES_MAX + 1);
    assert!(Template::compile(&mut Templates::new(), &text(&long), Escape::Header).is_err());
    let error = Template::compile(&mut Templates::new(), &text("Bearer x\n"), Escape::Header).unwrap_err();
    assert_eq!(error.offset, 8);
    let error = Template::compile(&mut Templates::new(), &text("Bearer ${X=secret\nvalue}"), Escape::Header).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn values_from_outside_are_sensitive() {
    let mut maker = Maker::new();
    let headers = [("x-a", "${X}"), ("x-b", "{{ data.id }}${X}"), ("x-c", "{{ data.id }}"), ("x-d", "d")];
    let shape = maker.shape(Some("https://h/${X=path}"), &headers, None);
    let request = maker.render(Method::POST, shape, None).unwrap();
    let sensitive: Vec<bool> = ["x-a", "x-b", "x-c", "x-d"].iter().map(|name| request.headers[*name].is_sensitive()).collect();
    assert_eq!(sensitive, [true, true, false, false]);
    assert_eq!(request.headers["x-b"], format!("123456{SECRET}").as_str());
    let debug = format!("{request:?}");
    assert!(!debug.contains("path") && !debug.contains(SECRET) && debug.contains("\"h\""), "{debug}");
}

#[test]
fn urls() {
    for (written, expected) in [
        ("https://h/a?b=c", "https://h/a?b=c"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("${X=https://hooks.example.com/T/B/x}", "https://hooks.example.com/T/B/x"),
        ("https://h/{{ data.id }}", "https://h/123456"),
        ("https://h:8443/{{ data.name }}/x", "https://h:8443/tom%20o%27neil/x"),
        ("https://h/x?e={{ data.email }}&u={{ data.title }}", "https://h/x?e=tom%40acme.io&u=a%20%22b%22%20%3Cc%3E"),
        ("https://h/{{ data.email | urlencode }}", "https://h/tom%40acme.io"),
        ("https://h/?{{ {'a': 'x y', 'b': data.id} | urlencode }}", "https://h/?a=x%20y&b=123456"),
        ("https://h/?j={{ status | tojson }}", "https://h/?j=%7B%22code%22%3A200%2C%22message%22%3A%22%F0%9F%8E%89%20Success%21%22%7D"),
        ("https://h/?j={{ data.email | e }}", "https://h/?j=tom%40acme.io"),
        ("https://h/{{ 'a/b?c=d' | safe }}", "https://h/a/b?c=d"),
        ("https://h/{% set p %}x/{{ data.email }}{% endset %}{{ p }}", "https://h/x/tom%40acme.io"),
        ("https://h/{{ data.email ~ '/x' }}", "https://h/tom%40acme.io%2Fx"),
        ("https://h/{{ 'x/' ~ data.email | upper }}", "https://h/x%2FTOM%40ACME.IO"),
        ("https://h/{% if data.id %}a/{% endif %}b", "https://h/a/b"),
        ("${X=https://h/base}/{{ data.id }}/${Y=a%2Fb c}", "https://h/base/123456/a%2Fb%20c"),
        ("https://u:${P=p}@h/{{ data.id }}", "https://u:p@h/123456"),
        ("https://h/{{ data.email }}#{{ data.id }}", "https://h/tom%40acme.io#123456"),
        ("https://h?x={{ data.id }}\n", "https://h/?x=123456"),
        ("https://h/{{ data.is_complete }}/{{ '..a' }}/{{ '...' }}", "https://h/true/..a/..."),
    ] {
        let mut maker = Maker::new();
        let shape = maker.shape(Some(written), &[], None);
        let url = maker.render(Method::POST, shape, None).unwrap_or_else(|error| panic!("{written}: {error}")).url;
        assert_eq!(url.as_str(), expected, "{written}");
    }
}

#[test]
fn urls_refused_at_load() {
    for (written, message) in [
        ("", "not a URL"),
        ("crm.example.com/x", "not a URL"),
        ("ftp://h/x", "must begin with http"),
        ("mailto:x@y", "must begin with http"),
        ("https://", "not a URL"),
        ("https://h:99999/", "not a URL"),
        ("https://crm.example.com{{ data.x }}", "could change the host"),
        ("https://{{ data.x }}/y", "could change the host"),
        ("https://{{ data.x }}.example.com/y", "could change the host"),
        ("{{ data.x }}", "could change the host"),
        ("{{ 'https://h/' }}", "could change the host"),
        ("{# c #}https://h/{{ data.x }}", "could change the host"),
        ("https://u@{{ data.x }}/", "could change the host"),
        ("${X=https://h}{{ data.x }}", "could change the host"),
        ("ftp://h/{{ data.x }}", "must begin with http"),
        ("https:///{{ data.x }}", "not a URL"),
        ("${X=not a secret url}", "not a URL"),
    ] {
        let error = Template::compile(&mut Templates::new(), &text(written), Escape::Url).unwrap_err();
        assert!(error.message.contains(message), "{written}: {error}");
        assert!(!error.to_string().contains("not a secret"), "{written}: {error}");
        assert!(written.is_char_boundary(error.offset), "{written}: {error}");
    }
}

#[test]
fn a_value_cannot_leave_its_place_in_a_url() {
    for (written, message) in [
        ("https://h/a/{{ '..' }}/b", "segment `.` or `..`"),
        ("https://h/a/{{ '..' }}", "segment `.` or `..`"),
        ("https://h/a/{{ '.' }}?x=/y", "segment `.` or `..`"),
        ("https://h/a/.{{ '.' }}", "segment `.` or `..`"),
        ("https://h/a/%2e{{ '.' }}", "segment `.` or `..`"),
        ("https://h/a/{{ '..' }}#x", "segment `.` or `..`"),
        ("https://h/a/{{ '../../x' | safe }}", "segment `.` or `..`"),
        ("https://h/a/{{ '..\\\\x' | safe }}", "backslash"),
        ("https://h/a/{{ '.\\t.' | safe }}", "control character"),
        ("https://h/{{ 'a\\nb' | safe }}", "control character"),
        ("https://h/{{ 'x' * 9000 }}", "longer than 8192 bytes"),
        ("https://h/{{ data.fail_error }}", "`data.fail_error` is null"),
    ] {
        let mut maker = Maker::new();
        let shape = maker.shape(Some(written), &[], None);
        let error = maker.render(Method::POST, shape, None).unwrap_err();
        assert_eq!(error.place, "url");
        assert!(error.message.contains(message), "{written}: {error}");
    }
}

/// Bodies from files are shallower; one built otherwise ends in an error, not in a full stack.
#[test]
fn bodies_have_limits() {
    let mut deep = Tree::Literal(Value::Null);
    for _ in 0..BODY_DEPTH_MAX + 1 {
        deep = Tree::List(vec![deep]);
    }
    let mut maker = Maker::new();
    let shape = maker.shape(Some("https://h/"), &[], Some(Body::Tree(deep)));
    let error = maker.render(Method::POST, shape, None).unwrap_err();
    assert!(error.message.contains("nests deeper than 64"), "{error}");

    let large = json!({"a": "x".repeat(1024 * 1024)});
    let items = vec!["$"; 17];
    let mut maker = Maker::new();
    let body = maker.json_body(&json!(items));
    let shape = maker.shape(Some("https://h/"), &[], body);
    let error = render(&maker.templates, destination(Method::POST, shape).outline(), None, &context_of(&large)).unwrap_err();
    assert_eq!(error.to_string(), "body[15]: the body would be longer than 16777216 bytes");

    let quadratic = json!((0..2000).collect::<Vec<u32>>());
    assert!(Selection::parse("$[?count($[*]) > 0]").unwrap().select(&quadratic).is_err());
}

#[test]
fn templates_and_requests_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Templates>();
    shared::<Template>();
    shared::<Selection>();
    shared::<Tree>();
    shared::<RenderContext>();
    shared::<Request>();
}
