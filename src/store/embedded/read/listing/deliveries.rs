//! Pages of deliveries. Dead and retrying ones have an index each; all others are found by walking along the events,
//! because a delivery that was not attempted yet has no row of its own.

use rusqlite::{Connection, Row, named_params};

use super::cursor::{InEvents, InRows};
use super::shown::shown;
use super::{DELIVERY_COLUMNS, DeliveryRow, EVENT_COLUMNS, EventRow, Matcher, Names, Patience, status};
use crate::delivery::{DestinationKey, Planned, RouteKey};
use crate::event::EventId;
use crate::store::embedded::rows::deliveries::{lines, state_is};
use crate::wire::listing::{Delivery, DeliveryStatus, Filter, Page};

/// The first column after [`EVENT_COLUMNS`].
const AFTER_EVENT: usize = 13;
/// Ids follow the order of acceptance but for events of about the same moment: so many places apart at most.
const ORDER_SLACK: i64 = 10_000;

/// Deliveries by their rows, one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Dead,
    Retrying,
}

impl Rows {
    /// Where deliveries in this status are found by their rows.
    fn of(wanted: Option<DeliveryStatus>) -> Option<Self> {
        match wanted {
            Some(DeliveryStatus::Dead) => Some(Self::Dead),
            Some(DeliveryStatus::Retrying) => Some(Self::Retrying),
            Some(DeliveryStatus::Waiting | DeliveryStatus::Delivered | DeliveryStatus::Parked) | None => None,
        }
    }
}

/// Whether this is where a page of deliveries in this status can begin.
pub fn is_cursor(text: &str, wanted: Option<DeliveryStatus>) -> bool {
    if Rows::of(wanted).is_some() { text.parse::<InRows>().is_ok() } else { text.parse::<InEvents>().is_ok() }
}

/// A delivery that was found by its row.
pub struct Found {
    pub sequence: i64,
    pub destination: DestinationKey,
    pub delivery: Delivery,
}

/// A page of deliveries, those of the newest events first.
pub fn page(
    connection: &Connection,
    wanted: Option<DeliveryStatus>,
    filter: &Filter,
    from: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Page<Delivery>> {
    let Some(rows) = Rows::of(wanted) else {
        return walk(connection, wanted, filter, from.and_then(|from| from.parse().ok()), limit);
    };
    let (found, next) = by_rows(connection, rows, filter, from, limit)?;
    // A row in state retrying whose destination is parked is not retrying.
    let items = found.into_iter().map(|found| found.delivery).filter(|delivery| Some(delivery.status) == wanted).collect();
    Ok(Page { items, next })
}

/// Deliveries in one state, each destination's by its index, merged. Gives where to go on.
pub fn by_rows(
    connection: &Connection,
    rows: Rows,
    filter: &Filter,
    from: Option<&str>,
    limit: usize,
) -> rusqlite::Result<(Vec<Found>, Option<String>)> {
    let names = Names::load(connection)?;
    let Some(matcher) = Matcher::new(filter, &names)? else { return Ok((Vec::new(), None)) };
    let from: Option<InRows> = from.and_then(|from| from.parse().ok());
    let mut merge = Merge { names: &names, matcher: &matcher, rows, from, limit, patience: Patience::new(), found: Vec::new() };
    // Down to here every destination's rows were looked at.
    let mut floor: Option<InRows> = None;
    for key in names.destinations.keys().filter(|key| matcher.destination.is_none_or(|wanted| wanted == **key)) {
        let reached = merge.add(*key)?;
        floor = match (floor, reached) {
            (Some(floor), Some(reached)) if order(&reached) < order(&floor) => Some(reached),
            (None, reached) => reached,
            (floor, _) => floor,
        };
    }
    let mut found = merge.found;
    found.sort_by_key(|found| order(&found.place()));
    if let Some(floor) = floor {
        found.retain(|found| order(&found.place()) <= order(&floor));
    }
    let mut next = floor;
    if found.len() > limit {
        found.truncate(limit);
        next = found.last().map(Found::place);
    }
    Ok((found, next.map(|next| next.to_string())))
}

impl Found {
    fn place(&self) -> InRows {
        InRows { sequence: self.sequence, destination: self.destination }
    }
}

/// The newest event first, and of one event the destinations in their order.
fn order(place: &InRows) -> (std::cmp::Reverse<i64>, DestinationKey) {
    (std::cmp::Reverse(place.sequence), place.destination)
}

/// Brings the rows of several destinations together.
struct Merge<'m> {
    names: &'m Names<'m>,
    matcher: &'m Matcher,
    rows: Rows,
    from: Option<InRows>,
    /// Rows of one destination at most.
    limit: usize,
    patience: Patience,
    found: Vec<Found>,
}

impl Merge<'_> {
    /// Adds what one destination has; gives the last place that was looked at, if there is more.
    fn add(&mut self, key: DestinationKey) -> rusqlite::Result<Option<InRows>> {
        let (index, state) = match self.rows {
            Rows::Dead => ("deliveries_dead", state_is!(dead)),
            Rows::Retrying => ("deliveries_open", state_is!(open)),
        };
        let mut statement = self.names.connection.prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS}, {DELIVERY_COLUMNS}, d.route FROM deliveries d INDEXED BY {index} CROSS JOIN events e ON e.sequence = d.event
             WHERE d.destination = :destination AND d.{state} AND d.event < :before ORDER BY d.event DESC"
        ))?;
        let before = match self.from {
            None => i64::MAX,
            Some(from) if key > from.destination => from.sequence.saturating_add(1),
            Some(from) => from.sequence,
        };
        let mut rows = statement.query(named_params! { ":body": self.matcher.wants_body(), ":destination": key.0, ":before": before })?;
        let mut last = None;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            if last.is_some() && (count >= self.limit || self.patience.is_over()) {
                return Ok(last);
            }
            let event = EventRow::read(row)?;
            let sequence = event.sequence;
            last = Some(InRows { sequence, destination: key });
            let route: Option<u32> = row.get(AFTER_EVENT + 10)?;
            let planned = Planned { destination: key, route: route.map(RouteKey), order: None };
            if self.matcher.takes_planned(&planned) && self.matcher.takes(&event, row)? {
                let state = DeliveryRow::read(row, AFTER_EVENT, sequence)?;
                count += 1;
                let delivery = shown(self.names, (sequence, event.id), &planned, Some(&state))?;
                self.found.push(Found { sequence, destination: key, delivery });
            }
        }
        Ok(None)
    }
}

