//! The files of a store: their names and their size.

use std::path::Path;

/// The database's file in the store's folder.
pub const FILE_NAME: &str = "relay.db";
/// Its write-ahead log, and that one's index.
pub const LOG_NAME: &str = "relay.db-wal";
pub const INDEX_NAME: &str = "relay.db-shm";

/// Bytes of the database, its log and its index.
pub fn bytes_on_disk(folder: &Path) -> u64 {
    [FILE_NAME, LOG_NAME, INDEX_NAME]
        .iter()
        .filter_map(|name| std::fs::metadata(folder.join(name)).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Bytes that the relay's user may still write where `folder` is.
pub fn available_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}
