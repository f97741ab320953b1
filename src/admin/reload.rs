//! `POST /-/reload`: read the rules again, now.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::json;

use super::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::config::Finding;

/// Asks for a reload, says who wants it, and waits for what came of it.
pub type Reload = Arc<dyn Fn(Asker) -> BoxFuture<'static, Reloaded> + Send + Sync>;

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
        Reloaded::Applied { version, changed, findings } => {
            let status = if changed { "reloaded" } else { "unchanged" };
            json_text("application/json", &json!({ "status": status, "version": version, "findings": findings }))
        }
        Reloaded::Invalid(findings) => {
            let detail = "The rules are invalid, so the old ones stay in effect.";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with("findings", json!(findings)).into_response()
        }
        Reloaded::Failed(reason) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}; the old rules stay in effect.")).into_response()
        }
    }
}
