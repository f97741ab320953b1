//! What every request carries beside what the file says: by it a receiver recognises a delivery (Standard Webhooks), a
//! repetition of it, and the event. Pure, and the same for the live path and `explain`.

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::delivery::DeliveryId;
use crate::event::EventId;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const RELAY: HeaderValue = HeaderValue::from_static(concat!("wiza-relay/", env!("CARGO_PKG_VERSION")));

/// Adds the headers of one attempt, made at `now`; `span` is a random number that names the attempt in a trace.
///
/// # Errors
/// Where the destination's name cannot stand in a header.
pub fn seal(headers: &mut HeaderMap, id: &DeliveryId, now: Timestamp, span: u64) -> Result<(), String> {
    let event = id.event;
    let id = Bytes::from(id.to_string());
    let id = HeaderValue::from_maybe_shared(id).map_err(|_| "the destination's name cannot stand in a header".to_owned())?;
    headers.insert(WEBHOOK_ID, id.clone());
    headers.insert(IDEMPOTENCY_KEY, id);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_second()));
    headers.insert(TRACEPARENT, traceparent(&event, span));
    headers.entry(USER_AGENT).or_insert(RELAY);
    Ok(())
}

/// One trace an event, one span an attempt (W3C Trace Context). Nothing is recorded here, so it is not sampled.
fn traceparent(event: &EventId, span: u64) -> HeaderValue {
    let trace = u128::from_be_bytes(*event.as_bytes());
    let span = span.max(1); // All zeros would be no span.
    HeaderValue::from_maybe_shared(Bytes::from(format!("00-{trace:032x}-{span:016x}-00"))).unwrap_or(HeaderValue::from_static(""))
}
