//! A link between the relay and a receiver, for faults that happen on the way: it passes bytes on and knows no HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a connection that begins now.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Everything passes.
    Nothing,
    /// It is reset at once.
    Reset,
    /// Nothing is passed on and nothing answered.
    Hang,
    /// It is reset after so many bytes of what the relay sends.
    ResetRequestAfter(usize),
    /// It is reset after so many bytes of what the receiver answers.
    ResetReplyAfter(usize),
    /// It is closed in good order after so many bytes of what the receiver answers.
    CloseReplyAfter(usize),
    /// The answer passes a byte at a time, each after this pause.
    Drip(Duration),
    /// The answer is noise.
    Noise,
}

/// The link. It stops when it is dropped.
pub struct Link {
    pub address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    /// Raised where the connections that are open fall silent.
    silenced: Arc<watch::Sender<u64>>,
    /// Bytes that came from the relay over connections that had fallen silent.
    swallowed: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Link {
    /// In front of this address, without a fault so far.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(Fault::Nothing));
        let (silenced, swallowed) = (Arc::new(watch::channel(0).0), Arc::default());
        let server = tokio::spawn(accept(listener, target, Arc::clone(&fault), Arc::clone(&silenced), Arc::clone(&swallowed)));
        Self { address, fault, silenced, swallowed, server }
    }

    /// What happens to connections from now on. Those that are open stay as they are.
    pub fn inject(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Over the connections that are open now nothing passes any more, and they stay open. New ones are as they were.
    pub fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }

    /// How many bytes the relay has sent into connections that had fallen silent.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }

    /// A URL over this link.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    silenced: Arc<watch::Sender<u64>>,
    swallowed: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let fault = *fault.lock().unwrap();
        let (mut silence, swallowed) = (silenced.subscribe(), Arc::clone(&swallowed));
        connections.spawn(async move {
            let mut stream = stream;
            // Held beside, so that it is not closed where it falls silent.
            let mut target_stream = None;
            tokio::select! {
                // Either side may go away at any moment.
                _ = pass(&mut stream, &mut target_stream, target, fault) => return,
                _ = silence.changed() => {}
            }
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                swallowed.fetch_add(read, Ordering::SeqCst);
            }
        });
    }
}

async fn pass(from: &mut TcpStream, to: &mut Option<TcpStream>, target: SocketAddr, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Reset => return from.set_zero_linger(),
        Fault::Hang => std::future::pending().await,
        Fault::Noise => {
            from.read_buf(&mut Vec::with_capacity(1)).await?;
            from.write_all(&[0x16, 0x03, 0xff, 0x00, 0x0d, 0x0a, 0x0d, 0x0a]).await?;
            return Ok(());
        }
        _ => {}
    }
    let to = to.insert(TcpStream::connect(target).await?);
    let whole = {
        let (mut from_read, mut from_write) = from.split();
        let (mut to_read, mut to_write) = to.split();
        let (requests, replies, pause) = match fault {
            Fault::ResetRequestAfter(bytes) => (bytes, usize::MAX, None),
            Fault::ResetReplyAfter(bytes) | Fault::CloseReplyAfter(bytes) => (usize::MAX, bytes, None),
            Fault::Drip(pause) => (usize::MAX, usize::MAX, Some(pause)),
            _ => (usize::MAX, usize::MAX, None),
        };
        tokio::select! {
            whole = copy(&mut from_read, &mut to_write, requests, None) => whole?,
            whole = copy(&mut to_read, &mut from_write, replies, pause) => whole?,
        }
    };
    if !whole && !matches!(fault, Fault::CloseReplyAfter(_)) {
        from.set_zero_linger()?;
        to.set_zero_linger()?;
    }
    Ok(())
}

/// Copies at most so many bytes; whether it came to the other side's end.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    at_most: usize,
    pause: Option<Duration>,
) -> io::Result<bool> {
    let mut left = at_most;
    let mut buffer = vec![0; if pause.is_some() { 1 } else { 16 * 1024 }];
    while left > 0 {
        let room = buffer.len().min(left);
        let read = from.read(&mut buffer[..room]).await?;
        if read == 0 {
            return Ok(true);
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        to.write_all(&buffer[..read]).await?;
        left -= read;
    }
    Ok(false)
}
