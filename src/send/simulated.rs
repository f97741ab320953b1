//! Destinations that are models in the process, for a simulation: what an attempt sees, and how long that takes.

use std::cell::RefCell;
use std::time::Duration;

use crate::clock;
use crate::config::Destination;
use crate::delivery::{Attempt, AttemptResult, MessageId};
use crate::transform::Request;

/// What a request that begins now leads to, and after how long.
pub(crate) type Answer = Box<dyn FnMut(&Request, &Destination, &MessageId) -> (Duration, AttemptResult)>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// From now on requests of this thread go there; `None`: they go out again.
pub(crate) fn answer(by: Option<Answer>) {
    ANSWER.set(by);
}

/// The attempt, on a thread that simulates.
pub(super) async fn send(request: &Request, destination: &Destination, id: &MessageId) -> Option<Attempt> {
    let started_at = clock::wall();
    let answer = ANSWER.with_borrow_mut(|answer| answer.as_mut().map(|answer| answer(request, destination, id)));
    let (latency, result) = answer?;
    tokio::time::sleep(latency).await;
    Some(Attempt { started_at, latency, result })
}
