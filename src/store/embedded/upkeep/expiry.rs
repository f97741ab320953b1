//! Ending deliveries whose destination's `expire` is over, a few between two commits. Lanes do the same with what they claim; here it is
//! done for what no lane would come to in time: behind an open circuit, paused, switched off, in line behind others, or far back in the
//! queue.
//!
//! Of each destination two kinds are looked at, as in `window/`: rows without a final outcome, along their index, and fresh deliveries, along
//! the events behind the frontier. Both walk in the order of acceptance and stop at the first event that is too young, so that a look
//! at a queue with nothing over its time costs two short reads. What is claimed is left to its attempt.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::believed::{self, Believed};
use super::give_up::{self, GivenUp};
use crate::delivery::{DestinationKey, Planned, RouteKey};
use crate::store::embedded::rows::deliveries::{self, STATE_COLUMNS, state_is};
use crate::store::embedded::rows::plan;
use crate::store::embedded::window::queue::Queue;
use crate::store::embedded::write::session::Session;
use crate::{clock, withhold};

/// Rows and events of a destination that one step looks at, each.
const STEP_LOOKED_AT_MAX: usize = 500;
/// The pause after everything was looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the looks stand.
#[derive(Debug, Default)]
pub struct Expiry {
    /// How long deliveries are worth sending, and where the next look begins.
    destinations: HashMap<DestinationKey, (Duration, Place)>,
    next_step_at: Option<Instant>,
}

/// The last events that were looked at.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    rows: i64,
    /// `None`: the frontier.
    fresh: Option<i64>,
}

impl Expiry {
    /// Takes new settings and begins anew.
    pub fn configure(&mut self, expire: HashMap<DestinationKey, Duration>) {
        self.destinations = expire.into_iter().map(|(key, expire)| (key, (expire, Place::default()))).collect();
        self.next_step_at = None;
    }
}

/// A delivery whose time is over.
struct Over {
    sequence: i64,
    /// The event whose delivery leads its batch, or its own.
    leader: i64,
    planned: Planned,
}

/// What one look found, and where it stopped.
struct Look {
    over: Vec<Over>,
    place: Place,
    /// Whether there was no more.
    ended: bool,
}

/// Looks at each destination that has an `expire`, once a [`PAUSE`].
pub fn step(expiry: &mut Expiry, believed: &mut Believed, session: &Session) {
    let rests = expiry.next_step_at.is_some_and(|at| clock::steady() < at);
    if expiry.destinations.is_empty() || rests {
        return;
    }
    let mut ended = true;
    for (key, (expire, place)) in &mut expiry.destinations {
        match expire_some(believed, session, *key, *expire, *place) {
            Ok((next, all)) => {
                ended &= all;
                *place = next;
            }
            Err(error) => session.failures.note("ending what has expired", &error),
        }
    }
    expiry.next_step_at = ended.then(|| clock::steady() + PAUSE);
}

/// Ends what is over of one destination. Gives where the next look begins, and whether there was no more.
fn expire_some(
    believed: &mut Believed,
    session: &Session,
    key: DestinationKey,
    expire: Duration,
    place: Place,
) -> rusqlite::Result<(Place, bool)> {
    let Some(queue) = session.queues.get(key) else { return Ok((place, true)) };
    // Never ahead of the clock that lanes go by, so what is over here is over for them too.
    let now = believed::time(believed, &session.connection)?;
    let before = now.saturating_sub(i64::try_from(expire.as_millis()).unwrap_or(i64::MAX));
    let look = look(&session.connection, &queue, before, place)?;
    if look.over.is_empty() {
        return Ok((look.place, look.ended));
    }
    let wanted: Vec<(i64, i64)> = look.over.iter().map(|over| (over.sequence, over.leader)).collect();
    let kept = queue.keep_back(&wanted);
    let mut given_up = GivenUp::of_expired(&session.queues, now);
    let written = (|| {
        let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
        for over in look.over.iter().filter(|over| kept.contains(&over.sequence)) {
            // The row may have been written, and even settled, since the look.
            if !deliveries::find(&transaction, over.sequence, over.planned.destination)?.is_final() {
                give_up::bury(&transaction, &mut given_up, over.sequence, over.planned, &withhold::expired(expire))?;
            }
        }
        given_up.write_figures(&transaction)?;
        transaction.commit()
    })();
    if written.is_ok() {
        given_up.committed(&session.changes);
    }
    queue.let_go(&kept, written.is_ok());
    written?;
    // One that is claimed now may come back without an attempt: it is looked at again.
    let left = look.over.iter().map(|over| over.sequence).filter(|sequence| !kept.contains(sequence)).min();
    let fresh = match (look.place.fresh, left) {
        (Some(fresh), Some(left)) => Some(fresh.min(left - 1)),
        (fresh, _) => fresh,
    };
    Ok((Place { fresh, ..look.place }, look.ended))
}

