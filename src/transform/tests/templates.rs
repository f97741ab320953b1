//! Templates: what they see, print, refuse and say.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::{Event, EventId};
use crate::text::{Part, Secret, Text};
use crate::transform::templates::vocabulary::suggestions;
use crate::transform::*;

pub(in crate::transform) const SECRET: &str = "s3cr3t{{ data.name }}";

/// A text in which `${NAME}` stands for [`SECRET`], and `${NAME=value}` for the value.
pub(in crate::transform) fn text(written: &str) -> Text {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(start) = written[at..].find("${").map(|start| at + start) {
        let end = start + written[start..].find('}').unwrap();
        if start > at {
            parts.push(Part::Written { text: written[at..start].to_owned(), offset: at });
        }
        let (name, value) = written[start + 2..end].split_once('=').unwrap_or((&written[start + 2..end], SECRET));
        parts.push(Part::Value(Secret::new(name, value)));
        at = end + 1;
    }
    if at < written.len() {
        parts.push(Part::Written { text: written[at..].to_owned(), offset: at });
    }
    Text { parts }
}

pub(in crate::transform) fn payload() -> Value {
    json!({
        "type": "individual_reveal",
        "status": {"code": 200, "message": "🎉 Success!"},
        "event": "payload's own",
        "__relay_value_0": "shadow",
        "data": {
            "id": 123_456, "name": "tom o'neil", "fail_error": null, "email": "tom@acme.io", "is_complete": true,
            "score": 0.5, "empty": "", "title": "a \"b\" <c>",
            "emails": [
                {"email": "tom@acme.io", "email_status": "valid"},
                {"email": "t@acme.io", "email_status": "risky"}
            ],
            "tags": ["a", null, true]
        }
    })
}

pub(in crate::transform) fn context() -> RenderContext {
    context_of(&payload())
}

pub(in crate::transform) fn context_of(payload: &Value) -> RenderContext {
    let received_at: Timestamp = "2026-02-03T04:05:06.789Z".parse().unwrap();
    let event = Event::new(
        EventId::from_bytes([7; 16]),
        received_at,
        "emea".to_owned(),
        "campaign=q4&record=a%2Fb".to_owned(),
        Bytes::from(serde_json::to_vec(payload).unwrap()),
    );
    RenderContext { event: Arc::new(event), route: "failures".into(), now: "2026-03-29T01:30:00Z".parse().unwrap() }
}

fn outcome(written: &str, escape: Escape) -> Result<Result<String, String>, TemplateError> {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), escape)?;
    Ok(template.render(&templates, &context()).map(std::borrow::Cow::into_owned).map_err(|error| error.message))
}

/// Renders, in text.
fn rendered(written: &str) -> String {
    outcome(written, Escape::None).unwrap_or_else(|error| panic!("{written}: {error}")).unwrap_or_else(|error| panic!("{written}: {error}"))
}

fn refused(written: &str) -> String {
    match outcome(written, Escape::None).unwrap_or_else(|error| panic!("{written}: {error}")) {
        Ok(text) => panic!("{written} rendered: {text}"),
        Err(message) => message,
    }
}

fn refused_at_load(written: &str) -> TemplateError {
    match outcome(written, Escape::None) {
        Ok(outcome) => panic!("{written} compiled: {outcome:?}"),
        Err(error) => error,
    }
}

