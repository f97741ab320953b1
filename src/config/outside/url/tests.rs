use proptest::prelude::*;
use url::Url;

use super::*;

/// A URL as in routes.yaml, with values by name: `${A}`. They may be any, also those that are refused before a URL is looked at.
fn text(written: &str, values: &[(&str, &str)]) -> Text {
    let value_of = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let lookup = |name: &str| value_of(name).map(|_| "x".to_owned());
    let mut text =
        crate::config::outside::interpolate::interpolate(written, &lookup, crate::config::outside::interpolate::Missing::IsAnError).text;
    for part in &mut text.parts {
        if let Part::Value(secret) = part
            && let Some(value) = value_of(&secret.name)
        {
            *part = Part::Value(Secret::new(secret.name.as_str(), value));
        }
    }
    text
}

fn good(written: &str, value: &str) -> String {
    let placed = placed(&text(written, &[("A", value)]));
    placed.unwrap_or_else(|problem| panic!("{written} with {value:?}: {problem:?}")).expose()
}

fn refused(written: &str, value: &str) -> Problem {
    match placed(&text(written, &[("A", value)])) {
        Ok(placed) => panic!("{written} with {value:?} became {}", placed.expose()),
        Err(problem) => problem,
    }
}

/// What must not be in a value that is part of a host.
const MOVERS: [&str; 9] =
    ["evil.example/", "evil.example?", "evil.example#", "x@evil.example", "evil.example\\", "a\tb", "a\nb", "a b", "a%2Fb"];

#[test]
fn a_user_is_percent_encoded() {
    for (value, expected) in [
        ("evil.example/", "evil.example%2F"),
        ("evil.example?", "evil.example%3F"),
        ("evil.example#x", "evil.example%23x"),
        ("a@evil.example", "a%40evil.example"),
        ("evil.example\\", "evil.example%5C"),
        ("relay:s3cret/+=", "relay:s3cret%2F%2B%3D"),
        ("once%2Fencoded", "once%2Fencoded"),
        ("50%", "50%25"),
        ("é{{ x }}", "%C3%A9%7B%7B%20x%20%7D%7D"),
        ("", ""),
    ] {
        for (before, behind) in [("https://", "@api.example.com/x"), ("https://u:", "@api.example.com"), ("https://", ":p@h:1?x#y")] {
            assert_eq!(good(&format!("{before}${{A}}{behind}"), value), format!("{before}{expected}{behind}"), "{value}");
        }
    }
    for value in ["a\nb", "a\tb", "a\0"] {
        assert_eq!(refused("https://${A}@api.example.com", value).offset, 8);
    }
}

#[test]
fn a_host_is_a_host() {
    for value in ["crm", "crm.example.com", "höst-1.example", "10.0.0.1", "a_b"] {
        assert_eq!(good("https://${A}/x", value), format!("https://{value}/x"));
        assert_eq!(good("https://u@${A}.example.com:8443", value), format!("https://u@{value}.example.com:8443"));
    }
    for value in ["crm.internal:8443", "[::1]", "[::1]:8443"] {
        assert_eq!(good("https://${A}/x", value), format!("https://{value}/x"));
        refused("https://${A}.example.com/x", value);
        refused("https://api-${A}", value);
    }
    refused("https://${A}:8443/", "crm:1");
    for value in MOVERS {
        for written in
            ["https://${A}/x", "https://${A}.example.com/x", "https://api-${A}", "https://u@${A}:8443", "https://${A}/{{ data.id }}"]
        {
            let problem = refused(written, value);
            assert!(problem.message.starts_with("`${A}` holds a character"), "{problem:?}");
            assert!(!format!("{problem:?}").contains("evil"), "{problem:?}");
        }
    }
    assert!(refused("https://${A}/evil.example", "").message.contains("is empty"));
    refused("https://api.example.com${A}", "/x");
    refused("https://api.example.com${A}", "@evil.example");
}

#[test]
fn a_port_is_a_number_and_a_scheme_one_of_two() {
    assert_eq!(good("https://h:${A}/", "8443"), "https://h:8443/");
    for value in ["", "99999", "80/", "80@evil.example", "x", " 80"] {
        assert!(refused("https://h:${A}/", value).message.contains("is no port"), "{value}");
    }
    assert_eq!(good("${A}://h/", "HTTP"), "HTTP://h/");
    for value in ["https://evil.example/", "https://evil.example?", "ftp", ""] {
        assert!(refused("${A}://h/", value).message.contains("is no scheme"), "{value}");
    }
    assert!(refused("https:/${A}", "/evil.example").message.contains("does not begin with http"));
}

