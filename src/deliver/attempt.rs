//! One attempt: render the request, send it, and say what was seen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::LaneSettings;
use crate::delivery::{Attempt, AttemptResult, Claim, DeliveryId, Outcome, REPLY_BYTES_KEPT, Settlement};
use crate::event::rfc3339_milliseconds;
use crate::transform::{self, RenderContext};

/// An attempt that ended.
pub(super) struct Attempted {
    pub claim: Claim,
    /// The name of the route that planned it, for the log.
    pub route: Arc<str>,
    pub attempt: Attempt,
}

/// Renders and sends.
pub(super) async fn attempt(settings: LaneSettings, claim: Claim) -> Attempted {
    let LaneSettings { rules, place, destination, sender } = settings;
    let (route, shape) = rules.target(claim.route, place);
    let route: Arc<str> = route.into();
    let context = RenderContext { event: Arc::clone(&claim.event), route: Arc::clone(&route) };
    let attempt = match rendered(&claim, || transform::render(&rules.config.templates, &destination, shape, &context)) {
        Ok(request) => {
            let id = DeliveryId { event: claim.event.id, destination: destination.name.as_str().into() };
            let mut attempt = sender.send(request, &destination, &id).await;
            if let AttemptResult::Replied { reply, .. } = &mut attempt.result {
                mask(reply, &rules.config.secrets);
            }
            attempt
        }
        Err(error) => Attempt { started_at: Timestamp::now(), latency: Duration::ZERO, result: AttemptResult::NotRendered(error) },
    };
    Attempted { claim, route, attempt }
}

/// The request, unless the event is no longer what was accepted.
fn rendered<T, E: ToString>(claim: &Claim, render: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    if claim.event.is_damaged() {
        return Err("the event was damaged in the store".to_owned());
    }
    render().map_err(|error| error.to_string())
}

/// A receiver may echo what it was sent; what is stored of its reply must not hold a secret.
fn mask(reply: &mut Bytes, secrets: &crate::config::Secrets) {
    if !reply.is_empty() {
        let mut masked = secrets.mask(&String::from_utf8_lossy(reply)).into_bytes();
        masked.truncate(REPLY_BYTES_KEPT); // Only now, so that no part of a secret is left at the edge.
        *reply = Bytes::from(masked);
    }
}

/// The one log line of an attempt. It names the event and never shows it.
pub(super) fn log(destination: &str, route: &str, settlement: &Settlement) {
    let Settlement { claim, attempt, outcome, .. } = settlement;
    let (result, next_attempt_at, reason) = match outcome {
        Outcome::Delivered => ("delivered", None, None),
        Outcome::Retry(at) => ("retried", Some(rfc3339_milliseconds(*at)), None),
        Outcome::Dead(reason) => ("dead", None, Some(reason.as_str())),
    };
    let error = attempt.result.error();
    let status = match &attempt.result {
        AttemptResult::Replied { status, .. } => Some(*status),
        AttemptResult::CredentialsRefused(_) | AttemptResult::Failed(_) | AttemptResult::NotRendered(_) => None,
    };
    let latency_ms = attempt.latency.as_secs_f64() * 1000.0;
    let number = claim.attempts_made.saturating_add(1);
    match outcome {
        Outcome::Delivered => {
            tracing::info!(event_id = %claim.event.id, destination, route, attempt = number, result, status, latency_ms, "attempt");
        }
        Outcome::Retry(_) | Outcome::Dead(_) => {
            tracing::warn!(event_id = %claim.event.id, destination, route, attempt = number, result, status, latency_ms, error, next_attempt_at, reason, "attempt");
        }
    }
}
