//! `wiza-relay demo`: everything on one machine, told as it happens. The relay is the real one, with the
//! repository's own routes.yaml and a store on disk; only Wiza and the destinations are played.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::narrator::Narrator;
use super::receivers::{self, Seen};
use super::wiza::{Answered, Ids, SAMPLES, Sample, Wiza};
use super::{Ending, block_on, serve};
use crate::app::{self, Parts};
use crate::config;
use crate::metrics::Metrics;
use crate::reload;
use crate::store::{DestinationFigures, Records};
use crate::traces::Traces;

const ROUTES: &str = include_str!("../../routes.yaml");
const API_KEY: &str = "demo-key";
/// Requests that the CRM answers with 503 before it is well.
const CRM_FAILURES: u32 = 2;
/// How long `--once` waits for everything to arrive.
const ONCE_DEADLINE: Duration = Duration::from_secs(30);
/// Between two webhooks of the trickle.
const TRICKLE: Duration = Duration::from_millis(1500);
/// Webhooks of the trickle between two outages of the CRM.
const OUTAGE_EVERY: usize = 21;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Play every sample once, check that everything arrived, say what happened and exit.
    #[arg(long)]
    once: bool,
}

/// What the demo has running.
struct Stage {
    store: Arc<dyn Records>,
    seen: Arc<Seen>,
    wiza: Wiza,
    ids: Ids,
}

impl Demo {
    pub fn run(self) -> Ending {
        tracing_subscriber::registry().with(Narrator::new().with_filter(LevelFilter::DEBUG)).init();
        block_on(async move {
            match self.play().await {
                Ok(ending) => ending,
                Err(reason) => Ending::Failed(reason),
            }
        })
    }

    async fn play(self) -> Result<Ending, String> {
        let folder = tempfile::Builder::new()
            .prefix("wiza-relay-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| format!("cannot make a folder for the store: {error}"))?;
        let metrics = Metrics::new().map_err(|error| error.to_string())?;
        let store: Arc<dyn Records> = Arc::new(serve::open(folder.path(), u64::MAX, &metrics)?);
        let (receivers, webhooks, admin) = (listen().await?, listen().await?, listen().await?);
        let (receivers_at, webhooks_at, admin_at) = (address(&receivers)?, address(&webhooks)?, address(&admin)?);

        let loaded = config::load("routes.yaml", ROUTES, &|name| variable(name, receivers_at));
        let config =
            loaded.config.ok_or_else(|| loaded.findings.iter().map(|finding| finding.render(ROUTES, false)).collect::<String>())?;
        let url = format!("http://{webhooks_at}{}", config.source.path);
        println!("wiza-relay demo: a relay with the repository's routes.yaml; Wiza and four destinations are played. All on this machine.");
        println!("  webhooks go to   {url}   (API key `{API_KEY}`)");
        println!("  metrics are at   http://{admin_at}/metrics");
        println!("  events are in    {}", folder.path().display());
        println!("  try it           wiza-relay send --api-key {API_KEY} --url {url} --sample failed");
        println!("The CRM is down at first. {}\n", if self.once { "Every sample is played once." } else { "Stop with Ctrl-C." });

        let seen = Arc::new(Seen::default());
        tokio::spawn(receivers::serve(receivers, Arc::clone(&seen)));
        let stop = CancellationToken::new();
        let parts = Parts {
            config,
            rules_file: None,
            reload: reload::requests(),
            store: Arc::clone(&store),
            metrics,
            traces: Traces::off(),
            webhooks,
            admin,
            tokens: Arc::default(),
            connections_max: 64,
            hold: false,
            receive_memory: crate::receive::RECEIVE_MEMORY_DEFAULT,
            audit_interval: Duration::ZERO,
            grace: Duration::from_secs(5),
        };
        let relay = tokio::spawn(app::run(parts, stop.clone()));
        let wiza = Wiza::new(url.parse().map_err(|error| format!("{url}: {error}"))?, API_KEY)?;
        let stage = Stage { store: Arc::clone(&store), seen, wiza, ids: Ids::new() };

        stage.seen.fail_crm(CRM_FAILURES);
        let ending = if self.once { stage.once().await } else { stage.trickle(serve::stop_signal()?).await };
        stop.cancel();
        relay.await.map_err(|error| error.to_string())??;
        ending
    }
}

impl Stage {
    /// Plays every sample once, waits until nothing is undelivered, and compares what was sent with what arrived.
    async fn once(&self) -> Result<Ending, String> {
        for (name, text) in SAMPLES {
            self.post(name, text).await?;
        }
        let deadline = Instant::now() + ONCE_DEADLINE;
        while self.outstanding() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let all_arrived = self.summarise();
        Ok(if all_arrived { Ending::Good } else { Ending::No })
    }

