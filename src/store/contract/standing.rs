//! Who works on a destination, how it stands, and what is known of it.

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};

use super::given::*;
use super::{Engine, PLENTY};
use crate::circuit::{CircuitState, OpenedBy, Standing};
use crate::delivery::Outcome;
use crate::names::Names;
use crate::store::{Disk, Failed, Health};

pub async fn a_destination_is_owned_before_it_is_claimed_from<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    // The only relay of a store gets every destination, and keeps it.
    let mut owned = Vec::new();
    for key in &keys.destinations {
        owned.push(store.own(*key).await);
    }
    accept(&store, new_event(&keys, &[0, 1], "event")).await;
    for key in &keys.destinations {
        store.settle(settlement(claim_exactly(&store, *key, 1).await.remove(0), Outcome::Delivered)).await;
    }
    for ownership in &mut owned {
        assert_eq!(ownership.lost().now_or_never(), None);
    }
    // Given up, it can be had again, by a later epoch where there are epochs.
    let epoch = owned[0].epoch();
    drop(owned);
    assert!(store.own(keys.destinations[0]).await.epoch() >= epoch);
    close_the_books(store).await;
}

pub async fn how_a_destination_stands_outlives_a_crash_and_a_pause_stays<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let (crm, slack) = (keys.destinations[0], keys.destinations[1]);
    // Stored times are whole milliseconds.
    let later = Timestamp::from_millisecond(Timestamp::now().as_millisecond() + 3_600_000).unwrap();
    let open = Standing { circuit: CircuitState::Open { until: later, by: OpenedBy::Failures }, hold_until: Some(later) };
    assert_eq!(*store.standing(crm).borrow(), Standing::default());
    store.note_standing(crm, open).await.unwrap();
    let mut watched = store.standing(slack);
    store.set_circuit(slack, CircuitState::Paused, "ada".to_owned()).await.unwrap();
    watched.changed().await.unwrap();
    assert_eq!(watched.borrow_and_update().circuit, CircuitState::Paused);
    // A lane that noted how it stood a moment too late does not end what somebody has set.
    store.note_standing(slack, Standing::default()).await.unwrap();
    let left = engine.crash().await;
    store.close().await;

    let store = left.open(PLENTY).await;
    assert_eq!(store.configure(names(&["crm", "slack"])).await.unwrap().destinations, [crm, slack]);
    assert_eq!(*store.standing(crm).borrow(), open);
    assert_eq!(store.standing(slack).borrow().circuit, CircuitState::Paused);
    let histories = store.histories().await.unwrap();
    let of = |key| histories.iter().find(|(known, _)| *known == key).unwrap().1.clone();
    assert_eq!(of(slack).circuit_by.as_deref(), Some("ada"));
    assert!(of(slack).circuit_since.is_some_and(|since| since <= Timestamp::now() + SignedDuration::from_secs(1)));
    store.set_circuit(slack, CircuitState::Closed, "bob".to_owned()).await.unwrap();
    assert_eq!(*store.standing(slack).borrow(), Standing::default());
    close_the_books(store).await;
}

pub async fn everything_is_paused_at_a_start_that_holds<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    store.configure(Names { held_by: Some("the test".to_owned()), ..names(&["crm"]) }).await.unwrap();
    for key in keys.destinations {
        assert_eq!(store.standing(key).borrow().circuit, CircuitState::Paused, "also one that is not in the file now");
    }
    let histories = store.histories().await.unwrap();
    assert!(histories.iter().all(|(_, history)| history.circuit_by.as_deref() == Some("the test")), "{histories:?}");
    close_the_books(store).await;
}

pub async fn names_and_figures_are_of_the_same_destinations<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    assert_eq!((store.names().len(), store.find("crm")), (0, None));
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    store.configure(Names { routes: vec!["second".to_owned()], disabled: vec!["slack".to_owned()], ..names(&["slack"]) }).await.unwrap();
    let ledger = store.ledger();
    assert_eq!(ledger.iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys.destinations);
    assert_eq!(ledger.iter().map(|(_, figures)| figures.name.clone()).collect::<Vec<_>>(), store.names());
    assert_eq!(ledger.iter().map(|(_, figures)| (figures.active, figures.disabled)).collect::<Vec<_>>(), [(false, false), (false, true)]);
    assert_eq!([store.find("crm"), store.find("slack")], [Some(keys.destinations[0]), Some(keys.destinations[1])]);
    assert_eq!(store.find("cr"), None);
    assert_eq!(store.route_names().await.unwrap(), ["first", "second"]);
    let Disk { bytes, limit_bytes, .. } = store.disk();
    assert!(bytes > 0);
    assert_eq!(limit_bytes, names(&[]).retention.size);
    assert_eq!((store.failed(), store.health(), store.backlog_limit()), (Failed::default(), Health::Good, PLENTY));
    close_the_books(store).await;
}