fn walk(
    connection: &Connection,
    wanted: Option<DeliveryStatus>,
    filter: &Filter,
    from: Option<InEvents>,
    limit: usize,
) -> rusqlite::Result<Page<Delivery>> {
    let mut page = Page { items: Vec::new(), next: None };
    let names = Names::load(connection)?;
    let Some(matcher) = Matcher::new(filter, &names)? else { return Ok(page) };
    let Some(oldest) = oldest_of_interest(wanted, &matcher, &names)? else { return Ok(page) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM events e INDEXED BY events_id WHERE e.id >= :first AND e.id <= :last AND e.id <= :from ORDER BY e.id DESC"
    ))?;
    let begin = from.map_or(EventId::from_bytes([0xff; 16]), |from| from.event);
    let mut rows = statement.query(named_params! {
        ":body": matcher.wants_body(), ":first": matcher.ids.0.as_bytes(), ":last": matcher.ids.1.as_bytes(), ":from": begin.as_bytes(),
    })?;
    let mut patience = Patience::new();
    // The last delivery that was looked at.
    let mut last = from;
    while let Some(row) = rows.next()? {
        if patience.is_over() {
            page.next = last.map(|last| last.to_string());
            break;
        }
        let event = EventRow::read(row)?;
        if event.sequence < oldest {
            break;
        }
        let done = from.filter(|from| from.event == event.id).map(|from| from.destination);
        if matcher.takes(&event, row)? {
            let left = event.planned.iter().filter(|planned| done.is_none_or(|done| Some(planned.destination) > done));
            for planned in left.filter(|planned| matcher.takes_planned(planned)) {
                if page.items.len() >= limit {
                    page.next = last.map(|last| last.to_string());
                    return Ok(page);
                }
                let state = DeliveryRow::find(connection, event.sequence, planned.destination)?;
                if wanted.is_none_or(|wanted| wanted == status(state.as_ref(), names.destination(planned.destination))) {
                    page.items.push(shown(&names, (event.sequence, event.id), planned, state.as_ref())?);
                }
                last = Some(InEvents { event: event.id, destination: Some(planned.destination) });
            }
        }
        last = Some(InEvents { event: event.id, destination: Some(DestinationKey(u32::MAX)) });
    }
    Ok(page)
}

/// The first place in the order of acceptance where a delivery in this status can be; `None`: nowhere.
fn oldest_of_interest(wanted: Option<DeliveryStatus>, matcher: &Matcher, names: &Names<'_>) -> rusqlite::Result<Option<i64>> {
    let mut asked = names.destinations.iter().filter(|(key, _)| matcher.destination.is_none_or(|wanted| wanted == **key));
    match wanted {
        Some(DeliveryStatus::Parked) => Ok(asked.any(|(_, destination)| !destination.active).then_some(0)),
        // Up to a queue's frontier everything has a row, and only what is held waits there.
        Some(DeliveryStatus::Waiting) => {
            let mut oldest = None;
            for (key, destination) in asked.filter(|(_, destination)| destination.active) {
                let held = lines::first_held(names.connection, *key)?.unwrap_or(destination.frontier);
                let first = destination.frontier.min(held).saturating_sub(ORDER_SLACK);
                oldest = Some(oldest.map_or(first, |oldest: i64| oldest.min(first)));
            }
            Ok(oldest)
        }
        _ => Ok(Some(0)),
    }
}

/// A delivery of an event, if it is one that is looked for.
pub(super) fn one(
    connection: &Connection,
    names: &Names<'_>,
    matcher: &Matcher,
    wanted: Option<DeliveryStatus>,
    (sequence, destination): (i64, DestinationKey),
) -> rusqlite::Result<Option<Delivery>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.sequence = :sequence"))?;
    let mut rows = statement.query(named_params! { ":body": matcher.wants_body(), ":sequence": sequence })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let event = EventRow::read(row)?;
    let Some(planned) = event.planned.iter().find(|planned| planned.destination == destination) else { return Ok(None) };
    if !matcher.takes_planned(planned) || !matcher.takes(&event, row)? {
        return Ok(None);
    }
    let state = DeliveryRow::find(connection, sequence, destination)?;
    let delivery = shown(names, (sequence, event.id), planned, state.as_ref())?;
    Ok(wanted.is_none_or(|wanted| wanted == delivery.status).then_some(delivery))
}

/// The keys of a dead delivery, by its id's parts; `None` if there is no such dead delivery.
pub fn find_dead(connection: &Connection, event: EventId, destination: &str) -> rusqlite::Result<Option<(i64, DestinationKey)>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT d.event, d.destination FROM events e JOIN destinations n ON n.name = ?2 JOIN deliveries d ON d.event = e.sequence AND d.destination = n.key
         WHERE e.id = ?1 AND d.",
        state_is!(dead)
    ))?;
    let mut rows = statement.query((event.as_bytes(), destination))?;
    rows.next()?.map(|row: &Row<'_>| Ok((row.get(0)?, DestinationKey(row.get(1)?)))).transpose()
}
