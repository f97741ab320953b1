//! A connection on which a test writes HTTP by hand.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{API_KEY, PATIENCE, Reply, sha256_hex, webhook::PATH};

/// The connection.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    /// The same, as somebody at this address: of 127.0.0.0/8 every one is this machine's.
    pub async fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        Self { stream: socket.connect(address).await.unwrap(), buffer: Vec::new() }
    }

    /// The head of a webhook with a right key, without the empty line at its end.
    pub fn head() -> String {
        format!("POST {PATH} HTTP/1.1\r\nhost: relay\r\nx-auth-key: {}\r\n", sha256_hex(API_KEY))
    }

    /// A whole webhook.
    pub fn webhook(body: &str) -> String {
        format!("{}content-length: {}\r\n\r\n{body}", Self::head(), body.len())
    }

    /// Writes; a connection that the relay has closed already is no error.
    pub async fn write(&mut self, data: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(data.as_ref()).await;
    }

    /// Says that nothing more will be written.
    pub async fn end(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Writes as long as anybody reads, a byte and a pause at a time.
    pub async fn trickle(&mut self, data: &[u8], pause: Duration) {
        for byte in data {
            if self.stream.write_all(&[*byte]).await.is_err() || !self.nothing_to_read().await {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn nothing_to_read(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(1), self.stream.read_buf(&mut self.buffer)).await.is_err()
    }

    /// Reads one reply; fails the test if the connection ends before.
    pub async fn reply(&mut self) -> Reply {
        self.find_reply().await.expect("the connection ended without a reply")
    }

    /// Reads one reply, or `None` where the connection ends instead.
    pub async fn find_reply(&mut self) -> Option<Reply> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = http::HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.trim().parse().unwrap());
        }
        let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(Reply { status, headers, body: self.buffer.drain(..length).collect() })
    }

    async fn more(&mut self) -> Option<()> {
        let read =
            tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("the relay neither answers nor closes");
        match read {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Waits until the relay has closed the connection.
    pub async fn wait_until_closed(mut self) {
        while self.more().await.is_some() {}
    }
}
