//! `destinations`, and `defaults` for all of them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use crate::circuit::Circuit;
use crate::condition::Condition;
use crate::delivery::Replies;
use crate::signature::SigningKey;
use crate::transform::{Outline, Selection, Shape};

use super::auth::{self, Auth};
use super::batch::{self, Batch};
use super::preset;
use super::retry::decode_retry;
use super::shape::{self, optional};
use super::tls::{self, Tls};
use crate::config::findings::finding::quoted;
use crate::config::reading::condition;
use crate::config::reading::decode::{Decoder, Layers, listed};
use crate::config::reading::units::{Unreadable, shown_duration};
use crate::config::reading::{include, names};
use crate::config::yaml::{Content, Key, Node};

/// A place that events are delivered to.
#[derive(Debug)]
pub struct Destination {
    /// A label of metrics, and part of every `webhook-id`.
    pub name: String,
    /// Its `url` is always there.
    pub shape: Shape,
    /// The request's method.
    pub method: Method,
    /// Of one attempt, from connecting to the end of the reply.
    pub timeout: Duration,
    /// Whether anything is planned for it and sent to it.
    pub enabled: bool,
    /// How long after an event's receipt it is worth sending; then the delivery is dead. `None`: until `retry.deadline`.
    pub expire: Option<Duration>,
    /// What must not hold on an event that goes there.
    pub never: Option<Condition>,
    /// Attempts at the same time.
    pub concurrency: usize,
    /// Attempts a time at most; `None`: no limit.
    pub rate_limit: Option<RateLimit>,
    /// When a failed attempt is repeated, and how often.
    pub retry: Retry,
    /// When the destination is given rest.
    pub circuit: Circuit,
    /// What its deliveries are in line by: those for which it finds the same go one at a time, in the order of acceptance.
    /// `None`, or nothing found: each goes as soon as it can.
    pub order_by: Option<Selection>,
    /// Several deliveries in one request; `None`: one each.
    pub batch: Option<Batch>,
    /// What must hold on the JSON reply of a 2xx for it to count; `None`: every 2xx counts.
    pub success: Option<Condition>,
    /// What of its replies is kept.
    pub replies: Replies,
    /// The secrets that requests are signed with; none: they are not signed.
    pub sign: Vec<SigningKey>,
    /// How the relay shows who it is, unless a route gives `authorization` by hand.
    pub auth: Option<Auth>,
    /// Authorities and certificate of its connections.
    pub tls: Tls,
}

impl Destination {
    /// What its requests look like.
    pub fn outline(&self) -> Outline<'_> {
        let batch_body = self.batch.as_ref().and_then(|batch| batch.body.as_deref());
        Outline { method: &self.method, shape: &self.shape, batch_body }
    }
}

/// At most `count` attempts in each `per`, evenly spaced but for `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Attempts...
    pub count: NonZeroU32,
    /// ...in this time, in the long run.
    pub per: Duration,
    /// Unless given: what is due in a tenth of a second, and at least 1. A receiver that counts in fixed windows
    /// would otherwise see up to twice the rate after a pause.
    pub burst: NonZeroU32,
}

/// When a failed attempt is repeated: after `first`, then `factor` times as long each time, up to `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// All attempts, the first included.
    pub attempts: u32,
    /// The ceiling of the first pause.
    pub first: Duration,
    /// By how much the ceiling grows with each attempt; at least 1.
    pub factor: f64,
    /// What the ceiling never exceeds, and what caps a Retry-After.
    pub max: Duration,
    /// After the event was accepted; then the delivery is dead.
    pub deadline: Duration,
    /// Statuses by which this destination says 'later' in its own way: each is read as a 429.
    pub on: Vec<u16>,
}

impl Retry {
    /// Whether a status means that the destination gets too much at once.
    pub fn is_throttle(&self, status: u16) -> bool {
        status == StatusCode::TOO_MANY_REQUESTS.as_u16() || self.on.contains(&status)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 20,
            first: Duration::from_secs(5),
            factor: 2.5,
            max: Duration::from_secs(4 * 60 * 60),
            deadline: Duration::from_secs(3 * 24 * 60 * 60),
            on: Vec::new(),
        }
    }
}

