//! Reading replies within limits.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::delivery::REPLY_BYTES_KEPT;
use crate::success::ReplyEnd;

/// Bytes of a reply that are read, so that the connection can be used again; a longer reply closes it.
const REPLY_BYTES_READ: usize = 64 * 1024;
/// Bytes of a reply that are handed on beyond those that are kept, so that a secret across the edge is found whole.
const REPLY_MARGIN: usize = 4096;
/// How long the rest of a reply may take once its status is known: the status is what counts.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(2);

/// The first of a reply whose status alone counts: what is missing of it is no failure.
pub(super) async fn beginning(response: &mut reqwest::Response, timeout: Duration) -> Bytes {
    let mut kept = BytesMut::new();
    let mut read = 0;
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            let room = (REPLY_BYTES_KEPT + REPLY_MARGIN).saturating_sub(kept.len());
            kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if read > REPLY_BYTES_READ {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(REPLY_WAIT_MAX.min(timeout), reading).await;
    kept.freeze()
}

/// All of a reply that has at most `bytes_max` bytes and ends before the deadline; else what there is of it.
pub(super) async fn whole(response: &mut reqwest::Response, bytes_max: usize, deadline: Instant) -> (Bytes, ReplyEnd) {
    let mut kept = BytesMut::new();
    let reading = async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if kept.len() + chunk.len() > bytes_max => return ReplyEnd::TooLong,
                Ok(Some(chunk)) => kept.extend_from_slice(&chunk),
                Ok(None) => return ReplyEnd::Whole,
                Err(_) => return ReplyEnd::Cut,
            }
        }
    };
    let end = tokio::time::timeout_at(deadline.into(), reading).await.unwrap_or(ReplyEnd::TooSlow);
    (kept.freeze(), end)
}

/// Leaves what is kept, and the margin for masks.
pub(super) fn shorten(reply: &mut Bytes) {
    if reply.len() > REPLY_BYTES_KEPT + REPLY_MARGIN {
        *reply = Bytes::copy_from_slice(reply.get(..REPLY_BYTES_KEPT + REPLY_MARGIN).unwrap_or_default());
    }
}
