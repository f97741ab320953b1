//! Batches as rows. Before a batch is sent its members are written down, so that it is repeated as the same batch, also
//! after a crash. Its first member *leads* it: the leader's row has the due time, and the others' rows point to the leader
//! and have none. So one row is claimed, retried and settled, and the others follow it.

use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::session::Session;
use crate::clock;
use crate::delivery::state::{Refused, Transition};
use crate::delivery::{AttemptResult, Claim, Member, Outcome, Settlement};
use crate::store::embedded::rows::deliveries;
use crate::store::embedded::rows::deliveries::write::Told;
use crate::store::embedded::window::receipt;

/// Makes one claim of several. The batch is on stable storage when this returns.
pub fn form(session: &Session, claims: &[Claim]) -> rusqlite::Result<Option<Claim>> {
    // In the order of acceptance, in which they are read back for every repetition.
    let mut claims = claims.to_vec();
    claims.sort_by_key(|claim| claim.sequence);
    let Some((first, others)) = claims.split_first() else { return Ok(None) };
    let Some(queue) = session.queues.get(first.destination) else { return Ok(None) };
    let now = clock::wall().as_millisecond();
    // Before the commit: the leader's row is due from then on, and a read may find it at once.
    let was_taken = queue.begin_batch(first.sequence);
    let written = write(&session.connection, first, others, now);
    if written.is_err() && !was_taken {
        queue.cancel_batch(first.sequence);
    }
    written?;
    queue.batch_written(&claims);
    let members: Vec<Member> = others
        .iter()
        .map(|claim| Member { sequence: claim.sequence, event: Arc::clone(&claim.event), route: claim.route, since: claim.since })
        .collect();
    Ok(Some(Claim {
        attempts_made: claims.iter().map(|claim| claim.attempts_made).max().unwrap_or(0),
        receipt: receipt::HAS_ROW,
        batch: Some(members.into()),
        ..first.clone()
    }))
}

fn write(connection: &Connection, first: &Claim, others: &[Claim], now: i64) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let first_leads = std::iter::once((first, Transition::Lead { at: now }));
    let others_join = others.iter().map(|claim| (claim, Transition::Join { leader: first.sequence }));
    for (claim, transition) in first_leads.chain(others_join) {
        if !deliveries::write::gather(&transaction, claim, transition, now)? {
            let state = deliveries::find(&transaction, claim.sequence, claim.destination)?;
            let refused = Refused { from: state, transition };
            return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(refused)));
        }
    }
    transaction.commit()
}

/// Final outcomes that a settlement of a batch brings about beside its leader's.
#[derive(Debug, Default, Clone, Copy)]
pub struct Settled {
    pub delivered: u64,
    pub dead: u64,
}

/// Writes what becomes of the others of a batch whose leader has just been settled, by a row of this state.
pub fn settle(transaction: &Transaction<'_>, settlement: &Settlement, now: i64) -> rusqlite::Result<Settled> {
    let Settlement { claim, attempt, outcome, attempts, left_out } = settlement;
    let mut settled = Settled::default();
    if claim.batch.is_none() {
        return Ok(settled);
    }
    let (destination, leader) = (claim.destination, claim.sequence);
    for (sequence, reason) in left_out.iter().filter(|(sequence, _)| *sequence != leader) {
        settled.dead += deliveries::write::leave_out(transaction, destination, *sequence, *attempts, now, reason)?;
    }
    let told = Told {
        attempts: *attempts,
        settled_at: now,
        latency_us: i64::try_from(attempt.latency.as_micros()).unwrap_or(i64::MAX),
        status: attempt.result.status(),
        error: match outcome {
            Outcome::Delivered => None,
            Outcome::Retry(_) => attempt.result.error(),
            Outcome::Dead(reason) => Some(reason),
        },
    };
    let changed = deliveries::write::settle_members(transaction, destination, leader, Transition::of(outcome), told)?;
    match outcome {
        Outcome::Delivered => settled.delivered += changed,
        Outcome::Dead(_) => settled.dead += changed,
        Outcome::Retry(at) if matches!(attempt.result, AttemptResult::NotTogether(_)) => {
            deliveries::write::part(transaction, destination, leader, at.as_millisecond())?;
        }
        Outcome::Retry(at) if reason_of_leader(settlement).is_some() => {
            deliveries::write::pass_on(transaction, destination, leader, at.as_millisecond())?;
        }
        Outcome::Retry(_) => {}
    }
    Ok(settled)
}

/// Why the leader itself does not go with its batch, if so.
pub fn reason_of_leader(settlement: &Settlement) -> Option<&str> {
    settlement.left_out.iter().find(|(sequence, _)| *sequence == settlement.claim.sequence).map(|(_, reason)| reason.as_str())
}
