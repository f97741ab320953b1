//! What the relay sends: one delivery per event and destination, attempted until it has a final outcome.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::event::{Event, EventId};

mod ending;
pub mod state;

pub use ending::Ending;

/// A destination's number in the store: stable for as long as the store lives, also while the name is out of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey(pub u32);

/// A route's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey(pub u32);

/// What an ordered destination's deliveries are in line by: those with one key go one at a time, in the order of
/// acceptance. The first 63 bits of a SHA-256 over the values of `order_by`: two keys that are taken for one by chance
/// wait for each other without need, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub u64);

impl OrderKey {
    /// The key of a text.
    pub fn of(text: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1)
    }
}

/// What the rules decided for one event: which routes matched, and which delivery each destination gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every route that matched, shadow routes too, in the file's order.
    pub routes: Vec<RouteKey>,
    /// At most one entry a destination.
    pub deliveries: Vec<Planned>,
    /// No route took the event (a shadow route takes nothing); `unmatched` may still have planned deliveries.
    pub unmatched: bool,
}

/// One delivery of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Where it goes.
    pub destination: DestinationKey,
    /// The first route that named the destination; `None` where `unmatched` did.
    pub route: Option<RouteKey>,
    /// Whom it waits for; `None`: for nobody.
    pub order: Option<OrderKey>,
}

/// Names a delivery, and is its `webhook-id`: stable over retries, restarts and redrives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId {
    /// The event that is delivered.
    pub event: EventId,
    /// The destination's name.
    pub destination: Arc<str>,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.event, self.destination)
    }
}

impl FromStr for DeliveryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (event, destination) =
            text.split_once('_').ok_or_else(|| format!("`{text}` is no delivery id: it has the form <event id>_<destination>"))?;
        let event = event.parse().map_err(|error| format!("`{event}` is no event id: {error}"))?;
        Ok(Self { event, destination: destination.into() })
    }
}

/// What a receiver recognises a request by, and a repetition of it: its `webhook-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// The event that the request speaks of, of a batch the first: names the trace.
    pub event: EventId,
    text: String,
}

