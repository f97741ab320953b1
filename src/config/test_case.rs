//! `tests`: events with what should become of them. Decoded wholly when the file is, so that a mistake in a test has its
//! place like every other; [`crate::rule_test`] runs them.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderName, Method};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::event::EventSource;
use crate::own_events;

use super::yaml::{Content, Kind, Node, Scalar};
use crate::config::destinations::destination::METHODS;
use crate::config::destinations::shape::optional;
use crate::config::findings::finding::{Place, quoted};
use crate::config::reading::decode::{Decoder, listed};

/// One entry of `tests`.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Names the test in reports.
    pub name: String,
    /// Where the test begins.
    pub place: Place,
    /// The event's body.
    pub payload: Payload,
    /// The relay's own facts, where a rule reads them.
    pub event: Facts,
    /// `now()` of templates; `None`: the event's `received_at`, where the test gives one.
    pub now: Option<Timestamp>,
    /// Every destination that should get something, and what.
    pub expect: Vec<(String, Expectation)>,
    /// Every route that should match, in the file's order; `None`: not looked at.
    pub routes: Option<Vec<String>>,
}

/// The body of a test's event.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A path beside the file that the test stands in.
    File(String),
    /// The object itself.
    Inline(Value),
}

/// What the relay would know of the event beside its body.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `event.path`
    pub path: String,
    /// `event.query`, as it stands in a URL.
    pub query: String,
    /// `event.account`; `None`: the key has no name.
    pub account: Option<String>,
    /// `event.received_at`; `None`: any time.
    pub received_at: Option<Timestamp>,
    /// `event.source`; `None`: the relay, where the payload's `type` begins with `relay.`, else Wiza.
    pub source: Option<EventSource>,
}

impl Facts {
    /// Whose event a payload is.
    pub fn source_of(&self, payload: &Value) -> EventSource {
        let is_own = || payload.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(own_events::PREFIX));
        self.source.unwrap_or_else(|| if is_own() { EventSource::Relay } else { EventSource::Wiza })
    }
}

/// What should be sent to a destination. What is not given is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The route that should send it.
    pub route: Option<String>,
    /// The request's method.
    pub method: Option<Method>,
    /// The whole URL.
    pub url: Option<String>,
    /// Headers with their values; others may be there too.
    pub headers: Vec<(HeaderName, String)>,
    /// The whole body: JSON, or text as a string.
    pub body: Option<Value>,
    /// What the body holds among other things.
    pub body_contains: Option<Value>,
    /// Words of the reason why the request cannot be rendered.
    pub error: Option<String>,
}

/// The names that a test may use.
pub(super) struct Names<'n> {
    pub destinations: Known<'n>,
    /// `None` where a route is broken, so that not every name is known.
    pub routes: Option<Known<'n>>,
}

/// Names in the order of the file, and quick to find.
pub(super) struct Known<'n> {
    in_order: Vec<&'n str>,
    all: HashSet<&'n str>,
}

impl<'n> FromIterator<&'n str> for Known<'n> {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let in_order: Vec<&str> = names.into_iter().collect();
        Self { all: in_order.iter().copied().collect(), in_order }
    }
}

pub(super) fn decode_all(decoder: &mut Decoder<'_>, node: &Node, names: &Names<'_>) -> Option<Vec<TestCase>> {
    let items = decoder.list(node, "tests")?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let cases: Vec<Option<TestCase>> = items
        .iter()
        .map(|item| {
            let case = decode(decoder, item, names)?;
            if let Some(first) = places.insert(case.name.clone(), item.span.start) {
                let message = format!("a second test is named {}", quoted(&case.name));
                let first = decoder.report.place_seen_from(first, item.span.start);
                decoder.report.error(item.span.clone(), message).hint(format!("the first is {first}; names are unique"));
            }
            Some(case)
        })
        .collect();
    cases.into_iter().collect()
}

