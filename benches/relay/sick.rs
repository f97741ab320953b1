//! Ten destinations that are each unwell in a way of their own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One way to be unwell. `Refusing` has no server at all.
#[derive(Clone, Copy, Debug)]
pub enum Sickness {
    Refusing,
    Hanging,
    Dripping,
    Slow,
    NeverClosing,
    EndlessBody,
    Resetting,
    Failing,
    Throttling,
    Noise,
}

use Sickness::*;

const ALL: [Sickness; 10] = [Refusing, Hanging, Dripping, Slow, NeverClosing, EndlessBody, Resetting, Failing, Throttling, Noise];

/// Starts them all; names and addresses.
pub async fn serve_all() -> Vec<(String, SocketAddr)> {
    let mut all = Vec::new();
    for sickness in ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        all.push((format!("sick-{sickness:?}").to_lowercase(), listener.local_addr().expect("an address")));
        if !matches!(sickness, Refusing) {
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(converse(stream, sickness));
                }
            });
        }
    }
    all
}

/// Either side may go away at any moment.
async fn converse(mut stream: TcpStream, sickness: Sickness) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if stream.read(&mut buffer).await? == 0 {
            return Ok(());
        }
        match sickness {
            Refusing | Hanging => std::future::pending().await,
            Dripping => drip(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?,
            Slow => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            }
            NeverClosing => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nand then ").await?;
                std::future::pending().await
            }
            EndlessBody => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(b"6\r\nmore, \r\n").await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Resetting => return stream.set_zero_linger(),
            Failing => stream.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").await?,
            Throttling => stream.write_all(b"HTTP/1.1 429 Wait\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n").await?,
            Noise => {
                stream.write_all(&[0x16, 0x03, 0xff, 0x00, 0x0d, 0x0a]).await?;
                return Ok(());
            }
        }
    }
}

async fn drip(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    for byte in text {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::future::pending().await
}
