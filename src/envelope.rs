//! What every request carries beside what its shape says: by it a receiver recognises a delivery (Standard Webhooks), a
//! repetition of it, the event, and the relay. Pure, and the same for the live path and `explain`. Only a token of
//! OAuth 2.0 comes later.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, InvalidHeaderValue, USER_AGENT};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::config::{Auth, Destination};
use crate::delivery::MessageId;
use crate::signature;
use crate::trace_context::Span;
use crate::transform::Request;

/// Names a delivery.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Where the signatures stand.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const RELAY: HeaderValue = HeaderValue::from_static(concat!("wiza-relay/", env!("CARGO_PKG_VERSION")));
/// What is shown in place of the value of such a header.
pub const MADE_ANEW: &str = "(made anew for each attempt)";
/// The codings of a reply that the relay undoes (`send/reply.rs`).
const READABLE: [&str; 3] = ["gzip", "x-gzip", "identity"];
const UNCOMPRESSED: HeaderValue = HeaderValue::from_static("identity");

/// Whether a header has another value with each attempt at a delivery.
pub fn is_made_anew(name: &str) -> bool {
    [WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, TRACEPARENT].iter().any(|header| header == name)
}

/// Why a request does not get the headers of an attempt.
#[derive(Debug, thiserror::Error)]
pub enum Unsealed {
    /// The destination's name is part of its id.
    #[error("the destination's name cannot stand in a header")]
    Name,
    /// A value that the relay made cannot stand in a header.
    #[error("{0}")]
    Header(#[source] InvalidHeaderValue),
}

/// Adds the headers of one attempt, made at `now`, which is this span of a trace. The request's body is final: it may be
/// signed.
///
/// # Errors
/// Where the destination's name cannot stand in a header.
pub fn seal(request: &mut Request, destination: &Destination, id: &MessageId, now: Timestamp, span: Span) -> Result<(), Unsealed> {
    let Request { headers, body, .. } = request;
    let id = id.to_string();
    if !destination.sign.is_empty() {
        let signature = signature::sign(&destination.sign, &id, now.as_second(), body);
        let mut signature = HeaderValue::try_from(signature).map_err(Unsealed::Header)?;
        signature.set_sensitive(true);
        headers.insert(WEBHOOK_SIGNATURE, signature);
    }
    let id = HeaderValue::try_from(id).map_err(|_| Unsealed::Name)?;
    headers.insert(WEBHOOK_ID, id.clone());
    headers.insert(IDEMPOTENCY_KEY, id);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_second()));
    let traceparent = HeaderValue::from_maybe_shared(Bytes::from(span.to_string())).map_err(Unsealed::Header)?;
    headers.insert(TRACEPARENT, traceparent);
    headers.entry(USER_AGENT).or_insert(RELAY);
    if let Some(Auth::Basic(value)) = &destination.auth {
        // What is there was given by the route, which is nearer.
        headers.entry(AUTHORIZATION).or_insert_with(|| value.clone());
    }
    if let Some(value) = headers.get_mut(ACCEPT_ENCODING)
        && !is_readable(value)
    {
        *value = UNCOMPRESSED;
    }
    Ok(())
}

/// Whether the relay can read whatever this `accept-encoding` allows.
fn is_readable(accepted: &HeaderValue) -> bool {
    let coding = |member: &str| member.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    accepted.to_str().is_ok_and(|list| list.split(',').map(coding).all(|coding| READABLE.contains(&coding.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codings_that_can_be_read_may_be_asked_for() {
        for readable in ["gzip", "gzip, identity;q=0.5", "Identity"] {
            assert!(is_readable(&HeaderValue::from_static(readable)), "{readable}");
        }
        for unreadable in ["br, gzip", "*", "deflate", ""] {
            assert!(!is_readable(&HeaderValue::from_static(unreadable)), "{unreadable}");
        }
    }
}
