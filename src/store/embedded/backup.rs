//! A copy of a store, of one moment, also while a relay works on it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::NamedTempFile;

use super::{Embedded, audit, open, read};
use crate::store::{Audit, StoreError};

/// Room in bytes that a copy leaves on its disk. It may be the relay's own, which refuses webhooks once it is full.
const ROOM_LEFT: u64 = 64 << 20;

/// A copy that is on the disk, whole, and has no name yet. Dropped, it is deleted.
pub struct BackUp {
    /// One file that a relay can be started on, readable by its owner only.
    pub file: NamedTempFile,
    /// What its books say.
    pub audit: Audit,
}

impl Embedded {
    /// Copies the store in `folder` into a file in `into`, without pages that are free, and walks its books.
    ///
    /// A relay goes on meanwhile; its log grows for as long as it takes.
    ///
    /// # Errors
    /// There is no store, it is of another version, it cannot be read, or the disk of the copy has no room for it.
    pub fn back_up(folder: &Path, into: &Path) -> Result<BackUp, StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot back up the store in {}: {what}", folder.display()));
        let engine = |error: rusqlite::Error| refuse(open::plain_words(&error));
        let there = |error: std::io::Error| refuse(format!("{}: {error}", into.display()));
        let connection = open::reader(folder).map_err(refuse)?;
        let needed = live_bytes(&connection).map_err(engine)?.saturating_add(ROOM_LEFT);
        if let Some(available) = open::available_bytes(into).filter(|available| *available < needed) {
            let (needed, available) = (needed >> 20, available >> 20);
            return Err(refuse(format!(
                "the copy wants {needed} MiB, 64 of them left free, and {} has {available} MiB; put it elsewhere",
                into.display()
            )));
        }
        let file = tempfile::Builder::new().prefix(".backup-").suffix(".partial").tempfile_in(into).map_err(there)?;
        let path = file.path().to_str().map(str::to_owned).ok_or_else(|| refuse(format!("{} is no text", into.display())))?;
        connection.execute("VACUUM INTO ?", [path]).map_err(engine)?;
        // SQLite leaves that to its caller.
        file.as_file().sync_all().map_err(there)?;
        let audit = read::open_reader(file.path()).and_then(|copy| audit::walk(&copy)).map_err(engine)?;
        Ok(BackUp { file, audit })
    }
}

impl BackUp {
    /// Gives the copy its name, in the folder that it is in.
    ///
    /// # Errors
    /// There is a file of that name, or the folder cannot be written to.
    pub fn keep(self, path: &Path) -> std::io::Result<()> {
        self.file.persist_noclobber(path).map_err(|error| error.error)?;
        std::fs::File::open(folder_of(path))?.sync_all()
    }
}

/// The folder that a file of this path is in.
pub fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")).to_owned()
}

/// Bytes of the pages that are in use.
fn live_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let bytes = pragma("page_count")?.saturating_sub(pragma("freelist_count")?).saturating_mul(pragma("page_size")?);
    Ok(u64::try_from(bytes).unwrap_or(0))
}
