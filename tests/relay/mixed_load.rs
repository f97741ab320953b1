//! Everything at once: destinations over HTTP/1.1 and HTTP/2 that at random freeze, reset, close in silence, answer half, send GOAWAY and
//! move to another address, beside one that is well. No event dies, none is lost, and the sick ones are served again once they are well.
//!
//! `MIXED_SECONDS=600 cargo test --test relay mixed_load -- --nocapture` does so for ten minutes, and prints how long circuits were open
//! beyond the faults, and how the healthy destination's latency compares with the same load alone.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::TcpListener;

use crate::harness::command::may_have_own_hosts;
use crate::harness::{Answer, Fault, Http2Answer, Http2Receiver, Link, Receiver, Relay, Setup, eventually, reveal};

/// How long the mixed load takes, unless `MIXED_SECONDS` says otherwise.
const SECONDS: u64 = 12;
/// How long the healthy destination alone is measured, at most.
const ALONE_SECONDS_MAX: u64 = 120;
/// Between two events.
const PAUSE: Duration = Duration::from_millis(25);
/// A fault lasts at most so long, and then all is well for as long.
const FAULT_MAX: Duration = Duration::from_millis(1500);
const SICK: [&str; 3] = ["plain", "secure", "moving"];
const KEYS: &str = "timeout: 1s, concurrency: 16, retry: { attempts: 1000, first: 100ms, factor: 1.5, max: 1s }, circuit: { failures: 5, cooldown: 500ms }";

fn seconds() -> u64 {
    std::env::var("MIXED_SECONDS").map_or(SECONDS, |seconds| seconds.parse().expect("MIXED_SECONDS is a number"))
}

/// Mostly well. What is not well is the request's misfortune, so it says nothing of the next.
fn moody(seed: u64) -> impl Fn() -> u32 + Send + Sync + 'static {
    let random = Mutex::new(SmallRng::seed_from_u64(seed));
    move || random.lock().unwrap().random_range(0..100)
}

struct Sick {
    plain: Receiver,
    secure: Http2Receiver,
    links: [Link; 2],
    /// The same port of two addresses, where a name can be moved from one to the other.
    moving: Option<[Receiver; 2]>,
    hosts: std::path::PathBuf,
}

impl Sick {
    async fn new(folder: &std::path::Path) -> Self {
        let (mood, mood_2) = (moody(1), moody(2));
        let plain = Receiver::scripted(move |_, _| match mood() {
            0 => Answer::Hang,
            1 => Answer::ResetMidRequest,
            2 => Answer::CutHead,
            3..=8 => Answer::ReplyThenClose(200, Duration::ZERO),
            9..=11 => Answer::status(503),
            12..=14 => Answer::status(200).after(Duration::from_millis(200)),
            _ => Answer::status(200),
        })
        .await;
        let secure = Http2Receiver::scripted(Some(8), move |_| match mood_2() {
            0..=2 => Http2Answer::FineAndGoAway,
            3..=4 => Http2Answer::GoAwayUnprocessed,
            5..=7 => Http2Answer::Refused,
            8 => Http2Answer::Reset,
            9 => Http2Answer::BrokenOff,
            _ => Http2Answer::Fine,
        })
        .await;
        let links = [Link::to(plain.address).await, Link::to(secure.address).await];
        let moving = if may_have_own_hosts() { Some(on_two_addresses().await) } else { None };
        let sick = Self { plain, secure, links, moving, hosts: folder.join("hosts") };
        sick.move_to(2);
        sick
    }

    fn move_to(&self, last: u8) {
        std::fs::write(&self.hosts, format!("127.0.0.{last} moving.test\n127.0.0.1 localhost\n")).unwrap();
    }

    fn rules(&self, healthy: &Receiver) -> String {
        let moving = match &self.moving {
            Some([one, _]) => format!("http://moving.test:{}/", one.address.port()),
            None => self.links[0].url("/moving"),
        };
        format!(
            "destinations:\n  healthy: {{ url: \"{}\", {KEYS} }}\n  plain: {{ url: \"{}\", {KEYS} }}\n  secure: {{ url: \"{}\", {KEYS}, {} }}\n  moving: {{ url: \"{moving}\", {KEYS} }}\nroutes:\n  - {{ name: alone, when: event.path == \"/alone\", to: [healthy], stop: true }}\n  - {{ name: all, to: [healthy, plain, secure, moving] }}\n",
            healthy.url("/"),
            self.links[0].url("/"),
            self.links[1].url("/").replace("http:", "https:"),
            self.secure.trusted(),
        )
    }

    /// The names of the deliveries that were taken.
    fn taken(&self) -> HashSet<String> {
        let of = |receiver: &Receiver| {
            let requests = receiver.requests().into_iter();
            requests.filter(|request| request.answered == Some(200)).map(|request| request.webhook_id().to_owned()).collect::<Vec<_>>()
        };
        let moving = self.moving.iter().flatten().flat_map(of);
        of(&self.plain).into_iter().chain(moving).chain(self.secure.taken()).collect()
    }
}

async fn on_two_addresses() -> [Receiver; 2] {
    let one = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
    let port = one.local_addr().unwrap().port();
    let two = TcpListener::bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), port))).await.unwrap();
    [Receiver::on_listener(one), Receiver::on_listener(two)]
}

/// Since when no fault is on, where none is. The receivers have their moods all the time.
type Well = Mutex<Option<Instant>>;

