//! The receiver of deliveries: answers 200 and notes when each event arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::http::{ID_DIGITS, id_place, message};
use super::{ID_BASE, quantiles};

/// What arrived.
pub struct Arrivals {
    clock: Instant,
    pub count: AtomicUsize,
    /// By id: microseconds from the clock's start to the post, and to the last arrival.
    posted: Vec<AtomicU64>,
    arrived: Vec<AtomicU64>,
}

impl Arrivals {
    pub fn new(events: usize) -> Arc<Self> {
        let zeros = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { clock: Instant::now(), count: AtomicUsize::new(0), posted: zeros(), arrived: zeros() })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).expect("not that long")
    }

    pub fn posted(&self, event: usize) {
        self.posted[event].store(self.now(), Ordering::Relaxed);
    }

    fn arrived(&self, body: &[u8]) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let id = id_place(body).and_then(|at| std::str::from_utf8(body.get(at..at + ID_DIGITS)?).ok()?.parse::<usize>().ok());
        if let Some(place) = id.and_then(|id| id.checked_sub(ID_BASE))
            && let Some(arrived) = self.arrived.get(place)
        {
            arrived.store(self.now(), Ordering::Relaxed);
        }
    }

    /// p50 and p99 in milliseconds, from the post to the arrival at the last of its destinations.
    pub fn latencies(&self) -> (f64, f64) {
        let pairs = self.posted.iter().zip(&self.arrived);
        let mut all: Vec<u64> =
            pairs.map(|(posted, arrived)| arrived.load(Ordering::Relaxed).saturating_sub(posted.load(Ordering::Relaxed))).collect();
        quantiles(&mut all)
    }
}

/// Serves for as long as the runtime lives.
pub async fn serve(listener: TcpListener, arrivals: Arc<Arrivals>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(stream, Arc::clone(&arrivals)));
    }
}

async fn connection(mut stream: TcpStream, arrivals: Arc<Arrivals>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(read) if read > 0 => filled += read,
            _ => return,
        }
        while let Some((head, body)) = message(&buffer[..filled])
            && filled >= head + body
        {
            arrivals.arrived(&buffer[head..head + body]);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
            buffer.copy_within(head + body..filled, 0);
            filled -= head + body;
        }
    }
}
