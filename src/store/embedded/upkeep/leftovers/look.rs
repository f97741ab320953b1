//! Looking at pages, and clearing them, by SQLite's table of them.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::changed::Pages;
use super::page;

/// What may be done to a database's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub pages: u32,
    pub page_bytes: u64,
    /// Whether SQLite was compiled with its table of pages, and the pages are as `page.rs` knows them.
    pub known: bool,
}

impl Form {
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let has_table: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBPAGE_VTAB')",
            [],
            |row| row.get(0),
        )?;
        let pages = u32::try_from(pragma("page_count")?).unwrap_or(u32::MAX);
        let page_bytes = u64::try_from(pragma("page_size")?).unwrap_or(0);
        Ok(Self { pages, page_bytes, known: has_table && pages < page::PAGES_MAX && pragma("auto_vacuum")? == 0 })
    }
}

/// The pages that are free.
#[derive(Debug, Default)]
pub(super) struct Free {
    trunks: Pages,
    leaves: Pages,
}

impl Free {
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut free = Self::default();
        let count: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if count == 0 {
            return Ok(free);
        }
        // The first trunk's number stands in the database's header.
        let mut next = page::number(&read(connection, 1)?, 32).unwrap_or(0);
        let mut left = count;
        while next != 0 && left > 0 {
            free.trunks.add(next);
            let Some((following, leaves)) = page::trunk(&read(connection, next)?) else { break };
            left -= 1 + i64::try_from(leaves.len()).unwrap_or(i64::MAX);
            leaves.into_iter().for_each(|leaf| free.leaves.add(leaf));
            next = following;
        }
        Ok(free)
    }

    fn clear(&self, number: u32, bytes: &mut [u8]) -> bool {
        if self.leaves.has(number) {
            page::clear_all(bytes)
        } else if self.trunks.has(number) {
            page::clear_trunk(bytes)
        } else {
            page::clear(bytes, number == 1)
        }
    }
}

/// Which of these pages hold something that is not in use. Free pages are looked at as such where that is wanted; where
/// not, they were overwritten as they became free.
pub(super) fn with_leftovers(connection: &Connection, pages: &[u32], free_too: bool) -> rusqlite::Result<Vec<u32>> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let free = if free_too { Free::read(&transaction)? } else { Free::default() };
    let mut found = Vec::new();
    for number in pages {
        if free.clear(*number, &mut read(&transaction, *number)?) {
            found.push(*number);
        }
    }
    transaction.commit()?;
    Ok(found)
}

/// Clears these pages; how many of them held anything.
pub(super) fn clear(connection: &Connection, pages: &[u32], free_too: bool) -> rusqlite::Result<u64> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Anew: since they were looked at, pages may have come into use.
    let free = if free_too { Free::read(&transaction)? } else { Free::default() };
    let mut cleared = 0;
    for number in pages {
        let mut bytes = read(&transaction, *number)?;
        if free.clear(*number, &mut bytes) {
            transaction.prepare_cached("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?")?.execute(params![bytes, number])?;
            cleared += 1;
        }
    }
    transaction.commit()?;
    Ok(cleared)
}

fn read(connection: &Connection, number: u32) -> rusqlite::Result<Vec<u8>> {
    connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?")?.query_row([number], |row| row.get(0))
}
