//! `batch`: several deliveries in one request.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::transform::{Body, Shape, is_json};

use super::destination::{Destination, MILLISECOND};
use super::shape::{self, optional};
use crate::config::doubts::members::SCOPE;
use crate::config::reading::decode::{Decoder, Layers};
use crate::config::yaml::Node;

/// Several deliveries in one request: a JSON array of their bodies, or a body around that.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Members at most: so many go at once.
    pub max: usize,
    /// How long the first waits for others.
    pub every: Duration,
    /// What is sent, whose `$` is the list of the members' bodies; `None`: that list.
    pub body: Option<Arc<Body>>,
}

pub(in crate::config) const MAX_DEFAULT: u32 = 100;
/// What is held in memory while it gathers, and what is lost of a destination's limits if one request fails.
pub(in crate::config) const MAX_MAX: u32 = 1000;
pub(in crate::config) const EVERY_DEFAULT: Duration = Duration::from_secs(5);
pub(in crate::config) const EVERY_MAX: Duration = Duration::from_secs(60 * 60);

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, own: &Node) -> Option<Batch> {
    let mut layers = Layers::open(decoder, Some(own), None, "`batch`");
    let max = layers.take("max");
    let every = layers.take("every");
    let body = layers.take("body");
    layers.finish(decoder);
    let max = max.map(|node| decoder.integer(node, 1..=MAX_MAX));
    let every = every.map(|node| decoder.duration(node, MILLISECOND..=EVERY_MAX));
    let body = body.map(|node| decoder.within(SCOPE, |decoder| shape::decode_body(decoder, node)));
    Some(Batch {
        max: usize::try_from(optional(max)?.unwrap_or(MAX_DEFAULT)).ok()?,
        every: optional(every)?.unwrap_or(EVERY_DEFAULT),
        body: optional(body)?.map(Arc::new),
    })
}

/// Reports what of a destination cannot be said of several events at once; whether there is nothing.
pub(in crate::config) fn fits(decoder: &mut Decoder<'_>, span: Range<usize>, destination: &Destination) -> bool {
    let Shape { url, headers, body } = &destination.shape;
    let has_body = destination.batch.as_ref().is_some_and(|batch| batch.body.is_some());
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
            !has_body && !is_json(body.as_ref()),
            "a batch is a JSON array, so its `body` cannot be a text",
            "write the body as a mapping, or say by `batch: { body: ... }` what is made of the texts",
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
/// `has_body`: whether the batch has a body around those of its members.
pub(in crate::config) fn fits_target(decoder: &mut Decoder<'_>, span: Range<usize>, shape: &Shape, has_body: bool) -> bool {
    if shape.url.is_some() || !shape.headers.is_empty() {
        decoder
            .report
            .error(span, "the destination sends batches, so a route can change its `body` only")
            .hint("set `url` and `headers` at the destination, or name another destination without `batch`");
        return false;
    }
    if !has_body && !is_json(shape.body.as_ref()) {
        decoder
            .report
            .error(span, "the destination sends batches, so its `body` cannot be a text")
            .hint("write the body as a mapping, or say by the destination's `batch: { body: ... }` what is made of the texts");
        return false;
    }
    true
}
