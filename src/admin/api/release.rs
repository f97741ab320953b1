//! `POST /api/events/{id}/release`: an event leaves quarantine and is routed by the rules in effect now.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;

use super::{Api, events};
use crate::admin::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::delivery::DeliveryId;
use crate::event::parse_payload;
use crate::store::{Held, Release};
use crate::wire::listing::EventStatus;
use crate::wire::release::ReleaseAnswer;

/// Routes an event of the quarantine by the rules in effect now. It has to be what the relay takes for an event today: what an
/// older version refused may be that; a body that is not a JSON object is not.
#[utoipa::path(post, path = "/api/events/{id}/release", params(("id" = String, Path, description = "The event's id.")),
    responses((status = 200, body = ReleaseAnswer), (status = 404, description = "There is no such event, or its retention has ended."),
        (status = 409, description = "The event is not in quarantine."),
        (status = 422, description = "The event cannot be routed, for the reason in `detail`; it stays in quarantine.")))]
pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let parsed = events::id(&id)?;
    let event = match api.store.held(parsed).await? {
        None => return Err(events::none(&id)),
        Some(Held::Planned) => return Err(not_held(&id)),
        Some(Held::Quarantined(event)) => event,
    };
    let refused = |reason: String| Problem::unprocessable(format!("event {id} cannot be routed: {reason}; it stays in quarantine"));
    if event.is_damaged() {
        return Err(refused("its row was damaged on the disk".to_owned()));
    }
    let payload = parse_payload(&event.body).map_err(refused)?;
    let event = event.with_payload(payload);
    let rules = api.rules.load_full();
    let (decision, plan) = rules.plan(&event);
    let kind = event.payload().get("type").and_then(Value::as_str).map(str::to_owned);
    if !api.store.release_event(parsed, Release { kind, rules: rules.key(), plan }).await? {
        return Err(not_held(&id));
    }
    let route = |place: &usize| rules.config.routes.get(*place).map(|route| route.name.clone());
    let routes: Vec<String> = decision.matched.iter().filter_map(route).collect();
    api.metrics.matched(routes.iter().map(String::as_str), decision.unmatched);
    for (place, _, why) in &decision.withheld {
        if let Some(destination) = rules.config.destinations.get(*place) {
            api.metrics.not_planned(&destination.name, *why);
        }
    }
    let delivery = |(place, _): &(usize, Option<usize>)| {
        let destination = rules.config.destinations.get(*place)?.name.as_str().into();
        Some(DeliveryId { event: parsed, destination }.to_string())
    };
    let deliveries: Vec<String> = decision.deliveries.iter().filter_map(delivery).collect();
    tracing::info!(event_id = %parsed, routes = routes.join(", "), deliveries = deliveries.len(), by = asker.by, from = asker.address(), forwarded_for = asker.claims, "an event was released from quarantine");
    let status = if decision.unmatched { EventStatus::Unmatched } else { EventStatus::Routed };
    Ok(json_text("application/json", &ReleaseAnswer { id, status, routes, deliveries }))
}

fn not_held(id: &str) -> Problem {
    Problem::conflict(format!("event {id} is not in quarantine: it was routed already"))
}
