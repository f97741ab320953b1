//! What the tests are written with: a relay in a process of its own, receivers that misbehave on command, and a
//! Wiza that posts what it is told.

mod answer;
pub mod certificates;
pub mod collector;
pub mod command;
pub mod dashboard;
mod faults;
mod http2;
mod image;
mod limiter;
mod link;
mod machine;
mod metrics;
mod name_server;
mod prometheus;
mod proxy;
mod raw;
mod receiver;
mod relay;
pub mod setup;
mod stored;
mod stream;
mod tmpfs;
mod webhook;

use std::time::{Duration, Instant};

pub use self::answer::{Answer, Gate};
pub use self::certificates::Authority;
pub use self::command::{Ran, binary, relay_as_nobody, run, run_as_nobody, run_with};
pub use self::faults::Faults;
pub use self::http2::{Asked, Http2Answer, Http2Receiver};
pub use self::image::Image;
pub use self::limiter::Limiter;
pub use self::link::{Fault, Link};
pub use self::machine::Machine;
pub use self::metrics::Metrics;
pub use self::name_server::NameServer;
pub use self::prometheus::Prometheus;
pub use self::proxy::Proxy;
pub use self::raw::Raw;
pub use self::receiver::{Receiver, Request};
pub use self::relay::{Relay, free_address};
pub use self::setup::{Setup, one_destination};
pub use self::tmpfs::{Tmpfs, skipped};
pub use self::webhook::{Poster, Reply, Webhook};

/// The API key of every relay in these tests, unless a test brings its own `source`.
pub const API_KEY: &str = "test-key";
/// How long anything may take that is bound to happen. Far more than it needs: no test measures speed.
pub const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer; fails the test, with `what` was waited for, if none ever comes.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A payload with an id of its own, as much like Wiza's as rules can tell.
pub fn reveal(id: u64) -> String {
    format!(r#"{{"status":{{"code":200,"message":"ok"}},"type":"individual_reveal","data":{{"id":{id},"status":"finished"}}}}"#)
}

/// SHA-256 in lower-case hex: what Wiza sends in place of an API key.
pub fn sha256_hex(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compresses.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A file of this repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
