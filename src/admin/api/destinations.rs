//! `/api/destinations`: how each stands, and holding one back by hand.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::admin::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::circuit::{CircuitState, Standing};
use crate::delivery::DestinationKey;
use crate::event::rfc3339_milliseconds;
use crate::store::DestinationFigures;

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DestinationState {
    /// Its name in routes.yaml.
    pub name: String,
    /// Whether it is in the file now; if not, its deliveries are parked.
    pub active: bool,
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
    /// Deliveries without a final outcome whose destination is not in the file.
    pub parked: u64,
    /// Dead deliveries that are kept now.
    pub dead_letters: u64,
}

/// Lists the destinations that the store knows, those that left the file among them.
#[utoipa::path(get, path = "/api/destinations", responses((status = 200, body = Vec<DestinationState>)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Response {
    let known = api.store.figures().destinations;
    let states: Vec<_> = known.into_iter().map(|(key, figures)| state(*api.store.standing(key).borrow(), figures)).collect();
    json_text("application/json", &states)
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
    let Some((key, figures)) = find(api, name) else {
        let known: Vec<String> = api.store.figures().destinations.into_iter().map(|(_, figures)| format!("`{}`", figures.name)).collect();
        return Err(Problem::not_found(format!("there is no destination `{name}`; there are {}", known.join(", "))));
    };
    api.store.set_circuit(key, circuit).await?;
    tracing::info!(
        destination = name,
        circuit = circuit.label(),
        by = asker.by,
        from = asker.address(),
        forwarded_for = asker.claims,
        "a circuit breaker was set by hand"
    );
    Ok(json_text("application/json", &state(*api.store.standing(key).borrow(), figures)))
}

fn find(api: &Api, name: &str) -> Option<(DestinationKey, DestinationFigures)> {
    api.store.figures().destinations.into_iter().find(|(_, figures)| figures.name == name)
}

fn state(standing: Standing, figures: DestinationFigures) -> DestinationState {
    let open_until = match standing.circuit {
        CircuitState::Open { until, .. } => Some(until),
        CircuitState::Closed | CircuitState::Gone | CircuitState::Paused => None,
    };
    let hold_until = standing.hold_until.filter(|until| *until > jiff::Timestamp::now());
    DestinationState {
        active: figures.active,
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
        name: figures.name,
    }
}