#[test]
fn a_variable_at_the_beginning_is_a_url_with_its_own_host() {
    for (written, value, expected) in [
        ("${A}", "https://hooks.example.com/services/T0/B0/x?a=b#c", "https://hooks.example.com/services/T0/B0/x?a=b#c"),
        (" ${A} ", "https://u:p@h:1\n", " https://u:p@h:1\n "),
        ("${A}/contacts/{{ data.id }}", "https://crm.example.com", "https://crm.example.com/contacts/{{ data.id }}"),
        ("${A}contacts", "https://crm.example.com/v1/", "https://crm.example.com/v1/contacts"),
        ("${A}?x=1", "https://crm.example.com", "https://crm.example.com?x=1"),
        ("${A}&x=1", "https://crm.example.com?y=2", "https://crm.example.com?y=2&x=1"),
        ("${A}:8443/x", "https://crm.example.com", "https://crm.example.com:8443/x"),
    ] {
        assert_eq!(good(written, value), expected);
    }
    for written in
        ["${A}.example.com/x", "${A}@evil.example/x", "${A}contacts", "${A}-eu", "${A}:x@evil.example/", "${A}:8443@evil.example/"]
    {
        assert!(refused(written, "https://crm.example.com").message.contains("would go on behind it"), "{written}");
    }
    assert!(refused("${A}/x", "crm.example.com").message.contains("is no URL"));
    refused("${A}/x", "https://crm.example.com\n");
    let two = |value: &str| placed(&text("${A}${B}", &[("A", "https://crm.example.com"), ("B", value)]));
    assert!(two("/contacts").is_ok());
    for value in ["contacts", "@evil.example", ".evil.example/", ":1@evil.example"] {
        assert!(two(value).is_err(), "{value}");
    }
}

#[test]
fn a_path_goes_on_as_it_is_and_neither_ends_nor_climbs() {
    for value in ["T0/B0/x", "a b", "é", "a%2Fb", "...", "v1.2", ".well-known", "//x", "a&b=c@d:e", ""] {
        assert_eq!(good("https://h/services/${A}/send", value), format!("https://h/services/{value}/send"));
    }
    for value in ["a?b", "a#b", "a\\b", "..\\x", "a\nb"] {
        refused("https://h/services/${A}/send", value);
        refused("${B:-https://h}/services/${A}", value);
    }
    for value in ["..", ".", "%2e%2E", "a/../b", "../../admin", "..%2fadmin", "a/.", "..%5Cadmin"] {
        assert!(refused("https://h/services/${A}/send", value).message.contains("climbs"), "{value}");
        assert!(refused("https://h/services/${A}?x=y", value).message.contains("climbs"), "{value}");
    }
    assert!(refused("https://h/.${A}", ".").message.contains("climbs"));
    assert!(refused("https://h/..${A}/x", "").message.contains("climbs"));
    // What is written is the file's own business.
    assert_eq!(good("https://h/a/../${A}", "x"), "https://h/a/../x");
    assert_eq!(good("https://h/${A}?next=../..", "x"), "https://h/x?next=../..");
}

#[test]
fn a_query_keeps_its_parameters() {
    assert_eq!(good("https://h/x?key=${A}&v=1", "a&role=admin#b+%26"), "https://h/x?key=a%26role%3Dadmin%23b%2B%26&v=1");
    assert_eq!(good("https://h/x?v=1&key=Bearer-${A}", "a&b?c"), "https://h/x?v=1&key=Bearer-a%26b%3Fc");
    assert_eq!(good("https://h/x?${A}", "a=b&c=d"), "https://h/x?a=b&c=d");
    assert_eq!(good("https://h/x?a=b&${A}", "c=d&e=f"), "https://h/x?a=b&c=d&e=f");
    assert!(refused("https://h/x?${A}", "a#b").message.contains("`#`"));
    refused("https://h/x?a=${A}", "a\nb");
    // What reads a form takes a plus for a blank.
    assert_eq!(good("https://h/x?key=${A}", "ab+c=="), "https://h/x?key=ab%2Bc%3D%3D");
    assert_eq!(good("https://h/x?key=${A}", "é /{{ x }}%2f50%"), "https://h/x?key=%C3%A9%20%2F%7B%7B%20x%20%7D%7D%2f50%25");
    assert_eq!(good("https://h/x?key=${A}", "a-b._~c"), "https://h/x?key=a-b._~c");
}

