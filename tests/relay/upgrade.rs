//! A store that an older version left, with work in it.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::harness::{Answer, Receiver, Setup, eventually, reveal};

/// The tables of the first version as it was released; never changed again.
const VERSION_1: &str = include_str!("upgrade/version_1.sql");
/// Stands in every event that the first version has deleted.
const LEFT_BEHIND: &str = "Ada Left-Behind";
const CRM: (&str, &str) = ("destination", "crm");

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_version_goes_on_where_it_stood() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ids = write_first_version(&folder.path().join("relay.db"));
    let raw = || files(folder.path());
    let key = |number| Sha256::digest([b"\xff\xff", reveal(number).as_bytes()].concat())[..16].to_vec();
    let kept = Connection::open(folder.path().join("relay.db")).unwrap();
    let kept: i64 = kept.query_row("SELECT count(*) FROM events WHERE sequence < 0", [], |row| row.get(0)).unwrap();
    let kept = usize::try_from(kept).unwrap();
    assert!(count(&raw(), LEFT_BEHIND.as_bytes()) > kept + 100 && count(&raw(), &key(3)) > 0);
    let relay = Setup::to(&receiver, "").store(folder.path()).start().await;
    assert!(relay.log().contains("migrated the store"), "{}", relay.log());
    relay.wait_for_outcome("delivered", 4).await;
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    assert_eq!((metrics.get("planned_total", &[CRM]), metrics.get("dead_letters", &[CRM])), (5, 1));
    let stored = relay.stored();
    let states = ids.map(|id| stored.delivery(&id.to_string())).map(|delivery| (delivery.state, delivery.attempts));
    assert_eq!(states, [("delivered", 1), ("delivered", 4), ("dead", 20), ("delivered", 1), ("delivered", 1)]);
    eventually("what the first version left of deleted events is gone, and its dedupe keys are", async || {
        (count(&raw(), LEFT_BEHIND.as_bytes()) == kept && count(&raw(), &key(3)) == 0).then_some(())
    })
    .await;
    relay.rests().await;
    let listed = relay.listed(&["events"]).await;
    assert!(
        listed.len() >= 5 && listed.iter().all(|event| event["account"].is_null()),
        "events of before came with no account: {listed:?}"
    );
    // What was seen then is still known, also of what is waiting.
    let again = relay.webhook(reveal(3)).send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", ids[3].to_string()));
    relay.webhook(reveal(100)).accepted().await;
    relay.stored().assert_sound();
    relay.finish().await;
    let mut names: Vec<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    names.pop().unwrap(); // The new one.
    names.sort();
    let mut expected = [ids[1], ids[3], ids[4]].map(|id| format!("{id}_crm"));
    expected.sort();
    assert_eq!(names, expected);
    assert!(receiver.requests().iter().any(|request| request.body == reveal(1).as_bytes()));
}

/// What version 9 had in place of the states of their own that version 10 gave to deliveries in line and to members of batches.
const BACK_TO_VERSION_9: &str = "
DROP INDEX deliveries_open;
DROP INDEX deliveries_held;
UPDATE deliveries SET state = 1 WHERE state IN (4, 5);
CREATE INDEX deliveries_retrying ON deliveries (destination, event) WHERE state = 1;
PRAGMA user_version = 9;
";

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_batches_of_version_9_go_on_as_they_stood() {
    let (ordered, bulk) = (Receiver::always(Answer::status(503)).await, Receiver::always(Answer::status(503)).await);
    let keys = "retry: { attempts: 1000, first: 100ms, factor: 1, deadline: 30d }, circuit: { failures: 100000, cooldown: 1ms }";
    let routes = format!(
        "destinations:\n  crm: {{ url: '{}', order_by: $.type, {keys} }}\n  bulk: {{ url: '{}', batch: {{ max: 3, every: 10s }}, {keys} }}\nroutes:\n  - {{ name: all, to: [crm, bulk] }}\n",
        ordered.url("/{{ data.id }}"),
        bulk.url("/")
    );
    let mut relay = Setup::new(routes).start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let count = |relay: &crate::harness::Relay, query: &str| -> i64 {
        Connection::open(relay.store().join("relay.db")).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    };
    eventually("two wait in line, and the batch has failed", async || {
        let held = count(&relay, "SELECT count(*) FROM deliveries WHERE state = 4");
        let members = count(&relay, "SELECT count(*) FROM deliveries WHERE state = 5 AND attempts > 0");
        (held == 2 && members == 2).then_some(())
    })
    .await;
    relay.kill();
    let store = Connection::open(relay.store().join("relay.db")).unwrap();
    store.execute_batch(BACK_TO_VERSION_9).unwrap();
    drop(store);
    assert_eq!(count(&relay, "SELECT count(*) FROM deliveries WHERE state = 1 AND due_at IS NULL"), 4);
    let batch = bulk.requests()[0].clone();
    for receiver in [&ordered, &bulk] {
        receiver.forget();
        receiver.become_always(Answer::status(200));
    }
    relay.start_again().await;
    assert!(relay.log().contains("migrated the store"), "{}", relay.log());
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 3).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "bulk"), ("outcome", "delivered")], 3).await;
    let paths: Vec<String> = ordered.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/0", "/1", "/2"]);
    let again = bulk.requests();
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].webhook_id(), &again[0].body), (batch.webhook_id(), &batch.body), "the same batch");
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.assert_balanced().await;
}

