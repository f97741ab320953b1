//! The operator's verbs. They read on connections of their own, so that no lane waits for a listing.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use rusqlite::Connection;

use super::engine::Embedded;
use super::read::listing::{deliveries, details, events, follow};
use super::read::{histories, redrivable};
use super::write::{redrive, release, standing};
use crate::circuit::CircuitState;
use crate::delivery::{DeliveryId, DestinationKey};
use crate::event::EventId;
use crate::store::{Audit, Carried, DestinationHistory, Held, PAGE_ITEMS_MAX, Paging, Records, Redrive, Redriven, Release, StoreError};
use crate::wire::listing::{Delivery, DeliveryDetails, DeliveryStatus, Event, EventDetails, EventStatus, Filter, Followed, Page};
use crate::{clock, fault, vitals};

impl Records for Embedded {
    fn events(&self, status: Option<EventStatus>, filter: Filter, paging: Paging) -> BoxFuture<'_, Result<Page<Event>, StoreError>> {
        if paging.from.as_ref().is_some_and(|from| !events::is_cursor(from)) {
            return std::future::ready(Err(StoreError::NoCursor)).boxed();
        }
        let limit = paging.limit.min(PAGE_ITEMS_MAX);
        self.lookers
            .read("listing events", move |connection| events::page(connection, status, &filter, paging.from.as_deref(), limit))
            .boxed()
    }

    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventDetails>, StoreError>> {
        self.lookers.read("reading an event", move |connection| details::event(connection, id)).boxed()
    }

    fn deliveries(
        &self,
        status: Option<DeliveryStatus>,
        filter: Filter,
        paging: Paging,
    ) -> BoxFuture<'_, Result<Page<Delivery>, StoreError>> {
        if paging.from.as_ref().is_some_and(|from| !deliveries::is_cursor(from, status)) {
            return std::future::ready(Err(StoreError::NoCursor)).boxed();
        }
        let limit = paging.limit.min(PAGE_ITEMS_MAX);
        self.lookers
            .read("listing deliveries", move |connection| deliveries::page(connection, status, &filter, paging.from.as_deref(), limit))
            .boxed()
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<DeliveryDetails>, StoreError>> {
        self.lookers.read("reading a delivery", move |connection| details::delivery(connection, &id)).boxed()
    }

    fn carried(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Carried>, StoreError>> {
        self.lookers.read("reading what a delivery carries", move |connection| details::carried(connection, &id)).boxed()
    }

    fn follow_events(&self, status: Option<EventStatus>, filter: Filter) -> BoxStream<'static, Followed<Event>> {
        follow::events(self.changes.follow(), Arc::clone(&self.lookers), status, filter)
    }

    fn follow_deliveries(&self, status: Option<DeliveryStatus>, filter: Filter) -> BoxStream<'static, Followed<Delivery>> {
        follow::deliveries(self.changes.follow(), Arc::clone(&self.lookers), status, filter)
    }

    fn route_names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let names = |connection: &Connection| {
            let mut statement = connection.prepare_cached("SELECT name FROM routes ORDER BY key")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        self.lookers.read("reading the routes' names", names).boxed()
    }

    fn redrive(&self, redrive: Redrive) -> BoxFuture<'_, Result<Redriven, StoreError>> {
        async move {
            let (from, per_second, dry_run) = (redrive.from, redrive.per_second, redrive.dry_run);
            let chosen =
                self.lookers.read("looking for dead deliveries", move |connection| redrivable::choose(connection, &redrive)).await?;
            let (cursor, not_dead) = (chosen.cursor.clone(), chosen.not_dead.clone());
            let (counts, next_due) = if dry_run {
                (redrivable::count(&chosen), from)
            } else {
                self.run_task("redriving", move |session, _| redrive::take_up(session, &chosen.deliveries, from, per_second)).await?
            };
            Ok(Redriven { not_dead, ..redrive::told(&self.queues.all(), counts, next_due, cursor) })
        }
        .boxed()
    }

    fn held(&self, id: EventId) -> BoxFuture<'_, Result<Option<Held>, StoreError>> {
        self.lookers.read("reading an event in quarantine", move |connection| release::held(connection, id)).boxed()
    }

    fn release_event(&self, id: EventId, release: Release) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.run_task("releasing an event from quarantine", move |session, _| release::release(session, id, &release)).boxed()
    }

    fn audit(&self) -> BoxFuture<'_, Result<Audit, StoreError>> {
        let folder = self.folder.clone();
        // Not by one of the lookers: those have the store fail for good where a row is damaged, and this reads rows that may never matter.
        let walk = vitals::blocking(move || {
            fault::point("audit");
            Self::audit_folder(&folder)
        });
        async move {
            let stopping = || Err(StoreError::Engine { doing: "checking the books", error: "the relay is stopping".to_owned() });
            let audit = walk.await.unwrap_or_else(stopping);
            audit.inspect_err(|_| self.failures.count_read())
        }
        .boxed()
    }

    fn histories(&self) -> BoxFuture<'_, Result<Vec<(DestinationKey, DestinationHistory)>, StoreError>> {
        async move {
            let mut histories = self.lookers.read("looking at the destinations", histories::histories).await?;
            let now = clock::wall().as_millisecond();
            for (key, history) in &mut histories {
                history.ended_per_second = self.queues.get(*key).and_then(|queue| queue.ended_per_second(now));
            }
            Ok(histories)
        }
        .boxed()
    }

    fn set_circuit(&self, destination: DestinationKey, circuit: CircuitState, by: String) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run_task("setting a circuit breaker", move |session, _| standing::set(session, destination, circuit, &by)).boxed()
    }
}
