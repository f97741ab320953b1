//! `/api/destinations`: how each stands, and holding one back by hand.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, known};
use crate::admin::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::circuit::{CircuitState, Standing};
use crate::config::{Destination, RateLimit};
use crate::delivery::DestinationKey;
use crate::event::rfc3339_milliseconds;
use crate::reply_words;
use crate::store::{DestinationFigures, DestinationHistory, LastFailure};

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

/// Lists the destinations that the store knows, those that left the file among them.
#[utoipa::path(get, path = "/api/destinations", responses((status = 200, body = Vec<DestinationState>)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Response {
    json_text("application/json", &states(&api, None).await)
}

/// Pauses a destination: what is in flight ends, nothing more is attempted, and no attempts are used up, also over
/// restarts, until it is resumed.
#[utoipa::path(post, path = "/api/destinations/{name}/pause", params(("name" = String, Path, description = "The destination.")),
    responses((status = 200, body = DestinationState), (status = 404, description = "There is no such destination.")))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(asker): Extension<Asker>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&api, &asker, &name, CircuitState::Paused).await
}

/// Resumes a destination: closes its circuit breaker, whatever opened it, and ends a hold.
#[utoipa::path(post, path = "/api/destinations/{name}/resume", params(("name" = String, Path, description = "The destination.")),
    responses((status = 200, body = DestinationState), (status = 404, description = "There is no such destination.")))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(asker): Extension<Asker>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&api, &asker, &name, CircuitState::Closed).await
}

async fn set(api: &Api, asker: &Asker, name: &str, circuit: CircuitState) -> Result<Response, Problem> {
    let Some(key) = api.store.find(name) else {
        return Err(Problem::not_found(known::unknown("destination", name, &known::destinations(api))));
    };
    let was = *api.store.standing(key).borrow();
    let by = asker
        .from
        .filter(|from| !from.ip().is_loopback())
        .map_or_else(|| asker.by.to_owned(), |from| format!("{} from {}", asker.by, from.ip()));
    api.store.set_circuit(key, circuit, by).await?;
    tracing::info!(
        destination = name,
        circuit = circuit.label(),
        by = asker.by,
        from = asker.address(),
        forwarded_for = asker.claims,
        "a circuit breaker was set by hand"
    );
    let (label, was_held) = (was.circuit.label().to_owned(), was.hold_until.is_some_and(|until| until > Timestamp::now()));
    let state = states(api, Some(key)).await.pop();
    let answer = state.map(|state| DestinationState { was: Some(label), was_held: Some(was_held), ..state });
    Ok(json_text("application/json", &answer))
}

/// How the destinations stand, or only this one.
async fn states(api: &Api, only: Option<DestinationKey>) -> Vec<DestinationState> {
    // What cannot be read is left out: the figures are needed most where the store is in trouble.
    let oldest: HashMap<_, _> = api.store.oldest().await.unwrap_or_default().into_iter().collect();
    let mut histories: HashMap<_, _> = api.store.histories().await.unwrap_or_default().into_iter().collect();
    let rules = api.rules.load();
    let places: HashMap<_, _> = rules.destinations().collect();
    let now = Timestamp::now();
    let known = api.store.ledger().into_iter().filter(|(key, _)| only.is_none_or(|only| only == *key));
    known
        .map(|(key, figures)| {
            let destination = places.get(&key).and_then(|place| rules.config.destinations.get(*place));
            let seen = Seen {
                standing: *api.store.standing(key).borrow(),
                history: histories.remove(&key).unwrap_or_default(),
                oldest: oldest.get(&key).copied(),
                limit: destination.and_then(|destination| limit(destination)),
            };
            state(seen, figures, now)
        })
        .collect()
}

/// Deliveries a second that a destination's `rate_limit` allows in the long run. A batch is one request.
fn limit(destination: &Destination) -> Option<f64> {
    let RateLimit { count, per, .. } = destination.rate_limit?;
    let size = destination.batch.as_ref().map_or(1, |batch| u32::try_from(batch.max).unwrap_or(u32::MAX));
    Some(f64::from(count.get()) / per.as_secs_f64() * f64::from(size)).filter(|rate| rate.is_finite())
}

