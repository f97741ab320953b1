//! The live path: what is accepted is claimed until it has a final outcome, over crashes and changes of the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::given::*;
use super::{Engine, PLENTY};
use crate::delivery::{AttemptResult, Ending, Outcome};
use crate::event::EventId;

use crate::names::{Names, Retention};
use crate::store::{Appended, Backlog, DestinationFigures, Held, Unavailable};
use crate::wire::listing::EventStatus;

pub async fn what_was_accepted_is_claimed_after_a_crash_and_what_was_settled_is_not<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let (crm, slack) = (keys.destinations[0], keys.destinations[1]);
    let first = accept(&store, new_event(&keys, &[0, 1], "first")).await;
    let second = accept(&store, new_event(&keys, &[0], "second")).await;
    let claims = claim_exactly(&store, crm, 2).await;
    assert_eq!(claims.iter().map(|claim| claim.event.id).collect::<Vec<_>>(), [first, second], "in the order of acceptance");
    assert!(claim_now(&store, crm, 10).await.is_empty(), "what is claimed is not claimed again");
    store.settle(settlement(claims[0].clone(), Outcome::Delivered)).await;
    store.flush().await.unwrap();
    drop(store); // Nothing is closed: the second claim is lost as in a crash.

    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    assert_eq!(keys.destinations, [crm, slack], "keys are stable");
    let again: Vec<EventId> = store.claim(crm, 10).await.iter().map(|claim| claim.event.id).collect();
    assert_eq!(again, [second]);
    let other = store.claim(slack, 10).await;
    assert_eq!(other.iter().map(|claim| (claim.event.id, &claim.event.body[..])).collect::<Vec<_>>(), [(first, &b"first"[..])]);
    assert_eq!(
        figures(&store, "crm"),
        DestinationFigures { name: "crm".into(), active: true, planned: 2, delivered: 1, ..Default::default() }
    );
    close_the_books(store).await;
}

pub async fn a_duplicate_gets_the_first_ones_id_also_after_a_restart_and_also_at_the_same_moment<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let id = accept(&store, new_event(&keys, &[0], "same")).await;
    assert_eq!(store.append(new_event(&keys, &[0], "same")).await.unwrap(), Appended::Duplicate(id));
    let twins =
        futures_util::future::join(store.append(new_event(&keys, &[0], "twin")), store.append(new_event(&keys, &[0], "twin"))).await;
    let (Appended::Accepted(one), Appended::Duplicate(other)) = (twins.0.unwrap(), twins.1.unwrap()) else { panic!("both or neither") };
    assert_eq!(one, other);
    store.close().await;
    drop(store);
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    assert_eq!(store.append(new_event(&keys, &[0], "same")).await.unwrap(), Appended::Duplicate(id));
    assert_eq!(figures(&store, "crm").planned, 2);
    close_the_books(store).await;
}

pub async fn an_event_outside_of_the_window_is_new<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(Names { dedupe_window: Duration::from_millis(50), ..names(&["crm"]) }).await.unwrap();
    let first = accept(&store, new_event(&keys, &[0], "same")).await;
    tokio::time::sleep(Duration::from_millis(80)).await;
    let second = accept(&store, new_event(&keys, &[0], "same")).await;
    assert_ne!(first, second);
    close_the_books(store).await;
}

pub async fn a_retry_comes_back_when_it_is_due_with_its_attempts_and_not_twice<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    accept(&store, new_event(&keys, &[0], "event")).await;
    let mut claims = store.claim(crm, 10).await;
    for attempts_made in 0..5 {
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].attempts_made, attempts_made);
        let at = Timestamp::now() + jiff::SignedDuration::from_millis(40);
        store.settle(settlement(claims[0].clone(), Outcome::Retry(at))).await;
        claims = store.claim(crm, 10).await;
        assert!(Timestamp::now() >= at - jiff::SignedDuration::from_millis(1), "it came before it was due");
        assert!(claim_now(&store, crm, 10).await.is_empty());
    }
    store.settle(settlement(claims[0].clone(), Outcome::Dead("enough".into()))).await;
    store.flush().await.unwrap();
    assert!(claim_now(&store, crm, 10).await.is_empty());
    let after = figures(&store, "crm");
    assert_eq!((after.planned, after.dead, after.dead_kept, after.outstanding()), (1, 1, 1, 0));
    close_the_books(store).await;
}

