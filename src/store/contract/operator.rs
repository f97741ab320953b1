//! The operator's verbs: what is shown is what happened, and what is taken up again is what was asked for.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::given::*;
use super::{Engine, PLENTY};
use crate::delivery::{AttemptResult, DeliveryId, FailureReason, Outcome};
use crate::event::EventId;
use crate::store::{Disposition, Paging, Redrive, StoreError};
use crate::wire::listing::{DeliveryStatus, EventStatus, Filter, Followed};

/// Longer than an item may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn delivery(event: EventId, destination: &str) -> DeliveryId {
    DeliveryId { event, destination: destination.into() }
}

fn of(destination: &str) -> Filter {
    Filter { destination: Some(destination.to_owned()), ..Filter::default() }
}

pub async fn pages_go_from_the_newest_to_the_oldest_and_leave_nothing_out<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.push(accept(&store, new_event(&keys, &[0, 1], &format!("{number}"))).await.to_string());
    }
    expected.reverse();
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    let mut from = None;
    loop {
        let page = store.events(None, Filter::default(), Paging { from, limit: 3 }).await.unwrap();
        assert!(page.items.len() <= 3);
        events.extend(page.items.into_iter().map(|event| event.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(events, expected);
    loop {
        let page = store.deliveries(None, of("slack"), Paging { from, limit: 2 }).await.unwrap();
        assert!(page.items.len() <= 2);
        deliveries.extend(page.items.into_iter().map(|delivery| delivery.event_id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(deliveries, expected);
    assert_eq!(all_deliveries(&store).await.len(), 14);
    close_the_books(store).await;
}

pub async fn a_page_begins_only_where_another_ended<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    store.configure(names(&["crm"])).await.unwrap();
    let made_up = || Paging { from: Some("made up".to_owned()), limit: 10 };
    assert!(matches!(store.events(None, Filter::default(), made_up()).await, Err(StoreError::NoCursor)));
    assert!(matches!(store.deliveries(None, Filter::default(), made_up()).await, Err(StoreError::NoCursor)));
    close_the_books(store).await;
}

pub async fn a_filter_finds_what_it_names<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let crm = keys.destinations[0];
    let given_up = dead(&store, &keys, "given up").await;
    let mut quarantined = new_event(&keys, &[], "Needle");
    quarantined.disposition = Disposition::Quarantine("it was not understood".to_owned());
    let quarantined = accept(&store, quarantined).await;
    let mut unmatched = new_event(&keys, &[], "unmatched");
    if let Disposition::Route { plan, .. } = &mut unmatched.disposition {
        (plan.unmatched, plan.routes) = (true, Vec::new());
    }
    let unmatched = accept(&store, unmatched).await;
    let retrying = accept(&store, new_event(&keys, &[0], "retrying")).await;
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    store.settle(settlement(claim_exactly(&store, crm, 1).await.remove(0), Outcome::Retry(later))).await;
    let arrived = accept(&store, new_event(&keys, &[0], "arrived")).await;
    store.settle(settlement(claim_exactly(&store, crm, 1).await.remove(0), Outcome::Delivered)).await;
    let waiting = accept(&store, new_event(&keys, &[1], "waiting")).await;
    store.flush().await.unwrap();
    for (status, expected) in [
        (DeliveryStatus::Dead, given_up),
        (DeliveryStatus::Retrying, retrying),
        (DeliveryStatus::Delivered, arrived),
        (DeliveryStatus::Waiting, waiting),
    ] {
        let found = store.deliveries(Some(status), Filter::default(), whole()).await.unwrap().items;
        let found: Vec<_> = found.iter().map(|delivery| (delivery.event_id.clone(), delivery.status)).collect();
        assert_eq!(found, [(expected.to_string(), status)]);
    }
    for (status, expected) in [
        (EventStatus::Quarantined, vec![quarantined]),
        (EventStatus::Unmatched, vec![unmatched]),
        (EventStatus::Routed, vec![waiting, arrived, retrying, given_up]),
    ] {
        let found = store.events(Some(status), Filter::default(), whole()).await.unwrap().items;
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(found.into_iter().map(|event| event.id).collect::<Vec<_>>(), expected);
    }
    let nothing_yet = Filter { until: Some(Timestamp::now() - SignedDuration::from_hours(1)), ..Filter::default() };
    let of_today = Filter { since: nothing_yet.until, ..Filter::default() };
    for (filter, count) in [
        (of("slack"), 1),
        (Filter { route: Some("first".to_owned()), ..Filter::default() }, 4),
        (Filter { search: Some("nEEdLE".to_owned()), ..Filter::default() }, 1),
        (Filter { search: Some(waiting.to_string()), ..Filter::default() }, 1),
        (nothing_yet, 0),
        (of_today, 6),
    ] {
        let found = store.events(None, filter.clone(), whole()).await.unwrap().items;
        assert_eq!(found.len(), count, "{filter:?} {found:?}");
    }
    // One whose destination has left is parked.
    store.configure(names(&["crm"])).await.unwrap();
    let parked = store.deliveries(Some(DeliveryStatus::Parked), Filter::default(), whole()).await.unwrap().items;
    assert_eq!(parked.into_iter().map(|delivery| delivery.event_id).collect::<Vec<_>>(), [waiting.to_string()]);
    close_the_books(store).await;
}

pub async fn an_event_and_a_delivery_are_shown_with_what_became_of_them<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let id = accept(&store, new_event(&keys, &[0], "{\"a\": 1}")).await;
    let mut failed = settlement(claim_exactly(&store, keys.destinations[0], 1).await.remove(0), Outcome::Retry(Timestamp::now()));
    failed.attempt.result = AttemptResult::Failed(FailureReason::Connection, "no connection".to_owned());
    store.settle(failed).await;
    let again = claim_exactly(&store, keys.destinations[0], 1).await.remove(0);
    store.settle(settlement(again, Outcome::Dead("enough".to_owned()))).await;
    store.flush().await.unwrap();
    let event = store.event(id).await.unwrap().unwrap();
    assert_eq!((event.body, event.event.status), (serde_json::json!({"a": 1}), EventStatus::Routed));
    assert_eq!((event.event.rules.as_deref(), event.event.routes.as_slice()), (Some("v1"), &["first".to_owned()][..]));
    assert_eq!(event.event.deliveries[0].status, DeliveryStatus::Dead);
    let shown = store.delivery(delivery(id, "crm")).await.unwrap().unwrap();
    assert_eq!((shown.delivery.status, shown.delivery.attempts), (DeliveryStatus::Dead, 2));
    assert_eq!((shown.delivery.route.as_deref(), shown.delivery.last_error.as_deref()), (Some("first"), Some("enough")));
    let log: Vec<_> = shown.attempt_log.iter().map(|attempt| (attempt.number, attempt.status, attempt.error.as_deref())).collect();
    assert_eq!(log, [(Some(1), None, Some("no connection")), (Some(2), Some(200), None)]);
    assert_eq!(shown.attempt_log[1].reply.as_deref(), Some("reply"));
    // What is not there is not there.
    let nobody = EventId::from_bytes([9; 16]);
    assert!(store.event(nobody).await.unwrap().is_none());
    assert!(store.delivery(delivery(nobody, "crm")).await.unwrap().is_none());
    assert!(store.delivery(delivery(id, "slack")).await.unwrap().is_none());
    close_the_books(store).await;
}

pub async fn what_a_request_carries_is_known_of_a_delivery_and_of_a_batch<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let mut accepted = Vec::new();
    for body in ["a", "b", "c"] {
        accepted.push(accept(&store, new_event(&keys, &[0], body)).await);
    }
    let carried = async |event| {
        let carried = store.carried(delivery(event, "crm")).await.unwrap().unwrap();
        (carried.as_batch, carried.members.into_iter().map(|(event, _)| event.id).collect::<Vec<_>>())
    };
    assert_eq!(carried(accepted[0]).await, (false, vec![accepted[0]]));
    let mut claims = claim_exactly(&store, keys.destinations[0], 2).await;
    claims.reverse();
    store.form_batch(claims).await.unwrap().unwrap();
    for member in &accepted[..2] {
        assert_eq!(carried(*member).await, (true, accepted[..2].to_vec()));
    }
    assert!(store.carried(delivery(accepted[0], "slack")).await.unwrap().is_none());
    assert!(store.form_batch(Vec::new()).await.unwrap().is_none());
    close_the_books(store).await;
}

pub async fn whoever_follows_is_told_of_events_and_of_outcomes<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let before = accept(&store, new_event(&keys, &[0], "before")).await;
    let mut events = store.follow_events(None, Filter::default());
    let mut outcomes = store.follow_deliveries(Some(DeliveryStatus::Delivered), of("crm"));
    let id = accept(&store, new_event(&keys, &[0, 1], "event")).await;
    let told = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert!(matches!(&told, Followed::Item(event) if event.id == id.to_string()), "not {before}: {told:?}");
    for key in &keys.destinations {
        for claim in claim_exactly(&store, *key, 1).await {
            store.settle(settlement(claim, Outcome::Delivered)).await;
        }
    }
    let told = tokio::time::timeout(PATIENCE, outcomes.next()).await.unwrap().unwrap();
    let Followed::Item(told) = told else { panic!("{told:?}") };
    assert_eq!((told.destination.as_str(), told.event_id, told.status), ("crm", before.to_string(), DeliveryStatus::Delivered));
    close_the_books(store).await;
}

