//! What a seed makes happen: rules, the moods of destinations, when webhooks come, and when the relay crashes.

use std::fmt::Write as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Moods change until then; afterwards every destination is well, or nothing could be said of starving.
const MOODS_UNTIL: u64 = 1200;
/// Webhooks come until then, in seconds.
const WEBHOOKS_UNTIL: u64 = 900;
/// Keys by which deliveries are in line: few, so that they wait for each other.
const KEYS: u32 = 4;

/// What a destination does with requests.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    Well,
    /// 503.
    Down,
    /// 429 with so many seconds.
    Throttles(u32),
    /// 429 without a time.
    ThrottlesSilently,
    /// 401.
    RefusesCredentials,
    /// 400 for some events, always the same ones.
    RefusesSome,
    /// No answer within the timeout.
    Hangs,
    /// 200 or 503, by chance.
    Flickers,
}

/// A destination, as rules and as a model.
#[derive(Clone, Debug)]
pub struct Destination {
    pub name: String,
    pub concurrency: usize,
    /// Requests in a time, and how many at once.
    pub rate: Option<(u32, Duration, u32)>,
    pub ordered: bool,
    pub batch: Option<(u32, u64)>,
    /// Failures that open the breaker.
    pub failures: u32,
    pub cooldown: u64,
    pub attempts: u32,
    pub first: u64,
    /// Each from so many seconds after the beginning on.
    pub moods: Vec<(u64, Mood)>,
    /// Of an answer, in milliseconds.
    pub slowest: u64,
}

/// A webhook.
#[derive(Clone, Copy, Debug)]
pub struct Webhook {
    pub at: Duration,
    pub key: u32,
}

#[derive(Clone, Debug)]
pub struct Story {
    pub destinations: Vec<Destination>,
    pub webhooks: Vec<Webhook>,
    /// After so many things that happen since the start, one for each life but the last.
    pub crashes: Vec<u64>,
}

impl Story {
    pub fn of(seed: u64) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        let destinations = (0..random.random_range(1..=3)).map(|number| destination(number, random)).collect();
        let mut webhooks: Vec<Webhook> = (0..random.random_range(1..=30))
            .map(|_| Webhook { at: Duration::from_millis(at(random)), key: random.random_range(0..KEYS) })
            .collect();
        webhooks.sort_by_key(|webhook| webhook.at);
        let crashes = (0..random.random_range(0..=2)).map(|_| random.random_range(1..=120)).collect();
        Self { destinations, webhooks, crashes }
    }

    /// The rules, as an operator would write them.
    pub fn rules(&self) -> String {
        let mut text = "source:\n  path: /webhooks/wiza\n  api_keys: [a-key-of-the-simulation]\ndestinations:\n".to_owned();
        for destination in &self.destinations {
            let Destination { name, concurrency, rate, ordered, batch, failures, cooldown, attempts, first, .. } = destination;
            let _ = write!(
                text,
                "  {name}:\n    url: http://{name}.example/in\n    concurrency: {concurrency}\n    timeout: 10s\n    \
                 retry: {{ attempts: {attempts}, first: {first}s, factor: 2, max: 60s, deadline: 3d }}\n    \
                 circuit: {{ failures: {failures}, cooldown: {cooldown}s }}\n"
            );
            if let Some((count, per, burst)) = rate {
                let unit = if per.as_secs() == 1 { "s" } else { "m" };
                let _ = writeln!(text, "    rate_limit: {{ rate: {count}/{unit}, burst: {burst} }}");
            }
            if *ordered {
                text.push_str("    order_by: $.key\n");
            }
            if let Some((max, every)) = batch {
                let _ = writeln!(text, "    batch: {{ max: {max}, every: {every}s }}");
            }
        }
        let names: Vec<&str> = self.destinations.iter().map(|destination| destination.name.as_str()).collect();
        let _ = writeln!(text, "routes:\n  - name: everything\n    to: [{}]", names.join(", "));
        text
    }
}

/// Half of the webhooks come in a few bursts.
fn at(random: &mut StdRng) -> u64 {
    let burst = random.random_range(0..4) * 200_000;
    if random.random_bool(0.5) { burst + random.random_range(0..40) } else { random.random_range(0..WEBHOOKS_UNTIL * 1000) }
}

fn destination(number: u32, random: &mut StdRng) -> Destination {
    let rate = random.random_bool(0.4).then(|| {
        let per = Duration::from_secs(if random.random_bool(0.5) { 1 } else { 60 });
        (random.random_range(1..10), per, random.random_range(1..4))
    });
    let mut moods: Vec<(u64, Mood)> = (0..random.random_range(0..6)).map(|_| (random.random_range(0..MOODS_UNTIL), mood(random))).collect();
    moods.sort_by_key(|(from, _)| *from);
    moods.push((MOODS_UNTIL, Mood::Well));
    let ordered = random.random_bool(0.4);
    Destination {
        name: format!("d{number}"),
        concurrency: random.random_range(1..=4),
        rate,
        ordered,
        // The rules allow one of the two.
        batch: (!ordered && random.random_bool(0.5)).then(|| (random.random_range(2..6), random.random_range(1..10))),
        failures: random.random_range(1..6),
        cooldown: random.random_range(1..60),
        attempts: random.random_range(2..12),
        first: random.random_range(1..10),
        moods,
        slowest: *[50, 500, 5000].get(random.random_range(0..3)).unwrap_or(&50),
    }
}

fn mood(random: &mut StdRng) -> Mood {
    match random.random_range(0..10) {
        0 | 1 => Mood::Well,
        2 => Mood::Down,
        3 | 4 => Mood::Throttles(random.random_range(1..50)),
        5 => Mood::ThrottlesSilently,
        6 => Mood::RefusesCredentials,
        7 => Mood::RefusesSome,
        8 => Mood::Hangs,
        _ => Mood::Flickers,
    }
}
