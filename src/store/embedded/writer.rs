//! The one thread that writes. It takes whatever has been handed over, makes one transaction of it, waits for the
//! disk once, and answers everybody in it.
//!
//! - While appends come singly, a commit starts at once. While they come together, it waits up to
//!   [`COMMIT_WINDOW`] for company: one fsync then serves many.
//! - Settlements answer nobody, so they wait up to [`SETTLE_WINDOW`] for an append to travel with.
//! - A commit that fails is rolled back. Its appends are refused (503: the sender has the event still); its
//!   settlements are kept and tried again, because the deliveries they speak of have happened.
//! - While commits fail and there is nothing to write, every [`IDLE_TICK`] a commit without content tries the disk.
//! - A failed fsync is final: after it nobody knows what the disk holds, so nothing is acknowledged any more.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::commit::{self, Batch};
use super::dedupe::Dedupe;
use super::{Shared, checkpoint, retention};
use crate::delivery::Settlement;
use crate::store::{Appended, Health, NewEvent, Unavailable};

/// How long a commit waits for more appends under load.
const COMMIT_WINDOW: Duration = Duration::from_millis(1);
/// How long a settlement waits for an append to share a commit with.
const SETTLE_WINDOW: Duration = Duration::from_millis(25);
/// Appends in one commit at most.
const BATCH_APPENDS_MAX: usize = 1024;
/// Settlements in one commit at most, beside those that commits before it could not write.
const BATCH_SETTLEMENTS_MAX: usize = 4096;
/// The pause after a commit that failed, so that a full disk does not cost a whole core.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How often retention looks for something to delete, and a full disk is tried again, while nothing else happens.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// What others ask of the writer.
pub(super) enum Command {
    Append(Box<NewEvent>, oneshot::Sender<Result<Appended, Unavailable>>),
    Settle(Box<Settlement>),
    /// Something rare that needs the connection, between two commits.
    Task(Task),
    /// Answered once everything before it is committed, or cannot be.
    Flush(oneshot::Sender<Result<(), Unavailable>>),
    Close,
}

pub(super) type Task = Box<dyn FnOnce(&mut Writer) + Send>;

/// The writer's own state. Nobody else writes to the file.
pub(super) struct Writer {
    pub connection: Connection,
    pub shared: Arc<Shared>,
    pub dedupe: Dedupe,
    pub next_sequence: i64,
    pub retention: retention::Sweep,
    pub checkpoint: checkpoint::Pacer,
    commands: Receiver<Command>,
    /// Settlements handed over and not committed; bounded by the permits that `settle` takes.
    settlements: Vec<Settlement>,
    settlements_since: Option<Instant>,
    appends_in_last_batch: usize,
    closing: bool,
}

#[derive(Default)]
struct Gathered {
    appends: Vec<(Box<NewEvent>, oneshot::Sender<Result<Appended, Unavailable>>)>,
    flushes: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    task: Option<Task>,
}

impl Writer {
    pub fn new(
        connection: Connection,
        shared: Arc<Shared>,
        dedupe: Dedupe,
        next_sequence: i64,
        checkpoint: checkpoint::Pacer,
        commands: Receiver<Command>,
    ) -> Self {
        Self {
            connection,
            shared,
            dedupe,
            next_sequence,
            retention: retention::Sweep::default(),
            checkpoint,
            commands,
            settlements: Vec::new(),
            settlements_since: None,
            appends_in_last_batch: 0,
            closing: false,
        }
    }

    /// Runs until everybody who could send a command is gone, or `Close` came.
    pub fn run(mut self) {
        while !self.closing {
            let mut gathered = self.gather();
            let task = gathered.task.take();
            self.commit(gathered);
            if let Some(task) = task {
                task(&mut self);
            }
            checkpoint::step(&mut self);
            retention::step(&mut self);
        }
        // What cannot be written now is attempted again after the next start.
        self.commit(Gathered::default());
        checkpoint::on_close(&self.connection);
    }