pub async fn a_batch_is_repeated_with_its_members_in_one_order_in_whichever_they_were_claimed<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    let mut accepted = Vec::new();
    for body in ["a", "b", "c", "d"] {
        accepted.push(accept(&store, new_event(&keys, &[0], body)).await);
    }
    // Retries and fresh deliveries take turns, so the order of the claims is any.
    let mut claims = claim_exactly(&store, crm, 4).await;
    claims.swap(0, 2);
    claims.swap(1, 3);
    let formed = store.form_batch(claims).await.unwrap().unwrap();
    assert_eq!(members(&formed), accepted);
    store.settle(settlement(formed, Outcome::Retry(Timestamp::now()))).await;
    let again = claim_exactly(&store, crm, 1).await;
    assert_eq!(members(&again[0]), accepted, "the same id is made of the same order");
}

pub async fn members_that_cannot_go_together_are_batches_of_one_also_after_a_crash<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    let mut accepted = Vec::new();
    for body in ["a", "b", "c"] {
        accepted.push(accept(&store, new_event(&keys, &[0], body)).await);
    }
    let formed = store.form_batch(claim_exactly(&store, crm, 3).await).await.unwrap().unwrap();
    let mut parted = settlement(formed, Outcome::Retry(Timestamp::now()));
    parted.attempt.result = AttemptResult::NotTogether("too long".to_owned());
    parted.attempts = 0;
    store.settle(parted).await;
    let alone = claim_exactly(&store, crm, 3).await;
    assert_eq!(alone.iter().map(members).collect::<Vec<_>>(), accepted.iter().map(|id| vec![*id]).collect::<Vec<_>>());
    assert!(alone.iter().all(|claim| claim.batch.is_some() && claim.attempts_made == 0), "each is formed already, and nothing is used up");
    store.settle(settlement(alone[1].clone(), Outcome::Delivered)).await;
    store.flush().await.unwrap();
    drop(store);

    let store = engine.open(PLENTY).await;
    store.configure(names(&["crm"])).await.unwrap();
    let rest = claim_exactly(&store, crm, 2).await;
    assert_eq!(rest.iter().map(members).collect::<Vec<_>>(), [vec![accepted[0]], vec![accepted[2]]]);
    let found = figures(&store, "crm");
    assert_eq!((found.planned, found.delivered, found.dead, found.waiting()), (3, 1, 0, 2));
}

pub async fn a_backlog_larger_than_the_window_comes_whole_and_in_order<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let count = 3000;
    let mut accepted = Vec::new();
    for number in 0..count {
        // Every third event is for the other destination only.
        let destinations: &[usize] = if number % 3 == 0 { &[1] } else { &[0, 1] };
        accepted.push((number % 3 != 0, store.append(new_event(&keys, destinations, &format!("{number}")))));
    }
    let answers =
        futures_util::future::join_all(accepted.into_iter().map(|(crm, append)| async move { (crm, append.await.unwrap()) })).await;
    let expected: BTreeSet<EventId> = answers.iter().filter(|(crm, _)| *crm).map(|(_, answer)| id_of(*answer)).collect();
    let mut sequences = Vec::new();
    let mut claimed = BTreeSet::new();
    while claimed.len() < expected.len() {
        for claim in claim_now(&store, keys.destinations[0], 100).await {
            sequences.push(claim.sequence);
            assert!(claimed.insert(claim.event.id), "claimed twice");
            store.settle(settlement(claim, Outcome::Delivered)).await;
        }
    }
    assert_eq!(claimed, expected);
    assert!(sequences.is_sorted());
    store.flush().await.unwrap();
    assert_eq!(figures(&store, "crm").outstanding(), 0);
    assert_eq!(figures(&store, "slack").waiting(), count);
    close_the_books(store).await;
}

pub async fn a_destination_that_left_is_parked_and_goes_on_when_it_comes_back<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let crm = keys.destinations[0];
    for number in 0..5 {
        accept(&store, new_event(&keys, &[0], &format!("{number}"))).await;
    }
    let in_flight = claim_exactly(&store, crm, 2).await;
    store.configure(names(&["slack"])).await.unwrap();
    assert_eq!((figures(&store, "crm").waiting(), figures(&store, "crm").parked()), (0, 5));
    assert!(claim_now(&store, crm, 10).await.is_empty());
    // What was in flight when it left still has its outcome.
    store.settle(settlement(in_flight[0].clone(), Outcome::Delivered)).await;
    store.settle(settlement(in_flight[1].clone(), Outcome::Retry(Timestamp::now()))).await;
    store.flush().await.unwrap();
    assert_eq!(figures(&store, "crm").parked(), 4);
    let back = store.configure(names(&["slack", "crm"])).await.unwrap();
    assert_eq!(back.destinations[1], crm);
    let mut again = BTreeMap::new();
    while again.len() < 4 {
        for claim in claim_now(&store, crm, 10).await {
            assert!(again.insert(claim.event.id, claim.attempts_made).is_none(), "claimed twice");
        }
    }
    assert_eq!(again.get(&in_flight[1].event.id), Some(&1));
    assert!(!again.contains_key(&in_flight[0].event.id));
    close_the_books(store).await;
}

