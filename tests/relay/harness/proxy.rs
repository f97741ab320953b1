//! An HTTP proxy: forwards requests in absolute form, and makes tunnels on CONNECT. Whatever host is asked for, it
//! goes to one address: the names of a test are known to nobody else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::receiver::{Request, read_head};

/// The proxy. It stops when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Forwards everything to `target`; with `credentials`, only for those who show them (`Basic ...`).
    pub async fn start(target: SocketAddr, credentials: Option<&str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, credentials) = (Arc::clone(&requests), credentials.map(str::to_owned));
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, credentials) = (Arc::clone(&seen), credentials.clone());
                connections.spawn(async move {
                    let _ = forward(stream, target, &seen, credentials.as_deref()).await;
                });
            }
        });
        Self { address, requests, server }
    }

    /// What it was asked to do: of a tunnel only that it was made.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(mut stream: TcpStream, target: SocketAddr, seen: &Mutex<Vec<Request>>, credentials: Option<&str>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let Some((request, length)) = read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
    seen.lock().unwrap().push(request.clone());
    if credentials.is_some() && request.find_header("proxy-authorization") != credentials {
        return stream.write_all(b"HTTP/1.1 407 No\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    }
    let mut upstream = TcpStream::connect(target).await?;
    if request.method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 Go\r\n\r\n").await?;
    } else {
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let path = request.path.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
        for (name, value) in request.headers.iter().filter(|(name, _)| !name.starts_with("proxy-")) {
            head += &format!("{name}: {value}\r\n");
        }
        upstream.write_all(&[format!("{head}\r\n").as_bytes(), &buffer].concat()).await?;
        // One request a connection: the next would have to be rewritten too.
        let mut answer = Vec::new();
        let Some((_, length)) = read_head(&mut upstream, &mut answer).await? else { return Ok(()) };
        while answer.len() < length {
            if upstream.read_buf(&mut answer).await? == 0 {
                return Ok(());
            }
        }
        let head = format!("HTTP/1.1 200 Forwarded\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        return stream.write_all(&[head.as_bytes(), &answer].concat()).await;
    }
    tokio::io::copy_bidirectional(&mut stream, &mut upstream).await.map(|_| ())
}
