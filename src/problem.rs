//! Refusals in the form of RFC 9457, the same on both ports.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// What is said on both ports where so many deliveries wait that no event is accepted. The store knows the limit, and not how it is set.
pub fn backlog_full(waiting: u64, limit: u64) -> String {
    format!("{waiting} deliveries are waiting, and --max-backlog is {limit}")
}

/// An answer that says no, and why; `members` stand beside those that every problem has.
pub fn problem(status: StatusCode, detail: &str, members: Vec<(&'static str, Value)>) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let mut body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    for (name, value) in members {
        body[name] = value;
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string() + "\n").into_response()
}
