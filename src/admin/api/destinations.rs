//! `/api/destinations`: how each stands, and holding one back by hand.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;

use super::{Api, known};
use crate::admin::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::circuit::{CircuitState, Standing};
use crate::config::{Destination, RateLimit};
use crate::delivery::DestinationKey;
use crate::event::rfc3339_milliseconds;
use crate::reply_words;
use crate::store::{DestinationFigures, DestinationHistory, LastFailure};
use crate::wire::destinations::{DestinationState, DestinationStatus, RateBy};

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
