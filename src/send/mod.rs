//! The only place that knows the HTTP client: one request out, and what was seen of the answer.

mod client;
mod collector;
mod reply;
mod tokens;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use jiff::Timestamp;

use crate::config::{Auth, Destination, Tls};
use crate::delivery::{Attempt, AttemptResult, FailureReason, MessageId};
use crate::envelope;
use crate::oauth2::NoToken;
use crate::retry::parse_retry_after;
use crate::success;
use crate::trace_context::Span;
use crate::transform::Request;

pub use self::collector::Collector;
use tokens::{Token, Tokens};
use words::plain_words;

/// Sends the requests of one destination. Cloning shares connections and token.
#[derive(Debug, Clone)]
pub struct Sender {
    client: reqwest::Client,
    made_for: Arc<Connections>,
    tokens: Option<Arc<Tokens>>,
}

/// What a client depends on.
#[derive(Debug, Clone, PartialEq)]
struct Connections {
    timeout: Duration,
    concurrency: usize,
    tls: Tls,
}

impl Sender {
    /// A client of the destination's own, so that it waits for nobody else's connections. What the destination's `old` sender
    /// has is kept where it depends on nothing that changed: a token is not asked for anew because a timeout is another.
    ///
    /// # Errors
    /// Where the machine's TLS set-up cannot be used.
    pub fn new(destination: &Destination, old: Option<&Self>) -> Result<Self, String> {
        let Destination { timeout, concurrency, tls, .. } = destination;
        let made_for = Arc::new(Connections { timeout: *timeout, concurrency: *concurrency, tls: tls.clone() });
        let client = match old {
            Some(old) if old.made_for == made_for => old.client.clone(),
            _ => client::for_deliveries(*timeout, *concurrency, tls)?,
        };
        let tokens = match (&destination.auth, old.and_then(|old| old.tokens.as_ref())) {
            (Some(Auth::OAuth2(credentials)), Some(old)) if old.serve(credentials, tls) => Some(Arc::clone(old)),
            (Some(Auth::OAuth2(credentials)), _) => Some(Arc::new(Tokens::new(Arc::clone(credentials), tls.clone())?)),
            (Some(Auth::Basic(_)) | None, _) => None,
        };
        Ok(Self { client, made_for, tokens })
    }

    /// Makes one attempt. Takes at most the destination's timeout until the reply's status is known, and a moment more for
    /// its body, whatever the other side does; asking for a token takes at most the timeout too, and where a token is
    /// refused, both come a second time. `span` is where the attempt stands in a trace.
    pub async fn send(&self, request: Request, destination: &Destination, id: &MessageId, span: Span) -> Attempt {
        let started_at = Timestamp::now();
        let clock = Instant::now();
        let result = self.exchange(request, destination, id, started_at, span).await;
        Attempt { started_at, latency: clock.elapsed(), result }
    }

    async fn exchange(&self, mut request: Request, destination: &Destination, id: &MessageId, now: Timestamp, span: Span) -> AttemptResult {
        if let Err(error) = envelope::seal(&mut request, destination, id, now, span) {
            return AttemptResult::NotRendered(error);
        }
        // An `authorization` that is there already was given by the route.
        let tokens = self.tokens.as_ref().filter(|_| !request.headers.contains_key(AUTHORIZATION));
        let Some(tokens) = tokens else { return self.once(request, destination, None).await };
        let asked = Instant::now();
        let token = match tokens.get(self.made_for.timeout, None).await {
            Ok(token) => token,
            Err(none) => return without_token(none),
        };
        let result = self.once(request.clone(), destination, Some(&token)).await;
        let refused = matches!(result, AttemptResult::Replied { status, .. } if status == StatusCode::UNAUTHORIZED);
        // A token that was made for this very attempt would not get better by being asked for again.
        if !refused || token.made_since(asked) {
            return result;
        }
        match tokens.get(self.made_for.timeout, Some(&token)).await {
            Ok(token) => self.once(request, destination, Some(&token)).await,
            Err(none) => without_token(none),
        }
    }

    /// One request and its answer.
    async fn once(&self, request: Request, destination: &Destination, token: Option<&Token>) -> AttemptResult {
        let Request { method, url, mut headers, body } = request;
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.header.clone());
        }
        let timeout = self.made_for.timeout;
        let deadline = Instant::now() + timeout;
        let mut request = match self.client.request(method, url).body(body).build() {
            Ok(request) => request,
            Err(error) => return failed(&error),
        };
        // Whole, because the builder would copy header by header. What it has made of a user in the URL stays, unless
        // the file says otherwise.
        for (name, value) in std::mem::replace(request.headers_mut(), headers) {
            if let Some(name) = name {
                request.headers_mut().entry(name).or_insert(value);
            }
        }
        let mut response = match tokio::time::timeout(timeout, self.client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(&error),
            Err(_) => {
                let reason = format!("no answer within {}", humantime::format_duration(timeout));
                return AttemptResult::Failed(FailureReason::Timeout, reason);
            }
        };
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, Timestamp::now()));
        let success = destination.success.as_ref().filter(|_| status.is_success());
        let (mut reply, shortcoming) = match success {
            Some(success) => {
                let (reply, end) = reply::whole(&mut response, success::REPLY_BYTES_MAX, deadline).await;
                let shortcoming = success::shortcoming(success, &reply, end);
                (reply, shortcoming)
            }
            None => (reply::beginning(&mut response, timeout).await, None),
        };
        reply::shorten(&mut reply);
        if let Some(token) = token {
            reply = token.mask(&reply);
        }
        AttemptResult::Replied { status: status.as_u16(), retry_after, reply, shortcoming }
    }
}

fn without_token(none: NoToken) -> AttemptResult {
    match none {
        NoToken::Refused(reason) => AttemptResult::CredentialsRefused(reason),
        NoToken::Failed(reason) => AttemptResult::Failed(FailureReason::Credentials, reason),
    }
}

fn failed(error: &reqwest::Error) -> AttemptResult {
    AttemptResult::Failed(words::reason(error), plain_words(error))
}
