//! What an operator asks of the store: looking at events and deliveries, taking dead ones up again; and what checking the
//! books finds. Apart from the live path's verbs, so that nothing in here is in its way.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use super::{DestinationFigures, DestinationHistory, Store, StoreError};
use crate::circuit::CircuitState;
use crate::delivery::{DeliveryId, DestinationKey, Plan, RouteKey};
use crate::event::EventId;
use crate::names::RulesKey;
use crate::wire::listing::{Delivery, DeliveryDetails, DeliveryStatus, Event, EventDetails, EventStatus, Filter, Followed, Page};

/// Items on one page at most.
pub const PAGE_ITEMS_MAX: usize = 1000;

/// Which page of a listing.
#[derive(Debug, Clone)]
pub struct Paging {
    /// Where it begins: what the page before it gave as `next`; `None`: the newest.
    pub from: Option<String>,
    /// Items on it; at most [`PAGE_ITEMS_MAX`] are given.
    pub limit: usize,
}

/// Which dead deliveries are taken up again, and when.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// These, by id; empty: those that `filter` finds.
    pub ids: Vec<DeliveryId>,
    /// Of dead deliveries. Not looked at where there are ids.
    pub filter: Filter,
    /// When the first of them is due.
    pub from: Timestamp,
    /// How many become due a second, so that they do not crowd out what is new; 0: all at once.
    pub per_second: u32,
    /// Where an earlier call ended.
    pub cursor: Option<String>,
    /// Only count.
    pub dry_run: bool,
}

/// What one step of a redrive did.
#[derive(Debug, Clone, Default)]
pub struct Redriven {
    /// Deliveries a destination, in the order of the destinations' keys.
    pub counts: Vec<(String, u64)>,
    /// When the next of them would be due.
    pub next_due: Timestamp,
    /// Where to go on; `None`: that was all.
    pub cursor: Option<String>,
    /// Those of [`Redrive::ids`] in this step that are not dead, or not there.
    pub not_dead: Vec<DeliveryId>,
}

/// An event that somebody wants to take out of quarantine.
#[derive(Debug)]
pub enum Held {
    /// It is in quarantine. This is the event as it was received.
    Quarantined(Box<crate::event::Event>),
    /// It is not in quarantine: it was planned.
    Planned,
}

/// What becomes of an event that leaves quarantine: as [`Disposition::Route`](super::Disposition::Route) of a new one.
#[derive(Debug)]
pub struct Release {
    /// The payload's `type`, for listings.
    pub kind: Option<String>,
    /// The rules that made the plan.
    pub rules: RulesKey,
    /// The deliveries.
    pub plan: Plan,
}

/// What a delivery's request carries, as far as the store still has it.
#[derive(Debug)]
pub struct Carried {
    /// Whether they go in one request, as a batch.
    pub as_batch: bool,
    /// The events, each with the route that sent it; of a batch in the order of acceptance.
    pub members: Vec<(Arc<crate::event::Event>, Option<RouteKey>)>,
}

/// One destination's books: both sides of the equation, and what was found by walking the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As counted.
    pub figures: DestinationFigures,
    /// As walked: planned deliveries without a final outcome.
    pub outstanding: u64,
    /// As walked: rows of dead deliveries.
    pub dead_rows: u64,
    /// As walked: rows of delivered deliveries; fewer than counted once retention has deleted.
    pub delivered_rows: u64,
}

/// What walking the whole store found.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// One a destination.
    pub accounts: Vec<Account>,
    /// Events in the store.
    pub events: u64,
    /// Rows that belong to no event or to no plan, in plain words.
    pub strays: Vec<String>,
}

/// The verbs. Reads look at one moment of the store each, and never block the writer.
pub trait Records: Store {
    /// A page of events, the newest first.
    fn events(&self, status: Option<EventStatus>, filter: Filter, paging: Paging) -> BoxFuture<'_, Result<Page<Event>, StoreError>>;

    /// One event.
    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventDetails>, StoreError>>;

    /// A page of deliveries, those of the newest events first.
    fn deliveries(
        &self,
        status: Option<DeliveryStatus>,
        filter: Filter,
        paging: Paging,
    ) -> BoxFuture<'_, Result<Page<Delivery>, StoreError>>;

    /// One delivery.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<DeliveryDetails>, StoreError>>;

    /// What a delivery's request carries; `None` where there is no such delivery.
    fn carried(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Carried>, StoreError>>;

    /// Events as they are accepted, from now on.
    fn follow_events(&self, status: Option<EventStatus>, filter: Filter) -> BoxStream<'static, Followed<Event>>;

    /// Deliveries as their status changes, from now on.
    fn follow_deliveries(&self, status: Option<DeliveryStatus>, filter: Filter) -> BoxStream<'static, Followed<Delivery>>;

    /// The names of all routes that rules ever had, in the order in which they came.
    fn route_names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// Takes up dead deliveries again, some at a time: call it again with the cursor until there is none.
    fn redrive(&self, redrive: Redrive) -> BoxFuture<'_, Result<Redriven, StoreError>>;

    /// An event, to plan it if it is in quarantine; `None` where there is no such event.
    fn held(&self, id: EventId) -> BoxFuture<'_, Result<Option<Held>, StoreError>>;

    /// Takes an event out of quarantine. Its deliveries are due at once, and their deadlines count from now. It is on stable
    /// storage when this answers. `false`: it is not in quarantine (any more), and nothing was changed.
    fn release_event(&self, id: EventId, release: Release) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Walks the whole store and adds up. It finds damage where nobody else looks, which is counted and changes nothing.
    fn audit(&self) -> BoxFuture<'_, Result<Audit, StoreError>>;

    /// What is known of each destination beside its figures and how it stands, in the order of the keys.
    fn histories(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, DestinationHistory)>, StoreError>>;

    /// Sets a destination's breaker by hand, and ends a hold. Whoever has asked for [`Store::standing`] is told. `by` says whose hand it was.
    fn set_circuit(&self, destination: DestinationKey, circuit: CircuitState, by: String) -> BoxFuture<'_, Result<(), StoreError>>;
}

impl Account {
    /// What should be outstanding by the counters.
    pub fn expected(&self) -> Option<u64> {
        let DestinationFigures { planned, redriven, delivered, dead, .. } = &self.figures;
        (planned + redriven).checked_sub(delivered + dead)
    }

    /// Whether both sides are the same, and the counters agree with what is kept.
    pub fn balances(&self) -> bool {
        self.expected() == Some(self.outstanding)
            && self.figures.dead_kept == self.dead_rows
            && self.delivered_rows <= self.figures.delivered
    }
}

impl Audit {
    /// Whether every account balances and nothing strays.
    pub fn balances(&self) -> bool {
        self.strays.is_empty() && self.accounts.iter().all(Account::balances)
    }
}
