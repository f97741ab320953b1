//! What is told, and when. Everything that happens is noted here; what is due comes out as [`News`]. Pure: `now` is an argument.
//!
//! How the number of events is kept within limits:
//! - *Dead letters* of one destination and one reason gather for [`GATHER`], and are told together; then not before
//!   `own_events.every` has passed.
//! - *A breaker* that opens again within `own_events.every` is told when that has passed, if it is open then, with how often it
//!   opened. Its closing is told only where its opening was. So at most one of each in that time.
//! - *A queue* is told when it becomes too old, and again only after it was younger in between, and `every` has passed.
//! - *Refused rules*: the last reason, at most one in `every`.
//! - *The store's trouble*: one of each sort when it begins, at most one in `every`; where nothing could be stored, one when it is over.
//! - At most [`ENTRIES_MAX`] things are known at a time: names of destinations are few, but a file may change for years.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Limits, News};
use crate::event::EventId;

/// How long dead letters gather before the first event about them: one that says 200 is better than one that says 1.
pub const GATHER: Duration = Duration::from_secs(2);

/// Destinations, or destinations with their reasons, that are known at a time. What is new beyond that is not told.
const ENTRIES_MAX: usize = 1024;

/// Deliveries of webhooks that were given up for one reason; most often one.
#[derive(Debug, Clone)]
pub struct Death {
    /// The events of the first and the last one.
    pub events: (EventId, EventId),
    /// How many.
    pub count: u64,
    /// The kind of what went wrong.
    pub reason: &'static str,
    /// Why, in words. Quotes neither payload nor secrets.
    pub detail: String,
    /// The last reply's status.
    pub status: Option<u16>,
}

/// A destination's queue, as it is now.
#[derive(Debug, Clone)]
pub struct Queue<'a> {
    /// The destination.
    pub destination: &'a str,
    /// When its oldest delivery of a webhook was received; `None` where none waits.
    pub oldest: Option<Timestamp>,
    /// How its breaker stands.
    pub circuit: &'static str,
}

/// What can be wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// `disk_nearly_full`, `backlog_nearly_full` or `cannot_write`.
    pub sort: &'static str,
    /// In words.
    pub detail: String,
    /// Nothing can be stored while it lasts, so that it is told when it is over.
    pub is_mute: bool,
}

/// Dead letters of one destination and one reason that have not been told yet.
#[derive(Debug)]
struct Group {
    first: Death,
    last: EventId,
    count: u64,
    span: (Timestamp, Timestamp),
    since: Instant,
}

/// Something that may be told again only after a while.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
}

impl Told {
    fn may(&self, now: Instant, every: Duration) -> bool {
        self.at.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }
}

#[derive(Debug, Default)]
struct Circuit {
    told: Told,
    /// It is open now.
    open: Option<Opening>,
    /// The opening that was told, so that its closing is to be.
    told_opening: Option<Timestamp>,
    /// Openings that are not told.
    untold: u32,
}

/// A breaker's opening.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// What opened it: `failures`, `refusals` or `gone`.
    pub opened_by: &'static str,
    /// The kind of what went wrong in the attempt that opened it.
    pub reason: &'static str,
    /// Its reply's status.
    pub status: Option<u16>,
    /// When.
    pub at: Timestamp,
}

#[derive(Debug, Default)]
struct OldQueue {
    told: Told,
    is_told: bool,
}

#[derive(Debug, Default)]
struct Refusals {
    told: Told,
    waiting: Option<(String, Timestamp, u32)>,
}

#[derive(Debug, Default)]
struct StoreState {
    told: Told,
    /// It is so now, since then.
    since: Option<(Timestamp, Trouble)>,
    is_told: bool,
}

/// What is known, and what was told.
#[derive(Debug, Default)]
pub struct Ledger {
    limits: Limits,
    /// To be told at once.
    ready: Vec<News>,
    dead: BTreeMap<(String, &'static str), (Told, Option<Group>)>,
    circuits: BTreeMap<String, Circuit>,
    queues: BTreeMap<String, OldQueue>,
    refusals: Refusals,
    store: BTreeMap<&'static str, StoreState>,
}

/// The entry of a key, unless too many are known.
fn entry<K: Ord, V: Default>(entries: &mut BTreeMap<K, V>, key: K) -> Option<&mut V> {
    if entries.len() >= ENTRIES_MAX && !entries.contains_key(&key) {
        return None;
    }
    Some(entries.entry(key).or_default())
}

impl Ledger {
    /// Takes the limits of the rules in effect.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Notes that deliveries to `destination` were given up.
    pub fn died(&mut self, destination: &str, death: Death, now: Instant, clock: Timestamp) {
        let Some((_, group)) = entry(&mut self.dead, (destination.to_owned(), death.reason)) else { return };
        match group {
            Some(group) => {
                group.last = death.events.1;
                group.count = group.count.saturating_add(death.count);
                group.span.1 = clock;
            }
            None => *group = Some(Group { last: death.events.1, count: death.count, first: death, span: (clock, clock), since: now }),
        }
    }

    /// Notes that a breaker was open when the relay started, which was told then.
    pub fn was_open(&mut self, destination: &str, clock: Timestamp) {
        if let Some(circuit) = entry(&mut self.circuits, destination.to_owned()) {
            circuit.told_opening = Some(clock);
        }
    }

