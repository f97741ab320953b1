//! `cargo bench --bench relay`: what the relay costs, beside the floors it stands on, in one run on this machine.
//!
//! Every figure is printed as a ratio to a floor or as processor time an event, because machines and their moods
//! differ. The relay is a process of its own (so its processor time is its own); load generator and receivers are in
//! this one and kept as cheap as they can be. `BENCH_QUICK=1` runs a tenth of everything, to see that it works;
//! `BENCH_ONLY=acks,fanout,latency,backlog,isolation,retention` runs parts; `BENCH_WAITING=5000000` has so many in the
//! backlog; `BENCH_LOG=info` turns the log line of each attempt on.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a bench that cannot go on has nothing better to do")]

mod floor;
mod http;
mod process;
mod sick;
mod side_by_side;
mod sink;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use wiza_relay::config::{self, Config};
use wiza_relay::verify;

use self::http::Poster;
use self::process::Process;
use self::sink::Arrivals;

const API_KEY: &str = "bench-key";
/// Ids of posted events start here, so that all have as many digits.
pub const ID_BASE: usize = 1_000_000_000;
/// Ids of the next load start so far behind it, so that they are not those of a load before.
pub static FIRST_ID: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    let address = |name: &str| std::env::var(name).expect("set by the bench").parse::<SocketAddr>().expect("an address");
    match std::env::var("BENCH_ROLE").as_deref() {
        Ok("handler") => return runtime.block_on(floor::handler(address("BENCH_ADDRESS"), address("BENCH_ADMIN"))),
        Ok("client") => return runtime.block_on(floor::client()),
        _ => {}
    }
    let folder = tempfile::Builder::new().prefix("wiza-relay-bench-").tempdir().expect("a folder");
    let bench = Bench { folder: folder.path().to_owned(), scale: if std::env::var_os("BENCH_QUICK").is_some() { 10 } else { 1 } };
    println!(
        "wiza-relay {} on {} cores, store in {}",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(0, usize::from),
        bench.folder.display()
    );
    let wanted = std::env::var("BENCH_ONLY").ok();
    let runs = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted.split(',').any(|part| part == name));
    runtime.block_on(async {
        if runs("acks") {
            bench.acks().await;
        }
        if runs("fanout") {
            bench.fan_out().await;
        }
        if runs("latency") {
            bench.latency().await;
        }
        if runs("backlog") {
            bench.backlog().await;
        }
        if runs("isolation") {
            bench.isolation().await;
        }
        if runs("retention") {
            bench.retention().await;
        }
    });
}

struct Bench {
    folder: PathBuf,
    scale: usize,
}

impl Bench {
    /// Durable answers a second where rules are evaluated and nothing is to be delivered, beside the same handler
    /// without a store.
    async fn acks(&self) {
        println!("\nanswers a second, rules evaluated, nothing to deliver ({} bytes a webhook)", payload().len());
        println!(
            "{:>12} {:>14} {:>16} {:>8} {:>12} {:>12} {:>12} {:>12}",
            "connections", "without store", "durable", "ratio", "cpu us", "cpu us", "p50 ms", "p99 ms"
        );
        for (connections, count) in [(1, 5_000), (64, 200_000), (512, 200_000)] {
            let count = count / self.scale;
            let floor = process::role("handler");
            let without = drive(&floor, connections, count, 0).await;
            floor.kill();
            let relay = process::relay(&self.write("acks.yaml", &routes_without_deliveries()), &self.store("acks"));
            let durable = drive(&relay, connections, count, 0).await;
            relay.kill();
            println!(
                "{connections:>12} {:>14.0} {:>16.0} {:>8.2} {:>12.1} {:>12.1} {:>12.2} {:>12.2}",
                without.per_second,
                durable.per_second,
                durable.per_second / without.per_second,
                without.cpu_us,
                durable.cpu_us,
                durable.p50_ms,
                durable.p99_ms
            );
        }
    }

    /// Three deliveries an event, two of them with templated bodies: processor time an event, and events a second.
    async fn fan_out(&self) {
        let count = 60_000 / self.scale;
        let (client_sink, _) = sink(0).await;
        let (client_rate, client_cpu) = bare_client(client_sink, 100_000 / self.scale, 16);
        println!("\nfan-out to 3 (two templated bodies, one as received); the bare client posts {client_rate:.0}/s at {client_cpu:.1} us");
        println!("{:>22} {:>12} {:>14} {:>12} {:>14}", "load", "answers/s", "deliveries/s", "cpu us/event", "of 3 posts");
        for (name, connections, rate) in [("2000/s", 16, 2_000), ("64 connections", 64, 0)] {
            let (sink, arrivals) = sink(count).await;
            let relay = process::relay(&self.write("fanout.yaml", &routes_with_fan_out(sink)), &self.store("fanout"));
            let clock = Instant::now();
            let before = relay.cpu();
            let run = drive_noting(&relay, connections, count.min(if rate > 0 { rate * 10 } else { count }), rate, Some(&arrivals)).await;
            let events = run.events;
            wait_for(&arrivals, events * 3).await;
            let elapsed = clock.elapsed();
            tokio::time::sleep(Duration::from_millis(200)).await; // the last settlements
            let cpu = micros(relay.cpu() - before) / events as f64;
            println!(
                "{name:>22} {:>12.0} {:>14.0} {cpu:>12.1} {:>14.2}",
                run.per_second,
                (events * 3) as f64 / elapsed.as_secs_f64(),
                cpu / (client_cpu * 3.0)
            );
            relay.kill();
        }
    }

