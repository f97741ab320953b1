//! Serving HTTP/1.1 connections within limits: how many, how long headers may take, how long a connection may be
//! idle. Both ports use it. axum's own `serve` has none of these limits.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use self::connection::{Phase, Watched};
use crate::fault;
use crate::problem::problem;
use crate::vitals::{Part, Vitals};

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

/// What a listener needs to know.
#[derive(Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
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
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        fault::point("listener");
        let (stream, address, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_FAILURE_PAUSE).await;
                continue;
            }
        };
        // Answers are small and single: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let phase = Phase::new();
        let stream = Watched::new(stream, phase.clone(), HEADER_TIMEOUT, Arc::clone(&limits.observe));
        let open = Open::new(Arc::clone(&limits.observe));
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
                let response = vitals.watch(Part::Request, "a request", router.call(request)).await;
                phase.request_ends();
                response.unwrap_or_else(|| Ok(problem(StatusCode::INTERNAL_SERVER_ERROR, PANICKED, Vec::new())))
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
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((open, permit));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}
