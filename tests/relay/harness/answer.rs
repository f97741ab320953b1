//! What a receiver does with a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// One behaviour.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A complete reply.
    Reply { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, delay: Duration, gate: Option<Gate> },
    /// A complete reply, and the connection is closed so long after it without a word.
    ReplyThenClose(u16, Duration),
    /// These bytes, whose status is this, and then the end of the connection.
    Raw(u16, Vec<u8>),
    /// Never answers, and keeps the connection.
    Hang,
    /// Resets the connection after the request's head, before all of its body was read.
    ResetMidRequest,
    /// Closes after half a status line.
    CutHead,
    /// Sends this status, announces a body and closes in the midst of it.
    CutBody(u16),
    /// Sends this status and then a body that never ends.
    EndlessBody(u16),
}

impl Answer {
    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO, gate: None }
    }

    /// Adds a header to a complete reply.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_string()));
        }
        self
    }

    /// Sets a complete reply's body.
    pub fn body(mut self, text: impl Into<Vec<u8>>) -> Self {
        if let Self::Reply { body, .. } = &mut self {
            *body = text.into();
        }
        self
    }

    /// Answers after this time.
    pub fn after(mut self, time: Duration) -> Self {
        if let Self::Reply { delay, .. } = &mut self {
            *delay = time;
        }
        self
    }

    /// Answers once the gate is open.
    pub fn behind(mut self, new: &Gate) -> Self {
        if let Self::Reply { gate, .. } = &mut self {
            *gate = Some(new.clone());
        }
        self
    }
}

/// Holds answers back until a test opens it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Lets through everything that waits, and all that comes later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
