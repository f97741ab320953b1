//! Deliveries that gather for a batch. Pure: `now` is an argument.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::Batch;
use crate::delivery::Claim;

/// Body bytes that gather at most before the batch goes, however few its members are.
const BYTES_MAX: usize = 4 << 20;

/// What gathers for one destination.
#[derive(Debug, Default)]
pub struct Gathering {
    /// Batches that were formed before, and deliveries that go alone because others wait behind them.
    ready: VecDeque<Claim>,
    claims: Vec<Claim>,
    bytes: usize,
    since: Option<Instant>,
}

/// When the next batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// At this time, or when it is full.
    At(Instant),
    /// Nothing has gathered.
    Never,
}

impl Gathering {
    /// Adds what was claimed.
    pub fn add(&mut self, claims: Vec<Claim>, now: Instant) {
        for claim in claims {
            if goes_alone(&claim) {
                self.ready.push_back(claim);
                continue;
            }
            self.bytes += claim.event.body.len();
            self.since.get_or_insert(now);
            self.claims.push(claim);
        }
    }

    /// When the next batch goes.
    pub fn due(&self, batch: &Batch, now: Instant) -> Due {
        if !self.ready.is_empty() || self.claims.len() >= batch.max || self.bytes >= BYTES_MAX {
            return Due::Now;
        }
        match self.since.map(|since| since.checked_add(batch.every).unwrap_or(now)) {
            None => Due::Never,
            Some(at) if at <= now => Due::Now,
            Some(at) => Due::At(at),
        }
    }

    /// How many more may be claimed.
    pub fn room(&self, batch: &Batch) -> usize {
        batch.max.saturating_sub(self.claims.len())
    }

    /// Takes the members of the next batch.
    pub fn take(&mut self, batch: &Batch) -> Vec<Claim> {
        if let Some(ready) = self.ready.pop_front() {
            return vec![ready];
        }
        let rest = self.claims.split_off(self.claims.len().min(batch.max));
        let taken = std::mem::replace(&mut self.claims, rest);
        self.bytes = self.claims.iter().map(|claim| claim.event.body.len()).sum();
        self.since = self.since.filter(|_| !self.claims.is_empty());
        taken
    }

    /// Puts back what [`Gathering::take`] gave.
    pub fn put_back(&mut self, mut claims: Vec<Claim>, now: Instant) {
        if claims.first().is_some_and(goes_alone) {
            claims.into_iter().rev().for_each(|claim| self.ready.push_front(claim));
            return;
        }
        self.bytes += claims.iter().map(|claim| claim.event.body.len()).sum::<usize>();
        claims.append(&mut self.claims);
        self.claims = claims;
        self.since.get_or_insert(now);
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.claims.is_empty()
    }

    /// Takes everything.
    pub fn take_all(&mut self) -> Vec<Claim> {
        let Self { ready, claims, .. } = std::mem::take(self);
        ready.into_iter().chain(claims).collect()
    }
}

/// Whether it is a batch already, or others are in line behind it.
fn goes_alone(claim: &Claim) -> bool {
    claim.batch.is_some() || claim.order.is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::delivery::{DestinationKey, OrderKey};
    use crate::event::{Event, EventId};

    const BATCH: Batch = Batch { max: 3, every: Duration::from_secs(5), body: None };

    fn claim(sequence: i64, bytes: usize) -> Claim {
        let now = Timestamp::now();
        let event = Event::new(EventId::new(now), now, String::new(), String::new(), Bytes::from(vec![b' '; bytes]));
        Claim {
            sequence,
            event: Arc::new(event),
            destination: DestinationKey(0),
            route: None,
            order: None,
            attempts_made: 0,
            since: now,
            receipt: crate::delivery::Receipt::default(),
            batch: None,
        }
    }

    fn sequences(claims: &[Claim]) -> Vec<i64> {
        claims.iter().map(|claim| claim.sequence).collect()
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_its_first_member_has_waited_long_enough() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        assert_eq!((gathering.due(&BATCH, now), gathering.room(&BATCH)), (Due::Never, 3));
        gathering.add(vec![claim(1, 10)], now);
        gathering.add(vec![claim(2, 10)], now + Duration::from_secs(4));
        assert_eq!((gathering.due(&BATCH, now), gathering.room(&BATCH)), (Due::At(now + BATCH.every), 1));
        assert_eq!(gathering.due(&BATCH, now + BATCH.every), Due::Now);
        gathering.add(vec![claim(3, 10), claim(4, 10)], now);
        assert_eq!(gathering.due(&BATCH, now), Due::Now);
        assert_eq!(sequences(&gathering.take(&BATCH)), [1, 2, 3]);
        assert_eq!(gathering.due(&BATCH, now + BATCH.every), Due::Now, "the fourth has waited too");
        assert_eq!(sequences(&gathering.take(&BATCH)), [4]);
        assert_eq!(gathering.due(&BATCH, now), Due::Never);
    }

    #[test]
    fn large_bodies_do_not_wait_for_the_count() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        gathering.add(vec![claim(1, BYTES_MAX)], now);
        assert_eq!(gathering.due(&BATCH, now), Due::Now);
        assert_eq!(gathering.take(&BATCH).len(), 1);
        assert_eq!(gathering.bytes, 0);
    }

    #[test]
    fn what_is_formed_already_or_has_others_behind_it_goes_alone_and_at_once() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        let formed = Claim { batch: Some(Vec::new().into()), ..claim(7, 1) };
        let ordered = Claim { order: Some(OrderKey(1)), ..claim(8, 1) };
        gathering.add(vec![claim(1, 1), formed, ordered], now);
        for expected in [vec![7], vec![8]] {
            assert_eq!(gathering.due(&BATCH, now), Due::Now);
            assert_eq!(sequences(&gathering.take(&BATCH)), expected);
        }
        assert_eq!(gathering.due(&BATCH, now), Due::At(now + BATCH.every));
        assert_eq!(sequences(&gathering.take_all()), [1]);
    }

    #[test]
    fn what_could_not_be_written_stays_in_front() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        gathering.add(vec![claim(1, 1), claim(2, 1), claim(3, 1)], now);
        let taken = gathering.take(&BATCH);
        gathering.add(vec![claim(4, 1)], now);
        gathering.put_back(taken, now);
        assert_eq!(sequences(&gathering.take(&BATCH)), [1, 2, 3]);
        let ordered = Claim { order: Some(OrderKey(1)), ..claim(8, 1) };
        gathering.add(vec![ordered], now);
        let alone = gathering.take(&BATCH);
        gathering.put_back(alone, now);
        assert_eq!(sequences(&gathering.take(&BATCH)), [8], "it still goes alone");
        assert_eq!(sequences(&gathering.take(&BATCH)), [4]);
    }
}
