//! What must hold of the files, after each life and in the end.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::life::number_of;
use super::world::World;
use crate::event::EventId;
use crate::store::embedded::Embedded;

/// A final outcome: whether it is delivered.
type Finals = BTreeMap<(usize, String), bool>;

/// What was found in the files after a life.
#[derive(Debug, Default)]
pub struct Books {
    finals: Finals,
    /// The place of each webhook in the order of acceptance.
    sequences: BTreeMap<usize, i64>,
}

impl Books {
    fn read(folder: &Path) -> rusqlite::Result<(Self, Vec<String>)> {
        let connection = Connection::open_with_flags(folder.join("relay.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut wrong = Vec::new();
        let mut books = Self::default();
        let mut statement = connection.prepare("SELECT sequence, id FROM events ORDER BY sequence")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = number_of(&EventId::from_bytes(row.get(1)?));
            if books.sequences.insert(number, row.get(0)?).is_some() {
                wrong.push(format!("webhook {number} was accepted twice"));
            }
        }
        let mut statement = connection.prepare(
            "SELECT e.id, n.name, d.state FROM deliveries d JOIN events e ON e.sequence = d.event JOIN destinations n ON n.key = d.destination
             WHERE d.state IN (2, 3)",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = number_of(&EventId::from_bytes(row.get(0)?));
            books.finals.insert((number, row.get(1)?), row.get::<_, i64>(2)? == 2);
        }
        Ok((books, wrong))
    }

    /// Reads the files that a life has left, and holds them against what was there before it, and against what senders and destinations
    /// have seen. `ended`: everything has come to its end.
    pub fn check(self, world: &mut World, folder: &Path, ended: bool) -> Self {
        let (books, mut wrong) = match Self::read(folder) {
            Ok(read) => read,
            Err(error) => {
                world.violated(format!("the store cannot be read: {error}"));
                return self;
            }
        };
        for (delivery, delivered) in &self.finals {
            if books.finals.get(delivery) != Some(delivered) {
                wrong.push(format!("the final outcome of {delivery:?} was overwritten or lost"));
            }
        }
        wrong.extend(
            world
                .answered
                .keys()
                .filter(|number| !books.sequences.contains_key(number))
                .map(|number| format!("webhook {number} was answered with 200 and is lost")),
        );
        match Embedded::audit_folder(folder) {
            Ok(audit) if audit.balances() => {}
            Ok(audit) => wrong.push(format!("the books do not balance: {audit:?}")),
            Err(error) => wrong.push(format!("the books cannot be read: {error}")),
        }
        for place in 0..world.story.destinations.len() {
            let name = world.story.destinations[place].name.clone();
            for number in books.sequences.keys().copied() {
                let (lives, taken) = world.taken(place, number);
                if taken > lives {
                    wrong.push(format!("{name} took webhook {number} {taken} times in {lives} lives"));
                }
                match books.finals.get(&(number, name.clone())) {
                    Some(true) if taken == 0 => wrong.push(format!("{name} never took webhook {number}, which is delivered")),
                    None if ended => wrong.push(format!("webhook {number} has no final outcome at {name}")),
                    Some(_) | None => {}
                }
            }
        }
        for what in wrong {
            world.violated(what);
        }
        if ended {
            world.check_order(&books.sequences);
        }
        books
    }
}
