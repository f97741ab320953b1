//! Whatever is wrong at the start: the exit code tells misuse from failure, and the message names the place, the
//! value and the fix, and never a secret.

use std::path::Path;

use crate::harness::{Ran, Receiver, Setup, Tmpfs, free_address, reveal, run, run_as_nobody, run_with, skipped};

const GOOD: &str = "source: { path: /webhooks/wiza, api_keys: ['${WIZA_API_KEY}'] }
destinations: { crm: { url: 'http://127.0.0.1:9/${CRM_PATH}', headers: { authorization: 'Bearer ${CRM_TOKEN}' } } }
routes: [{ name: everything, to: [crm] }]
";
const SECRETS: [(&str, &str); 3] = [("WIZA_API_KEY", "s3cret-api-key"), ("CRM_TOKEN", "s3cret-crm-token"), ("CRM_PATH", "s3cret-path")];

/// Tries to start a relay in a folder, with this file of rules.
async fn serve(folder: &Path, routes: &str) -> Ran {
    let path = folder.join("routes.yaml");
    std::fs::write(&path, routes).unwrap();
    serve_with(&path, &folder.join("store"), &[]).await
}

async fn serve_with(routes: &Path, store: &Path, more: &[&str]) -> Ran {
    let (webhooks, admin) = (free_address().to_string(), free_address().to_string());
    let (routes, store) = (routes.display().to_string(), store.display().to_string());
    let mut arguments = vec!["serve", "--config", &routes, "--store", &store];
    arguments.extend(more);
    for (flag, address) in [("--listen", &webhooks), ("--admin", &admin)] {
        if !more.contains(&flag) {
            arguments.extend([flag, address]);
        }
    }
    let ran = run_with(&arguments, &SECRETS).await;
    assert_no_secret(&ran);
    ran
}

