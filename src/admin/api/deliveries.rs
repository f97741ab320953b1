//! `/api/deliveries`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::{Api, follow, query};
use crate::admin::problem::{Problem, json_text};
use crate::delivery::DeliveryId;
use crate::listing::{Delivery, DeliveryDetails, DeliveryStatus, Page};

const STATUSES: &[(&str, DeliveryStatus)] = &[
    ("waiting", DeliveryStatus::Waiting),
    ("retrying", DeliveryStatus::Retrying),
    ("delivered", DeliveryStatus::Delivered),
    ("dead", DeliveryStatus::Dead),
    ("parked", DeliveryStatus::Parked),
];

/// Lists deliveries, those of the newest events first.
#[utoipa::path(get, path = "/api/deliveries", params(
    ("status" = Option<DeliveryStatus>, Query, description = "Only in this status."),
    ("destination" = Option<String>, Query, description = "Only to this destination."),
    ("route" = Option<String>, Query, description = "Only those that this route sent."),
    ("account" = Option<String>, Query, description = "Only of events that came with a key of this name."),
    ("since" = Option<String>, Query, description = "Received then or later: RFC 3339, or how long ago (`90m`, `2d`)."),
    ("until" = Option<String>, Query, description = "Received before then."),
    ("search" = Option<String>, Query, description = "Only those whose event's body, path, query or id holds this text."),
    ("limit" = Option<usize>, Query, description = "Items on the page, from 1 to 1000; by default 100."),
    ("from" = Option<String>, Query, description = "What the page before this one gave as `next`."),
), responses((status = 200, body = Page<Delivery>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query::read(&api, query, STATUSES)?;
    Ok(json_text("application/json", &api.store.deliveries(query.status, query.filter, query.paging).await?))
}

/// Follows: a JSON object a line for each delivery as it is planned and as its status changes, until the client leaves.
/// Takes the filters of the listing. A line `{"missed": n}` says that so many commits went by too fast; an empty line says
/// that all is well.
#[utoipa::path(get, path = "/api/deliveries/follow", responses((status = 200, content_type = "application/x-ndjson", body = Delivery),
    (status = 503, description = "As many follow already as may.")))]
pub(super) async fn follow(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query::read(&api, query, STATUSES)?;
    let room = follow::room(&api.followers)?;
    Ok(follow::answer(api.store.follow_deliveries(query.status, query.filter), room, api.draining.clone()))
}

/// Shows one delivery with its attempts and its event's body.
#[utoipa::path(get, path = "/api/deliveries/{id}", params(("id" = String, Path, description = "`<event id>_<destination>`.")),
    responses((status = 200, body = DeliveryDetails), (status = 404, description = "There is no such delivery, or its retention has ended.")))]
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let parsed: DeliveryId = id.parse().map_err(Problem::bad_request)?;
    match api.store.delivery(parsed).await? {
        Some(delivery) => Ok(json_text("application/json", &delivery)),
        None => Err(Problem::not_found(format!("there is no delivery {id}, or its retention has ended"))),
    }
}
