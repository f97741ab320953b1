//! The embedded engine: SQLite in a folder, for one relay.
//!
//! - `rows`: what stands in the tables. `schema` has them, with the way from older versions; `plan` is a plan as JSON, `meta` the few
//!   values that the store knows of itself, `checksum` what notices that a row has changed.
//! - `window`: each destination's window in front of the backlog, in memory.
//! - `write`: `writer` is the only thread that writes; `commit` is what it writes in one transaction. `batch` keeps deliveries together
//!   that go in one request, `line` those of one order key one behind another; `standing` keeps how destinations stand, `dedupe` what was
//!   seen. Of the operator's verbs: `redrive` and `release`.
//! - `read`: `readers` fetch what is behind the windows, and `backlog` lets queues that are behind share it; for the operator `listing`,
//!   `audit`, and `export`, which reads what can be read of a damaged store.
//! - `upkeep`: what the writer does between two commits. `retention` deletes, by the time in `believed`, and has `give_up` end what is
//!   held back; `expiry` ends what is not worth sending any more; `checkpoint` keeps the log short; `leftovers` clears what deleted rows
//!   leave behind in the file; `clock` notices that the wall clock was set back.
//! - `disk`: `private` keeps the files their owner's; `wal` notices a log that has lost commits.
//! - `open` opens a store, `records` has the operator's verbs, `backup` copies a store while it is worked on.
//!
//! Limits: `APPENDS_WAITING_MAX` appends and `SETTLEMENTS_WAITING_MAX` settlements handed over and not written;
//! the windows' limits are in `queue`.

mod backup;
mod disk;
mod open;
mod read;
mod records;
mod rows;
mod upkeep;
mod window;
mod write;

use crate::clock;
use crate::store::embedded::disk::errors;
use crate::store::embedded::disk::files;
use crate::store::embedded::read::due;
use crate::store::embedded::rows::salt;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};

pub use self::backup::{BackUp, folder_of};
pub use self::open::Options;
use self::read::backlog::Backlog;
pub use self::read::export::{Exported, ExportedEvent, export};
use self::read::listing::follow::Changed;
use self::read::readers::Readers;
use self::window::{Hold, Queue, Reading, Want};
use self::write::writer::{self, Command, Task};
use self::write::{batch, configure, standing};
use super::{Appended, Figures, Health, Keys, Names, NewEvent, Store, StoreError, Unavailable};
use crate::circuit::Standing;
use crate::delivery::{Claim, DestinationKey, Settlement};
use crate::vitals::{Part, Vitals};

/// Appends handed over and not answered, at most; further ones wait for their turn.
const APPENDS_WAITING_MAX: usize = 4096;
/// Settlements handed over and not written, at most; beyond it lanes wait, so a full disk stops deliveries rather
/// than filling the memory.
const SETTLEMENTS_WAITING_MAX: usize = 8192;
/// How long an append waits for its commit before the sender is told to come again.
const APPEND_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a claim sleeps at most before it looks at the clock again: a clock that was set back or forward is
/// noticed after this time.
const CLAIM_SLEEP_MAX: Duration = Duration::from_secs(30);
/// The pause after a read that failed.
const READ_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Observes how long commits take, in seconds.
pub type CommitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// The engine. Dropping it without [`Store::close`] is a crash, which is safe.
pub struct Embedded {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// For the operator's looks, so that no lane waits for them.
    lookers: Arc<Readers>,
    commands: SyncSender<Command>,
    append_permits: Arc<Semaphore>,
    salt: salt::Salt,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    folder: PathBuf,
    backlog_max: u64,
    /// Held for as long as the engine lives, so that a second relay cannot open the same store.
    _lock: disk::lock::Lock,
}

