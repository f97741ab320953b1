use super::*;
use crate::own_events::OwnKind;

const EVERY: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);

struct Story {
    ledger: Ledger,
    start: Instant,
    passed: Duration,
    told: Vec<(u64, News)>,
}

impl Story {
    fn new() -> Self {
        Self { ledger: Ledger::default(), start: Instant::now(), passed: Duration::ZERO, told: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.start + self.passed
    }

    fn clock(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000) + self.passed
    }

    /// Lets time pass, with a look each second.
    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.passed += SECOND;
            let at = self.passed.as_secs();
            self.told.extend(self.ledger.due(self.now()).into_iter().map(|news| (at, news)));
        }
    }

    fn die(&mut self, destination: &str, reason: &'static str) {
        let id = EventId::new(self.clock());
        let death = Death { events: (id, id), count: 1, reason, detail: "status 422: not worth repeating".to_owned(), status: Some(422) };
        let (now, clock) = (self.now(), self.clock());
        self.ledger.died(destination, death, now, clock);
    }

    fn open(&mut self, destination: &str) {
        let opening = Opening { opened_by: "failures", reason: "server_error", status: Some(503), at: self.clock() };
        let now = self.now();
        self.ledger.opened(destination, opening, now);
    }

    fn close(&mut self, destination: &str) {
        let clock = self.clock();
        self.ledger.closed(destination, clock);
    }

    fn kinds(&self) -> Vec<(u64, OwnKind)> {
        self.told.iter().map(|(at, news)| (*at, news.kind())).collect()
    }
}

