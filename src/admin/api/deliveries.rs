//! `/api/deliveries`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{Api, follow, query};
use crate::admin::problem::{Problem, json_text};
use crate::delivery::DeliveryId;
use crate::rules::Rules;
use crate::store::Carried;
use crate::transform::{Member, RenderContext};
use crate::wire::listing::{Delivery, DeliveryDetails, DeliveryStatus, Followed, Page, RenderedRequest, shown_body};
use crate::{envelope, explain};

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
    let query = query::read(&api, query, STATUSES).await?;
    let mut page = api.store.deliveries(query.status, query.filter, query.paging).await?;
    let rules = api.rules.load();
    page.items.iter_mut().for_each(|delivery| limit(&rules, delivery));
    Ok(json_text("application/json", &page))
}

/// Follows: a JSON object a line for each delivery as it is planned and as its status changes, until the client leaves.
/// Takes the filters of the listing. A line `{"missed": n}` says that so many commits went by too fast; an empty line says
/// that all is well.
#[utoipa::path(get, path = "/api/deliveries/follow", responses((status = 200, content_type = "application/x-ndjson", body = Delivery),
    (status = 503, description = "As many follow already as may.")))]
pub(super) async fn follow(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query::read(&api, query, STATUSES).await?;
    let room = follow::room(&api.followers)?;
    let rules = Arc::clone(&api.rules);
    let deliveries = api.store.follow_deliveries(query.status, query.filter).map(move |followed| match followed {
        Followed::Item(mut delivery) => {
            limit(&rules.load(), &mut delivery);
            Followed::Item(delivery)
        }
        missed @ Followed::Missed(_) => missed,
    });
    Ok(follow::answer(deliveries.boxed(), room, api.draining.clone()))
}

/// Shows one delivery with its attempts, its event's body, and its request as the rules in effect now render it.
#[utoipa::path(get, path = "/api/deliveries/{id}", params(("id" = String, Path, description = "`<event id>_<destination>`.")),
    responses((status = 200, body = DeliveryDetails), (status = 404, description = "There is no such delivery, or its retention has ended.")))]
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let parsed: DeliveryId = id.parse().map_err(Problem::bad_request)?;
    let Some(mut details) = api.store.delivery(parsed.clone()).await? else {
        return Err(Problem::not_found(format!("there is no delivery {id}, or its retention has ended")));
    };
    let rules = api.rules.load_full();
    limit(&rules, &mut details.delivery);
    details.request = api.store.carried(parsed).await?.map(|carried| rendered(&rules, &details.delivery.destination, &carried));
    Ok(json_text("application/json", &details))
}

/// Adds the limit of attempts that the rules in effect have.
fn limit(rules: &Rules, delivery: &mut Delivery) {
    let destination = rules.config.destinations.iter().find(|destination| destination.name == delivery.destination);
    delivery.attempts_max = destination.map(|destination| destination.retry.attempts);
}

/// A delivery's request as these rules render it now, known secrets masked.
fn rendered(rules: &Rules, name: &str, Carried { as_batch, members }: &Carried) -> RenderedRequest {
    let config = &rules.config;
    let nothing = RenderedRequest { rules: config.version.clone(), error: None, method: None, url: None, headers: None, body: None };
    let Some((place, destination)) = config.destinations.iter().enumerate().find(|(_, destination)| destination.name == name) else {
        return RenderedRequest { error: Some(format!("{name} is not in routes.yaml")), ..nothing };
    };
    let now = Timestamp::now();
    let members: Vec<Member<'_>> = members
        .iter()
        .map(|(event, route)| {
            let (route, shape) = rules.target(*route, place);
            Member { context: RenderContext { event: event.for_a_while(), route: route.into(), now }, shape }
        })
        .collect();
    // A batch that has not been formed is shown as it would go alone.
    match explain::request(config, destination, &members, *as_batch || destination.batch.is_some(), now) {
        Err(error) => RenderedRequest { error: Some(config.secrets.mask(&error.to_string())), ..nothing },
        Ok(request) => {
            let shown = |(name, value): (String, String)| {
                let value = if envelope::is_made_anew(&name) { envelope::MADE_ANEW.to_owned() } else { value };
                (name, value)
            };
            RenderedRequest {
                method: Some(request.method.to_string()),
                url: Some(config.secrets.mask(request.url.as_str())),
                headers: Some(explain::shown_headers(config, &request).into_iter().map(shown).collect()),
                body: Some(shown_body(config.secrets.mask(&String::from_utf8_lossy(&request.body)).as_bytes())),
                ..nothing
            }
        }
    }
}
