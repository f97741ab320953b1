//! Connections to the database, and how they are set up.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::fault::{self, Broken};

/// How long whoever writes waits for somebody else who does, such as an operator's `sqlite3`.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// Sets up the connection of the writer.
pub fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", 4096)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        // Without shared memory (some network file systems) readers would block every commit.
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "the file system allows no write-ahead log (journal mode {mode}); use a local disk"
        )));
    }
    let synchronous = if fault::is_broken(Broken::SyncSkipped) { "OFF" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What is deleted is overwritten; `leftovers` does the rest.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// A connection that only reads.
pub fn open_reader(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -1024)?; // 1 MiB a reader
    Ok(connection)
}
