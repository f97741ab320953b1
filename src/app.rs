//! Putting the relay together, and taking it apart in the right order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{self, Admin, Reload, Tokens};
use crate::announce::Announcer;
use crate::books;
use crate::config::Config;
use crate::deliver::Lanes;
use crate::listen::{self, Happened, Limits};
use crate::metrics::{ClosedFor, Metrics, Port, WebhookOutcome};
use crate::own_events::Reporter;
use crate::receive::Receiver;
use crate::reload::{self, Reloader};
use crate::rules_file::RulesFile;
use crate::service_manager;
use crate::store::{Records, Store};
use crate::traces::Traces;
use crate::vitals::Part;

/// What a relay runs on. Ports and the end are given from outside, so that a test can choose both.
pub struct Parts {
    /// The validated routes.yaml.
    pub config: Config,
    /// Where it came from, to be read again when it changes; `None`: it never changes.
    pub rules_file: Option<RulesFile>,
    /// A way to ask for a reload, and where the requests arrive: from [`reload::requests`].
    pub reload: (Reload, mpsc::Receiver<reload::Request>),
    /// Where events are kept.
    pub store: Arc<dyn Records>,
    /// The relay's metrics.
    pub metrics: Arc<Metrics>,
    /// Where spans go.
    pub traces: Traces,
    /// Where webhooks come in.
    pub webhooks: TcpListener,
    /// Where metrics, health and the API are.
    pub admin: TcpListener,
    /// What the API asks for; without any it is open on loopback only.
    pub tokens: Arc<Tokens>,
    /// Connections at a time on the webhook port.
    pub connections_max: usize,
    /// Begin with every destination paused.
    pub hold: bool,
    /// Bytes of memory that webhooks may take while they are being received.
    pub receive_memory: u64,
    /// How often the relay checks its books; zero: never.
    pub audit_interval: Duration,
    /// How long what is in flight may take once the relay is told to stop.
    pub grace: Duration,
}

/// Connections at a time on the admin port.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long a scrape in progress may hold up the end.
const ADMIN_GRACE: Duration = Duration::from_millis(500);

/// How long a collector may take at most for the last spans, and in any case, though the grace time is over.
const LAST_SPANS_WAIT_MAX: Duration = Duration::from_secs(5);
const LAST_SPANS_WAIT_MIN: Duration = Duration::from_millis(500);

