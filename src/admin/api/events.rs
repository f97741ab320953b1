//! `/api/events`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::{Api, follow, query};
use crate::admin::problem::{Problem, json_text};
use crate::event::EventId;
use crate::wire::listing::{Event, EventDetails, EventStatus, Page};

const STATUSES: &[(&str, EventStatus)] =
    &[("routed", EventStatus::Routed), ("unmatched", EventStatus::Unmatched), ("quarantined", EventStatus::Quarantined)];

/// Lists events, the newest first.
#[utoipa::path(get, path = "/api/events", params(
    ("status" = Option<EventStatus>, Query, description = "Only in this status."),
    ("destination" = Option<String>, Query, description = "Only with a delivery to this destination."),
    ("route" = Option<String>, Query, description = "Only those that this route matched."),
    ("account" = Option<String>, Query, description = "Only of events that came with a key of this name."),
    ("since" = Option<String>, Query, description = "Received then or later: RFC 3339, or how long ago (`90m`, `2d`)."),
    ("until" = Option<String>, Query, description = "Received before then."),
    ("search" = Option<String>, Query, description = "Only those whose body, path, query or id holds this text."),
    ("limit" = Option<usize>, Query, description = "Items on the page, from 1 to 1000; by default 100."),
    ("from" = Option<String>, Query, description = "What the page before this one gave as `next`."),
), responses((status = 200, body = Page<Event>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query::read(&api, query, STATUSES).await?;
    Ok(json_text("application/json", &api.store.events(query.status, query.filter, query.paging).await?))
}

/// Follows: a JSON object a line for each event as it is accepted, until the client leaves. Takes the filters of the
/// listing. A line `{"missed": n}` says that so many commits went by too fast; an empty line says that all is well.
#[utoipa::path(get, path = "/api/events/follow", responses((status = 200, content_type = "application/x-ndjson", body = Event),
    (status = 503, description = "As many follow already as may.")))]
pub(super) async fn follow(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query::read(&api, query, STATUSES).await?;
    let room = follow::room(&api.followers)?;
    Ok(follow::answer(api.store.follow_events(query.status, query.filter), room, api.draining.clone()))
}

/// Shows one event with its body.
#[utoipa::path(get, path = "/api/events/{id}", params(("id" = String, Path, description = "The event's id.")),
    responses((status = 200, body = EventDetails), (status = 404, description = "There is no such event, or its retention has ended.")))]
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Problem> {
    match api.store.event(self::id(&id)?).await? {
        Some(event) => Ok(json_text("application/json", &event)),
        None => Err(none(&id)),
    }
}

pub(super) fn id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|_| Problem::bad_request(format!("`{text}` is no event id: it is a UUID")))
}

pub(super) fn none(id: &str) -> Problem {
    Problem::not_found(format!("there is no event {id}, or its retention has ended"))
}
