//! Runs the `tests` of routes.yaml: what a dry run ([`crate::explain`]) says is held against what a test expects.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;

use crate::config::{Config, Expectation, TestCase};
use crate::event::{Event, EventId, parse_payload};
use crate::explain::{Decided, Delivery, explain};
use crate::transform::{Request, are_lines};

/// Differences that are told of one test. Nobody reads more.
pub const DIFFERENCES_MAX: usize = 50;

/// What was found where something else was expected. Values of `${...}` are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `crm: body.email`
    pub place: String,
    /// What the test says; `None`: nothing should be there.
    pub wanted: Option<String>,
    /// What there is; `None`: nothing. Where nothing is wanted either, the place says how many more differences there are.
    pub found: Option<String>,
}

/// Holds what the rules make of a body against a test's expectations. An empty list: the test passed.
///
/// # Errors
/// Where the body is no event.
pub fn run(config: &Config, case: &TestCase, body: Bytes, now: Timestamp) -> Result<Vec<Difference>, String> {
    let received_at = case.event.received_at.unwrap_or(now);
    let payload =
        parse_payload(&body).map_err(|reason| format!("the payload is not an event: {reason}; the relay would put it into quarantine"))?;
    let id = EventId::of(case.event.source_of(&payload), received_at);
    let event = Event::new(id, received_at, case.event.path.clone(), case.event.query.clone(), body);
    let event = event.of_account(case.event.account.as_deref().map(Into::into)).with_payload(payload);
    // What a test expects of `now()` holds on every day.
    let now = case.now.or(case.event.received_at).unwrap_or(now);
    let explanation = explain(config, &Arc::new(event), now);
    let mut comparison = Comparison { config, differences: Vec::new() };
    if let Some(wanted) = &case.routes {
        let matched = explanation.routes.iter().filter(|verdict| verdict.decision == Decided::Matched);
        let found: Vec<&str> = matched.map(|verdict| verdict.route).collect();
        comparison.equal("routes", &list(wanted), &list(&found));
    }
    for (destination, expectation) in &case.expect {
        match explanation.deliveries.iter().find(|delivery| delivery.destination == destination) {
            Some(delivery) => comparison.delivery(delivery, expectation),
            None => {
                let kept = explanation.withheld.iter().find(|kept| kept.destination == destination);
                let found = kept.map(|kept| format!("nothing: it {}", kept.withheld.words()));
                comparison.add(destination, Some("a request".into()), found);
            }
        }
    }
    for delivery in &explanation.deliveries {
        if case.expect.iter().all(|(destination, _)| destination != delivery.destination) {
            let found = match &delivery.request {
                Ok(request) => format!("{} {} (route `{}`)", request.method, delivery.shown_url(request), delivery.route),
                Err(error) => format!("a request that cannot be rendered (route `{}`): {error}", delivery.route),
            };
            comparison.add(delivery.destination, None, Some(found));
        }
    }
    let mut differences = comparison.differences;
    let more = differences.len().saturating_sub(DIFFERENCES_MAX);
    differences.truncate(DIFFERENCES_MAX);
    if more > 0 {
        differences.push(Difference { place: format!("and {more} more"), wanted: None, found: None });
    }
    Ok(differences)
}

