//! Pages of events.

use rusqlite::{Connection, named_params};

use super::cursor::InEvents;
use super::{EVENT_COLUMNS, EventRow, Matcher, Names, Patience};
use crate::event::EventId;
use crate::store::embedded::rows::schema;
use crate::wire::listing::{Event, EventStatus, Filter, Page};

/// Whether this is where a page of events can begin.
pub fn is_cursor(text: &str) -> bool {
    text.parse::<InEvents>().is_ok()
}

/// A page of events, the newest first. Those in quarantine have an index of their own; all others are found by walking.
pub fn page(
    connection: &Connection,
    status: Option<EventStatus>,
    filter: &Filter,
    from: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Page<Event>> {
    let mut page = Page { items: Vec::new(), next: None };
    let names = Names::load(connection)?;
    let Some(matcher) = Matcher::new(filter, &names)? else { return Ok(page) };
    let source = match status {
        Some(EventStatus::Quarantined) => format!("events e INDEXED BY events_quarantined WHERE e.status = {}", schema::STATUS_QUARANTINED),
        _ => "events e INDEXED BY events_id WHERE true".to_owned(),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM {source} AND e.id >= :first AND e.id <= :last AND e.id < :before ORDER BY e.id DESC"
    ))?;
    // An id of all ones is no UUID, so nothing is lost before it.
    let from: Option<InEvents> = from.and_then(|from| from.parse().ok());
    let before = from.map_or(EventId::from_bytes([0xff; 16]), |from| from.event);
    let mut rows = statement.query(named_params! {
        ":body": matcher.wants_body(), ":first": matcher.ids.0.as_bytes(), ":last": matcher.ids.1.as_bytes(), ":before": before.as_bytes(),
    })?;
    let mut patience = Patience::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.items.len() >= limit || patience.is_over() {
            page.next = last.map(|event| InEvents { event, destination: None }.to_string());
            break;
        }
        let event = EventRow::read(row)?;
        last = Some(event.id);
        if is_wanted(&matcher, status, &event) && matcher.takes(&event, row)? {
            page.items.push(event.shown(&names)?);
        }
    }
    Ok(page)
}

/// The event with this place in the order of acceptance, if it is one that is looked for.
pub(super) fn one(
    connection: &Connection,
    names: &Names<'_>,
    matcher: &Matcher,
    status: Option<EventStatus>,
    sequence: i64,
) -> rusqlite::Result<Option<Event>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.sequence = :sequence"))?;
    let mut rows = statement.query(named_params! { ":body": matcher.wants_body(), ":sequence": sequence })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let event = EventRow::read(row)?;
    if is_wanted(matcher, status, &event) && matcher.takes(&event, row)? { event.shown(names).map(Some) } else { Ok(None) }
}

fn is_wanted(matcher: &Matcher, status: Option<EventStatus>, event: &EventRow) -> bool {
    status.is_none_or(|wanted| event.status == wanted) && matcher.takes_plan(event)
}
