//! A dry run of one event: which routes match and why, and each request exactly as it would go out. The same code
//! as the live path decides, renders and adds the headers; nothing is sent.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use jiff::Timestamp;

use crate::condition::{Finding, Scope};
use crate::config::{Auth, Config, Destination, Place};
use crate::delivery::{DeliveryId, MessageId};
use crate::envelope::{self, WEBHOOK_SIGNATURE};
use crate::event::{Event, EventId, EventSource};
use crate::route;
use crate::trace_context::Span;
use crate::transform::{self, BatchError, LeftOut, Member, RenderContext, RenderError, Request};
use crate::withhold::Withheld;

/// Nobody asks a token server in a dry run.
const TOKEN_STAND_IN: HeaderValue = HeaderValue::from_static("Bearer (a token of the token server's)");

/// What would become of an event.
#[derive(Debug)]
pub struct Explanation<'c> {
    /// Every route, in the file's order.
    pub routes: Vec<Verdict<'c>>,
    /// What would be sent, in the order of the routes.
    pub deliveries: Vec<Delivery<'c>>,
    /// Destinations that a route names and that would get nothing.
    pub withheld: Vec<Kept<'c>>,
    /// No route took the event.
    pub unmatched: bool,
}

impl Explanation<'_> {
    /// The deliveries that would go to the dead letters, because their requests cannot be rendered.
    pub fn dead(&self) -> usize {
        self.deliveries.iter().filter(|delivery| delivery.request.is_err()).count()
    }
}

/// A delivery that would not be planned.
#[derive(Debug)]
pub struct Kept<'c> {
    /// The destination's name.
    pub destination: &'c str,
    /// The route that names it, or `(unmatched)`.
    pub route: &'c str,
    /// Why.
    pub withheld: Withheld,
    /// Each comparison of the guard, where that refuses the event.
    pub why: Vec<Finding>,
}

/// How a route came out.
#[derive(Debug)]
pub struct Verdict<'c> {
    /// The route's name.
    pub route: &'c str,
    /// Where it stands.
    pub place: &'c Place,
    /// What was decided.
    pub decision: Decided<'c>,
    /// Noted only, never sent.
    pub shadow: bool,
    /// Each comparison, in the order of the text; also those that a short-circuit would skip. Empty without `when`.
    pub why: Vec<Finding>,
}

/// What was decided of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided<'c> {
    /// The condition holds, or there is none.
    Matched,
    /// It does not hold.
    NotMatched,
    /// Its evaluation took too many steps, so that the route counts as not matched.
    Undecided,
    /// It was not looked at: this route before it stops the walk.
    Skipped(&'c str),
    /// It is not offered such events: it is for those of this source.
    NotOffered(EventSource),
}

/// A delivery that would be made.
#[derive(Debug)]
pub struct Delivery<'c> {
    /// The destination's name.
    pub destination: &'c str,
    /// The route that sends it, or `(unmatched)`.
    pub route: &'c str,
    /// The destination's method.
    pub method: Method,
    /// The request with all its headers, or why it cannot be rendered. Holds secrets: mask what is shown.
    pub request: Result<Request, RenderError>,
    /// What each `$present` left out of its body, and why.
    pub left_out: Vec<LeftOut>,
    /// Whether the file's URL ends with a `/`, be it a value's.
    ends_with_slash: bool,
}

impl Delivery<'_> {
    /// The URL of the request as it is to be shown, before it is masked. The empty path of a URL reads `/`, and behind a variable
    /// that says another path at work that would be wrong: a `/` that the file has not is left out there.
    pub fn shown_url<'r>(&self, request: &'r Request) -> &'r str {
        let url = request.url.as_str();
        let is_bare = request.url.path() == "/" && !self.ends_with_slash;
        url.strip_suffix('/').filter(|_| is_bare).unwrap_or(url)
    }
}

