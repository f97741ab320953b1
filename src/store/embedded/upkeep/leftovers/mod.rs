//! Deleted is gone: what rows leave behind in the database and in its log is cleared.
//!
//! Deleting alone does not do it. `secure_delete` overwrites the deleted cell, and not the copies of it that stay in the unused part of
//! pages where trees were balanced (`page.rs`); and the log holds every page as it was before, until it is emptied. So when something was
//! deleted, a *pass* looks at all pages that were changed since the last one, clears what is not in use of them, and then
//! empties the log. A pass begins [`PASS_PAUSE`] after the last one at the earliest, and once retention has nothing more to delete.
//!
//! After a start nobody knows which pages were changed, so the first pass looks at all of them, unless the store is new. In a
//! store of an older version it clears the free pages too. Pages are read by a thread of its own; the writer clears those that it found, a few
//! between two commits. All of it goes through SQLite's transactions: a crash at any instant leaves a whole database.
//!
//! Whoever reads one moment of the store for long (a back-up, an audit) keeps the log from being emptied: it is tried again.

mod changed;
mod look;
mod page;
#[cfg(test)]
mod tests;

use crate::clock;
use crate::store::embedded::disk::connection;
use crate::store::embedded::failures::Failures;
use crate::store::embedded::upkeep::checkpoint::Pacer;
use crate::store::embedded::write::session::Session;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use self::changed::{Changed, Pages};
use self::look::Form;
use super::checkpoint::{self, Emptied};
use crate::store::embedded::disk::files::{FILE_NAME, LOG_NAME};
use crate::store::embedded::rows::meta;
use crate::vitals::{self, Part};

/// From the end of a pass to the beginning of the next: an hour holds several of them.
const PASS_PAUSE: Duration = Duration::from_secs(10 * 60);
/// Pages that are looked at in one go: 4 MiB.
const LOOK_PAGES: usize = 1_024;
/// From the beginning of one go to the next: 16 MiB a second at most, so that the disk has room for others.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// How often it is asked whether a go has ended.
const ANSWER_PAUSE: Duration = Duration::from_millis(5);
/// Pages that are cleared in one transaction: half a MiB of the log, so no webhook waits long for it.
const CLEAR_PAGES: usize = 128;
/// The pause after something failed, and after the log could not be emptied.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Tries to empty the log after which it is told that they fail: ten minutes.
const EMPTYING_TRIES_TOLD: u32 = 120;

/// What is to be cleared.
pub struct Leftovers {
    changed: Arc<Mutex<Changed>>,
    looker: Looker,
    /// What to look at can be told apart; if not, the log is emptied and nothing else.
    known: bool,
    /// Free pages may hold something: they became free in an older version.
    free_too: bool,
    /// Something was deleted since the last pass began, or nobody knows.
    deleted: bool,
    pass: Option<Pass>,
    /// No pass has ended since the start.
    is_first: bool,
    next_step_at: Instant,
    /// From when on a pass begins also while retention has more to delete.
    begin_anyway_at: Instant,
}

struct Pass {
    pages: Pages,
    looked_up_to: u32,
    /// The last page of those that are being looked at.
    asked_up_to: Option<u32>,
    asked_at: Option<Instant>,
    found: VecDeque<u32>,
    cleared: u64,
    /// Everything was looked at; so often it was tried to empty the log.
    emptying: Option<u32>,
}

/// The thread that reads pages.
struct Looker {
    requests: SyncSender<(Vec<u32>, bool)>,
    answers: Receiver<rusqlite::Result<Vec<u32>>>,
}

impl Leftovers {
    /// Starts the thread. `writer` is the writer's connection; a store that `is_new` has nothing to look at yet.
    pub fn start(writer: &Connection, folder: &Path, is_new: bool, failures: &Arc<Failures>) -> Result<Self, String> {
        let told = |error: rusqlite::Error| error.to_string();
        let form = Form::of(writer).map_err(told)?;
        let free_too = meta::get::<i64>(writer, meta::FREE_PAGES_CLEARED).map_err(told)?.is_none();
        if !form.known {
            tracing::warn!(
                "parts of deleted events may stay in the store's file until their pages are used again: SQLite was compiled without its table of pages, or the file is larger than 128 GiB"
            );
        }
        let connection = connection::open_reader(&folder.join(FILE_NAME)).map_err(told)?;
        let changed = Changed::new(folder.join(LOG_NAME), form.page_bytes, form.pages);
        let now = clock::steady();
        Ok(Self {
            changed: Arc::new(Mutex::new(changed)),
            looker: Looker::start(connection, Arc::clone(failures))?,
            known: form.known,
            free_too,
            deleted: !is_new,
            pass: None,
            is_first: !is_new,
            next_step_at: now,
            begin_anyway_at: now + PASS_PAUSE,
        })
    }

    /// To be called after every commit, with the count of frames that the log has then.
    pub fn observer(&self) -> impl Fn(u32) + Send + 'static {
        let changed = Arc::clone(&self.changed);
        move |frames| {
            let mut changed = changed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = changed.note(frames) {
                tracing::warn!(%error, "the write-ahead log could not be read; all pages of the store are looked at for leftovers");
                changed.lose_track(page::PAGES_MAX);
            }
        }
    }

    /// Something was deleted.
    pub fn note_deleted(&mut self) {
        self.deleted = true;
    }

    /// When the next step of a pass is due, if one is under way.
    pub fn next_step_at(&self) -> Option<Instant> {
        self.pass.as_ref().map(|_| self.next_step_at)
    }
}

