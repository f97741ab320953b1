//! Checking the books: walks every event with its plan beside every row of a delivery, in one look at one moment, and
//! adds up what the counters say was planned, delivered, given up and taken up again. Memory stays the same however
//! large the store is.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::delivery::state::State;
use crate::store::embedded::rows::deliveries::{self, Damaged, STATE_COLUMNS};
use crate::store::embedded::rows::destinations::{FIGURES, figures};
use crate::store::embedded::rows::plan;
use crate::store::{Account, Audit};

/// Strays that are told one by one; more are the same trouble.
const STRAYS_TOLD_MAX: usize = 20;

/// Walks the store.
pub fn walk(connection: &Connection) -> rusqlite::Result<Audit> {
    // One transaction, so that all that is read is of one moment, also while a relay writes.
    let moment = connection.unchecked_transaction()?;
    let mut accounts = accounts(&moment)?;
    let mut audit = Audit::default();
    let mut strays = Strays(&mut audit.strays);

    let mut statement =
        moment.prepare(&format!("SELECT d.event, d.destination, {STATE_COLUMNS} FROM deliveries d ORDER BY d.event, d.destination"))?;
    let mut rows = statement.query([])?;
    let mut row = next(&mut rows)?;
    let mut statement = moment.prepare("SELECT sequence, plan FROM events ORDER BY sequence")?;
    let mut events = statement.query([])?;
    while let Some(event) = events.next()? {
        audit.events += 1;
        let sequence: i64 = event.get(0)?;
        let planned = match plan::parse_deliveries(event.get_ref(1)?.as_str()?) {
            Ok(planned) => planned,
            Err(_) => {
                strays.add(|| format!("the plan of event {sequence} cannot be read"));
                Vec::new()
            }
        };
        while let Some(stray) = row.take_if(|row| row.event < sequence) {
            strays.add(|| format!("the delivery of event {} to destination {} has no event", stray.event, stray.destination));
            row = next(&mut rows)?;
        }
        let mut with_row: Vec<u32> = Vec::with_capacity(planned.len());
        while let Some(found) = row.take_if(|row| row.event == sequence) {
            if planned.iter().any(|planned| planned.destination.0 == found.destination) {
                with_row.push(found.destination);
                if let Some(account) = accounts.get_mut(&found.destination) {
                    match found.state {
                        Ok(State::Delivered { .. }) => account.delivered_rows += 1,
                        Ok(State::Dead { .. }) => account.dead_rows += 1,
                        Ok(_) => account.outstanding += 1,
                        Err(ref damaged) => {
                            account.outstanding += 1;
                            strays.add(|| format!("{damaged}; its destination is {}", found.destination));
                        }
                    }
                }
            } else {
                strays.add(|| format!("event {sequence} has a delivery to destination {} that was not planned", found.destination));
            }
            row = next(&mut rows)?;
        }
        for destination in planned.iter().map(|planned| planned.destination.0).filter(|destination| !with_row.contains(destination)) {
            match accounts.get_mut(&destination) {
                Some(account) => account.outstanding += 1,
                None => strays.add(|| format!("event {sequence} is planned for destination {destination}, which is not known")),
            }
        }
    }
    while let Some(stray) = row {
        strays.add(|| format!("the delivery of event {} to destination {} has no event", stray.event, stray.destination));
        row = next(&mut rows)?;
    }
    audit.accounts = accounts.into_values().collect();
    Ok(audit)
}

fn accounts(connection: &Connection) -> rusqlite::Result<BTreeMap<u32, Account>> {
    let mut statement = connection.prepare(&format!("SELECT key, {FIGURES} FROM destinations"))?;
    let accounts = statement.query_map([], |row| {
        let account = Account { figures: figures(row, 1)?, outstanding: 0, dead_rows: 0, delivered_rows: 0 };
        Ok((row.get(0)?, account))
    })?;
    accounts.collect()
}

/// A delivery's row.
struct Delivery {
    event: i64,
    destination: u32,
    state: Result<State, Damaged>,
}

fn next(rows: &mut rusqlite::Rows<'_>) -> rusqlite::Result<Option<Delivery>> {
    let Some(row) = rows.next()? else { return Ok(None) };
    let event = row.get(0)?;
    Ok(Some(Delivery { event, destination: row.get(1)?, state: deliveries::try_read(row, 2, event)? }))
}

/// Tells the first of them.
struct Strays<'a>(&'a mut Vec<String>);

impl Strays<'_> {
    fn add(&mut self, what: impl FnOnce() -> String) {
        if self.0.len() < STRAYS_TOLD_MAX {
            self.0.push(what());
        } else if self.0.len() == STRAYS_TOLD_MAX {
            self.0.push("and more".to_owned());
        }
    }
}
