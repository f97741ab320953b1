//! Metrics and health: open to everybody who reaches the port. They never show a payload or a secret.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, Snapshot};
use crate::problem::backlog_full;
use crate::rules::CurrentStatus;
use crate::store::{Backlog, Health, Store};
use crate::vitals::{Part, Vitals};

/// How long a scrape waits for the store: a fifth of the time that Prometheus gives it by default.
const OLDEST_WAIT_MAX: Duration = Duration::from_secs(2);

/// What metrics and health are read from.
pub struct Probes {
    /// Whose health and figures are shown.
    pub store: Arc<dyn Store>,
    /// The relay's metrics.
    pub metrics: Arc<Metrics>,
    /// What is known of the rules' file.
    pub rules: CurrentStatus,
    /// Cancelled while the relay stops.
    pub draining: CancellationToken,
}

impl Probes {
    /// `/metrics`, `/healthz`, `/readyz`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(render_metrics))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .with_state(Arc::new(self))
    }

    fn failure(&self) -> Option<String> {
        failure(&*self.store, &self.metrics.vitals)
    }

    /// Why a webhook that comes now would not be stored.
    fn refusal(&self) -> Option<String> {
        match self.store.health() {
            _ if self.draining.is_cancelled() => Some("the relay is stopping".to_owned()),
            _ if self.metrics.vitals.has_panicked(Part::Listener) => self.metrics.vitals.failure(),
            Health::Good => None,
            Health::Full(Backlog { waiting, limit }) => Some(backlog_full(waiting, limit)),
            Health::CannotWrite(reason) => Some(format!("the store cannot write: {reason}")),
            Health::Failed(reason) => Some(failed(&reason)),
        }
    }
}

async fn render_metrics(State(probes): State<Arc<Probes>>) -> Response {
    // The other families matter more than one gauge.
    let oldest = match tokio::time::timeout(OLDEST_WAIT_MAX, probes.store.oldest()).await {
        Ok(Ok(oldest)) => Some(oldest),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the age of the queues is not known for this scrape");
            None
        }
        Err(_) => {
            tracing::warn!("the age of the queues is not known for this scrape: the store is too slow");
            None
        }
    };
    let (ready, healthy) = (probes.refusal().is_none(), probes.failure().is_none());
    let store = &*probes.store;
    let (disk, failed, backlog_limit) = (store.disk(), store.failed(), store.backlog_limit());
    let now = Timestamp::now();
    let snapshot = Snapshot { ledger: store.ledger(), disk, failed, backlog_limit, oldest, ready, healthy, now };
    match probes.metrics.render(&snapshot) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}

/// Alive means: a restart would not help. What the outside has to mend, a full disk for instance, is for `/readyz` to tell.
async fn alive(State(probes): State<Arc<Probes>>) -> Response {
    match probes.failure() {
        Some(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure + "\n").into_response(),
        None => "ok\n".into_response(),
    }
}

/// Why only a restart helps, if it does: what `/healthz` answers, and what systemd's watchdog goes by.
pub fn failure(store: &dyn Store, vitals: &Vitals) -> Option<String> {
    match store.health() {
        Health::Failed(reason) => Some(failed(&reason)),
        Health::Good | Health::Full(_) | Health::CannotWrite(_) => vitals.failure(),
    }
}

fn failed(reason: &str) -> String {
    format!("the store has failed and needs a restart: {reason}")
}

/// Ready means: a webhook that comes now would be stored. Rules on disk that are invalid change nothing about that;
/// `?verbose` tells of them too.
async fn ready(State(probes): State<Arc<Probes>>, RawQuery(query): RawQuery) -> Response {
    let refusal = probes.refusal();
    let status = if refusal.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut text = refusal.unwrap_or_else(|| "ready".to_owned()) + "\n";
    if query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))) {
        text += &format!("{}\n", probes.rules.load());
    }
    (status, text).into_response()
}
