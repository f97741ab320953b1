//! Reading replies within limits.

use std::io::Read;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::pool::Lease;
use crate::delivery::REPLY_BYTES_KEPT;
use crate::success::ReplyEnd;

/// Bytes of a reply that are read, so that the connection can be used again; a longer reply closes it.
const REPLY_BYTES_READ: usize = 64 * 1024;
/// Bytes of a reply that are handed on beyond those that are kept, so that a secret across the edge is found whole.
const REPLY_MARGIN: usize = 4096;
/// How long the rest of a reply may take once its status is known: the status is what counts.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(2);

/// A reply whose head is there.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    lease: Option<Lease>,
}

/// What gzip begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// What a reply's bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Other,
}

impl Reply {
    pub fn new(response: Response<Incoming>, mut lease: Lease) -> Self {
        let (head, body) = response.into_parts();
        lease.is_answered = true;
        let mut reply = Self { status: head.status, headers: head.headers, body, lease: Some(lease) };
        if reply.body.is_end_stream() {
            reply.end();
        }
        reply
    }

    /// All of it was read.
    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    /// The next bytes; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                if self.body.is_end_stream() {
                    self.end();
                }
                return Ok(Some(data));
            }
        }
        self.end();
        Ok(None)
    }

    fn coding(&self) -> Coding {
        let mut coding = Coding::Plain;
        for value in self.headers.get_all(CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                coding = match (coding, name.to_ascii_lowercase().as_slice()) {
                    (_, b"" | b"identity") => coding,
                    (Coding::Plain, b"gzip" | b"x-gzip") => Coding::Gzip,
                    _ => Coding::Other,
                };
            }
        }
        coding
    }

    /// The first of a reply whose status alone counts: what is missing of it is no failure.
    pub async fn beginning(mut self, timeout: Duration) -> Bytes {
        let mut kept = BytesMut::new();
        let mut read = 0;
        let coding = self.coding();
        let reading = async {
            while let Ok(Some(chunk)) = self.chunk().await {
                read += chunk.len();
                let room = (REPLY_BYTES_KEPT + REPLY_MARGIN).saturating_sub(kept.len());
                kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                if read > REPLY_BYTES_READ {
                    return;
                }
            }
        };
        // Most replies are there with their head, and need no clock.
        {
            let mut reading = std::pin::pin!(reading);
            if futures_util::poll!(&mut reading).is_pending() {
                let _ = tokio::time::timeout(REPLY_WAIT_MAX.min(timeout), reading).await;
            }
        }
        let kept = kept.freeze();
        if coding == Coding::Gzip && kept.starts_with(GZIP_MAGIC) { inflated(&kept, REPLY_BYTES_KEPT + REPLY_MARGIN).0 } else { kept }
    }

    /// All of a reply that has at most `bytes_max` bytes, also when it is no longer compressed, and ends before the deadline; else
    /// what there is of it.
    pub async fn whole(mut self, bytes_max: usize, deadline: Instant) -> (Bytes, ReplyEnd) {
        let mut kept = BytesMut::new();
        let coding = self.coding();
        let reading = async {
            loop {
                match self.chunk().await {
                    Ok(Some(chunk)) if kept.len() + chunk.len() > bytes_max => return ReplyEnd::TooLong,
                    Ok(Some(chunk)) => kept.extend_from_slice(&chunk),
                    Ok(None) => return ReplyEnd::Whole,
                    Err(_) => return ReplyEnd::Cut,
                }
            }
        };
        let end = tokio::time::timeout_at(deadline.into(), reading).await.unwrap_or(ReplyEnd::TooSlow);
        let kept = kept.freeze();
        opened(kept, end, coding, bytes_max)
    }
}

/// A reply that was read, no longer compressed. Some servers put the header of gzip on what is no gzip: that is taken as it is.
fn opened(kept: Bytes, end: ReplyEnd, coding: Coding, bytes_max: usize) -> (Bytes, ReplyEnd) {
    match coding {
        Coding::Other if end == ReplyEnd::Whole && !kept.is_empty() => (kept, ReplyEnd::Unreadable),
        Coding::Gzip if kept.starts_with(GZIP_MAGIC) => match inflated(&kept, bytes_max) {
            (kept, is_whole) if is_whole || end != ReplyEnd::Whole => (kept, end),
            (kept, _) if kept.len() >= bytes_max => (kept, ReplyEnd::TooLong),
            (kept, _) => (kept, ReplyEnd::Damaged),
        },
        _ => (kept, end),
    }
}

/// What was compressed, up to `bytes_max` bytes and up to where it is damaged, and whether that is all.
fn inflated(data: &[u8], bytes_max: usize) -> (Bytes, bool) {
    let mut decoder = MultiGzDecoder::new(data);
    let mut inflated = Vec::new();
    let read = decoder.by_ref().take(bytes_max as u64).read_to_end(&mut inflated);
    let is_whole = read.is_ok() && decoder.read(&mut [0]).is_ok_and(|more| more == 0);
    (Bytes::from(inflated), is_whole)
}

/// Leaves what is kept, and the margin for masks.
pub(super) fn shorten(reply: &mut Bytes) {
    if reply.len() > REPLY_BYTES_KEPT + REPLY_MARGIN {
        *reply = Bytes::copy_from_slice(reply.get(..REPLY_BYTES_KEPT + REPLY_MARGIN).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflating_has_a_limit_and_takes_what_there_is() {
        let data = gzip(br#"{"ok":true}"#);
        assert_eq!(inflated(&data, 100), (Bytes::from_static(br#"{"ok":true}"#), true));
        assert_eq!(inflated(&data, 11), (Bytes::from_static(br#"{"ok":true}"#), true));
        assert_eq!(inflated(&data, 4), (Bytes::from_static(br#"{"ok"#), false));
        assert!(!inflated(&data[..data.len() - 1], 100).1);
        assert_eq!(inflated(b"not gzip at all", 100), (Bytes::new(), false));
        let bomb = gzip(&vec![0; 10 << 20]);
        assert_eq!(inflated(&bomb, 1000), (Bytes::from(vec![0; 1000]), false));
    }

    #[test]
    fn what_is_said_to_be_gzip_is_told_as_what_it_is() {
        let json = &br#"{"ok":true}"#[..];
        let whole = gzip(json);
        let opened = |data: &[u8], coding| opened(Bytes::copy_from_slice(data), ReplyEnd::Whole, coding, 100);
        assert_eq!(opened(&whole, Coding::Gzip), (Bytes::from_static(json), ReplyEnd::Whole));
        assert_eq!(opened(json, Coding::Gzip), (Bytes::from_static(json), ReplyEnd::Whole), "mislabelled");
        assert_eq!(opened(b"\0garbage", Coding::Gzip), (Bytes::from_static(b"\0garbage"), ReplyEnd::Whole));
        assert_eq!(opened(&whole[..whole.len() - 4], Coding::Gzip).1, ReplyEnd::Damaged);
        assert_eq!(opened(&[GZIP_MAGIC, b"garbage that is long enough"].concat(), Coding::Gzip).1, ReplyEnd::Damaged);
        assert_eq!(opened(json, Coding::Other).1, ReplyEnd::Unreadable);
    }
}
