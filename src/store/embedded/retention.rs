//! Deleting what is old, a little between every two commits, so that no webhook waits for it.
//!
//! An event goes as a whole: its row, its outcomes, its attempts. One with an undelivered delivery never goes. Freed
//! pages are used again by SQLite, so the file stops growing; it does not shrink.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::writer::Writer;
use super::{plan, schema};
use crate::config::Retention;
use crate::delivery::DestinationKey;

/// Events looked at in one step.
const STEP_EVENTS_MAX: usize = 200;
/// The pause after everything was looked at.
const PAUSE: Duration = Duration::from_secs(60);

/// Where the sweep stands.
#[derive(Debug)]
pub(super) struct Sweep {
    pub settings: Retention,
    /// The last event that was looked at in this pass.
    cursor: i64,
    next_step_at: Instant,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { settings: Retention::default(), cursor: 0, next_step_at: Instant::now() }
    }
}

impl Sweep {
    /// Takes new settings and begins a new pass.
    pub fn configure(&mut self, settings: Retention) {
        if self.settings != settings {
            *self = Self { settings, ..Self::default() };
        }
    }
}

/// Looks at the next few events and deletes those whose time is over.
pub(super) fn step(writer: &mut Writer) {
    if Instant::now() < writer.retention.next_step_at {
        return;
    }
    if let Err(error) = sweep(writer) {
        writer.shared.note_failure("deleting what is over its time", &error);
        writer.retention.next_step_at = Instant::now() + PAUSE;
    }
}

fn sweep(writer: &mut Writer) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let settings = writer.retention.settings;
    let over_size = bytes_in_use(&writer.connection)? > settings.size;
    let ages = Ages {
        delivered_before: if over_size { i64::MAX } else { now.saturating_sub(milliseconds(settings.delivered)) },
        dead_before: now.saturating_sub(milliseconds(settings.dead)),
    };
    let candidates = candidates(writer, ages.delivered_before.max(ages.dead_before))?;
    let Some(last) = candidates.last().map(|candidate| candidate.sequence) else {
        writer.retention.cursor = 0;
        writer.retention.next_step_at = Instant::now() + PAUSE;
        return Ok(());
    };
    let transaction = Transaction::new_unchecked(&writer.connection, TransactionBehavior::Immediate)?;
    let mut dead_gone: HashMap<DestinationKey, u64> = HashMap::new();
    for candidate in &candidates {
        let Some(dead) = over(&transaction, candidate, ages)? else { continue };
        for destination in dead {
            *dead_gone.entry(destination).or_default() += 1;
        }
        for table in
            ["DELETE FROM attempts WHERE event = ?", "DELETE FROM deliveries WHERE event = ?", "DELETE FROM events WHERE sequence = ?"]
        {
            transaction.prepare_cached(table)?.execute([candidate.sequence])?;
        }
    }
    for (destination, count) in &dead_gone {
        transaction
            .prepare_cached("UPDATE destinations SET dead_kept = dead_kept - ? WHERE key = ?")?
            .execute(params![i64::try_from(*count).unwrap_or(i64::MAX), destination.0])?;
    }
    transaction.commit()?;
    for (destination, count) in dead_gone {
        if let Some(queue) = writer.shared.queue(destination) {
            queue.forget_dead(count);
        }
    }
    writer.retention.cursor = last;
    Ok(())
}

#[derive(Clone, Copy)]
struct Ages {
    delivered_before: i64,
    dead_before: i64,
}

struct Candidate {
    sequence: i64,
    received_at: i64,
    status: i64,
    plan: String,
}

fn candidates(writer: &Writer, before: i64) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement = writer
        .connection
        .prepare_cached("SELECT sequence, received_at, status, plan FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?")?;
    let limit = i64::try_from(STEP_EVENTS_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query([writer.retention.cursor, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let received_at = row.get(1)?;
        if received_at >= before {
            break; // Events are in the order of time, so the rest is younger.
        }
        found.push(Candidate { sequence: row.get(0)?, received_at, status: row.get(2)?, plan: row.get(3)? });
    }
    Ok(found)
}

/// Whether the event's time is over: then the destinations at which it died.
fn over(transaction: &Transaction<'_>, candidate: &Candidate, ages: Ages) -> rusqlite::Result<Option<Vec<DestinationKey>>> {
    let Ok(planned) = plan::parse_deliveries(&candidate.plan) else { return Ok(None) };
    let mut finished = 0;
    let mut dead = Vec::new();
    let mut statement = transaction.prepare_cached("SELECT destination, state FROM deliveries WHERE event = ?")?;
    let mut rows = statement.query([candidate.sequence])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, i64>(1)? {
            schema::STATE_DELIVERED => finished += 1,
            schema::STATE_DEAD => {
                finished += 1;
                dead.push(DestinationKey(row.get(0)?));
            }
            _ => {}
        }
    }
    let before = if dead.is_empty() && candidate.status != schema::STATUS_QUARANTINED { ages.delivered_before } else { ages.dead_before };
    Ok((finished == planned.len() && candidate.received_at < before).then_some(dead))
}

fn bytes_in_use(connection: &rusqlite::Connection) -> rusqlite::Result<u64> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(u64::try_from((pages - free).saturating_mul(size)).unwrap_or(0))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
