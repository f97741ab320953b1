//! The one thread that writes. It takes whatever has been handed over, makes one transaction of it, waits for the
//! disk once, and answers everybody in it.
//!
//! - While appends come singly, a commit starts at once. While a few come together, it sleeps [`COMMIT_WINDOW`] and
//!   takes all that came meanwhile: one fsync, and one wake-up of this thread, then serves more of them. Where many
//!   come, they gather by themselves while the commit before them is written; but where lanes are behind, it sleeps
//!   for those as well.
//! - Settlements answer nobody, so they wait up to [`SETTLE_WINDOW`] for an append to travel with. They gather
//!   outside of the channel: only the first of them wakes this thread.
//! - A commit that fails is rolled back. Its appends are refused (503: the sender has the event still); its
//!   settlements are kept and tried again, because the deliveries they speak of have happened.
//! - While commits fail and there is nothing to write, every [`IDLE_TICK`] a commit without content tries the disk.
//! - A failed fsync is final: after it nobody knows what the disk holds, so nothing is acknowledged any more.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::upkeep::{self, Upkeep};
use super::window::entries::Hold;
use super::write::commit::{self, Batch, Committed};
use super::write::handover::Handover;
use super::write::session::Session;
use crate::delivery::Settlement;
use crate::store::{Appended, Health, NewEvent, Unavailable};
use crate::{clock, fault};

/// How long a commit waits for more appends under load.
const COMMIT_WINDOW: Duration = Duration::from_millis(1);
/// Appends that are company enough: a commit of so many does not wait for more.
const COMPANY: usize = 16;
/// The same while lanes are behind: an answer that comes sooner then only makes the backlog longer, and fewer commits
/// leave more of the processors to the lanes.
const COMPANY_WHERE_BEHIND: usize = 256;
/// And how long it waits then.
const COMMIT_WINDOW_WHERE_BEHIND: Duration = Duration::from_millis(2);
/// Deliveries waiting from which lanes count as behind: more than a window holds.
const BEHIND: u64 = 1_024;
/// How long a settlement waits for an append to share a commit with.
const SETTLE_WINDOW: Duration = Duration::from_millis(25);
/// Appends in one commit at most.
const BATCH_APPENDS_MAX: usize = 1024;
/// Settlements in one commit at most.
const BATCH_SETTLEMENTS_MAX: usize = 4096;
/// The pause after a commit that failed, so that a full disk does not cost a whole core.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How often retention looks for something to delete, and a full disk is tried again, while nothing else happens.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// Where an append's answer goes.
pub type AppendReply = oneshot::Sender<Result<Appended, Unavailable>>;

/// What others ask of the writer.
pub enum Command {
    /// The permit is free again once the command is taken.
    Append(Box<NewEvent>, AppendReply, OwnedSemaphorePermit),
    /// Settlements have begun to gather in [`Handover`].
    SettlementsWait,
    /// Something rare that needs the connection, between two commits.
    Task(Task),
    /// Answered once everything before it is committed, or cannot be.
    Flush(oneshot::Sender<Result<(), Unavailable>>),
}

/// Something rare.
pub type Task = Box<dyn FnOnce(&mut Session, &mut Upkeep) + Send>;

/// The way to the writer.
#[derive(Clone)]
pub struct Commands {
    channel: SyncSender<Command>,
    /// Wakes whoever steps the writer of a simulation.
    #[cfg(test)]
    pub wake: Arc<tokio::sync::Notify>,
}

impl Commands {
    /// So many may wait.
    pub fn new(at_most: usize) -> (Self, Receiver<Command>) {
        let (channel, inbox) = sync_channel(at_most);
        let commands = Self {
            channel,
            #[cfg(test)]
            wake: Arc::default(),
        };
        (commands, inbox)
    }

    /// Hands a command over, without waiting.
    ///
    /// # Errors
    /// Where too many wait, or the writer has ended.
    pub fn try_send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        let sent = self.channel.try_send(command);
        #[cfg(test)]
        self.wake.notify_one();
        sent
    }
}

