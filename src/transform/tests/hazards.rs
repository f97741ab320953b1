//! What `check` says of a template holds when it is rendered: where it says nothing, no null and nothing absent fails; where
//! it warns, one of them does.

use serde_json::{Value, json};

use super::templates::{context_of, text};
use crate::transform::*;

/// The paths that `check` warns of in a template, and what it fails with for some event.
fn outcome(written: &str) -> (Vec<String>, Option<String>) {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), Escape::None).unwrap_or_else(|error| panic!("{written}: {error}"));
    let mut warned: Vec<String> = template.hazards().iter().map(|read| read.path.names().join(".")).collect();
    warned.retain(|path| path != "data.id" && path != "data");
    warned.dedup();
    let choices =
        |texts: &[Value]| -> Vec<Option<Value>> { [None, Some(Value::Null)].into_iter().chain(texts.iter().cloned().map(Some)).collect() };
    let emails = choices(&[json!([]), json!([{"email": "a@b.c"}])]);
    let texts = choices(&[json!(""), json!("x"), json!("Test")]);
    let mut failure = None;
    for name in &texts {
        for title in &texts {
            for emails in &emails {
                let mut payload = json!({"data": {"id": 1}});
                for (key, value) in [("name", name), ("title", title), ("emails", emails)] {
                    value.iter().for_each(|value| payload["data"][key] = (*value).clone());
                }
                let rendered = template.render(&templates, &context_of(&payload));
                failure = failure.or_else(|| rendered.err().map(|error| format!("{payload}: {}", error.message)));
            }
        }
    }
    (warned, failure)
}

#[test]
fn what_protects_a_value_silences_the_warning() {
    for written in [
        "{% if data.name %}{{ data.name }}{% endif %}",
        "{% if data.name and data.id %}{{ data.name }}{% endif %}",
        "{% if data.name != none and data.name is defined %}{{ data.name }}{% endif %}",
        "{% if data.name is defined and data.name is not none %}{{ data.name }}{% endif %}",
        "{% if data.name is not defined or data.name is none %}-{% else %}{{ data.name }}{% endif %}",
        "{% if data.name is string %}{{ data.name | title }}{% endif %}",
        "{% if data.name == 'x' %}{{ data.name }}{% endif %}",
        "{% if data.name in ['x', 'y'] %}{{ data.name }}{% endif %}",
        "{% if data.name is eq('x') %}{{ data.name }}{% endif %}",
        "{% if data.name is startingwith('x') %}{{ data.name }}{% endif %}",
        "{% if data.name > 'a' %}{{ data.name }}{% endif %}",
        "{% if 'a' < data.name <= 'z' %}{{ data.name }}{% endif %}",
        "{% if not data.name %}-{% else %}{{ data.name }}{% endif %}",
        "{% if not data.name %}-{% elif data.title == 'x' %}{{ data.name }}{{ data.title }}{% endif %}",
        "{% if data.name != 'x' %}-{% else %}{{ data.name }}{% endif %}",
        "{% if data.name %}x{% elif data.title %}{{ data.title }}{% endif %}",
        "{% if data.name or data.title %}{{ data.name or data.title }}{% endif %}",
        "{% if data.name or data.title %}{{ data.title if not data.name else data.name }}{% endif %}",
        "{% if data.name or data.title or data.id %}{% if data.name %}{{ data.name }}{% elif data.title %}{{ data.title }}{% endif %}{% endif %}",
        "{% if not (not data.name or not data.title) %}{{ data.name }}{{ data.title }}{% endif %}",
        "{% if data.name | default('') %}{{ data.name }}{% endif %}",
        "{% if data.name or '' %}{{ data.name }}{% endif %}",
        "{% if (data.name or '') != '' %}x{% endif %}",
        "{% if data.name %}{% if data.title %}{{ data.name }}{{ data.title }}{% endif %}{{ data.name }}{% endif %}",
        "{% set who = data.name %}{% if who %}{{ data.name }}{{ who }}{% endif %}",
        "{{ data.name if data.name else 'y' }}",
        "{{ 'y' if not data.name else data.name }}",
        "{{ (data.name and data.name | title) or '-' }}",
        "{{ data.name | default('', true) }}",
        "{{ [data.name, data.title] | select | join(' ') }}",
        "{{ [data.name, data.title] | select | first | default('-', true) }}",
        "{{ [data.name or '', data.id] | csv }}",
        "{{ {'a': data.name or ''} | form }}{{ dict(a=data.name | default('', true)) | form }}",
        "{% for mail in data.emails or [] %}{{ mail.email }}{% endfor %}",
        "{% if data.emails %}{{ data.emails[0].email }}{% endif %}",
        "{% if data.emails and data.emails[0].email == 'x' %}y{% endif %}",
        "{{ data.emails[0].email if data.emails else '-' }}",
        // What is compared need not be there.
        "{% if data.name < 50 %}a{% elif data.name == 'x' %}b{% elif data.name != data.title %}c{% endif %}",
        "{{ 'y' if data.name == 'x' else 'n' }}{{ 'y' if data.name in ['x'] else 'n' }}{{ data.name is lt(50) }}",
        "{{ data.emails is eq([]) }}{{ data.name is startingwith('x') }}{{ data.id is odd }}{{ 1 < data.name < 5 }}",
    ] {
        assert_eq!(outcome(written), (Vec::new(), None), "{written}");
    }
}

