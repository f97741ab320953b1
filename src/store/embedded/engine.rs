//! The engine: the verbs of the live path, each handed to the part that does it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot, watch};

use super::changes::Changes;
use super::claim::Claims;
use super::configure;
use super::disk::lock::Lock;
use super::disk::{errors, files};
use super::failures::{self, Failures};
use super::read::due;
use super::read::readers::Readers;
use super::rows::salt::Salt;
use super::upkeep::Upkeep;
use super::window::queues::Queues;
use super::write::handover::Handover;
use super::write::session::Session;
use super::write::{batch, standing};
use super::writer::{Command, Commands, Task};
use crate::circuit::Standing;
use crate::delivery::{Claim, DestinationKey, Settlement};
use crate::names::{Keys, Names};
use crate::store::{
    Appended, Backlog, DestinationFigures, Disk, Failed, GivenUp, Health, NewEvent, Ownership, Store, StoreError, Unavailable,
};
use crate::vitals::Part;

/// Appends handed over and not answered, at most; further ones wait for their turn.
pub const APPENDS_WAITING_MAX: usize = 4096;
/// How long an append waits for its commit before the sender is told to come again.
const APPEND_WAIT_MAX: Duration = Duration::from_secs(10);

/// The engine. Dropping it without [`Store::close`] is a crash, which is safe.
pub struct Embedded {
    pub(super) claims: Claims,
    pub(super) queues: Arc<Queues>,
    pub(super) failures: Arc<Failures>,
    pub(super) changes: Arc<Changes>,
    pub(super) handover: Arc<Handover>,
    /// For lanes.
    pub(super) readers: Arc<Readers>,
    /// For the operator's looks, so that no lane waits for them.
    pub(super) lookers: Arc<Readers>,
    pub(super) commands: Commands,
    pub(super) append_permits: Arc<Semaphore>,
    pub(super) salt: Salt,
    pub(super) thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(super) folder: PathBuf,
    pub(super) backlog_max: u64,
    /// `retention.size`, for whoever watches the store grow.
    pub(super) limit_bytes: Arc<AtomicU64>,
    /// Held for as long as the engine lives, so that a second relay cannot open the same store.
    pub(super) _lock: Lock,
}

impl Embedded {
    /// Has the writer do something between two commits.
    pub(super) async fn run_task<T: Send + 'static>(
        &self,
        doing: &'static str,
        task: impl FnOnce(&mut Session, &mut Upkeep) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move |session, upkeep| {
            let done = task(session, upkeep);
            if let Err(error) = &done
                && errors::is_final(error)
            {
                session.failures.commit_failed(error);
            }
            let _ = reply.send(done);
        });
        let closed = |_| StoreError::Engine { doing, error: "the store is closed".to_owned() };
        self.commands.try_send(Command::Task(task)).map_err(|error| StoreError::Engine { doing, error: error.to_string() })?;
        answer.await.map_err(closed)?.map_err(|error| StoreError::Engine { doing, error: errors::plain_words(&error) })
    }

    /// Why the writer answers nothing: it was told to end, or it panicked.
    fn gone(&self) -> Unavailable {
        match self.failures.health() {
            Health::Failed(reason) => Unavailable::Failed(reason),
            _ if self.handover.is_closing() => Unavailable::Closing,
            _ => Unavailable::Failed(failures::panicked(Part::StoreWriter)),
        }
    }

    /// What waits, where that is as much as may.
    fn full(&self) -> Option<Backlog> {
        let backlog = Backlog { waiting: self.queues.waiting(), limit: self.backlog_max };
        (backlog.waiting >= backlog.limit).then_some(backlog)
    }

    async fn append_event(&self, mut new: NewEvent) -> Result<Appended, Unavailable> {
        if let Some(backlog) = self.full() {
            return Err(Unavailable::Backlog(backlog));
        }
        // Here and not by the writer, who has more to do.
        new.dedupe = new.dedupe.map(|key| self.salt.hash(&key));
        let wait = async {
            let permit = Arc::clone(&self.append_permits).acquire_owned().await.map_err(|_| Unavailable::Closing)?;
            let (reply, answer) = oneshot::channel();
            self.commands.try_send(Command::Append(Box::new(new), reply, permit)).map_err(|_| self.gone())?;
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        };
        tokio::time::timeout(APPEND_WAIT_MAX, wait).await.unwrap_or(Err(Unavailable::TooSlow(APPEND_WAIT_MAX)))
    }
}

