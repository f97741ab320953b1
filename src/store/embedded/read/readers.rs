//! Reading back what a queue's window does not hold, on connections that never write.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::StoreError;
use crate::store::embedded::disk::connection::{self, open_reader};
use crate::store::embedded::disk::errors::plain_words;
use crate::store::embedded::disk::private::{Unusable, database};
use crate::store::embedded::failures::Failures;
use crate::store::embedded::rows::schema;
use crate::{fault, vitals};

/// Connections of the lanes, and so reads at a time.
pub const READERS_MAX: usize = 4;
/// The same for the operator's looks.
pub const LOOKERS_MAX: usize = 2;

/// The connections for reading.
pub struct Readers {
    path: PathBuf,
    /// Told where what was read shows that the file is damaged.
    failures: Arc<Failures>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `at_a_time` connections to the file at `path`.
    pub fn new(path: PathBuf, at_a_time: usize, failures: Arc<Failures>) -> Self {
        Self { path, failures, idle: Mutex::new(Vec::new()), permits: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Runs `query` on a thread for blocking work.
    pub async fn read<T, F>(self: &Arc<Self>, doing: &'static str, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |error: String| StoreError::Engine { doing, error };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let readers = Arc::clone(self);
        let read = move || -> rusqlite::Result<T> {
            fault::point("store_read");
            let connection = match readers.pop() {
                Some(connection) => connection,
                None => open_reader(&readers.path)?,
            };
            let result = query(&connection)?; // A connection that failed is not used again.
            readers.push(connection);
            drop(permit); // Only here: the read goes on also when nobody waits for it any more.
            Ok(result)
        };
        let result = vitals::blocking(read).await.ok_or_else(|| failed("the relay is stopping".to_owned()))?;
        result.map_err(|error| {
            self.failures.read_failed(&error);
            failed(error.to_string())
        })
    }

    fn pop(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn push(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// A store of this version, to be read; or in words why there is none.
pub fn reader(store: &Path) -> Result<Connection, Unusable> {
    let path = database(store)?;
    let connection = connection::open_reader(&path).map_err(|error| Unusable::Other(plain_words(&error)))?;
    match schema::version(&connection).map_err(|error| Unusable::Other(error.words()))? {
        found if found < schema::newest() => {
            Err(Unusable::Other(format!("it is of an older version ({found}); `serve` brings it to {} when it starts", schema::newest())))
        }
        _ => Ok(connection),
    }
}
