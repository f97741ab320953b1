//! `wiza-relay serve`: the relay.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Ending, addresses, block_on, load, logs, rules, store};
use crate::admin::{Kept, Reload, Tokens};
use crate::app::{self, Parts};
use crate::asker::Asker;
use crate::config::{self, Config};
use crate::durations;
use crate::metrics::{Metrics, seconds};
use crate::open_files;
use crate::receive::RECEIVE_MEMORY_MIN;
use crate::reload;
use crate::rules_file::RulesFile;
use crate::store::embedded::{Embedded, Options};
use crate::traces::{Settings, Traces};
use crate::vitals;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The rules file, the same as `--config`.
    #[arg(value_name = "RULES")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: rules::Config,
    #[command(flatten)]
    secrets: load::Secrets,
    /// Where webhooks come in.
    #[arg(long, env = "WIZA_RELAY_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS", value_parser = addresses::socket)]
    listen: SocketAddr,
    /// Where metrics, health and the API are.
    #[arg(long, env = "WIZA_RELAY_ADMIN", default_value = "127.0.0.1:9090", value_name = "ADDRESS", value_parser = addresses::socket)]
    admin: SocketAddr,
    /// The token for the API and reload (`authorization: Bearer`). Without a token, they are open to programs on this
    /// machine if --admin is on loopback, and closed if it is not.
    #[arg(long, env = "WIZA_RELAY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    admin_token: Option<String>,
    /// A file with the admin token. The relay reads it again while it runs, so a new token needs no restart.
    #[arg(long, env = "WIZA_RELAY_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// A second token, which permits to read everything and to change nothing.
    #[arg(long, env = "WIZA_RELAY_VIEWER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    viewer_token: Option<String>,
    /// A file with the viewer token. The relay reads it again while it runs.
    #[arg(long, env = "WIZA_RELAY_VIEWER_TOKEN_FILE", value_name = "FILE")]
    viewer_token_file: Option<PathBuf>,
    /// The folder for events. On its own disk, other programs cannot fill it.
    #[arg(long, env = "WIZA_RELAY_STORE", default_value = "./data", value_name = "FOLDER")]
    store: PathBuf,
    /// Start with every destination paused, as by `wiza-relay pause`. Use it after you restored a back-up, because
    /// its deliveries may have been made since then. The relay takes and stores webhooks. `wiza-relay resume` resumes
    /// a destination.
    #[arg(long, env = "WIZA_RELAY_HOLD")]
    hold: bool,
    /// For how long requests under way may go on after SIGTERM.
    #[arg(long, env = "WIZA_RELAY_GRACE", default_value = "25s", value_parser = durations::read, value_name = "DURATION")]
    grace: Duration,
    /// With more waiting deliveries than this, webhooks get 503.
    #[arg(long, env = "WIZA_RELAY_MAX_BACKLOG", default_value_t = 50_000_000, value_name = "COUNT")]
    max_backlog: u64,
    /// How many connections for webhooks may be open. At most half of the files that the process may open.
    #[arg(long, env = "WIZA_RELAY_MAX_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    max_connections: u32,
    /// The memory for webhooks that are being received, for all connections together. Beyond it, webhooks get 503.
    #[arg(long, env = "WIZA_RELAY_RECEIVE_MEMORY", default_value = "128MiB", value_parser = receive_memory, value_name = "SIZE")]
    receive_memory: u64,
    /// How often the relay checks its own books, as `audit` does; the first time ten minutes after the start. 0s: never.
    #[arg(long, env = "WIZA_RELAY_AUDIT_INTERVAL", default_value = "1d", value_parser = durations::read, value_name = "DURATION")]
    audit_interval: Duration,
    #[command(flatten)]
    logs: logs::Logs,
}

impl Serve {
    pub fn run(self, core_dumps: Result<(), String>) -> Ending {
        if let Err(reason) = self.logs.start() {
            return Ending::Misused(reason);
        }
        if let Err(error) = core_dumps {
            tracing::warn!(error, "a crash may leave a core dump, which holds personal data and secrets");
        }
        vitals::log_panics();
        let in_json = self.logs.in_json();
        let log = |reason: String, code| {
            tracing::error!(error = reason, "the relay ends");
            Ending::Logged(code)
        };
        match self.begin(in_json) {
            Ending::Failed(reason) if in_json => log(reason, 1),
            Ending::Misused(reason) if in_json => log(reason, 2),
            ending => ending,
        }
    }