fn decode(decoder: &mut Decoder<'_>, node: &Arc<Node>, names: &Names<'_>) -> Option<TestCase> {
    let mut table = decoder.table(node, "a test")?;
    let name = table.take("name");
    let payload = table.take("payload");
    let expect = table.take("expect");
    let event = table.take("event");
    let now = table.take("now");
    let routes = table.take("routes");
    let misspelt = table.finish(decoder);

    for (key, value) in [("name", name), ("payload", payload), ("expect", expect)] {
        if value.is_none() && !misspelt.contains(&key) {
            decoder
                .report
                .error(node.span.clone(), format!("a test needs {}", quoted(key)))
                .hint("`name`, `payload` (a file or the object inline) and `expect` (by destination; `{}` for none)");
        }
    }
    let name = name.and_then(|name| decoder.public_text(name, "a test's name"));
    let payload = payload.and_then(|payload| decode_payload(decoder, payload));
    let event = event.map(|event| decode_facts(decoder, event));
    let now = now.map(|now| decode_time(decoder, now));
    let expect = expect.and_then(|expect| decode_expect(decoder, expect, names));
    let routes = routes.map(|routes| decode_routes(decoder, routes, names));
    Some(TestCase {
        name: name?,
        place: decoder.report.place_of(node.span.start),
        payload: payload?,
        event: optional(event)?.unwrap_or_default(),
        now: optional(now)?,
        expect: expect?,
        routes: optional(routes)?,
    })
}

fn decode_payload(decoder: &mut Decoder<'_>, node: &Node) -> Option<Payload> {
    match &node.content {
        Content::Mapping(_) => Some(Payload::Inline(node.to_json())),
        Content::Scalar(_) => Some(Payload::File(decoder.public_text(node, "a payload's file")?)),
        Content::Sequence(_) => {
            decoder.report.error(node.span.clone(), "a payload is an object, and this is a list");
            None
        }
        Content::Invalid => None,
    }
}

fn decode_facts(decoder: &mut Decoder<'_>, node: &Node) -> Option<Facts> {
    let mut table = decoder.table(node, "`event`")?;
    let path = table.take("path").map(|node| decoder.public_text(node, "a path"));
    let query = table.take("query").map(|node| decode_query(decoder, node));
    let account = table.take("account").map(|node| decode_account(decoder, node));
    let received_at = table.take("received_at").map(|node| decode_time(decoder, node));
    let source = table.take("source").map(|node| decode_source(decoder, node));
    table.finish(decoder);
    Some(Facts {
        path: optional(path)?.unwrap_or_default().trim_start_matches('/').to_owned(),
        query: optional(query)?.unwrap_or_default(),
        account: optional(account)?,
        received_at: optional(received_at)?,
        source: optional(source)?,
    })
}

/// One that a key of the file names: an event of any other cannot come.
fn decode_account(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let name = decoder.public_text(node, "an account")?;
    let Some(accounts) = decoder.accounts.clone() else { return Some(name) };
    let names: Vec<&str> = accounts.names.iter().map(String::as_str).collect();
    if names.contains(&name.as_str()) {
        return Some(name);
    }
    if names.is_empty() {
        let finding = decoder.report.error(node.span.clone(), format!("there is no account {}: no API key has a name", quoted(&name)));
        finding.hint(format!("`api_keys: [{{ name: {name}, key: ... }}]`"));
    } else {
        unknown(decoder, node.span.clone(), "account", &name, &names);
    }
    None
}

fn decode_source(decoder: &mut Decoder<'_>, node: &Node) -> Option<EventSource> {
    let text = decoder.public_text(node, "a source")?;
    let source = EventSource::ALL.into_iter().find(|source| source.name() == text);
    if source.is_none() {
        let hint = "`wiza` for a webhook, `relay` for one of the relay's own events";
        decoder.report.error(node.span.clone(), format!("{} is not a source of events", quoted(&text))).hint(hint);
    }
    source
}

fn decode_time(decoder: &mut Decoder<'_>, node: &Node) -> Option<Timestamp> {
    let text = decoder.public_text(node, "a time")?;
    let time = Timestamp::from_str(&text).ok();
    if time.is_none() {
        decoder.report.error(node.span.clone(), format!("{} is not a time", quoted(&text))).hint("RFC 3339: `2026-01-31T12:00:00Z`");
    }
    time
}

