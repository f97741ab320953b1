//! Looking at events and deliveries. Reads walk an index from the newest to the oldest, filter row by row, and stop
//! after [`LOOK_TIME_MAX`]: a search that finds little gives short pages and says where to go on, instead of holding a
//! connection for minutes.

mod cursor;
pub mod deliveries;
pub mod details;
pub mod events;
pub mod follow;
mod shown;

use crate::clock;
use crate::store::embedded::rows::destinations;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::circuit::Standing;
use crate::delivery::state::State;
use crate::delivery::{DeliveryId, DestinationKey, Planned};
use crate::event::EventId;
use crate::store::embedded::rows;
use crate::store::embedded::rows::{plan, schema};
use crate::wire::listing::{DeliveryOfEvent, DeliveryStatus, Event, EventStatus, Filter};

/// How long one request may look at the store.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

/// The columns of [`EventRow`], the event's body only where `:body` is true.
const EVENT_COLUMNS: &str =
    "e.sequence, e.id, e.received_at, e.status, e.type, e.path, e.query, e.routes, e.plan, e.note, e.rules, e.account,
    CASE WHEN :body THEN e.body END";
/// The column of the body among them.
const BODY: usize = 12;

/// An event as its row has it.
struct EventRow {
    sequence: i64,
    id: EventId,
    received_at: Timestamp,
    status: EventStatus,
    kind: Option<String>,
    path: String,
    query: String,
    routes: Vec<u32>,
    planned: Vec<Planned>,
    note: Option<String>,
    rules: Option<u32>,
    account: Option<String>,
}

impl EventRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut planned = plan::parse_deliveries(row.get_ref(8)?.as_str()?).unwrap_or_default();
        planned.sort_by_key(|planned| planned.destination);
        Ok(Self {
            sequence: row.get(0)?,
            id: EventId::from_bytes(row.get(1)?),
            received_at: time(row.get(2)?),
            status: match row.get::<_, i64>(3)? {
                schema::STATUS_UNMATCHED => EventStatus::Unmatched,
                schema::STATUS_QUARANTINED => EventStatus::Quarantined,
                _ => EventStatus::Routed,
            },
            kind: row.get(4)?,
            path: row.get(5)?,
            query: row.get(6)?,
            routes: serde_json::from_str(row.get_ref(7)?.as_str()?).unwrap_or_default(),
            planned,
            note: row.get(9)?,
            rules: row.get(10)?,
            account: row.get(11)?,
        })
    }

    /// As listings show it.
    fn shown(self, names: &Names<'_>) -> rusqlite::Result<Event> {
        let mut deliveries = Vec::with_capacity(self.planned.len());
        for planned in &self.planned {
            let state = DeliveryRow::find(names.connection, self.sequence, planned.destination)?;
            let destination = names.destination(planned.destination);
            deliveries.push(DeliveryOfEvent {
                id: delivery_id(self.id, destination),
                destination: destination.name.clone(),
                status: status(state.as_ref(), destination),
            });
        }
        let routes = self.routes.iter().map(|key| names.route(*key)).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Event {
            id: self.id.to_string(),
            received_at: self.received_at,
            status: self.status,
            kind: self.kind,
            path: self.path,
            query: self.query,
            account: self.account,
            routes: routes.into_iter().flatten().collect(),
            deliveries,
            reason: self.note,
            rules: self.rules.map(|key| names.rules(key)).transpose()?.flatten(),
        })
    }
}

/// A delivery's own row.
struct DeliveryRow {
    state: State,
    attempts: u32,
    settled_at: i64,
    latency_us: Option<i64>,
    last_status: Option<u16>,
    last_error: Option<String>,
    /// From when its deadline counts, where that is not its event's receipt.
    since: Option<i64>,
}

/// The columns of [`DeliveryRow`].
const DELIVERY_COLUMNS: &str =
    "d.state, d.due_at, d.batch, d.order_key, d.attempts, d.settled_at, d.latency_us, d.last_status, d.last_error, d.since";

impl DeliveryRow {
    /// From a row whose columns from `first` on are [`DELIVERY_COLUMNS`]; `event` is the delivery's event.
    fn read(row: &Row<'_>, first: usize, event: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            state: rows::deliveries::read(row, first, event)?,
            attempts: row.get(first + 4)?,
            settled_at: row.get(first + 5)?,
            latency_us: row.get(first + 6)?,
            last_status: row.get(first + 7)?,
            last_error: row.get(first + 8)?,
            since: row.get(first + 9)?,
        })
    }

    fn find(connection: &Connection, event: i64, destination: DestinationKey) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(&format!("SELECT {DELIVERY_COLUMNS} FROM deliveries d WHERE d.event = ? AND d.destination = ?"))?
            .query_row((event, destination.0), |row| Self::read(row, 0, event))
            .optional()
    }
}

/// Where a delivery stands, by its row (`None`: it has none yet) and its destination.
fn status(row: Option<&DeliveryRow>, destination: &Destination) -> DeliveryStatus {
    let attempts = row.map_or(0, |row| row.attempts);
    match row.map_or(State::Waiting, |row| row.state) {
        State::Delivered { .. } => DeliveryStatus::Delivered,
        State::Dead { .. } => DeliveryStatus::Dead,
        _ if !destination.active => DeliveryStatus::Parked,
        State::Due { .. } | State::Leading { .. } => DeliveryStatus::Retrying,
        State::Held | State::Member { .. } if attempts > 0 => DeliveryStatus::Retrying,
        State::Waiting | State::Held | State::Member { .. } => DeliveryStatus::Waiting,
    }
}