    fn begin(self, in_json: bool) -> Ending {
        let tokens = match self.tokens() {
            Ok(tokens) => tokens,
            Err(reason) => return Ending::Misused(reason),
        };
        let traces = match Settings::from_variables(&|name| std::env::var(name).ok()) {
            Ok(traces) => traces,
            Err(reason) => return Ending::Misused(reason),
        };
        let path = match self.config.or(self.file.as_deref()) {
            Ok(path) => path,
            Err(reason) => return Ending::Misused(reason),
        };
        let rules_file = self.secrets.of(&path);
        let file = match load::read(&rules_file) {
            Ok(file) => file,
            Err(reason) => return Ending::Misused(reason),
        };
        if in_json {
            reload::log(&file.loaded.findings);
        } else {
            file.show_findings();
        }
        let config = match file.into_config() {
            Ok(config) => config,
            Err(errors) => {
                return Ending::Failed(format!("{} has {}; nothing was started", path.display(), load::counted(errors, "error")));
            }
        };
        block_on(self.serve((rules_file, config), tokens, traces))
    }

    fn tokens(&self) -> Result<Tokens, String> {
        let admin = Kept::from_flags("admin-token", self.admin_token.as_deref(), self.admin_token_file.clone())
            .map_err(|error| error.to_string())?;
        let viewer = Kept::from_flags("viewer-token", self.viewer_token.as_deref(), self.viewer_token_file.clone())
            .map_err(|error| error.to_string())?;
        Tokens::new(admin, viewer).map_err(|error| error.to_string())
    }

    async fn serve(self, rules: (RulesFile, Config), tokens: Tokens, traces: Option<Settings>) -> Ending {
        match self.start(rules, tokens, traces).await {
            Ok(()) => Ending::Good,
            Err(reason) => Ending::Failed(reason),
        }
    }

    async fn start(self, (rules_file, config): (RulesFile, Config), tokens: Tokens, traces: Option<Settings>) -> Result<(), String> {
        let metrics = Metrics::new().map_err(|error| error.to_string())?;
        // Ports before the store: a second relay by mistake fails before it touches anything.
        let webhooks = listen(self.listen, "--listen").await?;
        let admin = listen(self.admin, "--admin").await?;
        let store = open(&self.store, self.max_backlog, &metrics)?;
        let traces = start_traces(traces, &metrics)?;
        tracing::info!(store = %self.store.display(), "the store is open");
        let connections_max = open_files::connections(usize::try_from(self.max_connections).unwrap_or(usize::MAX), open_files::raise());
        let (ask, requests) = reload::requests();
        reload_on_hangup(Arc::clone(&ask))?;
        let parts = Parts {
            config,
            rules_file: Some(rules_file),
            reload: (ask, requests),
            store: Arc::new(store),
            metrics,
            traces,
            webhooks,
            admin,
            tokens: Arc::new(tokens),
            connections_max,
            hold: self.hold,
            receive_memory: self.receive_memory,
            audit_interval: self.audit_interval,
            grace: self.grace,
        };
        app::run(parts, stop_signal()?).await
    }
}

fn receive_memory(text: &str) -> Result<u64, String> {
    match config::size(text)? {
        bytes if bytes < RECEIVE_MEMORY_MIN => Err("is too little memory to receive anything; take 1MiB or more".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Opens the embedded store and lets the metrics watch its commits.
pub(super) fn open(folder: &Path, backlog_max: u64, metrics: &Arc<Metrics>) -> Result<Embedded, String> {
    let (metrics, vitals) = (Arc::clone(metrics), Arc::clone(&metrics.vitals));
    let observe_commit = Box::new(move |duration| metrics.counted.store_commit_seconds.observe(seconds(duration)));
    Embedded::open(folder, Options { backlog_max, observe_commit, vitals }).map_err(|error| store::words(&error))
}

/// Begins to record spans, where that was asked for.
fn start_traces(settings: Option<Settings>, metrics: &Arc<Metrics>) -> Result<Traces, String> {
    let Some(settings) = settings else { return Ok(Traces::off()) };
    let collector = settings.collector();
    if settings.looks_like_grpc() {
        tracing::warn!(collector, "the collector's port is that of gRPC, by custom; OTLP over HTTP has 4318");
    }
    let traces = Traces::start(settings, Arc::clone(metrics)).map_err(|error| format!("the traces' exporter: {error}"))?;
    tracing::info!(collector, "traces are exported");
    Ok(traces)
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        let fix = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("; something else has the port, choose another with {flag}"),
            std::io::ErrorKind::PermissionDenied => format!("; ports below 1024 need a privilege, choose another with {flag}"),
            std::io::ErrorKind::AddrNotAvailable => format!("; no interface has that address, choose another with {flag}"),
            _ => String::new(),
        };
        format!("cannot listen on {address}: {error}{fix}")
    })
}

/// Asks for a reload at every SIGHUP.
fn reload_on_hangup(ask: Reload) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| format!("cannot watch for signals: {error}"))?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            ask(Asker::SIGNAL).await; // What came of it was logged.
        }
    });
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
pub(super) fn stop_signal() -> Result<CancellationToken, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |error: std::io::Error| format!("cannot watch for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopped.cancel();
    });
    Ok(stop)
}
