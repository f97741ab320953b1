//! Values from files: `${file:/path}`, and `${NAME}` with `--secrets-from`.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::Unresolved;
use crate::config::findings::finding::quoted;
use crate::text::Secret;

/// What a file may hold.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Where the system shows as files what is none: `/proc/self/environ` holds every variable of the relay, its tokens too.
const OF_THE_SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];
const OF_THE_SYSTEM_REASON: &str = "it is of the system: what lies below /proc, /sys and /dev is not read";
/// `sysfs`, as the kernel's `magic.h` has it.
#[cfg(target_os = "linux")]
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// A file's text without one trailing line break; else why it cannot be had.
pub(in crate::config) fn read_file(path: &Path) -> Result<String, String> {
    // Where links lead to is what counts.
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    if OF_THE_SYSTEM.iter().any(|root| path.starts_with(root)) {
        return Err(OF_THE_SYSTEM_REASON.to_owned());
    }
    // Not everything that opens also ends: only files are read, no pipes or devices.
    let metadata = std::fs::metadata(&path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".into());
    }
    let file = File::open(&path).map_err(|error| error.to_string())?;
    if is_of_the_system(&file) {
        return Err(OF_THE_SYSTEM_REASON.to_owned());
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} KiB", FILE_BYTES_MAX / 1024));
    }
    let trimmed = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(trimmed.unwrap_or(&text).to_owned())
}

/// Whether it is such a file though its path does not say so: `/proc` can be mounted elsewhere too.
#[cfg(target_os = "linux")]
fn is_of_the_system(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| {
        let kind = u64::try_from(system.f_type).unwrap_or(0);
        kind == SYSFS_MAGIC || system.f_type == rustix::fs::PROC_SUPER_MAGIC
    })
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_system(_: &File) -> bool {
    false
}

/// The value of a name that was checked, in a folder; `None` where there is no file of that name.
pub(super) fn find(folder: &Path, name: &str) -> Result<Option<Secret>, Unresolved> {
    let path = folder.join(name);
    if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    match read_file(&path) {
        Ok(value) => Ok(Some(Secret::in_file(name, value, path))),
        Err(reason) => Err(unreadable(name, &path, &reason)),
    }
}

/// Why there is no value in a file, where the name it would have been shown by is this.
pub(super) fn unreadable(name: &str, path: &Path, reason: &str) -> Unresolved {
    let message = format!("cannot read {}: {reason}", quoted(&path.display().to_string()));
    if reason == OF_THE_SYSTEM_REASON {
        return Unresolved::Wrong { message, hint: "put the value into a file of its own, below /run/secrets for instance".into() };
    }
    let hint = "the relay needs the file, readable, when it loads the rules".into();
    Unresolved::Missing { name: name.to_owned(), message, hint }
}