impl Store for Embedded {
    fn configure(&self, names: Names) -> BoxFuture<'_, Result<Keys, StoreError>> {
        let limit_bytes = Arc::clone(&self.limit_bytes);
        let apply = move |session: &mut Session, upkeep: &mut Upkeep| {
            let keys = configure::apply(session, upkeep, &names)?;
            limit_bytes.store(names.retention.size, Ordering::Relaxed);
            Ok(keys)
        };
        self.run_task("registering the rules", apply).boxed()
    }

    fn append(&self, new: NewEvent) -> BoxFuture<'_, Result<Appended, Unavailable>> {
        self.append_event(new).boxed()
    }

    fn own(&self, _: DestinationKey) -> BoxFuture<'_, Ownership> {
        std::future::ready(Ownership::lasting()).boxed()
    }

    fn claim(&self, destination: DestinationKey, at_most: usize) -> BoxFuture<'_, Vec<Claim>> {
        self.claims.claim(destination, at_most).boxed()
    }

    fn form_batch(&self, claims: Vec<Claim>) -> BoxFuture<'_, Result<Option<Claim>, StoreError>> {
        self.run_task("keeping a batch together", move |session, _| batch::form(session, &claims)).boxed()
    }

    fn release(&self, claims: Vec<Claim>) {
        for claim in claims {
            if let Some(queue) = self.queues.get(claim.destination) {
                queue.release(&claim);
            }
        }
    }

    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, ()> {
        async move {
            if self.handover.add_settlement(settlement).await {
                let _ = self.commands.try_send(Command::SettlementsWait);
            }
        }
        .boxed()
    }

    fn standing(&self, destination: DestinationKey) -> watch::Receiver<Standing> {
        match self.queues.get(destination) {
            Some(queue) => queue.standing.subscribe(),
            None => watch::Sender::new(Standing::default()).subscribe(),
        }
    }

    fn note_standing(&self, destination: DestinationKey, standing: Standing) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run_task("keeping how a destination stands", move |session, _| standing::note(session, destination, standing)).boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        async move {
            let (reply, answer) = oneshot::channel();
            self.commands.try_send(Command::Flush(reply)).map_err(|_| self.gone())?;
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                self.handover.close();
                // Only to wake it; where the channel is full it is awake.
                let _ = self.commands.try_send(Command::SettlementsWait);
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        .boxed()
    }

    fn ledger(&self) -> Vec<(DestinationKey, DestinationFigures)> {
        self.queues.all().iter().map(|queue| (queue.key, queue.figures())).collect()
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.queues.all().iter().map(|queue| queue.name()).collect()
    }

    fn find(&self, name: &str) -> Option<DestinationKey> {
        self.queues.all().iter().find(|queue| *queue.name() == *name).map(|queue| queue.key)
    }

    fn disk(&self) -> Disk {
        Disk {
            bytes: files::bytes_on_disk(&self.folder),
            limit_bytes: self.limit_bytes.load(Ordering::Relaxed),
            available_bytes: files::available_bytes(&self.folder),
        }
    }

    fn failed(&self) -> Failed {
        Failed { writes: self.failures.commits(), reads: self.failures.reads() }
    }

    fn backlog_limit(&self) -> u64 {
        self.backlog_max
    }

    fn given_up(&self) -> Vec<GivenUp> {
        self.changes.take_given_up()
    }

    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, Timestamp)>, StoreError>> {
        let outstanding: Vec<(DestinationKey, i64)> =
            self.queues.all().iter().filter(|queue| queue.figures().outstanding() > 0).map(|queue| (queue.key, queue.frontier())).collect();
        async move {
            if outstanding.is_empty() {
                return Ok(Vec::new());
            }
            self.readers
                .read("looking for the oldest deliveries", move |connection| {
                    let mut found = Vec::with_capacity(outstanding.len());
                    for (key, frontier) in outstanding {
                        if let Some(received_at) = due::oldest(connection, key, frontier)? {
                            found.push((key, received_at));
                        }
                    }
                    Ok(found)
                })
                .await
        }
        .boxed()
    }

    fn health(&self) -> Health {
        match (self.failures.health(), self.full()) {
            (Health::Good, Some(backlog)) => Health::Full(backlog),
            (health, _) => health,
        }
    }
}
