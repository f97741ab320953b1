//! A tunnel through a proxy (CONNECT), so that the proxy sees the host and nothing else.

use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::failure::Failure;
use super::stream::Stream;

/// The head of a proxy's answer at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Has a proxy open a tunnel to a host.
pub(super) async fn open(stream: &mut dyn Stream, host: &str, port: u16, authorization: Option<&HeaderValue>) -> Result<(), Failure> {
    let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        head.extend([b"proxy-authorization: ", authorization.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let broke = |error: std::io::Error| Failure::connection(format!("the proxy: {error}"));
    stream.write_all(&head).await.map_err(broke)?;
    stream.flush().await.map_err(broke)?;
    let mut answer = Vec::new();
    // Behind the head of a 2xx the server's own bytes would come, and it is silent until it is spoken to.
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        if answer.len() > HEAD_BYTES_MAX {
            return Err(Failure::connection("the proxy answered with more than the head of a reply"));
        }
        if stream.read_buf(&mut answer).await.map_err(broke)? == 0 {
            return Err(Failure::connection("the proxy closed the connection without an answer"));
        }
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => {
            Err(Failure::connection("the proxy answered 407: it wants a user and a password, as in `http://user:password@proxy:3128`"))
        }
        Some(status) => Err(Failure::connection(format!("the proxy answered {status} and opened no tunnel"))),
        None => Err(Failure::connection("the proxy's answer is not HTTP")),
    }
}

/// The status of `HTTP/1.x 200 ...`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(answer: &'static [u8]) -> Result<(), String> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let proxy = async move {
            let mut asked = [0; 1024];
            let length = far.read(&mut asked).await.unwrap();
            far.write_all(answer).await.unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        };
        let authorization = HeaderValue::from_static("Basic eA==");
        let (opened, asked) = tokio::join!(open(&mut near, "[::1]", 443, Some(&authorization)), proxy);
        assert_eq!(asked, "CONNECT [::1]:443 HTTP/1.1\r\nhost: [::1]:443\r\nproxy-authorization: Basic eA==\r\n\r\n");
        opened.map_err(|failure| failure.words)
    }

    #[tokio::test]
    async fn a_proxy_that_opens_no_tunnel_is_quoted() {
        assert_eq!(opened(b"HTTP/1.0 200 Connection established\r\n\r\n").await, Ok(()));
        for (answer, words) in [
            (&b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n"[..], "407: it wants a user"),
            (b"HTTP/1.1 502 Bad\r\n\r\nbody", "answered 502"),
            (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        ] {
            let error = opened(answer).await.unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