fn redrive(ids: Vec<DeliveryId>) -> Redrive {
    Redrive { ids, filter: Filter::default(), from: Timestamp::now(), per_second: 0, cursor: None, dry_run: false }
}

pub async fn dead_deliveries_are_taken_up_again_by_name_or_by_filter<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let crm = keys.destinations[0];
    let (first, second) = (dead(&store, &keys, "first").await, dead(&store, &keys, "second").await);
    let alive = accept(&store, new_event(&keys, &[1], "alive")).await;
    let counted = store.redrive(Redrive { dry_run: true, ..redrive(Vec::new()) }).await.unwrap();
    assert_eq!((counted.counts, counted.cursor), (vec![("crm".to_owned(), 2)], None));
    assert_eq!(figures(&store, "crm").redriven, 0, "it was only counted");
    let by_name = store.redrive(redrive(vec![delivery(second, "crm"), delivery(alive, "slack")])).await.unwrap();
    assert_eq!((by_name.counts, by_name.not_dead), (vec![("crm".to_owned(), 1)], vec![delivery(alive, "slack")]));
    let claim = claim_exactly(&store, crm, 1).await.remove(0);
    assert_eq!((claim.event.id, claim.attempts_made), (second, 0), "attempts are counted from the start");
    store.settle(settlement(claim, Outcome::Delivered)).await;
    let by_filter = store.redrive(Redrive { filter: of("crm"), ..redrive(Vec::new()) }).await.unwrap();
    assert_eq!(by_filter.counts, [("crm".to_owned(), 1)]);
    let claim = claim_exactly(&store, crm, 1).await.remove(0);
    assert_eq!(claim.event.id, first);
    store.settle(settlement(claim, Outcome::Delivered)).await;
    store.flush().await.unwrap();
    let after = figures(&store, "crm");
    assert_eq!((after.planned, after.redriven, after.delivered, after.dead, after.dead_kept, after.outstanding()), (2, 2, 2, 2, 0, 0));
    let nothing = store.redrive(Redrive { filter: of("crm"), ..redrive(Vec::new()) }).await.unwrap();
    assert!(nothing.counts.is_empty());
    close_the_books(store).await;
}

