//! Renders the HTTP request of a delivery: a destination's url, headers and body, filled in from an event.
//!
//! - **Templates** are Jinja (minijinja), strict: an undefined name is an error, and so is a printed null;
//!   `default("...", true)` allows both. `${...}` values are text and are never read as template.
//! - **Selections** (`$...`) pick values out of the payload and keep their JSON types. One that can find one value at
//!   most and finds none drops its key; one that can find many gives a list.
//! - **Bodies**: a tree is sent as `application/json`, a text as `text/plain; charset=utf-8`, and without a body the
//!   payload goes out byte for byte as `application/json`, unless the headers say otherwise. GET and HEAD send no body
//!   unless one is given; DELETE sends the payload as other methods do.
//!
//! No error tells a value of the payload or a secret. Reading order: `context` (the names) with `view`, `template` with `source`,
//! `origin`, `lexer`, `expression`, `vocabulary`, `methods`, `foreign`, `syntax`, `reads`, `asks`, `hazards` and `assurance` (for `check`); what templates may do with a null: `strict` with `kind`, `printing`,
//! `comparing`, `questions`, `builtins`, `lists`, `conversions`, `functions`; `filters` (escaping, texts, dates);
//! then `selection`, `body`, `address` and `header` (what may be sent), `failure`.

use std::cell::OnceCell;
use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::config::{Destination, Shape};

mod address;
mod asks;
mod assurance;
mod batch;
mod body;
mod builtins;
mod comparing;
mod context;
mod conversions;
mod digits;
mod errors;
mod expression;
mod failure;
mod filters;
mod foreign;
mod functions;
mod hazards;
mod header;
mod kind;
mod lexer;
mod limits;
mod lists;
mod marks;
mod methods;
mod origin;
mod printing;
mod prints;
mod questions;
mod reads;
mod selection;
mod source;
mod strict;
mod syntax;
mod template;
mod view;
mod vocabulary;

#[cfg(test)]
mod compliance_tests;
#[cfg(test)]
mod hazard_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod strict_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

pub use address::URL_BYTES_MAX;
pub(crate) use address::{as_written, dot_segments};
pub(crate) use batch::is_json;
pub use batch::{BATCH_BYTES_MAX, Member, RenderedBatch, render_batch};
pub use body::{BODY_BYTES_MAX, BODY_DEPTH_MAX, Body, Tree};
pub use context::RenderContext;
pub use errors::{RenderError, TemplateError};
pub(crate) use foreign::hint as foreign_hint;
pub use header::HEADER_BYTES_MAX;
pub use limits::{RENDERED_BYTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_FUEL_MAX};
pub use prints::{Format, Print, is_plain};
pub use reads::ReadPath;
pub use selection::{Selected, Selection};
pub use template::{Escape, Template, Templates};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Headers that are added on the way out, by [`crate::envelope`] and the client: room for them spares making the map larger.
const HEADERS_ADDED: usize = 10;

/// A request, ready to send but for what delivery adds (`webhook-id` and the like, signature, authentication).
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Values that hold a `${...}` are marked sensitive.
    pub headers: HeaderMap,
    /// What it carries.
    pub body: Bytes,
}

/// Shows what kind of request it is, and neither secrets nor personal data: a URL's path can be the one (Slack's
/// webhooks) or the other.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("headers", &self.headers.keys())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Renders the request of one delivery. What `target_shape` gives stands in place of the destination's own: url and
/// body as a whole, headers by name.
///
/// # Errors
/// The first part that cannot be rendered, in the order url, headers, body.
pub fn render(
    templates: &Templates,
    destination: &Destination,
    target_shape: Option<&Shape>,
    context: &RenderContext,
) -> Result<Request, RenderError> {
    let shape = &destination.shape;
    // All templates of a request share one view of the event, made when the first of them needs it.
    let view = OnceCell::new();
    let names = || view.get_or_init(|| context.names()).clone();

    let url = target_shape.and_then(|shape| shape.url.as_ref()).or(shape.url.as_ref());
    let url = url.ok_or_else(|| RenderError::new("the destination has no url")).and_then(|url| url.url(templates, names));
    let url = url.map_err(|error| error.under("url"))?;

    let own = target_shape.map_or(&[][..], |shape| shape.headers.as_slice());
    let inherited = shape.headers.iter().filter(|(name, _)| !own.iter().any(|(own, _)| own == name));
    let mut headers = HeaderMap::with_capacity(shape.headers.len() + own.len() + HEADERS_ADDED);
    for (name, template) in inherited.chain(own) {
        let value = template.header(templates, names).map_err(|error| error.under(&place_of(name)))?;
        headers.insert(name.clone(), value);
    }

    let body = target_shape.and_then(|shape| shape.body.as_ref()).or(shape.body.as_ref());
    let (body, content_type) = match body {
        Some(Body::Tree(tree)) => {
            let writer = body::Writer { templates, payload: context.event.payload(), names };
            let json = writer.json(tree).map_err(|error| error.under("body"))?;
            (Bytes::from(json), Some(JSON))
        }
        Some(Body::Text(template)) => {
            let text = template.text(templates, names).map_err(|error| error.under("body"))?;
            (Bytes::from(text.into_owned()), Some(PLAIN_TEXT))
        }
        None if matches!(destination.method, Method::GET | Method::HEAD) => (Bytes::new(), None),
        None => (context.event.body.clone(), Some(JSON)),
    };
    if let Some(content_type) = content_type {
        headers.entry(CONTENT_TYPE).or_insert(content_type);
    }
    Ok(Request { method: destination.method.clone(), url, headers, body })
}

fn place_of(header: &HeaderName) -> String {
    format!("headers.{header}")
}
