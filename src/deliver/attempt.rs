//! One attempt: render the request, send it, and say what was seen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::LaneSettings;
use crate::clock;
use crate::delivery::{
    Attempt, AttemptResult, Claim, DeliveryId, Ending, FailureReason, Member, MessageId, Outcome, REPLY_BYTES_KEPT, Settlement,
};
use crate::durations;
use crate::event::{Event, EventId, rfc3339_milliseconds};
use crate::fault;
use crate::trace_context::Span;
use crate::traces::{AttemptRecord, Traces};
use crate::transform::{self, BatchError, RenderContext, Request, Shape};
use crate::vitals::{Part, Vitals};
use crate::withhold;

/// An attempt that ended.
pub(super) struct Attempted {
    pub claim: Claim,
    /// The event that names it: of a batch the first that was sent.
    pub event: EventId,
    /// The name of the route that planned it, for the log.
    pub route: Arc<str>,
    pub attempt: Attempt,
    /// Where it stands in a trace, if that is recorded.
    pub record: Option<Box<AttemptRecord>>,
    /// Members of a batch that could not be rendered.
    pub left_out: Vec<LeftOut>,
}

/// A member of a batch that dies by itself, whatever becomes of the others.
pub(super) struct LeftOut {
    pub sequence: i64,
    pub event: Arc<Event>,
    /// The name of the route that planned it.
    pub route: Arc<str>,
    pub reason: String,
    /// Why it is not to be sent any more; `None` where it only cannot be.
    pub withheld: Option<Ending>,
    /// Where its end stands in its own trace, if that is recorded.
    pub record: Option<Box<AttemptRecord>>,
}

impl LeftOut {
    /// What became of it, as if it had been attempted alone.
    pub fn settlement(self, batch: &Settlement) -> Settlement {
        let claim = Claim { sequence: self.sequence, event: self.event, batch: None, ..batch.claim.clone() };
        let result = match self.withheld {
            Some(ending) => AttemptResult::Withheld(ending, self.reason.clone()),
            None => AttemptResult::NotRendered(self.reason.clone()),
        };
        let attempt = Attempt { started_at: batch.attempt.started_at, latency: Duration::ZERO, result };
        Settlement::new(claim, attempt, Outcome::Dead(self.reason), batch.attempts)
    }
}

/// Why there is no request.
enum Unmade {
    /// It cannot be made.
    NotRendered(String),
    /// It cannot be made of the members of a batch together, though of each alone.
    NotTogether(String),
    /// It is not to be sent any more.
    Withheld(Ending, String),
}

impl From<BatchError> for Unmade {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::NotRendered(error) => Self::NotRendered(error.to_string()),
            BatchError::NotTogether(error) => Self::NotTogether(error.to_string()),
        }
    }
}

/// A request, and what it leaves out.
struct Rendered {
    request: Request,
    id: MessageId,
    /// Of a batch the events that the request carries.
    members: Vec<EventId>,
    left_out: Vec<LeftOut>,
}

/// Renders and sends. A panic is a failed attempt: it comes again, and if it is the event's fault, the event is dead in the end.
pub(super) async fn watched(settings: LaneSettings, claim: Claim, traces: Traces, vitals: Arc<Vitals>) -> Attempted {
    let (started_at, clock) = (clock::wall(), clock::steady());
    let (rules, place, kept) = (Arc::clone(&settings.rules), settings.place, claim.clone());
    if let Some(attempted) = vitals.watch(Part::Attempt, "an attempt", attempt(settings, claim, traces)).await {
        return attempted;
    }
    let result = AttemptResult::Failed(FailureReason::Internal, PANICKED.to_owned());
    let attempt = Attempt { started_at, latency: clock.elapsed(), result };
    let route = rules.target(kept.route, place).0.into();
    Attempted { event: kept.event.id, route, attempt, record: None, left_out: Vec::new(), claim: kept }
}

/// What an attempt that panicked says.
const PANICKED: &str = "the relay itself failed, which is a bug; its log has the place";

async fn attempt(settings: LaneSettings, claim: Claim, traces: Traces) -> Attempted {
    fault::point("attempt");
    let (route, shape) = settings.rules.target(claim.route, settings.place);
    let route: Arc<str> = route.into();
    let rendered = match &claim.batch {
        None => single(&settings, &claim, Arc::clone(&route), shape),
        Some(others) => batch(&settings, &claim, others),
    };
    let LaneSettings { rules, destination, sender, .. } = settings;
    let event = rendered.as_ref().map_or(claim.event.id, |rendered| rendered.id.event);
    let sent = rendered.as_ref().ok();
    let (span, record) = traces.attempt(&event, sent.map_or(&[], |sent| &sent.members), sent.map(|sent| &sent.request));
    let mut left_out = Vec::new();
    let attempt = match rendered {
        Ok(rendered) => {
            left_out = rendered.left_out;
            for one in &mut left_out {
                one.record = traces.attempt(&one.event.id, &[], None).1;
            }
            let mut attempt = sender.send(rendered.request, &destination, &rendered.id, span).await;
            if let AttemptResult::Replied { reply, .. } = &mut attempt.result {
                mask(reply, &rules.config.secrets);
            }
            attempt
        }
        Err(unmade) => {
            let result = match unmade {
                Unmade::NotRendered(error) => AttemptResult::NotRendered(error),
                Unmade::Withheld(ending, reason) => AttemptResult::Withheld(ending, reason),
                Unmade::NotTogether(error) => AttemptResult::NotTogether(format!("the members go one by one: {error}")),
            };
            Attempt { started_at: clock::wall(), latency: Duration::ZERO, result }
        }
    };
    Attempted { claim, event, route, attempt, record, left_out }
}

