//! Logs that SQLite wrote, damaged in every place.

use std::fs;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const PAGE: usize = 4096;
const FRAME: usize = FRAME_HEADER_BYTES + PAGE;

/// A log with this many commits, as a killed process leaves it.
fn killed(commits: usize) -> TempDir {
    let from = tempfile::tempdir().unwrap();
    let connection = Connection::open(from.path().join("db")).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)")
        .unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    for _ in 0..commits {
        connection.execute("INSERT INTO t VALUES (randomblob(6000))", []).unwrap();
    }
    let left = tempfile::tempdir().unwrap();
    for name in ["db", "db-wal", "db-shm"] {
        fs::copy(from.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

fn check_in(folder: &TempDir) -> Option<Damage> {
    check(&folder.path().join("db-wal"), &folder.path().join("db-shm")).unwrap()
}

fn change(folder: &TempDir, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.path().join("db-wal");
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn rows(folder: &TempDir) -> usize {
    let connection = Connection::open(folder.path().join("db")).unwrap();
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

#[test]
fn a_log_that_a_killed_process_left_is_whole() {
    for commits in [0, 1, 2, 50] {
        let folder = killed(commits);
        assert_eq!(check_in(&folder), None);
        assert_eq!(rows(&folder), commits);
    }
}

#[test]
fn whatever_sqlite_would_pass_over_in_silence_is_told() {
    let length = fs::metadata(killed(10).path().join("db-wal")).unwrap().len();
    let length = usize::try_from(length).unwrap();
    let mut told = 0;
    for at in (0..length).step_by(997) {
        let folder = killed(10);
        change(&folder, |bytes| bytes[at] ^= 0x10);
        let damage = check_in(&folder);
        let lost = 10 - rows(&folder);
        assert_eq!(damage.is_some(), lost > 0, "a flipped bit at {at}: {lost} lost, and {damage:?}");
        told += usize::from(damage.is_some());
    }
    assert!(told > 10, "{told}");
}

#[test]
fn a_log_that_was_cut_off_or_removed_is_told() {
    for length in [0, 10, HEADER_BYTES, HEADER_BYTES + FRAME, HEADER_BYTES + 3 * FRAME + 100] {
        let folder = killed(10);
        change(&folder, |bytes| bytes.truncate(length));
        assert!(check_in(&folder).is_some(), "cut off at {length}");
    }
    let folder = killed(10);
    fs::remove_file(folder.path().join("db-wal")).unwrap();
    assert!(check_in(&folder).is_some());
}

#[test]
fn without_its_index_a_torn_end_is_a_power_cut_and_a_hole_is_none() {
    let folder = killed(10);
    fs::remove_file(folder.path().join("db-shm")).unwrap();
    change(&folder, |bytes| {
        let last = bytes.len() - 10;
        bytes[last] ^= 1;
    });
    assert_eq!(check_in(&folder), None, "this is how a commit looks that was never synced");
    let folder = killed(10);
    fs::remove_file(folder.path().join("db-shm")).unwrap();
    change(&folder, |bytes| bytes[HEADER_BYTES + FRAME + 1000] ^= 1);
    let damage = check_in(&folder).unwrap();
    assert!(damage.because.contains("commits stand behind"), "{damage:?}");
}

#[test]
fn cut_off_at_what_is_whole_it_opens_again() {
    let folder = killed(10);
    change(&folder, |bytes| bytes[HEADER_BYTES + 7 * FRAME + 1000] ^= 1);
    let damage = check_in(&folder).unwrap();
    fs::remove_file(folder.path().join("db-shm")).unwrap();
    change(&folder, |bytes| bytes.truncate(usize::try_from(damage.whole_bytes).unwrap()));
    assert_eq!(check_in(&folder), None);
    assert!((1..10).contains(&rows(&folder)));
}

#[test]
fn what_was_moved_into_the_file_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("db")).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    let left = tempfile::tempdir().unwrap();
    for name in ["db", "db-shm"] {
        fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    assert_eq!(check_in(&left), None);
    assert_eq!(rows(&left), 1);
}
