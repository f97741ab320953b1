//! `batch`: several deliveries in one request.

use std::ops::Range;
use std::time::Duration;

use http::Method;

use crate::transform::is_json;

use super::decode::{Decoder, Layers};
use super::destination::{Destination, MILLISECOND};
use super::shape::{Shape, optional};
use super::yaml::Node;

/// Several deliveries in one request: a JSON array of their bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Members at most: so many go at once.
    pub max: usize,
    /// How long the first waits for others.
    pub every: Duration,
}

pub(super) const MAX_DEFAULT: u32 = 100;
/// What is held in memory while it gathers, and what is lost of a destination's limits if one request fails.
pub(super) const MAX_MAX: u32 = 1000;
pub(super) const EVERY_DEFAULT: Duration = Duration::from_secs(5);
pub(super) const EVERY_MAX: Duration = Duration::from_secs(60 * 60);

pub(super) fn decode(decoder: &mut Decoder<'_>, own: &Node) -> Option<Batch> {
    let mut layers = Layers::open(decoder, Some(own), None, "`batch`");
    let max = layers.take("max");
    let every = layers.take("every");
    layers.finish(decoder);
    let max = max.map(|node| decoder.integer(node, 1..=MAX_MAX));
    let every = every.map(|node| decoder.duration(node, MILLISECOND..=EVERY_MAX));
    Some(Batch { max: usize::try_from(optional(max)?.unwrap_or(MAX_DEFAULT)).ok()?, every: optional(every)?.unwrap_or(EVERY_DEFAULT) })
}

/// Reports what of a destination cannot be said of several events at once; whether there is nothing.
pub(super) fn fits(decoder: &mut Decoder<'_>, span: Range<usize>, destination: &Destination) -> bool {
    let Shape { url, headers, body } = &destination.shape;
    let troubles = [
        (
            url.as_ref().is_some_and(|url| !url.is_literal()),
            "a batch is one request, so its `url` cannot depend on an event",
            "take the `{{ }}` out of the url, or put it into the body",
        ),
        (
            headers.iter().any(|(_, value)| !value.is_literal()),
            "a batch is one request, so its `headers` cannot depend on an event",
            "take the `{{ }}` out of the headers, or put it into the body",
        ),
        (
            !is_json(body.as_ref()),
            "a batch is a JSON array, so its `body` cannot be a text",
            "write the body as a tree, or leave it out to send the payloads",
        ),
        (matches!(destination.method, Method::GET | Method::HEAD), "a batch needs a body, which a GET does not send", "`method: POST`"),
        (
            destination.order_by.is_some(),
            "`batch` and `order_by` exclude each other",
            "take one out: a batch's members go at the same time",
        ),
    ];
    let mut fits = true;
    for (_, message, hint) in troubles.into_iter().filter(|(is_so, ..)| *is_so) {
        decoder.report.error(span.clone(), message).hint(hint);
        fits = false;
    }
    fits
}

/// Reports what a route cannot say of a request that carries other routes' events too.
pub(super) fn fits_target(decoder: &mut Decoder<'_>, span: Range<usize>, shape: &Shape) -> bool {
    if shape.url.is_some() || !shape.headers.is_empty() {
        decoder
            .report
            .error(span, "the destination sends batches, so a route can change its `body` only")
            .hint("set `url` and `headers` at the destination, or name another destination without `batch`");
        return false;
    }
    if !is_json(shape.body.as_ref()) {
        decoder.report.error(span, "the destination sends batches, so its `body` cannot be a text").hint("write the body as a tree");
        return false;
    }
    true
}
