//! Which dead deliveries a redrive means, a step of them at a time.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::listing::deliveries::{self as listing, Rows};
use crate::delivery::{DeliveryId, DestinationKey};
use crate::store::Redrive;

/// Deliveries in one step: short enough that no webhook waits for it.
const STEP_DELIVERIES: usize = 250;

/// Dead deliveries, and where the next step begins.
pub struct Chosen {
    pub deliveries: Vec<(i64, DestinationKey)>,
    pub cursor: Option<String>,
    /// Ids that were asked for and are not dead.
    pub not_dead: Vec<DeliveryId>,
}

/// Finds the next dead deliveries that are meant.
pub fn choose(connection: &Connection, redrive: &Redrive) -> rusqlite::Result<Chosen> {
    if redrive.ids.is_empty() {
        let (found, cursor) = listing::by_rows(connection, Rows::Dead, &redrive.filter, redrive.cursor.as_deref(), STEP_DELIVERIES)?;
        let deliveries = found.iter().map(|found| (found.sequence, found.destination)).collect();
        return Ok(Chosen { deliveries, cursor, not_dead: Vec::new() });
    }
    let done: usize = redrive.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let mut chosen = Chosen { deliveries: Vec::new(), cursor: None, not_dead: Vec::new() };
    for id in redrive.ids.iter().skip(done).take(STEP_DELIVERIES) {
        match listing::find_dead(connection, id.event, &id.destination)? {
            Some(dead) => chosen.deliveries.push(dead),
            None => chosen.not_dead.push(id.clone()),
        }
    }
    let next = done + STEP_DELIVERIES;
    chosen.cursor = (next < redrive.ids.len()).then(|| next.to_string());
    // Twice the same id is one delivery.
    chosen.deliveries.sort_unstable();
    chosen.deliveries.dedup();
    Ok(chosen)
}

/// Only counts what was chosen.
pub fn count(chosen: &Chosen) -> BTreeMap<DestinationKey, u64> {
    let mut counts = BTreeMap::new();
    for (_, destination) in &chosen.deliveries {
        *counts.entry(*destination).or_default() += 1;
    }
    counts
}
