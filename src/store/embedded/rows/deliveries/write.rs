//! Every statement that changes table `deliveries`. Each does what one transition of `delivery::state` says: the new columns are those of the
//! state that it decides, and the statement's condition names the states that it allows. The test beside this file runs each statement on a
//! row in every state.

use rusqlite::{Connection, Transaction, params};

use super::{Columns, state_is, stored};
use crate::delivery::state::{State, Transition};
use crate::delivery::{Claim, DestinationKey, OrderKey, Planned, RouteKey};

/// What an attempt's outcome adds to the row beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// Attempts that count.
    pub attempts: u32,
    /// Unix milliseconds.
    pub settled_at: i64,
    /// Microseconds.
    pub latency_us: i64,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<&'t str>,
}

/// The columns that a delivery of this event gets, which stands so, by this transition.
fn decided(event: i64, from: State, transition: Transition) -> rusqlite::Result<Columns> {
    let after = from.after(transition).map_err(|refused| rusqlite::Error::ToSqlConversionFailure(Box::new(refused)))?;
    // What has no row afterwards is deleted by statements of its own.
    Columns::of(after, event).ok_or(rusqlite::Error::InvalidQuery)
}

/// Deliver, retry or die: the outcome of a delivery that was claimed. `false`: its state does not allow that, and nothing is written.
pub fn settle(transaction: &Transaction<'_>, claim: &Claim, transition: Transition, told: Told<'_>) -> rusqlite::Result<bool> {
    // One that is due keeps its `batch`: that is the only difference between what the states decide.
    let Columns { state, due_at, .. } = decided(claim.sequence, State::Waiting, transition)?;
    let written = transaction
        .prepare_cached(concat!(
            "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, settled_at, latency_us, last_status, last_error, order_key)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (event, destination) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, due_at = excluded.due_at,
               settled_at = excluded.settled_at, latency_us = excluded.latency_us, last_status = excluded.last_status, last_error = excluded.last_error
             WHERE ",
            state_is!(due)
        ))?
        .execute(params![
            claim.sequence,
            claim.destination.0,
            claim.route.map(|route| route.0),
            state,
            told.attempts,
            due_at,
            told.settled_at,
            told.latency_us,
            told.status,
            told.error,
            claim.order.map(stored)
        ])?;
    Ok(written > 0)
}

/// The same for all members of the batch that `leader` leads. Gives how many there were.
pub fn settle_members(
    transaction: &Transaction<'_>,
    destination: DestinationKey,
    leader: i64,
    transition: Transition,
    told: Told<'_>,
) -> rusqlite::Result<u64> {
    let Columns { state, .. } = decided(leader, State::Member { leader }, transition)?;
    let changed = transaction
        .prepare_cached(concat!(
            "UPDATE deliveries INDEXED BY deliveries_batched SET state = ?3, attempts = ?4, settled_at = ?5, latency_us = ?6, last_status = ?7, last_error = ?8
             WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND ",
            state_is!(member)
        ))?
        .execute(params![
            destination.0,
            leader,
            state,
            told.attempts,
            told.settled_at,
            told.latency_us,
            told.status,
            told.error
        ])?;
    Ok(count(changed))
}

/// Leave out: a member of a batch dies by itself. Gives 1, or 0 where its state does not allow that.
pub fn leave_out(
    transaction: &Transaction<'_>,
    destination: DestinationKey,
    event: i64,
    attempts: u32,
    now: i64,
    reason: &str,
) -> rusqlite::Result<u64> {
    // Whose member it is makes no difference to what is decided.
    let Columns { state, due_at, batch } = decided(event, State::Member { leader: event }, Transition::LeaveOut)?;
    let dead = transaction
        .prepare_cached(concat!(
            "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, batch = ?, settled_at = ?, last_error = ? WHERE event = ? AND destination = ? AND ",
            state_is!(member)
        ))?
        .execute(params![state, attempts, due_at, batch, now, reason, event, destination.0])?;
    Ok(count(dead))
}