pub(in crate::config) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
pub(in crate::config) const CONCURRENCY_DEFAULT: u32 = 16;
pub(in crate::config) const CONCURRENCY_MAX: u32 = 1024;
pub(in crate::config) const ATTEMPTS_MAX: u32 = 1000;
pub(in crate::config) const FACTOR_MAX: f64 = 100.0;
pub(in crate::config) const FAILURES_MAX: u32 = 100_000;
/// The breaker remembers the events of a run of refusals, 16 bytes each.
pub(in crate::config) const REFUSALS_MAX: u32 = 1000;
/// As 0.
pub(in crate::config) const OFF: &str = "off";
pub(in crate::config) const BURST_MAX: u32 = 100_000;
pub(in crate::config) const MILLISECOND: Duration = Duration::from_millis(1);
pub(in crate::config) const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);
pub(in crate::config) const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub(in crate::config) const DEADLINE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Shorter times would be over before an attempt could end.
pub(in crate::config) const EXPIRE_MIN: Duration = Duration::from_secs(1);

/// Bytes that `defaults` may come to when they are read for every destination.
const DEFAULTS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a request of a webhook can be.
pub(in crate::config) const METHODS: [Method; 5] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET];

/// A destination over `defaults`; without a key, `defaults` themselves, which need no `url`.
fn decode(decoder: &mut Decoder<'_>, key: Option<&Key>, own: Option<&Node>, defaults: Option<&Node>) -> Option<Destination> {
    let applied = preset::of(decoder, own, defaults);
    let base = applied.as_ref().map(|applied| applied.base.as_ref()).or(defaults);
    let mut layers = Layers::open(decoder, own, base, if key.is_some() { "a destination" } else { "`defaults`" });
    layers.take("preset");
    let method = layers.take("method");
    let timeout = layers.take("timeout");
    let concurrency = layers.take("concurrency");
    let enabled = layers.take("enabled");
    let expire = layers.take("expire");
    let never = layers.take("never");
    let rate_limit = layers.take("rate_limit");
    let retry = layers.take_both("retry");
    let circuit = layers.take_both("circuit");
    let order_by = layers.take("order_by");
    let [own_batch, base_batch] = layers.take_both("batch");
    // Who writes `batch: { max: 20 }` beside a preset still wants the body that its receiver asks for.
    let preset_batch = applied.as_ref().and_then(|applied| applied.keys.get("batch"));
    let batch_node = match (own_batch, preset_batch) {
        (Some(own), Some(others)) if matches!(own.content, Content::Mapping(_)) => Some(preset::over(own, others)),
        _ => own_batch.or(base_batch).cloned(),
    };
    let batch_node = batch_node.as_ref();
    let success = layers.take("success");
    let replies = layers.take("replies");
    let sign = layers.take("sign");
    let auth = layers.take_both("auth");
    let tls = layers.take("tls");
    let doubts_before = decoder.doubts.len();
    let (mut shape, has_url) = shape::decode(decoder, &mut layers);
    decoder.doubts_are_of(doubts_before, key.map(|key| key.text.as_str()));
    let misspelt = layers.finish(decoder);

    let is_mapping = own.is_some_and(|own| matches!(own.content, Content::Mapping(_)) || own.is_null());
    if let Some(key) = key
        && !has_url
        && is_mapping
        && !misspelt.contains(&"url")
        // Of a preset that is not there nobody knows whether it has one.
        && (applied.is_some() || own.and_then(|own| own.get("preset")).is_none_or(|node| node.is_null()))
    {
        let message = format!("the destination {} has no `url`", quoted(&key.text));
        let example = applied.as_ref().and_then(|applied| applied.preset.own.lines().next());
        let hint = format!("for example `{}`", example.unwrap_or("url: https://crm.example.com/v1/contacts"));
        let place = applied.as_ref().map_or_else(|| key.span.clone(), |_| decoder.report.preset_at.clone());
        decoder.report.error(place, message).hint(hint);
    }
    let method = method.map(|node| decode_method(decoder, node));
    let timeout = timeout.map(|node| decoder.duration(node, MILLISECOND..=TIMEOUT_MAX));
    let concurrency = concurrency.map(|node| decoder.integer(node, 1..=CONCURRENCY_MAX));
    let rate_limit = rate_limit.map(|node| decode_rate_limit(decoder, node));
    let retry = decode_retry(decoder, retry);
    let circuit = decode_circuit(decoder, circuit);
    let order_by = order_by.map(|node| decode_order(decoder, node));
    let batch = batch_node.filter(|node| !node.is_null()).map(|node| batch::decode(decoder, node));
    let enabled = enabled.map(|node| decoder.boolean(node));
    let expire_node = expire.filter(|node| !node.is_null());
    let expire = expire_node.map(|node| decoder.duration(node, EXPIRE_MIN..=DEADLINE_MAX));
    let never = never.filter(|node| !node.is_null()).map(|node| condition::decode_never(decoder, node));
    let success = success.filter(|node| !node.is_null()).map(|node| condition::decode_success(decoder, node));
    let replies = replies.map(|node| decode_replies(decoder, node));
    let sign = sign.map(|node| auth::decode_sign(decoder, node));
    let tls = tls.map(|node| tls::decode(decoder, node));
    let auth = decode_auth(decoder, auth, own);
    if let (Some(shape), Some(Some(_))) = (&mut shape, &auth) {
        shape.headers.retain(|(name, _)| *name != AUTHORIZATION); // That of `defaults`.
    }
    let destination = Destination {
        name: key.map(|key| key.text.clone()).unwrap_or_default(),
        shape: shape?,
        method: optional(method)?.unwrap_or(Method::POST),
        timeout: optional(timeout)?.unwrap_or(TIMEOUT_DEFAULT),
        enabled: optional(enabled)?.unwrap_or(true),
        expire: optional(expire)?,
        never: optional(never)?,
        concurrency: usize::try_from(optional(concurrency)?.unwrap_or(CONCURRENCY_DEFAULT)).ok()?,
        rate_limit: optional(rate_limit)?,
        retry: retry?,
        circuit: circuit?,
        order_by: optional(order_by)?,
        batch: optional(batch)?,
        success: optional(success)?,
        replies: optional(replies)?.unwrap_or_default(),
        sign: optional(sign)?.unwrap_or_default(),
        auth: auth?,
        tls: optional(tls)?.unwrap_or_default(),
    };
    if let (Some(key), Some(applied)) = (key, &applied) {
        preset::check(decoder, applied.preset, &destination);
        decoder.bases.insert(key.text.clone(), Arc::clone(&applied.base));
    }
    if let (Some(expire), Some(batch), Some(node)) = (destination.expire, &destination.batch, expire_node)
        && expire <= batch.every
    {
        let message = "deliveries may expire before their batch goes";
        let hint = format!("the batch waits up to {}: give `expire` more than that", shown_duration(batch.every));
        decoder.report.error(node.span.clone(), message).hint(hint);
        return None;
    }
    if let (Some(expire), Some(node)) = (destination.expire, expire_node)
        && expire <= destination.retry.first
    {
        let message = "a delivery that fails once may expire before its first retry";
        let hint = format!("`retry.first` is {}: give `expire` more than that", shown_duration(destination.retry.first));
        decoder.report.warning(node.span.clone(), message).hint(hint);
    }
    match batch_node.filter(|_| destination.batch.is_some()) {
        Some(node) if !batch::fits(decoder, node.span.clone(), &destination) => None,
        _ => Some(destination),
    }
}

