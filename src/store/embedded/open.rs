//! Opening a store: the lock, the tables, what memory needs to know, and the threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::backup;
use super::changes::Changes;
use super::claim::Claims;
use super::disk::connection::{BUSY_TIMEOUT, prepare};
use super::disk::errors::plain_words;
use super::disk::files::{FILE_NAME, INDEX_NAME, LOG_NAME};
use super::disk::lock::lock;
use super::disk::{private, wal};
use super::engine::{APPENDS_WAITING_MAX, Embedded};
use super::failures::Failures;
use super::read::audit;
use super::read::readers::{LOOKERS_MAX, READERS_MAX, Readers, reader};
use super::rows::destinations::{self, FIGURES, figures};
use super::rows::salt::Salt;
use super::rows::schema;
use super::upkeep::Upkeep;
use super::upkeep::believed::Believed;
use super::upkeep::checkpoint::Pacer;
use super::upkeep::clock::Clock;
use super::upkeep::expiry::Expiry;
use super::upkeep::leftovers::Leftovers;
use super::upkeep::retention::Sweep;
use super::window::queue::Queue;
use super::window::queues::Queues;
use super::write::dedupe::{self, Dedupe};
use super::write::handover::Handover;
use super::write::line;
use super::write::session::Session;
use super::writer::{Commands, CommitObserver, Writer};
use crate::clock;
use crate::delivery::DestinationKey;
use crate::store::{Audit, StoreError};
use crate::vitals::{self, Part, Vitals};

/// Tasks, flushes and notices of settlements that may wait beside appends.
const OTHER_COMMANDS_MAX: usize = 64;

/// How to open the engine.
pub struct Options {
    /// Waiting deliveries above which webhooks are refused with 503.
    pub backlog_max: u64,
    /// Told how long each commit took.
    pub observe_commit: CommitObserver,
    /// Told where a part of the engine panics.
    pub vitals: Arc<Vitals>,
}

/// The writer of a simulation, which has no thread.
#[cfg(test)]
pub struct Stepped {
    writer: Writer,
    wake: Arc<tokio::sync::Notify>,
}

#[cfg(test)]
impl Stepped {
    /// Waits until there is something to do.
    pub async fn woken(&mut self) {
        self.wake.notified().await;
    }

    /// One round of what the thread does; whether there was something to do.
    pub fn step(&mut self) -> bool {
        self.writer.step()
    }
}