    /// From the post to the arrival at the last of three destinations, and to the answer.
    async fn latency(&self) {
        println!("\nlatency at a steady rate, three deliveries each");
        println!("{:>10} {:>12} {:>12} {:>18} {:>18}", "events/s", "ack p50 ms", "ack p99 ms", "delivered p50 ms", "delivered p99 ms");
        for rate in [500, 2_000] {
            let count = rate * 15 / self.scale;
            let (sink, arrivals) = sink(count).await;
            let relay = process::relay(&self.write("latency.yaml", &routes_with_fan_out(sink)), &self.store("latency"));
            let run = drive_noting(&relay, 64, count, rate, Some(&arrivals)).await;
            wait_for(&arrivals, count * 3).await;
            let (p50, p99) = arrivals.latencies();
            println!("{rate:>10} {:>12.2} {:>12.2} {p50:>18.2} {p99:>18.2}", run.p50_ms, run.p99_ms);
            relay.kill();
        }
    }

    /// Memory and the time to open, with deliveries waiting behind a dead destination.
    async fn backlog(&self) {
        let count = std::env::var("BENCH_WAITING").map_or(1_000_000 / self.scale, |count| count.parse().expect("a count"));
        let dead =
            TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port that nobody listens on");
        let config = self.write("backlog.yaml", &routes_with_one_destination(dead));
        let store = self.store("backlog");
        let relay = process::relay(&config, &store);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (idle, _) = relay.memory();
        drive(&relay, 64, count, 0).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (now, most) = relay.memory();
        let waiting = relay.metric("wiza_relay_waiting", "");
        let bytes = relay.metric("wiza_relay_store_bytes", "");
        println!(
            "\nmemory: idle {:.1} MiB; with {waiting:.0} waiting behind a dead destination {:.1} MiB (most {:.1} MiB), so {:.1} MiB more; store {:.0} MiB",
            mib(idle),
            mib(now),
            mib(most),
            mib(now.saturating_sub(idle)),
            bytes / 1048576.0
        );
        relay.kill();
        let reopened = process::relay(&config, &store);
        let waiting = reopened.metric("wiza_relay_waiting", "");
        println!(
            "after kill -9: ready in {:.2} s with {waiting:.0} waiting, {:.1} MiB",
            reopened.ready_after.as_secs_f64(),
            mib(reopened.memory().0)
        );
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!("five seconds later: {:.1} MiB", mib(reopened.memory().0));
        reopened.kill();
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("write routes");
        path
    }

    /// A new, empty folder.
    fn store(&self, name: &str) -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        self.folder.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// What a load found.
struct Run {
    events: usize,
    per_second: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

async fn drive(target: &Process, connections: usize, count: usize, rate: usize) -> Run {
    drive_noting(target, connections, count, rate, None).await
}

/// Posts `count` webhooks: each connection one after the other, or (rate > 0) all together at a steady rate.
async fn drive_noting(target: &Process, connections: usize, count: usize, rate: usize, arrivals: Option<&Arc<Arrivals>>) -> Run {
    let auth_key = verify::to_hex(&verify::hash_api_key(API_KEY));
    let next = Arc::new(AtomicUsize::new(0));
    let cpu = target.cpu();
    let clock = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (next, auth_key, arrivals, address) = (Arc::clone(&next), auth_key.clone(), arrivals.cloned(), target.webhooks);
        tasks.spawn(async move {
            let mut poster = Poster::connect(address, &auth_key).await;
            let mut latencies = Vec::new();
            loop {
                let event = next.fetch_add(1, Ordering::Relaxed);
                if event >= count {
                    return latencies;
                }
                if rate > 0 {
                    // Open loop: each event has its time, whatever became of those before it; waiting for a free
                    // connection counts as latency.
                    let due = clock + Duration::from_secs_f64(event as f64 / rate as f64);
                    tokio::time::sleep_until(due.into()).await;
                }
                if let Some(arrivals) = &arrivals {
                    arrivals.posted(event);
                }
                let posted = Instant::now();
                assert_eq!(poster.post(ID_BASE + FIRST_ID.load(Ordering::Relaxed) + event).await, 200);
                latencies.push(u64::try_from(posted.elapsed().as_micros()).expect("not that long"));
            }
        });
    }
    let mut latencies: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = clock.elapsed().as_secs_f64();
    let (p50_ms, p99_ms) = quantiles(&mut latencies);
    Run { events: count, per_second: count as f64 / elapsed, cpu_us: micros(target.cpu() - cpu) / count as f64, p50_ms, p99_ms }
}

/// p50 and p99 in milliseconds of microseconds.
pub fn quantiles(all: &mut [u64]) -> (f64, f64) {
    all.sort_unstable();
    let at =
        |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).map_or(0.0, |value| *value as f64 / 1000.0);
    (at(50), at(99))
}

