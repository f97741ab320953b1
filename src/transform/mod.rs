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
//! No error tells a value of the payload or a secret. Reading order: `names` (what a template sees), `templates` with
//! `expression` (a text as a template), `semantics` (what templates may do with a null), `filters` (escaping, texts, dates),
//! `request` (selections, bodies, URLs, headers, batches), `foresight` (for `check`).

use std::cell::OnceCell;
use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

mod errors;
mod expression;
mod filters;
mod foresight;
mod limits;
mod marks;
mod names;
mod request;
mod semantics;
mod templates;

#[cfg(test)]
mod tests;

pub use errors::{FAILURES_TOLD_MAX, Failure, RenderError, TemplateError};
pub use foresight::prints::{Format, Print, is_plain};
pub use foresight::reads::ReadPath;
pub use limits::{BATCH_FUEL_MAX, BATCH_TEXT_BYTES_MAX, RENDERED_BYTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_FUEL_MAX};
pub use names::context::RenderContext;
pub use names::scope::Scope;
pub use request::address::URL_BYTES_MAX;
pub(crate) use request::address::{as_written, dot_segments};
pub(crate) use request::batch::is_json;
pub use request::batch::{BATCH_BYTES_MAX, BatchError, Member, RenderedBatch, left_out, render_batch};
pub use request::body::{BODY_BYTES_MAX, BODY_DEPTH_MAX, Body, ELEMENTS_MAX, Each, Tree};
pub(crate) use request::declared::{are_lines, declares_json};
pub use request::header::HEADER_BYTES_MAX;
pub use request::present::{LEFT_OUT_TOLD_MAX, LeftOut, Why, says_nothing};
pub use request::selection::{Selected, Selection};
pub use request::shape::{Outline, Shape};
pub(crate) use templates::foreign::hint as foreign_hint;
pub use templates::template::{Escape, Template, Templates};

use errors::Failures;
use request::{body, declared};

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
/// The parts that cannot be rendered, in the order url, headers, body.
pub fn render(
    templates: &Templates,
    destination: Outline<'_>,
    target_shape: Option<&Shape>,
    context: &RenderContext,
) -> Result<Request, RenderError> {
    // All templates of a request share one view of the event, made when the first of them needs it.
    let view = OnceCell::new();
    let names = || view.get_or_init(|| context.names()).clone();
    let mut failures = Failures::default();
    let head = failures.take(head(templates, destination, target_shape, &names))?;
    let content = failures.take(content(templates, destination, target_shape, context, &names))?;
    failures.end()?;
    let (Some((url, mut headers)), Some(content)) = (head, content) else {
        return Err(RenderError::new("the request cannot be rendered"));
    };
    if let Some(content_type) = content.content_type() {
        headers.entry(CONTENT_TYPE).or_insert(content_type);
    }
    if let Content::Text(text) = &content {
        declared::check(&headers, text).map_err(|error| error.under("body"))?;
    }
    Ok(Request { method: destination.method.clone(), url, headers, body: content.into_bytes() })
}

/// Renders URL and headers.
fn head(
    templates: &Templates,
    destination: Outline<'_>,
    target_shape: Option<&Shape>,
    names: &impl Fn() -> minijinja::Value,
) -> Result<(Url, HeaderMap), RenderError> {
    let shape = destination.shape;
    let url = target_shape.and_then(|shape| shape.url.as_ref()).or(shape.url.as_ref());
    let url = url.ok_or_else(|| RenderError::new("the destination has no url")).and_then(|url| url.url(templates, names));
    let mut failures = Failures::default();
    let url = failures.take(url.map_err(|error| error.under("url")))?;

    let own = target_shape.map_or(&[][..], |shape| shape.headers.as_slice());
    let inherited = shape.headers.iter().filter(|(name, _)| !own.iter().any(|(own, _)| own == name));
    let mut headers = HeaderMap::with_capacity(shape.headers.len() + own.len() + HEADERS_ADDED);
    for (name, template) in inherited.chain(own) {
        let value = template.header(templates, names).map_err(|error| error.under(&place_of(name)));
        if let Some(value) = failures.take(value)? {
            headers.insert(name.clone(), value);
        }
    }
    failures.end()?;
    url.map(|url| (url, headers)).ok_or_else(|| RenderError::new("the destination has no url"))
}

/// What a request carries.
enum Content {
    /// A JSON text.
    Json(Bytes),
    /// Any text.
    Text(String),
    Nothing,
}

impl Content {
    /// The content type, where no header says another.
    fn content_type(&self) -> Option<HeaderValue> {
        match self {
            Self::Json(_) => Some(JSON),
            Self::Text(_) => Some(PLAIN_TEXT),
            Self::Nothing => None,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Json(json) => json,
            Self::Text(text) => text.into(),
            Self::Nothing => Bytes::new(),
        }
    }
}

/// Renders the body of one delivery.
fn content(
    templates: &Templates,
    destination: Outline<'_>,
    target_shape: Option<&Shape>,
    context: &RenderContext,
    names: &impl Fn() -> minijinja::Value,
) -> Result<Content, RenderError> {
    let root = || context.event.payload();
    match target_shape.and_then(|shape| shape.body.as_ref()).or(destination.shape.body.as_ref()) {
        Some(body) => filled(body, templates, body::Source { root: &root, text: None, names }, BODY_BYTES_MAX),
        None if matches!(*destination.method, Method::GET | Method::HEAD) => Ok(Content::Nothing),
        None => Ok(Content::Json(context.event.body.clone())),
    }
    .map_err(|error| error.under("body"))
}

/// Fills in a body from there.
fn filled(body: &Body, templates: &Templates, source: body::Source<'_>, bytes_max: usize) -> Result<Content, RenderError> {
    match body {
        Body::Tree(tree) => Ok(Content::Json(body::Writer::new(templates, source, bytes_max).json(tree)?.into())),
        Body::Text(template) => Ok(Content::Text(template.text(templates, source.names)?.into_owned())),
    }
}

fn place_of(header: &HeaderName) -> String {
    format!("headers.{header}")
}
