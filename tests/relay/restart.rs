//! What outlives the process, however it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::setup::one_destination;
use crate::harness::{Answer, Gate, Poster, Raw, Receiver, Setup, eventually, reveal};

const CRM: (&str, &str) = ("destination", "crm");

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_at_the_end_is_finished_and_not_repeated() {
    let gate = Gate::new();
    let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
    let mut relay = Setup::to(&receiver, "timeout: 60s").flag("grace", "60s").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(1).await;
    relay.send_terminate();
    eventually("readiness fails while it stops", async || {
        let (status, text) = relay.get("/readyz").await;
        (status == 503 && text.contains("stopping")).then_some(())
    })
    .await;
    assert_eq!(relay.get("/healthz").await.0, 200, "it is alive until it has ended");
    eventually("no webhook is taken any more", async || relay.webhook(reveal(2)).try_send().await.is_err().then_some(())).await;
    gate.open();
    assert_eq!(relay.ended().await.code(), Some(0));
    let delivery = relay.stored().delivery(&id);
    assert_eq!((delivery.state, delivery.attempts), ("delivered", 1));
    assert!(!relay.log().contains("grace time is over"), "{}", relay.log());
    relay.start_again().await;
    relay.finish().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hangs_holds_up_the_end_for_the_grace_time_only() {
    let receiver = Receiver::always(Answer::Hang).await;
    let mut relay = Setup::to(&receiver, "timeout: 10m").flag("grace", "500ms").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(1).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert!(relay.log().contains("grace time is over"), "{}", relay.log());
    assert_eq!(relay.stored().delivery(&id).state, "waiting");
    receiver.become_always(Answer::status(200));
    relay.start_again().await;
    relay.finish().await;
    let names: Vec<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(names, vec![format!("{id}_crm"); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_do_nothing_do_not_hold_up_the_end() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").flag("grace", "60s").start().await;
    let silent = relay.raw().await;
    let mut idle = relay.raw().await;
    idle.write(Raw::webhook(&reveal(1))).await;
    assert_eq!(idle.reply().await.status, 200);
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert!(!relay.log().contains("grace time is over"), "{}", relay.log());
    drop((silent, idle));
    relay.start_again().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_on_its_way_in_at_the_end_is_stored_or_refused() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").flag("grace", "60s").start().await;
    let mut raw = relay.raw().await;
    let (first, rest) = (r#"{"data":"#, r#"{"id":1}}"#);
    raw.write(format!("{}content-length: {}\r\n\r\n{first}", Raw::head(), first.len() + rest.len())).await;
    // The relay must have begun with it, which nothing shows from outside.
    tokio::time::sleep(Duration::from_millis(300)).await;
    relay.send_terminate();
    eventually("it stops", async || (relay.get("/readyz").await.0 == 503).then_some(())).await;
    raw.write(rest).await;
    let reply = raw.reply().await;
    assert!([200, 503].contains(&reply.status), "{reply:?}");
    assert_eq!(relay.ended().await.code(), Some(0));
    assert_eq!(relay.stored().events(), u64::from(reply.status == 200));
    relay.start_again().await;
    relay.wait_for_outcome("delivered", u64::from(reply.status == 200)).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    kill_again_and_again(&Receiver::start().await, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_by_kill_9_in_the_midst_of_retries() {
    let flaky = Receiver::scripted(|_, number| Answer::status(if number % 3 == 0 { 500 } else { 200 })).await;
    let keys = "retry: { attempts: 1000, first: 20ms, factor: 1 }, circuit: { failures: 100000, cooldown: 1ms }";
    kill_again_and_again(&flaky, keys).await;
}

async fn kill_again_and_again(receiver: &Receiver, keys: &str) {
    // CONTRIBUTING.md tells how to have more.
    let rounds: usize = std::env::var("KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    const TASKS: usize = 8;
    let mut relay = Setup::to(receiver, keys).start().await;
    let numbers = Arc::new(AtomicU64::new(0));
    let mut pending: Vec<Option<String>> = vec![None; TASKS];
    let mut acknowledged = HashSet::new();
    for round in 1..=rounds {
        let poster = relay.poster();
        let before = relay.accepted().len();
        let tasks: Vec<_> =
            pending.iter_mut().map(|left| tokio::spawn(post_until_it_fails(poster.clone(), Arc::clone(&numbers), left.take()))).collect();
        eventually("some webhooks are accepted", async || (relay.accepted().len() >= before + 40 * (round % 10 + 1)).then_some(())).await;
        relay.kill();
        for (left, task) in pending.iter_mut().zip(tasks) {
            let (unanswered, duplicates) = task.await.unwrap();
            *left = Some(unanswered);
            acknowledged.extend(duplicates);
        }
        relay.start_again().await;
        relay.metrics().await.assert_conserved();
        relay.audit().await;
    }
    // Wiza repeats what was not answered; whether it had been stored already or not, it is stored once.
    for body in pending.into_iter().flatten() {
        let reply = relay.webhook(body).send().await;
        assert_eq!(reply.status, 200);
        acknowledged.insert(reply.id());
    }
    acknowledged.extend(relay.accepted());
    relay.wait_for_metric("waiting", &[CRM], 0).await;
    let posted = numbers.load(Ordering::SeqCst);
    assert_eq!(relay.stored().events(), posted, "one event for each body");
    assert_eq!(u64::try_from(acknowledged.len()).unwrap(), posted);
    let requests = receiver.requests();
    let received: HashSet<_> = requests.iter().map(|request| request.webhook_id().to_owned()).collect();
    for id in &acknowledged {
        assert!(received.contains(&format!("{id}_crm")), "{id} was acknowledged and never delivered");
    }
    let metrics = relay.metrics().await;
    assert_eq!(metrics.get("planned_total", &[CRM]), posted);
    assert_eq!(metrics.get("deliveries_total", &[CRM, ("outcome", "delivered")]), posted);
    println!("{rounds} kills, {posted} events, {} requests, {} of them repetitions", requests.len(), requests.len() - received.len());
    relay.stored().assert_sound();
    relay.finish().await;
}

/// Posts new bodies, first the one that is left over; returns the one that got no answer, and the ids of those that
/// turned out to be stored already.
async fn post_until_it_fails(poster: Poster, numbers: Arc<AtomicU64>, left: Option<String>) -> (String, Vec<String>) {
    let mut duplicates = Vec::new();
    let mut next = left;
    loop {
        let body = next.take().unwrap_or_else(|| reveal(numbers.fetch_add(1, Ordering::SeqCst)));
        match poster.webhook(body.clone()).try_send().await {
            Ok(reply) if reply.word() == "duplicate" => duplicates.push(reply.id()),
            Ok(reply) => assert_eq!(reply.status, 200, "{reply:?}"),
            Err(_) => return (body, duplicates),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_left_the_file_is_parked_until_it_comes_back() {
    let (crm, other) = (Receiver::always(Answer::status(500)).await, Receiver::start().await);
    let routes = format!(
        "destinations:
  crm: {{ url: '{}', concurrency: 1, retry: {{ first: 1ms }}, circuit: {{ failures: 1, cooldown: 1h }} }}
  other: {{ url: '{}' }}
routes: [{{ name: everything, to: [crm, other] }}]",
        crm.url("/"),
        other.url("/")
    );
    let without = format!("destinations: {{ other: {{ url: '{}' }} }}\nroutes: [{{ name: everything, to: [other] }}]", other.url("/"));
    let mut relay = Setup::new(&routes).seen_by(&crm).seen_by(&other).start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 5).await;
    assert_eq!(relay.terminate().await.code(), Some(0));

    relay.start_again_with(&without).await;
    relay.webhook(reveal(5)).accepted().await;
    let metrics = relay.metrics().await;
    assert_eq!((metrics.get("parked", &[CRM]), metrics.get("waiting", &[CRM]), metrics.get("planned_total", &[CRM])), (5, 0, 5));
    metrics.assert_conserved();
    relay.wait_for_metric("deliveries_total", &[("destination", "other"), ("outcome", "delivered")], 6).await;
    let meanwhile = crm.count();
    relay.kill();

    crm.become_always(Answer::status(200));
    relay.start_again_with(&routes).await;
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 5).await;
    assert_eq!(relay.metric("parked", &[CRM]).await, 0);
    relay.finish().await;
    let later: HashSet<_> = crm.requests()[meanwhile..].iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(later, ids.iter().map(|id| format!("{id}_crm")).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_was_scheduled_before_a_restart_still_comes() {
    let receiver = Receiver::answering([Answer::status(500), Answer::status(400)]).await;
    let keys = "concurrency: 1, retry: { first: 3s, factor: 1 }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    eventually("the failure is written down", async || (relay.stored().delivery(&id).state == "retrying").then_some(())).await;
    let dead = relay.webhook(reveal(2)).accepted().await;
    eventually("another is dead or delivered", async || (relay.stored().delivery(&dead).attempts == 1).then_some(())).await;
    relay.kill();
    relay.start_again().await;
    assert_eq!(relay.metric("planned_total", &[CRM]).await, 2);
    relay.wait_for_metric("waiting", &[CRM], 0).await;
    let states = [&id, &dead].map(|id| relay.stored().delivery(id).state);
    assert!(states.contains(&"delivered") && states.contains(&"dead"), "{states:?}");
    relay.finish().await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_by_the_new_rules_after_a_restart() {
    let (old, new) = (Receiver::always(Answer::status(500)).await, Receiver::start().await);
    let mut relay = Setup::to(&old, "retry: { first: 1ms }, circuit: { failures: 1, cooldown: 1h }").seen_by(&new).start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("circuit_open", &[CRM], 1).await;
    relay.kill();
    let asked = old.count();
    let moved = one_destination(&new.url("/moved"), "body: { id: $.data.id }").replace("everything", "renamed");
    relay.start_again_with(moved).await;
    relay.finish().await;
    assert_eq!((old.count(), new.count()), (asked, 3));
    assert!(new.requests().iter().all(|request| request.path == "/moved" && request.json()["id"].is_u64()));
}
