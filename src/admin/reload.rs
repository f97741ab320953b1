//! `POST /-/reload`: read the rules again, now.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::config::Finding;

/// Asks for a reload and waits for what came of it.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Reloaded> + Send + Sync>;

/// What came of a reload.
#[derive(Debug, Clone)]
pub enum Reloaded {
    /// The file is in effect.
    Applied {
        /// Its version.
        version: String,
        /// Whether it says something else than before.
        changed: bool,
        /// Warnings only.
        findings: Vec<Finding>,
    },
    /// The file has errors, and nothing changed.
    Invalid(Vec<Finding>),
    /// The file cannot be read, or cannot take effect for another reason; nothing changed.
    Failed(String),
}

pub(super) fn answer(reloaded: Reloaded) -> Response {
    match reloaded {
        Reloaded::Applied { version, changed, findings } => axum_json(
            StatusCode::OK,
            &json!({ "status": if changed { "reloaded" } else { "unchanged" }, "version": version, "findings": findings }),
        ),
        Reloaded::Invalid(findings) => {
            let mut problem = problem(StatusCode::UNPROCESSABLE_ENTITY, "The rules are invalid, so the old ones stay in effect.");
            problem["findings"] = json!(findings);
            axum_json(StatusCode::UNPROCESSABLE_ENTITY, &problem)
        }
        Reloaded::Failed(reason) => axum_json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("{reason}; the old rules stay in effect.")),
        ),
    }
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> serde_json::Value {
    json!({ "type": "about:blank", "title": status.canonical_reason().unwrap_or_default(), "status": status.as_u16(), "detail": detail })
}

fn axum_json(status: StatusCode, body: &serde_json::Value) -> Response {
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], format!("{body}\n")).into_response()
}
