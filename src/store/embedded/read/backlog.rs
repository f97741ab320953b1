//! Reading the durable backlog, shared by the destinations that are behind. They are behind at about the same place,
//! so one of them reads a stretch of the order of acceptance, and the others find it here: one read, one parse and
//! one conversion of an event then serve all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use crate::delivery::{DestinationKey, Planned};
use crate::event::Event;
use crate::store::embedded::rows::{events, plan};
use crate::store::embedded::window::entries::{Fresh, Ready, WINDOW_BYTES_MAX, WINDOW_DELIVERIES_MAX, Wanted};

/// Stretches kept: those that were read last. With what is made of the bodies about 20 MiB of full reveals.
const STRETCHES_MAX: usize = 4;
/// Events in one stretch at most, whomever they are for: an upper limit for what one read costs.
const STRETCH_EVENTS_MAX: usize = 4_096;

/// A piece of the order of acceptance without gaps: every event after `after` up to `to`.
struct Stretch {
    after: i64,
    to: i64,
    events: Vec<Place>,
}

/// One event of a stretch.
struct Place {
    sequence: i64,
    planned: Vec<Planned>,
    /// Read where a destination wants it: bodies for others are passed over.
    event: OnceLock<Arc<Event>>,
}

/// The stretches that were read last.
#[derive(Default)]
pub struct Backlog(Mutex<VecDeque<Arc<Stretch>>>);

impl Backlog {
    /// Deliveries without an outcome, in the order of acceptance; at most a window of them.
    pub fn read(&self, connection: &Connection, wanted: Wanted) -> rusqlite::Result<Fresh> {
        let stretch = match self.covering(wanted.after) {
            Some(stretch) => stretch,
            None => self.keep(Stretch::read(connection, wanted)?),
        };
        let mut fresh = Fresh { found: Vec::new(), looked_at: wanted.after };
        let first = stretch.events.partition_point(|place| place.sequence <= wanted.after);
        let mut bytes = 0;
        for place in stretch.events.iter().skip(first) {
            if fresh.found.len() >= WINDOW_DELIVERIES_MAX || bytes >= WINDOW_BYTES_MAX {
                return Ok(fresh);
            }
            if let Some(planned) = place.planned_for(wanted.destination)
                && (place.sequence > wanted.settled_up_to || !is_settled(connection, place.sequence, wanted.destination)?)
                && let Some(event) = place.event(connection)?
            {
                bytes += event.body.len();
                let since = event.received_at;
                fresh.found.push(Ready {
                    sequence: place.sequence,
                    event,
                    route: planned.route,
                    order: planned.order,
                    attempts_made: 0,
                    since,
                    batch: None,
                });
            }
            fresh.looked_at = place.sequence;
        }
        fresh.looked_at = fresh.looked_at.max(stretch.to);
        Ok(fresh)
    }

    fn covering(&self, after: i64) -> Option<Arc<Stretch>> {
        let stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stretches.iter().find(|stretch| stretch.after <= after && after < stretch.to).cloned()
    }

    fn keep(&self, stretch: Stretch) -> Arc<Stretch> {
        let stretch = Arc::new(stretch);
        let mut stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stretches.push_back(Arc::clone(&stretch));
        let evicted = if stretches.len() > STRETCHES_MAX { stretches.pop_front() } else { None };
        drop(stretches);
        drop(evicted); // Freeing parsed payloads takes longer than anything above, so not under the lock.
        stretch
    }
}

impl Stretch {
    /// Reads on until a window of deliveries for the destination is found. Columns are decoded only where they are
    /// asked for, so events for others cost little.
    fn read(connection: &Connection, wanted: Wanted) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(
            "SELECT sequence, plan, id, received_at, path, query, body, plan, checksum, account FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
        )?;
        let limit = i64::try_from(STRETCH_EVENTS_MAX).unwrap_or(i64::MAX);
        let mut rows = statement.query([wanted.after, limit])?;
        let mut stretch = Self { after: wanted.after, to: wanted.after, events: Vec::new() };
        let (mut found, mut bytes) = (0, 0);
        while found < WINDOW_DELIVERIES_MAX
            && bytes < WINDOW_BYTES_MAX
            && let Some(row) = rows.next()?
        {
            let sequence = row.get(0)?;
            let planned = plan::parse_deliveries(row.get_ref(1)?.as_str()?).unwrap_or_else(|_| {
                // They stay among what waits, so that `audit` misses them too.
                tracing::error!(sequence, "an event's plan was damaged on the disk; its deliveries cannot be made");
                Vec::new()
            });
            let place = Place { sequence, planned, event: OnceLock::new() };
            if place.planned_for(wanted.destination).is_some() {
                let event = events::event(row, 2)?;
                found += 1;
                bytes += event.body.len();
                let _ = place.event.set(Arc::new(event));
            }
            stretch.to = place.sequence;
            stretch.events.push(place);
        }
        Ok(stretch)
    }
}

impl Place {
    fn planned_for(&self, destination: DestinationKey) -> Option<&Planned> {
        self.planned.iter().find(|planned| planned.destination == destination)
    }

    /// The event; `None` if it was deleted meanwhile.
    fn event(&self, connection: &Connection) -> rusqlite::Result<Option<Arc<Event>>> {
        if let Some(event) = self.event.get() {
            return Ok(Some(Arc::clone(event)));
        }
        let mut statement = connection
            .prepare_cached("SELECT id, received_at, path, query, body, plan, checksum, account FROM events WHERE sequence = ?")?;
        let read = statement.query_row([self.sequence], |row| events::event(row, 0)).optional()?;
        Ok(read.map(|event| Arc::clone(self.event.get_or_init(|| Arc::new(event)))))
    }
}

fn is_settled(connection: &Connection, sequence: i64, destination: DestinationKey) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM deliveries WHERE event = ? AND destination = ?")?;
    statement.query_row(params![sequence, destination.0], |_| Ok(())).optional().map(|row| row.is_some())
}
