//! Answers that go on: a JSON object a line, for as long as somebody reads.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::header;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::listing::Followed;

/// An empty line after so long without another: proxies take a silent connection for a dead one, and without a write
/// nobody notices that the client has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The answer. It ends when the client leaves or the relay stops.
pub(super) fn answer<T: Serialize + Send + 'static>(items: BoxStream<'static, Followed<T>>, stop: CancellationToken) -> Response {
    let lines = stream::unfold((items, stop), |(mut items, stop)| async move {
        let line = tokio::select! {
            () = stop.cancelled() => return None,
            item = items.next() => line(item?),
            () = tokio::time::sleep(KEEP_ALIVE) => "\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (items, stop)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], Body::from_stream(lines)).into_response()
}

fn line<T: Serialize>(item: Followed<T>) -> String {
    match item {
        Followed::Item(item) => serde_json::to_string(&item).unwrap_or_default() + "\n",
        Followed::Missed(count) => format!("{{\"missed\":{count}}}\n"),
    }
}
