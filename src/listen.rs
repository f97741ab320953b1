//! Serving HTTP/1.1 connections within limits: how many, how long the first byte and headers may take, how long a connection may
//! be idle, and who has to go where there is no room. Both ports use it. axum's own `serve` has none of these limits.

mod answer;
mod connection;
mod crowd;
mod phase;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use self::answer::Answer;
use self::connection::Watched;
use self::crowd::Crowd;
use self::phase::Phase;
use crate::fault;
use crate::problem::problem;
use crate::vitals::{Part, Vitals};

/// How long a new connection may be silent. A program that connects has something to say.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds in which a request's headers must be complete, from their first byte.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for a request. Longer than the proxies in front usually wait (60 s), so that it is
/// they who close, never just as they send a webhook.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes that are buffered for headers; what is far above gets 431 (the buffer may hold a little more).
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Headers at most; more gets 431.
const HEADERS_MAX: usize = 100;
/// What whoever asked is told then. Wiza repeats the webhook.
const PANICKED: &str = "the relay itself failed on this request, which is a bug; its log has the place";
/// The pause after `accept` failed, for example because no file descriptor is left.
const ACCEPT_FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// Where nobody can be sent away, because every connection has a request under way, it is tried again so often.
const CROWDED_PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log about a crowd.
const CROWDED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long the other side may take.
#[derive(Clone, Copy)]
struct Timeouts {
    first_byte: Duration,
    headers: Duration,
}

const TIMEOUTS: Timeouts = Timeouts { first_byte: FIRST_BYTE_TIMEOUT, headers: HEADER_TIMEOUT };

/// What a listener needs to know.
#[derive(Clone)]
pub struct Limits {
    /// Connections at a time. For a further one an idle one is closed; if none is idle it waits, and more wait in the kernel's queue.
    pub connections_max: usize,
    /// Told what happens to connections.
    pub observe: Arc<dyn Fn(Happened) + Send + Sync>,
    /// Told where a request panics.
    pub vitals: Arc<Vitals>,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It was accepted.
    Opened,
    /// It ended.
    Closed,
    /// Its headers took too long.
    HeadersLate,
    /// It said nothing at all for too long.
    Silent,
    /// It was idle, and its place was needed.
    SentAway,
}

/// A connection that is open, told of at both ends of its life.
struct Open(Arc<dyn Fn(Happened) + Send + Sync>);

impl Open {
    fn new(observe: Arc<dyn Fn(Happened) + Send + Sync>) -> Self {
        observe(Happened::Opened);
        Self(observe)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.0)(Happened::Closed);
    }
}

/// Serves `router` until `stop` is cancelled; then accepts no more, lets requests in progress end, and returns when
/// the last connection is closed. The caller bounds how long that may take.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut room = Room { permits, crowd: Arc::default(), told: None };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        fault::point("listener");
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_FAILURE_PAUSE).await;
                continue;
            }
        };
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = room.for_one_more() => permit,
        };
        // Answers are small and single: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let phase = Phase::new();
        let place = room.crowd.enter(address.ip(), phase.clone());
        let stream = Watched::new(stream, phase.clone(), TIMEOUTS, Arc::clone(&limits.observe));
        let open = Open::new(Arc::clone(&limits.observe));
        let (observe, leaving) = (Arc::clone(&limits.observe), phase.clone());
        let router = router.clone();
        let vitals = Arc::clone(&limits.vitals);
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            let mut router = router.clone();
            let phase = phase.clone();
            let vitals = Arc::clone(&vitals);
            async move {
                phase.request_begins();
                // A panic ends this request and no other one.
                let response = match vitals.watch(Part::Request, "a request", router.call(request)).await {
                    Some(Ok(response)) => response,
                    None => problem(StatusCode::INTERNAL_SERVER_ERROR, PANICKED, Vec::new()),
                };
                let answering = phase.request_ends(response.status().is_success());
                Ok::<_, Infallible>(response.map(|body| Answer { body, _answering: answering }))
            }
        });
        let mut builder = http1::Builder::new();
        // Who has said all and closes that direction still wants the answer.
        builder.half_close(true);
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(HEADER_BYTES_MAX).max_headers(HEADERS_MAX);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // What goes wrong on a connection (a reset, malformed HTTP) is the other side's affair; hyper has answered
            // where there was something to answer.
            tokio::select! {
                biased;
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = leaving.has_to_go() => observe(Happened::SentAway),
            }
            drop((open, place, permit));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Who is connected, and how many may be.
struct Room {
    permits: Arc<Semaphore>,
    crowd: Arc<Crowd>,
    /// When the log last said that there is no room.
    told: Option<Instant>,
}

impl Room {
    /// Waits for room for a newcomer, whose connection is accepted already, and makes it.
    async fn for_one_more(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        if self.told.is_none_or(|told| told.elapsed() >= CROWDED_LOG_INTERVAL) {
            self.told = Some(Instant::now());
            tracing::warn!("all connections are taken: the idlest are closed, those of strangers first, for those that come");
        }
        loop {
            self.crowd.make_room();
            match tokio::time::timeout(CROWDED_PAUSE, Arc::clone(&self.permits).acquire_owned()).await {
                Ok(permit) => return permit.ok(),
                Err(_) => continue,
            }
        }
    }
}