fn delivery_id(event: EventId, destination: &Destination) -> String {
    DeliveryId { event, destination: destination.name.as_str().into() }.to_string()
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A destination as the store knows it.
struct Destination {
    name: String,
    active: bool,
    frontier: i64,
    standing: Standing,
}

/// What the store's keys are called.
struct Names<'c> {
    connection: &'c Connection,
    destinations: HashMap<DestinationKey, Destination>,
    nameless: Destination,
}

impl<'c> Names<'c> {
    fn load(connection: &'c Connection) -> rusqlite::Result<Self> {
        let mut statement =
            connection.prepare_cached("SELECT key, name, active, frontier, circuit, open_until, hold_until FROM destinations")?;
        let destinations = statement
            .query_map([], |row| {
                let (name, active, frontier, standing) = (row.get(1)?, row.get(2)?, row.get(3)?, destinations::standing(row, 4)?);
                Ok((DestinationKey(row.get(0)?), Destination { name, active, frontier, standing }))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let nameless = Destination { name: "?".to_owned(), active: false, frontier: 0, standing: Standing::default() };
        Ok(Self { connection, destinations, nameless })
    }

    fn destination(&self, key: DestinationKey) -> &Destination {
        self.destinations.get(&key).unwrap_or(&self.nameless)
    }

    fn key_of(&self, name: &str) -> Option<DestinationKey> {
        self.destinations.iter().find(|(_, destination)| destination.name == name).map(|(key, _)| *key)
    }

    fn route(&self, key: u32) -> rusqlite::Result<Option<String>> {
        self.connection.prepare_cached("SELECT name FROM routes WHERE key = ?")?.query_row([key], |row| row.get(0)).optional()
    }

    fn route_key(&self, name: &str) -> rusqlite::Result<Option<u32>> {
        self.connection.prepare_cached("SELECT key FROM routes WHERE name = ?")?.query_row([name], |row| row.get(0)).optional()
    }

    fn rules(&self, key: u32) -> rusqlite::Result<Option<String>> {
        self.connection.prepare_cached("SELECT version FROM rules WHERE key = ?")?.query_row([key], |row| row.get(0)).optional()
    }
}

/// A filter in the store's terms.
struct Matcher {
    destination: Option<DestinationKey>,
    route: Option<u32>,
    account: Option<String>,
    /// The first and the last id that it lets through.
    ids: (EventId, EventId),
    search: Option<AhoCorasick>,
}

impl Matcher {
    /// `None`: nothing in this store can match.
    fn new(filter: &Filter, names: &Names<'_>) -> rusqlite::Result<Option<Self>> {
        let destination = filter.destination.as_ref().map(|name| names.key_of(name));
        let route = filter.route.as_ref().map(|name| names.route_key(name)).transpose()?;
        if destination == Some(None) || route == Some(None) {
            return Ok(None);
        }
        let search = filter.search.as_deref().filter(|text| !text.is_empty());
        let search = search.map(|text| AhoCorasick::builder().ascii_case_insensitive(true).build([text])).transpose();
        let first = filter.since.map_or([0; 16], |since| first_id_at(since.as_millisecond()));
        let last = filter.until.map_or([0xff; 16], |until| before(first_id_at(until.as_millisecond())));
        Ok(Some(Self {
            destination: destination.flatten(),
            route: route.flatten(),
            account: filter.account.clone(),
            ids: (EventId::from_bytes(first), EventId::from_bytes(last)),
            // A text that is too long to search for is found nowhere.
            search: match search {
                Ok(search) => search,
                Err(_) => return Ok(None),
            },
        }))
    }

    fn wants_body(&self) -> bool {
        self.search.is_some()
    }

    /// Whether the event's time, account and text are what is looked for. `row` has the body, if that is wanted, in column [`BODY`].
    fn takes(&self, event: &EventRow, row: &Row<'_>) -> rusqlite::Result<bool> {
        let of_account = self.account.is_none() || self.account == event.account;
        if event.id < self.ids.0 || event.id > self.ids.1 || !of_account {
            return Ok(false);
        }
        let Some(search) = &self.search else { return Ok(true) };
        let body = row.get_ref(BODY)?.as_blob_or_null()?.unwrap_or_default();
        Ok(search.is_match(body) || search.is_match(&event.path) || search.is_match(&event.query) || search.is_match(&event.id.to_string()))
    }

    /// Whether the event was matched by the route and planned for the destination that are looked for.
    fn takes_plan(&self, event: &EventRow) -> bool {
        self.route.is_none_or(|route| event.routes.contains(&route))
            && self.destination.is_none_or(|wanted| event.planned.iter().any(|planned| planned.destination == wanted))
    }

    /// Whether the delivery is one that is looked for.
    fn takes_planned(&self, planned: &Planned) -> bool {
        self.destination.is_none_or(|wanted| planned.destination == wanted)
            && self.route.is_none_or(|wanted| planned.route.is_some_and(|route| route.0 == wanted))
    }
}

/// The smallest id of an event that was received at this millisecond or later: ids begin with the time (RFC 9562).
fn first_id_at(milliseconds: i64) -> [u8; 16] {
    let mut id = [0; 16];
    let [_, _, time @ ..] = milliseconds.max(0).to_be_bytes();
    id[..6].copy_from_slice(&time);
    id
}

fn before(id: [u8; 16]) -> [u8; 16] {
    u128::from_be_bytes(id).saturating_sub(1).to_be_bytes()
}

/// Ends a look in time.
struct Patience {
    until: Instant,
    /// At least one row is looked at, so that every page gets on.
    used: bool,
}

impl Patience {
    fn new() -> Self {
        Self { until: clock::steady() + LOOK_TIME_MAX, used: false }
    }

    fn is_over(&mut self) -> bool {
        std::mem::replace(&mut self.used, true) && clock::steady() >= self.until
    }
}
