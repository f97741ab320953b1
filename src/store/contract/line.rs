//! `order_by`: deliveries of one key go one at a time, and those of another do not wait for them.

use super::given::*;
use super::{Engine, PLENTY};
use crate::delivery::Outcome;

pub async fn those_of_one_key_go_one_at_a_time_in_the_order_of_acceptance<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    let first = accept(&store, in_line(&keys, "first", "ada")).await;
    let second = accept(&store, in_line(&keys, "second", "ada")).await;
    let other = accept(&store, in_line(&keys, "other", "bob")).await;
    let third = accept(&store, in_line(&keys, "third", "ada")).await;
    let claims = claim_exactly(&store, crm, 2).await;
    assert_eq!(claims.iter().map(|claim| claim.event.id).collect::<Vec<_>>(), [first, other]);
    assert!(claim_now(&store, crm, 10).await.is_empty(), "the others of the key wait");
    // A retry does not let the next one go, and an end does, whichever it is.
    store.settle(settlement(claims[0].clone(), Outcome::Retry(jiff::Timestamp::now()))).await;
    let again = claim_exactly(&store, crm, 1).await.remove(0);
    assert_eq!((again.event.id, again.attempts_made), (first, 1));
    assert!(claim_now(&store, crm, 10).await.is_empty());
    store.settle(settlement(again, Outcome::Dead("enough".to_owned()))).await;
    for expected in [second, third] {
        let claim = claim_exactly(&store, crm, 1).await.remove(0);
        assert_eq!(claim.event.id, expected);
        assert!(claim_now(&store, crm, 10).await.is_empty());
        store.settle(settlement(claim, Outcome::Delivered)).await;
    }
    store.settle(settlement(claims[1].clone(), Outcome::Delivered)).await;
    store.flush().await.unwrap();
    let after = figures(&store, "crm");
    assert_eq!((after.planned, after.delivered, after.dead, after.outstanding()), (4, 3, 1, 0));
    close_the_books(store).await;
}

pub async fn a_line_outlives_a_crash<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    let first = accept(&store, in_line(&keys, "first", "ada")).await;
    let second = accept(&store, in_line(&keys, "second", "ada")).await;
    assert_eq!(claim_exactly(&store, crm, 1).await[0].event.id, first);
    assert!(claim_now(&store, crm, 10).await.is_empty());
    store.flush().await.unwrap();
    let left = engine.crash().await;
    let store = {
        store.close().await;
        left.open(PLENTY).await
    };
    store.configure(names(&["crm"])).await.unwrap();
    for expected in [first, second] {
        let claim = claim_exactly(&store, crm, 1).await.remove(0);
        assert_eq!(claim.event.id, expected);
        assert!(claim_now(&store, crm, 10).await.is_empty(), "one at a time, also after a crash");
        store.settle(settlement(claim, Outcome::Delivered)).await;
    }
    close_the_books(store).await;
}