#[test]
fn what_is_written_is_sent_where_it_is_written() {
    for written in ["https://h/x#${A}", "https://h/x?y#z=${A}", "https://h/x#{{ data.id }}${A}"] {
        assert!(refused(written, "a").message.contains("`${A}` stands behind a `#`"), "{written}");
    }
    for value in ["http://h/base#", "http://h#x", "http://h/?k=1#"] {
        for behind in ["/x/{{ data.id }}", "?a=b", "&a=b", "x", "{{ data.id }}", "${B:-x}", "#y"] {
            let problem = refused(&format!("${{A}}{behind}"), value);
            assert!(problem.message.starts_with("`${A}` holds a `#`") && problem.offset == 0, "{behind}: {problem:?}");
        }
        assert_eq!(good(" ${A} ", value), format!(" {value} "));
    }
    for behind in ["/x/{{ data.id }}", "?a=b", "{{ data.id }}/x", "x/y", "${B:-x}/y"] {
        let problem = refused(&format!("${{A}}{behind}"), "http://h/base?k=1");
        assert!(problem.message.starts_with("`${A}` holds a `?`") && problem.offset == 0, "{behind}: {problem:?}");
    }
    for (written, value, expected) in [
        ("${A}&next=/x?y", "http://h/?k=1", "http://h/?k=1&next=/x?y"),
        ("${A}{{ data.id }}", "http://h/?id=", "http://h/?id={{ data.id }}"),
        ("${A}/x", "http://h/base", "http://h/base/x"),
    ] {
        assert_eq!(good(written, value), expected);
    }
}

#[test]
fn tags_are_looked_past() {
    for written in ["https://h/{{ 'a?b#c' }}/${A}", "https://h/{% if x == '?' %}${A}{% endif %}", "https://h/{# ? #}${A}"] {
        refused(written, "a?b");
    }
    assert_eq!(good("https://h/{{ data.id }}?key=${A}", "a&b"), "https://h/{{ data.id }}?key=a%26b");
    assert_eq!(good("https://h/{{ data.id }}${A}", "."), "https://h/{{ data.id }}.", "it is looked at when it is rendered");
}

/// URLs with a value in each place but the beginning, where the host is the file's.
const FIXED: [&str; 8] = [
    "https://${A}@api.example.com:8443/x",
    "https://u:${A}@api.example.com:8443/x?y#z",
    "https://${A}:${A}@api.example.com:8443",
    "https://api.example.com:8443/${A}",
    "https://api.example.com:8443/a/${A}/b?y",
    "https://api.example.com:8443?k=${A}&v=1",
    "https://api.example.com:8443/x?${A}",
    "https://u@api.example.com:8443/${A}?k=${A}#z",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a value is, it is refused, or the request goes where it goes with any other value.
    #[test]
    fn no_value_moves_a_request(value in "([a-z0-9]|[/?#@:\\\\.%&=\\[\\] ]|%2[eEfF]|\\.\\.|//|é|[\\t\\n\\u{0}]){0,12}") {
        for written in FIXED {
            let Ok(placed) = placed(&text(written, &[("A", &value)])) else { continue };
            let exposed = placed.expose();
            let url = Url::parse(&exposed).unwrap_or_else(|error| panic!("{exposed}: {error}"));
            prop_assert_eq!((url.host_str(), url.port()), (Some("api.example.com"), Some(8443)), "{}", exposed);
            prop_assert!(crate::transform::as_written(&exposed).is_ok(), "{}", exposed);
            if written.contains("/a/") {
                prop_assert!(url.path().starts_with("/a/") && url.path().ends_with("/b"), "{}", exposed);
                prop_assert_eq!(url.query(), Some("y"));
            }
            if written.contains("k=${A}&v=1") {
                prop_assert_eq!(url.query_pairs().count(), 2, "{}", exposed);
            }
        }
        // Part of a host, it cannot leave the host.
        if let Ok(placed) = placed(&text("https://${A}.example.com/x", &[("A", &value)]))
            && let Ok(url) = Url::parse(&placed.expose())
        {
            prop_assert!(url.host_str().is_some_and(|host| host.ends_with(".example.com")) && url.path() == "/x", "{}", url);
            prop_assert_eq!((url.username(), url.port()), ("", None));
        }
    }
}
