//! The admin port: metrics, health, reload. It never shows a payload or a secret.

mod reload;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::event::rfc3339_milliseconds;
use crate::metrics::Metrics;
use crate::rules::{CurrentStatus, FileStatus};
use crate::store::{Health, Store};

pub use reload::{Reload, Reloaded};

/// What the admin port shows.
pub struct Admin {
    /// Whose health and figures are shown.
    pub store: Arc<dyn Store>,
    /// The relay's metrics.
    pub metrics: Arc<Metrics>,
    /// What is known of the rules' file.
    pub rules: CurrentStatus,
    /// A way to ask for a reload.
    pub reload: Reload,
    /// Cancelled while the relay stops.
    pub draining: CancellationToken,
}

impl Admin {
    /// The admin port's handler.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(render_metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/-/reload", post(|State(admin): State<Arc<Self>>| async move { reload::answer((admin.reload)().await) }))
            .with_state(Arc::new(self))
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

/// Ready means: a webhook that comes now would be stored. Rules on disk that are invalid change nothing about that;
/// `?verbose` tells of them too.
async fn ready(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let refusal = match admin.store.health() {
        _ if admin.draining.is_cancelled() => Some("the relay is stopping".to_owned()),
        Health::Good => None,
        Health::CannotWrite(reason) => Some(format!("the store cannot write: {reason}")),
        Health::Failed(reason) => Some(format!("the store has failed and needs a restart: {reason}")),
    };
    let status = if refusal.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut text = refusal.unwrap_or_else(|| "ready".to_owned()) + "\n";
    if query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))) {
        text += &told(&admin.rules.load());
    }
    (status, text).into_response()
}

fn told(rules: &FileStatus) -> String {
    let since = rfc3339_milliseconds(rules.since);
    match &rules.refused {
        None => format!("rules: version {} in effect since {since}\n", rules.version),
        Some(refused) => format!(
            "rules: version {} in effect since {since}; what the file has held since {} is not: {}\n",
            rules.version,
            rfc3339_milliseconds(refused.at),
            refused.reason
        ),
    }
}