    /// Posts samples until stopped; now and then the CRM is down.
    async fn trickle(&self, stop: CancellationToken) -> Result<Ending, String> {
        let numbers = [0, 3, 6, 1, 5, 4, 2];
        for round in 0_usize.. {
            let place = numbers.get(round % numbers.len()).copied().unwrap_or(0);
            if let Some((name, text)) = SAMPLES.get(place) {
                self.post(name, text).await?;
            }
            if round % OUTAGE_EVERY == OUTAGE_EVERY - 1 {
                self.seen.fail_crm(CRM_FAILURES);
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(TRICKLE) => {}
            }
        }
        self.summarise();
        Ok(Ending::Good)
    }

    async fn post(&self, name: &str, text: &str) -> Result<(), String> {
        let sample = Sample::parse(text.as_bytes())?;
        tracing::info!(target: "demo", sample = name, gist = gist(&sample.payload), "posted");
        let posted = self.wiza.post(sample.numbered(self.ids.next())).await;
        match posted.answer {
            Ok(Answered { status: 200, .. }) => Ok(()),
            Ok(Answered { status, detail, .. }) => {
                Err(format!("the relay answered the sample `{name}` with {status}: {}", detail.unwrap_or_default()))
            }
            Err(reason) => Err(format!("the relay did not answer the sample `{name}`: {reason}")),
        }
    }

    fn figures(&self) -> Vec<DestinationFigures> {
        self.store.ledger().into_iter().map(|(_, figures)| figures).collect()
    }

    fn outstanding(&self) -> u64 {
        self.figures().iter().map(DestinationFigures::outstanding).sum()
    }

    /// Prints each destination's conservation, and whether what the relay says is what the receivers saw.
    fn summarise(&self) -> bool {
        println!(
            "\n{:<14} {:>8} {:>10} {:>6} {:>8} {:>10} {:>9}",
            "destination", "planned", "delivered", "dead", "waiting", "received", "repeated"
        );
        let mut all_arrived = true;
        for figures in self.figures() {
            let (received, repeated) = self.seen.received(&figures.name);
            let arrived = figures.planned == figures.delivered && figures.delivered == u64::try_from(received).unwrap_or(u64::MAX);
            all_arrived &= arrived;
            println!(
                "{:<14} {:>8} {:>10} {:>6} {:>8} {:>10} {:>9}{}",
                figures.name,
                figures.planned,
                figures.delivered,
                figures.dead,
                figures.waiting(),
                received,
                repeated,
                if arrived { "" } else { "   <- differs" }
            );
        }
        println!("{}", if all_arrived { "Everything planned was delivered." } else { "Not everything was delivered (yet)." });
        all_arrived
    }
}

/// What a sample is about, in a few words.
fn gist(payload: &Value) -> String {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    if text("/data/status") == "failed" {
        return format!("failed, {}", text("/data/fail_error"));
    }
    format!("{}, e-mail {}, phone {}", text("/data/name"), text("/data/email_status"), text("/data/phone_status"))
}

/// The variables of routes.yaml: every destination is a receiver of this demo, and retries come soon.
fn variable(name: &str, receivers: SocketAddr) -> Option<String> {
    let value = match name {
        "WIZA_API_KEY" => API_KEY.to_owned(),
        "SLACK_WEBHOOK_URL" => format!("http://{receivers}/slack"),
        "CRM_URL" => format!("http://{receivers}/crm"),
        "CRM_TOKEN" => "demo-token".to_owned(),
        "DIALLER_URL" => format!("http://{receivers}/dialler"),
        "WAREHOUSE_URL" => format!("http://{receivers}/warehouse"),
        "RETRY_FIRST" => "500ms".to_owned(),
        _ => return None,
    };
    Some(value)
}

async fn listen() -> Result<TcpListener, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| format!("cannot listen on 127.0.0.1: {error}"))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| error.to_string())
}