/// Part: the leader of a batch and its members are batches of one from now on.
pub fn part(transaction: &Transaction<'_>, destination: DestinationKey, leader: i64, due: i64) -> rusqlite::Result<()> {
    let Columns { state, due_at, .. } = decided(leader, State::Member { leader }, Transition::Part { at: due })?;
    transaction
        .prepare_cached(concat!(
            "UPDATE deliveries SET state = ?3, batch = event, due_at = ?4 WHERE destination = ?1 AND event IN (
               SELECT event FROM deliveries INDEXED BY deliveries_batched
               WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND ",
            state_is!(open),
            ")"
        ))?
        .execute(params![destination.0, leader, state, due_at])?;
    Ok(())
}

/// Take over and follow: the leader has ended alone, and the first of its members leads the others.
pub fn pass_on(transaction: &Transaction<'_>, destination: DestinationKey, ended_leader: i64, due: i64) -> rusqlite::Result<()> {
    let leader: Option<i64> = transaction
        .prepare_cached(concat!(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_batched WHERE destination = ? AND batch = ? AND batch IS NOT NULL AND ",
            state_is!(member)
        ))?
        .query_row((destination.0, ended_leader), |row| row.get(0))?;
    let Some(leader) = leader else { return Ok(()) };
    let member = State::Member { leader: ended_leader };
    let leads = decided(leader, member, Transition::TakeOver { at: due })?;
    let follows = decided(ended_leader, member, Transition::Follow { leader })?;
    transaction
        .prepare_cached(concat!(
            "UPDATE deliveries SET batch = ?4, state = ?5, due_at = ?6 WHERE destination = ?1 AND event IN (
               SELECT event FROM deliveries INDEXED BY deliveries_batched
               WHERE destination = ?1 AND batch = ?2 AND batch IS NOT NULL AND ",
            state_is!(member),
            " AND event <> ?3)"
        ))?
        .execute(params![destination.0, ended_leader, leader, follows.batch, follows.state, follows.due_at])?;
    transaction
        .prepare_cached(concat!(
            "UPDATE deliveries SET batch = ?, state = ?, due_at = ? WHERE event = ? AND destination = ? AND ",
            state_is!(member)
        ))?
        .execute(params![leads.batch, leads.state, leads.due_at, leader, destination.0])?;
    Ok(())
}

/// Hold or release: a delivery gets its first row. `since`: from when its deadline counts, if not from its event's receipt. `false`: it has
/// a row already, and nothing is written.
pub fn enter(
    transaction: &Transaction<'_>,
    event: i64,
    planned: Planned,
    transition: Transition,
    since: Option<i64>,
    now: i64,
) -> rusqlite::Result<bool> {
    let Columns { state, due_at, batch } = decided(event, State::Waiting, transition)?;
    let written = transaction
        .prepare_cached(
            "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, batch, since, settled_at, order_key)
             VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (event, destination) DO NOTHING",
        )?
        .execute(params![
            event,
            planned.destination.0,
            planned.route.map(|route| route.0),
            state,
            due_at,
            batch,
            since,
            now,
            planned.order.map(stored)
        ])?;
    Ok(written > 0)
}

/// Release: lets the first go of those that are held. Whether there was one.
pub fn release_first(connection: &Connection, destination: DestinationKey, order: OrderKey, now: i64) -> rusqlite::Result<bool> {
    let Columns { state, due_at, .. } = decided(0, State::Held, Transition::Release { at: now })?;
    let released = connection
        .prepare_cached(concat!(
            "UPDATE deliveries SET state = ?3, due_at = ?4 WHERE destination = ?1 AND event = (
               SELECT event FROM deliveries INDEXED BY deliveries_held WHERE destination = ?1 AND order_key = ?2 AND ",
            state_is!(held),
            " ORDER BY event LIMIT 1)"
        ))?
        .execute(params![destination.0, stored(order), state, due_at])?;
    Ok(released > 0)
}