#[test]
fn what_only_mentions_a_value_does_not() {
    for (written, path) in [
        ("{% if data.name is defined %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name != '' %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name != none %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name == none %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name is not none %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name not in ['x'] %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name in ['x', none] %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name == data.title %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if not data.name %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name %}x{% else %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name %}x{% elif data.id %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name or data.title %}{{ data.title }}{% endif %}", "data.title"),
        ("{% if not (data.name and data.title) %}{{ data.title }}{% endif %}", "data.title"),
        ("{% if data.name %}{{ data.name }}{% endif %}{{ data.name }}", "data.name"),
        ("{% if data.name < 'a' %}-{% else %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.name | default('x', true) %}{{ data.name }}{% endif %}", "data.name"),
        ("{% if data.emails != none and data.emails is defined %}{{ data.emails[0].email }}{% endif %}", "data.emails.email"),
        ("{{ 'y' if data.name else data.name }}", "data.name"),
        ("{{ data.name or data.title }}", "data.title"),
        ("{% if data.name or data.id %}{{ data.name or data.title }}{% endif %}", "data.title"),
        ("{{ data.name and 'x' }}", "data.name"),
        ("{{ data.name | default('', false) }}", "data.name"),
        ("{{ data.name | default('') }}", "data.name"),
        ("{{ [data.name, data.id] | join(' ') }}", "data.name"),
        ("{{ [data.name, data.id] | csv }}", "data.name"),
        ("{{ ([data.name] + [data.id]) | list | join(' ') }}", "data.name"),
        ("{{ (data.name, data.id) | join }}", "data.name"),
        ("{{ {'a': data.name} | urlencode }}", "data.name"),
        ("{{ {'a': data.name} | form }}", "data.name"),
        ("{{ dict(a=data.name) | form }}", "data.name"),
        ("{{ [data.name] }}", "data.name"),
        ("{{ {'a': data.name} | tojson }}", "data.name"),
        ("{{ 'x' in data.name }}", "data.name"),
        // What leads there is missing.
        ("{% if data.emails[0].email %}x{% endif %}", "data.emails"),
        ("{{ 'y' if data.emails[0].email == 'x' else 'n' }}", "data.emails"),
        ("{{ data.emails[0].email | default('-', true) }}", "data.emails"),
        ("{{ data.emails[0].email or '-' }}", "data.emails"),
        ("{{ data.name in 'xyz' }}", "data.name"),
    ] {
        let (warned, failure) = outcome(written);
        assert_eq!(warned, [path], "{written}");
        assert!(failure.is_some(), "{written} never fails");
    }
}