impl Looker {
    fn start(connection: Connection, failures: Arc<Failures>) -> Result<Self, String> {
        let (requests, inbox) = sync_channel::<(Vec<u32>, bool)>(1);
        let (outbox, answers) = sync_channel(1);
        let thread = move || {
            failures.watch(Part::StoreRead, || {
                while let Ok((pages, free_too)) = inbox.recv() {
                    if outbox.send(look::with_leftovers(&connection, &pages, free_too)).is_err() {
                        return;
                    }
                }
            });
        };
        vitals::start_thread("store-leftovers", thread).map_err(|error| error.to_string())?;
        Ok(Self { requests, answers })
    }
}

/// Called by the writer between two commits. `rests`: retention has nothing more to delete for now.
pub fn step(leftovers: &mut Leftovers, pacer: &mut Pacer, session: &Session, rests: bool) {
    let now = clock::steady();
    if now < leftovers.next_step_at {
        return;
    }
    let may_begin = rests || now >= leftovers.begin_anyway_at;
    let Some(mut pass) = leftovers.pass.take().or_else(|| if may_begin { begin(leftovers) } else { None }) else {
        return;
    };
    let next = match go_on(leftovers, pacer, session, &mut pass) {
        Ok(Next::Again(pause)) => Some(pause),
        Ok(Next::Over) => None,
        Err(error) => {
            session.failures.note("clearing what deleted events left behind", &error);
            Some(RETRY_PAUSE)
        }
    };
    leftovers.next_step_at = now + next.unwrap_or(PASS_PAUSE);
    leftovers.begin_anyway_at = leftovers.next_step_at + PASS_PAUSE;
    if next.is_some() {
        leftovers.pass = Some(pass);
    }
}

enum Next {
    Again(Duration),
    Over,
}

fn begin(leftovers: &mut Leftovers) -> Option<Pass> {
    if !std::mem::take(&mut leftovers.deleted) {
        return None;
    }
    let pages = leftovers.changed.lock().unwrap_or_else(PoisonError::into_inner).take();
    let emptying = if leftovers.known { None } else { Some(0) };
    Some(Pass { pages, looked_up_to: 0, asked_up_to: None, asked_at: None, found: VecDeque::new(), cleared: 0, emptying })
}

fn go_on(leftovers: &mut Leftovers, pacer: &mut Pacer, session: &Session, pass: &mut Pass) -> rusqlite::Result<Next> {
    if pass.emptying.is_some() {
        return empty(leftovers, pacer, session, pass);
    }
    if !pass.found.is_empty() {
        let some: Vec<u32> = pass.found.iter().copied().take(CLEAR_PAGES).collect();
        pass.cleared += look::clear(&session.connection, &some, leftovers.free_too)?;
        pass.found.drain(..some.len());
        return Ok(Next::Again(Duration::ZERO));
    }
    if let Some(asked_up_to) = pass.asked_up_to {
        match leftovers.looker.answers.try_recv() {
            Ok(Ok(found)) => {
                pass.found.extend(found);
                (pass.looked_up_to, pass.asked_up_to) = (asked_up_to, None);
            }
            Ok(Err(error)) => {
                pass.asked_up_to = None;
                return Err(error);
            }
            // A thread that is gone has panicked, and the store has failed.
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(Next::Again(ANSWER_PAUSE)),
        }
        return Ok(Next::Again(Duration::ZERO));
    }
    if let Some(wait) = pass.asked_at.and_then(|at| LOOK_PAUSE.checked_sub(at.elapsed()))
        && !wait.is_zero()
    {
        return Ok(Next::Again(wait));
    }
    let last: u32 = session.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let pages = pass.pages.after(pass.looked_up_to, last, LOOK_PAGES);
    match pages.last() {
        None => pass.emptying = Some(0),
        Some(asked_up_to) => {
            (pass.asked_up_to, pass.asked_at) = (Some(*asked_up_to), Some(clock::steady()));
            // There is room: one request is under way at a time.
            let _ = leftovers.looker.requests.try_send((pages, leftovers.free_too));
            return Ok(Next::Again(ANSWER_PAUSE));
        }
    }
    Ok(Next::Again(Duration::ZERO))
}

/// The last step: the log still holds every page as it was.
fn empty(leftovers: &mut Leftovers, pacer: &mut Pacer, session: &Session, pass: &mut Pass) -> rusqlite::Result<Next> {
    if leftovers.known && std::mem::take(&mut leftovers.free_too) {
        meta::set(&session.connection, meta::FREE_PAGES_CLEARED, 1)?;
    }
    match checkpoint::empty(pacer, session)? {
        Emptied::Yes => {
            if std::mem::take(&mut leftovers.is_first) {
                tracing::info!(pages = pass.cleared, "the store was looked through: what deleted events left behind is cleared");
            }
            Ok(Next::Over)
        }
        Emptied::Moving => Ok(Next::Again(ANSWER_PAUSE)),
        Emptied::Busy => {
            let tries = pass.emptying.map_or(1, |tries| tries.saturating_add(1));
            pass.emptying = Some(tries);
            if tries == EMPTYING_TRIES_TOLD {
                tracing::warn!(
                    "deleted events are still in the write-ahead log: somebody has read one moment of the store for ten minutes"
                );
            }
            Ok(Next::Again(RETRY_PAUSE))
        }
    }
}
