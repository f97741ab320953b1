//! Opening a store: the lock, the tables, what memory needs to know, and the threads.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{Semaphore, broadcast};

use super::disk::{private, wal};
use super::read::backlog::Backlog;
use super::read::listing::follow::COMMITS_BEHIND_MAX;
use super::read::readers::{LOOKERS_MAX, READERS_MAX, Readers};
use super::read::{audit, readers};
use super::rows::schema::{self, SchemaError};
use super::upkeep::checkpoint;
use super::upkeep::clock::Clock;
use super::upkeep::leftovers::Leftovers;
use super::upkeep::retention::Sweep;
use super::window::Queue;
use super::write::dedupe::{self, Dedupe, Salt};
use super::write::writer::{Beside, Writer};
use super::write::{line, standing};
use super::{APPENDS_WAITING_MAX, CommitObserver, Embedded, SETTLEMENTS_WAITING_MAX, Shared, backup};
use crate::delivery::DestinationKey;
use crate::store::{Audit, DestinationFigures, Health, StoreError};
use crate::vitals::{Part, Vitals};

/// The database's file in the store's folder.
pub(super) const FILE_NAME: &str = "relay.db";
/// Its write-ahead log, and that one's index.
pub(super) const LOG_NAME: &str = "relay.db-wal";
pub(super) const INDEX_NAME: &str = "relay.db-shm";
/// Locked for as long as a relay uses the folder. Its content says nothing.
const LOCK_NAME: &str = "relay.lock";
/// Tasks, flushes and notices of settlements that may wait beside appends.
const OTHER_COMMANDS_MAX: usize = 64;
/// How long whoever writes waits for somebody else who does, such as an operator's `sqlite3`.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// How to open the engine.
pub struct Options {
    /// Waiting deliveries above which webhooks are refused with 503.
    pub backlog_max: u64,
    /// Told how long each commit took.
    pub observe_commit: CommitObserver,
    /// Told where a part of the engine panics.
    pub vitals: Arc<Vitals>,
}

impl Embedded {
    /// Opens the store in `folder`, making it where there is none, and migrating an older one.
    ///
    /// # Errors
    /// In words for the operator: the folder cannot be used, another relay holds it, a newer version wrote it, or the
    /// file is damaged.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot open the store in {}: {what}", folder.display()));
        let named = folder;
        let folder = &private::resolve(named).map_err(refuse)?;
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
            Err(error) => return Err(refuse(schema_words(&error))),
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

        let shared = Arc::new(Shared {
            queues: RwLock::new(Arc::new(queues)),
            health: ArcSwap::from_pointee(Health::Good),
            settle_permits: Semaphore::new(SETTLEMENTS_WAITING_MAX),
            settlements: Mutex::default(),
            holds: Mutex::default(),
            backlog: Backlog::default(),
            changes: broadcast::Sender::new(COMMITS_BEHIND_MAX),
            waiting: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            observe_commit: options.observe_commit,
            vitals: options.vitals,
            failed_commits: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            limit_bytes: AtomicU64::new(0),
        });
        let leftovers = Leftovers::start(&connection, folder, is_new, &shared).map_err(refuse)?;
        let checkpoint = checkpoint::Pacer::start(&mut connection, background, &leftovers, Arc::clone(&shared)).map_err(refuse)?;
        let retention = Sweep::open(&connection).map_err(engine)?;
        let beside = Beside { retention, checkpoint, clock, leftovers };
        let (commands, inbox) = sync_channel(APPENDS_WAITING_MAX + OTHER_COMMANDS_MAX);
        let writer = Writer::new(connection, Arc::clone(&shared), dedupe, last + 1, beside, inbox);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let shared = Arc::clone(&writer.shared);
                shared.watch(Part::StoreWriter, || writer.run());
            })
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            readers: Arc::new(Readers::new(path.clone(), READERS_MAX, Arc::clone(&shared))),
            lookers: Arc::new(Readers::new(path, LOOKERS_MAX, Arc::clone(&shared))),
            shared,
            commands,
            append_permits: Arc::new(Semaphore::new(APPENDS_WAITING_MAX)),
            salt,
            thread: Mutex::new(Some(thread)),
            folder: folder.to_owned(),
            backlog_max: options.backlog_max,
            _lock: lock,
        })
    }

    /// Walks the store in `folder` and adds up. A relay may be running on it: all that is read is of one moment.
    ///
    /// # Errors
    /// There is no store, it is of another version, or it cannot be read.
    pub fn audit_folder(folder: &Path) -> Result<Audit, StoreError> {
        let refuse = |what: String| StoreError::Open(format!("cannot check the store in {}: {what}", folder.display()));
        let connection = reader(folder).map_err(refuse)?;
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
        schema::version(&connection).map(|_| true).map_err(|error| refuse(schema_words(&error)))
    }
}

