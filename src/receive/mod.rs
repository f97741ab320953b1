//! A webhook's way in: is it Wiza's, is it whole, where does it go, is it on the disk. Only then 200.

mod answer;
mod body;
mod memory;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::answer::Answer;
use self::memory::{Held, Memory};
pub use self::memory::{RECEIVE_MEMORY_DEFAULT, RECEIVE_MEMORY_MIN};
use crate::config::Source;
use crate::event::{Event, EventId, parse_payload};
use crate::fault;
use crate::guesses::Guesses;
use crate::metrics::{Metrics, NAMELESS_ACCOUNT, WebhookOutcome, seconds};
use crate::route::Decision;
use crate::rules::{CurrentRules, Rules};
use crate::store::{Appended, DedupeKey, Disposition, NewEvent, Store, Unavailable};
use crate::traces::{Receipt, Traces};
use crate::verify::{ApiKey, Verdict};
use crate::withhold::Withheld;

/// The header that Wiza signs with.
pub const AUTH_HEADER: &str = "x-auth-key";

/// Webhooks that are being stored at a time, at most: each is in memory, and its sender may have gone.
const KEPT_AT_ONCE_MAX: usize = 4096;

/// Wrong keys a minute from one address; the next gets 429.
const WRONG_KEYS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// What receiving needs.
pub struct Receiver {
    store: Arc<dyn Store>,
    rules: CurrentRules,
    metrics: Arc<Metrics>,
    traces: Traces,
    wrong_keys: Guesses,
    /// What those that are being received may take.
    memory: Arc<Memory>,
    /// Room for webhooks that are being stored.
    room: Arc<Semaphore>,
    /// Cancelled: answer 503 from now on.
    draining: tokio_util::sync::CancellationToken,
}

impl Receiver {
    /// The webhook port's handler. What is being received takes at most `memory_max` bytes.
    pub fn router(
        memory_max: u64,
        store: Arc<dyn Store>,
        rules: CurrentRules,
        metrics: Arc<Metrics>,
        traces: Traces,
        draining: tokio_util::sync::CancellationToken,
    ) -> Router {
        let memory = Memory::new(memory_max, Arc::clone(&metrics));
        let receiver = Arc::new(Self {
            memory,
            store,
            rules,
            metrics,
            traces,
            wrong_keys: Guesses::new(WRONG_KEYS_PER_MINUTE, Instant::now()),
            room: Arc::new(Semaphore::new(KEPT_AT_ONCE_MAX)),
            draining,
        });
        // The path is part of the rules and can change while the relay runs, so the handler compares it itself.
        Router::new().fallback(webhook).with_state(receiver)
    }
}