    /// Waits for something to write, then takes all that is there.
    fn gather(&mut self) -> Gathered {
        let mut gathered = Gathered::default();
        let mut company: Option<Instant> = None;
        // Without those left over from commits that failed: however many they are, whoever waits for an answer gets
        // one. All together they are bounded by the permits.
        let mut settlements = 0;
        loop {
            if gathered.appends.len() >= BATCH_APPENDS_MAX || settlements >= BATCH_SETTLEMENTS_MAX {
                return gathered;
            }
            let command = match self.commands.try_recv() {
                Ok(command) => Some(command),
                Err(_) => {
                    let now = Instant::now();
                    let until = if gathered.appends.is_empty() {
                        self.settlements_since.map_or(now + IDLE_TICK, |since| since + SETTLE_WINDOW)
                    } else {
                        let window = if self.appends_in_last_batch > 1 { COMMIT_WINDOW } else { Duration::ZERO };
                        *company.get_or_insert(now + window)
                    };
                    match self.commands.recv_timeout(until.saturating_duration_since(now)) {
                        Ok(command) => Some(command),
                        Err(RecvTimeoutError::Timeout) => None,
                        Err(RecvTimeoutError::Disconnected) => {
                            self.closing = true;
                            None
                        }
                    }
                }
            };
            match command {
                None => return gathered,
                Some(Command::Append(event, reply)) => gathered.appends.push((event, reply)),
                Some(Command::Settle(settlement)) => {
                    self.settlements.push(*settlement);
                    settlements += 1;
                    self.settlements_since.get_or_insert_with(Instant::now);
                }
                Some(Command::Flush(reply)) => {
                    gathered.flushes.push(reply);
                    return gathered;
                }
                Some(Command::Task(task)) => {
                    gathered.task = Some(task);
                    return gathered;
                }
                Some(Command::Close) => {
                    self.closing = true;
                    return gathered;
                }
            }
        }
    }

    /// Writes what was gathered, and everything that waits to be settled.
    fn commit(&mut self, gathered: Gathered) {
        self.appends_in_last_batch = gathered.appends.len();
        if gathered.appends.is_empty() && self.settlements.is_empty() {
            for reply in gathered.flushes {
                let _ = reply.send(Ok(()));
            }
            self.probe();
            return;
        }
        if let Health::Failed(reason) = self.shared.health() {
            let refusal = Unavailable::Failed(reason);
            refuse(gathered, &refusal);
            std::thread::sleep(FAILURE_PAUSE);
            return;
        }
        let started = Instant::now();
        let settlements = std::mem::take(&mut self.settlements);
        let (events, replies): (Vec<_>, Vec<_>) = gathered.appends.into_iter().unzip();
        match commit::write(self, Batch { events, settlements: &settlements }) {
            Ok(answers) => {
                self.shared.commit_succeeded(started.elapsed());
                self.settlements_since = None;
                self.shared.settle_permits.add_permits(settlements.len());
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Ok(answer));
                }
                for reply in gathered.flushes {
                    let _ = reply.send(Ok(()));
                }
            }
            Err(error) => {
                let refusal = self.shared.commit_failed(&error);
                self.settlements = settlements;
                self.settlements_since = (!self.settlements.is_empty()).then(Instant::now);
                for reply in replies {
                    let _ = reply.send(Err(refusal.clone()));
                }
                for reply in gathered.flushes {
                    let _ = reply.send(Err(refusal.clone()));
                }
                std::thread::sleep(FAILURE_PAUSE);
            }
        }
    }

    /// Finds out whether a disk that was full has room again. Nobody sends webhooks to a relay that is not ready, so
    /// without it a relay with nothing to write would never become ready.
    fn probe(&self) {
        if self.closing || !matches!(self.shared.health(), Health::CannotWrite(_)) {
            return;
        }
        let started = Instant::now();
        match commit::rewrite_header(&self.connection) {
            Ok(()) => self.shared.commit_succeeded(started.elapsed()),
            Err(error) => {
                self.shared.commit_failed(&error);
            }
        }
    }
}

fn refuse(gathered: Gathered, refusal: &Unavailable) {
    for (_, reply) in gathered.appends {
        let _ = reply.send(Err(refusal.clone()));
    }
    for reply in gathered.flushes {
        let _ = reply.send(Err(refusal.clone()));
    }
}