/// What the writer shares with everybody else.
struct Shared {
    queues: RwLock<Arc<Vec<Arc<Queue>>>>,
    health: ArcSwap<Health>,
    settle_permits: Semaphore,
    backlog: Backlog,
    /// Tells followers what each commit touched.
    changes: broadcast::Sender<Arc<Changed>>,
    /// Outcomes that wait for a commit; bounded by the permits.
    settlements: Mutex<VecDeque<Settlement>>,
    /// Deliveries that are to be held; each queue has a limited number of them.
    holds: Mutex<Vec<Hold>>,
    /// Deliveries waiting after the last commit.
    waiting: AtomicU64,
    /// Set: the writer takes nothing more.
    closing: AtomicBool,
    observe_commit: CommitObserver,
    /// What has panicked.
    vitals: Arc<Vitals>,
    failed_commits: AtomicU64,
    /// Reads that failed.
    failed_reads: AtomicU64,
    /// `retention.size`, for whoever watches the store grow.
    limit_bytes: AtomicU64,
}

impl Shared {
    fn queues(&self) -> Arc<Vec<Arc<Queue>>> {
        Arc::clone(&self.queues.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keys are given from 0 on, so a key is a place.
    fn queue(&self, key: DestinationKey) -> Option<Arc<Queue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.get(usize::try_from(key.0).ok()?).cloned()
    }

    /// Adds an outcome; whether it is the first that waits.
    fn add_settlement(&self, settlement: Settlement) -> bool {
        let mut settlements = self.settlements.lock().unwrap_or_else(PoisonError::into_inner);
        settlements.push_back(settlement);
        settlements.len() == 1
    }

    /// Fills `taken` up to `at_most` with the oldest outcomes that wait.
    fn take_settlements(&self, taken: &mut Vec<Settlement>, at_most: usize) {
        let mut settlements = self.settlements.lock().unwrap_or_else(PoisonError::into_inner);
        let count = at_most.saturating_sub(taken.len()).min(settlements.len());
        taken.extend(settlements.drain(..count));
    }

    /// Adds deliveries that are to be held; whether they are the first that wait.
    fn add_holds(&self, held: Vec<Hold>) -> bool {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let first = holds.is_empty();
        holds.extend(held);
        first
    }

    /// Adds those that wait to `taken`.
    fn take_holds(&self, taken: &mut Vec<Hold>) {
        taken.append(&mut self.holds.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn has_settlements(&self) -> bool {
        !self.settlements.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn health(&self) -> Health {
        Health::clone(&self.health.load())
    }

    fn commit_succeeded(&self, duration: Duration) {
        (self.observe_commit)(duration);
        // Not where it has failed for good, for example by a checkpoint's fsync: no commit makes that well.
        if matches!(**self.health.load(), Health::CannotWrite(_)) {
            tracing::info!("the store writes again");
            self.health.store(Arc::new(Health::Good));
        }
    }

    /// Notes an error of something that answers nobody: final ones end everything, others are only told.
    fn note_failure(&self, doing: &str, error: &rusqlite::Error) {
        if errors::is_final(error) {
            self.commit_failed(error);
        } else {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, doing, "the store could not do this now; it is tried again");
        }
    }

    /// Runs a part of the engine. Where it panics nothing more is taken: nobody knows what it left half done in memory, while what is
    /// on the disk is whole.
    fn watch(&self, part: Part, run: impl FnOnce()) {
        if self.vitals.watch_thread(part, part.label(), run).is_none() {
            self.panicked(part);
        }
    }

    fn panicked(&self, part: Part) {
        self.health.store(Arc::new(Health::Failed(panicked(part))));
    }

    /// Reads for a queue, beside whoever asked for it. A panic would leave the queue waiting for ever for what it reads.
    fn spawn_read(self: &Arc<Self>, read: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if shared.vitals.watch(Part::StoreRead, Part::StoreRead.label(), read).await.is_none() {
                shared.panicked(Part::StoreRead);
            }
        });
    }

    fn has_failed(&self) -> bool {
        matches!(**self.health.load(), Health::Failed(_))
    }

    fn commit_failed(&self, error: &rusqlite::Error) -> Unavailable {
        let failures = self.failed_commits.fetch_add(1, Ordering::Relaxed);
        let reason = errors::plain_words(error);
        if errors::is_final(error) {
            tracing::error!(%error, "the store has failed and takes nothing more; restart the relay once the disk is well");
            self.health.store(Arc::new(Health::Failed(reason.clone())));
            return Unavailable::Failed(reason);
        }
        if failures.is_power_of_two() || **self.health.load() == Health::Good {
            tracing::error!(%error, failures, "the store cannot write; webhooks are refused with 503 and nothing is lost");
        }
        self.health.store(Arc::new(Health::CannotWrite(reason.clone())));
        Unavailable::CannotWrite(reason)
    }

    /// Tells whoever follows; nobody does most of the time.
    fn publish(&self, changed: Changed) {
        if self.changes.receiver_count() > 0 {
            let _ = self.changes.send(Arc::new(changed));
        }
    }

    /// Adds up what waits. What is parked does not count against `--max-backlog`: a destination that left the file
    /// must not stop the others.
    fn count_waiting(&self) {
        let waiting = self.queues().iter().map(|queue| queue.waiting()).sum();
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}

fn panicked(part: Part) -> String {
    format!("its part `{}` panicked, which is a bug", part.label())
}

impl Embedded {
    async fn run_task<T: Send + 'static>(
        &self,
        doing: &'static str,
        task: impl FnOnce(&mut writer::Writer) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move |writer| {
            let done = task(writer);
            if let Err(error) = &done
                && errors::is_final(error)
            {
                writer.shared.commit_failed(error);
            }
            let _ = reply.send(done);
        });
        let closed = |_| StoreError::Engine { doing, error: "the store is closed".to_owned() };
        self.commands.try_send(Command::Task(task)).map_err(|error| StoreError::Engine { doing, error: error.to_string() })?;
        answer.await.map_err(closed)?.map_err(|error| StoreError::Engine { doing, error: errors::plain_words(&error) })
    }