/// Makes trouble until it is dropped, and notes when each fault ends.
async fn trouble(sick: &Sick, well: &Well) {
    let mut random = SmallRng::seed_from_u64(3);
    let mut at = 2;
    loop {
        *well.lock().unwrap() = None;
        for link in &sick.links {
            link.inject(match random.random_range(0..6) {
                0 => Fault::Reset,
                1 => Fault::Hang,
                2 => Fault::ResetReplyAfter(10),
                3 => Fault::CloseReplyAfter(10),
                _ => Fault::Nothing,
            });
            if random.random_range(0..3) == 0 {
                link.silence();
            }
        }
        at = 5 - at;
        sick.move_to(at);
        tokio::time::sleep(FAULT_MAX.mul_f64(random.random_range(0.2..1.0))).await;
        sick.links.iter().for_each(|link| link.inject(Fault::Nothing));
        *well.lock().unwrap() = Some(Instant::now());
        tokio::time::sleep(FAULT_MAX).await;
    }
}

/// Posts an event every now and then, and says when each was posted.
async fn load(relay: &Relay, below: &str, first: u64, seconds: u64) -> HashMap<u64, Instant> {
    let (started, mut posted, mut number) = (Instant::now(), HashMap::new(), first);
    while started.elapsed() < Duration::from_secs(seconds) {
        posted.insert(number, Instant::now());
        relay.webhook(reveal(number)).below(below).accepted().await;
        number += 1;
        tokio::time::sleep(PAUSE).await;
    }
    posted
}

/// Watches how long circuits are open while no fault is on, until it is dropped: how often they were seen open, and the longest time.
async fn watch_circuits(relay: &Relay, well: &Well, longest: &Mutex<HashMap<&'static str, (u32, Duration)>>) {
    let mut since: HashMap<&str, Instant> = HashMap::new();
    loop {
        let metrics = relay.metrics().await;
        let well = *well.lock().unwrap();
        for name in SICK {
            match well {
                Some(well) if metrics.get("circuit_open", &[("destination", name)]) == 1 => {
                    let mut longest = longest.lock().unwrap();
                    let (seen, longest) = longest.entry(name).or_default();
                    *seen += 1;
                    *longest = since.entry(name).or_insert(well).elapsed().max(*longest);
                }
                _ => {
                    since.remove(name);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The latency from a post to its arrival that 99 of 100 are below.
fn p99(healthy: &Receiver, posted: &HashMap<u64, Instant>) -> Duration {
    let arrived = healthy.requests().into_iter().filter_map(|request| {
        let posted = posted.get(&request.json()["data"]["id"].as_u64()?)?;
        Some(request.at.duration_since(*posted))
    });
    let mut arrived: Vec<Duration> = arrived.collect();
    arrived.sort();
    arrived[arrived.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_dies_and_nothing_is_lost_among_receivers_of_every_mood() {
    let folder = tempfile::tempdir().unwrap();
    let (sick, healthy) = (Sick::new(folder.path()).await, Receiver::start().await);
    let mut setup = Setup::new(sick.rules(&healthy)).seen_by(&healthy);
    if sick.moving.is_some() {
        setup = setup.hosts(&sick.hosts);
    }
    let mut relay = setup.start().await;

    let alone = load(&relay, "/alone", 0, seconds().min(ALONE_SECONDS_MAX)).await;
    let (longest, well) = (Mutex::new(HashMap::new()), Well::default());
    let mixed = tokio::select! {
        posted = load(&relay, "", 1 << 32, seconds()) => posted,
        () = trouble(&sick, &well) => unreachable!("it does not end"),
        () = watch_circuits(&relay, &well, &longest) => unreachable!("it does not end"),
    };
    sick.links.iter().for_each(|link| link.inject(Fault::Nothing));
    for name in SICK.into_iter().chain(["healthy"]) {
        relay.wait_for_metric("waiting", &[("destination", name)], 0).await;
    }

    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    let mut failed = 0;
    for name in SICK.into_iter().chain(["healthy"]) {
        assert_eq!(metrics.get("deliveries_total", &[("destination", name), ("outcome", "dead")]), 0, "{name}");
        assert_eq!(metrics.get("circuit_open", &[("destination", name)]), 0, "{name}");
        failed += metrics.get("attempts_total", &[("destination", name), ("result", "retried")]);
    }
    assert!(failed > 0, "there was no trouble at all");
    assert_eq!(metrics.get("attempts_total", &[("destination", "healthy"), ("result", "retried")]), 0);
    let taken = sick.taken();
    let events = relay.accepted().split_off(alone.len());
    assert_eq!(events.len(), mixed.len());
    for event in &events {
        for name in SICK {
            // Where no name can be moved, the receiver behind the first link has both.
            assert!(taken.contains(&format!("{event}_{name}")), "{name} never took {event}");
        }
    }
    let (p99_alone, p99_mixed) = (p99(&healthy, &alone), p99(&healthy, &mixed));
    println!(
        "{} events to {} destinations; {failed} attempts failed; a fault lasts up to {FAULT_MAX:?}; circuits seen open between faults, and for how long at most: {:?}; the healthy destination's p99 {p99_alone:?} alone, {p99_mixed:?} beside the sick ones: {:.2} times",
        events.len(),
        SICK.len() + 1,
        longest.lock().unwrap(),
        p99_mixed.as_secs_f64() / p99_alone.as_secs_f64(),
    );
    eventually("the log is written", async || relay.log().contains("attempt").then_some(())).await;
    relay.kill();
    relay.assert_balanced().await;
}