pub async fn a_redrive_goes_on_where_it_ended_and_paces_what_it_takes_up<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    // More than an engine takes up in one step.
    let count = 600;
    for number in 0..count {
        accept(&store, new_event(&keys, &[0], &format!("{number}"))).await;
    }
    for claim in claim_exactly(&store, keys.destinations[0], count).await {
        store.settle(settlement(claim, Outcome::Dead("enough".to_owned()))).await;
    }
    store.flush().await.unwrap();
    let from = Timestamp::now() + SignedDuration::from_hours(1);
    let mut next = Redrive { from, per_second: 10, ..redrive(Vec::new()) };
    let mut taken_up = 0;
    loop {
        let step = store.redrive(next.clone()).await.unwrap();
        taken_up += step.counts.iter().map(|(_, count)| count).sum::<u64>();
        next = Redrive { from: step.next_due, cursor: step.cursor, ..next };
        if next.cursor.is_none() {
            break;
        }
    }
    assert_eq!(taken_up, u64::try_from(count).unwrap());
    let last = next.from.duration_since(from).as_secs();
    assert!((59..=61).contains(&last), "600 at ten a second: {last}");
    assert!(claim_now(&store, keys.destinations[0], 1).await.is_empty(), "none is due yet");
    close_the_books(store).await;
}

pub async fn the_last_failure_and_the_oldest_are_known<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let crm = keys.destinations[0];
    assert!(store.oldest().await.unwrap().is_empty());
    accept(&store, new_event(&keys, &[0], "delivered")).await;
    store.settle(settlement(claim_exactly(&store, crm, 1).await.remove(0), Outcome::Delivered)).await;
    let waiting = new_event(&keys, &[0], "waiting");
    let received_at = waiting.event.received_at.as_millisecond();
    accept(&store, waiting).await;
    let mut failed = settlement(claim_exactly(&store, crm, 1).await.remove(0), Outcome::Retry(Timestamp::now()));
    failed.attempt.result = AttemptResult::Failed(FailureReason::Connection, "no connection".to_owned());
    store.settle(failed).await;
    store.flush().await.unwrap();
    let oldest: Vec<_> = store.oldest().await.unwrap().into_iter().map(|(key, at)| (key, at.as_millisecond())).collect();
    assert_eq!(oldest, [(crm, received_at)]);
    let histories = store.histories().await.unwrap();
    let history = &histories.iter().find(|(key, _)| *key == crm).unwrap().1;
    assert!(history.last_delivered_at.is_some());
    assert_eq!(history.last_failure.as_ref().and_then(|failure| failure.error.as_deref()), Some("no connection"));
    close_the_books(store).await;
}