/// The names of all destinations, valid or not, and the destinations that are valid. Where one is not, an error was
/// reported.
pub(in crate::config) fn decode_all<'n>(
    decoder: &mut Decoder<'_>,
    node: Option<&'n Node>,
    defaults: Option<&Node>,
) -> (Vec<&'n Key>, Vec<Arc<Destination>>) {
    // `defaults` are checked even where nobody uses them.
    decode(decoder, None, defaults, None);
    let entries = node.map_or(&[][..], |node| include::destination_entries(decoder, node));
    let defaults = defaults.filter(|defaults| {
        let fit = defaults.bytes.saturating_mul(entries.len()) <= DEFAULTS_BYTES_MAX;
        if !fit {
            let count = entries.len();
            decoder
                .report
                .error(defaults.span.clone(), format!("these defaults, read for each of {count} destinations, are more than 16 MiB"))
                .hint("say what is long in the destinations that need it");
        }
        fit
    });
    let mut destinations = Vec::new();
    for (key, own) in entries {
        names::check(decoder, key);
        if let Some(destination) = decode(decoder, Some(key), Some(own), defaults) {
            destinations.push(Arc::new(destination));
        }
    }
    (entries.iter().map(|(key, _)| key).collect(), destinations)
}

/// `auth`, or the header `authorization` by hand: of two levels the nearer says which, on one level both are an error.
fn decode_auth(decoder: &mut Decoder<'_>, [auth, base]: [Option<&Arc<Node>>; 2], own: Option<&Node>) -> Option<Option<Auth>> {
    let by_hand = own.and_then(|own| own.get("headers")).is_some_and(|headers| {
        matches!(&headers.content, Content::Mapping(entries) if entries.iter().any(|(key, _)| key.text.eq_ignore_ascii_case(AUTHORIZATION.as_str())))
    });
    match (auth, base) {
        (Some(node), _) if by_hand && !node.is_null() => {
            let finding = decoder.report.error(node.span.clone(), "both `auth` and the header `authorization` are given");
            finding.hint("a request has one `authorization`: take one of them out");
            None
        }
        (Some(node), _) => auth::decode(decoder, node),
        (None, Some(base)) if !by_hand => auth::decode(decoder, base),
        (None, _) => Some(None),
    }
}

