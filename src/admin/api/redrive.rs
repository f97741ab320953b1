//! `POST /api/deliveries/redrive`: dead deliveries are taken up again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;

use super::{Api, known, query};
use crate::admin::problem::{Problem, json_text};
use crate::asker::Asker;
use crate::delivery::DeliveryId;
use crate::store::Redrive;
use crate::wire::listing::{DeliveryStatus, Filter};
use crate::wire::redrive::{Counted, RedriveAnswer, RedriveFilter, RedriveRequest, Refused};

/// Ids in one request at most.
const IDS_MAX: usize = 10_000;
/// Deliveries that become due a second, where the request does not say: an outage's dead letters of a day in minutes,
/// and yet new events get most of the destination's rate.
const PER_SECOND_DEFAULT: u32 = 50;

/// Of so many ids that are not dead the answer says why.
const REFUSED_TOLD_MAX: usize = 100;
const ONLY_DEAD: &str = "only dead deliveries can be redriven";

/// Takes up dead deliveries again: each gets a full set of attempts, with the same `webhook-id`. A client that leaves
/// before the answer stops it between two transactions.
#[utoipa::path(post, path = "/api/deliveries/redrive", request_body = RedriveRequest, responses((status = 200, body = RedriveAnswer)))]
pub(super) async fn redrive(State(api): State<Arc<Api>>, Extension(asker): Extension<Asker>, body: Bytes) -> Result<Response, Problem> {
    let request: RedriveRequest = serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
    let mut step = step(&api, &request).await?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut not_dead: BTreeMap<String, DeliveryId> = BTreeMap::new();
    loop {
        let done = api.store.redrive(step.clone()).await?;
        for (destination, count) in done.counts {
            *counts.entry(destination).or_default() += count;
        }
        not_dead.extend(done.not_dead.into_iter().map(|id| (id.to_string(), id)));
        step.from = done.next_due;
        step.cursor = done.cursor;
        if step.cursor.is_none() || api.draining.is_cancelled() {
            break;
        }
    }
    let matched: u64 = counts.values().sum();
    let planned = if request.dry_run { 0 } else { matched };
    if !request.dry_run {
        tracing::info!(
            deliveries = planned,
            by = asker.by,
            from = asker.address(),
            forwarded_for = asker.claims,
            "dead deliveries were taken up again"
        );
    }
    let destinations = counts.into_iter().map(|(destination, count)| Counted { destination, count }).collect();
    let mut refused = Vec::new();
    for (text, id) in not_dead.iter().take(REFUSED_TOLD_MAX) {
        refused.push(why_not(&api, text, id).await?);
    }
    let already = u64::try_from(not_dead.len()).unwrap_or(u64::MAX);
    Ok(json_text("application/json", &RedriveAnswer { dry_run: request.dry_run, matched, planned, already, destinations, refused }))
}

/// Why a delivery cannot be taken up again.
async fn why_not(api: &Api, text: &str, id: &DeliveryId) -> Result<Refused, Problem> {
    let status = api.store.delivery(id.clone()).await?.map(|found| found.delivery.status);
    let reason = match status {
        // Somebody else, or the retention, came between.
        Some(DeliveryStatus::Dead) => format!("{text} was not dead a moment ago; ask again"),
        Some(DeliveryStatus::Delivered) => format!("{text} is delivered; {ONLY_DEAD}"),
        Some(DeliveryStatus::Waiting) => format!("{text} is waiting, and was not attempted yet; {ONLY_DEAD}"),
        Some(DeliveryStatus::Retrying) => format!("{text} is to be attempted again by itself; {ONLY_DEAD}"),
        Some(DeliveryStatus::Parked) => {
            format!("{text} is parked until `{}` is in routes.yaml again; {ONLY_DEAD}", id.destination)
        }
        None if api.store.event(id.event).await?.is_some() => {
            format!("there is no delivery {text}: its event goes to others, and not to `{}`", id.destination)
        }
        None => format!("there is no delivery {text}: its event was never here, or its retention has ended"),
    };
    Ok(Refused { id: text.to_owned(), status, reason })
}

async fn step(api: &Api, request: &RedriveRequest) -> Result<Redrive, Problem> {
    let filter = match (&request.filter, request.ids.as_slice()) {
        (None, []) => return Err(Problem::bad_request("name the deliveries by `ids`, or by `filter` (`{}` means all that are dead)")),
        (Some(_), [_, ..]) => return Err(Problem::bad_request("either `ids` or `filter`, not both")),
        (Some(filter), []) => read(filter)?,
        (None, _) => Filter::default(),
    };
    known::check(api, &filter).await?;
    if request.ids.len() > IDS_MAX {
        return Err(Problem::bad_request(format!("ids: more than {IDS_MAX}")));
    }
    let ids = request.ids.iter().map(|id| id.parse::<DeliveryId>().map_err(|error| Problem::bad_request(format!("ids: {error}"))));
    Ok(Redrive {
        ids: ids.collect::<Result<_, _>>()?,
        filter,
        from: Timestamp::now(),
        per_second: request.per_second.unwrap_or(PER_SECOND_DEFAULT),
        cursor: None,
        dry_run: request.dry_run,
    })
}

fn read(filter: &RedriveFilter) -> Result<Filter, Problem> {
    let moment = |name, text: &Option<String>| text.as_deref().map(|text| query::moment(name, text)).transpose();
    Ok(Filter {
        destination: filter.destination.clone(),
        route: filter.route.clone(),
        account: filter.account.clone(),
        since: moment("filter.since", &filter.since)?,
        until: moment("filter.until", &filter.until)?,
        search: filter.search.clone().map(query::search).transpose()?,
    })
}
