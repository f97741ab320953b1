//! What a request looks like before an event fills it in.

use http::{HeaderName, Method};

use super::body::Body;
use crate::transform::templates::template::Template;

/// What a request looks like. A route's shape overrides its destination's, key by key; headers are merged by name,
/// and the route's win.
#[derive(Debug, Default)]
pub struct Shape {
    /// Where the request goes.
    pub url: Option<Template>,
    /// Headers beside those that delivery adds.
    pub headers: Vec<(HeaderName, Template)>,
    /// None: the payload, byte for byte as received.
    pub body: Option<Body>,
}

/// What a destination says of all its requests.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'d> {
    /// The method.
    pub method: &'d Method,
    /// What they look like unless a route says otherwise. Its `url` is always there.
    pub shape: &'d Shape,
    /// The body around the members of a batch; `None`: the list of their bodies.
    pub batch_body: Option<&'d Body>,
}
