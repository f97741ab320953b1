//! The admin port: metrics and health. It never shows a payload or a secret.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::store::{Health, Store};

/// What the admin port shows.
pub struct Admin {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    /// Cancelled while the relay stops.
    draining: CancellationToken,
}

impl Admin {
    /// The admin port's handler.
    pub fn router(store: Arc<dyn Store>, metrics: Arc<Metrics>, draining: CancellationToken) -> Router {
        Router::new()
            .route("/metrics", get(render_metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(Arc::new(Self { store, metrics, draining }))
    }
}

async fn render_metrics(State(admin): State<Arc<Admin>>) -> Response {
    let oldest = match admin.store.oldest().await {
        Ok(oldest) => oldest,
        Err(error) => {
            // The other families matter more than one gauge.
            tracing::warn!(%error, "the age of the queues is not known for this scrape");
            Vec::new()
        }
    };
    match admin.metrics.render(&admin.store.figures(), &oldest, Timestamp::now()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}

/// Ready means: a webhook that comes now would be stored.
async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let refusal = match admin.store.health() {
        _ if admin.draining.is_cancelled() => "the relay is stopping".to_owned(),
        Health::Good => return "ready\n".into_response(),
        Health::CannotWrite(reason) => format!("the store cannot write: {reason}"),
        Health::Failed(reason) => format!("the store has failed and needs a restart: {reason}"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, refusal + "\n").into_response()
}
