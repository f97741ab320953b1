//! The row of a delivery: the one way between a [`State`] and the columns of table `deliveries`. All statements that change the table are
//! in [`mod@write`].
//!
//! | state | `state` | `due_at` | `batch` | `order_key` |
//! |---|---|---|---|---|
//! | waiting | no row | | | |
//! | due | 1 | its time | null | any |
//! | leading | 1 | its time | its own event | any |
//! | held | 4 | null | null | its key |
//! | member | 5 | null | its leader's event | any |
//! | delivered | 2 | null | any | any |
//! | dead | 3 | null | any | any |
//!
//! Columns that say anything else are damage, and are treated as a damaged file is: nobody guesses what they were.

use std::fmt;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::delivery::state::{State, Went};
use crate::delivery::{DestinationKey, OrderKey};

pub mod batches;
pub mod lines;
pub mod write;

const DUE: i64 = 1;
const DELIVERED: i64 = 2;
const DEAD: i64 = 3;
const HELD: i64 = 4;
const MEMBER: i64 = 5;

/// What a statement asks of the column `state`, word for word as the partial indexes have it: else SQLite does not use them.
macro_rules! state_is {
    (due) => {
        "state = 1"
    };
    (dead) => {
        "state = 3"
    };
    (held) => {
        "state = 4"
    };
    (member) => {
        "state = 5"
    };
    // Without a final outcome.
    (open) => {
        "state IN (1, 4, 5)"
    };
    (ended) => {
        "state IN (2, 3)"
    };
}
pub(crate) use state_is;

/// The columns that [`read`] reads, of `deliveries d`.
pub const STATE_COLUMNS: &str = "d.state, d.due_at, d.batch, d.order_key";

/// What a row says of its delivery's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    state: i64,
    due_at: Option<i64>,
    batch: Option<i64>,
}

impl Columns {
    /// `None`: no row.
    pub fn of(state: State, event: i64) -> Option<Self> {
        let batch = |went| match went {
            Went::Alone => None,
            Went::Leading => Some(event),
            Went::With { leader } => Some(leader),
        };
        let (number, due_at, batch) = match state {
            State::Waiting => return None,
            State::Due { at } => (DUE, Some(at), None),
            State::Leading { at } => (DUE, Some(at), Some(event)),
            State::Held => (HELD, None, None),
            State::Member { leader } => (MEMBER, None, Some(leader)),
            State::Delivered { went } => (DELIVERED, None, batch(went)),
            State::Dead { went } => (DEAD, None, batch(went)),
        };
        Some(Self { state: number, due_at, batch })
    }

    /// What they mean in the row of this event's delivery.
    fn state(self, event: i64, ordered: bool) -> Result<State, Damaged> {
        let went = match self.batch {
            None => Went::Alone,
            Some(leader) if leader == event => Went::Leading,
            Some(leader) => Went::With { leader },
        };
        match (self.state, self.due_at, went) {
            (DUE, Some(at), Went::Alone) => Ok(State::Due { at }),
            (DUE, Some(at), Went::Leading) => Ok(State::Leading { at }),
            (HELD, None, Went::Alone) if ordered => Ok(State::Held),
            (MEMBER, None, Went::With { leader }) => Ok(State::Member { leader }),
            (DELIVERED, None, went) => Ok(State::Delivered { went }),
            (DEAD, None, went) => Ok(State::Dead { went }),
            _ => Err(Damaged { event, columns: self, ordered }),
        }
    }
}

/// Columns that say nothing that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    event: i64,
    columns: Columns,
    ordered: bool,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, columns: Columns { state, due_at, batch }, ordered } = self;
        let number = |value: &Option<i64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        let order_key = if *ordered { "set" } else { "null" };
        write!(
            f,
            "a delivery of event {event} has a row that is not possible: state {state}, due_at {}, batch {}, order_key {order_key}",
            number(due_at),
            number(batch)
        )
    }
}

impl std::error::Error for Damaged {}

/// The state in a row whose columns from `first` on are [`STATE_COLUMNS`]; `event` is the delivery's event.
///
/// # Errors
/// Damage is the error of a column that cannot be read, which `errors::is_final` knows.
pub fn read(row: &Row<'_>, first: usize, event: i64) -> rusqlite::Result<State> {
    let damaged = |damaged| rusqlite::Error::FromSqlConversionFailure(first, Type::Integer, Box::new(damaged));
    try_read(row, first, event)?.map_err(damaged)
}

/// The same for whoever goes on where a row is damaged.
pub fn try_read(row: &Row<'_>, first: usize, event: i64) -> rusqlite::Result<Result<State, Damaged>> {
    let columns = Columns { state: row.get(first)?, due_at: row.get(first + 1)?, batch: row.get(first + 2)? };
    let ordered = row.get::<_, Option<i64>>(first + 3)?.is_some();
    Ok(columns.state(event, ordered))
}

/// Where a delivery stands that is planned.
pub fn find(connection: &Connection, event: i64, destination: DestinationKey) -> rusqlite::Result<State> {
    Ok(find_in_line(connection, event, destination)?.map_or(State::Waiting, |(state, _)| state))
}

/// The state and the order key of a delivery that has a row.
pub fn find_in_line(
    connection: &Connection,
    event: i64,
    destination: DestinationKey,
) -> rusqlite::Result<Option<(State, Option<OrderKey>)>> {
    let mut statement =
        connection.prepare_cached("SELECT state, due_at, batch, order_key FROM deliveries WHERE event = ? AND destination = ?")?;
    statement.query_row((event, destination.0), |row| Ok((read(row, 0, event)?, row.get::<_, Option<i64>>(3)?.map(order_key)))).optional()
}

/// An order key as SQLite keeps it: 63 bits fit its signed integers.
pub fn stored(order: OrderKey) -> i64 {
    i64::try_from(order.0).unwrap_or(i64::MAX)
}

/// An order key as it was stored.
pub fn order_key(stored: i64) -> OrderKey {
    OrderKey(u64::try_from(stored).unwrap_or(0))
}

/// The delivery's status in the words of `export`, from a row of any version; `None` if it can be none. The versions before 10 had one
/// number for all that are without a final outcome.
pub fn word(state: i64, due_at: Option<i64>, attempts: u32, active: bool) -> Option<&'static str> {
    Some(match state {
        DELIVERED => "delivered",
        DEAD => "dead",
        DUE | HELD | MEMBER if !active => "parked",
        DUE | HELD | MEMBER if due_at.is_some() || attempts > 0 => "retrying",
        DUE | HELD | MEMBER => "waiting",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
