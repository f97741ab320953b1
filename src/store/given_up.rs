//! What a store gives up by itself, without any attempt: nobody else would come to it.

use crate::delivery::Ending;
use crate::event::EventId;

/// Deliveries to one destination that the store has given up for one reason, since it was asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The destination's name.
    pub destination: String,
    /// Why, in one word.
    pub ending: Ending,
    /// Why the first of them was given up, in words that name nothing of the event.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Those of webhooks among them: how many, and the events of the first and the last one.
    pub webhooks: Option<(u64, EventId, EventId)>,
}

impl GivenUp {
    /// Adds what was given up later for the same reason.
    pub fn add(&mut self, later: Self) {
        self.count += later.count;
        self.webhooks = match (self.webhooks, later.webhooks) {
            (Some((count, first, _)), Some((more, _, last))) => Some((count + more, first, last)),
            (one, other) => one.or(other),
        };
    }
}
