//! An HTTP client of one destination's own: its connections, and a second try where one of them turned out to be dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::Connector;
use super::connection;
use super::failure::Failure;
use super::message::{Origin, Outgoing};
use super::pool::{Held, Lease, Pool};
use super::reply::Reply;
use super::setup::SetupError;
use super::trail::Trail;
use super::trust::{self, Own};
use super::words::Trusting;
use crate::config::Tls;
use crate::egress::Guard;
use crate::proxies::Proxies;

/// How often a request is made again at once, on another connection, where its own ended without a word of an answer. An HTTP/1.1
/// connection that was just made counts; of HTTP/2 one that is shared can be ended by its server as soon as it is made.
const REPEATS_MAX: usize = 3;

/// Connections, and how more are made. Cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Client {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    /// What a request may take at most.
    timeout: Duration,
}

impl Client {
    /// A client that keeps `idle_max` unused connections to each server and whose requests take `timeout` at most. It goes where
    /// `egress` lets it; `None`: anywhere. Proxies are those of the environment.
    pub fn new(
        tls: &Tls,
        own: Own,
        (idle_max, timeout): (usize, Duration),
        trusting: Trusting,
        egress: Option<&Arc<Guard>>,
    ) -> Result<Self, SetupError> {
        let tls = trust::client_config(tls, own)?;
        let mut proxy_tls = tls.clone();
        proxy_tls.alpn_protocols.clear();
        let proxies = Proxies::read(&|name| std::env::var(name).ok())?;
        let connector = Connector { proxies, tls: Arc::new(tls), proxy_tls: Arc::new(proxy_tls), trusting, egress: egress.cloned() };
        Ok(Self { connector: Arc::new(connector), pool: Pool::new(idle_max), timeout })
    }

    /// One that makes its connections in the same way, and has none yet.
    pub fn anew(&self, (idle_max, timeout): (usize, Duration)) -> Self {
        Self { connector: Arc::clone(&self.connector), pool: Pool::new(idle_max), timeout }
    }

    /// Uses none of the open connections for further requests.
    pub fn begin_anew(&self) {
        self.pool.begin_anew();
    }

    /// Makes a request, and returns once the head of its reply is there. How long that may take is for the caller to say: a
    /// request that is dropped before takes its connection with it.
    pub async fn send(&self, request: Outgoing) -> Result<Reply, Failure> {
        self.send_over(request, &Trail::default()).await
    }

    /// The same, noting on the way over which connection the request goes.
    pub async fn send_over(&self, mut request: Outgoing, trail: &Trail) -> Result<Reply, Failure> {
        request.complete();
        let Some((origin, mut open)) = self.pool.take(&request.url) else { return Err(Failure::connection("the URL has no host")) };
        let mut repeats = 0;
        let mut broke_at = None;
        loop {
            let mut lease = match open.take() {
                Some(mut lease) => {
                    if !lease.is_ready().await {
                        lease.discard();
                        continue;
                    }
                    lease
                }
                None => {
                    trail.goes_over(None);
                    self.connect(&origin, broke_at).await?
                }
            };
            let was_used = lease.is_used();
            // The last try needs no copy.
            let is_last = repeats == REPEATS_MAX || (!was_used && !matches!(lease.held(), Some(Held::Http2(..))));
            let (now, later) = if is_last { (request, None) } else { (request.clone(), Some(request)) };
            trail.goes_over(lease.proven());
            let answered = match lease.held() {
                Some(Held::Http1(connection)) => connection.exchange(now).await,
                Some(Held::Http2(connection, is_used)) => connection.exchange(now, *is_used).await,
                None => return Err(Failure::connection("there is no connection")),
            };
            let broken = match answered {
                Ok(response) => return Ok(Reply::new(response, lease)),
                Err(broken) => broken,
            };
            lease.is_answered = true;
            if broken.ends_connection() {
                lease.discard();
            }
            match later {
                Some(later) if broken.is_repeatable(was_used) => request = later,
                _ => return Err(broken.into_failure(self.connector.trusting)),
            }
            repeats += 1;
            broke_at = Some(Instant::now());
        }
    }

    /// A connection that is new or, where it can be shared, was made after `moment`.
    async fn connect(&self, origin: &Arc<Origin>, moment: Option<Instant>) -> Result<Lease, Failure> {
        let turn = self.pool.turn(origin);
        let mut guard = None;
        if let Some(turn) = &turn {
            guard = Some(turn.lock().await);
            // Somebody may have made one meanwhile, or found that it cannot be shared.
            if let Some(lease) = self.pool.take_younger(origin, moment) {
                return Ok(lease);
            }
            if self.pool.turn(origin).is_none() {
                guard = None;
            }
        }
        let generation = self.pool.generation();
        let connected = self.connector.connect(origin).await?;
        let opened = connection::open(connected, self.timeout, self.connector.trusting).await?;
        let lease = self.pool.add(origin, generation, opened);
        drop(guard);
        Ok(lease)
    }
}
