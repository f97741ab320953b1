//! One connection: made, given requests, and driven until nobody wants it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderMap, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::RngExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::broken::Broken;
use super::connect::Connected;
use super::failure::Failure;
use super::limits::{REPLY_HEAD_BYTES_MAX, REPLY_HEADERS_MAX};
use super::message::{Body, Form, KEEP_ALIVE, Outgoing};
use super::stream::Stream;
use super::trail::Arrivals;
use super::words::{Trusting, hyper_failure};
use crate::proxies::Proxy;

/// How old a connection becomes at most, so that a name that leads to another address is followed within a minute. Some become only
/// two thirds as old: those that were made together are not to be made anew together.
const AGE_MAX: Duration = Duration::from_secs(45);
/// How long an idle connection of HTTP/1.1 is kept whose server does not say for how long it keeps it. Many close after five seconds
/// and say nothing.
const IDLE_UNSAID: Duration = Duration::from_secs(4);
/// How long any idle connection is kept at most.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// A server that keeps idle connections for so many seconds is taken to do so for a second less: the other side counts from earlier.
const IDLE_MARGIN: Duration = Duration::from_secs(1);
/// A connection of HTTP/2 on which nothing came for so long is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(4);
/// Without a sign of life within this time it counts as broken, or within a longer one where requests have more time: see [`ping_timeout`].
const PING_TIMEOUT_MIN: Duration = Duration::from_secs(3);
/// The share of a request's time after which a silent connection counts as broken. Less than all, so that the request can still be
/// repeated; and not little, as a server that does one thing at a time answers nothing while it works.
const SILENCE_SHARE: f64 = 0.7;
/// Before a server of HTTP/2 has said how many requests at once it takes, it gets one: those beyond its limit it would refuse.
const STREAMS_UNSAID: usize = 1;
/// A limit of one is believed after this time; before, it may be the one above.
const STREAMS_SAID_AFTER: Duration = Duration::from_secs(1);
/// A connection of HTTP/1.1 whose reply was read is ready for the next request a moment later. Where it takes longer, as its server
/// answered before it had read the request, it is not waited for.
const READY_MAX: Duration = Duration::from_millis(100);
/// How long a connection that nobody wants may take to say goodbye.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// What holds for either protocol.
#[derive(Debug)]
struct Life {
    opened: Instant,
    ends: Instant,
    /// What ended it.
    fate: Arc<OnceLock<hyper::Error>>,
    /// Once this is dropped, the connection is closed.
    _wanted: oneshot::Sender<()>,
}

impl Life {
    /// Drives a connection in a task of its own.
    fn of(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        let (wanted, unwanted) = oneshot::channel();
        let fate = Arc::new(OnceLock::new());
        tokio::spawn(drive(connection, unwanted, Arc::clone(&fate)));
        let opened = Instant::now();
        let age = AGE_MAX.mul_f64(rand::rng().random_range(2.0 / 3.0..1.0));
        Self { opened, ends: opened + age, fate, _wanted: wanted }
    }
}

async fn drive(connection: impl Future<Output = hyper::Result<()>>, unwanted: oneshot::Receiver<()>, fate: Arc<OnceLock<hyper::Error>>) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        _ = unwanted => tokio::time::timeout(CLOSING_MAX, &mut connection).await.unwrap_or(Ok(())),
    };
    // Before the connection is dropped: whoever waits for an answer then looks for the reason here.
    if let Err(error) = ended {
        let _ = fate.set(error);
    }
}

/// A connection of HTTP/1.1, which carries one request at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    sender: http1::SendRequest<Body>,
    /// Bytes that came so far.
    arrived: Arrivals,
    by_proxy: Option<Arc<Proxy>>,
    requests: u64,
    idle_since: Instant,
    idle_max: Duration,
    life: Life,
}

/// A connection of HTTP/2, which carries many.
#[derive(Debug)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Body>,
    /// Bytes that came so far.
    arrived: Arrivals,
    /// Whether there was an answer to any request.
    answered: AtomicBool,
    /// How long the server may be silent.
    silence_max: Duration,
    /// Requests that were begun.
    requests: AtomicU64,
    /// Requests at once that the server takes.
    streams_max: Arc<AtomicUsize>,
    /// No more requests are to go over it.
    retired: AtomicBool,
    life: Life,
}

