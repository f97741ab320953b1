//! Who stands in line behind one another.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{order_key, state_is};
use crate::delivery::{DestinationKey, OrderKey};

/// The first event whose delivery is held.
pub fn first_held(connection: &Connection, destination: DestinationKey) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(concat!(
            "SELECT min(event) FROM deliveries INDEXED BY deliveries_held WHERE destination = ? AND ",
            state_is!(held)
        ))?
        .query_row([destination.0], |row| row.get(0))
}

/// Of each line that has a delivery which is due: how many of them.
pub fn under_way(connection: &Connection, destination: DestinationKey) -> rusqlite::Result<HashMap<OrderKey, u32>> {
    counted(
        connection,
        destination,
        concat!(
            "SELECT order_key, count(*) FROM deliveries INDEXED BY deliveries_ordered WHERE destination = ? AND order_key IS NOT NULL AND ",
            state_is!(due),
            " GROUP BY order_key"
        ),
    )
}

/// Of each line that has a delivery which is held: how many of them.
pub fn held(connection: &Connection, destination: DestinationKey) -> rusqlite::Result<HashMap<OrderKey, u32>> {
    counted(
        connection,
        destination,
        concat!(
            "SELECT order_key, count(*) FROM deliveries INDEXED BY deliveries_held WHERE destination = ? AND ",
            state_is!(held),
            " GROUP BY order_key"
        ),
    )
}

fn counted(connection: &Connection, destination: DestinationKey, query: &str) -> rusqlite::Result<HashMap<OrderKey, u32>> {
    let mut statement = connection.prepare_cached(query)?;
    let lines = statement.query_map([destination.0], |row| Ok((order_key(row.get(0)?), row.get(1)?)))?;
    lines.collect()
}
