//! A destination that speaks HTTP/2 over TLS, and ends connections and requests in the ways that HTTP/2 has for that.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, write};

type Script = dyn Fn(Asked) -> Http2Answer + Send + Sync;

/// A request, by its place.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Among all, from 0.
    pub number: usize,
    /// On its connection, from 0.
    pub on_connection: usize,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Http2Answer {
    /// 200.
    Fine,
    /// 200, and the connection takes no more requests (GOAWAY, NO_ERROR).
    FineAndGoAway,
    /// It is not looked at, and the connection ends (GOAWAY, NO_ERROR, with a number below that of the request).
    GoAwayUnprocessed,
    /// It is not looked at (RST_STREAM, REFUSED_STREAM).
    Refused,
    /// It is broken off (RST_STREAM, INTERNAL_ERROR).
    BrokenOff,
    /// The TCP connection is reset.
    Reset,
}

/// The server. It stops when it is dropped.
pub struct Http2Receiver {
    pub address: SocketAddr,
    pub ca: PathBuf,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
    _folder: TempDir,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: usize,
    /// The names of the deliveries that were answered with 200.
    taken: Vec<String>,
}

impl Http2Receiver {
    /// Decides by the request's place. Takes so many requests at once on a connection, if it says so.
    pub async fn scripted(streams_max: Option<u32>, script: impl Fn(Asked) -> Http2Answer + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = write(folder.path(), "ca.pem", &authority.pem());
        let mut tls = Authority::serve(&authority.issue(&["127.0.0.1"]), None);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, script): (Arc<Mutex<Seen>>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let server = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let acceptor = TlsAcceptor::from(Arc::new(tls));
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(acceptor.clone(), stream, streams_max, Arc::clone(&seen), Arc::clone(&script)));
                }
            }
        });
        Self { address, ca, seen, server, _folder: folder }
    }

    /// Keys of a destination that trusts it.
    pub fn trusted(&self) -> String {
        format!("tls: {{ ca: {} }}", self.ca.display())
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// How many requests came, answered or not.
    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().requests
    }

    /// The names of the deliveries that were answered with 200, sorted.
    pub fn taken(&self) -> Vec<String> {
        let mut taken = self.seen.lock().unwrap().taken.clone();
        taken.sort();
        taken
    }
}

impl Drop for Http2Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, streams_max: Option<u32>, seen: Arc<Mutex<Seen>>, script: Arc<Script>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let socket = std::os::fd::AsFd::as_fd(stream.get_ref().0).try_clone_to_owned().unwrap();
    let mut builder = h2::server::Builder::new();
    if let Some(streams_max) = streams_max {
        builder.max_concurrent_streams(streams_max);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    seen.lock().unwrap().connections += 1;
    let mut on_connection = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let asked = {
            let mut seen = seen.lock().unwrap();
            seen.requests += 1;
            Asked { number: seen.requests - 1, on_connection }
        };
        on_connection += 1;
        match script(asked) {
            Http2Answer::Fine => drop(tokio::spawn(answer(request, respond, Arc::clone(&seen)))),
            Http2Answer::FineAndGoAway => {
                drop(tokio::spawn(answer(request, respond, Arc::clone(&seen))));
                connection.graceful_shutdown();
            }
            Http2Answer::GoAwayUnprocessed => {
                drop((request, respond));
                connection.abrupt_shutdown(Reason::NO_ERROR);
            }
            Http2Answer::Refused => respond.send_reset(Reason::REFUSED_STREAM),
            Http2Answer::BrokenOff => respond.send_reset(Reason::INTERNAL_ERROR),
            Http2Answer::Reset => {
                let socket = std::net::TcpStream::from(socket);
                TcpStream::from_std(socket).unwrap().set_zero_linger().unwrap();
                return;
            }
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, seen: Arc<Mutex<Seen>>) {
    let name = request.headers()["webhook-id"].to_str().unwrap().to_owned();
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return };
        let _ = body.flow_control().release_capacity(data.len());
    }
    seen.lock().unwrap().taken.push(name);
    // More than the hundred headers that an HTTP/1.1 client commonly reads.
    let response = (0..150).fold(Response::builder(), |response, number| response.header(format!("x-header-{number}"), number));
    if let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) {
        let _ = stream.send_data(Bytes::from_static(b"{\"ok\":true}"), true);
    }
}
