//! What SQLite's errors mean: to the store, and to an operator.

use rusqlite::{ErrorCode, ffi};

/// Whether nothing may be acknowledged any more until a restart has looked at what the disk really holds.
pub fn is_final(error: &rusqlite::Error) -> bool {
    let Some(code) = error.sqlite_error() else { return is_no_row_of_ours(error) };
    matches!(code.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
        || matches!(code.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
}

/// What helps where the file is not what was written.
const DAMAGED: &str = "the file is damaged, or the disk cannot read it: look at the system's log; restore a back-up, or save what can be read with `wiza-relay export` and move the folder away to start anew";

/// Whether a value was found where the tables allow none such: damage within a row, which SQLite does not look at.
fn is_no_row_of_ours(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}

/// What SQLite's error means to an operator.
pub fn plain_words(error: &rusqlite::Error) -> String {
    let fix = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free space and it goes on by itself",
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error; look at the system's log and at the disk's health",
        Some(ErrorCode::ReadOnly) => "the disk or the file is read-only; make it writable for the relay's user",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => "the file cannot be opened; check the folder's owner and permissions",
        Some(ErrorCode::NotADatabase) => "the file is not a database of this relay; move it away or name another folder",
        None if is_no_row_of_ours(error) => DAMAGED,
        Some(ErrorCode::DatabaseCorrupt) => DAMAGED,
        _ => return error.to_string(),
    };
    format!("{fix} ({error})")
}