/// Either.
pub(super) enum Opened {
    Http1(Http1),
    Http2(Http2),
}

/// How long a sign of life may take where a request may take so long.
fn ping_timeout(timeout: Duration) -> Duration {
    timeout.mul_f64(SILENCE_SHARE).saturating_sub(PING_INTERVAL).max(PING_TIMEOUT_MIN)
}

/// Speaks the protocol that was agreed on. A request may take as long as `timeout`.
pub(super) async fn open(connected: Connected, timeout: Duration, trusting: Trusting) -> Result<Opened, Failure> {
    let Connected { stream, is_http_2, by_proxy } = connected;
    let failed = |error: hyper::Error| hyper_failure(&error, trusting).connecting();
    let arrived = Arrivals::default();
    let stream = TokioIo::new(Counted { stream, arrived: Arc::clone(&arrived) });
    if is_http_2 {
        let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(ping_timeout(timeout))
            .keep_alive_while_idle(true)
            .initial_max_send_streams(STREAMS_UNSAID)
            .max_header_list_size(REPLY_HEAD_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(failed)?;
        let streams_max = Arc::new(AtomicUsize::new(STREAMS_UNSAID));
        let seen = Arc::clone(&streams_max);
        let connection = poll_fn(move |context| {
            let polled = Pin::new(&mut connection).poll(context);
            seen.store(connection.current_max_send_streams(), Ordering::Relaxed);
            polled
        });
        let (requests, answered, retired) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let (silence_max, life) = (PING_INTERVAL + ping_timeout(timeout), Life::of(connection));
        return Ok(Opened::Http2(Http2 { sender, arrived, answered, silence_max, requests, streams_max, retired, life }));
    }
    let (sender, connection) = http1::Builder::new()
        .max_headers(REPLY_HEADERS_MAX)
        .max_header_size(REPLY_HEAD_BYTES_MAX as usize)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(stream)
        .await
        .map_err(failed)?;
    let life = Life::of(connection);
    Ok(Opened::Http1(Http1 { sender, arrived, by_proxy, requests: 0, idle_since: life.opened, idle_max: IDLE_UNSAID, life }))
}

impl Http1 {
    /// Whether it carried a request before.
    pub fn is_used(&self) -> bool {
        self.requests > 0
    }

    /// What comes over it, if it carried a request before.
    pub fn proven(&self) -> Option<Arrivals> {
        self.is_used().then(|| Arc::clone(&self.arrived))
    }

    /// Makes a request.
    pub async fn exchange(&mut self, request: Outgoing) -> Result<Response<Incoming>, Broken> {
        let form = self.by_proxy.as_deref().map_or(Form::Direct, Form::ByProxy);
        let message = request.into_message(form).map_err(Broken::Unsendable)?;
        self.requests += 1;
        let arrived = self.arrived.load(Ordering::Relaxed);
        let answered = self.sender.try_send_request(message).await;
        let response = answered.map_err(|mut error| {
            // A request that comes back was never sent: whatever came is no answer to it.
            let is_unsent = error.take_message().is_some();
            let nothing_came = is_unsent || self.arrived.load(Ordering::Relaxed) == arrived;
            Broken::Http1 { error: error.into_error(), nothing_came, fate: Arc::clone(&self.life.fate) }
        })?;
        self.idle_max = idle_max(response.headers());
        Ok(response)
    }

    /// Waits a moment until the request before is wholly done with; `false` where the next one cannot go over it.
    pub async fn is_ready_soon(&mut self) -> bool {
        // Nearly always it is done with already.
        if self.sender.is_ready() {
            return true;
        }
        matches!(tokio::time::timeout(READY_MAX, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Whether the next request can go over it right now.
    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Notes that nothing goes over it from now on.
    pub fn rest(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Whether the next request may go over it, when it is ready.
    pub fn is_usable(&self, now: Instant) -> bool {
        now < self.life.ends && now.duration_since(self.idle_since) < self.idle_max && !self.sender.is_closed()
    }
}

impl Http2 {
    /// Makes a request. `is_used` tells whether the connection carried one before.
    pub async fn exchange(&self, request: Outgoing, is_used: bool) -> Result<Response<Incoming>, Broken> {
        let message = request.into_message(Form::Http2).map_err(Broken::Unsendable)?;
        let answered = self.sender.clone().try_send_request(message).await;
        let (silence_max, fate) = (self.silence_max, &self.life.fate);
        let response =
            answered.map_err(|error| Broken::Http2 { error: error.into_error(), is_used, silence_max, fate: Arc::clone(fate) })?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// What comes over it, if there was an answer to any request.
    pub fn proven(&self) -> Option<Arrivals> {
        self.answered.load(Ordering::Relaxed).then(|| Arc::clone(&self.arrived))
    }

    /// Counts a request; whether there were others before.
    pub fn begin(&self) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// Lets no more requests go over it. It is closed once those under way have ended.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether further requests may go over it beside those `active`; `idle_since` counts where there are none.
    pub fn is_usable(&self, now: Instant, active: usize, idle_since: Instant) -> bool {
        let rests_too_long = active == 0 && now.duration_since(idle_since) >= IDLE_MAX;
        !rests_too_long && now < self.life.ends && !self.retired.load(Ordering::Relaxed) && !self.sender.is_closed()
    }

    /// Whether the server takes another request beside those `active`.
    pub fn has_room(&self, now: Instant, active: usize) -> bool {
        let streams_max = self.streams_max.load(Ordering::Relaxed);
        let unsaid = streams_max == STREAMS_UNSAID && now.duration_since(self.life.opened) < STREAMS_SAID_AFTER;
        unsaid || active < streams_max
    }

    /// Whether it was made after this moment.
    pub fn is_younger_than(&self, moment: Instant) -> bool {
        self.life.opened > moment
    }
}

/// For how long a connection may be idle by what its server says (`keep-alive: timeout=5`).
fn idle_max(headers: &HeaderMap) -> Duration {
    let said = headers.get(KEEP_ALIVE).and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|said| {
        let parameter = said.split([',', ';']).find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
        parameter.trim().parse().ok().map(Duration::from_secs)
    });
    seconds.map_or(IDLE_UNSAID, |seconds| seconds.saturating_sub(IDLE_MARGIN).min(IDLE_MAX))
}

/// Counts what comes, so that it is known whether there was anything of an answer.
struct Counted {
    stream: Box<dyn Stream>,
    arrived: Arrivals,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().len() - before;
        if came > 0 {
            self.arrived.fetch_add(came as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn a_request_that_was_never_sent_may_be_made_again_whatever_came() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let (sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        let arrived = Arrivals::default();
        let life = Life::of(async { Ok(()) });
        let (idle_since, idle_max) = (life.opened, IDLE_UNSAID);
        let mut used = Http1 { sender, arrived: Arc::clone(&arrived), by_proxy: None, requests: 1, idle_since, idle_max, life };
        let url = Url::parse("http://crm.example.com/").unwrap();
        let mut exchange = pin!(used.exchange(Outgoing { method: Method::POST, url, headers: HeaderMap::new(), body: Bytes::new() }));
        assert!(futures_util::poll!(&mut exchange).is_pending());
        // A line break behind the answer before, and the end.
        arrived.fetch_add(2, Ordering::Relaxed);
        drop(connection);
        assert!(exchange.await.unwrap_err().is_repeatable(true));
    }

    #[test]
    fn a_server_that_is_busy_has_most_of_a_requests_time_to_show_that_it_lives() {
        for (timeout, silence) in [(1, 7), (10, 7), (60, 42)] {
            assert_eq!(PING_INTERVAL + ping_timeout(Duration::from_secs(timeout)), Duration::from_secs(silence));
        }
    }

    #[test]
    fn what_a_server_says_of_idle_connections_counts_less_a_margin() {
        for (said, seconds) in [
            (None, 4),
            (Some("timeout=5"), 4),
            (Some("max=100, timeout=10"), 9),
            (Some("timeout=1"), 0),
            (Some("timeout=0"), 0),
            (Some("timeout=86400"), 30),
            (Some("timeout=soon"), 4),
            (Some("max=5"), 4),
        ] {
            let headers = said.map(|said| (KEEP_ALIVE, said.parse().unwrap())).into_iter().collect();
            assert_eq!(idle_max(&headers), Duration::from_secs(seconds), "{said:?}");
        }
    }
}