/// A mapping of names to values, or the query as it stands in a URL.
fn decode_query(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let Content::Mapping(entries) = &node.content else {
        return Some(decoder.public_text(node, "a query")?.trim_start_matches('?').to_owned());
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in entries {
        query.append_pair(&key.text, &decoder.public_text(value, "a query's value")?);
    }
    Some(query.finish())
}

fn decode_routes(decoder: &mut Decoder<'_>, node: &Node, names: &Names<'_>) -> Option<Vec<String>> {
    let items = decoder.list(node, "routes")?;
    items.iter().map(|item| decode_route(decoder, item, names)).collect()
}

fn decode_route(decoder: &mut Decoder<'_>, node: &Node, names: &Names<'_>) -> Option<String> {
    let name = decoder.public_text(node, "a route's name")?;
    match &names.routes {
        Some(routes) if !routes.all.contains(name.as_str()) => {
            unknown(decoder, node.span.clone(), "route", &name, &routes.in_order);
            None
        }
        _ => Some(name),
    }
}

fn unknown(decoder: &mut Decoder<'_>, span: std::ops::Range<usize>, noun: &str, name: &str, known: &[&str]) {
    let near = decoder.near(name, known.iter().copied());
    let finding = decoder.report.error(span, format!("there is no {noun} {}", quoted(name)));
    match near {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => finding.hint("the file has none"),
        None => finding.hint(format!("the file has {}", listed(known))),
    }
}

fn decode_expect(decoder: &mut Decoder<'_>, node: &Node, names: &Names<'_>) -> Option<Vec<(String, Expectation)>> {
    decoder.table(node, "`expect`")?;
    let Content::Mapping(entries) = &node.content else { return Some(Vec::new()) };
    let expectations: Vec<Option<(String, Expectation)>> = entries
        .iter()
        .map(|(key, node)| {
            if !names.destinations.all.contains(key.text.as_str()) {
                unknown(decoder, key.span.clone(), "destination", &key.text, &names.destinations.in_order);
                return None;
            }
            Some((key.text.clone(), decode_expectation(decoder, node, names)?))
        })
        .collect();
    expectations.into_iter().collect()
}

fn decode_expectation(decoder: &mut Decoder<'_>, node: &Node, names: &Names<'_>) -> Option<Expectation> {
    let mut table = decoder.table(node, "an expectation")?;
    let route = table.take("route").map(|node| decode_route(decoder, node, names));
    let method = table.take("method").map(|node| {
        let text = decoder.public_text(node, "a method")?;
        let method = METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(&text)).cloned();
        if method.is_none() {
            let message = format!("{} is not a method that webhooks are sent with", quoted(&text));
            decoder.report.error(node.span.clone(), message).hint(listed(&METHODS));
        }
        method
    });
    let url = table.take("url").map(|node| Some(decoder.text(node, "a URL")?.expose()));
    let headers = table.take("headers").map(|node| decode_headers(decoder, node));
    let body = table.take("body").map(|node| decode_value(decoder, node));
    let body_contains = table.take("body_contains").map(|node| decode_value(decoder, node));
    let error = table.take("error").map(|node| decoder.public_text(node, "words of an error"));
    table.finish(decoder);
    if error.is_some() && (url.is_some() || headers.is_some() || body.is_some() || body_contains.is_some()) {
        decoder
            .report
            .error(node.span.clone(), "a request that cannot be rendered has no URL, headers or body")
            .hint("expect `error` alone, or what is sent");
        return None;
    }
    Some(Expectation {
        route: optional(route)?,
        method: optional(method)?,
        url: optional(url)?,
        headers: optional(headers)?.unwrap_or_default(),
        body: optional(body)?,
        body_contains: optional(body_contains)?,
        error: optional(error)?,
    })
}

fn decode_headers(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<(HeaderName, String)>> {
    decoder.table(node, "headers")?;
    let Content::Mapping(entries) = &node.content else { return Some(Vec::new()) };
    let headers: Vec<Option<_>> = entries
        .iter()
        .map(|(key, value)| {
            let Ok(name) = HeaderName::from_str(&key.text) else {
                decoder.report.error(key.span.clone(), format!("{} is not a header's name", quoted(&key.text)));
                return None;
            };
            Some((name, decoder.text(value, "a header's value")?.expose()))
        })
        .collect();
    headers.into_iter().collect()
}

/// A value as JSON, its strings with `${...}` replaced. Recurses at most as deep as the parser of YAML lets a file nest.
fn decode_value(decoder: &mut Decoder<'_>, node: &Node) -> Option<Value> {
    match &node.content {
        Content::Scalar(Scalar { kind: Kind::String, .. }) => Some(Value::String(decoder.text(node, "a value")?.expose())),
        Content::Scalar(_) => Some(node.to_json()),
        Content::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| decode_value(decoder, item)).collect();
            items.into_iter().collect::<Option<_>>().map(Value::Array)
        }
        Content::Mapping(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, value)| Some((key.text.clone(), decode_value(decoder, value)?))).collect();
            entries.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Content::Invalid => None,
    }
}
