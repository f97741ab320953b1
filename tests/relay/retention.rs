//! Deleting for real: what is over its time is gone from every file, and its room is used again.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{Answer, Faults, Receiver, Relay, Request, Setup, eventually, reveal};

const HOUR: u64 = 60 * 60;
const CRM: (&str, &str) = ("destination", "crm");

const EVENTS: u64 = 200;

/// An event of 20 kB that no other is a repetition of.
fn large(batch: u64, number: u64) -> String {
    format!("{{\"batch\":{batch},\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(20_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn room_of_what_was_deleted_is_used_again() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let routes = crate::harness::one_destination(&receiver.url("/crm"), "") + "retention: { delivered: 1h, dead: 1h }\n";
    let mut relay = Setup::new(routes).seen_by(&receiver).with(&faults).start().await;
    let mut sizes = Vec::new();
    for batch in 0..4 {
        for number in 0..EVENTS {
            relay.webhook(large(batch, number)).accepted().await;
        }
        relay.wait_for_outcome("delivered", EVENTS * (batch + 1)).await;
        let full = relay.stored().events();
        assert_eq!(full, EVENTS);
        // Everything in one file; and a sweep comes at once after the start.
        assert_eq!(relay.terminate().await.code(), Some(0));
        sizes.push(std::fs::metadata(relay.store().join("relay.db")).unwrap().len());
        faults.inject(&format!("clock {}", 2 * 60 * 60 * (batch + 1)));
        relay.start_again().await;
        eventually("what is over its time is deleted", async || (relay.stored().events() == 0).then_some(())).await;
        relay.metrics().await.assert_conserved();
    }
    println!("bytes of the file after each of {} batches of {EVENTS} events of 20 kB: {sizes:?}", sizes.len());
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(first > EVENTS * 20_000, "{sizes:?}");
    assert!(last < first + first / 4, "the file grows though nothing stays in it: {sizes:?}");
    assert_eq!(relay.metric("planned_total", &[("destination", "crm")]).await, 4 * EVENTS);
    relay.stored().assert_sound();
    relay.finish().await;
}

/// An event whose number can be found in the raw files: in its body, and, as the receiver sends it back, in the reply that is kept.
fn marked(number: u64) -> String {
    let filler = "x".repeat(usize::try_from(number * 37 % 900).unwrap());
    format!("{{\"mark\":\"<mark{number:06}>\",\"data\":{{\"id\":{number}}},\"filler\":\"{filler}\"}}")
}

/// The numbers of the events of which there is anything in any of the store's files.
fn marks(store: &Path) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(store).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for place in memchr::memmem::find_iter(&bytes, b"<mark") {
            let digits = bytes.get(place + 5..place + 11).and_then(|digits| std::str::from_utf8(digits).ok());
            found.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_event_is_in_any_file_also_of_an_idle_relay() {
    let Some(faults) = Faults::new() else { return };
    // Of seven events one dies, at its second attempt; so rows that stay are among those that go. Replies repeat what was sent.
    let script = |request: &Request, _: usize| {
        let number: u64 = request.path.trim_start_matches("/crm/").parse().unwrap();
        Answer::status(if number.is_multiple_of(7) { 500 } else { 200 }).body(marked(number))
    };
    let receiver = Receiver::scripted(script).await;
    let keys = "retry: { attempts: 2, first: 1ms }, circuit: { failures: 1000, cooldown: 1ms }";
    let routes = crate::harness::one_destination(&receiver.url("/crm/{{ data.id }}"), keys) + "retention: { delivered: 1h, dead: 5h }\n";
    let mut relay = Setup::new(routes).seen_by(&receiver).with(&faults).start().await;
    let poster = relay.poster();
    for number in 0..700 {
        poster.webhook(marked(number)).accepted().await;
    }
    let quarantined = relay.webhook("<mark000700> is no JSON").send().await;
    assert_eq!(quarantined.status, 400);
    relay.wait_for_outcome("delivered", 600).await;
    relay.wait_for_outcome("dead", 100).await;
    assert_eq!(marks(&relay.store()).len(), 701);
    let store = relay.store();
    // A crash, so that the log is full of them as well.
    relay.kill();
    faults.inject(&format!("clock {}", 2 * HOUR));
    relay.start_again().await;
    let dead: BTreeSet<u64> = (0..=700).filter(|number| number % 7 == 0).collect();
    eventually("of what was delivered nothing is left in the raw files", async || (marks(&store) == dead).then_some(())).await;
    assert_eq!(relay.stored().events(), 101);
    relay.stored().assert_sound();
    // Dead letters and the quarantine go later; a clean end in between.
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert_eq!(marks(&store), dead);
    faults.inject(&format!("clock {}", 6 * HOUR));
    relay.start_again().await;
    eventually("of what had died nothing is left either", async || marks(&store).is_empty().then_some(())).await;
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.stored().events(), 0);
    relay.stored().assert_sound();
    // The pages are used again, and what is on them is whole.
    relay.webhook(marked(701)).accepted().await;
    relay.wait_for_outcome("delivered", 601).await;
    assert_eq!(marks(&store), BTreeSet::from([701]));
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_store_for_long_does_not_keep_deleted_events_for_ever() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let routes = crate::harness::one_destination(&receiver.url("/crm"), "") + "retention: { delivered: 1h }\n";
    let mut relay = Setup::new(routes).seen_by(&receiver).with(&faults).start().await;
    for number in 0..20 {
        relay.webhook(marked(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 20).await;
    relay.kill();
    let reader = rusqlite::Connection::open(relay.store().join("relay.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    faults.inject(&format!("clock {}", 2 * HOUR));
    relay.start_again().await;
    eventually("they are deleted", async || (relay.stored().events() == 0).then_some(())).await;
    // They are in the log, or in the file, for as long as somebody may read them; and webhooks are taken meanwhile.
    relay.webhook(reveal(1)).accepted().await;
    assert!(!marks(&relay.store()).is_empty());
    drop(reader);
    eventually("nothing is left", async || marks(&relay.store()).is_empty().then_some(())).await;
    relay.finish().await;
}

async fn parked(relay: &Relay, what: &str) {
    let faults_told = "deliveries were given up: their destination was held back";
    eventually(what, async || relay.log().contains(faults_told).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_and_paused_deliveries_die_after_a_limit_of_their_own() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::always(Answer::status(503)).await;
    let retention = "retention: { delivered: 1h, parked: 2h, dead: 5h }\n";
    let slow = "retry: { attempts: 100, first: 2h, deadline: 30d }, circuit: { failures: 1000, cooldown: 1ms }";
    let destinations = |names: &[&str]| {
        let entries: Vec<String> =
            names.iter().map(|name| format!("  {name}: {{ url: \"{}\", {slow} }}\n", receiver.url(&format!("/{name}")))).collect();
        format!(
            "destinations:\n{}  line: {{ url: \"{}\", {slow}, order_by: $.type }}\n  group: {{ url: \"{}\", {slow}, batch: {{ max: 3, every: 50ms }} }}\nroutes:\n  - {{ name: everything, to: [{}, line, group] }}\n{retention}",
            entries.concat(),
            receiver.url("/line"),
            receiver.url("/group"),
            names.join(", ")
        )
    };
    let mut relay = Setup::new(destinations(&["crm", "left"])).with(&faults).start().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    for (name, count) in [("crm", 4), ("left", 4), ("line", 1), ("group", 2)] {
        eventually(&format!("{name} was attempted"), async || {
            (relay.metric("attempts_total", &[("destination", name), ("result", "retried")]).await >= count).then_some(())
        })
        .await;
    }
    for name in ["crm", "line", "group"] {
        assert_eq!(relay.ask(&["pause", name]).await.code, Some(0));
    }
    relay.terminate().await;
    faults.inject(&format!("clock {}", 3 * HOUR));
    relay.start_again_with(destinations(&["crm"])).await;
    parked(&relay, "they are given up").await;
    for name in ["crm", "left", "line", "group"] {
        relay.wait_for_metric("deliveries_total", &[("destination", name), ("outcome", "dead")], 4).await;
    }
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    for name in ["crm", "left", "line", "group"] {
        let of = [("destination", name)];
        assert_eq!((metrics.get("waiting", &of), metrics.get("parked", &of), metrics.get("dead_letters", &of)), (0, 0, 4), "{name}");
    }
    // Counted by the task that tells, a moment later.
    for name in ["crm", "left", "line", "group"] {
        relay.wait_for_metric("given_up_total", &[("destination", name), ("reason", "parked")], 4).await;
    }
    relay.assert_balanced().await;
    let told = |name: &str| relay.stored().planned(&ids[0]).into_iter().find(|delivery| delivery.destination == name).unwrap().last_error;
    assert_eq!(told("left").as_deref(), Some("given up after retention.parked: its destination is not in routes.yaml"));
    assert_eq!(told("crm").as_deref(), Some("given up after retention.parked: its destination is paused"));
    // They can be redriven like all dead letters, and count anew from then on; the line goes on.
    receiver.become_always(Answer::status(200));
    for name in ["crm", "line", "group"] {
        assert_eq!(relay.ask(&["redrive", "--destination", name, "--yes", "--rate", "0"]).await.code, Some(0));
        assert_eq!(relay.ask(&["resume", name]).await.code, Some(0));
        relay.wait_for_metric("deliveries_total", &[("destination", name), ("outcome", "delivered")], 4).await;
    }
    relay.metrics().await.assert_conserved();
    // And in the end they go, with the events.
    assert_eq!(relay.terminate().await.code(), Some(0));
    faults.inject(&format!("clock {}", 6 * HOUR));
    relay.start_again().await;
    eventually("the events are deleted", async || (relay.stored().events() == 0).then_some(())).await;
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.metric("dead_letters", &[("destination", "left")]).await, 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_quarantine_counts_against_the_size_and_the_oldest_goes_first() {
    let receiver = Receiver::start().await;
    let routes = crate::harness::one_destination(&receiver.url("/crm"), "") + "retention: { size: 16MiB }\n";
    let mut relay = Setup::new(routes).seen_by(&receiver).start().await;
    let mut last = String::new();
    for number in 0..40 {
        let junk = format!("junk {number} {}", "z".repeat(1_000_000));
        assert_eq!(relay.webhook(junk).send().await.status, 400);
        last = format!("junk {number} ");
    }
    // A sweep comes once a minute, or at once with new settings.
    relay.write_rules(crate::harness::one_destination(&receiver.url("/crm"), "") + "retention: { size: 17MiB }\n");
    eventually("there is no more than the limit", async || (relay.stored().events() <= 18).then_some(())).await;
    let quarantined = relay.listed(&["events", "--status", "quarantined"]).await;
    assert!(quarantined.len() >= 10, "the youngest stay: {}", quarantined.len());
    let youngest = quarantined[0]["id"].as_str().unwrap();
    assert!(relay.stored().event(youngest).body.starts_with(last.as_bytes()));
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_a_year_ahead_deletes_nothing() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let routes = |hours: u64| {
        crate::harness::one_destination(&receiver.url("/crm"), "") + &format!("retention: {{ delivered: {hours}h, dead: 8h }}\n")
    };
    let mut relay = Setup::new(routes(3)).seen_by(&receiver).with(&faults).start().await;
    for number in 0..5 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    let told = "the clock is far ahead of where it should be";
    faults.inject(&format!("clock {}", 365 * 24 * HOUR));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await; // The library looks for its rules now and then only.
    // A sweep comes at once with new settings.
    relay.write_rules(routes(4));
    relay.reloaded().await;
    eventually("the sweep has seen the clock", async || relay.log().contains(told).then_some(())).await;
    assert_eq!(relay.stored().events(), 5);
    // A restart does not make it believable, and the log tells again. So does a crash.
    for crash in [false, true] {
        if crash {
            relay.kill();
        } else {
            assert_eq!(relay.terminate().await.code(), Some(0));
        }
        relay.start_again().await;
        eventually("the sweep has seen the clock again", async || relay.log().contains(told).then_some(())).await;
        assert_eq!(relay.stored().events(), 5);
    }
    // Set right, time goes on as ever: six hours later they go.
    relay.terminate().await;
    faults.inject(&format!("clock {}", 6 * HOUR));
    relay.start_again().await;
    eventually("what is over its time is deleted", async || (relay.stored().events() == 0).then_some(())).await;
    assert!(!relay.log().contains(told));
    assert_eq!(relay.metric("deliveries_total", &[CRM, ("outcome", "delivered")]).await, 5);
    relay.finish().await;
}
