//! The token of a destination with OAuth 2.0: one for all its attempts, asked for once however many wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::config::{Secrets, Tls};
use crate::delivery::FailureReason;
use crate::egress::Guard;
use crate::oauth2::{self, ClientCredentials, Grant, NoToken};
use crate::retry_after::rest_asked_for;
use crate::success::ReplyEnd;

use super::TRUSTING;
use super::client::Client;
use super::failure::Failure;
use super::message::Outgoing;
use super::setup::SetupError;
use super::trust::Own;

/// Bytes of a token server's answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A token server that is silent for most of this time counts as gone. A destination's `timeout` ends it before where that is shorter.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Where a token that is still good could not be replaced, it is used for so long before the server is asked again.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);

/// Asks for tokens and keeps the last.
#[derive(Debug)]
pub(super) struct Tokens {
    credentials: Arc<ClientCredentials>,
    tls: Tls,
    egress: Arc<Guard>,
    client: Client,
    /// Held while a token is asked for: whoever comes meanwhile waits for that answer.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    refresh_at: Option<Instant>,
    /// The last answer that gave none, and when it came.
    failure: Option<(Instant, NoToken)>,
}

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    pub header: HeaderValue,
    masks: Secrets,
    made_at: Instant,
    ends_at: Instant,
}

impl Token {
    /// Whether it was made after this moment.
    pub fn made_since(&self, moment: Instant) -> bool {
        self.made_at >= moment
    }

    /// A reply without the token, where it echoed it.
    pub fn mask(&self, reply: &Bytes) -> Bytes {
        if reply.is_empty() {
            return reply.clone();
        }
        Bytes::from(self.masks.mask(&String::from_utf8_lossy(reply)))
    }
}

impl Tokens {
    pub fn new(credentials: Arc<ClientCredentials>, tls: Tls, egress: &Arc<Guard>) -> Result<Self, SetupError> {
        // The server may be as private as the destination, or a public one. It is asked minutes apart, so no connection is kept.
        let client = Client::new(&tls, Own::Beside, (0, ANSWER_TIME), TRUSTING, Some(egress))?;
        Ok(Self { credentials, tls, egress: Arc::clone(egress), client, state: Mutex::default() })
    }

    /// Whether these are tokens for these credentials, asked for in this way.
    pub fn serve(&self, credentials: &ClientCredentials, tls: &Tls, egress: &Arc<Guard>) -> bool {
        *self.credentials == *credentials && self.tls == *tls && self.egress == *egress
    }

    /// A token that is good, and is not the one that the destination `refused`. The server's answer may take so long, and ask to come
    /// again after `wait_max`.
    pub async fn get(&self, (timeout, wait_max): (Duration, Duration), refused: Option<&Arc<Token>>) -> Result<Arc<Token>, NoToken> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(refused) = refused
            && state.token.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused))
        {
            state.token = None;
        }
        if let Some(token) = &state.token {
            let fresh = token.ends_at > now && state.refresh_at.is_none_or(|at| now < at);
            // However short its life is: it was made while this attempt waited.
            if fresh || token.made_since(asked) {
                return Ok(Arc::clone(token));
            }
        }
        if let Some((at, failure)) = &state.failure
            && *at >= asked
        {
            return Err(failure.clone());
        }
        match self.ask(timeout, wait_max).await {
            Ok((token, refresh_after)) => {
                let token = Arc::new(token);
                *state = State { token: Some(Arc::clone(&token)), refresh_at: now.checked_add(refresh_after), failure: None };
                Ok(token)
            }
            Err(failure) => {
                let now = Instant::now();
                if let Some(token) = state.token.clone().filter(|token| token.ends_at > now) {
                    tracing::warn!(error = %failure, "a token could not be replaced before its end; it is used on");
                    state.refresh_at = now.checked_add(REFRESH_AGAIN);
                    return Ok(token);
                }
                state.failure = Some((now, failure.clone()));
                Err(failure)
            }
        }
    }

    /// One request to the token server: a token, and after how long it should be replaced.
    async fn ask(&self, timeout: Duration, wait_max: Duration) -> Result<(Token, Duration), NoToken> {
        let failed = |reason: &str| NoToken::Failed(format!("the token server: {reason}"));
        let (headers, form) = self.credentials.request();
        let began = Instant::now();
        let too_slow = || failed(&format!("no answer within {}", humantime::format_duration(timeout)));
        let url = self.credentials.token_url.clone();
        let sent = self.client.send(Outgoing { method: Method::POST, url, headers, body: Bytes::from(form) });
        let answer = match tokio::time::timeout(timeout, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure { reason: FailureReason::Egress, words })) => return Err(NoToken::Closed(format!("the token server: {words}"))),
            Ok(Err(failure)) => return Err(failed(&failure.words)),
            Err(_) => return Err(too_slow()),
        };
        let status = answer.status.as_u16();
        let asked = rest_asked_for(&answer.headers, status == 429, Timestamp::now(), wait_max);
        let (body, end) = answer.whole(ANSWER_BYTES_MAX, began + timeout).await;
        match end {
            ReplyEnd::Whole => {}
            ReplyEnd::TooLong => return Err(failed(&format!("an answer of more than {} KiB", ANSWER_BYTES_MAX / 1024))),
            ReplyEnd::Cut => return Err(failed("an answer that was cut off")),
            ReplyEnd::TooSlow => return Err(too_slow()),
            ReplyEnd::Unreadable => return Err(failed("an answer that is compressed, and not as gzip")),
            ReplyEnd::Damaged => return Err(failed("an answer of gzip that is cut off or damaged")),
        }
        let Grant { token, header, lifetime } = oauth2::read_answer(status, asked, &body)?;
        // Its life is counted from before the answer came, so that the relay never takes it for longer than it is.
        let token = Token { header, masks: Secrets::of(&token), made_at: Instant::now(), ends_at: began + lifetime };
        Ok((token, oauth2::refresh_after(lifetime)))
    }
}
