//! As little HTTP as a load needs: what the load generator costs is not available to what it measures.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A GET by a blocking connection; the whole reply.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}

/// A connection that posts the same request over and over, with another id each time.
pub struct Poster {
    stream: TcpStream,
    request: Vec<u8>,
    id_at: usize,
    buffer: Vec<u8>,
}

/// Digits of an id in a body.
pub const ID_DIGITS: usize = 10;

impl Poster {
    pub async fn connect(address: SocketAddr, auth_key: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let body = super::payload();
        let mut request = format!(
            "POST /webhooks/wiza HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-auth-key: {auth_key}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let id_at = request.len() + id_place(body.as_bytes()).expect("an id");
        request.extend_from_slice(body.as_bytes());
        Self { stream, request, id_at, buffer: vec![0; 4096] }
    }

    /// Posts and waits for the answer's status.
    pub async fn post(&mut self, id: usize) -> u16 {
        let digits = format!("{id:0width$}", width = ID_DIGITS);
        self.request[self.id_at..self.id_at + ID_DIGITS].copy_from_slice(digits.as_bytes());
        self.stream.write_all(&self.request).await.expect("write");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("read");
            assert!(read > 0, "the connection was closed");
            filled += read;
            if let Some((head, body)) = message(&self.buffer[..filled])
                && filled >= head + body
            {
                return std::str::from_utf8(&self.buffer[9..12]).expect("a status").parse().expect("a status");
            }
        }
    }
}

/// Lengths of a message's head and body, once its head is complete.
pub fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let length_at = memchr::memmem::find(&bytes[..head], b"content-length: ")? + 16;
    let digits = bytes[length_at..head].iter().take_while(|byte| byte.is_ascii_digit());
    Some((head, digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))))
}

/// Where the digits of the id begin. Ids of the bench start at 10^9, so that templates print all digits.
pub fn id_place(body: &[u8]) -> Option<usize> {
    let key = b"\"id\":";
    let at = memchr::memmem::find(body, key)? + key.len();
    Some(at + body[at..].iter().take_while(|byte| !byte.is_ascii_digit()).count())
}
