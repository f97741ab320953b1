//! `POST /-/reload`: read the rules again, now.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::json;

use super::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::config::Finding;
use crate::event::rfc3339_milliseconds;
use crate::rules::FileStatus;

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

/// Says what came of it and, whatever that is, which rules are in effect now and since when.
pub(super) fn answer(reloaded: Reloaded, in_effect: &FileStatus) -> Response {
    let (version, since) = (&in_effect.version, rfc3339_milliseconds(in_effect.since));
    let stays = format!("version {version}, in effect since {since}");
    let refused = |status, detail: String| Problem::new(status, detail).with("version", json!(version)).with("since", json!(since));
    match reloaded {
        Reloaded::Applied { changed, findings, .. } => {
            let status = if changed { "reloaded" } else { "unchanged" };
            json_text("application/json", &json!({ "status": status, "version": version, "since": since, "findings": findings }))
        }
        Reloaded::Invalid(findings) => {
            let detail = format!("The rules are invalid, so the old ones stay in effect ({stays}).");
            refused(StatusCode::UNPROCESSABLE_ENTITY, detail).with("findings", json!(findings)).into_response()
        }
        Reloaded::Failed(reason) => {
            let detail = format!("{reason}; the old rules stay in effect ({stays}).");
            refused(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}
