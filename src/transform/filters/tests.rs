//! The filters beyond minijinja's own, by example.

use serde_json::{Value, json};

use crate::transform::tests::templates::{context_of, text};
use crate::transform::{Escape, Template, TemplateError, Templates};

/// What `{{ expression }}` gives where `x` is this value.
fn with(x: &Value, expression: &str) -> Result<String, String> {
    outcome(x, &format!("{{{{ {expression} }}}}"), Escape::None).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn outcome(x: &Value, written: &str, escape: Escape) -> Result<Result<String, String>, TemplateError> {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), escape)?;
    let context = context_of(&json!({ "x": x, "nil": null, "now": "a payload's own" }));
    Ok(template.render(&templates, &context).map(std::borrow::Cow::into_owned).map_err(|error| error.message))
}

fn gives(x: Value, expression: &str) -> String {
    with(&x, expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn refused(x: Value, expression: &str) -> String {
    match with(&x, expression) {
        Ok(text) => panic!("{expression}: {text:?}"),
        Err(error) => error,
    }
}

/// What `check` says of a template that fails on every event.
fn refused_at_load(written: &str) -> String {
    outcome(&json!(1), written, Escape::None).err().unwrap_or_else(|| panic!("{written}")).message
}

#[test]
fn slack_leaves_no_mention_and_no_link() {
    for (value, escaped) in [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<https://evil.example|click>", "&lt;https://evil.example|click&gt;"),
        ("R&D &amp; Co <@U1>", "R&amp;D &amp;amp; Co &lt;@U1&gt;"),
        ("it's a/b *bold*", "it's a/b *bold*"),
    ] {
        assert_eq!(gives(json!(value), "x | slack"), escaped);
    }
    assert_eq!(gives(json!(["<a>"]), "x | map('slack') | join(', ')"), "&lt;a&gt;");
    assert_eq!(gives(json!(["<a>"]), "x | slack"), "[\"&lt;a&gt;\"]");
    assert_eq!(gives(json!("<!here>"), "x | safe | slack"), "&lt;!here&gt;");
}

#[test]
fn discord_leaves_no_mention_and_no_markdown() {
    for (value, escaped) in [
        ("@everyone", "@\u{200b}everyone"),
        ("<@123> <@&4>", "\\<@123\\> \\<@&4\\>"),
        ("[click](https://evil.example)", "\\[click\\]\\(https\\:\\/\\/evil.example\\)"),
        ("ada@example.com", "ada@example.com"),
        ("**b** `c` # h", "\\*\\*b\\*\\* \\`c\\` \\# h"),
    ] {
        assert_eq!(gives(json!(value), "x | discord"), escaped);
    }
}

#[test]
fn a_form_gains_no_field_and_a_cell_no_formula() {
    assert_eq!(gives(json!("Ada&role=admin"), "x | form"), "Ada%26role%3Dadmin");
    assert_eq!(gives(json!("a b+c\u{e9}"), "x | form"), "a+b%2Bc%C3%A9");
    assert_eq!(gives(json!({"a": "1&2", "b c": 3}), "x | form"), "a=1%262&b+c=3");
    for (value, cell) in [
        (json!("Ada"), "\"Ada\""),
        (json!("a \"b\", c\nd"), "\"a \"\"b\"\", c\nd\""),
        (json!("=1+1"), "\"'=1+1\""),
        (json!("+34600"), "\"'+34600\""),
        (json!("-2"), "\"'-2\""),
        (json!("@SUM(A1)"), "\"'@SUM(A1)\""),
        (json!("\t=1"), "\"'\t=1\""),
        (json!("\r1"), "\"'\r1\""),
        (json!("  =1"), "\"'  =1\""),
        (json!("\u{ff1d}1"), "\"'\u{ff1d}1\""),
        (json!(-2), "-2"),
        (json!(true), "true"),
        (json!([]), ""),
        (json!(["a,b", 1, "=x"]), "\"a,b\",1,\"'=x\""),
    ] {
        assert_eq!(gives(value.clone(), "x | csv"), cell, "{value}");
    }
    assert_eq!(gives(json!("+34600"), "x | csv(formulas=true)"), "\"+34600\"");
    assert!(refused(json!([null]), "x | csv").contains("null"));
}

#[test]
fn xml_is_for_text_and_for_attributes() {
    assert_eq!(
        gives(json!("<a b='c'>\"R&D\"\n\t\u{1}</a>"), "x | xml"),
        "&lt;a b=&#39;c&#39;&gt;&quot;R&amp;D&quot;&#10;&#9;\u{fffd}&lt;/a&gt;"
    );
}

#[test]
fn a_truncated_text_is_never_longer_than_it_may_be() {
    for (arguments, cut) in [
        ("(9)", "Head..."),
        ("(length=9)", "Head..."),
        ("(9, true)", "Head o..."),
        ("(9, killwords=true, end='\u{2026}')", "Head of \u{2026}"),
        ("(13)", "Head of Growth"),
        ("(9, leeway=5)", "Head of Growth"),
    ] {
        let cut = if arguments == "(13)" { "Head of..." } else { cut };
        assert_eq!(gives(json!("Head of Growth"), &format!("x | truncate{arguments}")), cut, "{arguments}");
    }
    assert_eq!(gives(json!(1234), "x | truncate(3, end='')"), "123");
    assert_eq!(gives(json!("x".repeat(300)), "x | truncate | length"), "255");
    for bad in ["(2)", "(-1)", "('9')", "(9, 'yes')", "(9, length=9)", "(9, true, '', 0, 1)", "(9, words=true)", "(9, end=1)"] {
        assert!(refused_at_load(&format!("{{{{ 'Head of Growth' | truncate{bad} }}}}")).contains("can never be rendered"), "{bad}");
        assert!(!refused_at_load(&format!("{{{{ x | truncate{bad} }}}}")).contains("wiza-relay says"), "{bad}");
    }
}

#[test]
fn texts_are_counted_wrapped_centred_and_stripped() {
    assert_eq!(gives(json!("Josée O'Neil, VP 2"), "x | wordcount"), "5");
    assert_eq!(gives(json!("Head of Growth"), "x | wordwrap(8)"), "Head of\nGrowth");
    assert_eq!(gives(json!("Head of Growth"), "x | wordwrap(width=8, wrapstring=' / ')"), "Head of / Growth");
    assert_eq!(gives(json!("Ada"), "x | center(8)"), "  Ada   ");
    assert_eq!(gives(json!("Ada"), "x | center(2)"), "Ada");
    assert_eq!(gives(json!(13_000), "x | filesizeformat"), "13.0 kB");
    assert_eq!(gives(json!(13_312), "x | filesizeformat(true)"), "13.0 KiB");
    for (html, text) in [
        ("<p>Hello <b>R&amp;D</b>\n team</p>", "Hello R&D team"),
        ("teams < 50 people & more", "teams < 50 people & more"),
        ("a<!-- <b>c</b> -->d <br/>", "ad"),
        ("a <b", "a <b"),
        ("&#65;&#x42;&lt;script&gt;&nope;&amp;lt;", "AB<script>&nope;&lt;"),
    ] {
        assert_eq!(gives(json!(html), "x | striptags"), text);
    }
    assert!(refused(json!("1000"), "x | filesizeformat").contains("number of bytes"));
}

#[test]
fn what_is_absent_or_null_is_refused_by_each() {
    let filters = "slack discord xml form csv truncate wordcount wordwrap center striptags filesizeformat date";
    for filter in filters.split_whitespace() {
        for arguments in ["", "()"] {
            let null = refused(json!(1), &format!("nil | {filter}{arguments}"));
            assert!(null.contains("null"), "{filter}: {null}");
            let absent = refused(json!(1), &format!("nothing | {filter}{arguments}"));
            assert!(absent.contains("`nothing` is not in this event"), "{filter}: {absent}");
        }
        let mapped = refused(json!(["a", null]), &format!("x | map('{filter}') | join(',')"));
        assert!(!mapped.contains("wiza-relay says"), "{filter}: {mapped}");
    }
}

#[test]
fn dates_are_what_they_are_called_in_their_zone() {
    for (value, expression, text) in [
        (json!("2026-11-27T23:59:10.123Z"), "x | date", "2026-11-27"),
        (json!("2026-11-27T23:59:10Z"), "x | date('%d.%m.%Y %H:%M', tz='Europe/Berlin')", "28.11.2026 00:59"),
        (json!("2026-07-01T12:00:00+02:00"), "x | date('%H:%M %Z', 'America/New_York')", "06:00 EDT"),
        (json!(1_774_747_800), "x | date(format='%H:%M', tz='Europe/Berlin')", "03:30"),
        (json!(0.5), "x | date('%Y %H:%M')", "1970 00:00"),
        (json!("2026-01-31"), "x | date('%A, %-d %B', tz='America/Los_Angeles')", "Saturday, 31 January"),
        (json!(1), "event.received_at | date('%Y-%m-%d %H:%M', tz='Asia/Kolkata')", "2026-02-03 09:35"),
    ] {
        assert_eq!(gives(value, expression), text, "{expression}");
    }
    for no_date in [json!("yesterday"), json!("2026-11-27T10:00:00"), json!("20261127"), json!(1e300), json!("2026-13-01"), json!(true)] {
        assert!(refused(no_date.clone(), "x | date").contains("this is no date"), "{no_date}");
    }
    // What the payload names may be anything; it is not quoted.
    let zone = refused(json!("s3cret"), "event.received_at | date(tz=x)");
    assert!(zone.contains("time zone is not known") && !zone.contains("s3cret"), "{zone}");
}

#[test]
fn now_is_the_time_of_the_rendering() {
    assert_eq!(gives(json!(1), "now()"), "2026-03-29T01:30:00.000Z");
    assert_eq!(gives(json!(1), "now() | date('%H:%M %Z', tz='Europe/Berlin')"), "03:30 CEST");
    assert_eq!(gives(json!(1), "payload.now"), "a payload's own");
    let in_macro = outcome(&json!(1), "{% macro m() %}{{ now() | date('%Y') }}{% endmacro %}{{ m() }}", Escape::None);
    assert_eq!(in_macro.unwrap().unwrap(), "2026");
    assert!(refused_at_load("{{ now }} {{ now() | date(tz='Europe/Berln') }}").contains("time zone is not known"));
    assert!(refused(json!(1), "now").contains("is a function"));
}

#[test]
fn arguments_that_can_never_be_right_are_found_while_the_file_loads() {
    for (written, words) in [
        ("{{ x | date('%E') }}", "the format is not one of dates"),
        ("{{ x | date(tz='Mars/Olympus') }}", "the time zone is not known"),
        ("{% if x %}{{ x | upper | truncate(2) }}{% endif %}", "take a greater `length`"),
        ("{{ x | wordwrap(0) }}", "take a greater `width`"),
        ("{{ x | csv(formula=true) }}", "a name that this filter does not know"),
    ] {
        assert!(refused_at_load(written).contains(words), "{written}: {}", refused_at_load(written));
    }
}

#[test]
fn no_filter_makes_more_text_than_its_fuel_pays_for() {
    for expression in ["x | center(99999999999)", "x | wordwrap(1, wrapstring='abcdefghij' * 90000)", "([x] * 90000000) | csv"] {
        let told = refused(json!("x ".repeat(5000)), expression);
        assert!(told.contains("steps") || told.contains("longer than"), "{expression}: {told}");
    }
}

#[test]
fn in_a_url_a_form_value_is_encoded_once_and_others_as_any_text() {
    let url = |written: &str| outcome(&json!("a b&<c"), written, Escape::Url).unwrap().unwrap();
    assert_eq!(url("https://h/?q={{ x | form }}"), "https://h/?q=a+b%26%3Cc");
    assert_eq!(url("https://h/?q={{ x | slack }}"), "https://h/?q=a%20b%26amp%3B%26lt%3Bc");
    assert_eq!(url("https://h/?q={{ x | truncate(4) }}"), "https://h/?q=a...");
}

#[test]
fn what_can_never_work_is_refused_at_load() {
    for written in [
        "{{ data.id is sameas }}",
        "{% if data.id is not eq and data.id %}x{% endif %}",
        "{{ [data.id is lt] }}",
        "{{ data.id | round('x') }}",
        "{{ data.name | replace('a') }}",
    ] {
        let error = refused_at_load(written);
        assert!(error.contains("can never be rendered"), "{written}: {error}");
    }
    assert_eq!(gives(json!(1), "x is eq 1 and x is not sameas(true) and x is in [1]"), "true");
    assert_eq!(gives(json!(1.26), "x | round(1)"), "1.3");
}

#[test]
fn a_null_argument_does_not_count_as_not_given() {
    for (value, written) in [
        (json!(null), "event.received_at | date(tz=x)"),
        (json!(null), "event.received_at | date('%Y', x)"),
        (json!(null), "'a' | csv(formulas=x)"),
        (json!(null), "'a' | truncate(length=x)"),
    ] {
        let error = refused(value, written);
        assert!(error.contains("argument") || error.contains("a length is"), "{written}: {error}");
    }
}
