//! How destinations stand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a destination stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DestinationStatus {
    /// Nothing holds it back, and its last attempt, if there was one, did not fail.
    Ok,
    /// Nothing holds it back, but its last attempt failed.
    Failing,
    /// It asked for rest (Retry-After), until `hold_until`.
    Held,
    /// Its circuit is open: nothing is attempted until `open_until`, then one probe decides.
    Open,
    /// Somebody paused it; `wiza-relay resume` goes on.
    Paused,
    /// It answered 410; `wiza-relay resume` goes on.
    Gone,
    /// It is not in routes.yaml: its deliveries are parked until it is there again.
    Removed,
    /// It has `enabled: false` in routes.yaml.
    Disabled,
}

/// What a backlog's time is reckoned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateBy {
    /// The destination's `rate_limit`, with full batches where it has `batch`: it is reached, or nothing is sent just now.
    RateLimit,
    /// Deliveries that got a final outcome within the last minute.
    LastMinute,
}

/// One destination. Times are RFC 3339 in UTC; those before the store kept them are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationState {
    /// Its name in routes.yaml.
    pub name: String,
    /// How it stands.
    pub state: DestinationStatus,
    /// Since when; null where it is not known.
    pub state_since: Option<String>,
    /// Who paused it: the kind of token and the address, or `serve --hold`; null where nobody did.
    pub paused_by: Option<String>,
    /// Whether it is in the file now and not switched off; if not, its deliveries are parked.
    pub active: bool,
    /// Whether it is in the file with `enabled: false`.
    #[serde(default)]
    pub disabled: bool,
    /// The circuit breaker: `closed`, `open` (it rests, then one probe decides), `gone` (it said 410) or `paused`.
    pub circuit: String,
    /// What opened an open breaker: `failures` (or refused credentials), or `refusals`: it refused so many different events in a row
    /// that the others wait until its mapping is mended.
    pub opened_by: Option<String>,
    /// When an open breaker lets a probe through.
    pub open_until: Option<String>,
    /// Until when the destination asked for rest (Retry-After).
    pub hold_until: Option<String>,
    /// Deliveries that rules planned.
    pub planned: u64,
    /// Dead deliveries that were taken up again.
    pub redriven: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries given up.
    pub dead: u64,
    /// Deliveries without a final outcome.
    pub waiting: u64,
    /// Deliveries without a final outcome whose destination is not in the file, or switched off there.
    pub parked: u64,
    /// Dead deliveries that are kept now.
    pub dead_letters: u64,
    /// When the event of the oldest delivery without a final outcome was received.
    pub oldest_received_at: Option<String>,
    /// About how many seconds it takes until all that waits is sent, once nothing holds it back. Null where nothing waits, where the
    /// destination is not in the file, and where no rate is known: nothing is sent just now, and there is no `rate_limit`.
    pub backlog_seconds: Option<f64>,
    /// Deliveries a second by which that is reckoned.
    pub backlog_rate: Option<f64>,
    /// What that rate is.
    pub backlog_rate_by: Option<RateBy>,
    /// When it last took a delivery.
    pub last_delivered_at: Option<String>,
    /// When an attempt last failed.
    pub last_failed_at: Option<String>,
    /// The HTTP status of that attempt, if there was an answer.
    pub last_status: Option<u16>,
    /// What went wrong, where that is more than a status.
    pub last_error: Option<String>,
    /// The first words of its reply, known secrets masked. They end with the event that was sent.
    pub last_reply: Option<String>,
    /// In the answer to `pause` and `resume`: what the circuit was before, so whether anything has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// In the same: whether it was held back before because it had asked for rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_held: Option<bool>,
}
