//! Moving pages from the write-ahead log into the database file without making a commit wait for it.
//!
//! SQLite's own way does it inside whichever commit crosses the threshold: tens of milliseconds that somebody's 200
//! would wait for. Here a second thread moves the bulk while commits go on, and the writer moves only the few pages
//! that came meanwhile; then the log is empty at the next commit, and SQLite starts it again from its beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::Connection;

use crate::store::embedded::disk::connection::BUSY_TIMEOUT;
use crate::store::embedded::failures::Failures;
use crate::store::embedded::write::session::Session;
use crate::vitals::{self, Part};

/// Log pages (4 KiB each) from which the bulk is moved in the background: 16 MiB.
const PAGES_DUE: u32 = 4_000;
/// Log pages from which the writer waits until all is moved, so that the log can begin anew: 256 MiB.
const PAGES_MAX: u32 = 64_000;
/// Log pages that the writer moves by itself where the log is to be emptied: 2 MiB.
const PAGES_MOVED_AT_ONCE: u32 = 500;
/// How long it waits for those who read. Whoever reads for longer (a back-up, an audit) holds up no webhook: the log grows
/// meanwhile, and after another [`PAGES_DUE`] it is tried again.
const RESTART_WAIT: Duration = Duration::from_millis(50);

/// Knows how long the log is, and whether the background thread is at work.
pub struct Pacer {
    /// Pages in the log after the last commit.
    pages: Arc<AtomicU32>,
    requests: SyncSender<()>,
    working: Arc<AtomicBool>,
    /// The background thread was asked since the log last started again.
    asked: bool,
    /// Pages from which the writer waits the next time.
    restart_at: u32,
    /// The bulk was moved so that the log can be emptied.
    moved_to_empty: bool,
}

/// What came of emptying the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptied {
    /// It is empty.
    Yes,
    /// The bulk is being moved first.
    Moving,
    /// Somebody reads an older moment of the store.
    Busy,
}

impl Pacer {
    /// Starts the background thread on a connection of its own, and counts the writer's pages. `observe` is told of the count
    /// after every commit.
    pub fn start(
        writer: &mut Connection,
        background: Connection,
        observe: impl Fn(u32) + Send + 'static,
        failures: Arc<Failures>,
    ) -> Result<Self, String> {
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        writer
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
                let count = u32::try_from(count).unwrap_or(0);
                counted.store(count, Ordering::Relaxed);
                observe(count);
                Ok(())
            }))
            .map_err(|error| error.to_string())?;
        let working = Arc::new(AtomicBool::new(false));
        let (requests, inbox) = sync_channel::<()>(1);
        let done = Arc::clone(&working);
        let thread = move || {
            failures.watch(Part::StoreCheckpoint, || {
                while inbox.recv().is_ok() {
                    move_pages(&failures, &background, "PASSIVE");
                    done.store(false, Ordering::Release);
                }
            });
        };
        vitals::start_thread("store-checkpoint", thread).map_err(|error| error.to_string())?;
        Ok(Self { pages, requests, working, asked: false, restart_at: PAGES_MAX, moved_to_empty: false })
    }
}

/// Called by the writer between two commits.
pub fn step(pacer: &mut Pacer, session: &Session) {
    let pages = pacer.pages.load(Ordering::Relaxed);
    if pages < PAGES_DUE {
        pacer.asked = false;
        pacer.restart_at = PAGES_MAX;
        return;
    }
    if pages >= pacer.restart_at {
        restart(session);
        pacer.restart_at = pages.saturating_add(PAGES_DUE);
        return;
    }
    if pacer.working.load(Ordering::Acquire) {
        return;
    }
    if pacer.asked {
        // The bulk has been moved; what came since is little.
        move_pages(&session.failures, &session.connection, "PASSIVE");
        pacer.asked = false;
        pacer.pages.store(0, Ordering::Relaxed);
        return;
    }
    ask(pacer, session);
}

/// Has the bulk moved in the background.
fn ask(pacer: &mut Pacer, session: &Session) {
    pacer.working.store(true, Ordering::Release);
    match pacer.requests.try_send(()) {
        Ok(()) | Err(TrySendError::Full(())) => pacer.asked = true,
        Err(TrySendError::Disconnected(())) => {
            pacer.working.store(false, Ordering::Release);
            move_pages(&session.failures, &session.connection, "PASSIVE");
        }
    }
}

/// Moves all pages and cuts the log off, so that nothing of what is deleted stays in it. The bulk of a long log is moved in the
/// background first, and whoever reads an older moment of the store is waited for only shortly: it is to be tried again.
pub fn empty(pacer: &mut Pacer, session: &Session) -> rusqlite::Result<Emptied> {
    if pacer.working.load(Ordering::Acquire) {
        return Ok(Emptied::Moving);
    }
    if pacer.pages.load(Ordering::Relaxed) > PAGES_MOVED_AT_ONCE && !pacer.moved_to_empty {
        ask(pacer, session);
        pacer.moved_to_empty = true;
        return Ok(Emptied::Moving);
    }
    pacer.moved_to_empty = false;
    session.connection.busy_timeout(RESTART_WAIT)?;
    // The pragma answers (busy, pages in the log, pages moved).
    let busy = session.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    session.connection.busy_timeout(BUSY_TIMEOUT)?;
    if busy? {
        return Ok(Emptied::Busy);
    }
    pacer.asked = false;
    pacer.pages.store(0, Ordering::Relaxed);
    Ok(Emptied::Yes)
}

/// Empties the log, so that the store is one file when the relay is not running.
pub fn on_close(session: &Session) {
    if !session.failures.has_failed() {
        move_pages(&session.failures, &session.connection, "TRUNCATE");
    }
}

/// Moves all pages, if nobody reads an older moment of the store for long.
fn restart(session: &Session) {
    let wait = |time| {
        if let Err(error) = session.connection.busy_timeout(time) {
            session.failures.note("setting how long the write-ahead log is waited for", &error);
        }
    };
    wait(RESTART_WAIT);
    move_pages(&session.failures, &session.connection, "RESTART");
    wait(BUSY_TIMEOUT);
}

/// Moves pages; what stays is moved the next time.
fn move_pages(failures: &Failures, connection: &Connection, mode: &str) {
    // The pragma answers (busy, pages in the log, pages moved).
    if let Err(error) = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())) {
        failures.note("moving the write-ahead log into the file", &error);
    }
}
