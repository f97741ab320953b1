//! The rules on disk: reading routes.yaml and the files that it includes within limits, and noticing that they changed.

mod errors;
mod find;
#[cfg(test)]
mod tests;
mod watch;

use std::path::{Path, PathBuf};

use crate::config::{self, BYTES_MAX, INCLUDED_MAX, Loaded, RuleFile, RuleFiles, Severity, TESTS_ENDING, Trouble, Values};
pub use errors::{ReadError, WatchError};
use find::{Finder, Looked};
pub use watch::Watch;

/// Bytes of a file at most. What is larger than rules may be, and still this small, is read and then refused at its place.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How often files are read anew because another reading found something else.
const READINGS_MAX: usize = 5;

/// A routes.yaml.
#[derive(Debug, Clone)]
pub struct RulesFile {
    path: PathBuf,
    secrets_from: Option<PathBuf>,
    without_values: bool,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// routes.yaml and the files that it includes.
    pub files: RuleFiles,
    /// Where on the disk something may make a difference: what is to be watched.
    pub looked: Vec<Looked>,
}

impl RulesFile {
    /// The file at this path; it is opened anew whenever it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), secrets_from: None, without_values: false }
    }

    /// Takes the values of its `${NAME}` from the files of this folder, if there is one, and not from the environment.
    pub fn with_secrets_from(self, folder: Option<PathBuf>) -> Self {
        Self { secrets_from: folder, ..self }
    }

    /// Takes the values of its `${NAME}` from nowhere.
    pub fn without_values(self) -> Self {
        Self { without_values: true, ..self }
    }

    /// Calls `work` with the place where the values of its `${NAME}` are.
    pub fn with_values<T>(&self, work: impl FnOnce(Values<'_>) -> T) -> T {
        match &self.secrets_from {
            _ if self.without_values => work(Values::Of(&|_| None)),
            Some(folder) => work(Values::In(folder)),
            None => work(Values::Of(&|name| std::env::var(name).ok())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text, and those of the files that it includes, as they stood together at one moment: a ConfigMap that is swapped between two
    /// files would otherwise give one of the old and one of the new. An included file that cannot be read is one of the
    /// [`RuleFiles::troubles`].
    ///
    /// # Errors
    /// Where there is no routes.yaml, or none that could hold rules, or the files change faster than they can be read.
    pub fn read(&self) -> Result<Read, ReadError> {
        let mut read = self.read_once()?;
        if read.files.included.is_empty() && read.files.troubles.is_empty() {
            return Ok(read);
        }
        for _ in 0..READINGS_MAX {
            let again = self.read_once()?;
            // What was the same before and after, was so between as well, and that for every file at once.
            if again == read {
                return Ok(read);
            }
            read = again;
        }
        Err(ReadError::Changing(self.path.clone()))
    }

    fn read_once(&self) -> Result<Read, ReadError> {
        let text = read_text(&self.path)?;
        let mut read = Read { files: RuleFiles::one(self.path.display().to_string(), text), looked: vec![Looked::file(&self.path)] };
        let mut finder = Finder::new(&self.path);
        let mut bytes = read.files.main.text.len();
        for (entry, pattern) in config::includes(&read.files.main.text) {
            let found = finder.find(&pattern, &mut read.looked);
            let mut trouble = |severity, message: String, hint| read.files.troubles.push(Trouble { entry, severity, message, hint });
            let paths = match found {
                Ok(found) if !found.any => {
                    trouble(Severity::Warning, format!("no file fits `{}`", pattern.text), finder.near(&pattern));
                    continue;
                }
                Ok(found) => found.paths,
                Err((reason, hint)) => {
                    trouble(Severity::Error, reason, hint);
                    continue;
                }
            };
            for path in paths {
                if read.files.included.len() == INCLUDED_MAX {
                    let hint = "put the rules of several into one file".to_owned();
                    trouble(Severity::Error, format!("more than {INCLUDED_MAX} files"), Some(hint));
                    break;
                }
                match read_text(&path) {
                    Ok(text) => {
                        bytes = bytes.saturating_add(text.len());
                        read.files.included.push(RuleFile { name: path.display().to_string(), text });
                    }
                    Err(error) => trouble(Severity::Error, error.to_string(), None),
                }
                if bytes > BYTES_MAX {
                    return Ok(read); // Loading says so.
                }
            }
        }
        Ok(read)
    }

    /// Validates its text.
    pub fn load(&self, files: &RuleFiles) -> Loaded {
        self.with_values(|values| config::load_from(files, values))
    }

    /// Validates its text for a dry run, which needs no secrets.
    pub fn load_for_dry_run(&self, files: &RuleFiles) -> Loaded {
        self.with_values(|values| config::load_from_for_dry_run(files, values))
    }
}

/// The text of a file.
///
/// # Errors
/// Where there is none, or none that could hold rules.
pub fn read_text(path: &Path) -> Result<String, ReadError> {
    let metadata = std::fs::metadata(path).map_err(ReadError::file(path))?;
    if metadata.is_dir() {
        return Err(ReadError::IsAFolder(path.to_owned()));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge(path.to_owned(), metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(ReadError::file(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        ReadError::NotText(path.to_owned(), line)
    })
}

/// The files of tests in a folder, in the order of their names.
///
/// # Errors
/// Where the folder cannot be read.
pub fn test_files(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let cannot = ReadError::folder(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(&cannot)? {
        let path = entry.map_err(&cannot)?.path();
        // `./x` as `x`: so it is shown, and so it is known again when it is named too.
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TESTS_ENDING)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The folder that a file lies in, as it is written.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
