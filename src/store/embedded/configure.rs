//! Making a version of the rules the one in effect: names get their keys, destinations are parked or taken up again.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Transaction, TransactionBehavior, params};

use super::rows::destinations;
use super::upkeep::Upkeep;
use super::window::queue::Queue;
use super::write::session::Session;
use crate::circuit::{CircuitState, Standing};
use crate::clock;
use crate::delivery::{DestinationKey, RouteKey};
use crate::names::{Keys, Names, RulesKey};
use crate::store::DestinationFigures;

/// As by `pause`.
const PAUSED: Standing = Standing { circuit: CircuitState::Paused, hold_until: None };

/// Registers the names and sets which destinations are active. Changes nothing where it fails.
pub fn apply(session: &mut Session, upkeep: &mut Upkeep, names: &Names) -> rusqlite::Result<Keys> {
    let transaction = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached("INSERT INTO rules (version, first_used_at) VALUES (?, ?) ON CONFLICT (version) DO NOTHING")?
        .execute(params![names.version, clock::wall().as_millisecond()])?;
    let rules = transaction.prepare_cached("SELECT key FROM rules WHERE version = ?")?.query_row([&names.version], |row| row.get(0))?;
    let routes = names.routes.iter().map(|name| key(&transaction, "routes", name).map(RouteKey)).collect::<rusqlite::Result<_>>()?;
    let destinations: Vec<DestinationKey> = names
        .destinations
        .iter()
        .map(|name| key(&transaction, "destinations", name).map(DestinationKey))
        .collect::<rusqlite::Result<_>>()?;
    let named = || destinations.iter().copied().zip(&names.destinations);
    let disabled: HashSet<DestinationKey> = named().filter(|(_, name)| names.disabled.contains(name)).map(|(key, _)| key).collect();
    let active: HashSet<DestinationKey> = destinations.iter().copied().filter(|key| !disabled.contains(key)).collect();
    let expire = |name: &String| names.expire.iter().find(|(known, _)| known == name).map(|(_, expire)| *expire);
    let expire = named().filter_map(|(key, name)| Some((key, expire(name)?))).collect();

    let mut queues = Vec::clone(&session.queues.all());
    for (key, name) in destinations.iter().zip(&names.destinations) {
        // Keys are given in order, so a new one is the next place.
        if usize::try_from(key.0).is_ok_and(|place| place == queues.len()) {
            let figures = DestinationFigures { name: name.as_str().into(), ..DestinationFigures::default() };
            let last = session.next_sequence - 1;
            queues.push(Arc::new(Queue::new(*key, figures, last, last, Standing::default())));
        }
    }
    for queue in &queues {
        transaction
            .prepare_cached(
                "UPDATE destinations SET active = ?1, removed_at = CASE WHEN ?1 THEN NULL WHEN active THEN ?2 ELSE removed_at END WHERE key = ?3",
            )?
            .execute(params![active.contains(&queue.key), clock::wall().as_millisecond(), queue.key.0])?;
        if let Some(by) = &names.held_by {
            destinations::set_standing(&transaction, queue.key, PAUSED, Some(by))?;
        }
    }
    transaction.commit()?;

    for queue in &queues {
        let active = active.contains(&queue.key);
        if active && !queue.figures().active {
            // Back in the file, and mended perhaps: no need to wait for the rest of a cooldown or a hold.
            queue.standing.send_modify(Standing::end_rest);
        }
        queue.set_active(active, disabled.contains(&queue.key));
        if names.held_by.is_some() {
            queue.standing.send_replace(PAUSED);
        }
    }
    session.queues.replace(queues);
    session.queues.count_waiting();
    session.dedupe.set_window(names.dedupe_window);
    upkeep.retention.configure(names.retention);
    upkeep.expiry.configure(expire);
    Ok(Keys { destinations, routes, rules: RulesKey(rules) })
}

/// The key of a name, given now if it has none: 0 for the first, then without gaps.
fn key(transaction: &Transaction<'_>, table: &str, name: &str) -> rusqlite::Result<u32> {
    let insert = format!(
        "INSERT INTO {table} (key, name) SELECT coalesce(max(key) + 1, 0), ?1 FROM {table} WHERE true ON CONFLICT (name) DO NOTHING"
    );
    transaction.prepare_cached(&insert)?.execute([name])?;
    transaction.prepare_cached(&format!("SELECT key FROM {table} WHERE name = ?"))?.query_row([name], |row| row.get(0))
}
