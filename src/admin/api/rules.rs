//! `/api/rules`: which version of the rules is in effect.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::admin::problem::json_text;
use crate::event::rfc3339_milliseconds;

/// The rules in effect, and what is known of their file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesState {
    /// The version: the beginning of a hash of the rules' text.
    pub version: String,
    /// Since when it is in effect.
    pub since: String,
    /// Why what the file holds now is not in effect, if so.
    pub refused: Option<RefusedRules>,
}

/// A file that could not take effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRules {
    /// When it was read.
    pub at: String,
    /// `2 errors, the first at routes.yaml:3:7`.
    pub reason: String,
}

/// Which version of the rules is in effect, and since when.
#[utoipa::path(get, path = "/api/rules", responses((status = 200, body = RulesState)))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Response {
    let status = api.rules_status.load();
    let refused = status.refused.as_ref();
    let refused = refused.map(|refused| RefusedRules { at: rfc3339_milliseconds(refused.at), reason: refused.reason.clone() });
    let state = RulesState { version: status.version.clone(), since: rfc3339_milliseconds(status.since), refused };
    json_text("application/json", &state)
}