fn assert_no_secret(ran: &Ran) {
    for text in [&ran.error, &ran.output] {
        assert!(!text.contains("s3cret"), "a secret is shown:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_file_stand_at_their_place() {
    let cases = [
        ("source: { path: /webhooks/wiza, api_keys: ['${WIZA_API_KEY}'", "routes.yaml:1", ""),
        (&GOOD.replace("routes:", "\troutes:"), "routes.yaml:3", ""),
        (&GOOD.replace("headers:", "header:"), "routes.yaml:2:63", "`headers`"),
        (&GOOD.replace("${CRM_TOKEN}", "${CRM_TOKE}"), "routes.yaml:2", "CRM_TOKE"),
        (&GOOD.replace("to: [crm]", "to: [cmr]"), "routes.yaml:3:35", "did you mean `crm`?"),
        (&GOOD.replace("to: [crm]", "when: data.id ==, to: [crm]"), "routes.yaml:3", ""),
        (&GOOD.replace("'http://127.0.0.1:9/${CRM_PATH}'", "'${CRM_PATH}'"), "routes.yaml:2:30", "http"),
        (&GOOD.replace("url:", "timeout: 10, url:"), "routes.yaml:2", "`10s`"),
        (&GOOD.replace("source:", "sauce:"), "routes.yaml:1:1", "`source`"),
        (&GOOD.replace("'Bearer ${CRM_TOKEN}'", "'{{ data.id'"), "routes.yaml:2", "}}"),
        (&GOOD.replace("routes: [", "routes: [{ name: everything, to: [crm] }, "), "routes.yaml:3", "everything"),
        (&GOOD.replace("${CRM_PATH}", "${file:/nonexistent/secret}"), "routes.yaml:2", "/nonexistent/secret"),
        ("", "routes.yaml:1:1", "the file is empty"),
        ("- a\n- b\n", "routes.yaml:1:1", ""),
        ("a: &a [*a]\n", "routes.yaml:1", ""),
    ];
    for (text, place, fix) in cases {
        let folder = tempfile::tempdir().unwrap();
        let ran = serve(folder.path(), text).await;
        ran.assert_refused(1, &[place, fix, "nothing was started"]);
        assert!(!folder.path().join("store").exists(), "a store was made though {place} is wrong");
        let path = folder.path().join("routes.yaml").display().to_string();
        let checked = run_with(&["check", &path], &SECRETS).await;
        checked.assert_refused(1, &[place, fix]);
        assert_no_secret(&checked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_file_are_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("path: /", "path: ").replace("url:", "timeot: 1s, url:").replace("[crm]", "[cmr]");
    let ran = serve(folder.path(), &text).await;
    ran.assert_refused(1, &["routes.yaml:1:", "routes.yaml:2:", "routes.yaml:3:", "3 errors"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let missing = folder.path().join("missing.yaml");
    serve_with(&missing, &store, &[]).await.assert_refused(2, &["missing.yaml", "No such file"]);
    serve_with(folder.path(), &store, &[]).await.assert_refused(2, &[&folder.path().display().to_string(), "is a folder"]);
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: 1\nb: \xe9\n").unwrap();
    serve_with(&latin, &store, &[]).await.assert_refused(2, &["latin.yaml", "line 2", "UTF-8"]);
    let huge = folder.path().join("huge.yaml");
    std::fs::File::create(&huge).unwrap().set_len(17 << 20).unwrap();
    serve_with(&huge, &store, &[]).await.assert_refused(2, &["huge.yaml", "16777216 is the most"]);
    for file in [&missing, &latin] {
        let ran = run(&["check", &file.display().to_string()]).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    assert!(!store.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_of_others_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let routes = folder.path().join("routes.yaml");
    std::fs::write(&routes, GOOD).unwrap();
    let text = |path: &Path| path.display().to_string();
    let store = folder.path().join("store");
    let (webhooks, admin) = (free_address().to_string(), free_address().to_string());
    let arguments = ["serve", "--config", &text(&routes), "--store", &text(&store), "--listen", &webhooks, "--admin", &admin];
    let Some(ran) = run_as_nobody(&arguments, &SECRETS).await else {
        return skipped("the user cannot be changed here");
    };
    ran.assert_refused(1, &[&text(&store), "Permission denied"]);
    assert_no_secret(&ran);
    std::fs::set_permissions(&routes, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = run_as_nobody(&arguments, &SECRETS).await.unwrap();
    ran.assert_refused(2, &[&text(&routes), "Permission denied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let routes = folder.path().join("routes.yaml");
    std::fs::write(&routes, GOOD).unwrap();
    let store = folder.path().join("store");
    for flag in ["--listen", "--admin"] {
        let ran = serve_with(&routes, &store, &[flag, &address]).await;
        ran.assert_refused(1, &[&address, "something else has the port", &format!("choose another with {flag}")]);
    }
    let ran = serve_with(&routes, &store, &["--listen", "192.0.2.1:80"]).await;
    ran.assert_refused(1, &["192.0.2.1:80", "no interface has that address", "--listen"]);
    assert!(!store.exists(), "a store was made though the port is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_serves_one_relay_at_a_time() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let routes = relay.folder().join("other.yaml");
    std::fs::write(&routes, GOOD).unwrap();
    let ran = serve_with(&routes, &relay.store(), &[]).await;
    ran.assert_refused(1, &[&relay.store().display().to_string(), "another process holds it"]);
    // The first is none the worse for it.
    relay.webhook(reveal(1)).accepted().await;
    relay.finish().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_version_is_left_alone() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    let file = relay.store().join("relay.db");
    let own = set_version(&file, 1_000_000);
    let before = std::fs::read(&file).unwrap();
    let routes = relay.folder().join("other.yaml");
    std::fs::write(&routes, GOOD).unwrap();
    let ran = serve_with(&routes, &relay.store(), &[]).await;
    ran.assert_refused(1, &[&relay.store().display().to_string(), "newer wiza-relay", "1000000", "run that version"]);
    let checked = run_with(&["check", &routes.display().to_string(), "--store", &relay.store().display().to_string()], &SECRETS).await;
    checked.assert_refused(1, &["newer wiza-relay"]);
    assert!(std::fs::read(&file).unwrap() == before, "the newer store was changed");
    set_version(&file, own);
    relay.start_again().await;
    relay.finish().await;
}

/// Sets the store's version and returns the one that it had.
fn set_version(file: &Path, version: i64) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let before = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_store_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let (routes, store) = (folder.path().join("routes.yaml"), folder.path().join("store"));
    std::fs::write(&routes, GOOD).unwrap();
    std::fs::create_dir(&store).unwrap();
    let garbage = "this is no database, it is a shopping list\n".repeat(1000);
    std::fs::write(store.join("relay.db"), &garbage).unwrap();
    let ran = serve_with(&routes, &store, &[]).await;
    ran.assert_refused(1, &[&store.display().to_string(), "not a database of this relay", "move it away"]);
    assert_eq!(std::fs::read_to_string(store.join("relay.db")).unwrap(), garbage);
    // A file where the folder should be.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    serve_with(&routes, &file, &[]).await.assert_refused(1, &[&file.display().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_said_to_be_one() {
    let Some(disk) = Tmpfs::mount("4m") else { return skipped("file systems cannot be mounted here") };
    let (routes, store) = (disk.path().join("routes.yaml"), disk.path().join("store"));
    std::fs::write(&routes, GOOD).unwrap();
    disk.make_read_only();
    let ran = serve_with(&routes, &store, &[]).await;
    ran.assert_refused(1, &[&store.display().to_string(), "Read-only file system"]);
}
