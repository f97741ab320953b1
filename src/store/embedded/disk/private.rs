//! Whose the store's files are: their owner's. They hold personal data, so they are made 0600 in a folder of 0700,
//! whatever the umask is, and files that older versions left open are closed. SQLite makes the log and its index with the
//! mode of the database.
//!
//! Kubernetes shares a volume with a group (`fsGroup`): it gives the folder the set-group-ID bit and the files to the
//! group. That is somebody's will, so in such a folder the group keeps what it has.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::files::{FILE_NAME, INDEX_NAME, LOG_NAME};
use crate::store::StoreError;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Reading, writing and searching, by everybody who is neither the owner nor in the group.
const OTHERS: u32 = 0o007;
const GROUP_AND_OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o002;
const SET_GROUP_ID: u32 = 0o2000;

/// Why there is no store where one was named.
#[derive(Debug)]
pub enum Unusable {
    /// Another name would help; the text ends in how to name it.
    Misnamed(String),
    /// Something else, in words.
    Other(String),
}

impl Unusable {
    /// As the error of what was to be done with the store in `folder`.
    pub fn refused(self, cannot: &str, folder: &Path) -> StoreError {
        let words = |what| format!("{cannot} the store in {}: {what}", folder.display());
        match self {
            Self::Misnamed(what) => StoreError::Misnamed(words(what)),
            Self::Other(what) => StoreError::Open(words(what)),
        }
    }
}

/// Where the store of this folder really is. A `relay.db` that is a symbolic link leads to the folder of the file: SQLite
/// keeps the log beside the file and not beside the link.
pub fn resolve(folder: &Path) -> Result<PathBuf, Unusable> {
    let path = folder.join(FILE_NAME);
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
        return Ok(folder.to_owned());
    }
    let target =
        path.canonicalize().map_err(|error| Unusable::Other(format!("{FILE_NAME} is a symbolic link that leads nowhere: {error}")))?;
    match target.parent() {
        Some(parent) if target.file_name().is_some_and(|name| name == FILE_NAME) => Ok(parent.to_owned()),
        _ => Err(Unusable::Misnamed(format!(
            "{FILE_NAME} is a symbolic link to {}, and a store's file is called {FILE_NAME}; rename it, and name its folder",
            target.display()
        ))),
    }
}

/// The database that is to be read: that of a folder, or a file that `backup` has made; or in words why there is none.
pub fn database(store: &Path) -> Result<PathBuf, Unusable> {
    // SQLite keeps the log beside the file and not beside a link to it.
    let path = if store.is_file() {
        store.canonicalize().map_err(|error| Unusable::Other(error.to_string()))?
    } else {
        resolve(store)?.join(FILE_NAME)
    };
    if path.exists() {
        return Ok(path);
    }
    Err(Unusable::Misnamed(format!("there is no {FILE_NAME}; name the folder, or a back-up's file,")))
}

/// Makes the folder where there is none; warns of one that others can look into.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let mode = folder.metadata()?.permissions().mode();
    let shared_with_a_group = mode & SET_GROUP_ID != 0 && mode & OTHERS_WRITE == 0;
    if mode & GROUP_AND_OTHERS != 0 && !shared_with_a_group {
        tracing::warn!(
            store = %folder.display(),
            mode = format!("{:04o}", mode & 0o7777),
            "others can look into the store's folder; close it with `chmod 700`"
        );
    }
    Ok(())
}

/// Opens a file of the store for writing, making it where there is none.
pub fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(FILE_MODE).open(path)
}

/// Closes what an older version left open to others. A file of somebody else's is left alone: it could not be changed.
pub fn close_to_others(folder: &Path) -> io::Result<()> {
    let kept = if folder.metadata()?.permissions().mode() & SET_GROUP_ID == 0 { !GROUP_AND_OTHERS } else { !OTHERS };
    let own = rustix::process::geteuid().as_raw();
    for path in [FILE_NAME, LOG_NAME, INDEX_NAME].map(|name| folder.join(name)) {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & kept == mode {
            continue;
        }
        let mode_before = format!("{mode:04o}");
        if metadata.uid() != own {
            tracing::warn!(file = %path.display(), mode = mode_before, "others can read a file of the store, and it is another user's: `chmod 600` it");
            continue;
        }
        std::fs::set_permissions(&path, Permissions::from_mode(mode & kept))?;
        tracing::warn!(file = %path.display(), mode = mode_before, "others could read a file of the store; it is its owner's alone now");
    }
    Ok(())
}
