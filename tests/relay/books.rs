//! The relay checks its own books.

use std::time::Duration;

use rusqlite::Connection;

use crate::harness::{PATIENCE, Receiver, Setup, eventually, reveal};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_missing_is_found_and_told() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").flag("audit-interval", "200ms").start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 3).await;
    let find = async |name| relay.metrics().await.find(name, &[]);
    let first = eventually("it is checked", async || find("audit_last_timestamp_seconds").await).await;
    eventually("it is checked again", async || (find("audit_last_timestamp_seconds").await? > first).then_some(())).await;
    assert_eq!(find("audit_last_balanced").await, Some(1.0));
    assert!(relay.log().contains("the books balance"), "{}", relay.log());

    // A hand in the file takes one that was delivered away. Nothing that is counted shows it.
    let connection = Connection::open(relay.store().join("relay.db")).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    assert_eq!(connection.execute("DELETE FROM deliveries WHERE event = (SELECT min(event) FROM deliveries)", []).unwrap(), 1);
    relay.wait_for_metric("audit_last_balanced", &[], 0).await;
    relay.metrics().await.assert_conserved();
    let told = relay.log().lines().find(|line| line.contains("the books do not balance")).map(str::to_owned);
    assert!(told.is_some_and(|line| line.contains("destinations=\"crm\"")), "{}", relay.log());
    // It takes and delivers what comes.
    relay.webhook(reveal(9)).accepted().await;
    relay.wait_for_outcome("delivered", 4).await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_nothing_is_walked_at_the_start() {
    let receiver = Receiver::start().await;
    for interval in ["1d", "0s"] {
        let relay = Setup::to(&receiver, "").flag("audit-interval", interval).start().await;
        relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("delivered", 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(relay.metrics().await.find("audit_last_balanced", &[]), None, "{interval}");
        relay.finish().await;
    }
}