#[test]
fn names_and_printing() {
    for (written, expected) in [
        ("no tags at all", "no tags at all"),
        ("", ""),
        ("a { b } % # c", "a { b } % # c"),
        ("{{ data.id }}", "123456"),
        ("{{ data.score }} {{ data.is_complete }} {{ not data.is_complete }}", "0.5 true false"),
        ("{{ data.name | title }}", "Tom O'neil"),
        ("{{ data['email'] }} {{ data.emails[1].email }} {{ data.emails[-1].email }}", "tom@acme.io t@acme.io t@acme.io"),
        ("{{ data.title }}", "a \"b\" <c>"),
        ("{{ data.tags }}", r#"["a",null,true]"#),
        ("{{ status }}", r#"{"code":200,"message":"🎉 Success!"}"#),
        ("{{ data.emails | map(attribute='email') }}", r#"["tom@acme.io","t@acme.io"]"#),
        ("{{ data.emails | map(attribute='email') | join(', ') }}", "tom@acme.io, t@acme.io"),
        ("{{ data.title | tojson }}", r#""a \"b\" <c>""#),
        ("{{ status | tojson(indent=1) }}", "{\n \"code\": 200,\n \"message\": \"🎉 Success!\"\n}"),
        ("{{ 'a/b?' | urlencode }} {{ {'x': 'ä&', 'y': 1} | urlencode }}", "a%2Fb%3F x=%C3%A4%26&y=1"),
        // The relay's facts stand beside the payload, whose own keys of these names are behind `payload`.
        ("{{ event.path }} {{ event.query.campaign }} {{ event.query.record }} {{ event.route }}", "emea q4 a/b failures"),
        ("{{ event.id }} {{ event.received_at }}", "07070707-0707-0707-0707-070707070707 2026-02-03T04:05:06.789Z"),
        ("{{ payload.event }} {{ payload.data.id }}", "payload's own 123456"),
        ("{{ event | items | map('first') | join(' ') }}", "id received_at path query source route"),
        // A literal that looks like a path.
        ("{{ \"$.x\" }}", "$.x"),
        // Absent and null values.
        ("{{ data.nme | default('nobody') }}", "nobody"),
        ("{{ data.fail_error | default('no reason given', true) }}", "no reason given"),
        ("{{ data.empty | default('-', true) }}|{{ data.empty }}|", "-||"),
        ("{{ data.nme | default('x') | title }}", "X"),
        ("{{ (data.fail_error or 'x') ~ '!' }}", "x!"),
        ("{% if data.fail_error is none %}fine{% endif %}", "fine"),
        ("{% if data.nme is defined %}yes{% else %}no{% endif %}", "no"),
        // `~` joins as printing would.
        ("{{ data.name | length ~ '.' ~ data.id // 1000 ~ -data.id }}", "10.123-123456"),
        ("{{ 1 + (2 ~ 3) | int }} {{ data.id is number ~ '' }} {{ data.email not in data.name ~ '' }}", "24 true true"),
        ("{{ data.is_complete ~ '/' ~ data.tags[0] ~ data.score * 2 }}", "true/a1.0"),
        ("{{ ('a' ~ data.id) ~ {'k': data.id ~ 'b'}['k'] }}", "a123456123456b"),
        ("{{ data.nme | default('a' ~ data.id) }}", "a123456"),
        ("{{ 'x' ~ data.id if data.id is not none else 'y' ~ data.id }}", "x123456"),
        ("{% set a = data.id ~ '-' %}{{ a }}", "123456-"),
        ("{{ {'in': 1, 'not': 2}.in ~ [1, 2][1] ~ 'abc'[1:] ~ (1 if data.id is not in [1] else 2) }}", "12bc1"),
        ("{{ data.id is not none ~ '' }} {{ data.id is not in [data.id] ~ '' }}", "true false"),
        // Blocks.
        (
            "{% for e in data.emails %}{{ loop.index }}:{{ e.email }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1:tom@acme.io, 2:t@acme.io",
        ),
        ("{% for e in data.emails %}{% if loop.index == 2 %}{% break %}{% endif %}{{ e.email }}{% endfor %}", "tom@acme.io"),
        ("{% macro hi(x) %}hi {{ x }}{% endmacro %}{{ hi(data.id) }}", "hi 123456"),
        ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ data.id }}{% endcall %}", "<123456>"),
        ("{% filter upper %}a{{ data.id }}b{% endfilter %}", "A123456B"),
        ("{% for x in range(3) %}{{ x }}{% endfor %}", "012"),
        ("{{ data.emails | selectattr('email_status', 'eq', 'valid') | map(attribute='email') | first }}", "tom@acme.io"),
        ("a\n", "a\n"),
        ("{{ data.id }}\n", "123456\n"),
        ("{# nothing {{ x }} #}a{% raw %}{{ b }}{% endraw %}", "a{{ b }}"),
    ] {
        assert_eq!(rendered(written), expected, "{written}");
    }
}

#[test]
fn values_from_outside_are_text() {
    for (written, expected) in [
        ("${X}", SECRET.to_owned()),
        ("Bearer ${X}", format!("Bearer {SECRET}")),
        ("${X=a}${Y=b}{{ data.id }}${Z=c}", "ab123456c".to_owned()),
        ("{${X=v}{{ data.id }}", "{v123456".to_owned()),
        ("{{ data.id }}{${X=v}}", "123456{v}".to_owned()),
        ("{{ data.id }}${X={% if x %}% {", "123456{% if x %% {".to_owned()),
        ("{{ data.id }}{${X=v}{${Y=w}", "123456{v{w".to_owned()),
        ("{% raw %}{{${X=v}}}{${X=v}{% endraw %}{{ data.id }}", "{{v}}{v123456".to_owned()),
        ("{# ${X} #}{{ data.id }}{# #${X=v}} #}", "123456".to_owned()),
        ("{% if data.id %}${X=v}{% else %}${Y=w}{% endif %}", "v".to_owned()),
        ("{% for x in [1, 2] %}${X=v}{% endfor %}", "vv".to_owned()),
        ("{% macro m() %}${X=v}{% endmacro %}{{ m() }}", "v".to_owned()),
        ("{{ data.id }} {{- ' ' -}} ${X= v }", "123456  v ".to_owned()),
        ("{{ data.id -}}  ${X= v }  {{- data.id }}", "123456 v 123456".to_owned()),
    ] {
        assert_eq!(rendered(written), expected, "{written}");
    }
    let nested = "{{ data.id }}${X}";
    assert_eq!(rendered(nested), format!("123456{SECRET}"), "a value is not read as a template");
}

/// An escaped `$${` cuts a text in two written parts, within which a tag may begin in one and end in the other.
#[test]
fn written_parts_beside_each_other_are_one_text() {
    let part = |text: &str, offset| Part::Written { text: text.to_owned(), offset };
    let mut templates = Templates::new();
    let both = Text { parts: vec![part("{{ '", 0), part("${X}' }}{{ data.id }}", 5)] };
    let template = Template::compile(&mut templates, &both, Escape::None).unwrap();
    assert_eq!(template.render(&templates, &context()).unwrap(), "${X}123456");
    let wrong = Text { parts: vec![part("{{ '", 0), part("${X}' | uper }}", 5)] };
    let error = Template::compile(&mut templates, &wrong, Escape::None).unwrap_err();
    assert_eq!(error.offset, 5 + "${X}' | ".len());
}

#[test]
fn several_templates_keep_their_own_values() {
    let mut templates = Templates::new();
    let mut compile = |written| Template::compile(&mut templates, &text(written), Escape::None).unwrap();
    let first = compile("${A=1}{{ data.id }}${B=2}");
    let second = compile("${C=3}{{ data.id }}");
    assert_eq!(first.render(&templates, &context()).unwrap(), "11234562");
    assert_eq!(second.render(&templates, &context()).unwrap(), "3123456");
    assert_eq!(first.masked(), "${A}{{ data.id }}${B}");
    assert_eq!(format!("{first:?} {templates:?}"), "Template(\"${A}{{ data.id }}${B}\") Templates { templates: 2, .. }");
}

#[test]
fn errors_at_load_name_place_and_fix() {
    for (written, place, message, hint) in [
        ("hi {{ data.id | uper }}", "uper", "there is no filter `uper`", "did you mean `upper`?"),
        ("hi {{ data.id | uppercase }}", "uppercase", "there is no filter `uppercase`", "`upper`"),
        ("{% filter uper %}x{% endfilter %}", "uper", "there is no filter `uper`", "`upper`"),
        ("{{ data.tags | map('uper') | join }}", "uper", "there is no filter `uper`", "`upper`"),
        ("{{ data.tags | select(\"defind\") | join }}", "defind", "there is no test `defind`", "`defined`"),
        ("{{ data.tags | selectattr('x', 'eqq', 1) | join }}", "eqq", "there is no test `eqq`", "`eq`"),
        ("{{ data.tags | map('email') | join }}", "email", "there is no filter `email`", "`map(attribute=\"email\")`"),
        ("{{ data.name.upper() }}", "upper", "`.upper()` is a method", "write `data.name | upper`"),
        ("a {{ data.name.split(' ')[0] }}", "split", "`.split()` is a method", "write `data.name | split(' ')`"),
        ("{% if data.name.strip().lower() == 'x' %}{% endif %}", "lower", "is a method", "write `data.name | trim | lower`"),
        ("{{ data.name() }}", "name", "`.name()` is a method", "filters take their place"),
        ("{{ 'a %s' % data.name }}", "%", "`%` fills no text in", "`~`"),
        ("{% if data.id is defned %}{% endif %}", "defned", "there is no test `defned`", "`defined`"),
        ("{% if data.id is not defned %}{% endif %}", "defned", "there is no test `defned`", "`defined`"),
        ("{{ rnge(3) }}", "rnge", "there is no function `rnge`", "`range`"),
        ("{{ upper(data.name) }}", "upper", "there is no function `upper`", "`value | upper`"),
        ("{% set n = namespace(x=1) %}", "namespace", "there is no function `namespace`", "functions are: dict, now, range"),
        ("{{ debug() }}", "debug", "there is no function `debug`", "functions are"),
        ("{{ __relay_value_0 }}", "__relay_value_0", "the relay's own", ""),
        ("{% set __relay_text = 1 %}", "__relay_text", "the relay's own", ""),
        ("a {{ ${X} }}", "{{", "`${X}` stands inside `{{ }}`", "outside"),
        ("a {% if ${X} %}{% endif %}", "{%", "`${X}` stands inside `{% %}`", "outside"),
        ("a {{ 'Bearer ${X}' }}", "{{", "`${X}` stands inside `{{ }}`", "outside"),
        ("a {{ data.id", "", "", "needs its `}}`"),
        ("a {% if data.id %}", "", "", "{% endif %}"),
        ("{{ data.a && data.b }}", "&", "", "write `and`"),
        ("{{ data.a || data.b }}", "|", "", "write `or`"),
        ("{{ !data.a }}", "!", "", "write `not`"),
        ("{{ data.a ? 1 : 2 }}", "?", "", "if condition else"),
        ("{{ $.data.id }}", "$", "", "no `$.`"),
        ("{% include 'x' %}", "include", "`{% include %}` cannot be used", "stands alone"),
        ("{%- extends 'x' %}", "extends", "`{% extends %}` cannot be used", "stands alone"),
        ("{% import 'x' as y %}", "import", "`{% import %}` cannot be used", "stands alone"),
        ("{% from 'x' import y %}", "from", "`{% from %}` cannot be used", "stands alone"),
        ("{% autoescape false %}{{ x }}{% endautoescape %}", "autoescape", "`{% autoescape %}` cannot be used", "`| safe`"),
    ] {
        let error = refused_at_load(written);
        assert!(error.message.contains(message), "{written}: {error}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{written}: {error}");
        assert!(written[error.offset..].starts_with(place), "{written}: {error}");
        assert!(!error.to_string().contains("s3cr3t"), "{written}: {error}");
    }
}

/// Places behind values and behind what was added to the source.
#[test]
fn offsets_are_those_of_the_scalar() {
    for written in ["${A=long value}{{ data.a ~ data.b }}${B=x} {{ data.id | uper }}", "{${A=v} {{ data.n | title ~ 'x' | uper }}"] {
        assert_eq!(refused_at_load(written).offset, written.find("uper").unwrap(), "{written}");
    }
    let written = "${A=long value}{{ data.name | title ~ data.id }}\n${B=x} {{ data.id ] }}";
    assert_eq!(refused_at_load(written).offset, written.find(']').unwrap());
}

#[test]
fn errors_of_a_rendering_name_what_is_missing_and_quote_no_value() {
    for (written, message) in [
        ("{{ data.nme }}", "`data.nme` is not in this event; where it may be absent, write `| default(\"...\")`"),
        ("{{ nope }}", "`nope` is not in this event"),
        ("{{ nope.x }}", "`nope` is not in this event"),
        ("{{ data.nme | title }}", "`data.nme"),
        ("{{ data.emails[7].email }}", "is not in this event"),
        ("{{ 'a' ~ data.nme }}", "`data.nme"),
        ("{{ data.fail_error.code }}", "is not in this event"),
        ("{% if data.nme.x %}{% endif %}", "is not in this event"),
        ("{% for x in data.nme %}{% endfor %}", "is not in this event"),
        ("{% macro m(x) %}{{ x.nme }}{% endmacro %}{{ m(data) }}", "`x.nme` is not in this event"),
        ("{{ __relay }}", "`__relay` is not in this event"),
        ("{{ data.fail_error }}", "`data.fail_error` is null; say what to print instead: `| default(\"...\", true)`"),
        ("{{ data.fail_error | title }}", "`data.fail_error | title` prints a value that is null"),
        ("{{ data.fail_error | upper | lower }}", "that is null"),
        ("{{ 'a' ~ data.fail_error ~ 'b' }}", "that is null"),
        ("{{ data.tags | join }}", "an item is null"),
        ("{{ data.fail_error | string }}", "that is null"),
        ("{{ data.fail_error | urlencode }}", "that is null"),
        ("{{ range }}", "`range` is a function, not a value"),
        ("{{ data.name + 1 }}", "`data.name + 1` cannot be rendered: `+` does not go with a text and a number; `~` joins them"),
        ("{{ data.fail_error + 1 }}", "`data.fail_error + 1` works with a value that is null (`data.fail_error`); say what to use instead"),
        ("{% for x in data.id %}{% endfor %}", "cannot be rendered"),
        ("{{ data.name | round }}", "cannot be rendered"),
        ("{{ '%d' | format(data.name) }}", "cannot be rendered"),
        ("{{ dict(data.name) }}", "cannot be rendered"),
        ("{{ data | items | map('abs') | list }}", "cannot be rendered"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests deeper than 100 levels"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "takes more than 500000 steps"),
        ("{% for a in range(1100) %}{{ 'x' * 1000 }}{% endfor %}", "longer than 1048576 bytes"),
        ("{{ 'x' * 100000000 }}", "takes more than 500000 steps"),
    ] {
        let error = refused(written);
        assert!(error.contains(message), "{written}: {error}");
        for value in ["tom", "123456", "acme"] {
            assert!(!error.to_lowercase().contains(value), "{written}: {error}");
        }
    }
}

#[test]
fn excerpts_are_those_of_what_was_written() {
    for (written, excerpt) in [
        ("${A=v} {{ (data.name ~ data.id) + 1 }}", "`(data.name ~ data.id) + 1`"),
        ("{${A=v}{{ data.name | title | abs }}", "`data.name | title | abs`"),
    ] {
        assert!(refused(written).starts_with(excerpt), "{}", refused(written));
    }
}

/// The worst that a text can do to minijinja's parser is refused, takes a moment, and leaves the stack whole.
#[test]
fn long_and_deep_texts() {
    let start = std::time::Instant::now();
    for (piece, after) in [
        ("{{ a }}", ""),
        ("{# #}", ""),
        ("{{ a", ""),
        ("{{ 'a' ~ ", ""),
        ("{% if a %}", ""),
        ("{% if a %}", "{% endif %}"),
        ("${X}", ""),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% macro m() %}", "{% endmacro %}"),
        ("{% raw %}", "{% endraw %}"),
        ("{%", ""),
        ("{", "}"),
        ("{% if a %}{{ b ~ c }}{% elif a %}", "{% endif %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% set a %}", "{% endset %}"),
    ] {
        for count in [100, 499, TEMPLATE_BYTES_MAX / (piece.len() + after.len()) - 1] {
            let written = format!("{}{{{{ a }}}}{}", piece.repeat(count), after.repeat(count));
            let _ = Template::compile(&mut Templates::new(), &text(&written), Escape::None);
        }
    }
    let long_tags = [
        ("a ~ ", ""),
        ("(", ")"),
        ("-", ""),
        ("not ", ""),
        ("a | upper | ", ""),
        ("f(", ")"),
        ("a.b[", "]"),
        ("a if a else ", ""),
        ("a ** ", ""),
        ("{'a': ", "}"),
        ("[", "]"),
        ("a and ", ""),
        ("a.b.", ""),
        ("f(x=", ")"),
        ("a is defined and ", ""),
        ("x[1:", "]"),
    ];
    for (piece, after) in long_tags {
        for count in [31, 74, 149, 298, 10_000] {
            let tag = format!("{}a{}", piece.repeat(count), after.repeat(count));
            let ifs = format!("{}{{{{ {tag} }}}}{}", "{% if a %}".repeat(140), "{% endif %}".repeat(140));
            let chain = format!("{{% if {tag} %}}{}{{% endif %}}", format!("{{% elif {tag} %}}").repeat(450));
            for written in [format!("{{{{ {tag} }}}}"), format!("{{{{ {tag}"), ifs, chain] {
                let _ = Template::compile(&mut Templates::new(), &text(&written), Escape::None);
            }
        }
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    for (written, message) in [
        (format!("{{{{ {}a }}}}", "a ~ ".repeat(1000)), "a tag with more than 300 words and signs"),
        (format!("{{{{ {}a", "(".repeat(1000)), "brackets nest deeper than 32 levels"),
        ("{{ a }}".repeat(501), "a template with more than 500 tags"),
        (format!("{}{{{{ a }}}}", "a".repeat(TEMPLATE_BYTES_MAX)), "the template is longer than 65536 bytes"),
    ] {
        assert_eq!(refused_at_load(&written).message, message);
    }
    assert_eq!(rendered(&"long ".repeat(100_000)).len(), 500_000);
}

#[test]
fn every_suggestion_exists() {
    let [filters, tests, functions] = suggestions();
    for name in filters {
        // A name that does not exist is refused at load; how it renders is beside the point.
        let _ = outcome(&format!("{{{{ data.id | {name} }}}}"), Escape::None).unwrap();
    }
    for name in tests.into_iter().filter(|name| *name != "in") {
        let _ = outcome(&format!("{{{{ data.id is {name}(1) }}}}"), Escape::None).unwrap();
    }
    for name in functions {
        let _ = outcome(&format!("{{{{ {name}(data.id) }}}}"), Escape::None).unwrap();
    }
}

#[test]
fn literals_cost_nothing() {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text("plain ${X=y}"), Escape::None).unwrap();
    assert!(matches!(template.render(&templates, &context()).unwrap(), std::borrow::Cow::Borrowed("plain y")));
}

/// Found by the fuzz target: a list that is multiplied is only as long as its last item, until somebody walks it.
#[test]
fn multiplied_lists_and_texts_cost_no_more_than_their_fuel() {
    for expression in [
        "33 ~ 3333333 * [1, 2, 3] | map(\"string\")",
        "[1] * 90000000",
        "([data.id] * 90000000) | join(\",\")",
        "([data.id] * 90000000) | tojson",
        "(data.emails * 30000000) | map(attribute=\"email\") | join",
    ] {
        let rendered = outcome(&format!("{{{{ {expression} }}}}"), Escape::None);
        assert!(matches!(&rendered, Ok(Err(_)) | Err(_)), "{expression}: {rendered:?}");
    }
}