async fn sink(events: usize) -> (SocketAddr, Arc<Arrivals>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let arrivals = Arrivals::new(events);
    tokio::spawn(sink::serve(listener, Arc::clone(&arrivals)));
    (address, arrivals)
}

async fn wait_for(arrivals: &Arrivals, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while arrivals.count.load(Ordering::Relaxed) < count {
        assert!(Instant::now() < deadline, "{} of {count} deliveries after two minutes", arrivals.count.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Requests a second and processor microseconds a request of the bare client.
fn bare_client(sink: SocketAddr, count: usize, concurrency: usize) -> (f64, f64) {
    let output = std::process::Command::new(std::env::current_exe().expect("own path"))
        .env("BENCH_ROLE", "client")
        .env("BENCH_SINK", sink.to_string())
        .env("BENCH_COUNT", count.to_string())
        .env("BENCH_CONCURRENCY", concurrency.to_string())
        .output()
        .expect("run the client");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().expect("a figure"));
    (figures.next().expect("a rate"), figures.next().expect("a cost"))
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// About what Wiza sends for a full reveal, with an id of fixed width.
pub fn payload() -> String {
    let sample = include_str!("../../samples/full.json");
    let mut payload: serde_json::Value = serde_json::from_str(sample).expect("a sample");
    payload["data"]["id"] = ID_BASE.into();
    payload.to_string()
}

pub fn config(text: &str) -> Config {
    let loaded = config::load("bench.yaml", text, &|_| None);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

const SOURCE: &str = "
source: { path: /webhooks/wiza, api_keys: [bench-key] }
";

/// Ten conditions as people write them, none of which holds for the payload.
pub fn routes_without_deliveries() -> String {
    let conditions = [
        "status.code == 400 or data.status == \"failed\"",
        "data.email_status == \"risky\"",
        "data.email_status == \"unfound\" and data.phone_status == \"unfound\"",
        "data.emails[?@.email_type == \"work\" && @.email_status == \"risky\"]",
        "data.phones[?@.type == \"fax\"]",
        "data.company_country in [\"France\", \"Spain\", \"Italy\"]",
        "data.company_size < 10",
        "type == \"list_completed\"",
        "event.path == \"emea\"",
        "!data.name",
    ];
    let mut text = format!("{SOURCE}destinations:\n  nowhere: {{ url: \"http://127.0.0.1:9/\" }}\nroutes:\n");
    for (number, condition) in conditions.iter().enumerate() {
        text.push_str(&format!("  - {{ name: route {number}, when: '{condition}', to: [nowhere] }}\n"));
    }
    text
}

fn routes_with_fan_out(sink: SocketAddr) -> String {
    format!(
        "{SOURCE}
destinations:
  slack:
    url: http://{sink}/slack
    body: {{ \"id\": $.data.id, text: \":tada: {{{{ data.name }}}} ({{{{ data.title }}}}) of {{{{ data.company }}}}: {{{{ data.email | default('no e-mail', true) }}}}\" }}
  crm:
    url: http://{sink}/contacts/{{{{ data.id }}}}
    headers: {{ authorization: Bearer secret-token }}
    body:
      id: $.data.id
      email: $.data.email
      verified: $.data.emails[?@.email_status == \"valid\"].email
      name: \"{{{{ data.name | title }}}}\"
      title: $.data.title
      linkedin: $.data.linkedin_profile_url
      company: {{ name: $.data.company, domain: $.data.company_domain, size: $.data.company_size }}
      source: wiza
  warehouse: {{ url: \"http://{sink}/warehouse\" }}
routes:
  - {{ name: failures, when: 'status.code == 400 or data.status == \"failed\"', to: [slack], stop: true }}
  - {{ name: valid, when: 'data.email_status == \"valid\" and data.emails[?@.email_type == \"work\"]', to: [crm, slack] }}
  - {{ name: everything, to: [warehouse] }}
"
    )
}

fn routes_with_one_destination(address: SocketAddr) -> String {
    format!("{SOURCE}destinations:\n  dead: {{ url: \"http://{address}/\" }}\nroutes:\n  - {{ name: everything, to: [dead] }}\n")
}
