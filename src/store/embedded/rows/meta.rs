//! A few values that the store knows of itself, by their names.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

/// What dedupe keys are hashed with before they are kept: 32 random bytes.
pub const DEDUPE_SALT: &str = "dedupe_salt";
/// 1 once the pages that were free before version 7 hold nothing of what was in them.
pub const FREE_PAGES_CLEARED: &str = "free_pages_cleared";
/// The time by which retention deletes, as it was a few minutes ago at most: Unix milliseconds.
pub const RETENTION_TIME: &str = "retention_time";
/// For how many milliseconds the wall clock has been too far ahead to be believed.
pub const CLOCK_DOUBTED: &str = "clock_doubted";

/// The value of this name, if there is one.
pub fn get<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?.query_row([name], |row| row.get(0)).optional()
}

/// Sets it.
pub fn set(connection: &Connection, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute(params![name, value])?;
    Ok(())
}
