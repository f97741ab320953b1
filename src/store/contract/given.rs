//! What the cases of the contract have in common: rules, events, outcomes, and short forms of the verbs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::delivery::{Attempt, AttemptResult, Claim, DestinationKey, OrderKey, Outcome, Plan, Planned, Settlement};
use crate::event::{Event, EventId};
use crate::names::{Keys, Names, Retention};
use crate::store::{Appended, DedupeKey, DestinationFigures, Disposition, NewEvent, Paging, Records, Release};
use crate::wire::listing::{self, Filter};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn names(destinations: &[&str]) -> Names {
    Names {
        disabled: Vec::new(),
        expire: Vec::new(),
        destinations: destinations.iter().map(|name| (*name).to_owned()).collect(),
        routes: vec!["first".to_owned()],
        version: "v1".to_owned(),
        dedupe_window: Duration::from_secs(3600),
        retention: Retention::default(),
        held_by: None,
    }
}

pub fn new_event(keys: &Keys, destinations: &[usize], body: &str) -> NewEvent {
    let now = Timestamp::now();
    let mut key = [0; 16];
    key[..body.len().min(16)].copy_from_slice(&body.as_bytes()[..body.len().min(16)]);
    let deliveries = destinations
        .iter()
        .map(|place| Planned { destination: keys.destinations[*place], route: Some(keys.routes[0]), order: None })
        .collect();
    NewEvent {
        event: Event::new(EventId::new(now), now, String::new(), String::new(), Bytes::from(body.to_owned())),
        kind: None,
        dedupe: Some(DedupeKey(key)),
        disposition: Disposition::Route { rules: keys.rules, plan: Plan { routes: keys.routes.clone(), deliveries, unmatched: false } },
    }
}

/// Accepts an event, and goes on in the next millisecond: listings have those of one millisecond in any order.
pub async fn accept(store: &Arc<dyn Records>, event: NewEvent) -> EventId {
    let received = event.event.received_at.as_millisecond();
    while Timestamp::now().as_millisecond() <= received {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    match store.append(event).await.unwrap() {
        Appended::Accepted(id) => id,
        Appended::Duplicate(id) => panic!("a duplicate of {id}"),
    }
}

pub fn settlement(claim: Claim, outcome: Outcome) -> Settlement {
    let attempt = Attempt {
        started_at: Timestamp::now(),
        latency: Duration::from_millis(1),
        result: AttemptResult::Replied { status: 200, retry_after: None, reply: Bytes::from_static(b"reply"), shortcoming: None },
    };
    let attempts = claim.attempts_made + 1;
    Settlement::new(claim, attempt, outcome, attempts)
}

/// Claims until there are so many: an event can be claimed a moment after it was answered.
pub async fn claim_exactly(store: &Arc<dyn Records>, destination: DestinationKey, count: usize) -> Vec<Claim> {
    let mut claims = Vec::new();
    while claims.len() < count {
        claims.extend(store.claim(destination, count - claims.len()).await);
    }
    claims
}

/// Claims, or finds that nothing comes.
pub async fn claim_now(store: &Arc<dyn Records>, destination: DestinationKey, at_most: usize) -> Vec<Claim> {
    tokio::time::timeout(Duration::from_millis(300), store.claim(destination, at_most)).await.unwrap_or_default()
}

pub fn figures(store: &Arc<dyn Records>, name: &str) -> DestinationFigures {
    store.ledger().into_iter().find(|(_, figures)| *figures.name == *name).unwrap().1
}

pub fn members(claim: &Claim) -> Vec<EventId> {
    std::iter::once(claim.event.id).chain(claim.batch.iter().flat_map(|others| others.iter().map(|member| member.event.id))).collect()
}

pub fn id_of(appended: Appended) -> EventId {
    let (Appended::Accepted(id) | Appended::Duplicate(id)) = appended;
    id
}

/// A quarantined event and a plan for it.
pub fn held_event(keys: &Keys, destinations: &[usize], body: &str) -> (NewEvent, Release) {
    let mut event = new_event(keys, destinations, body);
    let quarantine = Disposition::Quarantine("it was not understood".to_owned());
    let Disposition::Route { rules, plan } = std::mem::replace(&mut event.disposition, quarantine) else { unreachable!() };
    (event, Release { kind: Some("reveal".to_owned()), rules, plan })
}

/// An event for the first destination that waits for others of this key.
pub fn in_line(keys: &Keys, body: &str, order: &str) -> NewEvent {
    let mut event = new_event(keys, &[0], body);
    if let Disposition::Route { plan, .. } = &mut event.disposition {
        plan.deliveries.iter_mut().for_each(|planned| planned.order = Some(OrderKey::of(order)));
    }
    event
}

/// The first page of a listing, as large as may be.
pub fn whole() -> Paging {
    Paging { from: None, limit: crate::store::PAGE_ITEMS_MAX }
}

/// The events of the store, the newest first.
pub async fn all_events(store: &Arc<dyn Records>) -> Vec<listing::Event> {
    store.events(None, Filter::default(), whole()).await.unwrap().items
}

/// The deliveries of the store, those of the newest events first.
pub async fn all_deliveries(store: &Arc<dyn Records>) -> Vec<listing::Delivery> {
    store.deliveries(None, Filter::default(), whole()).await.unwrap().items
}

/// Accepts an event for the first destination that ends as dead.
pub async fn dead(store: &Arc<dyn Records>, keys: &Keys, body: &str) -> EventId {
    let id = accept(store, new_event(keys, &[0], body)).await;
    let claim = claim_exactly(store, keys.destinations[0], 1).await.remove(0);
    assert_eq!(claim.event.id, id);
    store.settle(settlement(claim, Outcome::Dead("enough".to_owned()))).await;
    store.flush().await.unwrap();
    id
}

/// Waits until it is so.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap_or_else(|_| panic!("it never comes about: {what}"));
}

/// The end of every case: what was handed over is written, and the books balance.
pub async fn close_the_books(store: Arc<dyn Records>) {
    store.flush().await.unwrap();
    let audit = store.audit().await.unwrap();
    assert!(audit.balances(), "{audit:?}");
    for (_, figures) in store.ledger() {
        let ended = figures.delivered + figures.dead + figures.waiting() + figures.parked();
        assert_eq!(figures.planned + figures.redriven, ended, "{figures:?}");
    }
    store.close().await;
}
