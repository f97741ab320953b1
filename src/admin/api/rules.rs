//! `/api/rules`: which version of the rules is in effect.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Api;
use crate::admin::problem::json_text;
use crate::event::rfc3339_milliseconds;
use crate::wire::rules::{RefusedRules, RulesState};

/// Which version of the rules is in effect, and since when.
#[utoipa::path(get, path = "/api/rules", responses((status = 200, body = RulesState)))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Response {
    let status = api.rules_status.load();
    let refused = status.refused.as_ref();
    let refused = refused.map(|refused| RefusedRules { at: rfc3339_milliseconds(refused.at), reason: refused.reason.clone() });
    let state = RulesState { version: status.version.clone(), since: rfc3339_milliseconds(status.since), refused };
    json_text("application/json", &state)
}