/// Observes how long commits take, in seconds.
pub type CommitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// The writer's thread.
pub struct Writer {
    session: Session,
    upkeep: Upkeep,
    handover: Arc<Handover>,
    commands: Receiver<Command>,
    observe_commit: CommitObserver,
    /// Settlements of a commit that failed, to be tried again.
    unwritten: Vec<Settlement>,
    /// The same for deliveries that are to be held.
    unwritten_holds: Vec<Hold>,
    /// Since when settlements wait.
    settlements_since: Option<Instant>,
    appends_in_last_batch: usize,
    closing: bool,
}

#[derive(Default)]
struct Gathered {
    appends: Vec<(NewEvent, AppendReply)>,
    flushes: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    task: Option<Task>,
}

impl Gathered {
    fn take(&mut self, command: Command, settlements_since: &mut Option<Instant>) {
        match command {
            Command::Append(event, reply, _permit) => self.appends.push((*event, reply)),
            Command::SettlementsWait => {
                settlements_since.get_or_insert_with(clock::steady);
            }
            Command::Flush(reply) => self.flushes.push(reply),
            Command::Task(task) => self.task = Some(task),
        }
    }

    /// Whether somebody waits for an answer.
    fn is_urgent(&self) -> bool {
        !self.appends.is_empty() || !self.flushes.is_empty() || self.task.is_some()
    }
}

impl Writer {
    /// A writer that has not begun.
    pub fn new(
        session: Session,
        upkeep: Upkeep,
        handover: Arc<Handover>,
        commands: Receiver<Command>,
        observe_commit: CommitObserver,
    ) -> Self {
        Self {
            session,
            upkeep,
            handover,
            commands,
            observe_commit,
            unwritten: Vec::new(),
            unwritten_holds: Vec::new(),
            settlements_since: None,
            appends_in_last_batch: 0,
            closing: false,
        }
    }

    /// Runs until everybody who could send a command is gone, or the store is being closed.
    pub fn run(mut self) {
        while !self.closing {
            let gathered = self.gather();
            self.round(gathered);
        }
        // What cannot be written now is attempted again after the next start.
        while self.handover.has_settlements() && self.unwritten.is_empty() {
            self.commit(Gathered::default());
        }
        self.upkeep.close(&self.session);
    }

    /// Commits what was gathered, then does a little of all that is done between two commits.
    fn round(&mut self, mut gathered: Gathered) {
        let task = gathered.task.take();
        self.commit(gathered);
        if let Some(task) = task {
            task(&mut self.session, &mut self.upkeep);
        }
        if !self.session.failures.has_failed() {
            self.upkeep.step(&self.session);
        }
    }

    /// One round with all that is there, for a simulation; whether anything was.
    #[cfg(test)]
    pub fn step(&mut self) -> bool {
        let mut gathered = Gathered::default();
        self.take_all(&mut gathered);
        let some = gathered.is_urgent() || self.handover.has_settlements();
        self.round(gathered);
        some
    }

    /// Waits for something to write, then takes all that is there.
    fn gather(&mut self) -> Gathered {
        let mut gathered = Gathered::default();
        let tick = clock::steady() + IDLE_TICK;
        let idle_until = self.upkeep.next_step_at().map_or(tick, |due| tick.min(due));
        while !gathered.is_urgent() && !self.closing {
            let until = self.settlements_since.map_or(idle_until, |since| since + SETTLE_WINDOW);
            match self.commands.recv_timeout(until.saturating_duration_since(clock::steady())) {
                Ok(command) => gathered.take(command, &mut self.settlements_since),
                Err(RecvTimeoutError::Timeout) => return gathered,
                Err(RecvTimeoutError::Disconnected) => self.closing = true,
            }
            self.closing |= self.handover.is_closing();
        }
        self.take_all(&mut gathered);
        // Where many wait already, they came during the last commit, and more will come during this one.
        let behind = self.session.queues.waiting() >= BEHIND;
        let (company, window) = if behind { (COMPANY_WHERE_BEHIND, COMMIT_WINDOW_WHERE_BEHIND) } else { (COMPANY, COMMIT_WINDOW) };
        let few = (1..company).contains(&gathered.appends.len());
        if few && self.appends_in_last_batch > 1 && gathered.task.is_none() && !self.closing {
            std::thread::sleep(window);
            self.take_all(&mut gathered);
        }
        gathered
    }