impl MessageId {
    /// Of a request that carries the batch of these events. The same members make the same id, and other members another.
    pub fn of_batch(destination: &str, events: &[EventId]) -> Self {
        let mut hash = Sha256::new();
        for event in events {
            hash.update(event.as_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let short: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let event = events.first().copied().unwrap_or(EventId::from_bytes([0; 16]));
        Self { event, text: format!("batch_{short}_{destination}") }
    }
}

impl From<&DeliveryId> for MessageId {
    fn from(id: &DeliveryId) -> Self {
        Self { event: id.event, text: id.to_string() }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an engine writes on a claim, and reads again when the claim comes back. Everybody else hands it on as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt(pub u64);

/// A delivery taken from the queue: whoever holds it attempts it once and settles it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The event's place in the order of acceptance.
    pub sequence: i64,
    /// The event, shared by all its deliveries.
    pub event: Arc<Event>,
    /// Where it goes.
    pub destination: DestinationKey,
    /// The route that sends it there.
    pub route: Option<RouteKey>,
    /// Whom it was in line with, and who waits for it.
    pub order: Option<OrderKey>,
    /// Attempts already made and settled.
    pub attempts_made: u32,
    /// From when the deadline counts: the event's receipt, or when the delivery was last taken up by hand.
    pub since: Timestamp,
    /// What the store's engine wrote on it for itself; it comes back with the settlement.
    pub receipt: Receipt,
    /// The others, where this delivery leads a batch: one request for all of them. May be empty: a batch of one.
    pub batch: Option<Arc<[Member]>>,
}

impl Claim {
    /// From when the deadline counts: of a batch that of its oldest member.
    pub fn oldest(&self) -> Timestamp {
        let others = self.batch.iter().flat_map(|others| others.iter()).map(|member| member.since);
        others.fold(self.since, Timestamp::min)
    }

    /// Its events with their places in the order of acceptance: one, or those of a batch.
    pub fn events(&self) -> impl Iterator<Item = (i64, &Arc<Event>)> {
        let others = self.batch.iter().flat_map(|others| others.iter()).map(|member| (member.sequence, &member.event));
        std::iter::once((self.sequence, &self.event)).chain(others)
    }
}

/// A delivery that goes in one request with its batch's leader.
#[derive(Clone, Debug)]
pub struct Member {
    /// The event's place in the order of acceptance.
    pub sequence: i64,
    /// The event.
    pub event: Arc<Event>,
    /// The route that sends it there.
    pub route: Option<RouteKey>,
    /// As a claim's.
    pub since: Timestamp,
}

/// One try to deliver: what was seen, without a judgement.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When the request began.
    pub started_at: Timestamp,
    /// From the request's start to the end of the reply's first [`REPLY_BYTES_KEPT`] bytes, or to the failure.
    pub latency: Duration,
    /// What came back.
    pub result: AttemptResult,
}

/// How much of a destination's reply is kept with an attempt.
pub const REPLY_BYTES_KEPT: usize = 1024;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum AttemptResult {
    /// The destination answered.
    Replied {
        /// The HTTP status.
        status: u16,
        /// Until when the reply asked to wait, where it said so in a way that can be read. One that is not ahead names no wait.
        retry_after: Option<Timestamp>,
        /// The reply's first bytes, known secrets masked.
        reply: Bytes,
        /// Why a 2xx does not count, where the destination's `success` says so. Quotes nothing of the reply.
        shortcoming: Option<String>,
    },
    /// The token server refuses the relay's credentials: nothing was sent to the destination. The text names no secret.
    CredentialsRefused(String),
    /// The token server gave no token and asked to come again later: nothing was sent to the destination.
    TokenDelayed {
        /// The token server's status.
        status: u16,
        /// When to come again. A time that is not ahead names no wait.
        until: Timestamp,
        /// For an operator; names no secret.
        error: String,
    },
    /// No answer in time over a connection that was used before, and nothing came over it: the connection may be dead, and not the
    /// destination.
    Silent(String),
    /// No answer: connecting, sending or waiting failed. The text names no URL and no content.
    Failed(FailureReason, String),
    /// The request could not be made from the event: nothing was sent.
    NotRendered(String),
    /// No attempt was made, because none is to be made any more: the time is over, or the destination refuses the event. The text
    /// says why.
    Withheld(Ending, String),
    /// The members of a batch cannot go together, and each goes alone. The request could not be made of all of them, though of each, so
    /// nothing was sent; or the destination refused what it carried.
    NotTogether(String),
    /// The destination answered, and nothing of that is kept but the kind of what went wrong; `None` if it was delivered.
    Unkept(Option<FailureReason>),
}

/// What of a destination's replies is kept with its deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// The status and the first [`REPLY_BYTES_KEPT`] bytes.
    #[default]
    Full,
    /// The status.
    Status,
    /// Nothing: of a reply that was no success the kind alone.
    None,
}

impl AttemptResult {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Replied { status, .. } => Some(*status),
            Self::CredentialsRefused(_)
            | Self::TokenDelayed { .. }
            | Self::Silent(_)
            | Self::Failed(..)
            | Self::NotRendered(_)
            | Self::Withheld(..)
            | Self::NotTogether(_)
            | Self::Unkept(_) => None,
        }
    }

    /// What went wrong, where that is more than a status.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Replied { shortcoming, .. } => shortcoming.as_deref(),
            Self::CredentialsRefused(error)
            | Self::TokenDelayed { error, .. }
            | Self::Silent(error)
            | Self::Failed(_, error)
            | Self::NotRendered(error)
            | Self::Withheld(_, error)
            | Self::NotTogether(error) => Some(error),
            Self::Unkept(failure) => failure.map(FailureReason::label),
        }
    }

    /// The kind of what went wrong, as far as the status tells; `None` if it was delivered, or if nothing was attempted.
    pub fn failure(&self) -> Option<FailureReason> {
        match self {
            Self::Replied { status: 200..=299, shortcoming: None, .. } => None,
            Self::Replied { status: 200..=299 | 304, .. } => Some(FailureReason::Unsuccessful),
            Self::Replied { status: 300..=399, .. } => Some(FailureReason::Redirect),
            Self::Replied { status: 401 | 403 | 407, .. } | Self::CredentialsRefused(_) | Self::TokenDelayed { .. } => {
                Some(FailureReason::Credentials)
            }
            Self::Replied { status: 429, .. } => Some(FailureReason::Throttled),
            Self::Replied { status: 400..=499, .. } => Some(FailureReason::ClientError),
            Self::Replied { .. } => Some(FailureReason::ServerError),
            Self::Silent(_) => Some(FailureReason::Timeout),
            Self::Failed(reason, _) => Some(*reason),
            Self::NotRendered(_) | Self::NotTogether(_) => Some(FailureReason::Unrenderable),
            Self::Withheld(..) => None,
            Self::Unkept(failure) => *failure,
        }
    }
}