    /// Why the writer answers nothing: it was told to end, or it panicked.
    fn gone(&self) -> Unavailable {
        match self.shared.health() {
            Health::Failed(reason) => Unavailable::Failed(reason),
            _ if self.shared.closing.load(Ordering::Relaxed) => Unavailable::Closing,
            _ => Unavailable::Failed(panicked(Part::StoreWriter)),
        }
    }

    fn backlog(&self) -> Result<(), Unavailable> {
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        if waiting >= self.backlog_max { Err(Unavailable::Backlog { waiting, limit: self.backlog_max }) } else { Ok(()) }
    }

    async fn append_event(&self, mut new: NewEvent) -> Result<Appended, Unavailable> {
        self.backlog()?;
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

    /// Cancel-safe: a claim is taken in the same step as it is returned, and reads go on without the future that
    /// asked for them.
    async fn claim_deliveries(&self, destination: DestinationKey, at_most: usize) -> Vec<Claim> {
        let Some(queue) = self.shared.queue(destination) else { return std::future::pending().await };
        loop {
            let changed = queue.changed.notified();
            let now = clock::wall().as_millisecond();
            let mut held = Vec::new();
            let taken = queue.take(at_most, now, &mut held);
            if !held.is_empty() && self.shared.add_holds(held) {
                let _ = self.commands.try_send(Command::SettlementsWait);
            }
            let until = match taken {
                Ok(claims) => return claims,
                Err(Want::Wait { until }) => until,
                Err(Want::Fresh { reading, wanted, newest }) => {
                    let (readers, shared, queue) = (Arc::clone(&self.readers), Arc::clone(&self.shared), Arc::clone(&queue));
                    self.shared.spawn_read(async move {
                        match readers.read("reading the backlog", move |connection| shared.backlog.read(connection, wanted)).await {
                            Ok(read) => queue.add_fresh(reading, newest, read),
                            Err(error) => read_failed(&queue, reading, &error).await,
                        }
                    });
                    None
                }
                Err(Want::Retries { reading, taken }) => {
                    let (readers, queue) = (Arc::clone(&self.readers), Arc::clone(&queue));
                    self.shared.spawn_read(async move {
                        match readers.read("reading retries", move |connection| due::retries(connection, destination, now, &taken)).await {
                            Ok(read) => queue.add_retries(reading, read),
                            Err(error) => read_failed(&queue, reading, &error).await,
                        }
                    });
                    None
                }
            };
            let wait = until.map_or(CLAIM_SLEEP_MAX, |until| Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0)));
            let _ = tokio::time::timeout(wait.min(CLAIM_SLEEP_MAX), changed).await;
        }
    }
}

