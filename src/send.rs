//! The only place that knows the HTTP client: one request out, and what was seen of the answer.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::header;
use jiff::Timestamp;

use crate::delivery::{Attempt, AttemptResult, DeliveryId, REPLY_BYTES_KEPT};
use crate::envelope;
use crate::retry::parse_retry_after;
use crate::transform::Request;

/// Bytes of a reply that are read, so that the connection can be used again; a longer reply closes it.
const REPLY_BYTES_READ: usize = 64 * 1024;
/// Bytes of a reply that are handed on beyond those that are kept, so that a secret across the edge is found whole.
const REPLY_MARGIN: usize = 4096;
/// How long the rest of a reply may take once its status is known: the status is what counts.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long an unused connection is kept.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(30);

/// Sends the requests of one destination.
#[derive(Debug, Clone)]
pub struct Sender {
    client: reqwest::Client,
    timeout: Duration,
}

impl Sender {
    /// A client of its own, so that no destination waits for another's connections.
    ///
    /// # Errors
    /// Where the machine's TLS set-up cannot be used.
    pub fn new(timeout: Duration, concurrency: usize) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .pool_max_idle_per_host(concurrency)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| plain_words(&error))?;
        Ok(Self { client, timeout })
    }

    /// Makes one attempt. Takes at most the destination's timeout until the reply's status is known, and at most
    /// `REPLY_WAIT_MAX` more for its body, whatever the other side does.
    pub async fn send(&self, request: Request, id: &DeliveryId) -> Attempt {
        let started_at = Timestamp::now();
        let clock = Instant::now();
        let result = self.exchange(request, id, started_at).await;
        Attempt { started_at, latency: clock.elapsed(), result }
    }

    async fn exchange(&self, request: Request, id: &DeliveryId, now: Timestamp) -> AttemptResult {
        let Request { method, url, mut headers, body } = request;
        if let Err(error) = envelope::seal(&mut headers, id, now, rand::random()) {
            return AttemptResult::NotRendered(error);
        }
        let mut request = match self.client.request(method, url).body(body).build() {
            Ok(request) => request,
            Err(error) => return AttemptResult::Failed(plain_words(&error)),
        };
        // Whole, because the builder would copy header by header. What it has made of a user in the URL stays, unless
        // the file says otherwise.
        for (name, value) in std::mem::replace(request.headers_mut(), headers) {
            if let Some(name) = name {
                request.headers_mut().entry(name).or_insert(value);
            }
        }
        let mut response = match tokio::time::timeout(self.timeout, self.client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return AttemptResult::Failed(plain_words(&error)),
            Err(_) => return AttemptResult::Failed(format!("no answer within {}", humantime::format_duration(self.timeout))),
        };
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, Timestamp::now()));
        // What is missing of a reply whose status is known is no failure.
        let mut reply = BytesMut::new();
        let _ = tokio::time::timeout(REPLY_WAIT_MAX.min(self.timeout), read_reply(&mut response, &mut reply)).await;
        AttemptResult::Replied { status, retry_after, reply: reply.freeze() }
    }
}

/// Reads a reply to its end, or to its limit, and keeps the first of it.
async fn read_reply(response: &mut reqwest::Response, kept: &mut BytesMut) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        let room = (REPLY_BYTES_KEPT + REPLY_MARGIN).saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if read > REPLY_BYTES_READ {
            return;
        }
    }
}

/// An error of the client, from the outside in, without the URL (it may hold a secret).
fn plain_words(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    if error.is_connect() {
        words.push("cannot connect".to_owned());
    } else if error.is_timeout() {
        words.push("timed out".to_owned());
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
        cause = inner.source();
    }
    if words.is_empty() {
        words.push("the request failed".to_owned());
    }
    words.join(": ")
}