pub async fn what_is_over_its_time_is_deleted_and_what_is_undelivered_is_not<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let short = Retention { delivered: Duration::from_millis(1), dead: Duration::from_secs(3600), size: u64::MAX, ..Retention::default() };
    let keys = store.configure(names(&["crm"])).await.unwrap();
    for (body, outcome) in [("delivered", Some(Outcome::Delivered)), ("dead", Some(Outcome::Dead("no".into()))), ("waiting", None)] {
        accept(&store, new_event(&keys, &[0], body)).await;
        let claim = store.claim(keys.destinations[0], 1).await.remove(0);
        if let Some(outcome) = outcome {
            store.settle(settlement(claim, outcome)).await;
        }
    }
    store.flush().await.unwrap();
    // All of it can take less than the millisecond that is to be over; the next look would come a minute later.
    tokio::time::sleep(short.delivered * 20).await;
    store.configure(Names { retention: short, ..names(&["crm"]) }).await.unwrap();
    eventually("what is over its time is deleted", async || all_events(&store).await.len() == 2).await;
    let mut bodies = Vec::new();
    for event in all_events(&store).await {
        bodies.push(store.event(event.id.parse().unwrap()).await.unwrap().unwrap().body);
    }
    assert_eq!(bodies, ["waiting", "dead"]);
    let after = figures(&store, "crm");
    assert_eq!((after.planned, after.delivered, after.dead, after.outstanding()), (3, 1, 1, 1), "the figures outlive the events");
    close_the_books(store).await;
}

pub async fn an_event_leaves_quarantine_once_and_is_delivered_once_wherever_the_queue_stands<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    // Before the cursor of both, and, for slack, which nobody claims from, behind it.
    let (before, release_before) = held_event(&keys, &[0, 1], "before");
    let before = accept(&store, before).await;
    for number in 0..600 {
        accept(&store, new_event(&keys, &[1], &format!("{number}"))).await;
    }
    let (after, release_after) = held_event(&keys, &[0, 1], "after");
    let after = accept(&store, after).await;
    accept(&store, new_event(&keys, &[1], "last")).await;
    assert_eq!((figures(&store, "crm").planned, figures(&store, "slack").planned), (0, 601));
    assert!(store.release_event(before, release_before).await.unwrap());
    assert!(store.release_event(after, release_after).await.unwrap());
    // Once only, and nothing that was never in quarantine.
    let (_, again) = held_event(&keys, &[0], "again");
    assert!(!store.release_event(before, again).await.unwrap());
    assert!(matches!(store.held(before).await.unwrap(), Some(Held::Planned)));
    assert!(store.held(EventId::from_bytes([9; 16])).await.unwrap().is_none());
    assert_eq!((figures(&store, "crm").planned, figures(&store, "slack").planned), (2, 603));
    let shown = store.event(after).await.unwrap().unwrap().event;
    assert_eq!((shown.status, shown.kind.as_deref(), shown.reason, shown.routes.len()), (EventStatus::Routed, Some("reveal"), None, 1));
    for (destination, count) in [(keys.destinations[0], 2), (keys.destinations[1], 603)] {
        let mut seen = BTreeSet::new();
        while seen.len() < count {
            for claim in claim_exactly(&store, destination, 1).await {
                assert!(seen.insert(claim.sequence), "twice");
                store.settle(settlement(claim, Outcome::Delivered)).await;
            }
        }
        assert!(claim_now(&store, destination, 10).await.is_empty(), "one too many");
    }
    store.flush().await.unwrap();
    assert!(store.audit().await.unwrap().balances());
    // What was released and not attempted outlives a crash.
    let (late, release_late) = held_event(&keys, &[0], "late");
    let late = accept(&store, late).await;
    assert!(store.release_event(late, release_late).await.unwrap());
    store.close().await;
    drop(store);
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let claims = claim_exactly(&store, keys.destinations[0], 1).await;
    assert_eq!((claims[0].event.id, claims[0].attempts_made, claims[0].event.is_damaged()), (late, 0, false));
}

