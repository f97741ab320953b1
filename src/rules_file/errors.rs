//! Why files of rules cannot be read or watched.

use std::io;
use std::path::{Path, PathBuf};

use super::FILE_BYTES_MAX;

/// Why a file or a folder cannot be read. Two are equal where both say the same.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not let it be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    /// The system does not let its names be read.
    #[error("cannot read the folder {}: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] io::Error),
    /// A file is needed, and this is a folder.
    #[error("cannot read {}: it is a folder; name the file", .0.display())]
    IsAFolder(PathBuf),
    /// It has so many bytes, which is more than rules may have.
    #[error("cannot read {}: it has {} bytes, and {} is the most", .0.display(), .1, FILE_BYTES_MAX)]
    TooLarge(PathBuf, u64),
    /// This line, counted from 1, is not UTF-8.
    #[error("cannot read {}: line {} is not UTF-8; save the file as UTF-8", .0.display(), .1)]
    NotText(PathBuf, usize),
    /// It, or a file that it includes, was another one at each reading.
    #[error("cannot read {}: it and the files that it includes go on changing; they are read again soon", .0.display())]
    Changing(PathBuf),
}

impl ReadError {
    /// For `map_err`: the file at this path.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::File(path.to_owned(), error)
    }

    /// For `map_err`: the folder at this path.
    pub(super) fn folder(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Folder(path.to_owned(), error)
    }
}

/// The system's own errors cannot be compared, but what they are can.
impl PartialEq for ReadError {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &io::Error, other: &io::Error| one.kind() == other.kind() && one.raw_os_error() == other.raw_os_error();
        match (self, other) {
            (Self::File(path, error), Self::File(other, other_error)) | (Self::Folder(path, error), Self::Folder(other, other_error)) => {
                path == other && same(error, other_error)
            }
            (Self::IsAFolder(path), Self::IsAFolder(other)) | (Self::Changing(path), Self::Changing(other)) => path == other,
            (Self::TooLarge(path, bytes), Self::TooLarge(other, other_bytes)) => (path, bytes) == (other, other_bytes),
            (Self::NotText(path, line), Self::NotText(other, other_line)) => (path, line) == (other, other_line),
            _ => false,
        }
    }
}

/// Why changes of files are not told of.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system has no watch to give.
    #[error("cannot watch files: {0}")]
    None(#[source] notify::Error),
    /// This folder cannot be watched.
    #[error("cannot watch the folder {}: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] notify::Error),
}