/// The database that is to be read: that of a folder, or a file that `backup` has made; or in words why there is none.
pub(super) fn database(store: &Path) -> Result<PathBuf, String> {
    // SQLite keeps the log beside the file and not beside a link to it.
    let path =
        if store.is_file() { store.canonicalize().map_err(|error| error.to_string())? } else { private::resolve(store)?.join(FILE_NAME) };
    if path.exists() { Ok(path) } else { Err(format!("there is no {FILE_NAME}; name the folder, or a back-up's file, with --store")) }
}

/// A store of this version, to be read; or in words why there is none.
pub(super) fn reader(store: &Path) -> Result<Connection, String> {
    let path = database(store)?;
    let connection = readers::open_reader(&path).map_err(|error| plain_words(&error))?;
    match schema::version(&connection).map_err(|error| schema_words(&error))? {
        found if found < schema::newest() => {
            Err(format!("it is of an older version ({found}); `serve` brings it to {} when it starts", schema::newest()))
        }
        _ => Ok(connection),
    }
}

/// What says that a relay uses this store.
pub(super) struct Lock {
    /// The folder's, by which older versions of the relay know each other.
    _folder: File,
    /// The database's own: another path to the same file, by a link, leads to the same lock.
    _database: File,
}

fn lock(folder: &Path) -> Result<Lock, String> {
    let locked = |name: &str| {
        let path = folder.join(name);
        let file = private::open_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err("another process holds it; a store serves one relay at a time".to_owned()),
            Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
        }
    };
    let (folder_lock, database) = (locked(LOCK_NAME)?, locked(FILE_NAME)?);
    if database.metadata().is_ok_and(|metadata| metadata.nlink() > 1) {
        tracing::warn!(
            store = %folder.display(),
            "{FILE_NAME} has another name too, a hard link: a store that is opened by that one lacks what is in the log; delete it"
        );
    }
    Ok(Lock { _folder: folder_lock, _database: database })
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

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", 4096)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        // Without shared memory (some network file systems) readers would block every commit.
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "the file system allows no write-ahead log (journal mode {mode}); use a local disk"
        )));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What is deleted is overwritten; `leftovers` does the rest.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn last_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    let last: Option<i64> = connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    Ok(last.unwrap_or(0).max(dedupe::last_sequence(connection)?))
}

/// The columns of [`figures`].
pub(super) const FIGURES: &str = "name, active, planned, redriven, delivered, dead, dead_kept";

/// The figures in a row whose columns from `first` on are [`FIGURES`].
pub(super) fn figures(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<DestinationFigures> {
    let count = |column| row.get::<_, i64>(first + column).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(DestinationFigures {
        name: row.get(first)?,
        active: row.get(first + 1)?,
        disabled: false,
        planned: count(2)?,
        redriven: count(3)?,
        delivered: count(4)?,
        dead: count(5)?,
        dead_kept: count(6)?,
    })
}

fn queues(connection: &Connection, last: i64) -> rusqlite::Result<Vec<Arc<Queue>>> {
    let mut statement =
        connection.prepare(&format!("SELECT key, frontier, circuit, open_until, hold_until, {FIGURES} FROM destinations ORDER BY key"))?;
    let queues = statement.query_map([], |row| {
        let (key, frontier) = (DestinationKey(row.get(0)?), row.get(1)?);
        Ok(Arc::new(Queue::new(key, figures(row, 5)?, frontier, last, standing::read(row, 2)?)))
    })?;
    queues.collect()
}

/// Bytes of the database, its log and its index.
pub(super) fn bytes_on_disk(folder: &Path) -> u64 {
    [FILE_NAME, LOG_NAME, INDEX_NAME]
        .iter()
        .filter_map(|name| std::fs::metadata(folder.join(name)).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Bytes that the relay's user may still write where `folder` is.
pub(super) fn available_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Whether nothing may be acknowledged any more until a restart has looked at what the disk really holds.
pub(super) fn is_final(error: &rusqlite::Error) -> bool {
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
pub(super) fn plain_words(error: &rusqlite::Error) -> String {
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

pub(super) fn schema_words(error: &SchemaError) -> String {
    match error {
        SchemaError::Newer { found, known } => {
            format!(
                "it was written by a newer wiza-relay (store version {found}; this one knows up to {known}); run that version, or start with an empty folder"
            )
        }
        SchemaError::Engine(error) => plain_words(error),
    }
}
