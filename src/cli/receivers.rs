//! The demo's receivers: a Slack, a CRM that is down at first, a dialler and a warehouse, on one loopback port.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;

/// Names of deliveries remembered at most; a demo that runs for days forgets all of them at this point.
const REMEMBERED_MAX: usize = 100_000;

/// What the receivers have seen.
#[derive(Default)]
pub(super) struct Seen {
    /// By destination: the `webhook-id`s of requests that were answered with 200.
    received: Mutex<HashMap<String, Vec<String>>>,
    /// Requests that the CRM still answers with 503.
    crm_failures_left: AtomicU32,
}

impl Seen {
    /// Lets the CRM fail for the next requests.
    pub fn fail_crm(&self, requests: u32) {
        self.crm_failures_left.store(requests, Ordering::Relaxed);
    }

    /// Requests that a destination received, and how many of them were repetitions.
    pub fn received(&self, destination: &str) -> (usize, usize) {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ids) = received.get(destination) else { return (0, 0) };
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        (distinct.len(), ids.len() - distinct.len())
    }

    fn note(&self, destination: &str, headers: &HeaderMap) {
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = received.entry(destination.to_owned()).or_default();
        if ids.len() >= REMEMBERED_MAX {
            ids.clear();
        }
        ids.push(id);
    }
}

/// Serves the receivers.
pub(super) async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    let router = Router::new().fallback(receive).with_state(seen);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the demo's receivers stopped");
    }
}

async fn receive(State(seen): State<Arc<Seen>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let destination = match uri.path().split('/').nth(1) {
        Some("slack") => "slack-alerts",
        Some("crm") => "crm",
        Some("dialler") => "dialler",
        Some("warehouse") => "warehouse",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let failing = destination == "crm"
        && seen.crm_failures_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    if failing {
        return (StatusCode::SERVICE_UNAVAILABLE, "down for maintenance").into_response();
    }
    seen.note(destination, &headers);
    // Of a batch it is the batch's name, which begins no event's story.
    let event_id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).and_then(|id| id.split('_').next()).unwrap_or_default();
    let shown: String = String::from_utf8_lossy(&body).chars().filter(|character| !character.is_control()).take(110).collect();
    tracing::info!(target: "demo", event_id, destination, body = shown, "received");
    (StatusCode::OK, "{\"ok\":true}").into_response()
}
