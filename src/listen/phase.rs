//! What a connection is about at a moment, shared by the connection, its service and the crowd that it is one of.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use futures_util::task::AtomicWaker;

/// How many requests have begun and ended, and whether the connection may be wanted. HTTP/1.1 has one request at a time.
#[derive(Clone)]
pub(super) struct Phase(Arc<State>);

struct State {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Answers that are not yet written to their end.
    answers: AtomicU64,
    /// A request was answered with success.
    known: AtomicBool,
    opened: Instant,
    /// Milliseconds after `opened` at which the last request was over.
    idle_since: AtomicU64,
    /// It was told to go, and has neither gone nor declined.
    going: AtomicBool,
    /// Of the task that serves the connection. It registers anew each time that it runs, which costs less here than with `Notify`.
    server: AtomicWaker,
}

/// An answer that is being written, until it is dropped.
pub(super) struct Answering(Phase);

impl Phase {
    pub fn new() -> Self {
        Self(Arc::new(State {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            known: AtomicBool::new(false),
            opened: Instant::now(),
            idle_since: AtomicU64::new(0),
            going: AtomicBool::new(false),
            server: AtomicWaker::new(),
        }))
    }

    /// The headers are complete.
    pub fn request_begins(&self) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer is known, though not yet written; what is read from now on belongs to the next request.
    pub fn request_ends(&self, succeeded: bool) -> Answering {
        if succeeded {
            self.0.known.store(true, Ordering::Relaxed);
        }
        self.0.answers.fetch_add(1, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    pub fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    pub fn in_request(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed) < self.begun()
    }

    /// For how long nothing has been under way; `None` where something is, or where it is about to go.
    pub fn idle_ms(&self) -> Option<u64> {
        if !self.is_idle() || self.is_going() {
            return None;
        }
        Some(self.age_ms().saturating_sub(self.0.idle_since.load(Ordering::Relaxed)))
    }

    pub fn is_stranger(&self) -> bool {
        !self.0.known.load(Ordering::Relaxed)
    }

    /// Whether it was told to go, and has neither gone nor declined.
    pub fn is_going(&self) -> bool {
        self.0.going.load(Ordering::Relaxed)
    }

    pub fn tell_to_go(&self) {
        self.0.going.store(true, Ordering::Relaxed);
        self.0.server.wake();
    }

    /// Waits until the connection has to go. Where a request has begun meanwhile it declines.
    pub async fn has_to_go(&self) {
        poll_fn(|context| {
            self.0.server.register(context.waker());
            if self.is_going() {
                if self.is_idle() {
                    return Poll::Ready(());
                }
                self.0.going.store(false, Ordering::Relaxed);
            }
            Poll::Pending
        })
        .await;
    }

    fn is_idle(&self) -> bool {
        !self.in_request() && self.0.answers.load(Ordering::Relaxed) == 0
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Self(phase) = self;
        phase.0.idle_since.store(phase.age_ms(), Ordering::Relaxed);
        phase.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_between_the_end_of_an_answer_and_the_next_request() {
        let phase = Phase::new();
        assert!(phase.idle_ms().is_some() && phase.is_stranger());
        phase.request_begins();
        assert_eq!(phase.idle_ms(), None);
        let answering = phase.request_ends(false);
        assert_eq!(phase.idle_ms(), None, "who follows is answered for hours");
        drop(answering);
        assert!(phase.idle_ms().is_some() && phase.is_stranger());
        phase.request_begins();
        drop(phase.request_ends(true));
        assert!(!phase.is_stranger());
        phase.tell_to_go();
        assert_eq!(phase.idle_ms(), None, "nobody is told twice");
        phase.has_to_go().await;
        // Told to go just as a request begins.
        phase.request_begins();
        phase.tell_to_go();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), phase.has_to_go()).await.is_err());
        drop(phase.request_ends(true));
        assert!(phase.idle_ms().is_some(), "it stays, and can be told again");
    }
}