#[test]
fn two_hundred_dead_letters_are_one_event_and_the_next_comes_after_ten_minutes() {
    let mut story = Story::new();
    for _ in 0..200 {
        story.die("crm", "client_error");
    }
    story.pass(SECOND * 5);
    for _ in 0..3 {
        story.die("crm", "client_error");
        story.die("crm", "timeout");
        story.die("dialler", "client_error");
    }
    story.pass(EVERY * 2);
    let told: Vec<(u64, &str, &str, u64)> = story
        .told
        .iter()
        .map(|(at, news)| match news {
            News::DeadLetters { destination, reason, count, .. } => (*at, destination.as_str(), *reason, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [(2, "crm", "client_error", 200), (7, "crm", "timeout", 3), (7, "dialler", "client_error", 3), (602, "crm", "client_error", 3)]
    );
    assert!(story.ledger.dead.is_empty(), "what has nothing to tell is not kept");
}

#[test]
fn dead_letters_all_day_are_one_event_each_ten_minutes_and_none_is_left_out() {
    let mut story = Story::new();
    for _ in 0..24 * 3600 {
        story.die("crm", "client_error");
        story.pass(SECOND);
    }
    story.pass(EVERY);
    let counts: Vec<u64> = story.told.iter().map(|(_, news)| if let News::DeadLetters { count, .. } = news { *count } else { 0 }).collect();
    assert_eq!(counts.iter().sum::<u64>(), 24 * 3600);
    assert!(counts.len() <= 24 * 6 + 1, "{}", counts.len());
}

#[test]
fn a_circuit_that_flaps_is_told_once_in_ten_minutes_with_how_often_it_opened() {
    let mut story = Story::new();
    for _ in 0..30 {
        story.open("crm");
        story.pass(SECOND * 30);
        story.close("crm");
        story.pass(SECOND * 10);
    }
    use OwnKind::{CircuitClosed, CircuitOpened};
    assert_eq!(story.kinds(), [(1, CircuitOpened), (31, CircuitClosed), (601, CircuitOpened), (631, CircuitClosed)]);
    let News::CircuitOpened { times, .. } = &story.told[2].1 else { panic!() };
    assert_eq!(*times, 15, "14 that were not told, and this one");
}

#[test]
fn one_that_opens_and_closes_between_two_looks_is_told_of() {
    let mut story = Story::new();
    story.open("crm");
    story.close("crm");
    story.pass(EVERY * 2);
    assert_eq!(story.kinds(), [(1, OwnKind::CircuitOpened), (1, OwnKind::CircuitClosed)]);
    assert!(story.ledger.circuits.is_empty());
}

#[test]
fn one_that_is_open_at_the_start_is_told_when_it_closes_and_not_before() {
    let mut story = Story::new();
    let clock = story.clock();
    story.ledger.was_open("crm", clock);
    story.pass(EVERY * 2);
    assert_eq!(story.kinds(), []);
    story.close("crm");
    story.pass(SECOND);
    assert_eq!(story.kinds(), [(1201, OwnKind::CircuitClosed)]);
}

#[test]
fn one_that_stays_open_is_told_once() {
    let mut story = Story::new();
    story.open("crm");
    story.pass(EVERY * 10);
    assert_eq!(story.kinds(), [(1, OwnKind::CircuitOpened)]);
}

#[test]
fn a_queue_is_told_when_it_becomes_too_old_and_again_only_after_it_was_younger() {
    let mut story = Story::new();
    let received = story.clock();
    let look = |story: &mut Story, oldest: Option<Timestamp>| {
        let (now, clock) = (story.now(), story.clock());
        story.ledger.queues(&[Queue { destination: "crm", oldest, circuit: "open" }], now, clock);
        story.pass(SECOND);
    };
    for _ in 0..3600 {
        look(&mut story, Some(received));
    }
    assert_eq!(story.kinds(), [(902, OwnKind::QueueOld)]);
    look(&mut story, None);
    for _ in 0..60 {
        look(&mut story, Some(received));
    }
    assert_eq!(story.kinds().len(), 2, "it was empty in between");
    // One that goes up and down at the limit is told once in ten minutes.
    for _ in 0..600 {
        look(&mut story, None);
        look(&mut story, Some(received));
    }
    assert_eq!(story.kinds().len(), 4);
    // A clock that was set back makes nothing old.
    look(&mut story, Some(Timestamp::MAX));
}

#[test]
fn refusals_are_told_once_in_ten_minutes_the_last_of_them() {
    let mut story = Story::new();
    for round in 0..100 {
        let clock = story.clock();
        story.ledger.refused(&format!("1 error, at routes.yaml:{round}:1"), clock);
        story.pass(SECOND * 10);
    }
    let told: Vec<(u64, u32)> =
        story.told.iter().map(|(at, news)| if let News::RulesRefused { times, .. } = news { (*at, *times) } else { (0, 0) }).collect();
    assert_eq!(told, [(1, 1), (601, 60)]);
}

#[test]
fn a_store_that_takes_nothing_is_told_of_when_it_is_over_and_one_that_will_when_it_begins() {
    let mut story = Story::new();
    let mute = Trouble { sort: "cannot_write", detail: "the disk is full".to_owned(), is_mute: true };
    let soon = Trouble { sort: "disk_nearly_full", detail: "100 MiB are left".to_owned(), is_mute: false };
    let look = |story: &mut Story, troubles: &[Trouble]| {
        let (now, clock) = (story.now(), story.clock());
        story.ledger.store(troubles, now, clock);
        story.pass(SECOND);
    };
    for _ in 0..60 {
        look(&mut story, &[mute.clone(), soon.clone()]);
    }
    for _ in 0..60 {
        look(&mut story, &[]);
    }
    let told: Vec<(u64, &str, bool)> = story
        .told
        .iter()
        .map(|(at, news)| match news {
            News::StoreTrouble { trouble, over_at, .. } => (*at, *trouble, over_at.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(1, "disk_nearly_full", false), (61, "cannot_write", true)]);
}

#[test]
fn what_is_known_at_a_time_has_a_limit() {
    let mut story = Story::new();
    for number in 0..ENTRIES_MAX * 2 {
        story.die(&format!("d{number}"), "client_error");
        story.open(&format!("d{number}"));
    }
    assert_eq!((story.ledger.dead.len(), story.ledger.circuits.len()), (ENTRIES_MAX, ENTRIES_MAX));
    assert!(story.ledger.ready.len() <= ENTRIES_MAX);
}