async fn webhook(State(receiver): State<Arc<Receiver>>, ConnectInfo(address): ConnectInfo<SocketAddr>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let began = Instant::now();
    let rules = receiver.rules.load_full();
    let (account, refusal) = match receiver.enter(&rules.config.source, address, &head, began) {
        Ok((rest, key)) => match receiver.admit(&rules, rest, key, &head, &mut body, began).await {
            Ok(admitted) => return receiver.keep(admitted).await,
            Err(refusal) => (Some(label(key)), refusal),
        },
        Err((key, refusal)) => (key.map(label), refusal),
    };
    receiver.count(&refusal, account);
    // Whoever asks first whether to send the body (Expect: 100-continue) has not sent it.
    let refused_early = matches!(refusal, Answer::TooSlow(_)) || head.headers.contains_key(http::header::EXPECT);
    // After the end of the body this is at once true.
    let body_ended = !refused_early && body::discard(&mut body).await;
    let mut response = refusal.into_response();
    if !body_ended {
        // What follows on the connection is a body that nobody wants, not a request.
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

/// A webhook that has come whole and with a right key, and is now the relay's to keep.
struct Admitted {
    /// When its headers had come.
    began: Instant,
    rules: Arc<Rules>,
    event: Event,
    /// The memory that it takes.
    held: Held,
    /// Where its trace is recorded.
    receipt: Option<Receipt>,
}

impl Receiver {
    /// Whether a webhook may come in, by its path and its key. Gives what follows the source's path, and the key; a refusal gives the
    /// key too, where it is a right one.
    fn enter<'r>(
        &self,
        source: &'r Source,
        address: SocketAddr,
        head: &'r Parts,
        began: Instant,
    ) -> Result<(&'r str, &'r ApiKey), (Option<&'r ApiKey>, Answer)> {
        let key = only_key(&head.headers);
        let Some(rest) = below(&source.path, head.uri.path()) else {
            // The same comparison, so that the path says nothing that the key would not.
            if source.api_keys.knows(key) {
                return Err((None, self.misdirected(source)));
            }
            // A right key gets another answer here too, so this is no place to guess without a limit.
            let is_guess = head.headers.contains_key(AUTH_HEADER);
            return Err((None, if is_guess { self.wrong_key(address, began, Answer::WrongPath) } else { Answer::WrongPath }));
        };
        if head.method != http::Method::POST {
            return Err((None, Answer::WrongMethod));
        }
        match source.api_keys.judge(key, rest) {
            Verdict::Right(key) => Ok((rest, key)),
            Verdict::Wrong => Err((None, self.wrong_key(address, began, Answer::Unauthorized))),
            Verdict::Elsewhere(key) => {
                tracing::warn!(
                    account = key.account.as_deref(),
                    bound_to = key.path.as_deref(),
                    "a webhook was refused: its key is right, but not for the path it came on; correct the URL in Wiza's settings, or the \
                     key's `path`"
                );
                // The same answer as to a wrong key, and under the same limit: whoever guesses learns nothing from it.
                Err((Some(key), self.wrong_key(address, began, Answer::Unauthorized)))
            }
        }
    }

    /// Reads a webhook that came with this key, `rest` being what follows the source's path.
    async fn admit(
        &self,
        rules: &Arc<Rules>,
        rest: &str,
        key: &ApiKey,
        head: &Parts,
        body: &mut Body,
        began: Instant,
    ) -> Result<Admitted, Answer> {
        let source = &rules.config.source;
        if self.draining.is_cancelled() {
            return Err(Answer::Unavailable(Unavailable::Closing));
        }
        let mut held = self.memory.held();
        let body = body::read(&head.headers, body, source.body_bytes_max, &mut held).await?;
        let now = Timestamp::now();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let event = Event::new(EventId::new(now), now, rest.to_owned(), query, body).of_account(key.account.clone());
        let receipt = self.traces.receipt(&event.id, began, &head.headers, &source.path);
        Ok(Admitted { began, rules: Arc::clone(rules), event, held, receipt })
    }

    /// Stores it, and says in figures, logs and traces what became of it. That is a task of its own, as a sender that hangs up ends
    /// the one that serves its connection: what is stored would be delivered, and never be counted.
    async fn keep(self: Arc<Self>, admitted: Admitted) -> Response {
        // Until there is room nothing has happened, and whoever hangs up is gone without a trace.
        let closing = || Answer::Unavailable(Unavailable::Closing).into_response();
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { return closing() };
        let task = tokio::spawn(async move {
            fault::point("request");
            let Admitted { began, rules, event, mut held, mut receipt } = admitted;
            let account = event.account.clone();
            let answer = self.store(&rules, event, &mut held, &mut receipt).await.unwrap_or_else(|refusal| refusal);
            self.count(&answer, Some(account.as_deref().unwrap_or(NAMELESS_ACCOUNT)));
            if let Answer::Accepted(_) | Answer::Duplicate(_) = answer {
                self.metrics.counted.ack_seconds.observe(seconds(began.elapsed()));
            }
            let (outcome, event) = (answer.outcome().map_or("", WebhookOutcome::label), answer.event());
            let response = answer.into_response();
            if let Some(receipt) = receipt {
                self.traces.received(receipt, response.status(), outcome, event.as_ref());
            }
            drop((room, held));
            response
        });
        match task.await {
            Ok(response) => response,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => closing(),
        }
    }

    /// `account`: where the key is a right one.
    fn count(&self, answer: &Answer, account: Option<&str>) {
        if let Some(outcome) = answer.outcome() {
            self.metrics.webhook(outcome, account);
        }
    }

    async fn store(&self, rules: &Rules, event: Event, held: &mut Held, receipt: &mut Option<Receipt>) -> Result<Answer, Answer> {
        let turn = held.turn(&event.body).await?;
        let (payload, reason) = match parse_payload(&event.body) {
            Ok(payload) => (payload, None),
            Err(reason) => (Value::Null, Some(reason)),
        };
        let event = event.with_payload(payload);
        if let Some(reason) = reason {
            let dedupe = Some(content_key(&event));
            let new = NewEvent { event, kind: None, dedupe, disposition: Disposition::Quarantine(reason.clone()) };
            let (Appended::Accepted(id) | Appended::Duplicate(id)) = self.append(new, receipt).await?;
            tracing::warn!(event_id = %id, reason, "an authentic webhook that is no event went to quarantine");
            return Err(Answer::Quarantined(id, reason));
        }
        let (decision, plan) = rules.plan(&event);
        let dedupe = Some(dedupe_key(&rules.config.source, &event));
        let kind = event.payload().get("type").and_then(Value::as_str).map(str::to_owned);
        let id = event.id;
        // What takes much of the memory is read again where somebody needs it: most destinations send the bytes as they came.
        let event = if turn.is_some() { event.without_payload() } else { event };
        drop(turn);
        let new = NewEvent { event, kind, dedupe, disposition: Disposition::Route { rules: rules.key(), plan } };
        match self.append(new, receipt).await? {
            Appended::Accepted(id) => {
                self.count_routes(rules, &decision, id);
                Ok(Answer::Accepted(id))
            }
            Appended::Duplicate(first) => {
                tracing::debug!(event_id = %id, first_event_id = %first, "a webhook was seen before");
                Ok(Answer::Duplicate(first))
            }
        }
    }

    async fn append(&self, new: NewEvent, receipt: &mut Option<Receipt>) -> Result<Appended, Answer> {
        let began = Instant::now();
        let appended = self.store.append(new).await;
        if let Some(receipt) = receipt {
            receipt.stored(began);
        }
        appended.map_err(Answer::Unavailable)
    }

    fn count_routes(&self, rules: &Rules, decision: &Decision, id: EventId) {
        let name = |place: &usize| rules.config.routes.get(*place).map(|route| route.name.as_str());
        self.metrics.matched(decision.matched.iter().filter_map(name), decision.unmatched);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let destination =
                |(place, _): &(usize, Option<usize>)| rules.config.destinations.get(*place).map(|destination| destination.name.as_str());
            let routes: Vec<&str> = decision.matched.iter().filter_map(name).collect();
            let destinations: Vec<&str> = decision.deliveries.iter().filter_map(destination).collect();
            tracing::debug!(event_id = %id, routes = routes.join(", "), destinations = destinations.join(", "), "stored");
        }
        for (place, _, why) in &decision.withheld {
            let Some(destination) = rules.config.destinations.get(*place) else { continue };
            self.metrics.not_planned(&destination.name, *why);
            if *why == Withheld::Undecided {
                let destination = &destination.name;
                tracing::warn!(event_id = %id, destination, "the destination's `never` took too many steps on this event, so it gets nothing");
            }
        }
        for route in decision.undecided.iter().filter_map(name) {
            tracing::warn!(event_id = %id, route, "the condition took too many steps on this event and counts as not matched");
        }
    }

    /// Counts a wrong key: `answer`, or that there were too many from this address.
    fn wrong_key(&self, address: SocketAddr, now: Instant, answer: Answer) -> Answer {
        self.wrong_keys.count(address.ip(), now).map_or_else(Answer::Limited, |()| answer)
    }

    fn misdirected(&self, source: &Source) -> Answer {
        tracing::warn!(path = source.path, "a webhook with a right key came on another path; correct the URL in Wiza's settings");
        self.metrics.counted.misdirected_total.inc();
        Answer::Misdirected(source.path.clone())
    }
}

