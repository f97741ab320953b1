//! A store's file that was cut off, overwritten or changed: refused in clear words, or noticed at use; never silence,
//! and never a changed event at a destination. What can be read is exported.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Answer, Gate, Ran, Receiver, Relay, Setup, eventually, repository, run, skipped};

const CRM: (&str, &str) = ("destination", "crm");
const EVENTS: usize = 300;

/// What is in a file, to be damaged.
type Bytes = Vec<u8>;
/// A way to damage it.
type Change = fn(&mut Bytes);

/// A store with events that wait, and their bodies by id.
struct Sample {
    folder: TempDir,
    bodies: HashMap<String, String>,
}

fn body(number: usize) -> String {
    format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(number % 7 * 1000))
}

impl Sample {
    /// As a relay leaves it that ended well, or (`killed`) with all that was written since the start in the log.
    async fn write(killed: bool) -> Self {
        let gate = Gate::new();
        let receiver = Receiver::always(Answer::status(200).behind(&gate)).await;
        let mut relay = Setup::to(&receiver, "timeout: 10m, concurrency: 1").flag("grace", "1ms").start().await;
        let mut bodies = HashMap::new();
        for number in 0..EVENTS {
            bodies.insert(relay.webhook(body(number)).accepted().await, body(number));
        }
        if killed {
            relay.kill();
        } else {
            assert_eq!(relay.terminate().await.code(), Some(0));
        }
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(relay.store()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder, bodies }
    }

