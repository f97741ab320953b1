//! The contract of all engines, held by the embedded one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Embedded, Options};
use crate::event::EventId;
use crate::store::Records;
use crate::store::contract::{Engine, holds};

/// How often it is tried to open a store whose last user has just been dropped: its writer ends a moment later.
const TRIES_MAX: u32 = 2000;

/// A store in a folder of its own.
struct Folder(TempDir);

impl Engine for Folder {
    fn make() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self, backlog_max: u64) -> Arc<dyn Records> {
        let mut refused = None;
        for _ in 0..TRIES_MAX {
            let options = Options { backlog_max, observe_commit: Box::new(|_| {}), vitals: Arc::default() };
            match Embedded::open(self.0.path(), options) {
                Ok(store) => return Arc::new(store),
                Err(error) => refused = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store stays locked: {refused:?}");
    }

    /// A killed process leaves what it has written. The log before the file: pages that are moved meanwhile are in both.
    async fn crash(&self) -> Self {
        let left = Self::make();
        for name in ["relay.db-wal", "relay.db"] {
            copy(&self.0.path().join(name), &left.0.path().join(name));
        }
        left
    }

    async fn spoil(&self, event: EventId) {
        let connection = rusqlite::Connection::open(self.0.path().join("relay.db")).unwrap();
        let spoiled = connection.execute("UPDATE events SET body = CAST('spoiled' AS BLOB) WHERE id = ?", [*event.as_bytes()]);
        assert_eq!(spoiled, Ok(1));
    }
}

fn copy(from: &Path, to: &Path) {
    if from.exists() {
        std::fs::copy(from, to).unwrap();
    }
}

holds!(Folder);
