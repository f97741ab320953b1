//! Answers that go on: a JSON object a line, for as long as somebody reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::{StatusCode, header};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::admin::problem::Problem;
use crate::visible;
use crate::wire::listing::Followed;

/// An empty line after so long without another: proxies take a silent connection for a dead one, and without a write
/// nobody notices that the client has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Those who follow at a time: each costs a look at every commit, and a connection that is never idle.
pub(super) const FOLLOWERS_MAX: usize = 32;
/// When somebody who found no room should come again.
const RETRY_AFTER: Duration = Duration::from_secs(9);

/// Room for one more who follows, given back at the end of the answer.
pub(super) fn room(followers: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(followers).try_acquire_owned().map_err(|_| {
        let detail = format!("{FOLLOWERS_MAX} programs follow already, and that is the most; end one of them, or list instead");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER)
    })
}

/// The answer. It ends when the client leaves or the relay stops.
pub(super) fn answer<T: Serialize + Send + 'static>(
    items: BoxStream<'static, Followed<T>>,
    room: OwnedSemaphorePermit,
    stop: CancellationToken,
) -> Response {
    let lines = stream::unfold((items, stop, room), |(mut items, stop, room)| async move {
        let line = tokio::select! {
            () = stop.cancelled() => return None,
            item = items.next() => line(item?),
            () = tokio::time::sleep(KEEP_ALIVE) => "\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (items, stop, room)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], Body::from_stream(lines)).into_response()
}

fn line<T: Serialize>(item: Followed<T>) -> String {
    match item {
        Followed::Item(item) => visible::json(&serde_json::to_string(&item).unwrap_or_default()).into_owned() + "\n",
        Followed::Missed(count) => format!("{{\"missed\":{count}}}\n"),
    }
}