struct Comparison<'c> {
    config: &'c Config,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, place: &str, wanted: Option<String>, found: Option<String>) {
        let mask = |text: String| self.config.secrets.mask(&text);
        self.differences.push(Difference { place: place.to_owned(), wanted: wanted.map(mask), found: found.map(mask) });
    }

    fn equal(&mut self, place: &str, wanted: &str, found: &str) {
        if wanted != found {
            self.add(place, Some(wanted.to_owned()), Some(found.to_owned()));
        }
    }

    fn delivery(&mut self, delivery: &Delivery<'_>, wanted: &Expectation) {
        let at = |part: &str| format!("{}: {part}", delivery.destination);
        if let Some(route) = &wanted.route {
            self.equal(&at("route"), route, delivery.route);
        }
        if let Some(method) = &wanted.method {
            self.equal(&at("method"), method.as_str(), delivery.method.as_str());
        }
        match (&delivery.request, &wanted.error) {
            (Ok(request), None) => self.request(delivery, request, wanted),
            (Err(error), Some(words)) if error.to_string().contains(words.as_str()) => {}
            (Err(error), words) => self.add(&at("error"), words.clone(), Some(error.to_string())),
            (Ok(request), Some(words)) => {
                self.add(&at("error"), Some(words.clone()), Some(format!("{} {}", request.method, delivery.shown_url(request))))
            }
        }
    }

    fn request(&mut self, delivery: &Delivery<'_>, request: &Request, wanted: &Expectation) {
        let destination = delivery.destination;
        if let Some(url) = &wanted.url {
            // `https://host` and `https://host/` are one URL.
            let same = url::Url::parse(url).is_ok_and(|url| url == request.url);
            if !same {
                self.equal(&format!("{destination}: url"), url, delivery.shown_url(request));
            }
        }
        for (name, value) in &wanted.headers {
            let place = format!("{destination}: headers.{name}");
            match request.headers.get(name) {
                Some(found) => self.equal(&place, value, &String::from_utf8_lossy(found.as_bytes())),
                None => self.add(&place, Some(value.clone()), None),
            }
        }
        if wanted.body.is_none() && wanted.body_contains.is_none() {
            return;
        }
        let found = body_of(request);
        let place = format!("{destination}: body");
        if let Some(body) = &wanted.body {
            self.whole(&place, body, &found);
        }
        match (&wanted.body_contains, &found) {
            // Of a text, words of it.
            (Some(Value::String(words)), Value::String(text)) if text.contains(words.as_str()) => {}
            (Some(part), found) => self.part(&place, part, found),
            (None, _) => {}
        }
    }

    /// The same value, member for member. Recurses no deeper than bodies nest.
    fn whole(&mut self, place: &str, wanted: &Value, found: &Value) {
        match (wanted, found) {
            (Value::Object(wanted), Value::Object(found)) => {
                for (key, wanted) in wanted {
                    match found.get(key) {
                        Some(found) => self.whole(&below(place, key), wanted, found),
                        None => self.add(&below(place, key), Some(wanted.to_string()), None),
                    }
                }
                for (key, found) in found.iter().filter(|(key, _)| !wanted.contains_key(key.as_str())) {
                    self.add(&below(place, key), None, Some(found.to_string()));
                }
            }
            (Value::Array(wanted), Value::Array(found)) => {
                for index in 0..wanted.len().max(found.len()) {
                    let place = format!("{place}[{index}]");
                    match (wanted.get(index), found.get(index)) {
                        (Some(wanted), Some(found)) => self.whole(&place, wanted, found),
                        (wanted, found) => self.add(&place, wanted.map(Value::to_string), found.map(Value::to_string)),
                    }
                }
            }
            (wanted, found) if wanted == found => {}
            (wanted, found) => self.add(place, Some(wanted.to_string()), Some(found.to_string())),
        }
    }

    /// Every member that is wanted, whatever else is there; every item of a list that is wanted, anywhere in the list.
    fn part(&mut self, place: &str, wanted: &Value, found: &Value) {
        match (wanted, found) {
            (Value::Object(wanted), Value::Object(found)) => {
                for (key, wanted) in wanted {
                    match found.get(key) {
                        Some(found) => self.part(&below(place, key), wanted, found),
                        None => self.add(&below(place, key), Some(wanted.to_string()), None),
                    }
                }
            }
            (Value::Array(wanted), Value::Array(items)) => {
                for item in wanted.iter().filter(|item| !items.iter().any(|found| contains(found, item))) {
                    self.add(&format!("{place}[]"), Some(item.to_string()), Some(found.to_string()));
                }
            }
            (wanted, found) => self.whole(place, wanted, found),
        }
    }
}

fn contains(found: &Value, wanted: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted)))
        }
        (Value::Array(wanted), Value::Array(found)) => wanted.iter().all(|item| found.iter().any(|found| contains(found, item))),
        (wanted, found) => wanted == found,
    }
}

/// A JSON body as it is, any other as text.
fn body_of(request: &Request) -> Value {
    let text = || Value::String(String::from_utf8_lossy(&request.body).into_owned());
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.contains("json") && !are_lines(&request.headers) {
        crate::json::parse(&request.body).unwrap_or_else(|_| text())
    } else {
        text()
    }
}

fn below(place: &str, key: &str) -> String {
    format!("{place}.{key}")
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests;
