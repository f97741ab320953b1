//! A copy of a store, of one moment, also while a relay works on it.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::NamedTempFile;

use super::disk::{connection, errors, files};
use super::engine::Embedded;
use super::read::{audit, readers};
use crate::store::{Audit, BackUp, StoreError};

/// Room in bytes that a copy leaves on its disk. It may be the relay's own, which refuses webhooks once it is full.
const ROOM_LEFT: u64 = 64 << 20;
/// What a copy is called while it is made: these two with [`CHANCE_CHARACTERS`] letters and digits in between.
const PREFIX: &str = ".backup-";
const SUFFIX: &str = ".partial";
const CHANCE_CHARACTERS: usize = 6;
/// Files that SQLite may make beside a database, by what follows its name.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A copy that is on the disk, whole, and has no name yet. Dropped, it is deleted.
pub struct Copied {
    /// One file that a relay can be started on, readable by its owner only.
    pub file: NamedTempFile,
    /// What its books say.
    pub audit: Audit,
    /// Held until the file has gone or has its name.
    _in_use: Option<File>,
}

impl Embedded {
    /// Copies the store in `folder` into a file in `into`, without pages that are free, and walks its books.
    ///
    /// A relay goes on meanwhile; its log grows for as long as it takes.
    ///
    /// # Errors
    /// There is no store, it is of another version, it cannot be read, or the disk of the copy has no room for it.
    pub fn back_up(folder: &Path, into: &Path) -> Result<Copied, StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot back up the store in {}: {what}", folder.display()));
        let engine = |error: rusqlite::Error| refuse(errors::plain_words(&error));
        let there = |error: io::Error| refuse(format!("{}: {error}", into.display()));
        let connection = readers::reader(folder).map_err(|unusable| unusable.refused("cannot back up", folder))?;
        let needed = live_bytes(&connection).map_err(engine)?.saturating_add(ROOM_LEFT);
        if let Some(available) = files::available_bytes(into).filter(|available| *available < needed) {
            let (needed, available) = (needed >> 20, available >> 20);
            return Err(refuse(format!(
                "the copy wants {needed} MiB, 64 of them left free, and {} has {available} MiB; put it elsewhere",
                into.display()
            )));
        }
        sweep(into);
        let in_use = in_use(into);
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(CHANCE_CHARACTERS).tempfile_in(into).map_err(there)?;
        let path = file.path().to_str().map(str::to_owned).ok_or_else(|| refuse(format!("{} is no text", into.display())))?;
        connection.execute("VACUUM INTO ?", [path]).map_err(engine)?;
        // SQLite leaves that to its caller.
        file.as_file().sync_all().map_err(there)?;
        let audit = connection::open_reader(file.path()).and_then(|copy| audit::walk(&copy)).map_err(engine)?;
        Ok(Copied { file, audit, _in_use: in_use })
    }
}

impl BackUp for Copied {
    fn audit(&self) -> &Audit {
        &self.audit
    }

    fn keep(self: Box<Self>, path: &Path) -> io::Result<()> {
        self.file.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(folder_of(path))?.sync_all()
    }

    fn write_to(mut self: Box<Self>, to: &mut dyn io::Write) -> io::Result<()> {
        let file = self.file.as_file_mut();
        file.rewind()?;
        io::copy(file, to)?;
        to.flush()
    }
}

/// Deletes the unfinished copies in `folder` that back-ups which were killed have left: each has all the personal data of
/// a store. While a back-up is running there nothing is deleted, because it may be its own. What goes wrong is logged only: neither a relay
/// nor a back-up needs this.
///
/// The lock is the folder's and not the file's: over NFS, a lock of the copy would keep SQLite from writing it.
pub(super) fn sweep(folder: &Path) {
    let swept = File::open(folder).and_then(|handle| match handle.try_lock() {
        Ok(()) => delete_unfinished(folder),
        Err(TryLockError::WouldBlock) => Ok(0),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match swept {
        Ok(0) => {}
        Ok(files) => tracing::info!(store = %folder.display(), count = files, "deleted what a back-up that was killed had left"),
        Err(error) => tracing::debug!(store = %folder.display(), error = %error, "could not look for what killed back-ups left"),
    }
}

/// Says that a back-up is running in `folder`, for as long as the file is kept. Several may. `None` where a folder cannot be locked: no
/// sweep gets a lock there either.
fn in_use(folder: &Path) -> Option<File> {
    let handle = File::open(folder).ok()?;
    handle.lock_shared().is_ok().then_some(handle)
}

fn delete_unfinished(folder: &Path) -> io::Result<usize> {
    let mut deleted = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_unfinished) && entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Whether a file of this name is a copy in the making, or one that SQLite keeps beside it.
fn is_unfinished(name: &str) -> bool {
    let name = BESIDE.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let chance = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    chance.is_some_and(|chance| chance.len() == CHANCE_CHARACTERS && chance.bytes().all(|byte| byte.is_ascii_alphanumeric()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_back_up_in_the_making_are_swept() {
        for name in [".backup-a1B2c3.partial", ".backup-a1B2c3.partial-journal", ".backup-a1B2c3.partial-wal"] {
            assert!(is_unfinished(name), "{name}");
        }
        for name in [
            "relay.db",
            ".backup-.partial",
            ".backup-of-mine.partial",
            ".backup-a1B2c3.partial.gz",
            "x.backup-a1B2c3.partial",
            ".backup-a1B2c3",
        ] {
            assert!(!is_unfinished(name), "{name}");
        }
    }
}