/// Explains an event, as if its first attempts were made at `now`.
pub fn explain<'c>(config: &'c Config, event: &Arc<Event>, now: Timestamp) -> Explanation<'c> {
    let decision = route::decide(config, event);
    let facts = || event.facts();
    let scope = Scope { payload: event.payload(), event: &facts };
    let stops = |place: &usize| config.routes.get(*place).is_some_and(|route| route.stop && !route.shadow);
    let stopped_by = decision.matched.iter().copied().find(stops);
    let routes = config
        .routes
        .iter()
        .enumerate()
        .map(|(place, route)| Verdict {
            route: &route.name,
            place: &route.place,
            decision: match stopped_by.and_then(|stop| config.routes.get(stop).filter(|_| place > stop)) {
                _ if route.source != event.source() => Decided::NotOffered(route.source),
                Some(stop) => Decided::Skipped(&stop.name),
                None if decision.matched.contains(&place) => Decided::Matched,
                None if decision.undecided.contains(&place) => Decided::Undecided,
                None => Decided::NotMatched,
            },
            shadow: route.shadow,
            why: route.when.as_ref().map(|when| when.explain(&scope)).unwrap_or_default(),
        })
        .collect();
    let deliveries = decision.deliveries.iter().filter_map(|(place, route)| delivery(config, event, *place, *route, now)).collect();
    let kept = |(place, route, withheld): &(usize, Option<usize>, Withheld)| {
        let destination = config.destinations.get(*place)?;
        let never = destination.never.as_ref().filter(|_| *withheld != Withheld::Disabled);
        let why = never.map(|never| never.explain(&scope)).unwrap_or_default();
        Some(Kept { destination: &destination.name, route: config.target(*route, *place).0, withheld: *withheld, why })
    };
    let withheld = decision.withheld.iter().filter_map(kept).collect();
    Explanation { routes, deliveries, withheld, unmatched: decision.unmatched }
}

fn delivery<'c>(config: &'c Config, event: &Arc<Event>, place: usize, route: Option<usize>, now: Timestamp) -> Option<Delivery<'c>> {
    let destination = config.destinations.get(place)?;
    let (route, shape) = config.target(route, place);
    let context = RenderContext { event: Arc::clone(event), route: route.into(), now };
    // Of a batch as it would go out if no other event came meanwhile.
    let (members, as_batch) = ([Member { context, shape }], destination.batch.is_some());
    let request = request(config, destination, &members, as_batch, now);
    let left_out =
        request.as_ref().map(|_| transform::left_out(&config.templates, destination.outline(), &members, as_batch)).unwrap_or_default();
    let url = shape.and_then(|shape| shape.url.as_ref()).or(destination.shape.url.as_ref());
    let ends_with_slash = url.is_some_and(|url| url.masked().trim_end().ends_with('/'));
    Some(Delivery { destination: &destination.name, route, method: destination.method.clone(), request, left_out, ends_with_slash })
}

/// The request that carries these members, with all its headers, as if its attempt were made at `now`. It holds secrets: mask what is
/// shown.
///
/// # Errors
/// Why it cannot be rendered.
pub fn request(
    config: &Config,
    destination: &Destination,
    members: &[Member<'_>],
    as_batch: bool,
    now: Timestamp,
) -> Result<Request, RenderError> {
    let first = members.first().ok_or_else(|| RenderError::new("it carries no event"))?;
    let (mut request, left_out) = if as_batch {
        let rendered = transform::render_batch(&config.templates, destination.outline(), members).map_err(BatchError::into_inner)?;
        (rendered.request, rendered.left_out)
    } else {
        let request = transform::render(&config.templates, destination.outline(), first.shape, &first.context)?;
        (request, Vec::new())
    };
    let is_sent = |place: &usize| left_out.iter().all(|(left, _)| left != place);
    let sent: Vec<EventId> =
        members.iter().enumerate().filter(|(place, _)| is_sent(place)).map(|(_, member)| member.context.event.id).collect();
    let event = first.context.event.id;
    let id = if as_batch {
        MessageId::of_batch(&destination.name, &sent)
    } else {
        MessageId::from(&DeliveryId { event, destination: destination.name.as_str().into() })
    };
    envelope::seal(&mut request, destination, &id, now, Span::within(&event, rand::random(), false))
        .map_err(|error| RenderError::new(error.to_string()))?;
    if let Some(Auth::OAuth2(_)) = &destination.auth {
        request.headers.entry(AUTHORIZATION).or_insert(TOKEN_STAND_IN);
    }
    Ok(request)
}

/// A request's headers by name, secrets masked.
pub fn shown_headers(config: &Config, request: &Request) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let masked = config.secrets.mask(&text);
            if *name == WEBHOOK_SIGNATURE {
                // Of an id and a time that stand in for real ones.
                return (name.to_string(), envelope::MADE_ANEW.to_owned());
            }
            // A secret that is too short to be found in a text is still one.
            let shown = if value.is_sensitive() && masked == text { "(holds a secret)".to_owned() } else { masked };
            (name.to_string(), shown)
        })
        .collect();
    headers.sort();
    headers
}
