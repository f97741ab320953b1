//! Noticing that files of rules changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::find::Looked;
use super::{Read, RulesFile, WatchError};

/// Folders that are watched; changes in more are noticed by polling. The system gives a process only so many watches.
const FOLDERS_MAX: usize = 200;

/// A watch that goes on until it is dropped.
///
/// It is on folders and not on files: an editor that replaces a file, and Kubernetes, which swaps the symbolic link `..data` beside it,
/// leave a watch on the file itself behind.
pub struct Watch {
    changed: Arc<Notify>,
    wanted: Arc<Mutex<Vec<Looked>>>,
    watcher: notify::RecommendedWatcher,
    /// Where links lead to: a folder that was swapped is another one.
    folders: BTreeSet<PathBuf>,
}

impl RulesFile {
    /// Tells of changes of routes.yaml until the result is dropped; of other files once it [follows](Watch::follow) them.
    ///
    /// # Errors
    /// Where the system has no watch to give, for instance because `fs.inotify.max_user_instances` are taken.
    pub fn watch(&self) -> Result<Watch, WatchError> {
        let changed = Arc::new(Notify::new());
        let wanted = Arc::new(Mutex::new(Vec::new()));
        let (tell, asked) = (Arc::clone(&changed), Arc::clone(&wanted));
        let handler = move |event: notify::Result<notify::Event>| {
            let wanted = asked.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| matters(&event, &wanted)) {
                tell.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(WatchError::None)?;
        let mut watch = Watch { changed, wanted, watcher, folders: BTreeSet::new() };
        watch.look_at(&[Looked::file(self.path())])?;
        Ok(watch)
    }
}

impl Watch {
    /// Waits for a change. Many that come meanwhile count as one, and none is lost. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Watches what these files were found by, and nothing else. Where that is a folder that was not watched yet, a change in it may have
    /// gone by, so one is told of.
    ///
    /// # Errors
    /// Where a folder cannot be watched. The others are.
    pub fn follow(&mut self, read: &Read) -> Result<(), WatchError> {
        let before = self.folders.clone();
        let result = self.look_at(&read.looked);
        if !self.folders.is_subset(&before) {
            self.changed.notify_one();
        }
        result
    }

    fn look_at(&mut self, looked: &[Looked]) -> Result<(), WatchError> {
        // Events name the paths that were watched.
        let looked: Vec<Looked> =
            looked.iter().filter_map(|looked| Some(Looked { folder: looked.folder.canonicalize().ok()?, ..looked.clone() })).collect();
        let folders: BTreeSet<PathBuf> = looked.iter().map(|looked| looked.folder.clone()).take(FOLDERS_MAX).collect();
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = looked;
        // A folder that was deleted took its watch with it.
        for gone in self.folders.difference(&folders).filter(|folder| folder.exists()) {
            let _ = self.watcher.unwatch(gone);
        }
        self.folders.retain(|folder| folders.contains(folder));
        let mut result = Ok(());
        for folder in folders {
            if self.folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) => result = Err(WatchError::Folder(folder, error)),
            }
        }
        result
    }
}

/// Whether the files that are wanted may hold something else now. What else is written into a folder, a log perhaps, says nothing;
/// reading a file is an event too, and must not lead to the next reading.
fn matters(event: &notify::Event, wanted: &[Looked]) -> bool {
    let is_wanted = |path: &PathBuf| {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return true };
        // Kubernetes' own links: whatever lies beside them comes from where they lead to.
        name.starts_with("..") || wanted.iter().any(|looked| path.parent() == Some(looked.folder.as_path()) && looked.step.fits(&name))
    };
    let is_gone = |path: &PathBuf| wanted.iter().any(|looked| looked.folder.as_path() == Path::new(path));
    !event.kind.is_access()
        && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| is_wanted(path) || is_gone(path)))
}
