//! `cargo bench --bench rules`: what deciding where an event goes costs with few and with many routes, by looking at
//! every route and by the index, side by side in one run; and what it takes to load such a file and to make the store know
//! its names.
//!
//! The rules are such as people write for Wiza: they tell apart the kind of event, its outcome, the e-mail's status, the
//! country, and most of all the company's domain. `BENCH_QUICK=1` runs a tenth, to see that it works.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a bench that cannot go on has nothing better to do")]

mod file;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use wiza_relay::condition::Scope;
use wiza_relay::config::{self, Config};
use wiza_relay::event::{Event, EventId};
use wiza_relay::route::{self, Decision};
use wiza_relay::rules;
use wiza_relay::store::Store;
use wiza_relay::store::embedded::{Embedded, Options};

/// How long each figure is measured, in rounds of which the fastest is shown: nothing here waits, so what else the
/// machine does can only add.
const MEASURED: Duration = Duration::from_millis(1500);
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS_MIN: usize = 5;

fn main() {
    let measured = if std::env::var_os("BENCH_QUICK").is_some() { MEASURED / 10 } else { MEASURED };
    let payload = sample("full.json");
    println!("one event (samples/full.json, {} bytes) against many routes; microseconds an event", payload.len());
    println!(
        "{:>8} {:>12} {:>12} {:>8} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "routes", "every route", "indexed", "ratio", "candidates", "matches", "load ms", "its index", "store ms", "again"
    );
    for routes in [10, 100, 1_000, 10_000] {
        let text = file::routes_yaml(routes);
        let (config, load) = timed(|| load(&text));
        let (_, index) = timed(|| wiza_relay::condition::Index::new(config.routes.iter().map(|route| route.when.as_ref())));
        let decision = route::decide(&config, &event(&payload));
        assert_eq!(decision, route::decide_by_every_route(&config, &event(&payload)), "the index changes nothing");
        let every = microseconds(&payload, measured, |event| route::decide_by_every_route(&config, event));
        let indexed = microseconds(&payload, measured, |event| route::decide(&config, event));
        let (first, again) = names_stored(&config);
        println!(
            "{routes:>8} {every:>12.2} {indexed:>12.2} {:>8.1} {:>12} {:>10} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            every / indexed,
            candidates(&config, &event(&payload)),
            decision.matched.len(),
            milliseconds(load),
            milliseconds(index),
            milliseconds(first),
            milliseconds(again)
        );
    }
}

/// The time that deciding one event takes; its payload is parsed beforehand, as in the relay.
fn microseconds(payload: &Bytes, measured: Duration, decide: impl Fn(&Event) -> Decision) -> f64 {
    let begun = Instant::now();
    let mut fastest = f64::INFINITY;
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || begun.elapsed() < measured {
        let started = Instant::now();
        let (mut spent, mut events) = (Duration::ZERO, 0_u32);
        while started.elapsed() < ROUND {
            // Each event is a new one: its facts are made anew if a rule asks for them.
            let batch: Vec<Event> = (0..16).map(|_| event(payload)).collect();
            let (_, took) = timed(|| batch.iter().for_each(|event| drop(black_box(decide(black_box(event))))));
            spent += took;
            events += 16;
        }
        fastest = fastest.min(spent.as_secs_f64() * 1e6 / f64::from(events));
        rounds += 1;
    }
    fastest
}

/// How long a new store takes to learn the rules' names, and how long when it knows them.
fn names_stored(config: &Config) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    let folder = tempfile::Builder::new().prefix("wiza-relay-bench-").tempdir().expect("a folder");
    let store =
        Embedded::open(folder.path(), Options { backlog_max: 1, observe_commit: Box::new(|_| {}), vitals: std::sync::Arc::default() })
            .expect("a store");
    runtime.block_on(async {
        let learn = async || {
            let started = Instant::now();
            store.configure(rules::names(config)).await.expect("a store");
            started.elapsed()
        };
        let took = (learn().await, learn().await);
        store.close().await;
        took
    })
}

fn candidates(config: &Config, event: &Event) -> usize {
    let facts = || event.facts();
    config.index.candidates(&Scope { payload: event.payload(), event: &facts }, event.bytes()).count()
}

fn event(payload: &Bytes) -> Event {
    let now = Timestamp::now();
    let parsed: Value = serde_json::from_slice(payload).expect("JSON");
    Event::new(EventId::new(now), now, "emea".to_owned(), "campaign=q4".to_owned(), payload.clone()).with_payload(parsed)
}

fn sample(name: &str) -> Bytes {
    Bytes::from(std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).expect("a sample"))
}

fn load(text: &str) -> Config {
    let loaded = config::load("routes.yaml", text, &|_| None);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    loaded.config.expect("valid")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}
