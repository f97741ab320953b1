//! The rules on disk: reading them within limits, and noticing that they changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::config::{self, Loaded, Values};

/// Bytes of a routes.yaml at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A routes.yaml.
#[derive(Debug, Clone)]
pub struct RulesFile {
    path: PathBuf,
    secrets_from: Option<PathBuf>,
    without_values: bool,
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

    /// Its text.
    ///
    /// # Errors
    /// Where there is no file, or none that could hold rules.
    pub fn read(&self) -> Result<String, String> {
        let cannot = |reason: String| format!("cannot read {}: {reason}", self.path.display());
        let metadata = std::fs::metadata(&self.path).map_err(|error| cannot(error.to_string()))?;
        if metadata.is_dir() {
            return Err(cannot("it is a folder; name the file".to_owned()));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(cannot(format!("it has {} bytes, and {FILE_BYTES_MAX} is the most", metadata.len())));
        }
        let bytes = std::fs::read(&self.path).map_err(|error| cannot(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
            cannot(format!("line {line} is not UTF-8; save the file as UTF-8"))
        })
    }

    /// Validates its text.
    pub fn load(&self, text: &str) -> Loaded {
        self.with_values(|values| config::load_from(&self.path.display().to_string(), text, values))
    }

    /// Validates its text for a dry run, which needs no secrets.
    pub fn load_for_dry_run(&self, text: &str) -> Loaded {
        self.with_values(|values| config::load_from_for_dry_run(&self.path.display().to_string(), text, values))
    }

    /// Tells of changes until the result is dropped. Watches the folder and not the file: an editor that replaces the file,
    /// and Kubernetes, which swaps the symbolic link `..data` beside it, leave a watch on the file itself behind.
    ///
    /// # Errors
    /// Where the system has no watch to give, for instance because `fs.inotify.max_user_instances` are taken.
    pub fn watch(&self) -> Result<Watch, String> {
        let changed = Arc::new(Notify::new());
        let tell = Arc::clone(&changed);
        let name = self.path.file_name().map(OsStr::to_owned);
        let handler = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| matters(&event, name.as_deref())) {
                tell.notify_one();
            }
        };
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let cannot = |error: notify::Error| format!("cannot watch the folder {}: {error}", folder.display());
        let mut watcher = notify::recommended_watcher(handler).map_err(cannot)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(cannot)?;
        Ok(Watch { changed, _watcher: watcher })
    }
}

/// Whether the file called `name` may hold something else now. What else is written into the folder, a log perhaps, says
/// nothing; reading the file is an event too, and must not lead to the next reading.
fn matters(event: &notify::Event, name: Option<&OsStr>) -> bool {
    let is_near = |path: &PathBuf| {
        let found = path.file_name();
        found == name || found.is_some_and(|found| found.as_encoded_bytes().starts_with(b".."))
    };
    !event.kind.is_access() && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_near))
}

/// A watch that goes on until it is dropped.
pub struct Watch {
    changed: Arc<Notify>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Waits for a change. Many that come meanwhile count as one, and none is lost. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
