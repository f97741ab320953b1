//! Reading a webhook's body within its limits, and inflating it where it came as gzip.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use super::answer::Answer;
use super::memory::Held;

/// How long the whole body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes read and thrown away at most of a body that is refused.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of an inflater: 32 KiB of window, and its tables.
const INFLATER_BYTES: usize = 64 * 1024;
/// Room for the first part of what is inflated: an ordinary webhook.
const INFLATED_FIRST: usize = 8 * 1024;

/// Reads the body as it was meant: at most `limit` bytes, counted after inflating. `held` grows with it.
pub(super) async fn read(headers: &HeaderMap, body: &mut Body, limit: usize, held: &mut Held) -> Result<Bytes, Answer> {
    let gzip = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None => false,
        Some(encoding) if encoding.eq_ignore_ascii_case(b"identity") => false,
        Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") => true,
        Some(_) => return Err(Answer::UnknownEncoding),
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(Answer::TooLarge(limit));
    }
    let received = tokio::time::timeout(BODY_TIMEOUT, collect(body, limit, held)).await.map_err(|_| Answer::TooSlow(BODY_TIMEOUT))??;
    if gzip { inflate(&received, limit, held) } else { Ok(received) }
}

async fn collect(body: &mut Body, limit: usize, held: &mut Held) -> Result<Bytes, Answer> {
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    held.grow_to(first.len())?;
    let Some(second) = next(body).await? else {
        return if first.len() > limit { Err(Answer::TooLarge(limit)) } else { Ok(first) }; // Most bodies come in one piece.
    };
    let mut whole = BytesMut::new();
    let mut chunk = Some(first);
    let mut following = Some(second);
    while let Some(data) = chunk {
        let length = whole.len() + data.len();
        if length > limit {
            return Err(Answer::TooLarge(limit));
        }
        if length > whole.capacity() {
            // It is copied, so for a moment there are both.
            let capacity = (whole.capacity() * 2).clamp(length, limit);
            held.grow_to(whole.len() + capacity + data.len())?;
            whole.reserve(capacity - whole.len());
            held.shrink_to(whole.capacity() + data.len());
        }
        whole.extend_from_slice(&data);
        drop(data);
        chunk = match following.take() {
            Some(second) => Some(second),
            None => next(body).await?,
        };
    }
    held.grow_to(whole.capacity())?;
    Ok(whole.freeze())
}

/// The body's next piece; `None` at its end. Trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Answer> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Answer::CutShort(format!("the body did not arrive whole: {error}")))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads on past what nobody wants, so that a sender that writes all before it reads gets its answer rather than a
/// reset. Whether the body came to its end.
pub(super) async fn discard(body: &mut Body) -> bool {
    let reading = async {
        let mut discarded = 0;
        while discarded < DISCARDED_BYTES_MAX {
            match next(body).await {
                Ok(Some(data)) => discarded += data.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    tokio::time::timeout(DISCARD_TIMEOUT, reading).await.unwrap_or(false)
}

/// Inflates, and stops one byte past the limit however much would follow. What it takes is held before it is taken.
fn inflate(compressed: &[u8], limit: usize, held: &mut Held) -> Result<Bytes, Answer> {
    let unreadable = |error| Answer::Unreadable(format!("content-encoding is gzip, but the body is not: {error}"));
    let beside = compressed.len() + INFLATER_BYTES;
    let past_limit = limit.saturating_add(1);
    let mut inflated: Vec<u8> = Vec::new();
    let mut decoder = MultiGzDecoder::new(compressed);
    loop {
        let capacity = (inflated.capacity() * 2).clamp(INFLATED_FIRST.min(past_limit), past_limit);
        // It is copied, so for a moment there are both.
        held.grow_to(beside + inflated.len() + capacity)?;
        inflated.reserve_exact(capacity - inflated.len());
        let room = capacity - inflated.len();
        let read = decoder.by_ref().take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut inflated).map_err(unreadable)?;
        if inflated.len() > limit {
            return Err(Answer::TooLarge(limit));
        }
        if read < room {
            break;
        }
    }
    drop(decoder);
    inflated.shrink_to_fit();
    held.shrink_to(inflated.len());
    Ok(inflated.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::super::memory::Memory;
    use super::*;
    use crate::metrics::Metrics;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn held() -> Held {
        Memory::new(1 << 30, Metrics::new().unwrap()).held()
    }

    async fn read_encoded(encoding: &'static str, body: Vec<u8>, limit: usize) -> Result<Bytes, Answer> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        read(&headers, &mut Body::from(body), limit, &mut held()).await
    }

    #[tokio::test]
    async fn the_limit_counts_inflated_bytes() {
        assert_eq!(read_encoded("gzip", gzip(&[b' '; 1000]), 1000).await.unwrap().len(), 1000);
        assert!(matches!(read_encoded("GZIP", gzip(&[b' '; 1001]), 1000).await, Err(Answer::TooLarge(1000))));
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(read_encoded("gzip", bomb, 1 << 20).await, Err(Answer::TooLarge(_))));
    }

    #[tokio::test]
    async fn several_members_are_one_body() {
        let mut two = gzip(b"{\"a\":");
        two.extend(gzip(b"1}"));
        assert_eq!(read_encoded("gzip", two, 100).await.unwrap(), Bytes::from_static(b"{\"a\":1}"));
    }

    #[tokio::test]
    async fn broken_and_unknown_encodings_are_refused() {
        assert!(matches!(read_encoded("gzip", b"{}".to_vec(), 100).await, Err(Answer::Unreadable(_))));
        let mut cut = gzip(b"{\"a\": \"some more text so that there is something to cut\"}");
        cut.truncate(cut.len() - 9);
        assert!(matches!(read_encoded("gzip", cut, 100).await, Err(Answer::Unreadable(_))));
        assert!(matches!(read_encoded("br", b"{}".to_vec(), 100).await, Err(Answer::UnknownEncoding)));
        assert_eq!(read_encoded("identity", b"{}".to_vec(), 100).await.unwrap(), Bytes::from_static(b"{}"));
    }

    #[tokio::test]
    async fn what_is_refused_is_read_to_its_end_unless_it_is_endless() {
        let chunk = Bytes::from(vec![b' '; 64 * 1024]);
        let chunks = |count: usize| {
            let chunk = chunk.clone();
            Body::from_stream(futures_util::stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
        };
        assert!(discard(&mut chunks(10)).await);
        assert!(!discard(&mut chunks(usize::MAX)).await);
        assert!(discard(&mut Body::empty()).await);
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        let chunks = |count: usize| {
            Body::from_stream(futures_util::stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"abcd")))))
        };
        assert_eq!(read(&HeaderMap::new(), &mut chunks(3), 12, &mut held()).await.unwrap(), Bytes::from_static(b"abcdabcdabcd"));
        for (count, limit) in [(1, 3), (2, 7), (3, 11), (1000, 12)] {
            assert!(matches!(read(&HeaderMap::new(), &mut chunks(count), limit, &mut held()).await, Err(Answer::TooLarge(_))), "{count}");
        }
    }
}
