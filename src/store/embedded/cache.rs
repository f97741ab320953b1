//! Events that were read back lately, or will be soon, shared by the destinations that read them: where several
//! queues are behind, they are behind at about the same place, and one read, one parse and one conversion then serve
//! all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;

/// Body bytes kept at most; what is made of a body takes several times as much.
const BODY_BYTES_MAX: usize = 4 << 20;

#[derive(Default)]
pub(super) struct EventCache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    events: HashMap<i64, Arc<Event>>,
    /// Sequences in the order in which they were read.
    order: VecDeque<i64>,
    bytes: usize,
}

impl EventCache {
    pub fn get(&self, sequence: i64) -> Option<Arc<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).events.get(&sequence).cloned()
    }

    /// Keeps an event, and lets go of those that were read the longest ago.
    pub fn insert(&self, sequence: i64, event: &Arc<Event>) {
        let mut evicted = Vec::new();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.events.insert(sequence, Arc::clone(event)).is_none() {
            kept.order.push_back(sequence);
            kept.bytes += event.body.len();
        }
        while kept.bytes > BODY_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(event) = kept.events.remove(&oldest) {
                kept.bytes -= event.body.len();
                evicted.push(event);
            }
        }
        drop(kept);
        drop(evicted); // Freeing a parsed payload takes longer than anything above, so not under the lock.
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::event::EventId;

    fn event(bytes: usize) -> Arc<Event> {
        let now = Timestamp::now();
        Arc::new(Event::new(EventId::new(now), now, String::new(), String::new(), Bytes::from(vec![b' '; bytes])))
    }

    #[test]
    fn it_holds_the_latest_within_its_limit() {
        let cache = EventCache::default();
        let events: Vec<_> = (0..5).map(|_| event(BODY_BYTES_MAX / 3)).collect();
        for (sequence, event) in (0..).zip(&events) {
            cache.insert(sequence, event);
        }
        assert!(cache.get(0).is_none() && cache.get(1).is_none());
        assert!(cache.get(4).is_some_and(|found| Arc::ptr_eq(&found, &events[4])));
        cache.insert(5, &event(BODY_BYTES_MAX + 1));
        assert!((0..=5).all(|sequence| cache.get(sequence).is_none()), "an event over the limit is not kept, nor what it displaced");
        assert_eq!(cache.0.lock().unwrap().bytes, 0);
    }
}
