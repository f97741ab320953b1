//! Deleting for real: what is over its time is gone, and its room in the file is used again.

use crate::harness::{Faults, Receiver, Setup, eventually};

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
