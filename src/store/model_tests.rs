//! The store against a model of it: generated histories of appends, claims, outcomes, changes of the rules, crashes
//! and reopenings. After each step the store must agree with a map of deliveries. It runs over each engine, with [`contract`](super::contract).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::contract::given::{names, new_event, settlement};
use super::contract::{Engine, PLENTY};
use super::*;
use crate::delivery::{Claim, DeliveryId, Outcome};
use crate::wire::listing::Filter;

const DESTINATIONS: [&str; 3] = ["crm", "slack", "warehouse"];
/// Few, so that there are repetitions.
const BODIES: u8 = 40;
/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Step {
    Append { body: u8, destinations: u8 },
    Claim { destination: usize, at_most: usize },
    Settle { destination: usize, which: usize, outcome: Ending },
    Release { destination: usize },
    Redrive { destination: usize },
    Flush,
    Configure { active: u8 },
    Crash,
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Delivered,
    Dead,
    Again { after_ms: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ending =
        prop_oneof![3 => Just(Ending::Delivered), 1 => Just(Ending::Dead), 2 => (0i64..30).prop_map(|after_ms| Ending::Again { after_ms })];
    let step = prop_oneof![
        8 => (0..BODIES, 0u8..8).prop_map(|(body, destinations)| Step::Append { body, destinations }),
        6 => (0..DESTINATIONS.len(), 1usize..6).prop_map(|(destination, at_most)| Step::Claim { destination, at_most }),
        6 => (0..DESTINATIONS.len(), 0usize..8, ending)
            .prop_map(|(destination, which, outcome)| Step::Settle { destination, which, outcome }),
        1 => (0..DESTINATIONS.len()).prop_map(|destination| Step::Release { destination }),
        2 => (0..DESTINATIONS.len()).prop_map(|destination| Step::Redrive { destination }),
        1 => Just(Step::Flush),
        1 => (0u8..8).prop_map(|active| Step::Configure { active }),
        1 => Just(Step::Crash),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..80)
}

/// What is known of one delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting { attempts: u32, due: Option<Timestamp> },
    Delivered,
    Dead,
}

#[derive(Debug)]
struct Delivery {
    state: State,
    /// The state before an outcome that may or may not have been written.
    before: Option<State>,
    /// A crash came before it was known whether it was written: only a claim can tell.
    doubtful: bool,
    held: bool,
}

/// What must be true of the store.
#[derive(Debug, Default)]
struct Model {
    ids: HashMap<u8, EventId>,
    deliveries: [BTreeMap<EventId, Delivery>; DESTINATIONS.len()],
    claims: [Vec<Claim>; DESTINATIONS.len()],
    active: [bool; DESTINATIONS.len()],
    redriven: [u64; DESTINATIONS.len()],
}

struct Run<E> {
    engine: E,
    store: Arc<dyn Records>,
    keys: Keys,
    model: Model,
    /// Stores that were left behind by a crash; they must not be in the way.
    ghosts: Vec<(Arc<dyn Records>, E)>,
}

