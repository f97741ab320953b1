//! The only place that knows the HTTP client: one request out, and what was seen of the answer.

mod broken;
mod client;
mod collector;
mod connect;
mod connection;
mod failure;
mod limits;
mod message;
mod pool;
mod reply;
mod setup;
#[cfg(test)]
pub(crate) mod simulated;
mod stream;
mod this_machine;
mod tokens;
mod trail;
mod trust;
mod tunnel;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use crate::config::{Auth, Destination, Tls};
use crate::delivery::{Attempt, AttemptResult, FailureReason, MessageId};
use crate::egress::Guard;
use crate::envelope;
use crate::oauth2::NoToken;
use crate::retry_after::rest_asked_for;
use crate::success;
use crate::trace_context::Span;
use crate::transform::Request;

pub use self::collector::Collector;
pub use self::setup::SetupError;
use client::Client;
use failure::Failure;
use message::Outgoing;
use tokens::{Token, Tokens};
use trail::Trail;
use trust::Own;
use words::Trusting;

/// What makes a destination's client trust an authority of one's own.
const TRUSTING: Trusting = Trusting("`tls: { ca: /path.pem }`");

/// Sends the requests of one destination. Cloning shares connections and token.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    made_for: Arc<Connections>,
    tokens: Option<Arc<Tokens>>,
}

/// What a client depends on.
#[derive(Debug, Clone, PartialEq)]
struct Connections {
    timeout: Duration,
    tls: Tls,
    egress: Arc<Guard>,
}

impl Sender {
    /// A client of the destination's own, so that it waits for nobody else's connections, and without any connections yet. The token
    /// of the destination's `old` sender is kept where it depends on nothing that changed: it is not asked for anew because a timeout
    /// is another. `egress` says where its requests, and those for tokens, may go.
    ///
    /// # Errors
    /// Where the machine's TLS set-up cannot be used.
    pub fn new(destination: &Destination, egress: &Arc<Guard>, old: Option<&Self>) -> Result<Self, SetupError> {
        let Destination { timeout, concurrency, tls, .. } = destination;
        let made_for = Arc::new(Connections { timeout: *timeout, tls: tls.clone(), egress: Arc::clone(egress) });
        let client = match old {
            Some(old) if old.made_for.tls == *tls && old.made_for.egress == *egress => old.client.anew((*concurrency, *timeout)),
            _ => Client::new(tls, Own::Instead, (*concurrency, *timeout), TRUSTING, Some(egress))?,
        };
        let tokens = match (&destination.auth, old.and_then(|old| old.tokens.as_ref())) {
            (Some(Auth::OAuth2(credentials)), Some(old)) if old.serve(credentials, tls, egress) => Some(Arc::clone(old)),
            (Some(Auth::OAuth2(credentials)), _) => Some(Arc::new(Tokens::new(Arc::clone(credentials), tls.clone(), egress)?)),
            (Some(Auth::Basic(_)) | None, _) => None,
        };
        Ok(Self { client, made_for, tokens })
    }

    /// Makes further requests over new connections only. A token is kept.
    pub fn begin_anew(&self) {
        self.client.begin_anew();
    }

    /// Makes one attempt. Takes at most the destination's timeout until the reply's status is known, and a moment more for
    /// its body, whatever the other side does; asking for a token takes at most the timeout too, and where a token is
    /// refused, both come a second time. `span` is where the attempt stands in a trace.
    pub async fn send(&self, request: Request, destination: &Destination, id: &MessageId, span: Span) -> Attempt {
        #[cfg(test)]
        if let Some(attempt) = simulated::send(&request, destination, id).await {
            return attempt;
        }
        let started_at = Timestamp::now();
        let clock = Instant::now();
        let result = self.exchange(request, destination, id, started_at, span).await;
        Attempt { started_at, latency: clock.elapsed(), result }
    }

    async fn exchange(&self, mut request: Request, destination: &Destination, id: &MessageId, now: Timestamp, span: Span) -> AttemptResult {
        if let Err(error) = envelope::seal(&mut request, destination, id, now, span) {
            return AttemptResult::NotRendered(error.to_string());
        }
        // An `authorization` that is there already was given by the route.
        let tokens = self.tokens.as_ref().filter(|_| !request.headers.contains_key(AUTHORIZATION));
        let Some(tokens) = tokens else { return self.once(request, destination, None).await };
        let asked = Instant::now();
        let limits = (self.made_for.timeout, destination.retry.max);
        let token = match tokens.get(limits, None).await {
            Ok(token) => token,
            Err(none) => return without_token(none),
        };
        let result = self.once(request.clone(), destination, Some(&token)).await;
        let refused = matches!(result, AttemptResult::Replied { status, .. } if status == StatusCode::UNAUTHORIZED);
        // A token that was made for this very attempt would not get better by being asked for again.
        if !refused || token.made_since(asked) {
            return result;
        }
        match tokens.get(limits, Some(&token)).await {
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
        let trail = Trail::default();
        let sent = self.client.send_over(Outgoing { method, url, headers, body }, &trail);
        let answer = match tokio::time::timeout(timeout, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure { reason, words })) => return AttemptResult::Failed(reason, words),
            Err(_) => {
                let reason = format!("no answer within {}", humantime::format_duration(timeout));
                if trail.is_silent() {
                    return AttemptResult::Silent(format!("{reason}, over a connection that was used before"));
                }
                return AttemptResult::Failed(FailureReason::Timeout, reason);
            }
        };
        let status = answer.status;
        let throttled = destination.retry.is_throttle(status.as_u16());
        let retry_after = rest_asked_for(&answer.headers, throttled, Timestamp::now(), destination.retry.max);
        let success = destination.success.as_ref().filter(|_| status.is_success());
        let (mut reply, shortcoming) = match success {
            Some(success) => {
                let (reply, end) = answer.whole(success::REPLY_BYTES_MAX, deadline).await;
                let shortcoming = success::shortcoming(success, &reply, end);
                (reply, shortcoming)
            }
            None => (answer.beginning(timeout).await, None),
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
        NoToken::Delayed { status, until, reason } => AttemptResult::TokenDelayed { status, until, error: reason },
        NoToken::Closed(reason) => AttemptResult::Failed(FailureReason::Egress, reason),
    }
}
