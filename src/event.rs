//! What the relay receives: one webhook of Wiza's, once accepted.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::json;

/// Reads the body of a webhook, which is an event only if it is a JSON object.
///
/// # Errors
/// Why it is none. A position is safe to show; what stands there is not, and is not told.
pub fn parse_payload(body: &[u8]) -> Result<Value, String> {
    match json::parse(body) {
        Ok(payload @ Value::Object(_)) => Ok(payload),
        Ok(other) => Err(format!("it is {} and not an object", kind_of(&other))),
        Err(fault) => Err(format!("it {fault}")),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Who says what an event tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventSource {
    /// Wiza: the event is a webhook.
    #[default]
    Wiza,
    /// The relay itself.
    Relay,
}

impl EventSource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wiza, Self::Relay];

    /// `event.source` of rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wiza => "wiza",
            Self::Relay => "relay",
        }
    }
}

/// Names an event: a UUID version 7 (RFC 9562), so that ids sort by the time of receipt. An own event of the relay's has one of
/// version 8, which is the same but for that number. So an id says whose event it is, wherever it is kept, and no webhook can say
/// that it is the relay's own: the relay makes the ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id for an event received at `now`, with 74 random bits.
    pub fn new(now: Timestamp) -> Self {
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let random: [u8; 10] = rand::random();
        Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }

    /// A new id for an event that this source told at `now`.
    pub fn of(source: EventSource, now: Timestamp) -> Self {
        let id = Self::new(now);
        match source {
            EventSource::Wiza => id,
            EventSource::Relay => Self(uuid::Builder::from_bytes(*id.as_bytes()).with_version(uuid::Version::Custom).into_uuid()),
        }
    }

    /// Whose event it is.
    pub fn source(&self) -> EventSource {
        match self.0.get_version() {
            Some(uuid::Version::Custom) => EventSource::Relay,
            _ => EventSource::Wiza,
        }
    }

    /// The id whose 16 bytes were stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// When the id was made, in Unix milliseconds: the first 48 bits (RFC 9562, section 5.7).
    pub fn milliseconds(&self) -> i64 {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        i64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The 16 bytes to store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// Bytes of memory above which a payload is not kept with its event.
const PAYLOAD_KEPT_MAX: usize = 1 << 20;
/// So many bytes of memory a byte of text takes less than.
const MEMORY_A_BYTE_MAX: usize = 128;

/// The facts' names, the id, the time and an account's name (63 bytes at most).
const FACTS_BYTES: usize = 320;

/// One accepted webhook. Its body is kept byte for byte; payload and facts are made of it at most once, on first use,
/// and shared by all rules and deliveries.
#[derive(Debug)]
pub struct Event {
    /// The relay's own id, answered to Wiza.
    pub id: EventId,
    /// When the webhook's body was complete.
    pub received_at: Timestamp,
    /// What follows the source's path, without a leading slash: `emea` for `/webhooks/wiza/emea`.
    pub path: String,
    /// The query string as sent, without the `?`.
    pub query: String,
    /// The name of the API key that it came with; `None` where that key has no name.
    pub account: Option<Arc<str>>,
    /// The body as received (inflated, where it came compressed).
    pub body: Bytes,
    damaged: bool,
    payload: OnceLock<Value>,
    facts: OnceLock<Value>,
}

impl Event {
    /// An event whose body has not been parsed yet: one read back from the store.
    pub fn new(id: EventId, received_at: Timestamp, path: String, query: String, body: Bytes) -> Self {
        let (damaged, payload, facts) = (false, OnceLock::new(), OnceLock::new());
        Self { id, received_at, path, query, account: None, body, damaged, payload, facts }
    }

    /// The same event, which came with a key of this name.
    #[must_use]
    pub fn of_account(self, account: Option<Arc<str>>) -> Self {
        Self { account, ..self }
    }

    /// The same event, found to be another than was stored.
    #[must_use]
    pub fn damaged(self) -> Self {
        Self { damaged: true, ..self }
    }

    /// Whether it is not what was stored, so that nobody must be given it.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// The same event with its parsed body, where the caller has it already.
    #[must_use]
    pub fn with_payload(self, payload: Value) -> Self {
        // The cell is new, so this cannot find it filled.
        let _ = self.payload.set(payload);
        self
    }

    /// The same event without its parsed body, which is made again where it is asked for.
    #[must_use]
    pub fn without_payload(self) -> Self {
        Self { payload: OnceLock::new(), ..self }
    }

    /// The event for somebody who reads its payload and soon lets go of it. Where the payload takes much memory it is a copy that shares
    /// the body, so that the payload goes with it, and not only when the last queue lets go of the event.
    pub fn for_a_while(self: &Arc<Self>) -> Arc<Self> {
        if self.body.len() * MEMORY_A_BYTE_MAX <= PAYLOAD_KEPT_MAX || json::need(&self.body) <= PAYLOAD_KEPT_MAX {
            return Arc::clone(self);
        }
        let Self { id, received_at, path, query, account, body, damaged, .. } = &**self;
        let copy = Self::new(*id, *received_at, path.clone(), query.clone(), body.clone()).of_account(account.clone());
        Arc::new(Self { damaged: *damaged, ..copy })
    }

    /// The parsed body. Only JSON objects are accepted as events, so `null` stands for a body that no longer
    /// parses, which no rule can match and no template can read.
    pub fn payload(&self) -> &Value {
        self.payload.get_or_init(|| json::parse(&self.body).unwrap_or(Value::Null))
    }

    /// The relay's own facts, called `event` in conditions and templates: `id`, `received_at`, `path`, `query`, `source`, and
    /// `account` where there is one.
    pub fn facts(&self) -> &Value {
        self.facts.get_or_init(|| {
            let facts = [
                ("id", Some(self.id.to_string().into())),
                ("received_at", Some(rfc3339_milliseconds(self.received_at).into())),
                ("path", Some(self.path.as_str().into())),
                ("query", Some(query_map(&self.query))),
                ("source", Some(self.source().name().into())),
                ("account", self.account.as_ref().map(|account| account.to_string().into())),
            ];
            // `json!` would make room for one after the other.
            let mut object = Map::with_capacity(facts.len());
            object.extend(facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            Value::Object(object)
        })
    }

    /// Whether it is a webhook or one of the relay's own events.
    pub fn source(&self) -> EventSource {
        self.id.source()
    }

    /// How many bytes the payload and the facts have as text, or a few more.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.path.len() + self.query.len() + FACTS_BYTES
    }
}

/// RFC 3339 in UTC with exactly three digits of a second: the form of every time that the relay shows.
pub fn rfc3339_milliseconds(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// The query's parameters by name; of a repeated name the first counts.
fn query_map(query: &str) -> Value {
    let mut map = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        map.entry(name.into_owned()).or_insert_with(|| Value::String(value.into_owned()));
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_told_without_its_content() {
        for (body, reason) in [
            ("[1]", "it is an array and not an object"),
            ("{\"a\": \"secret\"", "it is not valid JSON: it ends in the middle of a value, at line 1, column 15"),
            ("{\"a\":\n 1e400}", "it has a number beyond 1.8e308, the range of a 64-bit float, at line 2, column 2"),
            ("", "it is empty"),
        ] {
            assert_eq!(parse_payload(body.as_bytes()).unwrap_err(), reason, "{body}");
        }
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse_payload(nested(json::DEPTH_MAX).as_bytes()).is_ok());
        let reason = parse_payload(nested(json::DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert!(reason.starts_with("it nests deeper than 127 levels"), "{reason}");
    }

    #[test]
    fn an_id_says_whose_event_it_is_and_sorts_by_time_all_the_same() {
        let now: Timestamp = "2026-11-28T03:00:05.120Z".parse().unwrap();
        let [webhook, own] = EventSource::ALL.map(|source| EventId::of(source, now));
        assert_eq!((webhook.source(), own.source()), (EventSource::Wiza, EventSource::Relay));
        for id in [webhook, own] {
            assert_eq!(id.milliseconds(), now.as_millisecond());
            let read: EventId = id.to_string().parse().unwrap();
            assert_eq!((read, EventId::from_bytes(*id.as_bytes()).source()), (id, id.source()), "{id}");
        }
        let later = EventId::new(now + std::time::Duration::from_millis(1));
        assert!(webhook < later && own < later);
        assert_eq!((&webhook.to_string()[14..15], &own.to_string()[14..15]), ("7", "8"));
    }

    #[test]
    fn numbers_keep_their_last_digit() {
        for number in ["3e-71", "0.1", "300e-73", "5e-324", "1.7976931348623157e308", "9007199254740993", "18446744073709551615"] {
            let payload = parse_payload(format!("{{\"n\":{number}}}").as_bytes()).unwrap();
            let exact: f64 = number.parse().unwrap();
            assert_eq!(payload["n"].as_f64(), Some(exact), "{number}");
        }
    }
}
