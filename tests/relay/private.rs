//! The store's files are their owner's, and one relay's at a time, by whatever path they are reached.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Receiver, Relay, Setup, binary, eventually, reveal, run};

/// The permissions of a file or folder, without its kind.
fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything in the store's folder, with the folder itself.
fn modes(store: &Path) -> Vec<(String, u32)> {
    let files = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let mut modes: Vec<_> = files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), mode(&path))).collect();
    modes.push((".".to_owned(), mode(store)));
    modes.sort();
    modes
}

fn assert_closed(store: &Path) {
    let modes = modes(store);
    assert!(modes.iter().any(|(name, _)| name == "relay.db") && modes.len() >= 3, "{modes:?}");
    for (name, mode) in &modes {
        assert_eq!(*mode, if name == "." { 0o700 } else { 0o600 }, "{name} in {modes:?}");
    }
}

/// Runs a line of shell as a user would, with the usual umask; `$relay` is the binary.
fn shell(line: &str) {
    let ran = Command::new("sh").args(["-c", &format!("umask 022; {line}")]).env("relay", binary()).output().unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_makes_is_readable_by_its_owner_only() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_closed(&relay.store()); // With its log and its index.
    assert!(!relay.log().contains("others can"), "{}", relay.log());
    let (store, folder) = (relay.store().display().to_string(), relay.folder().display().to_string());
    shell(&format!("$relay backup --store {store} {folder}/named.db"));
    shell(&format!("$relay backup --store {store} - > {folder}/piped.db"));
    shell(&format!("$relay export --store {store} > {folder}/events.jsonl"));
    for name in ["named.db", "piped.db", "events.jsonl"] {
        let file = relay.folder().join(name);
        assert!(file.metadata().unwrap().len() > 100);
        assert_eq!(mode(&file), 0o600, "{name}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_the_demo_is_its_owners_only() {
    let temporary = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 022; exec \"$0\" demo"]).arg(binary()).env("TMPDIR", temporary.path());
    let mut demo = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let folder = eventually("it makes its folder", async || {
        let made = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).next()?;
        made.join("relay.db").exists().then_some(made)
    })
    .await;
    let mode = mode(&folder);
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert_eq!(mode, 0o700, "{}", folder.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_an_older_version_left_open_are_closed_and_an_open_folder_is_told_of() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.kill();
    let store = relay.store();
    for name in ["relay.db", "relay.db-wal", "relay.db-shm"] {
        open_to_all(&store.join(name), 0o644);
    }
    open_to_all(&store, 0o755);
    relay.start_again().await;
    let log = relay.log();
    assert_eq!(log.matches("others could read a file of the store").count(), 3, "{log}");
    assert!(log.contains("others can look into the store's folder") && log.contains("0755"), "{log}");
    assert!(modes(&store).iter().all(|(name, mode)| name == "." || *mode == 0o600), "{:?}", modes(&store));
    // As Kubernetes shares a volume with `fsGroup`.
    relay.kill();
    open_to_all(&store, 0o2770);
    open_to_all(&store.join("relay.db"), 0o664);
    relay.start_again().await;
    assert_eq!(mode(&store.join("relay.db")), 0o660, "the group keeps what it was given");
    assert!(!relay.log().contains("others can look into"), "{}", relay.log());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_lets_a_second_relay_at_a_store() {
    let receiver = Receiver::start().await;
    let first = Setup::to(&receiver, "").start().await;
    let id = first.webhook(reveal(1)).accepted().await;
    first.wait_for_outcome("delivered", 1).await;
    let store = first.store();
    let refused = async |path: &Path| {
        let second = Setup::to(&receiver, "").store(path).try_start().await.map(Relay::kill_quietly);
        let log = second.expect_err("a second relay came in");
        assert!(log.contains("another process holds it"), "{log}");
    };
    let beside = |name: &str| first.folder().join(name);
    symlink(&store, beside("folder")).unwrap();
    refused(&beside("folder")).await;
    std::fs::create_dir(beside("soft")).unwrap();
    symlink(store.join("relay.db"), beside("soft").join("relay.db")).unwrap();
    refused(&beside("soft")).await;
    std::fs::create_dir(beside("hard")).unwrap();
    std::fs::hard_link(store.join("relay.db"), beside("hard").join("relay.db")).unwrap();
    refused(&beside("hard")).await;
    // Whoever only reads finds the log by a link as well.
    let exported = run(&["export", "--store", &beside("soft").display().to_string()]).await;
    assert!(exported.code == Some(0) && exported.output.contains(&id), "{exported:?}");
    std::fs::remove_dir_all(beside("hard")).unwrap();
    first.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_a_link_is_served_where_it_really_is() {
    let receiver = Receiver::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::File::create(elsewhere.path().join("relay.db")).unwrap();
    symlink(elsewhere.path().join("relay.db"), folder.path().join("relay.db")).unwrap();
    let mut relay = Setup::to(&receiver, "").store(folder.path()).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.kill();
    assert!(elsewhere.path().join("relay.db-wal").metadata().unwrap().len() > 0);
    relay.start_again().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
    // A log is looked for by the name of its database.
    std::fs::rename(elsewhere.path().join("relay.db"), elsewhere.path().join("other.db")).unwrap();
    std::fs::remove_file(folder.path().join("relay.db")).unwrap();
    symlink(elsewhere.path().join("other.db"), folder.path().join("relay.db")).unwrap();
    let log = Setup::to(&receiver, "").store(folder.path()).try_start().await.map(Relay::kill_quietly).unwrap_err();
    assert!(log.contains("relay.db is a symbolic link to") && log.contains("other.db"), "{log}");
}