/// Why an event that is no longer what was accepted goes to nobody.
const DAMAGED: &str = "the event was damaged in the store";

fn single(settings: &LaneSettings, claim: &Claim, route: Arc<str>, shape: Option<&Shape>) -> Result<Rendered, Unmade> {
    if claim.event.is_damaged() {
        return Err(Unmade::NotRendered(DAMAGED.to_owned()));
    }
    let LaneSettings { rules, destination, .. } = settings;
    let (event, now) = (claim.event.for_a_while(), clock::wall());
    if let Some((ending, reason)) = withhold::at_delivery(destination, &event, claim.since, now) {
        return Err(Unmade::Withheld(ending, reason));
    }
    let context = RenderContext { event, route, now };
    let request = transform::render(&rules.config.templates, destination.outline(), shape, &context);
    let request = request.map_err(|error| Unmade::NotRendered(error.to_string()))?;
    let id = DeliveryId { event: claim.event.id, destination: destination.name.as_str().into() };
    Ok(Rendered { request, id: MessageId::from(&id), members: Vec::new(), left_out: Vec::new() })
}

fn batch(settings: &LaneSettings, claim: &Claim, others: &[Member]) -> Result<Rendered, Unmade> {
    let LaneSettings { rules, place, destination, .. } = settings;
    let now = clock::wall();
    let all = std::iter::once((claim.sequence, &claim.event, claim.route, claim.since));
    let all = all.chain(others.iter().map(|member| (member.sequence, &member.event, member.route, member.since)));
    let (mut sound, mut lost) = (Vec::new(), Vec::new());
    for (sequence, event, route, since) in all {
        let member = (sequence, event, route);
        if event.is_damaged() {
            lost.push((member, DAMAGED.to_owned(), None));
        } else if let Some((ending, reason)) = withhold::at_delivery(destination, &event.for_a_while(), since, now) {
            lost.push((member, reason, Some(ending)));
        } else {
            sound.push(member);
        }
    }
    let members: Vec<transform::Member<'_>> = sound
        .iter()
        .map(|(_, event, route)| {
            let (route, shape) = rules.target(*route, *place);
            transform::Member { context: RenderContext { event: event.for_a_while(), route: route.into(), now }, shape }
        })
        .collect();
    if members.is_empty() {
        // The first one's reason is said of all of them.
        return Err(match lost.into_iter().next() {
            Some((_, reason, Some(ending))) => Unmade::Withheld(ending, reason),
            Some((_, reason, None)) => Unmade::NotRendered(reason),
            None => Unmade::NotRendered(DAMAGED.to_owned()),
        });
    }
    let rendered = transform::render_batch(&rules.config.templates, destination.outline(), &members)?;
    let unrenderable = rendered
        .left_out
        .into_iter()
        .filter_map(|(place, error)| sound.get(place).map(|member| (*member, format!("the request cannot be made: {error}"), None)));
    let left_out: Vec<LeftOut> = lost
        .into_iter()
        .chain(unrenderable)
        .map(|((sequence, event, route), reason, withheld)| {
            let route = rules.target(route, *place).0.into();
            LeftOut { sequence, event: Arc::clone(event), route, reason, withheld, record: None }
        })
        .collect();
    let sent: Vec<EventId> = sound
        .iter()
        .filter(|(sequence, ..)| left_out.iter().all(|left| left.sequence != *sequence))
        .map(|(_, event, _)| event.id)
        .collect();
    Ok(Rendered { request: rendered.request, id: MessageId::of_batch(&destination.name, &sent), members: sent, left_out })
}

/// A receiver may echo what it was sent; what is stored of its reply must not hold a secret.
fn mask(reply: &mut Bytes, secrets: &crate::config::Secrets) {
    if !reply.is_empty() {
        let mut masked = secrets.mask(&String::from_utf8_lossy(reply)).into_bytes();
        masked.truncate(REPLY_BYTES_KEPT); // Only now, so that no part of a secret is left at the edge.
        *reply = Bytes::from(masked);
    }
}

/// The one log line of an attempt. It names the event and never shows it.
pub(super) fn log(destination: &str, route: &str, event: EventId, settlement: &Settlement, span: Option<Span>) {
    let Settlement { claim, attempt, outcome, .. } = settlement;
    let result = outcome.label();
    let (next_attempt_at, reason) = match outcome {
        Outcome::Delivered => (None, None),
        Outcome::Retry(at) => (Some(rfc3339_milliseconds(*at)), None),
        Outcome::Dead(reason) => (None, Some(reason.as_str())),
    };
    let (trace_id, span_id) = span.map(|span| (span.trace_hex(), span.id_hex())).unzip();
    let error = attempt.result.error();
    let status = attempt.result.status();
    let batch = claim.batch.as_ref().map(|_| settlement.events().count());
    let latency_ms = durations::milliseconds(attempt.latency);
    let number = settlement.number();
    // Left out where it counts, which is nearly always.
    let counted = number.is_none().then_some(false);
    match outcome {
        Outcome::Delivered => {
            tracing::info!(event_id = %event, destination, route, attempt = number, counted, batch, result, status, latency_ms, trace_id, span_id, "attempt");
        }
        Outcome::Retry(_) | Outcome::Dead(_) => {
            tracing::warn!(event_id = %event, destination, route, attempt = number, counted, batch, result, status, latency_ms, error, next_attempt_at, reason, trace_id, span_id, "attempt");
        }
    }
}
