//! What is known of each destination beside its figures and its standing.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::delivery::DestinationKey;
use crate::store::{DestinationHistory, LastFailure};

/// What is known of each destination beside its figures and its standing.
pub fn histories(connection: &Connection) -> rusqlite::Result<Vec<(DestinationKey, DestinationHistory)>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.key, d.circuit_since, d.circuit_by, d.hold_since, d.removed_at, d.arrived_at, d.failed_at, d.failed_status, d.failed_error,
           (SELECT reply FROM attempts a WHERE a.event = d.failed_event AND a.destination = d.key AND a.started_at = d.failed_start
            ORDER BY a.number DESC LIMIT 1)
         FROM destinations d ORDER BY d.key",
    )?;
    let histories = statement.query_map([], |row| {
        let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.and_then(|at| Timestamp::from_millisecond(at).ok()));
        let reply: Option<Vec<u8>> = row.get(9)?;
        let (status, error) = (row.get(7)?, row.get(8)?);
        let failed =
            |at| LastFailure { at, status, error, reply: reply.as_deref().map(|reply| String::from_utf8_lossy(reply).into_owned()) };
        let history = DestinationHistory {
            circuit_since: time(1)?,
            circuit_by: row.get(2)?,
            hold_since: time(3)?,
            removed_at: time(4)?,
            last_delivered_at: time(5)?,
            last_failure: time(6)?.map(failed),
            ended_per_second: None,
        };
        Ok((DestinationKey(row.get(0)?), history))
    })?;
    histories.collect()
}
