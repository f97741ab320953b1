//! Events and deliveries as listings show them: on the command line, in the API, on the page. The field names are part
//! of the product's face. Nothing in here holds a secret. Bodies and whole replies are in the `...Details` only; a reply's first
//! words may hold personal data as well.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::event::rfc3339_milliseconds;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// At least one route took it.
    Routed,
    /// No route took it.
    Unmatched,
    /// Authentic, but not a JSON object: kept, and delivered only if somebody releases it.
    Quarantined,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Not attempted yet.
    Waiting,
    /// Attempted, and to be attempted again.
    Retrying,
    /// The destination has it.
    Delivered,
    /// Given up; kept until its retention ends, or until it is redriven.
    Dead,
    /// Its destination is not in routes.yaml; it goes on when it comes back.
    Parked,
}

/// What a delivery waits for, beside its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// For somebody to resume the destination: it is paused, or it answered 410.
    Resume,
    /// For a probe of the destination to succeed: its circuit is open.
    Probe,
    /// For the end of the rest that the destination asked for.
    Hold,
    /// For the delivery before it in its line (`order_by`).
    Line,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The relay's own id, as answered to Wiza.
    pub id: String,
    /// When the webhook's body was complete.
    #[serde(serialize_with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// What became of it.
    pub status: EventStatus,
    /// The payload's `type`, if it has one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What followed the source's path.
    pub path: String,
    /// The query string, without its `?`.
    pub query: String,
    /// The name of the API key that it came with; null where that key has none.
    #[serde(default)]
    pub account: Option<String>,
    /// The routes that matched, shadow routes among them.
    pub routes: Vec<String>,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryOfEvent>,
    /// Why it is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The version of the rules that routed it.
    pub rules: Option<String>,
}

/// A delivery, as its event lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryOfEvent {
    /// `<event id>_<destination>`: the `webhook-id`.
    pub id: String,
    /// Where it goes.
    pub destination: String,
    /// Where it stands.
    pub status: DeliveryStatus,
}

/// One event with its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventDetails {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// The body: as JSON where it is JSON, else as text.
    pub body: serde_json::Value,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// `<event id>_<destination>`: the `webhook-id`.
    pub id: String,
    /// The event that is delivered.
    pub event_id: String,
    /// Where it goes.
    pub destination: String,
    /// The route that sent it there; null where `unmatched` did.
    pub route: Option<String>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts that count against the limit, since it was last taken up (by its acceptance, or by a redrive). Those at which the
    /// destination refused the credentials or throttled do not count.
    pub attempts: u32,
    /// The limit, `retry.attempts` of the rules in effect; null where its destination is not in the file.
    #[serde(default)]
    pub attempts_max: Option<u32>,
    /// When it is attempted next, at the earliest; never in the past. Null for a delivery that is retrying: now, or once what it waits
    /// for has happened.
    #[serde(serialize_with = "milliseconds_if_any")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// What it waits for, beside that time; null for nothing.
    #[serde(default)]
    pub waits_for: Option<WaitsFor>,
    /// When the last attempt began; for the one that delivered, when it was written down.
    #[serde(serialize_with = "milliseconds_if_any", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<Timestamp>,
    /// The HTTP status of the last attempt.
    pub last_status: Option<u16>,
    /// Why the last attempt failed, or why the delivery was given up.
    pub last_error: Option<String>,
    /// The first words of the reply to the last attempt that failed, known secrets masked.
    #[serde(default)]
    pub last_reply: Option<String>,
    /// The delivery whose request it goes in, or went in, with the other members of a batch; its own id if it leads the batch. Null
    /// where it is in none (yet).
    #[serde(default)]
    pub batch: Option<String>,
    /// When the destination had it.
    #[serde(serialize_with = "milliseconds_if_any")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// When it was given up.
    #[serde(serialize_with = "milliseconds_if_any", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub dead_at: Option<Timestamp>,
}

/// One delivery with its attempts and its event's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDetails {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its last attempts, the oldest first; 20 at most are kept.
    pub attempt_log: Vec<Attempt>,
    /// Deliveries in the batch that it goes in, or went in; null where it is in none.
    #[serde(default)]
    pub batch_size: Option<u32>,
    /// The request, rendered again by the rules in effect now. What was sent is not kept, and may have been another if the rules have
    /// changed since.
    #[serde(default)]
    pub request: Option<RenderedRequest>,
    /// The event's body: as JSON where it is JSON, else as text.
    pub body: serde_json::Value,
}

/// A delivery's request as the rules in effect now render it. Known secrets are masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RenderedRequest {
    /// The version of these rules.
    pub rules: String,
    /// Why no request can be rendered by them; then all that follows is null.
    pub error: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The URL.
    pub url: Option<String>,
    /// The headers by name. Those that are made for each attempt say so in place of their value.
    pub headers: Option<BTreeMap<String, String>>,
    /// The body: as JSON where it is JSON, else as text; of a batch with all its members.
    pub body: Option<serde_json::Value>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Which of the attempts that count against the limit it was, from 1, since the delivery was last taken up; null for one that does
    /// not count.
    pub number: Option<u32>,
    /// Whether that was before it was last redriven: from then on attempts are counted anew.
    #[serde(default)]
    pub before_redrive: bool,
    /// When the request began; for the attempt that delivered, when it was written down.
    #[serde(serialize_with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long it took.
    pub latency_ms: f64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, if there was no answer.
    pub error: Option<String>,
    /// The first KiB of the reply, known secrets masked. Not kept of the attempt that delivered.
    pub reply: Option<String>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The newest first.
    pub items: Vec<T>,
    /// Where the next page begins; null where there is none. A page may be short, even empty, and still have a next one:
    /// one request looks at the store for a limited time.
    pub next: Option<String>,
}

/// Which events or deliveries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this destination.
    pub destination: Option<String>,
    /// That this route matched, or sent.
    pub route: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// Of events that came with a key of this name.
    pub account: Option<String>,
    /// Whose body, path, query or id holds this text, upper and lower case alike.
    pub search: Option<String>,
}

/// What somebody who follows is told.
#[derive(Debug, Clone)]
pub enum Followed<T> {
    /// Something new.
    Item(T),
    /// So many commits went by unseen: too much happened at once.
    Missed(u64),
}

fn milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_milliseconds(*time))
}

fn milliseconds_if_any<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => milliseconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// A body as listings show it.
pub fn shown_body(body: &[u8]) -> serde_json::Value {
    crate::json::parse(body).unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(body).into_owned()))
}
