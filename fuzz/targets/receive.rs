//! Hostile bytes on the webhook port: the relay's own listener on loopback, its own receiver, rules and store.
//!
//! The first byte of an input says what the rest is: a whole connection, or a body that comes with a right key (as it
//! is, as gzip, or compressed and in chunks).

#![no_main]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wiza_relay::listen::{self, Happened, Limits};
use wiza_relay::metrics::Metrics;
use wiza_relay::receive::{AUTH_HEADER, Receiver};
use wiza_relay::rules::{self, Rules};
use wiza_relay::store::Store;
use wiza_relay::store::embedded::{Embedded, Options};

/// The SHA-256 of `key`, the API key below.
const KEY: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
const RULES: &str = r#"
source: { path: /w, api_keys: [key], max_body: 16KiB, dedupe: { window: 1s, key: [$.type, $.data.id, "$..email"] } }
destinations: { a: { url: "http://127.0.0.1:9/{{ data.id }}" }, b: { url: "http://127.0.0.1:9/", body: { e: "$.data.emails[*].email" } } }
routes:
  - { name: emails, when: 'data.emails[?@.email_type == "work"] and match(data.title, "[Hh]ead.*")', to: [a] }
  - { name: queries, when: 'event.query.campaign == "q4" or event.path == "emea"', to: [b] }
  - { name: counts, when: 'count($..*) > 100 or length(data.name) > 3', shadow: true, to: [a] }
"#;
/// A store is thrown away after so many inputs, so that it does not fill the disk.
const INPUTS_A_STORE: u32 = 50_000;
/// Far above what anything here may take; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(8);
/// What the relay may answer. 403 never; 404 only off the path.
const STATUSES: [u16; 13] = [100, 200, 400, 401, 404, 405, 408, 413, 415, 421, 429, 431, 503];

struct Relay {
    runtime: Runtime,
    address: SocketAddr,
    inputs: u32,
    stop: CancellationToken,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Relay {
    fn start() -> Self {
        // Memory, where there is such a place: the fuzzer waits for every fsync.
        let shared_memory = Path::new("/dev/shm");
        let folder = if shared_memory.is_dir() { tempfile::tempdir_in(shared_memory) } else { tempfile::tempdir() }.expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = wiza_relay::config::load("routes.yaml", RULES, &|_| None).config.expect("valid rules");
        let stop = CancellationToken::new();
        let (store, address) = runtime.block_on(async {
            let store: Arc<dyn Store> = Arc::new(
                Embedded::open(folder.path(), Options { backlog_max: u64::MAX, observe_commit: Box::new(|_| {}), vitals: Arc::default() }).expect("a store"),
            );
            let keys = store.configure(rules::names(&config)).await.expect("keys");
            let rules = Arc::new(ArcSwap::from_pointee(Rules::new(config, keys)));
            let metrics = Metrics::new().expect("metrics");
            let router = Receiver::router(wiza_relay::receive::RECEIVE_MEMORY_DEFAULT, Arc::clone(&store), rules, metrics, wiza_relay::traces::Traces::off(), CancellationToken::new());
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let observe = |happened| assert!(!matches!(happened, Happened::HeadersLate), "headers took too long");
            let limits = Limits { connections_max: 16, observe: Arc::new(observe), vitals: Arc::default() };
            tokio::spawn(listen::serve(listener, router, limits, stop.clone()));
            (store, address)
        });
        Self { runtime, address, inputs: 0, stop, store, _folder: folder }
    }

    /// Sends these bytes on a connection, and gives all that came back. A connection may be closed in one direction
    /// right behind them; a request in progress gets no answer then.
    fn exchange(&self, sent: &[u8], close: bool) -> Vec<u8> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.expect("a connection");
            // No port waits for the other side's last words: there are more inputs than ports.
            stream.set_zero_linger().expect("no linger");
            let (mut reader, mut writer) = stream.split();
            let mut received = Vec::new();
            let write = async {
                let (first, second) = sent.split_at(sent.len() / 2);
                // A refusal may close the connection while more is sent.
                let _ = writer.write_all(first).await;
                tokio::task::yield_now().await;
                let _ = writer.write_all(second).await;
                if close {
                    let _ = writer.shutdown().await;
                }
            };
            let read = async {
                // Ends by an end or by a reset.
                let _ = reader.read_to_end(&mut received).await;
            };
            tokio::join!(write, read);
            received
        };
        let exchanged = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await });
        exchanged.expect("the connection hangs")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
        self.runtime.block_on(self.store.close());
    }
}

/// Never dropped at the end: the runtime's own thread-locals are gone by then.
static RELAY: Mutex<Option<Relay>> = Mutex::new(None);

fuzz_target!(|data: &[u8]| {
    let Some((mode, input)) = data.split_first() else { return };
    let mut relay = RELAY.lock().expect("a panic ends the process");
    if relay.as_ref().is_some_and(|relay| relay.inputs >= INPUTS_A_STORE) {
        *relay = None;
    }
    let relay = relay.get_or_insert_with(Relay::start);
    relay.inputs += 1;
    match mode % 4 {
        0 => {
            let received = relay.exchange(input, true);
            assert!(received.is_empty() || status(&received).is_some(), "no HTTP: {:?}", String::from_utf8_lossy(&received));
        }
        1 => {
            let received = relay.exchange(&request("", input), false);
            let expected = expected_for(input);
            assert_eq!(status(&received), Some(expected), "{}", String::from_utf8_lossy(&received));
        }
        2 => {
            let received = relay.exchange(&request("content-encoding: gzip\r\n", input), false);
            assert!(matches!(status(&received), Some(200 | 400 | 413)), "{}", String::from_utf8_lossy(&received));
        }
        _ => {
            let received = relay.exchange(&chunked(&gzip(input)), false);
            assert_eq!(status(&received), Some(expected_for(input)), "{}", String::from_utf8_lossy(&received));
        }
    }
    if relay.inputs % 64 == 0 {
        let good = relay.exchange(&request("", br#"{"type": "individual_reveal", "data": {"id": 1}}"#), false);
        assert_eq!(status(&good), Some(200), "a good webhook is refused: {}", String::from_utf8_lossy(&good));
    }
});

/// A webhook with a right key.
fn request(header: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /w/emea?campaign=q4 HTTP/1.1\r\nhost: x\r\n{AUTH_HEADER}: {KEY}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST /w HTTP/1.1\r\nhost: x\r\n{AUTH_HEADER}: {KEY}\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(7) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
}

fn expected_for(body: &[u8]) -> u16 {
    match serde_json::from_slice::<Value>(body) {
        _ if body.len() > 16 * 1024 => 413,
        Ok(Value::Object(_)) => 200,
        _ => 400,
    }
}

/// The first answer's status; none of those that the relay must not give.
fn status(received: &[u8]) -> Option<u16> {
    let line = received.strip_prefix(b"HTTP/1.1 ").or_else(|| received.strip_prefix(b"HTTP/1.0 "))?;
    let status = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
    assert!(STATUSES.contains(&status), "{status} is no answer of the relay");
    Some(status)
}
