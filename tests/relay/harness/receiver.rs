//! A destination: an HTTP/1.1 server of our own, because one made with a library could not misbehave.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::ServerConfig;
use tokio::io::AsyncRead;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::stream::Stream;
use super::{Answer, eventually};

type Script = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place among all of this receiver's requests, from 0.
    pub number: usize,
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its head was complete.
    pub at: Instant,
    /// The status it was answered with, once it was.
    pub answered: Option<u16>,
}

impl Request {
    /// A header's value; fails the test if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.find_header(name).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
    }

    /// A header's value, if it is there.
    pub fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The delivery's name.
    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

struct Shared {
    script: Mutex<Arc<Script>>,
    requests: Mutex<Vec<Request>>,
    parallel: AtomicUsize,
    parallel_max: AtomicUsize,
    broken_handshakes: AtomicUsize,
}

/// The server. It stops when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    is_secure: bool,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Answers everything with 200.
    pub async fn start() -> Self {
        Self::scripted(|_, _| Answer::status(200)).await
    }

    /// Gives these answers in turn, then 200 for ever.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<Answer> = answers.into_iter().collect();
        Self::scripted(move |_, number| answers.get(number).cloned().unwrap_or_else(|| Answer::status(200))).await
    }

    /// Always gives this answer.
    pub async fn always(answer: Answer) -> Self {
        Self::scripted(move |_, _| answer.clone()).await
    }

    /// Decides by the request and its number.
    pub async fn scripted(script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::on(listener, None, script)
    }

    /// Serves a port that was chosen before; answers 200.
    pub fn on_listener(listener: TcpListener) -> Self {
        Self::on(listener, None, |_, _| Answer::status(200))
    }

    /// Answers 200 over TLS.
    pub async fn secure(tls: ServerConfig) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::on(listener, Some(tls), |_, _| Answer::status(200))
    }

    fn on(listener: TcpListener, tls: Option<ServerConfig>, script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            requests: Mutex::default(),
            parallel: AtomicUsize::new(0),
            parallel_max: AtomicUsize::new(0),
            broken_handshakes: AtomicUsize::new(0),
        });
        let is_secure = tls.is_some();
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let server = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, is_secure, shared, server }
    }

    /// From now on always gives this answer.
    pub fn become_always(&self, answer: Answer) {
        *self.shared.script.lock().unwrap() = Arc::new(move |_: &Request, _| answer.clone());
    }

    /// A URL on this server.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// How many TLS handshakes came to nothing.
    pub fn broken_handshakes(&self) -> usize {
        self.shared.broken_handshakes.load(Ordering::SeqCst)
    }

    /// Everything that came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Forgets everything that came so far.
    pub fn forget(&self) {
        self.shared.requests.lock().unwrap().clear();
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// How many requests were unanswered at the same time, at most.
    pub fn parallel_max(&self) -> usize {
        self.shared.parallel_max.load(Ordering::SeqCst)
    }

    /// Somebody who can say what arrived here.
    pub(super) fn witness(&self) -> Witness {
        Witness(Arc::clone(&self.shared))
    }

    /// Waits for at least this many requests, and returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        eventually(&format!("{count} requests at the receiver"), async || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a receiver has seen, also after its end.
pub struct Witness(Arc<Shared>);

impl Witness {
    /// The names of the deliveries that were answered with a 2xx.
    pub fn took(&self) -> Vec<String> {
        let requests = self.0.requests.lock().unwrap();
        let taken = requests.iter().filter(|request| request.answered.is_some_and(|status| (200..300).contains(&status)));
        taken.filter_map(|request| request.find_header("webhook-id")).map(str::to_owned).collect()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            let stream = match tls {
                None => Stream::Plain(stream),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Stream::Tls(Box::new(stream)),
                    Err(_) => {
                        shared.broken_handshakes.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                },
            };
            // The relay may go away at any moment.
            let _ = converse(stream, &shared).await;
        });
    }
}

/// Serves one connection for as long as both sides keep it.
async fn converse(mut stream: Stream, shared: &Shared) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some((mut request, length)) = read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
        request.number = {
            let mut requests = shared.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let script = Arc::clone(&shared.script.lock().unwrap());
        // The body is read before the script sees the request, unless the script is to cut it off.
        let answer = script(&request, request.number);
        if let Answer::ResetMidRequest = answer {
            stream.set_zero_linger()?;
            return Ok(());
        }
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        request.body = buffer.drain(..length).collect();
        shared.requests.lock().unwrap()[request.number].body.clone_from(&request.body);
        let _unanswered = Parallel::enter(shared);
        respond(&mut stream, shared, request.number, answer).await?;
    }
}

async fn respond(stream: &mut Stream, shared: &Shared, number: usize, answer: Answer) -> io::Result<()> {
    let answered = |status: u16| shared.requests.lock().unwrap()[number].answered = Some(status);
    match answer {
        Answer::Reply { status, headers, body, delay, gate } => {
            tokio::time::sleep(delay).await;
            if let Some(gate) = gate {
                gate.passed().await;
            }
            let mut head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            // Noted first, so that whoever sees the delivery settled also finds the answer.
            answered(status);
            stream.write_all(&[format!("{head}\r\n").as_bytes(), &body].concat()).await
        }
        Answer::ReplyThenClose(status, time) => {
            answered(status);
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
            tokio::time::sleep(time).await;
            Err(io::ErrorKind::Interrupted.into())
        }
        Answer::Raw(status, bytes) => {
            answered(status);
            stream.write_all(&bytes).await?;
            Err(io::ErrorKind::Interrupted.into())
        }
        Answer::Hang | Answer::ResetMidRequest => std::future::pending().await,
        Answer::CutHead => {
            stream.write_all(b"HTTP/1.1 20").await?;
            Err(io::ErrorKind::Interrupted.into())
        }
        Answer::CutBody(status) => {
            answered(status);
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 1000\r\n\r\nthe first of it").as_bytes()).await?;
            Err(io::ErrorKind::Interrupted.into())
        }
        Answer::EndlessBody(status) => {
            answered(status);
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes()).await?;
            loop {
                stream.write_all(b"6\r\nmore, \r\n").await?;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
}

/// Reads up to the empty line, and how long the body is; `None` where the other side is done.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Option<(Request, usize)>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..end + 4).collect();
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Ok(Some((Request { number: 0, method, path, query, headers, body: Vec::new(), at: Instant::now(), answered: None }, length)))
}

/// Counts requests that are being answered.
struct Parallel<'a>(&'a Shared);

impl<'a> Parallel<'a> {
    fn enter(shared: &'a Shared) -> Self {
        let now = shared.parallel.fetch_add(1, Ordering::SeqCst) + 1;
        shared.parallel_max.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Parallel<'_> {
    fn drop(&mut self) {
        self.0.parallel.fetch_sub(1, Ordering::SeqCst);
    }
}
