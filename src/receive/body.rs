//! Reading a webhook's body within its limits, and inflating it where it came as gzip.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use super::answer::Answer;

/// How long the whole body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes read and thrown away at most of a body that is refused.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the body as it was meant: at most `limit` bytes, counted after inflating.
pub(super) async fn read(headers: &HeaderMap, body: &mut Body, limit: usize) -> Result<Bytes, Answer> {
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
    let received = tokio::time::timeout(BODY_TIMEOUT, collect(body, limit)).await.map_err(|_| Answer::TooSlow(BODY_TIMEOUT))??;
    if gzip { inflate(&received, limit) } else { Ok(received) }
}

async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, Answer> {
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    let Some(second) = next(body).await? else {
        return if first.len() > limit { Err(Answer::TooLarge(limit)) } else { Ok(first) }; // Most bodies come in one piece.
    };
    let mut whole = BytesMut::with_capacity((first.len() + second.len()).min(limit));
    let mut chunk = Some(second);
    whole.extend_from_slice(&first);
    while let Some(data) = chunk {
        if whole.len() + data.len() > limit {
            return Err(Answer::TooLarge(limit));
        }
        whole.extend_from_slice(&data);
        chunk = next(body).await?;
    }
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

/// Inflates, and stops one byte past the limit however much would follow.
fn inflate(compressed: &[u8], limit: usize) -> Result<Bytes, Answer> {
    let mut inflated = Vec::new();
    let past_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(compressed)
        .take(past_limit)
        .read_to_end(&mut inflated)
        .map_err(|error| Answer::Unreadable(format!("content-encoding is gzip, but the body is not: {error}")))?;
    if inflated.len() > limit { Err(Answer::TooLarge(limit)) } else { Ok(inflated.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    async fn read_encoded(encoding: &'static str, body: Vec<u8>, limit: usize) -> Result<Bytes, Answer> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        read(&headers, &mut Body::from(body), limit).await
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
        assert_eq!(read(&HeaderMap::new(), &mut chunks(3), 12).await.unwrap(), Bytes::from_static(b"abcdabcdabcd"));
        for (count, limit) in [(1, 3), (2, 7), (3, 11), (1000, 12)] {
            assert!(matches!(read(&HeaderMap::new(), &mut chunks(count), limit).await, Err(Answer::TooLarge(_))), "{count}");
        }
    }
}
