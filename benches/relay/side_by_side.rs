//! What one thing costs another: each figure with and without it, in turns, within one run.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Bench, SOURCE, drive, drive_noting, process, routes_without_deliveries, sick, sink, wait_for};

/// With and without take turns so often, so that a mood of the machine meets both.
const TURNS: usize = 3;

impl Bench {
    /// A healthy destination alone, and beside ten sick ones that get the same events.
    pub async fn isolation(&self) {
        const RATE: usize = 200;
        let count = RATE * 20 / self.scale;
        let sick = sick::serve_all().await;
        println!("\nisolation: a healthy destination's post-to-arrival at {RATE}/s, alone and beside ten sick destinations");
        println!(
            "{:>6} {:>14} {:>14} {:>14} {:>14} {:>10} {:>10}",
            "turn", "alone p50 ms", "alone p99 ms", "sick p50 ms", "sick p99 ms", "p50 ratio", "p99 ratio"
        );
        let mut sums = [0.0; 4];
        for turn in 1..=TURNS {
            let (alone_p50, alone_p99) = self.healthy(&[], count, RATE).await;
            let (p50, p99) = self.healthy(&sick, count, RATE).await;
            for (sum, value) in sums.iter_mut().zip([alone_p50, alone_p99, p50, p99]) {
                *sum += value;
            }
            print_row(&turn.to_string(), [alone_p50, alone_p99, p50, p99]);
        }
        print_row("mean", sums.map(|sum| sum / TURNS as f64));
    }

    async fn healthy(&self, sick: &[(String, SocketAddr)], count: usize, rate: usize) -> (f64, f64) {
        let (healthy, arrivals) = sink(count).await;
        let mut routes = format!("{SOURCE}destinations:\n  healthy: {{ url: \"http://{healthy}/\" }}\n");
        for (name, address) in sick {
            routes += &format!("  {name}: {{ url: \"http://{address}/\" }}\n");
        }
        let names: Vec<&str> = sick.iter().map(|(name, _)| name.as_str()).chain(["healthy"]).collect();
        routes += &format!("routes:\n  - {{ name: everything, to: [{}] }}\n", names.join(", "));
        let relay = process::relay(&self.write("isolation.yaml", &routes), &self.store("isolation"));
        drive_noting(&relay, 16, count, rate, Some(&arrivals)).await;
        wait_for(&arrivals, count).await;
        if !sick.is_empty() {
            let waiting = relay.metric("wiza_relay_waiting", "");
            assert!(waiting > 0.0, "the sick destinations are not sick");
        }
        relay.kill();
        arrivals.latencies()
    }

    /// Answers at a steady rate, with nothing to delete, and while retention deletes what was there before.
    pub async fn retention(&self) {
        const RATE: usize = 1_000;
        let (old, count) = (200_000 / self.scale, RATE * 20 / self.scale);
        println!("\nretention: answers at {RATE}/s over {old} old events, kept and being deleted");
        println!(
            "{:>6} {:>14} {:>14} {:>14} {:>14} {:>10} {:>10}",
            "turn", "kept p50 ms", "kept p99 ms", "deleted p50 ms", "deleted p99 ms", "p50 ratio", "p99 ratio"
        );
        let mut sums = [0.0; 4];
        for turn in 1..=TURNS {
            let kept = self.over_old_events(old, count, RATE, "30d").await;
            let deleted = self.over_old_events(old, count, RATE, "1m").await;
            let row = [kept.0, kept.1, deleted.0, deleted.1];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
            print_row(&turn.to_string(), row);
        }
        print_row("mean", sums.map(|sum| sum / TURNS as f64));
    }

    async fn over_old_events(&self, old: usize, count: usize, rate: usize, keep: &str) -> (f64, f64) {
        let store = self.store("retention");
        let filled = self.write("filled.yaml", &format!("{}retention: {{ delivered: 30d, dead: 30d }}\n", routes_without_deliveries()));
        let relay = process::relay(&filled, &store);
        drive(&relay, 64, old, 0).await;
        let before = relay.metric("wiza_relay_store_bytes", "");
        relay.kill();
        make_old(&store);
        let config =
            self.write("retention.yaml", &format!("{}retention: {{ delivered: {keep}, dead: 30d }}\n", routes_without_deliveries()));
        let relay = process::relay(&config, &store);
        let run = drive_noting_from(&relay, old, count, rate).await;
        let left = events_in(&store);
        let after = relay.metric("wiza_relay_store_bytes", "");
        println!(
            "{:>6} kept for {keep}: {left} of {} events left, store {:.0} MiB before and {:.0} MiB after",
            "",
            old + count,
            before / 1048576.0,
            after / 1048576.0
        );
        relay.kill();
        run
    }
}

async fn drive_noting_from(relay: &process::Process, first: usize, count: usize, rate: usize) -> (f64, f64) {
    super::FIRST_ID.store(first, Ordering::Relaxed);
    let started = Instant::now();
    let run = drive(relay, 16, count, rate).await;
    super::FIRST_ID.store(0, Ordering::Relaxed);
    assert!(started.elapsed() >= Duration::from_secs_f64(count as f64 / rate as f64) / 2, "the rate was not kept");
    (run.p50_ms, run.p99_ms)
}

/// Makes all events a day older.
fn make_old(store: &std::path::Path) {
    let connection = rusqlite::Connection::open(store.join("relay.db")).expect("the store");
    connection.execute("UPDATE events SET received_at = received_at - 86400000", []).expect("an update");
}

fn events_in(store: &std::path::Path) -> i64 {
    let connection =
        rusqlite::Connection::open_with_flags(store.join("relay.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("a count")
}

fn print_row(name: &str, [p50, p99, with_p50, with_p99]: [f64; 4]) {
    println!("{name:>6} {p50:>14.2} {p99:>14.2} {with_p50:>14.2} {with_p99:>14.2} {:>10.2} {:>10.2}", with_p50 / p50, with_p99 / p99);
}