/// Runs until `stop` is cancelled, then drains: no more webhooks are taken, what is in flight ends within the grace
/// time, outcomes are written. What is left is safely stored and goes on after the next start.
///
/// # Errors
/// Where the rules cannot take effect. Once running, trouble is answered, logged and counted instead.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), String> {
    let Parts { config, rules_file, reload, store: records, metrics, traces, webhooks, admin, tokens, connections_max, .. } = parts;
    let (hold, receive_memory) = (parts.hold, parts.receive_memory);
    let (audit_interval, grace) = (parts.audit_interval, parts.grace);
    let store: Arc<dyn Store> = Arc::clone(&records) as Arc<dyn Store>;
    let (reload, reload_requests) = reload;
    let draining = CancellationToken::new();
    let address = |listener: &TcpListener| listener.local_addr().map_err(|error| format!("a port has no address: {error}"));
    let (webhooks_address, admin_address) = (address(&webhooks)?, address(&admin)?);
    let (path, version) = (config.source.path.clone(), config.version.clone());
    let reporter = Reporter::default();
    let own_ports = [webhooks_address, admin_address];
    let lanes = Lanes::new(Arc::clone(&store), Arc::clone(&metrics), traces.clone(), reporter.clone(), own_ports, draining.clone());
    let reloader =
        Reloader::start(config, Arc::clone(&store), Arc::clone(&metrics), lanes, hold).await.map_err(|error| error.to_string())?;
    let (rules, rules_status) = (reloader.rules(), reloader.status());
    let (vitals, watched) = (Arc::clone(&metrics.vitals), Arc::clone(&metrics.vitals));
    let reloads = reloader.run(rules_file, reload_requests, draining.clone());
    let reloading = tokio::spawn(async move { watched.watch(Part::Reloader, "what reloads the rules", reloads).await });
    let receiver =
        Receiver::router(receive_memory, Arc::clone(&store), Arc::clone(&rules), Arc::clone(&metrics), traces.clone(), draining.clone());
    let webhook_server = spawn_server(Port::Webhooks, webhooks, receiver, connections_max, &metrics, draining.clone());
    // The admin port stays open while the relay drains: readiness must be seen to fail.
    let stopped = CancellationToken::new();
    let admin_router = Admin {
        store: Arc::clone(&records),
        metrics: Arc::clone(&metrics),
        rules: Arc::clone(&rules),
        rules_status,
        reload,
        tokens: Arc::clone(&tokens),
        address: admin_address,
        draining: draining.clone(),
    }
    .router();
    let admin_server = spawn_server(Port::Admin, admin, admin_router, ADMIN_CONNECTIONS_MAX, &metrics, stopped.clone());
    let watched = Arc::clone(&metrics.vitals);
    let tokens = AbortOnDropHandle::new(tokio::spawn(async move {
        watched.watch(Part::Reloader, "what reads the files of tokens again", tokens.keep_current()).await;
    }));
    // Only now is it so.
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        webhooks = %format_args!("http://{webhooks_address}{path}"),
        admin = %format_args!("http://{admin_address}"),
        rules = version,
        "started"
    );
    let (watched, announcer) =
        (Arc::clone(&vitals), Announcer::new(Arc::clone(&store), Arc::clone(&rules), Arc::clone(&metrics), reporter));
    let announcing = announcer.run();
    let announcing =
        AbortOnDropHandle::new(tokio::spawn(async move { watched.watch(Part::Announcer, "what makes own events", announcing).await }));
    let (watched, checks) = (Arc::clone(&vitals), books::check(records, metrics, audit_interval));
    let books = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch(Part::Audit, "what checks the books", checks).await }));
    service_manager::ready();
    let (judged, judge) = (Arc::clone(&vitals), Arc::clone(&store));
    let works = move || admin::failure(&*judge, &judged).is_none();
    let keep_alive = AbortOnDropHandle::new(tokio::spawn(service_manager::keep_alive(works)));

    stop.cancelled().await;
    tracing::info!(grace_s = grace.as_secs(), "stopping: no more webhooks are taken, what is in flight is finished");
    service_manager::stopping();
    drop((books, tokens, announcing));
    draining.cancel();
    let grace_ends = Instant::now() + grace;
    let drained = async {
        let _ = webhook_server.await;
        if let Ok(Some(lanes)) = reloading.await {
            lanes.drained().await;
        }
    };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!("the grace time is over; what was in flight is attempted again after the next start");
    }
    store.close().await;
    // After what counts is safe, in what is left of the grace time.
    let left = grace_ends.saturating_duration_since(Instant::now());
    traces.stop(left.clamp(LAST_SPANS_WAIT_MIN, LAST_SPANS_WAIT_MAX)).await;
    stopped.cancel();
    let _ = tokio::time::timeout(ADMIN_GRACE, admin_server).await;
    let outstanding: u64 = store.ledger().iter().map(|(_, figures)| figures.outstanding()).sum();
    drop(keep_alive);
    tracing::info!(outstanding, "stopped");
    Ok(())
}

/// Serves a port in a task of its own, and counts what happens to its connections. A listener that panics takes the port with it:
/// whoever connects is refused, and health says why.
fn spawn_server(
    port: Port,
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let vitals = Arc::clone(&metrics.vitals);
    let (name, counts_connections) = match port {
        Port::Webhooks => ("the listener of the webhook port", true),
        Port::Admin => ("the listener of the admin port", false),
    };
    if counts_connections {
        metrics.counted.connections_limit.set(i64::try_from(connections_max).unwrap_or(i64::MAX));
    }
    let metrics = Arc::clone(metrics);
    let observe = move |happened| match happened {
        Happened::Opened if counts_connections => metrics.counted.connections.inc(),
        Happened::Closed if counts_connections => metrics.counted.connections.dec(),
        Happened::Opened | Happened::Closed => {}
        Happened::HeadersLate => {
            metrics.connection_closed(port, ClosedFor::SlowHeaders);
            if port == Port::Webhooks {
                metrics.webhook(WebhookOutcome::Timeout, None);
            }
        }
        Happened::Silent => metrics.connection_closed(port, ClosedFor::Silent),
        Happened::SentAway => metrics.connection_closed(port, ClosedFor::Crowded),
    };
    let limits = Limits { connections_max, observe: Arc::new(observe), vitals: Arc::clone(&vitals) };
    tokio::spawn(async move {
        vitals.watch(Part::Listener, name, listen::serve(listener, router, limits, stop)).await;
    })
}