async fn read_failed(queue: &Queue, reading: Reading, error: &StoreError) {
    tracing::error!(%error, "the store cannot be read; deliveries wait and it is tried again");
    tokio::time::sleep(READ_FAILURE_PAUSE).await;
    queue.reading_failed(reading);
}

impl Store for Embedded {
    fn configure(&self, names: Names) -> BoxFuture<'_, Result<Keys, StoreError>> {
        self.run_task("registering the rules", move |writer| configure::apply(writer, &names)).boxed()
    }

    fn append(&self, new: NewEvent) -> BoxFuture<'_, Result<Appended, Unavailable>> {
        self.append_event(new).boxed()
    }

    fn claim(&self, destination: DestinationKey, at_most: usize) -> BoxFuture<'_, Vec<Claim>> {
        self.claim_deliveries(destination, at_most).boxed()
    }

    fn form_batch(&self, claims: Vec<Claim>) -> BoxFuture<'_, Result<Option<Claim>, StoreError>> {
        self.run_task("keeping a batch together", move |writer| batch::form(writer, &claims)).boxed()
    }

    fn release(&self, claims: Vec<Claim>) {
        for claim in claims {
            if let Some(queue) = self.shared.queue(claim.destination) {
                queue.release(&claim);
            }
        }
    }

    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, ()> {
        async move {
            // The permit comes back with the commit.
            if let Ok(permit) = self.shared.settle_permits.acquire().await {
                permit.forget();
                if self.shared.add_settlement(settlement) {
                    let _ = self.commands.try_send(Command::SettlementsWait);
                }
            }
        }
        .boxed()
    }

    fn standing(&self, destination: DestinationKey) -> watch::Receiver<Standing> {
        match self.shared.queue(destination) {
            Some(queue) => queue.standing.subscribe(),
            None => watch::Sender::new(Standing::default()).subscribe(),
        }
    }

    fn note_standing(&self, destination: DestinationKey, standing: Standing) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run_task("keeping how a destination stands", move |writer| standing::note(writer, destination, standing)).boxed()
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
                self.shared.closing.store(true, Ordering::Relaxed);
                // Only to wake it; where the channel is full it is awake.
                let _ = self.commands.try_send(Command::SettlementsWait);
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        .boxed()
    }

    fn figures(&self) -> Figures {
        let destinations = self.shared.queues().iter().map(|queue| (queue.key, queue.figures())).collect();
        Figures {
            destinations,
            bytes: files::bytes_on_disk(&self.folder),
            limit_bytes: self.shared.limit_bytes.load(Ordering::Relaxed),
            available_bytes: files::available_bytes(&self.folder),
            backlog_limit: self.backlog_max,
            failed_writes: self.shared.failed_commits.load(Ordering::Relaxed),
            failed_reads: self.shared.failed_reads.load(Ordering::Relaxed),
        }
    }

    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, Timestamp)>, StoreError>> {
        let outstanding: Vec<(DestinationKey, i64)> = self
            .shared
            .queues()
            .iter()
            .filter(|queue| queue.figures().outstanding() > 0)
            .map(|queue| (queue.key, queue.frontier()))
            .collect();
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
        match (self.shared.health(), self.backlog()) {
            (Health::Good, Err(full)) => Health::Full(full.to_string()),
            (health, _) => health,
        }
    }
}