    /// Notes that a breaker has opened; `reason` and `status` are those of the attempt that opened it.
    pub fn opened(&mut self, destination: &str, opening: Opening, now: Instant) {
        let Some(circuit) = entry(&mut self.circuits, destination.to_owned()) else { return };
        circuit.open = Some(opening);
        circuit.untold = circuit.untold.saturating_add(1);
        let news = circuit.due(destination, self.limits.every, now);
        self.ready.extend(news);
    }

    /// Notes that a breaker has closed. It is told where the opening was.
    pub fn closed(&mut self, destination: &str, clock: Timestamp) {
        let Some(circuit) = self.circuits.get_mut(destination) else { return };
        circuit.open = None;
        if let Some(opened_at) = circuit.told_opening.take() {
            self.ready.push(News::CircuitClosed { destination: destination.to_owned(), opened_at, at: clock });
        }
    }

    /// Looks at the queues.
    pub fn queues(&mut self, queues: &[Queue<'_>], now: Instant, clock: Timestamp) {
        let Limits { queue_old: limit, every } = self.limits;
        for Queue { destination, oldest, circuit } in queues {
            let Some(oldest) = oldest.filter(|oldest| Duration::try_from(clock.duration_since(*oldest)).is_ok_and(|age| age > limit))
            else {
                if let Some(queue) = self.queues.get_mut(*destination) {
                    queue.is_told = false;
                }
                continue;
            };
            let Some(queue) = entry(&mut self.queues, (*destination).to_owned()) else { continue };
            if !queue.is_told && queue.told.may(now, every) {
                (queue.is_told, queue.told.at) = (true, Some(now));
                self.ready.push(News::QueueOld { destination: (*destination).to_owned(), oldest, at: clock, limit, circuit });
            }
        }
    }

    /// Notes that a file could not take effect.
    pub fn refused(&mut self, reason: &str, clock: Timestamp) {
        let times = self.refusals.waiting.as_ref().map_or(0, |(.., times)| *times);
        self.refusals.waiting = Some((reason.to_owned(), clock, times.saturating_add(1)));
    }

    /// Notes all that is wrong with the store now.
    pub fn store(&mut self, troubles: &[Trouble], now: Instant, clock: Timestamp) {
        let every = self.limits.every;
        for trouble in troubles {
            let state = self.store.entry(trouble.sort).or_default();
            let (since, _) = state.since.get_or_insert_with(|| (clock, trouble.clone()));
            if !trouble.is_mute && !state.is_told && state.told.may(now, every) {
                let (detail, since) = (trouble.detail.clone(), *since);
                (state.is_told, state.told.at) = (true, Some(now));
                self.ready.push(News::StoreTrouble { trouble: trouble.sort, detail, since, over_at: None });
            }
        }
        for (sort, state) in self.store.iter_mut().filter(|(sort, _)| troubles.iter().all(|trouble| trouble.sort != **sort)) {
            state.is_told = false;
            if let Some((since, trouble)) = state.since.take()
                && trouble.is_mute
                && state.told.may(now, every)
            {
                state.told.at = Some(now);
                self.ready.push(News::StoreTrouble { trouble: sort, detail: trouble.detail, since, over_at: Some(clock) });
            }
        }
    }

    /// Takes what is to be told now.
    pub fn due(&mut self, now: Instant) -> Vec<News> {
        let every = self.limits.every;
        let mut news = std::mem::take(&mut self.ready);
        for (destination, circuit) in &mut self.circuits {
            news.extend(circuit.due(destination, every, now));
        }
        for ((destination, reason), (told, group)) in &mut self.dead {
            let is_due = |group: &mut Group| now.saturating_duration_since(group.since) >= GATHER && told.may(now, every);
            if let Some(Group { first, last, count, span, .. }) = group.take_if(is_due) {
                told.at = Some(now);
                let (destination, events) = (destination.clone(), (first.events.0, last));
                news.push(News::DeadLetters { destination, reason, detail: first.detail, status: first.status, count, events, span });
            }
        }
        if self.refusals.told.may(now, every)
            && let Some((reason, at, times)) = self.refusals.waiting.take()
        {
            self.refusals.told.at = Some(now);
            news.push(News::RulesRefused { reason, at, times });
        }
        self.forget(now);
        news
    }

    /// Lets go of what has nothing to tell, and could tell at once: it is as if it had never been there.
    fn forget(&mut self, now: Instant) {
        let every = self.limits.every;
        self.dead.retain(|_, (told, group)| group.is_some() || !told.may(now, every));
        let has_more = |circuit: &Circuit| circuit.open.is_some() || circuit.told_opening.is_some() || circuit.untold > 0;
        self.circuits.retain(|_, circuit| has_more(circuit) || !circuit.told.may(now, every));
        self.queues.retain(|_, queue| queue.is_told || !queue.told.may(now, every));
    }
}

impl Circuit {
    /// That it is open, where that is not told and may be.
    fn due(&mut self, destination: &str, every: Duration, now: Instant) -> Option<News> {
        let Opening { opened_by, reason, status, at } = self.open.filter(|_| self.untold > 0 && self.told.may(now, every))?;
        self.told.at = Some(now);
        self.told_opening = Some(at);
        let times = std::mem::take(&mut self.untold);
        Some(News::CircuitOpened { destination: destination.to_owned(), opened_by, reason, status, at, times })
    }
}

#[cfg(test)]
mod tests;