impl Embedded {
    /// Opens the store in `folder`, making it where there is none, and migrating an older one.
    ///
    /// # Errors
    /// In words for the operator: the folder cannot be used, another relay holds it, a newer version wrote it, or the
    /// file is damaged.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        let (engine, writer) = Self::assemble(folder, options)?;
        let watching = Arc::clone(&engine.failures);
        let thread = vitals::start_thread("store-writer", move || watching.watch(Part::StoreWriter, || writer.run()));
        let thread = thread.map_err(|error| StoreError::Open(format!("cannot open the store in {}: {error}", folder.display())))?;
        *engine.thread.lock().unwrap_or_else(PoisonError::into_inner) = thread;
        Ok(engine)
    }

    /// As [`Embedded::open`], for a simulation, which steps the writer by itself.
    #[cfg(test)]
    pub fn open_stepped(folder: &Path, options: Options) -> Result<(Self, Stepped), StoreError> {
        let (engine, writer) = Self::assemble(folder, options)?;
        let wake = Arc::clone(&engine.commands.wake);
        Ok((engine, Stepped { writer, wake }))
    }

    /// The engine, and the writer that is to run.
    fn assemble(folder: &Path, options: Options) -> Result<(Self, Writer), StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot open the store in {}: {what}", folder.display()));
        let named = folder;
        let folder = &private::resolve(named).map_err(|unusable| unusable.refused("cannot open", named))?;
        private::make_folder(folder).map_err(|error| refuse(error.to_string()))?;
        let lock = lock(folder).map_err(refuse)?;
        // A back-up to standard output makes its copy in the folder that it is given, which may hold a link to the database only.
        backup::sweep(named);
        if folder != named {
            backup::sweep(folder);
        }
        private::close_to_others(folder).map_err(|error| refuse(error.to_string()))?;
        let path = folder.join(FILE_NAME);
        let engine = |error: rusqlite::Error| refuse(plain_words(&error));

        check_log(folder).map_err(refuse)?;
        let mut connection = Connection::open(&path).map_err(engine)?;
        prepare(&connection).map_err(engine)?;
        let found = schema::migrate(&mut connection);
        let is_new = matches!(found, Ok(0));
        match found {
            Ok(0) => tracing::info!(store = %folder.display(), "made a new store"),
            Ok(found) if found < schema::newest() => tracing::info!(format_before = found, format = schema::newest(), "migrated the store"),
            Ok(_) => {}
            Err(error) => return Err(refuse(error.words())),
        }
        let (dedupe, salt) = (Dedupe::load(&connection).map_err(engine)?, Salt::load(&connection).map_err(engine)?);
        let last = last_sequence(&connection).map_err(engine)?;
        let queues = queues(&connection, last).map_err(engine)?;
        for queue in &queues {
            line::restore(&connection, queue).map_err(engine)?;
        }
        let clock = Clock::open(&connection).map_err(engine)?;
        let background = Connection::open(&path).map_err(engine)?;
        background.busy_timeout(BUSY_TIMEOUT).map_err(engine)?;

        let queues = Arc::new(Queues::new(queues));
        let failures = Arc::new(Failures::new(options.vitals));
        let changes = Arc::new(Changes::new());
        let handover = Arc::new(Handover::new());
        let leftovers = Leftovers::start(&connection, folder, is_new, &failures).map_err(refuse)?;
        let checkpoint = Pacer::start(&mut connection, background, leftovers.observer(), Arc::clone(&failures)).map_err(refuse)?;
        let believed = Believed::open(&connection, clock::wall().as_millisecond()).map_err(engine)?;
        let upkeep = Upkeep { believed, retention: Sweep::new(), expiry: Expiry::default(), checkpoint, clock, leftovers };
        let session = Session {
            connection,
            queues: Arc::clone(&queues),
            changes: Arc::clone(&changes),
            failures: Arc::clone(&failures),
            dedupe,
            next_sequence: last + 1,
        };
        let (commands, inbox) = Commands::new(APPENDS_WAITING_MAX + OTHER_COMMANDS_MAX);
        let writer = Writer::new(session, upkeep, Arc::clone(&handover), inbox, options.observe_commit);
        let readers = Arc::new(Readers::new(path.clone(), READERS_MAX, Arc::clone(&failures)));
        let engine = Self {
            claims: Claims {
                queues: Arc::clone(&queues),
                failures: Arc::clone(&failures),
                readers: Arc::clone(&readers),
                backlog: Arc::default(),
                handover: Arc::clone(&handover),
                commands: commands.clone(),
            },
            readers,
            lookers: Arc::new(Readers::new(path, LOOKERS_MAX, Arc::clone(&failures))),
            queues,
            failures,
            changes,
            handover,
            commands,
            append_permits: Arc::new(Semaphore::new(APPENDS_WAITING_MAX)),
            salt,
            thread: Mutex::default(),
            folder: folder.to_owned(),
            backlog_max: options.backlog_max,
            limit_bytes: Arc::default(),
            _lock: lock,
        };
        Ok((engine, writer))
    }

    /// Walks the store in `folder` and adds up. A relay may be running on it: all that is read is of one moment.
    ///
    /// # Errors
    /// There is no store, it is of another version, or it cannot be read.
    pub fn audit_folder(folder: &Path) -> Result<Audit, StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot check the store in {}: {what}", folder.display()));
        let connection = reader(folder).map_err(|unusable| unusable.refused("cannot check", folder))?;
        audit::walk(&connection).map_err(|error| refuse(plain_words(&error)))
    }

    /// Whether a store in `folder` could be opened by this version, without opening it for writing.
    ///
    /// # Errors
    /// As [`Embedded::open`]. A folder without a store is fine: `false`.
    pub fn inspect(folder: &Path) -> Result<bool, StoreError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Ok(false);
        }
        let refuse = |what: String| StoreError::Open(format!("cannot open the store in {}: {what}", folder.display()));
        let connection =
            Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| refuse(plain_words(&error)))?;
        schema::version(&connection).map(|_| true).map_err(|error| refuse(error.words()))
    }
}

/// Refuses a log that has lost commits: opened, it would go on without them, and nobody would know.
fn check_log(folder: &Path) -> Result<(), String> {
    let (log, index) = (folder.join(LOG_NAME), folder.join(INDEX_NAME));
    let Some(damage) = wal::check(&log, &index)
        .map_err(|error| format!("{}: {error}; look at the system's log and at the disk's health", log.display()))?
    else {
        return Ok(());
    };
    Err(format!(
        "{LOG_NAME} is damaged, and what was acknowledged last is lost: {}; restore it, or go on without: save what can be read with \
         `wiza-relay export --store {folder}`, then `rm -f {index} && truncate --size={} {log}`",
        damage.because,
        damage.whole_bytes,
        folder = folder.display(),
        index = index.display(),
        log = log.display(),
    ))
}

fn last_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    let last: Option<i64> = connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    Ok(last.unwrap_or(0).max(dedupe::last_sequence(connection)?))
}

fn queues(connection: &Connection, last: i64) -> rusqlite::Result<Vec<Arc<Queue>>> {
    let mut statement =
        connection.prepare(&format!("SELECT key, frontier, circuit, open_until, hold_until, {FIGURES} FROM destinations ORDER BY key"))?;
    let queues = statement.query_map([], |row| {
        let (key, frontier) = (DestinationKey(row.get(0)?), row.get(1)?);
        Ok(Arc::new(Queue::new(key, figures(row, 5)?, frontier, last, destinations::standing(row, 2)?)))
    })?;
    queues.collect()
}
