//! A life of the relay: from its start until it crashes, or until everything has come to its end.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::world::{World, beginning};
use crate::config::{self, Config};
use crate::deliver::Lanes;
use crate::delivery::Plan;
use crate::egress::Guard;
use crate::event::{Event, EventId};
use crate::metrics::Metrics;
use crate::own_events::Reporter;
use crate::rules::{self, Rules};
use crate::send::{Sender, simulated};
use crate::store::embedded::{Embedded, Options, Stepped};
use crate::store::{Appended, DedupeKey, Disposition, Health, NewEvent, Store};
use crate::traces::Traces;
use crate::{chance, clock};

/// How often it is looked whether all is done.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What has not come to its end by then starves: moods end after 20 minutes, and no pause is longer than one.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// How often the writer looks by itself, as its thread does.
const WRITER_TICK: Duration = Duration::from_secs(30);
/// The longest that a commit waits for its turn, in milliseconds.
const COMMIT_WAITS_MAX: u64 = 25;

/// The world, shared by the tasks of one thread.
pub type Shared = Arc<Mutex<World>>;

pub fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Making them takes longer than many lives.
    static OUTSIDE: RefCell<Option<(Arc<Metrics>, Sender)>> = const { RefCell::new(None) };
}

fn outside(config: &Config) -> (Arc<Metrics>, Sender) {
    OUTSIDE.with_borrow_mut(|outside| {
        let make = || {
            let guard = Arc::new(Guard::new(config.egress.clone(), Vec::new()));
            (Metrics::new().unwrap(), Sender::new(&config.destinations[0], &guard, None).unwrap())
        };
        outside.get_or_insert_with(make).clone()
    })
}

/// Lives in `folder` from `wall` on, until the time that is given back.
pub fn live(world: &Shared, folder: &Path, wall: Timestamp, seed: u64) -> Timestamp {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    chance::seed(Some(seed));
    let answering = Arc::clone(world);
    simulated::answer(Some(Box::new(move |request, destination, _| {
        let mut world = lock(&answering);
        let place = world.story.destinations.iter().position(|known| known.name == destination.name).unwrap();
        world.request(place, &request.body)
    })));
    let ended = runtime.block_on(async {
        clock::begin(wall);
        run(world, folder).await;
        clock::wall()
    });
    // All tasks are gone with it, wherever they were.
    drop(runtime);
    clock::end();
    simulated::answer(None);
    chance::seed(None);
    ended
}

async fn run(world: &Shared, folder: &Path) {
    lock(world).begin_life();
    let options = Options { backlog_max: 1_000_000, observe_commit: Box::new(|_| {}), vitals: Arc::default() };
    let (engine, writer) = match Embedded::open_stepped(folder, options) {
        Ok(opened) => opened,
        Err(error) => return lock(world).violated(format!("the store cannot be opened: {error}")),
    };
    let store: Arc<dyn Store> = Arc::new(engine);
    tokio::spawn(write(Arc::clone(world), writer));
    let text = lock(world).story.rules();
    let loaded = config::load("routes.yaml", &text, &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?} in\n{text}", loaded.findings));
    let (metrics, sender) = outside(&config);
    let senders = config.destinations.iter().map(|_| sender.clone()).collect();
    let keys = tokio::select! {
        biased;
        () = over(world) => return,
        keys = store.configure(rules::names(&config)) => keys,
    };
    let Ok(keys) = keys else { return };
    let rules = Arc::new(Rules::new(config, keys));
    let mut lanes = Lanes::new(Arc::clone(&store), metrics, Traces::off(), Reporter::default(), Vec::new(), CancellationToken::new());
    lanes.apply(&rules, senders);
    let webhooks = lock(world).story.webhooks.len();
    for number in 0..webhooks {
        tokio::spawn(send(Arc::clone(world), Arc::clone(&store), Arc::clone(&rules), number));
    }
    let until = clock::wall() + PATIENCE;
    loop {
        tokio::select! {
            biased;
            () = over(world) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Health::Failed(reason) = store.health() {
            return lock(world).note(|line| line.push_str(&format!("the store has failed: {reason}")));
        }
        let outstanding: u64 = store.ledger().iter().map(|(_, figures)| figures.outstanding()).sum();
        if outstanding == 0 && lock(world).answered.len() == webhooks {
            break;
        }
        if clock::wall() > until {
            return lock(world).violated(format!("{outstanding} deliveries starve"));
        }
    }
    tokio::select! {
        biased;
        () = over(world) => {}
        _ = store.flush() => lock(world).note(|line| line.push_str("everything has come to its end")),
    }
}

async fn over(world: &Shared) {
    let over = Arc::clone(&lock(world).over);
    over.notified().await;
}

/// Steps the writer where it has something to do. The relay may crash before each step, and right after it.
async fn write(world: Shared, mut writer: Stepped) {
    loop {
        tokio::select! {
            biased;
            () = writer.woken() => {}
            () = tokio::time::sleep(WRITER_TICK) => {}
        }
        let wait = lock(&world).milliseconds(COMMIT_WAITS_MAX);
        tokio::time::sleep(wait).await;
        loop {
            if lock(&world).happens() {
                return std::future::pending().await;
            }
            if !writer.step() {
                break;
            }
            if lock(&world).happens() {
                return std::future::pending().await;
            }
        }
    }
}

/// Sends a webhook until it is answered with 200.
async fn send(world: Shared, store: Arc<dyn Store>, rules: Arc<Rules>, number: usize) {
    if lock(&world).answered.contains_key(&number) {
        return;
    }
    let webhook = lock(&world).story.webhooks[number];
    let wait = Duration::try_from((beginning() + webhook.at).duration_since(clock::wall())).unwrap_or_default();
    tokio::time::sleep(wait).await;
    let mut tries = 0_u32;
    loop {
        tries += 1;
        let body = Bytes::from(format!(r#"{{"number": {number}, "key": {}}}"#, webhook.key));
        let id = id(number, lock(&world).life, tries);
        let event = Event::new(id, clock::wall(), String::new(), String::new(), body);
        let plan: Plan = rules.plan(&event).1;
        let dedupe = Some(DedupeKey(u128::try_from(number).unwrap_or_default().to_be_bytes()));
        let new = NewEvent { event, kind: None, dedupe, disposition: Disposition::Route { rules: rules.key(), plan } };
        match store.append(new).await {
            Ok(Appended::Accepted(id) | Appended::Duplicate(id)) => {
                let mut world = lock(&world);
                if number_of(&id) != number {
                    world.violated(format!("webhook {number} is taken for {}", number_of(&id)));
                }
                world.note(|line| line.push_str(&format!("webhook {number} is answered with 200")));
                world.answered.insert(number, id);
                world.happens();
                return;
            }
            Err(error) => {
                lock(&world).note(|line| line.push_str(&format!("webhook {number} is answered with 503: {error}")));
                let wait = lock(&world).milliseconds(30_000);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// An id of version 7 that tells the webhook's number.
fn id(number: usize, life: usize, tries: u32) -> EventId {
    let low = |value: usize| u8::try_from(value % 256).unwrap_or_default();
    let tries = usize::try_from(tries).unwrap_or_default();
    EventId::from_bytes([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, low(life), low(tries), low(tries >> 8), low(number >> 8), low(number)])
}

/// The webhook's number in its id.
pub fn number_of(id: &EventId) -> usize {
    let [.., high, low] = *id.as_bytes();
    usize::from(high) << 8 | usize::from(low)
}
