#!/usr/bin/env bash
# rusqlite 0.42.0 with the SQLite 3.54.1 that it bundles (Rust 1.90).
#
# Guess:   `prepare_cached` compiles a statement once.
# Reality: where a parameter stands behind LIMIT, a statement from the cache is compiled anew each time that it is run, also with the
#          same number. SQLite's planner looks at the bound value, so SQLite lets go of the plan when bindings are cleared, and
#          rusqlite clears them whenever a statement goes back into its cache. With the number written in the text it is compiled once.
# Matters: a query that is a part of each commit cost 35,000 instructions more than it seemed to, some 2,000 for each webhook. Only
#          `sqlite3_stmt_status` tells of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2024"

[dependencies]
rusqlite = { version = "=0.42.0", features = ["bundled", "cache"] }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use rusqlite::{Connection, StatementStatus};

fn main() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE log (at INTEGER PRIMARY KEY); INSERT INTO log VALUES (1), (2), (3)").unwrap();
    let prepared_again = |text: &str, parameters: &[i64]| {
        let mut again = 0;
        for _ in 0..10 {
            let mut statement = connection.prepare_cached(text).unwrap();
            let rows = statement.query_map(rusqlite::params_from_iter(parameters), |_| Ok(())).unwrap().count();
            assert_eq!(rows, 2);
            again = statement.get_status(StatementStatus::RePrepare);
        }
        again
    };
    println!("SQLite {}", rusqlite::version());
    println!("LIMIT ?: {}", prepared_again("SELECT at FROM log ORDER BY at LIMIT ?", &[2]));
    println!("LIMIT 2: {}", prepared_again("SELECT at FROM log ORDER BY at LIMIT 2", &[]));
    println!("WHERE at > ?: {}", prepared_again("SELECT at FROM log WHERE at > ? ORDER BY at", &[1]));
}
RUST
seen=$(cd "$folder" && cargo run --quiet)
printf 'ten runs of a statement, prepared again:\n%s\n' "$seen"
[ "$seen" = $'SQLite 3.54.1\nLIMIT ?: 10\nLIMIT 2: 0\nWHERE at > ?: 0' ]