    /// A copy of it in which this file was changed.
    fn damaged(&self, name: &str, change: impl FnOnce(&mut Bytes)) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let mut bytes = std::fs::read(folder.path().join(name)).unwrap();
        change(&mut bytes);
        std::fs::write(folder.path().join(name), bytes).unwrap();
        folder
    }

    /// Exports, and makes sure that what is said to be whole is, and that what is missing is told.
    async fn export(&self, store: &Path) -> (Ran, Vec<Value>) {
        let ran = run(&["export", "--store", &store.display().to_string()]).await;
        assert!(!ran.error.contains("panicked"), "{ran:?}");
        let events: Vec<Value> = ran.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let whole = events.iter().filter(|event| event.get("damaged").is_none()).count();
        for event in events.iter().filter(|event| event.get("damaged").is_none()) {
            let original = self.bodies.get(event["id"].as_str().unwrap()).unwrap_or_else(|| panic!("nobody sent {event}"));
            assert_eq!(event["body"], *original);
        }
        assert!(whole == EVENTS || ran.code == Some(1), "{} events, and the exit code is {:?}: {}", whole, ran.code, ran.error);
        (ran, events)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_store_is_exported_whole_also_while_a_relay_runs_on_it() {
    let sample = Sample::write(false).await;
    let (ran, events) = sample.export(sample.folder.path()).await;
    assert_eq!((ran.code, events.len()), (Some(0), EVENTS), "{}", ran.error);
    assert_eq!(ran.error, format!("{EVENTS} events exported, 0 of them damaged\n"));
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").store(sample.folder.path()).start().await;
    relay.wait_for_outcome("delivered", u64::try_from(EVENTS).unwrap()).await;
    relay.webhook([b'"', 0xff, b'"']).send().await.assert_problem(400, "quarantine");
    let ran = run(&["export", "--store", &sample.folder.path().display().to_string()]).await;
    let events: Vec<Value> = ran.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, events.len()), (Some(0), EVENTS + 1), "{}", ran.error);
    assert_eq!(events[0]["deliveries"][0]["destination"], "crm");
    assert_eq!(events[0]["deliveries"][0]["status"], "delivered");
    assert_eq!((&events[EVENTS]["status"], &events[EVENTS]["body_hex"]), (&"quarantined".into(), &"22ff22".into()));
    relay.finish().await;
    let nowhere = tempfile::tempdir().unwrap();
    run(&["export", "--store", &nowhere.path().display().to_string()]).await.assert_refused(1, &["there is no relay.db", "--store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_or_lost_its_header_is_refused_and_left_alone() {
    let sample = Sample::write(false).await;
    let receiver = Receiver::start().await;
    let cases: [(&str, Change, &[&str], bool); 4] = [
        ("half of it", |bytes| bytes.truncate(bytes.len() / 2), &["the file is damaged", "wiza-relay export"], true),
        ("half a page less", |bytes| bytes.truncate(bytes.len() - 2048), &["the file is damaged", "wiza-relay export"], true),
        ("no header", |bytes| bytes[..100].fill(0), &["not a database of this relay", "move it away"], false),
        ("no first page", |bytes| bytes[..4096].fill(0xa5), &["not a database of this relay", "move it away"], false),
    ];
    for (what, change, words, exportable) in cases {
        let store = sample.damaged("relay.db", change);
        let before = std::fs::read(store.path().join("relay.db")).unwrap();
        match Setup::to(&receiver, "").store(store.path()).damaged().try_start().await {
            Ok(mut relay) => {
                assert!(words[0].contains("damaged"), "{what}");
                assert_noticed(&relay).await;
                relay.kill();
            }
            Err(log) => assert!(words.iter().all(|word| log.contains(word)), "{what}: {log}"),
        }
        if !exportable {
            assert!(std::fs::read(store.path().join("relay.db")).unwrap() == before, "{what}: it was changed");
        }
        let (ran, events) = sample.export(store.path()).await;
        assert_eq!(ran.code, Some(1), "{what}");
        assert_eq!(!events.is_empty(), exportable, "{what}: {}", ran.error);
        assert!(exportable || ran.error.contains(".recover"), "{what}: {}", ran.error);
    }
    assert_eq!(receiver.count(), 0);
}

/// Readiness fails and the log tells.
async fn assert_noticed(relay: &Relay) {
    eventually("the damage is noticed", async || {
        (relay.get("/readyz").await.0 == 503 && relay.log().contains("takes nothing more")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_commits_is_refused_until_the_operator_has_decided() {
    let sample = Sample::write(true).await;
    let receiver = Receiver::start().await;
    let cases: [(&str, Change); 3] = [
        ("a flipped bit in the midst", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("a page of zeroes", |bytes| {
            let third = bytes.len() / 3;
            bytes[third..][..4096].fill(0);
        }),
        ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    for (what, change) in cases {
        let store = sample.damaged("relay.db-wal", change);
        let path = store.path().display().to_string();
        let (ran, events) = sample.export(store.path()).await;
        assert!(ran.code == Some(1) && (1..EVENTS).contains(&events.len()), "{what}: {} {}", events.len(), ran.error);
        assert!(ran.error.contains("the last commits in relay.db-wal"), "{what}: {}", ran.error);
        // Looked at by `export`, the index may be a new one: then it is the commits behind the damage that tell.
        let store = sample.damaged("relay.db-wal", |bytes| {
            bytes.clear();
            bytes.extend(std::fs::read(store.path().join("relay.db-wal")).unwrap());
        });
        let refused = Setup::to(&receiver, "").store(store.path()).damaged().try_start().await;
        let Err(log) = refused else { panic!("{what}: it was opened as if nothing had happened, from {path}") };
        assert!(log.contains("relay.db-wal is damaged, and what was acknowledged last is lost"), "{what}: {log}");
        assert_eq!(receiver.count(), 0, "{what}");
        // The way that is named works.
        let command = log.split('`').find(|part| part.starts_with("rm -f")).unwrap_or_else(|| panic!("{what}: {log}"));
        assert!(command.contains(&store.path().display().to_string()));
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
        let relay = Setup::to(&receiver, "").store(store.path()).start().await;
        let planned = relay.metric("planned_total", &[CRM]).await;
        assert!((1..u64::try_from(EVENTS).unwrap()).contains(&planned), "{what}: {planned}");
        relay.wait_for_outcome("delivered", planned).await;
        relay.stored().assert_sound();
        relay.finish().await;
        receiver.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_removed_is_missed() {
    let sample = Sample::write(true).await;
    let receiver = Receiver::start().await;
    let store = sample.damaged("relay.db-wal", |_| {});
    std::fs::remove_file(store.path().join("relay.db-wal")).unwrap();
    let Err(log) = Setup::to(&receiver, "").store(store.path()).damaged().try_start().await else { panic!("it was opened") };
    assert!(log.contains("relay.db-wal is damaged") && log.contains("it is missing"), "{log}");
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    Zeroes,
    Noise,
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_anywhere_is_noticed_and_no_changed_event_is_delivered() {
    // `DAMAGE_ROUNDS=500` has more.
    let rounds: usize = std::env::var("DAMAGE_ROUNDS").map_or(16, |rounds| rounds.parse().unwrap());
    let sample = Sample::write(false).await;
    let mut random = SmallRng::seed_from_u64(11);
    let (mut refused, mut failed, mut dead, mut harmless) = (0, 0, 0, 0);
    for round in 0..rounds {
        let damage = [Damage::Bit, Damage::Bit, Damage::Zeroes, Damage::Noise][round % 4];
        let store = sample.damaged("relay.db", |bytes| match damage {
            Damage::Bit => {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            Damage::Zeroes | Damage::Noise => {
                let page = random.random_range(0..bytes.len() / 4096);
                for byte in &mut bytes[page * 4096..][..4096] {
                    *byte = if matches!(damage, Damage::Noise) { random.random() } else { 0 };
                }
            }
        });
        let (_, exported) = sample.export(store.path()).await;
        let receiver = Receiver::start().await;
        let place = format!("round {round}, {damage:?}");
        match Setup::to(&receiver, "").store(store.path()).damaged().try_start().await {
            Err(log) => {
                assert!(log.contains("the file is damaged") || log.contains("not a database"), "{place}: {log}");
                refused += 1;
            }
            Ok(mut relay) => {
                let told = |log: &str| log.contains("takes nothing more") || log.contains("was damaged on the disk");
                // Whom such an event was for is not known any more, so its delivery waits for ever, and that is told.
                let stuck = |log: &str| log.contains("takes nothing more") || log.contains("plan was damaged on the disk");
                eventually(&format!("{place}: all is delivered, or something is told"), async || {
                    let metrics = relay.metrics().await;
                    (metrics.find("waiting", &[CRM]).unwrap_or(0.0) == 0.0 || stuck(&relay.log())).then_some(())
                })
                .await;
                let delivered = receiver.count();
                if relay.log().contains("takes nothing more") {
                    failed += 1;
                } else if told(&relay.log()) {
                    dead += 1;
                } else {
                    assert_eq!(
                        delivered,
                        EVENTS,
                        "{place}: nothing was told, and {} events were exported\n{}",
                        exported.len(),
                        relay.log()
                    );
                    harmless += 1;
                }
                relay.kill();
            }
        }
        for request in receiver.requests() {
            let id = request.webhook_id().split('_').next().unwrap().to_owned();
            let original = sample.bodies.get(&id).unwrap_or_else(|| panic!("{place}: nobody sent {id}"));
            assert!(request.body == original.as_bytes() || request.answered.is_none(), "{place}: {id} was delivered changed");
        }
    }
    println!("{rounds} damaged files: {refused} refused, {failed} failed at use, {dead} with dead letters, {harmless} without effect");
}

/// The commands of a recipe in the operators' manual that have this in them.
fn recipe(part: &str) -> String {
    let manual = std::fs::read_to_string(repository("docs/store.md")).unwrap();
    let recipes = manual.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    recipes.into_iter().find(|recipe| recipe.contains(part)).unwrap_or_else(|| panic!("no recipe has {part}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manuals_recipe_keeps_every_byte_of_what_was_not_delivered() {
    if Command::new("jq").arg("--version").output().is_err() {
        return skipped("there is no jq");
    }
    let receiver = Receiver::always(Answer::status(400)).await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let bodies = [
        r#"{"half":"\ud83d","whole":"\ud83d\ude00","nul":"\u0000"}"#,
        r#"{"id":12345678901234567890123,"price":1.10,"id":2}"#,
        "\u{feff}{\n  \"lines\": \"\u{e9}\",\r\n\t\"more\": 1\n}\n",
    ];
    let mut sent = HashMap::new();
    for body in bodies {
        sent.insert(relay.webhook(body).accepted().await, body);
    }
    relay.wait_for_outcome("dead", 3).await;
    let exported = run(&["export", "--store", &relay.store().display().to_string()]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), &exported.output).unwrap();
    let ran = Command::new("sh").arg("-euc").arg(recipe("events.jsonl |")).current_dir(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for (id, body) in sent {
        let kept = std::fs::read(folder.path().join(format!("undelivered/{id}.json"))).unwrap();
        assert_eq!(String::from_utf8(kept).unwrap(), body);
    }
    relay.kill();
}
