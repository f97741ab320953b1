//! One relay at a time.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::files::FILE_NAME;
use super::private;

/// Locked for as long as a relay uses the folder. Its content says nothing.
const LOCK_NAME: &str = "relay.lock";

/// What says that a relay uses this store.
pub struct Lock {
    /// The folder's, by which older versions of the relay know each other.
    _folder: File,
    /// The database's own: another path to the same file, by a link, leads to the same lock.
    _database: File,
}

/// Locks the store in `folder`, or says in words who has it.
pub fn lock(folder: &Path) -> Result<Lock, String> {
    let locked = |name: &str| {
        let path = folder.join(name);
        let file = private::open_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err("another process holds it; a store serves one relay at a time".to_owned()),
            Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
        }
    };
    let (folder_lock, database) = (locked(LOCK_NAME)?, locked(FILE_NAME)?);
    if database.metadata().is_ok_and(|metadata| metadata.nlink() > 1) {
        tracing::warn!(
            store = %folder.display(),
            "{FILE_NAME} has another name too, a hard link: a store that is opened by that one lacks what is in the log; delete it"
        );
    }
    Ok(Lock { _folder: folder_lock, _database: database })
}
