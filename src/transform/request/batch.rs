//! One request for several deliveries: a JSON array of their bodies, or a body of its own around them.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use minijinja::Value;
use serde_json::Value as Json;

use crate::json;

use super::present::{LEFT_OUT_TOLD_MAX, LeftOut};
use super::{body, declared};
use crate::transform::names::context::BatchNames;
use crate::transform::names::view;
use crate::transform::{
    BODY_BYTES_MAX, Body, Content, JSON, Outline, RenderContext, RenderError, Request, Shape, Templates, content, filled, head,
};

/// The longest body of a batch, in bytes: what a hundred events of the largest usual size come to, several times over.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One delivery of a batch.
pub struct Member<'m> {
    /// What it is rendered from.
    pub context: RenderContext,
    /// What its route says of the body.
    pub shape: Option<&'m Shape>,
}

/// A batch's request.
#[derive(Debug)]
pub struct RenderedBatch {
    /// Its body holds those that could be rendered, in their order.
    pub request: Request,
    /// Those that could not, by their places, and why.
    pub left_out: Vec<(usize, RenderError)>,
}

/// Why there is no request for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// None of the members can be rendered, and the first one not for this reason.
    NotRendered(RenderError),
    /// Each of several members can be sent by itself, and the batch's body cannot be made of them together.
    NotTogether(RenderError),
}

impl BatchError {
    /// What cannot be rendered.
    pub fn into_inner(self) -> RenderError {
        let (Self::NotRendered(error) | Self::NotTogether(error)) = self;
        error
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotRendered(error) | Self::NotTogether(error)) = self;
        error.fmt(f)
    }
}

impl std::error::Error for BatchError {}

/// Renders a batch. URL and headers are those of the destination: `check` makes sure that they depend on no event. A member that
/// cannot be rendered is left out, be it that its own body cannot, or that the batch's body cannot be made of it even alone.
///
/// # Errors
/// Where there is nobody left to send, or where only some of the members can go together.
pub fn render_batch(templates: &Templates, destination: Outline<'_>, members: &[Member<'_>]) -> Result<RenderedBatch, BatchError> {
    let mut texts = Vec::new();
    let mut left_out = Vec::new();
    let mut length = 0;
    for (place, member) in members.iter().enumerate() {
        match member.text(templates, destination) {
            Ok(text) => {
                length += text.len();
                texts.push((place, text));
            }
            Err(error) => left_out.push((place, error)),
        }
        if length > BATCH_BYTES_MAX {
            let error = RenderError::new(format!("the batch would be longer than {BATCH_BYTES_MAX} bytes"));
            return Err(if place == 0 { BatchError::NotRendered(error) } else { BatchError::NotTogether(error) });
        }
    }
    let now = members.first().map_or(Timestamp::UNIX_EPOCH, |member| member.context.now);
    let batch = Batch { templates, destination, now };
    let request = match batch.request(&texts) {
        _ if texts.is_empty() => return Err(nobody_left(left_out)),
        Ok(request) => request,
        Err(error) if texts.len() == 1 => {
            left_out.extend(texts.first().map(|(place, _)| (*place, error)));
            return Err(nobody_left(left_out));
        }
        Err(error) => {
            // One of them may be to blame, and the others go without it.
            let count = texts.len();
            texts.retain(|text| match batch.request(std::slice::from_ref(text)) {
                Ok(_) => true,
                Err(error) => {
                    left_out.push((text.0, error));
                    false
                }
            });
            match texts.len() {
                0 => return Err(nobody_left(left_out)),
                sound if sound == count => return Err(BatchError::NotTogether(error)),
                _ => batch.request(&texts).map_err(BatchError::NotTogether)?,
            }
        }
    };
    left_out.sort_by_key(|(place, _)| *place);
    Ok(RenderedBatch { request, left_out })
}

/// What each `$present` leaves out of a request, of its members' bodies and of the batch's own. Nothing where a body cannot be rendered.
pub fn left_out(templates: &Templates, destination: Outline<'_>, members: &[Member<'_>], as_batch: bool) -> Vec<LeftOut> {
    let mut all: Vec<LeftOut> = members.iter().flat_map(|member| member.left_out(templates, destination)).collect();
    if let (true, Some(Body::Tree(tree))) = (as_batch, destination.batch_body) {
        let texts = members.iter().enumerate().filter_map(|(place, member)| Some((place, member.text(templates, destination).ok()?)));
        let texts: Vec<(usize, Bytes)> = texts.collect();
        let now = members.first().map_or(Timestamp::UNIX_EPOCH, |member| member.context.now);
        let (of_batch, _) = Batch { templates, destination, now }
            .filled_with(&texts, |source| body::Writer::new(templates, source, BATCH_BYTES_MAX).left_out(tree));
        all.extend(of_batch.into_iter().map(|note| note.under(PLACE)));
    }
    all.truncate(LEFT_OUT_TOLD_MAX);
    all
}