/// Why an attempt did not deliver, coarsely enough to be a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Connection,
    /// A certificate is wrong, or the other side speaks no TLS.
    Tls,
    /// 401, 403, 407, or no token to be had.
    Credentials,
    /// Another 4xx.
    ClientError,
    /// 5xx, or a status that HTTP does not know.
    ServerError,
    /// 429, or what the destination's `retry.on` names, or a 403 with a Retry-After.
    Throttled,
    /// Another 3xx: not followed.
    Redirect,
    /// 2xx, but the destination's `success` does not hold; or 304.
    Unsuccessful,
    /// The request could not be made from the event.
    Unrenderable,
    /// The relay itself failed: a bug.
    Internal,
    /// The destination leads to where no request may go; nothing was sent.
    Egress,
}

impl FailureReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Connection,
        Self::Tls,
        Self::Credentials,
        Self::ClientError,
        Self::ServerError,
        Self::Throttled,
        Self::Redirect,
        Self::Unsuccessful,
        Self::Unrenderable,
        Self::Internal,
        Self::Egress,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Throttled => "throttled",
            Self::Redirect => "redirect",
            Self::Unsuccessful => "unsuccessful",
            Self::Unrenderable => "unrenderable",
            Self::Internal => "internal",
            Self::Egress => "egress",
        }
    }
}

/// What an attempt means for its delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Final: the destination has it.
    Delivered,
    /// Not final: to be tried again at this time.
    Retry(Timestamp),
    /// Final: given up, with the reason in plain words.
    Dead(String),
}

impl Outcome {
    /// In one word, as in logs, metrics and traces.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry(_) => "retried",
            Self::Dead(_) => "dead",
        }
    }
}

/// An attempt and its outcome, to be written down.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// What was attempted.
    pub claim: Claim,
    /// What was seen.
    pub attempt: Attempt,
    /// What follows.
    pub outcome: Outcome,
    /// Attempts that count against the limit, this one included unless the destination refused the credentials or throttled.
    pub attempts: u32,
    /// Members of a batch that could not be rendered, by their places in the order of acceptance, and why: dead, whatever
    /// becomes of the others.
    pub left_out: Vec<(i64, String)>,
}

impl Settlement {
    /// Of one delivery.
    pub fn new(claim: Claim, attempt: Attempt, outcome: Outcome, attempts: u32) -> Self {
        Self { claim, attempt, outcome, attempts, left_out: Vec::new() }
    }

    /// The attempt's number among those that count against the limit, from 1: as listings, the log and traces tell it. `None` where it does
    /// not count, because it says nothing of this delivery: the destination refused the credentials, or throttled.
    pub fn number(&self) -> Option<u32> {
        Some(self.attempts).filter(|attempts| *attempts > self.claim.attempts_made)
    }

    /// Leaves of the reply what is to be kept. `failure` is the kind of what went wrong.
    pub fn keep(&mut self, replies: Replies, failure: Option<FailureReason>) {
        let AttemptResult::Replied { status, reply, .. } = &mut self.attempt.result else { return };
        match replies {
            Replies::Full => {}
            Replies::Status => *reply = Bytes::new(),
            Replies::None => {
                if let (Outcome::Dead(reason), Some(failure)) = (&mut self.outcome, failure) {
                    *reason = reason.replace(&format!("status {status}"), failure.label());
                }
                self.attempt.result = AttemptResult::Unkept(failure);
            }
        }
    }

    /// Why its deliveries were given up, where they were. `failure` is the kind of what went wrong.
    pub fn ending(&self, failure: Option<FailureReason>) -> Option<Ending> {
        match (&self.outcome, &self.attempt.result) {
            (Outcome::Delivered | Outcome::Retry(_), _) => None,
            (Outcome::Dead(_), AttemptResult::Withheld(ending, _)) => Some(*ending),
            (Outcome::Dead(_), _) => Some(Ending::Failed(failure.unwrap_or(FailureReason::Internal))),
        }
    }

    /// The events whose outcome this is: of a batch all but those that were left out.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.claim.events().filter(|(sequence, _)| self.left_out.iter().all(|(left, _)| left != sequence)).map(|(_, event)| event)
    }
}