/// Everything in the store's files.
fn files(folder: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.collect::<Vec<_>>().concat()
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    memchr::memmem::find_iter(bytes, wanted).count()
}

/// Five events: delivered, waiting for its fourth attempt, dead, and two that were not attempted yet.
fn write_first_version(file: &std::path::Path) -> [Uuid; 5] {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let received = now - 3_600_000;
    connection.execute("INSERT INTO rules VALUES (0, 'v0', ?)", [received]).unwrap();
    connection.execute("INSERT INTO routes VALUES (0, 'everything')", []).unwrap();
    connection
        .execute("INSERT INTO destinations (key, name, planned, delivered, dead, dead_kept, frontier) VALUES (0, 'crm', 5, 1, 1, 1, 3)", [])
        .unwrap();
    // Events that were deleted: the pages on which they stood are free, and some have rows beside them that stayed.
    let gone = |number: u64| format!("{{\"deleted\":{number},\"name\":\"{LEFT_BEHIND}\",\"filler\":\"{}\"}}", "x".repeat(300));
    for number in 0..200 {
        connection
            .execute(
                "INSERT INTO events (sequence, id, received_at, status, rules, type, path, query, routes, plan, note, body)
                 VALUES (?, ?, ?, 0, 0, NULL, '', '', '[]', '[]', NULL, ?)",
                params![
                    number - 300,
                    Uuid::from_u128(u128::try_from(number + 1).unwrap()).as_bytes(),
                    received,
                    gone(number.try_into().unwrap()).as_bytes()
                ],
            )
            .unwrap();
    }
    connection.execute("DELETE FROM events WHERE sequence < 0 AND sequence % 7 <> 0", []).unwrap();
    let mut log = Vec::new();
    let ids = [0, 1, 2, 3, 4].map(|number: u8| {
        let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(received).unwrap(), &[number; 10]).into_uuid();
        let body = reveal(number.into());
        connection
            .execute(
                "INSERT INTO events (sequence, id, received_at, status, rules, type, path, query, routes, plan, note, body)
                 VALUES (?, ?, ?, 0, 0, 'individual_reveal', '', '', '[0]', '[[0,0]]', NULL, ?)",
                params![i64::from(number) + 1, id.as_bytes(), received, body.as_bytes()],
            )
            .unwrap();
        log.extend_from_slice(&Sha256::digest([b"\xff\xff", body.as_bytes()].concat())[..16]);
        log.extend_from_slice(id.as_bytes());
        id
    });
    connection.execute("INSERT INTO dedupe_log VALUES (5, ?, ?)", params![received, log]).unwrap();
    for (sequence, state, attempts, due) in [(1, 2, 1, None), (2, 1, 3, Some(now - 1000)), (3, 3, 20, None)] {
        connection
            .execute(
                "INSERT INTO deliveries (event, destination, route, state, attempts, due_at, settled_at) VALUES (?, 0, 0, ?, ?, ?, ?)",
                params![sequence, state, attempts, due, received],
            )
            .unwrap();
    }
    connection.pragma_update(None, "user_version", 1).unwrap();
    ids
}
