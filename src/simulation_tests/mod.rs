//! The relay in simulated time. From a seed follow rules, webhooks, the moods of destinations and crashes; lanes, pace, retry, breaker,
//! order, batches and the embedded engine are those that run. One thread, a paused clock, and chance that is seeded: a seed gives the
//! same story each time.
//!
//! After each step it must hold: a request is within rate and concurrency, not during a rest, alone where it is a probe, and not beside
//! another of the same delivery. After each life: every webhook that was answered with 200 is stored once, the books balance, no final
//! outcome has changed, nothing was taken twice in one life. In the end: everything has a final outcome, and the order holds.
//!
//! - `SIMULATIONS=1000000 cargo test --lib simulation_tests::lives -- --nocapture` runs so many seeds.
//! - `SIMULATION_SEED=42 cargo test --lib simulation_tests::lives -- --nocapture` runs one, and prints what happens in it.

mod books;
mod life;
mod story;
mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tempfile::TempDir;

use self::books::Books;
use self::life::lock;
use self::world::{World, beginning};
use crate::clock;
use crate::fault::{self, Broken};
use crate::store::embedded::{Embedded, Options};

/// Runs in CI. A run takes about 33 ms of a processor in an unoptimized build, so 10,000 would take more than five minutes.
const RUNS: u64 = 2_000;
/// Stores that have failed are started again so often at most.
const LIVES_MAX: usize = 10;

/// A new store, so that not each run makes its tables.
static NEW_STORE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = folder();
    let options = Options { backlog_max: 1, observe_commit: Box::new(|_| {}), vitals: Arc::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { crate::store::Store::close(&Embedded::open(folder.path(), options).unwrap()).await });
    std::fs::read(folder.path().join("relay.db")).unwrap()
});

/// In memory where the system has a file system for that.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// What came of a seed.
struct Told {
    trace: Vec<String>,
    violation: Option<String>,
    lives: usize,
}

fn tell(seed: u64) -> Told {
    let world = Arc::new(Mutex::new(World::new(seed)));
    let mut folder = self::folder();
    std::fs::write(folder.path().join("relay.db"), &*NEW_STORE).unwrap();
    let mut books = Books::default();
    let mut wall = beginning();
    for life in 0..LIVES_MAX {
        wall = life::live(&world, folder.path(), wall, seed.wrapping_mul(31).wrapping_add(u64::try_from(life).unwrap()));
        let ended = life >= lock(&world).story.crashes.len() || !lock(&world).crashed;
        let left = crash(folder.path());
        folder = left;
        let mut world = lock(&world);
        let came_to_its_end = ended && world.violation.is_none();
        books = books.check(&mut world, folder.path(), came_to_its_end);
        world.life += 1;
        if ended || world.violation.is_some() {
            break;
        }
        wall += world.milliseconds(300_000);
    }
    let world = lock(&world);
    Told { trace: world.trace.clone(), violation: world.violation.clone(), lives: world.life }
}

/// A killed process leaves what it has written.
fn crash(from: &Path) -> TempDir {
    let to = folder();
    for name in ["relay.db-wal", "relay.db"] {
        let from: PathBuf = from.join(name);
        if from.exists() {
            std::fs::copy(from, to.path().join(name)).unwrap();
        }
    }
    to
}

fn seed_from_environment() -> Option<u64> {
    std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse().unwrap())
}

/// Runs seeds on all processors until one shows that something is wrong: the lowest of those.
fn first_violation(seeds: std::ops::Range<u64>, broken: Option<Broken>) -> Option<(u64, Told)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, Told)>> = Mutex::default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                fault::set_broken(broken);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().unwrap().is_some() {
                        return;
                    }
                    let told = tell(seed);
                    if told.violation.is_some() {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(known, _)| seed < *known) {
                            *found = Some((seed, told));
                        }
                        return;
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn lives() {
    if let Some(seed) = seed_from_environment() {
        let told = tell(seed);
        println!("{}", told.trace.join("\n"));
        assert_eq!(told.violation, None, "seed {seed}");
        return;
    }
    let runs = std::env::var("SIMULATIONS").map_or(RUNS, |runs| runs.parse().unwrap());
    if let Some((seed, told)) = first_violation(0..runs, None) {
        let last: Vec<_> = told.trace.iter().rev().take(40).rev().cloned().collect();
        panic!(
            "{}\nseed {seed}; again: SIMULATION_SEED={seed} cargo test --lib simulation_tests::lives -- --nocapture\n{}",
            told.violation.unwrap_or_default(),
            last.join("\n")
        );
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let mut lives = 0;
    for seed in 0..20 {
        let (first, second) = (tell(seed), tell(seed));
        let differing = first.trace.iter().zip(&second.trace).find(|(first, second)| first != second);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        lives += first.lives;
    }
    assert!(lives > 25, "only {lives} lives: crashes do not come");
    assert!(!clock::is_simulated());
}

/// Each is done wrong on purpose, and must be noticed.
#[test]
fn what_is_broken_is_noticed() {
    let broken = [
        Broken::CommitSkipped,
        Broken::OrderIgnored,
        Broken::RateIgnored,
        Broken::ConcurrencyIgnored,
        Broken::ProbeIgnored,
        Broken::RestIgnored,
        Broken::RetryForgotten,
    ];
    for broken in broken {
        let Some((seed, told)) = first_violation(0..300, Some(broken)) else { panic!("{broken:?} is not noticed") };
        println!("{broken:?}: seed {seed}: {}", told.violation.unwrap_or_default());
    }
}
