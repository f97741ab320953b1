//! All that is outside of the relay: destinations, senders, and what both have seen. What a destination can notice is checked with each
//! request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Notify;

use super::story::{Destination, Mood, Story};
use crate::clock;
use crate::delivery::{AttemptResult, FailureReason};
use crate::event::EventId;

/// When every story begins.
pub fn beginning() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or_default()
}

/// A request as a destination sees it.
#[derive(Debug)]
pub struct Request {
    /// The webhooks that it carries.
    pub numbers: Vec<usize>,
    pub begins: Timestamp,
    pub ends: Timestamp,
    pub life: usize,
    pub result: AttemptResult,
}

impl Request {
    pub fn succeeds(&self) -> bool {
        matches!(self.result, AttemptResult::Replied { status: 200, .. })
    }

    /// What the breaker counts: `Some(true)` is a failure, `Some(false)` an answer that ends a run of them.
    fn fails(&self) -> Option<bool> {
        match &self.result {
            AttemptResult::Replied { status: 429, retry_after: Some(_), .. } => None,
            AttemptResult::Replied { status: 429 | 503 | 401, .. } | AttemptResult::Failed(..) => Some(true),
            _ => Some(false),
        }
    }
}

/// What happens, and what has happened.
pub struct World {
    pub story: Story,
    random: StdRng,
    /// Lives of the relay that have ended.
    pub life: usize,
    /// What happened in this life, counted.
    happened: u64,
    /// Wakes whoever ends this life.
    pub over: Arc<Notify>,
    /// Whether a crash was due.
    pub crashed: bool,
    /// The ids under which webhooks were answered with 200.
    pub answered: BTreeMap<usize, EventId>,
    /// By destination.
    pub requests: Vec<Vec<Request>>,
    pub violation: Option<String>,
    pub trace: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let story = Story::of(seed);
        Self {
            requests: story.destinations.iter().map(|_| Vec::new()).collect(),
            random: StdRng::seed_from_u64(seed.wrapping_add(1)),
            story,
            life: 0,
            happened: 0,
            over: Arc::default(),
            crashed: false,
            answered: BTreeMap::new(),
            violation: None,
            trace: Vec::new(),
        }
    }

    pub fn begin_life(&mut self) {
        (self.happened, self.crashed, self.over) = (0, false, Arc::default());
        self.note(|line| line.push_str("the relay starts"));
    }

    /// Adds to the trace.
    pub fn note(&mut self, what: impl FnOnce(&mut String)) {
        let mut line = format!("{:10.3} ", (clock::wall().duration_since(beginning())).as_secs_f64());
        what(&mut line);
        self.trace.push(line);
    }

    pub fn violated(&mut self, what: String) {
        self.note(|line| line.push_str(&what));
        self.violation.get_or_insert(what);
        self.over.notify_one();
    }

    /// Something happens; whether the relay crashes at this moment.
    pub fn happens(&mut self) -> bool {
        self.happened += 1;
        if self.story.crashes.get(self.life).is_some_and(|at| self.happened >= *at) && !self.crashed {
            self.crashed = true;
            self.over.notify_one();
        }
        self.crashed
    }

    pub fn milliseconds(&mut self, up_to: u64) -> Duration {
        Duration::from_micros(self.random.random_range(0..up_to * 1000))
    }

    /// Begins a request to the destination at this place: how long it takes, and what comes of it.
    pub fn request(&mut self, place: usize, body: &[u8]) -> (Duration, AttemptResult) {
        self.happens();
        let Some(numbers) = numbers(body) else {
            self.violated(format!("a body that nobody sent: {}", String::from_utf8_lossy(body)));
            return (Duration::ZERO, replied(200, None));
        };
        let destination = self.story.destinations[place].clone();
        let now = clock::wall();
        self.check(place, &destination, &numbers, now);
        let elapsed = now.duration_since(beginning()).as_secs().unsigned_abs();
        let mood = destination.moods.iter().rev().find(|(from, _)| *from <= elapsed).map_or(Mood::Well, |(_, mood)| *mood);
        let mut latency = self.milliseconds(destination.slowest);
        let result = match mood {
            Mood::Well => replied(200, None),
            Mood::Down => replied(503, None),
            Mood::Throttles(seconds) => replied(429, Some(now + latency + Duration::from_secs(seconds.into()))),
            Mood::ThrottlesSilently => replied(429, None),
            Mood::RefusesCredentials => replied(401, None),
            Mood::RefusesSome if numbers.iter().any(|number| number % 3 == 0) => replied(400, None),
            Mood::RefusesSome => replied(200, None),
            Mood::Hangs => {
                latency = Duration::from_secs(10);
                AttemptResult::Failed(FailureReason::Timeout, "no answer within 10s".to_owned())
            }
            Mood::Flickers => replied(if self.random.random_bool(0.5) { 200 } else { 503 }, None),
        };
        self.note(|line| {
            let status = result.status().map_or("nothing".to_owned(), |status| status.to_string());
            let _ = write!(line, "{} gets {numbers:?} and says {status} after {latency:?}", destination.name);
        });
        let (ends, life) = (now + latency, self.life);
        self.requests[place].push(Request { numbers, begins: now, ends, life, result: result.clone() });
        (latency, result)
    }

    /// What must hold where a request begins.
    fn check(&mut self, place: usize, destination: &Destination, numbers: &[usize], now: Timestamp) {
        // After a crash the relay knows nothing of what was under way.
        let mine: Vec<&Request> = self.requests[place].iter().filter(|request| request.life == self.life).collect();
        let under_way: Vec<&&Request> = mine.iter().filter(|request| request.ends > now).collect();
        let mut wrong = Vec::new();
        if under_way.len() >= destination.concurrency {
            wrong.push(format!("{} requests at the same time, and {} are allowed", under_way.len() + 1, destination.concurrency));
        }
        if let Some(twice) = numbers.iter().find(|number| under_way.iter().any(|request| request.numbers.contains(number))) {
            wrong.push(format!("webhook {twice} is attempted twice at the same time"));
        }
        if let Some((count, per, burst)) = destination.rate {
            for (earlier, request) in mine.iter().rev().enumerate() {
                let seconds = now.duration_since(request.begins).as_secs_f64();
                let allowed = f64::from(burst) + seconds * f64::from(count) / per.as_secs_f64();
                if (earlier + 2) as f64 > allowed + 1e-3 {
                    wrong.push(format!("{} requests within {seconds} s", earlier + 2));
                    break;
                }
            }
        }
        let mut ended: Vec<&&Request> = mine.iter().filter(|request| request.ends < now).collect();
        ended.sort_by_key(|request| request.ends);
        let asks_for_rest = |request: &&&Request| match request.result {
            AttemptResult::Replied { status: 429, retry_after, .. } => {
                retry_after.is_some_and(|until| until.as_millisecond() > now.as_millisecond())
            }
            _ => false,
        };
        if ended.iter().any(asks_for_rest) {
            wrong.push("a request during the rest that was asked for".to_owned());
        }
        let failures =
            ended.iter().filter_map(|request| request.fails()).fold(0_u32, |failures, fails| if fails { failures + 1 } else { 0 });
        if failures >= destination.failures && !under_way.is_empty() {
            wrong.push(format!("a request beside another after {failures} failures in a row"));
        }
        if let Some(what) = wrong.into_iter().next() {
            self.violated(format!("{} at {numbers:?}: {what}", destination.name));
        }
    }

    /// What must hold in the end of whatever was attempted in the order of acceptance, which `sequences` has by webhook.
    pub fn check_order(&mut self, sequences: &BTreeMap<usize, i64>) {
        for place in 0..self.requests.len() {
            if !self.story.destinations[place].ordered {
                continue;
            }
            // The last that has begun of each key.
            let mut begun: BTreeMap<u32, (i64, usize)> = BTreeMap::new();
            let mut wrong = None;
            for number in self.requests[place].iter().flat_map(|request| &request.numbers) {
                let Some(sequence) = sequences.get(number) else { continue };
                let last = begun.entry(self.story.webhooks[*number].key).or_insert((*sequence, *number));
                if *sequence < last.0 {
                    wrong = Some(format!("webhook {number} was attempted after {}, which came later and has the same key", last.1));
                }
                *last = (*sequence, *number).max(*last);
            }
            if let Some(wrong) = wrong {
                self.violated(format!("{}: {wrong}", self.story.destinations[place].name));
            }
        }
    }

    /// In how many lives a destination took a webhook, and how often.
    pub fn taken(&self, place: usize, number: usize) -> (usize, usize) {
        let taken = self.requests[place].iter().filter(|request| request.succeeds() && request.numbers.contains(&number));
        let lives: BTreeSet<usize> = taken.clone().map(|request| request.life).collect();
        (lives.len(), taken.count())
    }
}

fn replied(status: u16, retry_after: Option<Timestamp>) -> AttemptResult {
    AttemptResult::Replied { status, retry_after, reply: Bytes::new(), shortcoming: None }
}

/// The webhooks in a body: one, or a batch.
fn numbers(body: &[u8]) -> Option<Vec<usize>> {
    let number = |value: &serde_json::Value| usize::try_from(value.get("number")?.as_u64()?).ok();
    match serde_json::from_slice::<serde_json::Value>(body).ok()? {
        serde_json::Value::Array(members) => members.iter().map(number).collect(),
        single => Some(vec![number(&single)?]),
    }
}