fn decode_order(decoder: &mut Decoder<'_>, node: &Node) -> Option<Selection> {
    let selection = decoder.selection(node)?;
    if selection.is_whole() {
        let finding = decoder.report.warning(node.span.clone(), "no two payloads are alike, so this puts nothing in order");
        finding.hint("name what the order is about: `$.data.id` for one request at a time per contact");
    }
    Some(selection)
}

fn decode_method(decoder: &mut Decoder<'_>, node: &Node) -> Option<Method> {
    decoder.read(node, "an HTTP method", |text| {
        METHODS.iter().find(|method| method.as_str() == text).cloned().ok_or_else(|| Unreadable {
            reason: "is not a method that webhooks are sent with".into(),
            hint: match METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(text)) {
                Some(method) => format!("did you mean `{method}`?"),
                None => listed(&METHODS),
            },
        })
    })
}

/// What `replies` may be, as it is written.
pub(in crate::config) const REPLIES: [(&str, Replies); 3] = [("full", Replies::Full), ("status", Replies::Status), ("none", Replies::None)];

fn decode_replies(decoder: &mut Decoder<'_>, node: &Node) -> Option<Replies> {
    let names = REPLIES.map(|(name, _)| name);
    decoder.read(node, "what is kept of replies", |text| {
        REPLIES.iter().find(|(name, _)| *name == text).map(|(_, replies)| *replies).ok_or_else(|| Unreadable {
            reason: "is not what can be kept of replies".into(),
            hint: format!("{}: the status and the first KiB, the status alone, or nothing", listed(&names)),
        })
    })
}

fn decode_rate_limit(decoder: &mut Decoder<'_>, node: &Node) -> Option<RateLimit> {
    let (rate, burst) = if matches!(node.content, Content::Mapping(_)) {
        let mut table = decoder.table(node, "`rate_limit`")?;
        let rate = table.take("rate");
        let burst = table.take("burst");
        let misspelt = table.finish(decoder);
        let Some(rate) = rate else {
            if !misspelt.contains(&"rate") {
                let finding = decoder.report.error(node.span.clone(), "`rate_limit` has no `rate`");
                finding.hint("`{rate: 10/s, burst: 20}`, or `10/s` alone");
            }
            return None;
        };
        (decoder.rate(rate), burst.map(|node| decoder.integer(node, 1..=BURST_MAX)))
    } else {
        (decoder.rate(node), None)
    };
    let burst = optional(burst)?;
    let (count, per) = rate?;
    let due = f64::from(count.get()) / per.as_secs_f64() / 10.0;
    // `as` saturates, and the count has a limit far below.
    let burst = burst.unwrap_or(due as u32);
    Some(RateLimit { count, per, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) })
}

fn decode_circuit(decoder: &mut Decoder<'_>, [own, base]: [Option<&Arc<Node>>; 2]) -> Option<Circuit> {
    let mut layers = Layers::open(decoder, own.map(AsRef::as_ref), base.map(AsRef::as_ref), "`circuit`");
    let failures = layers.take("failures");
    let refusals = layers.take("refusals");
    let cooldown = layers.take("cooldown");
    layers.finish(decoder);

    let default = Circuit::default();
    let failures = failures.map(|node| decoder.integer(node, 1..=FAILURES_MAX));
    let refusals = refusals.map(|node| decoder.read_or(node, REFUSALS_EXPECTED, Some(0), refusals_from));
    let cooldown = cooldown.map(|node| decoder.duration(node, MILLISECOND..=WAIT_MAX));
    Some(Circuit {
        failures: optional(failures)?.unwrap_or(default.failures),
        refusals: optional(refusals)?.unwrap_or(default.refusals),
        cooldown: optional(cooldown)?.unwrap_or(default.cooldown),
    })
}

const REFUSALS_EXPECTED: &str = "a whole number up to 1000, or `off`";

fn refusals_from(text: &str) -> Result<u32, Unreadable> {
    match text.parse() {
        _ if text == OFF => Ok(0),
        Ok(refusals) if (0..=REFUSALS_MAX).contains(&refusals) => Ok(refusals),
        Ok(_) => Err(Unreadable { reason: "is out of range".into(), hint: REFUSALS_EXPECTED.into() }),
        Err(_) => Err(Unreadable { reason: "is not a whole number".into(), hint: REFUSALS_EXPECTED.into() }),
    }
}
