//! Bodies that are written as texts and said to be JSON: whether they are, once they are filled in. The events of a relay are not known
//! before they come, so two of Wiza's samples stand in for them: one with all fields, one with few.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::{Event, EventId};
use crate::transform::{BatchError, Member, RenderContext, RenderError, Shape, declares_json, render, render_batch};

use crate::config::destinations::destination::Destination;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;

/// The samples by their names.
const SAMPLES: [(&str, &str); 2] =
    [("full", include_str!("../../../samples/full.json")), ("failed", include_str!("../../../samples/failed.json"))];

/// Warns where what a destination sends is a text that is no JSON, though its `content-type` says so. `is_literal`: it is the same for
/// every event, so that this is an error.
pub(in crate::config) fn warn(decoder: &mut Decoder<'_>, destination: &Destination, shape: Option<&Shape>, node: &Node, is_literal: bool) {
    for (name, sample) in SAMPLES {
        let body = Bytes::from_static(sample.as_bytes());
        let event = Arc::new(Event::new(EventId::from_bytes([0; 16]), Timestamp::UNIX_EPOCH, String::new(), String::new(), body));
        let context = RenderContext { event, route: "sample".into(), now: Timestamp::UNIX_EPOCH };
        // What else fails is told elsewhere, or is a matter of the sample.
        let Some(RenderError { message, .. }) = failure(decoder, destination, shape, context).filter(declares_json) else { continue };
        if is_literal {
            decoder.report.error(node.span.clone(), message).hint("a mapping is JSON by itself; or say another `content-type`");
        } else {
            decoder
                .report
                .warning(node.span.clone(), format!("filled in from the sample `{name}`, {message}"))
                .hint("`explain` shows where: a comma stands between two items only, and `| tojson` sets the quotes; or use `$each`");
        }
        return;
    }
}

fn failure(decoder: &Decoder<'_>, destination: &Destination, shape: Option<&Shape>, context: RenderContext) -> Option<RenderError> {
    if destination.batch.is_none() {
        return render(&decoder.templates, destination.outline(), shape, &context).err();
    }
    render_batch(&decoder.templates, destination.outline(), &[Member { context, shape }]).err().map(BatchError::into_inner)
}
