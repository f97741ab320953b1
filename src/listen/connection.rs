//! A connection that watches how long a request's headers take: hyper has one timer for waiting and for reading
//! them, but a kept-alive connection may wait long and a slow sender may not read out its headers for minutes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::phase::Phase;
use super::{Happened, Timeouts};

/// What a client gets whose headers did not come in time.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How long the other side may take to make room for more of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The connection.
pub(super) struct Watched {
    stream: TcpStream,
    phase: Phase,
    timeouts: Timeouts,
    /// Runs until the first byte of the connection.
    silent: Option<Pin<Box<Sleep>>>,
    /// Runs from the first byte of a request's headers to their end.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The request that the deadline is for: as many had begun before it.
    deadline_of: u64,
    observe: Arc<dyn Fn(Happened) + Send + Sync>,
    /// Runs while a write waits for the other side to read.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub fn new(stream: TcpStream, phase: Phase, timeouts: Timeouts, observe: Arc<dyn Fn(Happened) + Send + Sync>) -> Self {
        let silent = Some(Box::pin(tokio::time::sleep(timeouts.first_byte)));
        Self { stream, phase, timeouts, silent, deadline: None, deadline_of: 0, observe, stalled: None }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.phase.begun() != this.deadline_of {
            this.deadline = None; // Those headers came in time.
        }
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            this.deadline = None;
            (this.observe)(Happened::HeadersLate);
            // Best effort: a client this slow may not read it either.
            let _ = this.stream.try_write(REQUEST_TIMEOUT);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending()
            && let Some(silent) = &mut this.silent
            && silent.as_mut().poll(context).is_ready()
        {
            (this.observe)(Happened::Silent);
            // Without a word: whoever has opened it for later would take an answer for that of the request to come.
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let result = ready!(read);
        this.silent = None;
        if buffer.filled().len() > before && !this.phase.in_request() && this.deadline.is_none() {
            this.deadline = Some(Box::pin(tokio::time::sleep_until(Instant::now() + this.timeouts.headers)));
            this.deadline_of = this.phase.begun();
        }
        Poll::Ready(result)
    }
}

impl Watched {
    /// Ends a connection whose other side reads nothing: without this, somebody who sends requests and never reads
    /// the answers would hold a connection for ever.
    fn watch_write<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.watch_write(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.watch_write(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
