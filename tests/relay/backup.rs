//! Saving a store while its relay works, and going on from what was saved.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags};

use crate::harness::{Answer, PATIENCE, Poster, Ran, Receiver, Setup, Tmpfs, command, eventually, reveal, run, skipped};

const CRM: (&str, &str) = ("destination", "crm");

fn read_only(store: &Path) -> Connection {
    Connection::open_with_flags(store.join("relay.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// What `backup` ends with.
async fn save(store: &Path, to: &Path) -> Ran {
    run(&["backup", to.to_str().unwrap(), "--store", store.to_str().unwrap()]).await
}

/// Files that are in the making, or were left behind.
fn partial(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().contains("partial")).count()
}

/// Webhooks from several sides until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(poster: &Poster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|task| tokio::spawn(post(poster.clone(), task * 1_000_000, Arc::clone(&stop)))).collect();
        Self { stop, tasks }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn post(poster: Poster, first: u64, stop: Arc<AtomicBool>) {
    for number in first.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        poster.webhook(reveal(number)).accepted().await;
    }
}

/// Every delivery of a saved store, by its `webhook-id`, and whether it had arrived then.
fn deliveries(store: &Path) -> Vec<(String, bool)> {
    let connection = read_only(store);
    let mut statement = connection
        .prepare(
            "SELECT lower(hex(e.id)), coalesce(d.state, 0) = 2 FROM events e, json_each(e.plan) p
             LEFT JOIN deliveries d ON d.event = e.sequence AND d.destination = p.value ->> 0",
        )
        .unwrap();
    let name = |hex: String| format!("{}_crm", uuid::Uuid::try_parse(&hex).unwrap());
    let rows = statement.query_map([], |row| Ok((name(row.get(0)?), row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_saved_under_load_goes_on_from_that_moment() {
    // Some arrive, some are retried, and some die.
    let receiver = Receiver::scripted(|_, number| Answer::status([200, 200, 500, 404][number % 4])).await;
    let keys = "retry: { attempts: 1000, first: 1s, factor: 1 }, circuit: { failures: 100000 }";
    let mut relay = Setup::to(&receiver, keys).start().await;
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    let load = Load::start(&relay.poster());
    eventually("deliveries have every fate", async || {
        let metrics = relay.metrics().await;
        let ended = |outcome| metrics.get("deliveries_total", &[CRM, ("outcome", outcome)]);
        (ended("delivered") > 50 && ended("dead") > 20 && metrics.get("waiting", &[CRM]) > 20).then_some(())
    })
    .await;
    let before = relay.accepted();
    std::fs::create_dir(&saved).unwrap();
    let ran = save(&relay.store(), &saved.join("relay.db")).await;
    assert!(ran.code == Some(0) && ran.error.contains("the books balance") && ran.output.is_empty(), "{ran:?}");
    assert_eq!(partial(&saved), 0);
    let mode = std::fs::metadata(saved.join("relay.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds personal data");
    let after = relay.accepted().len();
    eventually("it goes on meanwhile", async || (relay.accepted().len() > after + 20).then_some(())).await;
    load.end().await;
    relay.kill(); // With all that came since; the disk is lost.

    let ran = run(&["audit", "--store", saved.to_str().unwrap()]).await;
    assert!(ran.code == Some(0) && ran.output.contains("the books balance"), "{ran:?}");
    let planned = deliveries(&saved);
    let names: Vec<&str> = planned.iter().map(|(name, _)| name.as_str()).collect();
    for id in &before {
        assert!(names.contains(&format!("{id}_crm").as_str()), "{id} was acknowledged before, and is not saved");
    }

    let receiver = Receiver::start().await;
    let restored = Setup::to(&receiver, "").store(&saved).start().await;
    let ran = restored.ask(&["redrive", "--all", "--yes", "--rate", "0"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    restored.wait_for_metric("waiting", &[CRM], 0).await;
    assert!(restored.log().contains("started") && !restored.log().contains("migrated"), "{}", restored.log());
    let metrics = restored.metrics().await;
    assert_eq!(metrics.get("planned_total", &[CRM]), u64::try_from(planned.len()).unwrap());
    assert_eq!(metrics.get("deliveries_total", &[CRM, ("outcome", "delivered")]), u64::try_from(planned.len()).unwrap());
    let arrived: Vec<String> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    for (name, had_arrived) in &planned {
        let times = arrived.iter().filter(|arrived| *arrived == name).count();
        assert_eq!(times, usize::from(!had_arrived), "{name} had arrived: {had_arrived}");
    }
    // It knows what it had seen, and takes what is new.
    let again = restored.webhook(reveal(0)).send().await;
    assert_eq!(again.word(), "duplicate");
    restored.webhook(reveal(9_000_000)).accepted().await;
    restored.finish().await;
}

/// Out of a container that has nothing to copy files with.
#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_goes_to_standard_output() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for number in 0..30 {
        relay.webhook(format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(100_000))).accepted().await;
    }
    relay.wait_for_outcome("delivered", 30).await;
    let folder = tempfile::tempdir().unwrap();
    let to = |stdout: Stdio| {
        let mut command = command::relay();
        command
            .args(["backup", "-", "--store", relay.store().to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let file = File::create(folder.path().join("relay.db")).unwrap();
    let ran = to(file.into()).wait_with_output().unwrap();
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stderr).contains("30 events walked: the books balance"), "{ran:?}");
    assert_eq!(deliveries(folder.path()).len(), 30);
    assert_eq!(partial(&relay.store()), 0);

    // A back-up is looked at where it is, whatever it is called.
    let copy = folder.path().join("copy.db");
    std::fs::copy(folder.path().join("relay.db"), &copy).unwrap();
    let ran = run(&["audit", "--store", copy.to_str().unwrap()]).await;
    assert!(ran.code == Some(0) && ran.output.contains("planned 30"), "{ran:?}");
    let ran = run(&["export", "--store", copy.to_str().unwrap()]).await;
    assert!(ran.code == Some(0) && ran.output.lines().count() == 30, "{}", ran.error);
    let ran = run(&["audit", "--store", folder.path().join("nothing.db").to_str().unwrap()]).await;
    assert!(ran.code == Some(1) && ran.error.contains("name the folder, or a back-up's file, with --store"), "{ran:?}");

    // Whoever reads it goes away: that is told, and nothing is left behind.
    let mut child = to(Stdio::piped());
    drop(child.stdout.take());
    let ran = child.wait_with_output().unwrap();
    assert!(!ran.status.success() && !String::from_utf8_lossy(&ran.stderr).contains("backed up"), "{ran:?}");
    assert_eq!(partial(&relay.store()), 0);
    relay.finish().await;
}

/// Its copy has the personal data of all events, and nobody looks for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_back_up_left_is_deleted_by_the_next_and_by_a_start() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    for number in 0..5 {
        relay.webhook(format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(100_000))).accepted().await;
    }
    relay.wait_for_outcome("delivered", 5).await;
    let store = relay.store();
    // More than a pipe takes, and nobody reads on: it stands in the middle of writing its copy out.
    let stuck = || {
        let mut command = command::relay();
        command.args(["backup", "-", "--store", store.to_str().unwrap()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 16]).unwrap();
        child
    };
    let killed = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = |name: &str| {
        let file = File::create(folder.path().join(name)).unwrap();
        let mut command = command::relay();
        let ran = command.args(["backup", "-", "--store", store.to_str().unwrap()]).stdout(file).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    let first = stuck();
    killed(stuck());
    assert_eq!(partial(&store), 2);
    whole("beside");
    assert!(partial(&store) >= 1, "one that is running lost its copy");
    relay.kill();
    relay.start_again().await;
    assert!(partial(&store) >= 1, "one that is running lost its copy");
    killed(first);
    whole("after");
    assert_eq!(partial(&store), 0, "a back-up deletes what others left");

    killed(stuck());
    std::fs::write(store.join(".backup-a1B2c3.partial-journal"), "what SQLite keeps beside it").unwrap();
    std::fs::write(store.join(".backup-of-mine.partial"), "somebody else's").unwrap();
    assert_eq!(partial(&store), 3);
    relay.kill();
    relay.start_again().await;
    assert_eq!(partial(&store), 1, "a start deletes what back-ups left, and nothing else");
    assert!(store.join(".backup-of-mine.partial").exists());
    assert!(relay.log().contains("deleted what a back-up that was killed had left"), "{}", relay.log());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_that_cannot_be_made_leaves_everything_as_it_was() {
    let Some(small) = Tmpfs::mount("16m") else { return skipped("file systems cannot be mounted here") };
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.db");
    std::fs::write(&kept, "the one before").unwrap();
    save(&relay.store(), &kept).await.assert_refused(1, &["kept.db is there already"]);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "the one before");
    save(&relay.store(), &small.path().join("new.db")).await.assert_refused(1, &["the copy wants", "put it elsewhere"]);
    assert_eq!(std::fs::read_dir(small.path()).unwrap().count(), 0);
    save(&relay.store(), &folder.path().join("nowhere/new.db")).await.assert_refused(1, &["nowhere"]);
    save(folder.path(), &folder.path().join("new.db")).await.assert_refused(1, &["there is no relay.db", "--store"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_relay_was_stopped_or_killed_is_copied_as_its_files() {
    let receiver = Receiver::always(Answer::status(500)).await;
    let mut relay = Setup::to(&receiver, "retry: { attempts: 1000, first: 1ms, max: 1s }, circuit: { failures: 100000 }").start().await;
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let names = relay.accepted();
    for (copy, files) in [("stopped", &["relay.db"][..]), ("killed", &["relay.db", "relay.db-wal", "relay.db-shm"])] {
        if copy == "stopped" {
            relay.terminate().await;
        } else {
            relay.start_again().await;
            relay.webhook(reveal(100)).accepted().await;
            relay.kill();
        }
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::copy(relay.store().join(file), folder.path().join(file)).unwrap();
        }
        let ran = run(&["audit", "--store", folder.path().to_str().unwrap()]).await;
        assert!(ran.code == Some(0) && ran.output.contains("the books balance"), "{copy}: {ran:?}");
        let receiver = Receiver::start().await;
        let restored = Setup::to(&receiver, "").store(folder.path()).start().await;
        let expected = if copy == "stopped" { 20 } else { 21 };
        restored.wait_for_outcome("delivered", expected).await;
        for id in &names {
            assert!(receiver.requests().iter().any(|request| request.webhook_id() == format!("{id}_crm")), "{copy}: {id}");
        }
        restored.finish().await;
    }
}

/// Behind somebody who reads, as a back-up or an audit of a large store does, the log cannot begin anew, and grows.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_store_for_long_holds_up_no_webhook() {
    const LONG: u64 = 270 << 20; // The writer would like to have less than 256 MiB.
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let store = relay.store();
    let length = || std::fs::metadata(store.join("relay.db-wal")).unwrap().len();
    let reader = read_only(&store);
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let filler = Connection::open(store.join("relay.db")).unwrap();
    filler.busy_timeout(PATIENCE).unwrap();
    filler.execute_batch("PRAGMA synchronous = OFF; CREATE TABLE filler (bytes BLOB)").unwrap();
    while length() < LONG {
        filler.execute("INSERT INTO filler VALUES (zeroblob(30 << 20))", []).unwrap();
    }
    // One commit each. If each waited for the reader, all of them together would take a quarter of an hour.
    let many = async {
        for number in 0..200 {
            relay.webhook(reveal(number)).accepted().await;
        }
    };
    tokio::time::timeout(PATIENCE, many).await.expect("webhooks wait for somebody who only reads");
    let grown = length();
    assert!(grown > LONG, "nothing stood in the log's way");
    drop(reader);
    // What is written makes it longer, until what it holds is in the database and it begins anew.
    let large = "x".repeat(500_000);
    let mut number = 1_000;
    eventually("the log begins anew", async || {
        let before = length();
        for _ in 0..4 {
            number += 1;
            relay.webhook(format!("{{\"number\":{number},\"filler\":\"{large}\"}}")).accepted().await;
        }
        (length() == before).then_some(())
    })
    .await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_back_up_that_is_held_sends_nothing_before_it_is_resumed() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let slow = "retry: { attempts: 100, first: 1h, deadline: 30d }, circuit: { failures: 1000, cooldown: 1ms }";
    let rules = |names: &[&str]| {
        let entries: String =
            names.iter().map(|name| format!("  {name}: {{ url: \"{}\", {slow} }}\n", receiver.url(&format!("/{name}")))).collect();
        format!("destinations:\n{entries}routes:\n  - {{ name: everything, to: [{}] }}\n", names.join(", "))
    };
    let relay = Setup::new(rules(&["crm", "returns"])).start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    for name in ["crm", "returns"] {
        relay.wait_for_metric("attempts_total", &[("destination", name), ("result", "retried")], 3).await;
    }
    let restored = tempfile::tempdir().unwrap();
    assert_eq!(save(&relay.store(), &restored.path().join("relay.db")).await.code, Some(0));
    relay.kill_quietly();
    receiver.become_always(Answer::status(200));
    let requests = receiver.count();

    // `returns` is not in the file at the start, and `new` is not in the store.
    let mut held = Setup::new(rules(&["crm"])).store(restored.path()).env("WIZA_RELAY_HOLD", "true").start().await;
    assert!(held.log().contains("started with --hold: every destination is paused"), "{}", held.log());
    held.webhook(reveal(3)).accepted().await;
    held.write_rules(rules(&["crm", "returns", "new"]));
    held.reloaded().await;
    let circuits = async |relay: &crate::harness::Relay| {
        let listed = relay.listed(&["destinations"]).await;
        let mut circuits: Vec<_> =
            listed.iter().map(|line| (line["name"].as_str().unwrap().to_owned(), line["circuit"].as_str().unwrap().to_owned())).collect();
        circuits.sort();
        circuits
    };
    let standing = |circuits: [(&str, &str); 3]| circuits.map(|(name, circuit)| (name.to_owned(), circuit.to_owned()));
    assert_eq!(circuits(&held).await, standing([("crm", "paused"), ("new", "closed"), ("returns", "paused")]));
    // Webhooks are taken, and a destination that has nothing from before gets them; the others send nothing, over a restart too.
    held.webhook(reveal(4)).accepted().await;
    held.wait_for_metric("deliveries_total", &[("destination", "new"), ("outcome", "delivered")], 1).await;
    assert_eq!(held.metric("waiting", &[("destination", "crm")]).await, 5);
    held.terminate().await;
    held.start_again().await;
    assert_eq!(circuits(&held).await, standing([("crm", "paused"), ("new", "paused"), ("returns", "paused")]));
    held.webhook(reveal(5)).accepted().await;
    assert_eq!(receiver.count(), requests + 1, "only what `new` got");
    for name in ["crm", "returns", "new"] {
        assert_eq!(held.ask(&["resume", name]).await.code, Some(0));
    }
    // What failed before the back-up waits for its retry, which comes within the hour; the rest comes now.
    for (name, delivered) in [("crm", 3), ("returns", 2), ("new", 2)] {
        eventually(&format!("{name} gets its deliveries"), async || {
            (held.metric("deliveries_total", &[("destination", name), ("outcome", "delivered")]).await >= delivered).then_some(())
        })
        .await;
    }
    held.metrics().await.assert_conserved();
    held.kill();
}