/// Unhold: deliveries of events after `frontier` that are held have no row any more. Those that were taken up by hand keep theirs.
pub fn unhold(connection: &Connection, destination: DestinationKey, frontier: i64) -> rusqlite::Result<()> {
    debug_assert_eq!(State::Held.after(Transition::Unhold), Ok(State::Waiting), "what waits has no row");
    connection
        .prepare_cached(concat!(
            "DELETE FROM deliveries INDEXED BY deliveries_held WHERE destination = ? AND ",
            state_is!(held),
            " AND since IS NULL AND event > ?"
        ))?
        .execute(params![destination.0, frontier])?;
    Ok(())
}

/// Lead or join: a claimed delivery goes in a batch. `false`: its state does not allow that, and nothing is written.
pub fn gather(transaction: &Transaction<'_>, claim: &Claim, transition: Transition, now: i64) -> rusqlite::Result<bool> {
    let Columns { state, due_at, batch } = decided(claim.sequence, State::Waiting, transition)?;
    let written = transaction
        .prepare_cached(concat!(
            "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, settled_at, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (event, destination) DO UPDATE SET state = excluded.state, due_at = excluded.due_at, batch = excluded.batch WHERE ",
            state_is!(due),
            " AND batch IS NULL"
        ))?
        .execute(params![
            claim.sequence,
            claim.destination.0,
            claim.route.map(|route| route.0),
            state,
            claim.attempts_made,
            due_at,
            now,
            batch
        ])?;
    Ok(written > 0)
}

/// Give up: a delivery dies that nobody has claimed. `false`: it has a final outcome, and nothing is written.
pub fn give_up(transaction: &Transaction<'_>, event: i64, planned: Planned, reason: &str, now: i64) -> rusqlite::Result<bool> {
    let Columns { state, due_at, batch } = decided(event, State::Waiting, Transition::GiveUp)?;
    let written = transaction
        .prepare_cached(concat!(
            "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, batch, settled_at, last_error, order_key)
             VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?)
             ON CONFLICT (event, destination) DO UPDATE SET state = excluded.state, due_at = excluded.due_at, batch = excluded.batch,
               settled_at = excluded.settled_at, last_error = excluded.last_error WHERE ",
            state_is!(open)
        ))?
        .execute(params![
            event,
            planned.destination.0,
            planned.route.map(|route: RouteKey| route.0),
            state,
            due_at,
            batch,
            now,
            reason,
            planned.order.map(stored)
        ])?;
    Ok(written > 0)
}

/// Redrive: a dead delivery is taken up again, its deadline counts from `since`. `false`: it is not dead, and nothing is written.
pub fn redrive(
    transaction: &Transaction<'_>,
    (event, destination): (i64, DestinationKey),
    from: State,
    transition: Transition,
    since: i64,
    now: i64,
) -> rusqlite::Result<bool> {
    let Columns { state, due_at, batch } = decided(event, from, transition)?;
    let written = transaction
        .prepare_cached(concat!(
            "UPDATE deliveries SET state = ?, attempts = 0, due_at = ?, batch = ?, since = ?, settled_at = ? WHERE event = ? AND destination = ? AND ",
            state_is!(dead)
        ))?
        .execute(params![state, due_at, batch, since, now, event, destination.0])?;
    Ok(written > 0)
}

/// Bring forward: a delivery that stands so is due earlier.
pub fn bring_forward(
    transaction: &Transaction<'_>,
    (event, destination): (i64, DestinationKey),
    from: State,
    transition: Transition,
) -> rusqlite::Result<()> {
    let Columns { due_at, .. } = decided(event, from, transition)?;
    transaction
        .prepare_cached(concat!("UPDATE deliveries SET due_at = ? WHERE event = ? AND destination = ? AND ", state_is!(due)))?
        .execute(params![due_at, event, destination.0])?;
    Ok(())
}

/// Deletes the rows of an event all of whose deliveries have their final outcome.
pub fn forget(transaction: &Transaction<'_>, event: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached(concat!("DELETE FROM deliveries WHERE event = ? AND ", state_is!(ended)))?.execute([event])?;
    Ok(())
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}