    /// Takes what is there, without waiting, up to a task: that is done between two commits.
    fn take_all(&mut self, gathered: &mut Gathered) {
        while gathered.appends.len() < BATCH_APPENDS_MAX && gathered.task.is_none() && !self.closing {
            match self.commands.try_recv() {
                Ok(command) => gathered.take(command, &mut self.settlements_since),
                Err(_) => return,
            }
        }
    }

    /// Writes what was gathered, and everything that waits to be settled.
    fn commit(&mut self, gathered: Gathered) {
        fault::point("store_writer");
        self.appends_in_last_batch = gathered.appends.len();
        let mut settlements = std::mem::take(&mut self.unwritten);
        self.handover.take_settlements(&mut settlements, BATCH_SETTLEMENTS_MAX);
        let now = clock::wall().as_millisecond();
        settlements.iter_mut().for_each(|settlement| upkeep::clock::correct(settlement, now));
        let mut holds = std::mem::take(&mut self.unwritten_holds);
        self.handover.take_holds(&mut holds);
        if gathered.appends.is_empty() && settlements.is_empty() && holds.is_empty() {
            self.settlements_since = None;
            for reply in gathered.flushes {
                let _ = reply.send(Ok(()));
            }
            self.probe();
            return;
        }
        if let Health::Failed(reason) = self.session.failures.health() {
            self.unwritten = settlements;
            self.unwritten_holds = holds;
            refuse(gathered, &Unavailable::Failed(reason));
            clock::pause(FAILURE_PAUSE);
            return;
        }
        let started = clock::steady();
        let (events, replies): (Vec<_>, Vec<_>) = gathered.appends.into_iter().unzip();
        match commit::write(&mut self.session, Batch { events, settlements: &settlements, holds: &holds }) {
            Ok(Committed { answers, stored, moves }) => {
                self.commit_succeeded(started.elapsed());
                self.settlements_since = self.handover.has_settlements().then_some(started);
                self.handover.settled(settlements.len());
                // Before the answers: under load, whoever is answered sends the next webhook at once, and lanes that
                // fall behind must read back from the disk what they could have had from memory.
                commit::publish(&self.session, &stored, &settlements);
                commit::hand_over(&self.session, stored, &settlements, &holds, &moves);
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Ok(answer));
                }
                for reply in gathered.flushes {
                    let _ = reply.send(Ok(()));
                }
            }
            Err(error) => {
                let refusal = self.session.failures.commit_failed(&error);
                self.settlements_since = (!settlements.is_empty() || !holds.is_empty()).then(clock::steady);
                self.unwritten = settlements;
                self.unwritten_holds = holds;
                for reply in replies {
                    let _ = reply.send(Err(refusal.clone()));
                }
                for reply in gathered.flushes {
                    let _ = reply.send(Err(refusal.clone()));
                }
                clock::pause(FAILURE_PAUSE);
            }
        }
    }

    fn commit_succeeded(&self, duration: Duration) {
        (self.observe_commit)(duration);
        self.session.failures.commit_succeeded();
    }

    /// Finds out whether a disk that was full has room again. Nobody sends webhooks to a relay that is not ready, so
    /// without it a relay with nothing to write would never become ready.
    fn probe(&self) {
        if self.closing || !self.session.failures.cannot_write() {
            return;
        }
        let started = clock::steady();
        match commit::rewrite_header(&self.session.connection) {
            Ok(()) => self.commit_succeeded(started.elapsed()),
            Err(error) => {
                self.session.failures.commit_failed(&error);
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
