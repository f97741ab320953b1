//! One request for several deliveries: a JSON array of their bodies.

use bytes::Bytes;

use crate::config::{Destination, Shape};
use crate::json;

use super::{Body, RenderContext, RenderError, Request, Templates, render};

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

/// Renders a batch. URL and headers are those of its first member: `check` makes sure that they are the same for all.
///
/// # Errors
/// Where none of the members can be rendered: why the first cannot. Where the body would be too long.
pub fn render_batch(templates: &Templates, destination: &Destination, members: &[Member<'_>]) -> Result<RenderedBatch, RenderError> {
    let mut array = vec![b'['];
    let mut first: Option<Request> = None;
    let mut left_out = Vec::new();
    for (place, member) in members.iter().enumerate() {
        match render(templates, destination, member.shape, &member.context) {
            Ok(request) => {
                if first.is_some() {
                    array.push(b',');
                }
                // A payload that is passed on as it came may begin with a mark, which must not stand inside of a JSON text.
                array.extend_from_slice(json::without_byte_order_mark(&request.body));
                first.get_or_insert(request);
            }
            Err(error) => left_out.push((place, error)),
        }
        if array.len() > BATCH_BYTES_MAX {
            return Err(RenderError::new(format!("the batch would be longer than {BATCH_BYTES_MAX} bytes")));
        }
    }
    array.push(b']');
    match (first, left_out.as_slice()) {
        (Some(request), _) => Ok(RenderedBatch { request: Request { body: Bytes::from(array), ..request }, left_out }),
        (None, [(_, error), ..]) => Err(error.clone()),
        (None, []) => Err(RenderError::new("the batch is empty")),
    }
}

/// Whether a body can stand in a JSON array.
pub(crate) fn is_json(body: Option<&Body>) -> bool {
    matches!(body, None | Some(Body::Tree(_)))
}
