//! The only place that knows OpenTelemetry: what of an event's way is recorded, and how it is told.
//!
//! No URL, no path below the source's and no query, no header, no address of a sender and no content is ever in a span: they can
//! hold persons and tokens. What is, docs/watching.md lists.

mod export;
mod sampling;
mod settings;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};

pub use self::settings::Settings;

use self::export::Export;
use self::sampling::Sampling;
use crate::delivery::{Outcome, Settlement};
use crate::event::EventId;
use crate::metrics::Metrics;
use crate::trace_context::Span;
use crate::transform::Request;

/// How many members of a batch are linked to: the SDK's own limit.
const LINKS_MAX: usize = 128;

/// Records spans, or, where that was not asked for, nothing.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    sampling: Sampling,
    export: Export,
    scope: InstrumentationScope,
}

/// A webhook's way in, being recorded.
#[derive(Debug)]
pub struct Receipt {
    span: Span,
    event: EventId,
    /// The source's path.
    route: String,
    began: Instant,
    /// What the sender's own trace said, as a proxy in front may have it.
    sender: Option<Span>,
    stored: Option<(Instant, Instant)>,
}

/// An attempt, being recorded.
#[derive(Debug)]
pub struct AttemptRecord {
    span: Span,
    /// The event that names the trace: of a batch the first.
    event: EventId,
    /// Of a batch all that it carries.
    members: Vec<EventId>,
    to: Option<Address>,
}

/// As much of where a request goes as may be told.
#[derive(Debug)]
struct Address {
    method: Method,
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Traces {
    /// Records nothing, and costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Records. To be called within a runtime.
    ///
    /// # Errors
    /// Where the collector's client cannot be made.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Result<Self, String> {
        let sampling = settings.sampling;
        let export = Export::start(settings, metrics)?;
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self(Some(Arc::new(Recorder { sampling, export, scope }))))
    }

    /// Exports what waits, for at most this time.
    pub async fn stop(self, at_most: Duration) {
        if let Some(recorder) = self.0 {
            let _ = tokio::task::spawn_blocking(move || recorder.export.stop(at_most)).await;
        }
    }

    fn takes(&self, event: &EventId) -> bool {
        self.0.as_ref().is_some_and(|recorder| recorder.sampling.takes(event))
    }

    /// A webhook that arrived at `began`, at the source's path `route` or below, becomes this event. `None` where it is not
    /// recorded.
    pub fn receipt(&self, event: &EventId, began: Instant, headers: &HeaderMap, route: &str) -> Option<Receipt> {
        if !self.takes(event) {
            return None;
        }
        let mut given = headers.get_all("traceparent").iter();
        let sender = match (given.next(), given.next()) {
            (Some(only), None) => only.to_str().ok().and_then(Span::from_traceparent),
            _ => None,
        };
        Some(Receipt { span: Span::of_receipt(event, true), event: *event, route: route.to_owned(), began, sender, stored: None })
    }

    /// The webhook is answered. `kept` is the event that it is kept as, or that it repeats.
    pub fn received(&self, receipt: Receipt, status: StatusCode, outcome: &'static str, kept: Option<&EventId>) {
        let Some(recorder) = &self.0 else { return };
        let Receipt { span, event, route, began, sender, stored } = receipt;
        let first = kept.filter(|kept| **kept != event);
        let time = Times::now();
        let mut attributes = vec![
            KeyValue::new("http.request.method", Method::POST.as_str()),
            KeyValue::new("http.route", route.clone()),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            KeyValue::new("wiza_relay.event.id", first.unwrap_or(&event).to_string()),
            KeyValue::new("wiza_relay.outcome", outcome),
        ];
        // By the conventions only 5xx are a server's failures.
        let failure = status.is_server_error().then(|| Status::error(outcome));
        if failure.is_some() {
            attributes.push(KeyValue::new("error.type", status.as_str().to_owned()));
        }
        let linked = sender.into_iter().chain(first.map(|first| Span::of_receipt(first, self.takes(first))));
        let links = links(linked.map(|span| context(&span, true)));
        if let Some((from, to)) = stored {
            recorder.record(Told {
                span: Span::within(&event, rand::random(), true),
                parent: Some(span.id),
                kind: SpanKind::Internal,
                name: "store".into(),
                times: (time.of(from), time.of(to)),
                attributes: vec![KeyValue::new("wiza_relay.event.id", event.to_string())],
                links: SpanLinks::default(),
                status: failure.clone().unwrap_or_default(),
            });
        }
        recorder.record(Told {
            span,
            parent: None,
            kind: SpanKind::Server,
            name: format!("POST {route}").into(),
            times: (time.of(began), time.clock),
            attributes,
            links,
            status: failure.unwrap_or_default(),
        });
    }

    /// Where an attempt at a delivery of this event stands in its trace, and what is kept for its record if it is recorded. `to`
    /// is the request, if one could be made.
    pub fn attempt(&self, event: &EventId, members: &[EventId], to: Option<&Request>) -> (Span, Option<Box<AttemptRecord>>) {
        let span = Span::within(event, rand::random(), self.takes(event));
        let record = span.sampled.then(|| {
            let to = to.map(|Request { method, url, .. }| Address {
                method: method.clone(),
                scheme: url.scheme().to_owned(),
                host: url.host_str().unwrap_or_default().to_owned(),
                port: url.port_or_known_default(),
            });
            Box::new(AttemptRecord { span, event: *event, members: members.to_vec(), to })
        });
        (span, record)
    }

    /// The attempt was judged.
    pub fn attempted(&self, record: AttemptRecord, destination: &str, route: &str, settlement: &Settlement) {
        let Some(recorder) = &self.0 else { return };
        let AttemptRecord { span, event, members, to } = record;
        let Settlement { claim, attempt, outcome, .. } = settlement;
        let mut attributes = vec![
            KeyValue::new("wiza_relay.event.id", event.to_string()),
            KeyValue::new("wiza_relay.destination", destination.to_owned()),
            KeyValue::new("wiza_relay.route", route.to_owned()),
            KeyValue::new("wiza_relay.result", outcome.label()),
        ];
        attributes.extend(settlement.number().map(|number| KeyValue::new("wiza_relay.attempt", i64::from(number))));
        let (kind, name) = match to {
            Some(Address { method, scheme, host, port }) => {
                let name = format!("{method} {destination}");
                attributes.push(KeyValue::new("http.request.method", method.as_str().to_owned()));
                attributes.push(KeyValue::new("url.scheme", scheme));
                attributes.push(KeyValue::new("server.address", host));
                attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
                (SpanKind::Client, name)
            }
            None => (SpanKind::Internal, format!("render {destination}")),
        };
        if claim.attempts_made > 0 {
            attributes.push(KeyValue::new("http.request.resend_count", i64::from(claim.attempts_made)));
        }
        if claim.batch.is_some() {
            attributes.push(KeyValue::new("wiza_relay.batch.size", i64::try_from(members.len()).unwrap_or(i64::MAX)));
        }
        let status = attempt.result.status();
        attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        let failure = attempt.result.failure();
        if let Some(failure) = failure {
            // By the conventions the status, where that is what was wrong.
            let kind = status.filter(|status| *status >= 300).map_or_else(|| failure.label().to_owned(), |status| status.to_string());
            attributes.push(KeyValue::new("error.type", kind));
        }
        let reason = match outcome {
            Outcome::Dead(reason) => Some(reason.clone()),
            _ => attempt.result.error().map(str::to_owned),
        };
        let started = wall_clock(attempt.started_at);
        let ended = started.checked_add(attempt.latency);
        recorder.record(Told {
            span,
            parent: Some(Span::of_receipt(&event, true).id),
            kind,
            name: name.into(),
            times: (started, ended.unwrap_or_else(SystemTime::now)),
            attributes,
            links: links(members.iter().map(|member| context(&Span::of_receipt(member, self.takes(member)), false))),
            status: failure.map(|_| Status::error(reason.unwrap_or_default())).unwrap_or_default(),
        });
    }
}

