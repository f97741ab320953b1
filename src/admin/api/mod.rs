//! The API: events, deliveries, destinations, redriving. JSON in and out, errors by RFC 9457, described in OpenAPI at
//! `/api/openapi.json`.

mod deliveries;
mod destinations;
mod events;
mod follow;
mod known;
mod query;
mod redrive;
mod release;
mod rules;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use super::problem::{Problem, json_text};
use crate::metrics::Metrics;
use crate::rules::{CurrentRules, CurrentStatus};
use crate::store::Records;

/// What every handler needs.
pub(super) struct Api {
    pub store: Arc<dyn Records>,
    pub rules: CurrentRules,
    pub rules_status: CurrentStatus,
    pub metrics: Arc<Metrics>,
    pub draining: CancellationToken,
    /// Room for those who follow.
    pub followers: Arc<Semaphore>,
}

/// The document at `/api/openapi.json`.
#[derive(OpenApi)]
#[openapi(
    info(title = "wiza-relay admin API", description = "Events, deliveries and destinations of a relay. Off loopback every request needs `authorization: Bearer <admin token>`; with the viewer token, GET only."),
    paths(
        events::list, events::show, events::follow, release::release, deliveries::list, deliveries::show, deliveries::follow, redrive::redrive,
        destinations::list, destinations::pause, destinations::resume, rules::show
    ),
    modifiers(&BearerToken)
)]
struct Document;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("admin_token", scheme);
        document.security = Some(vec![SecurityRequirement::new("admin_token", Vec::<String>::new())]);
    }
}

/// Room for as many as may follow.
pub(super) fn followers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(follow::FOLLOWERS_MAX))
}

/// The handlers under `/api`.
pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/api/openapi.json", get(|| async { json_text("application/json", &Document::openapi()) }))
        .route("/api/events", get(events::list))
        .route("/api/events/follow", get(events::follow))
        .route("/api/events/{id}", get(events::show))
        .route("/api/events/{id}/release", post(release::release))
        .route("/api/deliveries", get(deliveries::list))
        .route("/api/deliveries/follow", get(deliveries::follow))
        .route("/api/deliveries/redrive", post(redrive::redrive))
        .route("/api/deliveries/{id}", get(deliveries::show))
        .route("/api/destinations", get(destinations::list))
        .route("/api/destinations/{name}/pause", post(destinations::pause))
        .route("/api/destinations/{name}/resume", post(destinations::resume))
        .route("/api/rules", get(rules::show))
        .route("/api/{*rest}", get(|| async { Problem::not_found("there is no such path; /api/openapi.json lists those that there are") }))
        .with_state(Arc::new(api))
}