fn look(connection: &Connection, queue: &Queue, before: i64, place: Place) -> rusqlite::Result<Look> {
    let mut look = Look { over: Vec::new(), place, ended: true };
    retries(connection, queue.key, before, &mut look)?;
    fresh(connection, queue, before, &mut look)?;
    Ok(look)
}

/// Rows without a final outcome: those that wait for their next attempt, for others in line, and members of batches.
fn retries(connection: &Connection, destination: DestinationKey, before: i64, look: &mut Look) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT d.event, e.received_at, d.since, d.route, {STATE_COLUMNS}
         FROM deliveries d INDEXED BY deliveries_open CROSS JOIN events e ON e.sequence = d.event
         WHERE d.destination = ? AND d.{} AND d.event > ? ORDER BY d.event",
        state_is!(open)
    ))?;
    let mut rows = statement.query(params![destination.0, look.place.rows])?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let (sequence, received_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if received_at > before {
            break;
        }
        if looked_at >= STEP_LOOKED_AT_MAX {
            look.ended = false;
            return Ok(());
        }
        looked_at += 1;
        look.place.rows = sequence;
        if row.get::<_, Option<i64>>(2)?.is_some_and(|since| since > before) {
            continue; // Taken up again since.
        }
        let planned = Planned {
            destination,
            route: row.get::<_, Option<u32>>(3)?.map(RouteKey),
            order: row.get::<_, Option<i64>>(7)?.map(deliveries::order_key),
        };
        let leader = deliveries::read(row, 4, sequence)?.leader(sequence).unwrap_or(sequence);
        look.over.push(Over { sequence, leader, planned });
    }
    look.place.rows = 0; // The next look begins in front.
    Ok(())
}

/// Deliveries that are planned and have no row yet.
fn fresh(connection: &Connection, queue: &Queue, before: i64, look: &mut Look) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT sequence, received_at, plan FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?")?;
    let mut has_row = connection.prepare_cached("SELECT 1 FROM deliveries WHERE event = ? AND destination = ?")?;
    let frontier = queue.frontier();
    let from = look.place.fresh.map_or(frontier, |fresh| fresh.max(frontier));
    let limit = i64::try_from(STEP_LOOKED_AT_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![from, limit])?;
    let mut looked_at = 0;
    let mut last = from;
    while let Some(row) = rows.next()? {
        let (sequence, received_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if received_at > before {
            break;
        }
        looked_at += 1;
        last = sequence;
        let planned = plan::parse_deliveries(row.get_ref(2)?.as_str()?).unwrap_or_default();
        let Some(planned) = planned.into_iter().find(|planned| planned.destination == queue.key) else { continue };
        if has_row.query_row(params![sequence, queue.key.0], |_| Ok(())).optional()?.is_none() {
            look.over.push(Over { sequence, leader: sequence, planned });
        }
    }
    look.ended &= looked_at < STEP_LOOKED_AT_MAX;
    look.place.fresh = Some(last);
    Ok(())
}