/// The request's key. Several are none: whoever stands in front may have looked at another than the relay would.
fn only_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(AUTH_HEADER).iter();
    let key = keys.next()?;
    keys.next().is_none().then_some(key.as_bytes())
}

/// What follows the source's path, without a leading slash; `None` if the path is another.
fn below<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let base = base.trim_end_matches('/');
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// An account as metrics show it.
fn label(key: &ApiKey) -> &str {
    key.account.as_deref().unwrap_or(NAMELESS_ACCOUNT)
}

/// The key by which a repetition of an event is recognised.
fn dedupe_key(source: &Source, event: &Event) -> DedupeKey {
    if source.dedupe.key.is_empty() {
        return content_key(event);
    }
    let mut hash = hash_of_account(event);
    for selection in &source.dedupe.key {
        // Events that lack a part must not be taken for one another: all of the event counts.
        let Some(part) = selection.key_text(event.payload()) else {
            return content_key(event);
        };
        // Each part ends in a byte that no JSON text holds, so that parts cannot run into each other.
        hash.update(part.as_bytes());
        hash.update([0xff]);
    }
    prefix(hash)
}

fn content_key(event: &Event) -> DedupeKey {
    let mut hash = hash_of_account(event);
    for part in [event.path.as_bytes(), event.query.as_bytes()] {
        hash.update(part);
        hash.update([0xff]);
    }
    hash.update(&event.body);
    prefix(hash)
}