pub async fn too_large_a_backlog_is_refused<E: Engine>() {
    let engine = E::make();
    let store = engine.open(2).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    for body in ["one", "two"] {
        accept(&store, new_event(&keys, &[0], body)).await;
    }
    assert!(matches!(store.append(new_event(&keys, &[0], "three")).await, Err(Unavailable::Backlog(Backlog { waiting: 2, limit: 2 }))));
    let claim = store.claim(keys.destinations[0], 1).await.remove(0);
    store.settle(settlement(claim, Outcome::Delivered)).await;
    store.flush().await.unwrap();
    accept(&store, new_event(&keys, &[0], "three")).await;
    close_the_books(store).await;
}

pub async fn what_is_given_back_comes_again_and_uses_up_no_attempt<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let crm = keys.destinations[0];
    let retried = accept(&store, new_event(&keys, &[0], "retried")).await;
    let claim = claim_exactly(&store, crm, 1).await.remove(0);
    store.settle(settlement(claim, Outcome::Retry(Timestamp::now()))).await;
    let fresh = accept(&store, new_event(&keys, &[0], "fresh")).await;
    let expected = BTreeMap::from([(retried, 1), (fresh, 0)]);
    for _ in 0..3 {
        let claims = claim_exactly(&store, crm, 2).await;
        assert_eq!(claims.iter().map(|claim| (claim.event.id, claim.attempts_made)).collect::<BTreeMap<_, _>>(), expected);
        store.release(claims);
    }
    let claims = claim_exactly(&store, crm, 2).await;
    assert!(claim_now(&store, crm, 10).await.is_empty(), "given back, each is there once");
    for claim in claims {
        store.settle(settlement(claim, Outcome::Delivered)).await;
    }
    close_the_books(store).await;
}

pub async fn what_expires_is_given_up_and_told_once<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm", "slack"])).await.unwrap();
    let id = accept(&store, new_event(&keys, &[0, 1], "event")).await;
    store.configure(Names { expire: vec![("crm".to_owned(), Duration::from_millis(1))], ..names(&["crm", "slack"]) }).await.unwrap();
    eventually("what has expired is given up", async || figures(&store, "crm").dead == 1).await;
    let given_up = store.given_up();
    let [one] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!((one.destination.as_str(), one.ending, one.count, one.webhooks), ("crm", Ending::Expired, 1, Some((1, id, id))));
    assert!(store.given_up().is_empty(), "it is told once");
    assert!(claim_now(&store, keys.destinations[0], 1).await.is_empty());
    assert_eq!(claim_exactly(&store, keys.destinations[1], 1).await[0].event.id, id, "another destination's goes on");
    assert_eq!(figures(&store, "crm").outstanding(), 0);
    close_the_books(store).await;
}

pub async fn what_was_spoiled_on_the_disk_is_not_taken_for_sound<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let spoiled = accept(&store, new_event(&keys, &[0], "sound before")).await;
    let sound = accept(&store, new_event(&keys, &[0], "sound")).await;
    store.close().await;
    drop(store);
    engine.spoil(spoiled).await;
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let claims = claim_exactly(&store, keys.destinations[0], 2).await;
    assert_eq!(
        claims.iter().map(|claim| (claim.event.id, claim.event.is_damaged())).collect::<Vec<_>>(),
        [(spoiled, true), (sound, false)]
    );
    close_the_books(store).await;
}

pub async fn nothing_is_taken_after_the_end<E: Engine>() {
    let engine = E::make();
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    let kept = accept(&store, new_event(&keys, &[0], "kept")).await;
    let claim = claim_exactly(&store, keys.destinations[0], 1).await.remove(0);
    store.settle(settlement(claim, Outcome::Delivered)).await;
    store.close().await;
    assert!(matches!(store.append(new_event(&keys, &[0], "late")).await, Err(Unavailable::Closing)));
    drop(store);
    let store = engine.open(PLENTY).await;
    let keys = store.configure(names(&["crm"])).await.unwrap();
    assert_eq!(all_events(&store).await.iter().map(|event| event.id.clone()).collect::<Vec<_>>(), [kept.to_string()]);
    assert_eq!(figures(&store, "crm").delivered, 1, "what was handed over before the end is written");
    assert!(claim_now(&store, keys.destinations[0], 1).await.is_empty());
    close_the_books(store).await;
}