impl<E: Engine> Run<E> {
    async fn begin() -> Self {
        let engine = E::make();
        let store = engine.open(PLENTY).await;
        let keys = store.configure(names(&DESTINATIONS)).await.unwrap();
        let model = Model { active: [true; 3], ..Model::default() };
        Self { engine, store, keys, model, ghosts: Vec::new() }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { body, destinations } => self.append(body, destinations).await,
            Step::Claim { destination, at_most } => self.claim(destination, at_most).await,
            Step::Settle { destination, which, outcome } => self.settle(destination, which, outcome).await,
            Step::Release { destination } => self.release(destination),
            Step::Redrive { destination } => self.redrive(destination).await,
            Step::Flush => self.flush().await,
            Step::Configure { active } => self.configure(active).await,
            Step::Crash => self.crash().await,
            Step::Reopen => self.reopen().await,
        }
    }

    async fn append(&mut self, body: u8, destinations: u8) {
        let places: Vec<usize> = (0..DESTINATIONS.len()).filter(|place| destinations & (1 << place) != 0).collect();
        let appended = self.store.append(new_event(&self.keys, &places, &format!("body {body}"))).await.unwrap();
        match (self.model.ids.get(&body).copied(), appended) {
            (Some(first), Appended::Duplicate(id)) => assert_eq!(id, first),
            (None, Appended::Accepted(id)) => {
                self.model.ids.insert(body, id);
                for place in places {
                    let delivery =
                        Delivery { state: State::Waiting { attempts: 0, due: None }, before: None, doubtful: false, held: false };
                    self.model.deliveries[place].insert(id, delivery);
                }
            }
            (known, appended) => panic!("known as {known:?}, the store says {appended:?}"),
        }
    }

    /// Claims where something must come, and looks where nothing may.
    async fn claim(&mut self, place: usize, at_most: usize) {
        let key = self.keys.destinations[place];
        let must_come = self.model.active[place] && self.model.deliveries[place].values().any(Delivery::must_be_claimable);
        let claims = if must_come {
            tokio::time::timeout(PATIENCE, self.store.claim(key, at_most)).await.unwrap_or_else(|_| panic!("{} waits", DESTINATIONS[place]))
        } else {
            self.store.claim(key, at_most).now_or_never().unwrap_or_default()
        };
        assert!(claims.len() <= at_most);
        let now = Timestamp::now();
        for claim in claims {
            assert!(self.model.active[place], "a parked delivery was claimed");
            let delivery = self.model.deliveries[place].get_mut(&claim.event.id).expect("a delivery that nobody planned");
            assert!(!delivery.held, "claimed twice");
            // The outcome before a crash was lost, if the attempts say so.
            let candidates = [Some(delivery.state), delivery.before].into_iter().flatten();
            let fits = candidates.into_iter().find(|state| match state {
                State::Waiting { attempts, due } => *attempts == claim.attempts_made && due.is_none_or(|due| due <= now),
                State::Delivered | State::Dead => false,
            });
            delivery.state = fits.unwrap_or_else(|| panic!("claimed at {} attempts, is {delivery:?}", claim.attempts_made));
            delivery.before = None;
            delivery.doubtful = false;
            delivery.held = true;
            self.model.claims[place].push(claim);
        }
    }

    async fn settle(&mut self, place: usize, which: usize, outcome: Ending) {
        let claims = &mut self.model.claims[place];
        if claims.is_empty() {
            return;
        }
        let claim = claims.remove(which % claims.len());
        let delivery = self.model.deliveries[place].get_mut(&claim.event.id).unwrap();
        delivery.held = false;
        delivery.before = Some(delivery.state);
        let (state, outcome) = match outcome {
            Ending::Delivered => (State::Delivered, Outcome::Delivered),
            Ending::Dead => (State::Dead, Outcome::Dead("enough".to_owned())),
            Ending::Again { after_ms } => {
                let due = Timestamp::from_millisecond(Timestamp::now().as_millisecond() + after_ms).unwrap();
                (State::Waiting { attempts: claim.attempts_made + 1, due: Some(due) }, Outcome::Retry(due))
            }
        };
        delivery.state = state;
        self.store.settle(settlement(claim, outcome)).await;
    }

    /// Gives back all that is claimed, without an attempt.
    fn release(&mut self, place: usize) {
        let claims = std::mem::take(&mut self.model.claims[place]);
        for claim in &claims {
            self.model.deliveries[place].get_mut(&claim.event.id).unwrap().held = false;
        }
        self.store.release(claims);
    }

    /// Takes up one that is dead for certain.
    async fn redrive(&mut self, place: usize) {
        self.flush().await;
        let is_dead = |delivery: &&mut Delivery| delivery.state == State::Dead && delivery.before.is_none();
        let Some((event, delivery)) = self.model.deliveries[place].iter_mut().find(|(_, delivery)| is_dead(delivery)) else { return };
        let (now, id) = (Timestamp::now(), DeliveryId { event: *event, destination: DESTINATIONS[place].into() });
        let redrive = Redrive { ids: vec![id], filter: Filter::default(), from: now, per_second: 0, cursor: None, dry_run: false };
        let redriven = self.store.redrive(redrive).await.unwrap();
        assert_eq!((redriven.counts, redriven.not_dead.len()), (vec![(DESTINATIONS[place].to_owned(), 1)], 0));
        delivery.state = State::Waiting { attempts: 0, due: Some(now) };
        self.model.redriven[place] += 1;
        self.assert_figures();
    }

    /// After it nothing is uncertain.
    async fn flush(&mut self) {
        self.store.flush().await.unwrap();
        self.everything_is_written();
        self.assert_figures();
    }

    fn everything_is_written(&mut self) {
        for delivery in self.model.deliveries.iter_mut().flat_map(BTreeMap::values_mut).filter(|delivery| !delivery.doubtful) {
            delivery.before = None;
        }
    }

    async fn configure(&mut self, active: u8) {
        for (place, is_active) in self.model.active.iter_mut().enumerate() {
            *is_active = active & (1 << place) != 0;
        }
        let chosen: Vec<&str> = DESTINATIONS.iter().zip(self.model.active).filter(|(_, active)| *active).map(|(name, _)| *name).collect();
        let keys = self.store.configure(names(&chosen)).await.unwrap();
        let kept: Vec<_> =
            self.keys.destinations.iter().zip(self.model.active).filter(|(_, active)| *active).map(|(key, _)| *key).collect();
        assert_eq!(keys.destinations, kept, "keys are stable");
        self.assert_figures();
    }

    /// The process is killed and started again; nothing that was in memory is left.
    async fn crash(&mut self) {
        let left = self.engine.crash().await;
        let store = left.open(PLENTY).await;
        self.ghosts.push((std::mem::replace(&mut self.store, store), std::mem::replace(&mut self.engine, left)));
        self.started().await;
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.everything_is_written();
        // Only once it is gone can it be opened again.
        let nothing = E::make();
        self.store = nothing.open(PLENTY).await;
        self.store = self.engine.open(PLENTY).await;
        self.started().await;
    }

    async fn started(&mut self) {
        self.model.claims = Default::default();
        for delivery in self.model.deliveries.iter_mut().flat_map(BTreeMap::values_mut) {
            delivery.held = false;
            delivery.doubtful = delivery.before.is_some();
        }
        self.keys = self.store.configure(names(&DESTINATIONS)).await.unwrap();
        self.model.active = [true; 3];
        self.assert_figures();
    }

    fn figures(&self, place: usize) -> DestinationFigures {
        self.store.ledger().into_iter().find(|(key, _)| *key == self.keys.destinations[place]).expect("a destination").1
    }

    /// The promises about figures: exact where nothing is uncertain, and the equation holds in any case.
    fn assert_figures(&self) {
        for (place, deliveries) in self.model.deliveries.iter().enumerate() {
            let found = self.figures(place);
            let count = |wanted: State| {
                let sure = deliveries.values().filter(|delivery| delivery.before.is_none() && delivery.state == wanted).count();
                let unsure = deliveries.values().filter(|delivery| delivery.before.is_some() && delivery.state == wanted).count();
                u64::try_from(sure).unwrap()..=u64::try_from(sure + unsure).unwrap()
            };
            assert_eq!(found.planned, u64::try_from(deliveries.len()).unwrap(), "{found:?}");
            assert!(count(State::Delivered).contains(&found.delivered), "{found:?} {deliveries:?}");
            let redriven = self.model.redriven[place];
            assert_eq!(found.redriven, redriven, "{found:?}");
            assert!(count(State::Dead).contains(&(found.dead - redriven)), "{found:?} {deliveries:?}");
            assert_eq!(found.planned + found.redriven, found.delivered + found.dead + found.waiting() + found.parked(), "{found:?}");
            assert_eq!(if self.model.active[place] { found.parked() } else { found.waiting() }, 0, "{found:?}");
        }
    }

    /// In the end everything that was accepted comes, and nothing else.
    async fn drain(mut self) {
        self.configure(0b111).await;
        self.flush().await;
        let started = Instant::now();
        for place in 0..DESTINATIONS.len() {
            loop {
                while !self.model.claims[place].is_empty() {
                    self.settle(place, 0, Ending::Delivered).await;
                }
                self.flush().await;
                if self.figures(place).outstanding() == 0 {
                    break;
                }
                assert!(started.elapsed() < PATIENCE, "{:?} stays, of {:?}", self.figures(place), self.model.deliveries[place]);
                self.claim(place, 5).await;
                tokio::time::sleep(Duration::from_millis(1)).await; // For retries that are not due.
            }
            let left = self.model.deliveries[place].values().find(|delivery| matches!(delivery.state, State::Waiting { .. }));
            assert!(left.is_none(), "{left:?} never came, and nothing is outstanding");
        }
        let ids: HashSet<_> = self.model.ids.values().collect();
        assert_eq!(ids.len(), self.model.ids.len());
        self.store.close().await;
        for (ghost, engine) in self.ghosts {
            ghost.close().await;
            drop(engine);
        }
    }
}

impl Delivery {
    /// Whether a claim must find it, whatever is uncertain.
    fn must_be_claimable(&self) -> bool {
        let claimable = |state: State| matches!(state, State::Waiting { due, .. } if due.is_none_or(|due| due + SignedDuration::from_millis(5) < Timestamp::now()));
        !self.held && self.before.is_none() && claimable(self.state)
    }
}

/// Generates histories, and shows a short one that breaks a promise.
pub fn every_history_holds<E: Engine>() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
    let run = proptest::test_runner::TestRunner::new(config).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let history = async {
            let mut run = Run::<E>::begin().await;
            for step in &steps {
                run.step(step).await;
            }
            run.drain().await;
        };
        runtime.block_on(history);
        Ok(())
    });
    run.unwrap_or_else(|broken| panic!("{broken}"));
}

/// `PROPTEST_CASES=1000` has more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}
