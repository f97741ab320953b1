//! Every answer that the webhook port gives.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::event::EventId;
use crate::metrics::WebhookOutcome;
use crate::problem::{backlog_full, problem};
use crate::store::{Backlog, Unavailable};

/// Seconds after which a sender that got 503 should come again.
const RETRY_AFTER_UNAVAILABLE: u64 = 5;

/// What becomes of a webhook, and so its answer.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted(EventId),
    Duplicate(EventId),
    Unauthorized,
    /// Too many wrong keys; come back after this time.
    Limited(Duration),
    /// Authentic, but no event: kept in quarantine under this id.
    Quarantined(EventId, String),
    /// The body broke off.
    CutShort(String),
    /// The body's encoding is broken.
    Unreadable(String),
    /// A `content-encoding` that is not understood.
    UnknownEncoding,
    TooLarge(usize),
    TooSlow(Duration),
    Unavailable(Unavailable),
    /// What is being received takes all the memory that it may take, so many bytes.
    NoMemory(u64),
    /// The webhook path, but not POST.
    WrongMethod,
    /// Not the webhook path, and not from Wiza.
    WrongPath,
    /// Not the webhook path, but with a right key: a mistyped URL in Wiza's settings. Never 404, on which Wiza would
    /// stop retrying: once the URL or the path is mended, the event still comes.
    Misdirected(String),
}

impl Answer {
    /// The event that the webhook is kept as, or that it repeats.
    pub fn event(&self) -> Option<EventId> {
        match self {
            Self::Accepted(id) | Self::Duplicate(id) | Self::Quarantined(id, _) => Some(*id),
            _ => None,
        }
    }

    /// How the webhook is counted; `None` for what was none.
    pub fn outcome(&self) -> Option<WebhookOutcome> {
        match self {
            Self::Accepted(_) => Some(WebhookOutcome::Accepted),
            Self::Duplicate(_) => Some(WebhookOutcome::Duplicate),
            Self::Unauthorized => Some(WebhookOutcome::Unauthorized),
            Self::Limited(_) => Some(WebhookOutcome::Limited),
            Self::Quarantined(..) | Self::Unreadable(_) | Self::UnknownEncoding => Some(WebhookOutcome::Invalid),
            Self::TooLarge(_) => Some(WebhookOutcome::TooLarge),
            // The way here is to blame for both, not what was sent.
            Self::TooSlow(_) | Self::CutShort(_) => Some(WebhookOutcome::Timeout),
            Self::Unavailable(_) | Self::NoMemory(_) => Some(WebhookOutcome::Unavailable),
            Self::WrongMethod | Self::WrongPath | Self::Misdirected(_) => None,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted(id) => stored("accepted", id),
            Self::Duplicate(id) => stored("duplicate", id),
            Self::Unauthorized => {
                refusal(StatusCode::UNAUTHORIZED, "x-auth-key is missing, or is not the SHA-256 (64 hex digits) of a configured API key")
            }
            Self::Limited(wait) => {
                let response = refusal(StatusCode::TOO_MANY_REQUESTS, "too many wrong keys from this address; a right key is not limited");
                retry_after(response, wait.as_secs().saturating_add(1))
            }
            Self::Quarantined(id, reason) => {
                refusal(StatusCode::BAD_REQUEST, &format!("the body is not an event: {reason}; it is kept in quarantine as {id}"))
            }
            Self::CutShort(reason) | Self::Unreadable(reason) => refusal(StatusCode::BAD_REQUEST, &reason),
            Self::UnknownEncoding => {
                let mut response = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding may be gzip or absent");
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            Self::TooLarge(limit) => refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is over {limit} bytes (source.max_body)")),
            Self::TooSlow(limit) => refusal(StatusCode::REQUEST_TIMEOUT, &format!("the body did not arrive within {} s", limit.as_secs())),
            Self::Unavailable(reason) => {
                let detail = match reason {
                    Unavailable::Backlog(Backlog { waiting, limit }) => backlog_full(waiting, limit),
                    other => other.to_string(),
                };
                retry_after(refusal(StatusCode::SERVICE_UNAVAILABLE, &detail), RETRY_AFTER_UNAVAILABLE)
            }
            Self::NoMemory(limit) => {
                let detail =
                    format!("the webhooks that are being received take all of the {limit} bytes of --receive-memory; send it again");
                retry_after(refusal(StatusCode::SERVICE_UNAVAILABLE, &detail), RETRY_AFTER_UNAVAILABLE)
            }
            Self::WrongMethod => {
                let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "webhooks come by POST");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                response
            }
            Self::WrongPath => refusal(StatusCode::NOT_FOUND, "nothing is here"),
            Self::Misdirected(path) => refusal(
                StatusCode::MISDIRECTED_REQUEST,
                &format!("the key is right, but webhooks belong under {path}: correct the URL in Wiza's settings"),
            ),
        }
    }
}

fn stored(status: &str, id: EventId) -> Response {
    let body = format!("{{\"status\":\"{status}\",\"id\":\"{id}\"}}");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refusal(status: StatusCode, detail: &str) -> Response {
    problem(status, detail, Vec::new())
}

fn retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