/// None of the members can be sent: why the first cannot.
fn nobody_left(left_out: Vec<(usize, RenderError)>) -> BatchError {
    let first = left_out.into_iter().min_by_key(|(place, _)| *place);
    BatchError::NotRendered(first.map_or_else(|| RenderError::new("the batch is empty"), |(_, error)| error))
}

impl Member<'_> {
    fn left_out(&self, templates: &Templates, destination: Outline<'_>) -> Vec<LeftOut> {
        let body = self.shape.and_then(|shape| shape.body.as_ref()).or(destination.shape.body.as_ref());
        let Some(Body::Tree(tree)) = body else { return Vec::new() };
        let (root, names) = (|| self.context.event.payload(), || self.context.names());
        let source = body::Source { root: &root, text: None, names: &names };
        let notes = body::Writer::new(templates, source, BODY_BYTES_MAX).left_out(tree);
        notes.into_iter().map(|note| note.under("body")).collect()
    }

    /// Its body as JSON. One that is a text stands in the list as that text.
    fn text(&self, templates: &Templates, destination: Outline<'_>) -> Result<Bytes, RenderError> {
        let view = OnceCell::new();
        let names = || view.get_or_init(|| self.context.names()).clone();
        Ok(match content(templates, destination, self.shape, &self.context, &names)? {
            // A payload that is passed on as it came may begin with a mark, which must not stand inside of a JSON text.
            Content::Json(json) => json.slice_ref(json::without_byte_order_mark(&json)),
            Content::Text(text) => Json::String(text).to_string().into(),
            Content::Nothing => Bytes::from_static(b"null"),
        })
    }
}

struct Batch<'b> {
    templates: &'b Templates,
    destination: Outline<'b>,
    now: Timestamp,
}

impl Batch<'_> {
    /// The request of these members, by their places and bodies.
    fn request(&self, members: &[(usize, Bytes)]) -> Result<Request, RenderError> {
        let Self { templates, destination, .. } = *self;
        let (made, array) = self.filled_with(members, |source| {
            let (url, headers) = head(templates, destination, None, &source.names)?;
            let content = match destination.batch_body {
                None => None,
                Some(body) => Some(filled(body, templates, source, BATCH_BYTES_MAX).map_err(|error| error.under(PLACE))?),
            };
            Ok::<_, RenderError>((url, headers, content))
        });
        let (url, mut headers, content) = made?;
        let content = content.unwrap_or_else(|| Content::Json(array.into()));
        headers.entry(CONTENT_TYPE).or_insert_with(|| content.content_type().unwrap_or(JSON));
        if let Content::Text(text) = &content {
            declared::check(&headers, text).map_err(|error| error.under(PLACE))?;
        }
        Ok(Request { method: destination.method.clone(), url, headers, body: content.into_bytes() })
    }

    /// Does something with what a batch's body is filled in from, for these members by their places and bodies. Gives their list too.
    fn filled_with<T>(&self, members: &[(usize, Bytes)], with: impl FnOnce(body::Source<'_>) -> T) -> (T, Vec<u8>) {
        let now = self.now;
        let mut array = Vec::with_capacity(members.iter().map(|(_, text)| text.len() + 1).sum::<usize>() + 2);
        array.push(b'[');
        for (place, (_, text)) in members.iter().enumerate() {
            if place > 0 {
                array.push(b',');
            }
            array.extend_from_slice(text);
        }
        array.push(b']');

        // One by one: in a list they may nest a level deeper than what is read as one text. Each was made or parsed before.
        let parsed = OnceCell::new();
        let read = || Arc::new(Json::Array(members.iter().map(|(_, text)| json::parse(text).unwrap_or_default()).collect()));
        let items = || parsed.get_or_init(read);
        let names = || Value::from_object(BatchNames { items: view::of(Arc::clone(items())), now });
        let root = || &**items();
        let made = with(body::Source { root: &root, text: Some(&array), names: &names });
        (made, array)
    }
}

/// Where a batch's body stands.
const PLACE: &str = "batch.body";

/// Whether a body can stand in a JSON array as it is.
pub(crate) fn is_json(body: Option<&Body>) -> bool {
    matches!(body, None | Some(Body::Tree(_)))
}