impl Receipt {
    /// The store was asked at `began`, and has just answered.
    pub fn stored(&mut self, began: Instant) {
        self.stored = Some((began, Instant::now()));
    }
}

impl AttemptRecord {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span
    }
}

/// All of a span.
struct Told {
    span: Span,
    parent: Option<u64>,
    kind: SpanKind,
    name: Cow<'static, str>,
    times: (SystemTime, SystemTime),
    attributes: Vec<KeyValue>,
    links: SpanLinks,
    status: Status,
}

impl Recorder {
    fn record(&self, told: Told) {
        let Told { span, parent, kind, name, times: (start_time, end_time), attributes, links, status } = told;
        self.export.take(SpanData {
            span_context: context(&span, false),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: false,
            span_kind: kind,
            name,
            start_time,
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links,
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn context(span: &Span, remote: bool) -> SpanContext {
    let flags = if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    SpanContext::new(TraceId::from_bytes(span.trace), SpanId::from(span.id), flags, remote, TraceState::NONE)
}

fn links(contexts: impl Iterator<Item = SpanContext>) -> SpanLinks {
    let mut links = SpanLinks::default();
    for context in contexts {
        if links.links.len() < LINKS_MAX {
            links.links.push(Link::with_context(context));
        } else {
            links.dropped_count = links.dropped_count.saturating_add(1);
        }
    }
    links
}

/// What the wall clock said when it was some time by the other one.
struct Times {
    clock: SystemTime,
    instant: Instant,
}

impl Times {
    fn now() -> Self {
        Self { clock: SystemTime::now(), instant: Instant::now() }
    }

    fn of(&self, instant: Instant) -> SystemTime {
        self.clock.checked_sub(self.instant.saturating_duration_since(instant)).unwrap_or(self.clock)
    }
}

/// A time as OpenTelemetry's library wants it. Every time that a clock of today says can be said so.
fn wall_clock(at: jiff::Timestamp) -> SystemTime {
    SystemTime::try_from(at).unwrap_or(SystemTime::UNIX_EPOCH)
}