/// What is known of a destination beside its figures.
struct Seen {
    standing: Standing,
    history: DestinationHistory,
    oldest: Option<Timestamp>,
    limit: Option<f64>,
}

fn state(seen: Seen, figures: DestinationFigures, now: Timestamp) -> DestinationState {
    let Seen { standing, history, oldest, limit } = seen;
    let DestinationHistory { circuit_since, circuit_by, hold_since, removed_at, last_delivered_at, last_failure, ended_per_second } =
        history;
    let hold_until = standing.hold_until.filter(|until| *until > now);
    let failed_at = last_failure.as_ref().map(|failure| failure.at);
    let open_until = match standing.circuit {
        CircuitState::Open { until, .. } => Some(until),
        CircuitState::Closed | CircuitState::Gone | CircuitState::Paused => None,
    };
    let (state, since) = match standing.circuit {
        _ if figures.disabled => (DestinationStatus::Disabled, removed_at),
        _ if !figures.active => (DestinationStatus::Removed, removed_at),
        CircuitState::Paused => (DestinationStatus::Paused, circuit_since),
        CircuitState::Gone => (DestinationStatus::Gone, circuit_since),
        CircuitState::Open { .. } => (DestinationStatus::Open, circuit_since),
        CircuitState::Closed if hold_until.is_some() => (DestinationStatus::Held, hold_since),
        // Both are of one commit where members of a batch were left out of it, and it arrived.
        CircuitState::Closed if failed_at > last_delivered_at => (DestinationStatus::Failing, None),
        CircuitState::Closed => (DestinationStatus::Ok, None),
    };
    let flows = matches!(state, DestinationStatus::Ok | DestinationStatus::Failing);
    // A rate that is nearly the limit is the limit, in a figure that does not waver.
    let is_slower = |rate: &f64| limit.is_none_or(|limit| *rate < limit * NEARLY);
    let recent = ended_per_second.filter(|rate| flows && is_slower(rate)).map(|rate| (rate, RateBy::LastMinute));
    let rate = recent.or(limit.map(|rate| (rate, RateBy::RateLimit))).filter(|_| figures.waiting() > 0);
    let LastFailure { status, error, reply, .. } = last_failure.unwrap_or(LastFailure { at: now, status: None, error: None, reply: None });
    DestinationState {
        state,
        state_since: since.map(rfc3339_milliseconds),
        paused_by: circuit_by.filter(|_| standing.circuit == CircuitState::Paused),
        active: figures.active,
        disabled: figures.disabled,
        circuit: standing.circuit.label().to_owned(),
        opened_by: standing.circuit.opened_by().map(|by| by.label().to_owned()),
        open_until: open_until.map(rfc3339_milliseconds),
        hold_until: hold_until.map(rfc3339_milliseconds),
        planned: figures.planned,
        redriven: figures.redriven,
        delivered: figures.delivered,
        dead: figures.dead,
        waiting: figures.waiting(),
        parked: figures.parked(),
        dead_letters: figures.dead_kept,
        oldest_received_at: oldest.filter(|_| figures.outstanding() > 0).map(rfc3339_milliseconds),
        backlog_seconds: rate.map(|(rate, _)| rounded(counted(figures.waiting()) / rate)),
        backlog_rate: rate.map(|(rate, _)| rounded(rate)),
        backlog_rate_by: rate.map(|(_, by)| by),
        last_delivered_at: last_delivered_at.map(rfc3339_milliseconds),
        last_failed_at: failed_at.map(rfc3339_milliseconds),
        last_status: status,
        last_error: error,
        last_reply: reply.as_deref().and_then(reply_words::first),
        was: None,
        was_held: None,
        name: figures.name.to_string(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no store holds 2^53 deliveries")]
fn counted(count: u64) -> f64 {
    count as f64
}

/// The part of a limit from which on a rate counts as that limit.
const NEARLY: f64 = 0.75;

/// To a hundredth: what is about right needs no more, and 1/m is still told from nothing.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
