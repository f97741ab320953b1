//! What is left of a relay when the work is taken away: the two floors that its figures are compared with.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wiza_relay::admin::Probes;
use wiza_relay::circuit::Standing;
use wiza_relay::delivery::{Claim, DestinationKey, RouteKey, Settlement};
use wiza_relay::listen::{self, Limits};
use wiza_relay::metrics::Metrics;
use wiza_relay::names::{Keys, Names, RulesKey};
use wiza_relay::receive::Receiver;
use wiza_relay::rules::FileStatus;
use wiza_relay::rules::Rules;
use wiza_relay::store::{Appended, DestinationFigures, Disk, Failed, GivenUp, Health, NewEvent, Ownership, Store, StoreError, Unavailable};

/// Takes every event and keeps none.
struct Nothing;

impl Store for Nothing {
    fn configure(&self, names: Names) -> BoxFuture<'_, Result<Keys, StoreError>> {
        let destinations = (0..).map(DestinationKey).take(names.destinations.len()).collect();
        let routes = (0..).map(RouteKey).take(names.routes.len()).collect();
        async move { Ok(Keys { destinations, routes, rules: RulesKey(0) }) }.boxed()
    }
    fn append(&self, new: NewEvent) -> BoxFuture<'_, Result<Appended, Unavailable>> {
        async move { Ok(Appended::Accepted(new.event.id)) }.boxed()
    }
    fn own(&self, _: DestinationKey) -> BoxFuture<'_, Ownership> {
        std::future::ready(Ownership::lasting()).boxed()
    }
    fn claim(&self, _: DestinationKey, _: usize) -> BoxFuture<'_, Vec<Claim>> {
        std::future::pending().boxed()
    }
    fn form_batch(&self, _: Vec<Claim>) -> BoxFuture<'_, Result<Option<Claim>, StoreError>> {
        async { Ok(None) }.boxed()
    }
    fn release(&self, _: Vec<Claim>) {}
    fn settle(&self, _: Settlement) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
    fn standing(&self, _: DestinationKey) -> tokio::sync::watch::Receiver<Standing> {
        tokio::sync::watch::Sender::new(Standing::default()).subscribe()
    }
    fn note_standing(&self, _: DestinationKey, _: Standing) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }
    fn flush(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        async { Ok(()) }.boxed()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
    fn ledger(&self) -> Vec<(DestinationKey, DestinationFigures)> {
        Vec::new()
    }
    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
    fn find(&self, _: &str) -> Option<DestinationKey> {
        None
    }
    fn disk(&self) -> Disk {
        Disk::default()
    }
    fn failed(&self) -> Failed {
        Failed::default()
    }
    fn backlog_limit(&self) -> u64 {
        u64::MAX
    }
    fn given_up(&self) -> Vec<GivenUp> {
        Vec::new()
    }
    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, Timestamp)>, StoreError>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn health(&self) -> Health {
        Health::Good
    }
}

/// The relay's own webhook handler, rules and all, in front of a store that does nothing.
pub async fn handler(address: SocketAddr, admin: SocketAddr) {
    let config = super::config(&super::routes_without_deliveries());
    let store: Arc<dyn Store> = Arc::new(Nothing);
    let keys = store.configure(wiza_relay::rules::names(&config)).await.expect("keys");
    let rules = Arc::new(ArcSwap::from_pointee(Rules::new(config, keys)));
    let metrics = Metrics::new().expect("metrics");
    let never = CancellationToken::new();
    let receiver = Receiver::router(
        wiza_relay::receive::RECEIVE_MEMORY_DEFAULT,
        Arc::clone(&store),
        rules,
        Arc::clone(&metrics),
        wiza_relay::traces::Traces::off(),
        never.clone(),
    );
    let limits = Limits { connections_max: 4096, observe: Arc::new(|_| {}), vitals: Arc::default() };
    let webhooks = TcpListener::bind(address).await.expect("listen");
    let admin_listener = TcpListener::bind(admin).await.expect("listen");
    let status = FileStatus { version: "bench".into(), since: jiff::Timestamp::now(), refused: None };
    let rules = Arc::new(arc_swap::ArcSwap::from_pointee(status));
    let probes = Probes { store, metrics, rules, draining: never.clone() };
    tokio::spawn(listen::serve(admin_listener, probes.router(), limits.clone(), never.clone()));
    listen::serve(webhooks, receiver, limits, never).await;
}

/// The bare HTTP client: posts the payload to `BENCH_SINK` as often as `BENCH_COUNT` says, `BENCH_CONCURRENCY` at a
/// time, and prints the requests a second and its own processor time a request in microseconds.
pub async fn client() {
    let variable = |name: &str| std::env::var(name).expect("set by the bench");
    let url: reqwest::Url = format!("http://{}/", variable("BENCH_SINK")).parse().expect("a URL");
    let (count, concurrency): (usize, usize) =
        (variable("BENCH_COUNT").parse().expect("count"), variable("BENCH_CONCURRENCY").parse().expect("number"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tcp_nodelay(true).build().expect("client");
    let body = bytes::Bytes::from(super::payload());
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let clock = std::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let (client, url, body, next) = (client.clone(), url.clone(), body.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < count {
                let request =
                    client.post(url.clone()).header("content-type", "application/json").timeout(std::time::Duration::from_secs(10));
                let reply = request.body(body.clone()).send().await.expect("an answer");
                assert!(reply.status().is_success());
                reply.bytes().await.expect("a body");
            }
        });
    }
    tasks.join_all().await;
    let elapsed = clock.elapsed().as_secs_f64();
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime");
    println!("{} {}", count as f64 / elapsed, ticks * 10_000.0 / count as f64);
}