/// What a dedupe key begins with. Two accounts' webhooks are never repetitions of each other, whatever they hold: rules may send
/// them to different places. It is the account's name and not its key, so that a repetition over a change of keys is one. Without
/// a name nothing is added, so that repetitions are recognised over an upgrade from before there were names.
fn hash_of_account(event: &Event) -> Sha256 {
    let mut hash = Sha256::new();
    if let Some(account) = &event.account {
        // A byte that begins neither a path nor JSON.
        hash.update([0xfe]);
        hash.update(account.as_bytes());
        hash.update([0xff]);
    }
    hash
}

fn prefix(hash: Sha256) -> DedupeKey {
    let hash: [u8; 32] = hash.finalize().into();
    let mut prefix = [0; 16];
    prefix.copy_from_slice(&hash[..16]);
    DedupeKey(prefix)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_rest_of_the_path_is_what_follows() {
        for (base, path, rest) in [
            ("/webhooks/wiza", "/webhooks/wiza", Some("")),
            ("/webhooks/wiza", "/webhooks/wiza/", Some("")),
            ("/webhooks/wiza", "/webhooks/wiza/emea/q4", Some("emea/q4")),
            ("/webhooks/wiza/", "/webhooks/wiza/emea", Some("emea")),
            ("/webhooks/wiza", "/webhooks/wizard", None),
            ("/webhooks/wiza", "/webhooks", None),
            ("/webhooks/wiza", "/", None),
            ("/", "/anything", Some("anything")),
        ] {
            assert_eq!(below(base, path), rest, "{base} {path}");
        }
    }

    #[test]
    fn account_path_query_and_body_are_each_part_of_the_key_and_do_not_run_together() {
        let now = Timestamp::UNIX_EPOCH;
        let key = |path: &str, query: &str, body: &'static [u8], account: Option<&str>| {
            let event = Event::new(EventId::new(now), now, path.to_owned(), query.to_owned(), Bytes::from_static(body));
            content_key(&event.of_account(account.map(Into::into)))
        };
        let keys = [
            key("a", "b", b"{}", None),
            key("ab", "", b"{}", None),
            key("", "ab", b"{}", None),
            key("a", "b", b"{ }", None),
            key("a", "b", b"{}", Some("emea")),
            key("a", "b", b"{}", Some("apac")),
            key("", "a", b"{}", Some("b")),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(place));
        }
        assert_eq!(keys[4], key("a", "b", b"{}", Some("emea")));
        // What a store of before holds in its log.
        assert_eq!(keys[0], prefix(Sha256::new().chain_update(b"a\xffb\xff{}")));
    }
}
