//! What is not counted but looked at, at every scrape: the store's figures, the process, the runtime.

use std::collections::HashMap;

use jiff::Timestamp;
use prometheus::{Counter, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::families::{Family, families};
use crate::delivery::DestinationKey;
use crate::store::{DestinationFigures, Disk, Failed};
use crate::vitals::Vitals;

/// What one scrape shows beside what was counted.
#[derive(Debug)]
pub struct Snapshot {
    /// The terms of each destination.
    pub ledger: Vec<(DestinationKey, DestinationFigures)>,
    /// The room that the store takes.
    pub disk: Disk,
    /// What has failed in the store.
    pub failed: Failed,
    /// Waiting deliveries from which on nothing is accepted.
    pub backlog_limit: u64,
    /// The receipt time of each destination's oldest delivery without a final outcome; `None` where it could not be read.
    pub oldest: Option<Vec<(DestinationKey, Timestamp)>>,
    /// Whether a webhook that comes now would be stored.
    pub ready: bool,
    /// Whether a restart would change nothing.
    pub healthy: bool,
    /// Now.
    pub now: Timestamp,
}

families! {
    /// What the store knows.
    struct Stored {
        /// Final outcomes of deliveries.
        deliveries_total: IntCounterVec["destination", "outcome"],
        /// Deliveries that rules planned.
        planned_total: IntCounterVec["destination"],
        /// Dead deliveries that were taken up again.
        redriven_total: IntCounterVec["destination"],
        /// Deliveries without a final outcome.
        waiting: IntGaugeVec["destination"],
        /// Deliveries without a final outcome whose destination is not in the file, or switched off there.
        parked: IntGaugeVec["destination"],
        /// Dead deliveries kept now.
        dead_letters: IntGaugeVec["destination"],
        /// Age in seconds of the oldest delivery without a final outcome; 0 if there is none.
        queue_oldest_seconds: GaugeVec["destination"],
        /// Waiting deliveries above which webhooks are refused.
        backlog_limit: IntGauge,
        /// Bytes of the store's files.
        store_bytes: IntGauge,
        /// Bytes above which delivered events are deleted before their time (retention.size).
        store_limit_bytes: IntGauge,
        /// Bytes that the store may still take on its file system; absent where the system does not say.
        store_available_bytes: IntGaugeVec[],
        /// Commits and reads of the store that failed.
        store_errors_total: IntCounterVec["operation"],
        /// Whether a webhook that comes now would be stored (1) or refused (0).
        ready: IntGauge,
        /// Whether the relay works (1) or needs a restart (0), as /healthz says.
        healthy: IntGauge,
        /// Panics, by the part of the relay. Each is a bug.
        panics_total: IntCounterVec["part"],
    }
}

impl Stored {
    fn fill(&self, snapshot: &Snapshot, vitals: &Vitals) {
        let Snapshot { ledger, disk, failed, backlog_limit, oldest, ready, healthy, now } = snapshot;
        let oldest: Option<HashMap<_, _>> = oldest.as_ref().map(|oldest| oldest.iter().copied().collect());
        for (key, destination) in ledger {
            let name = &*destination.name;
            self.planned_total.with_label_values(&[name]).inc_by(destination.planned);
            self.redriven_total.with_label_values(&[name]).inc_by(destination.redriven);
            self.deliveries_total.with_label_values(&[name, "delivered"]).inc_by(destination.delivered);
            self.deliveries_total.with_label_values(&[name, "dead"]).inc_by(destination.dead);
            self.waiting.with_label_values(&[name]).set(gauge(destination.waiting()));
            self.parked.with_label_values(&[name]).set(gauge(destination.parked()));
            self.dead_letters.with_label_values(&[name]).set(gauge(destination.dead_kept));
            // No figure is better than one that says that nothing waits.
            if let Some(oldest) = &oldest {
                let age = oldest.get(key).map_or(0.0, |received_at| now.duration_since(*received_at).as_secs_f64());
                self.queue_oldest_seconds.with_label_values(&[name]).set(age.max(0.0));
            }
        }
        self.backlog_limit.set(gauge(*backlog_limit));
        self.store_bytes.set(gauge(disk.bytes));
        self.store_limit_bytes.set(gauge(disk.limit_bytes));
        if let Some(bytes) = disk.available_bytes {
            self.store_available_bytes.with_label_values::<&str>(&[]).set(gauge(bytes));
        }
        self.store_errors_total.with_label_values(&["write"]).inc_by(failed.writes);
        self.store_errors_total.with_label_values(&["read"]).inc_by(failed.reads);
        self.ready.set(i64::from(*ready));
        self.healthy.set(i64::from(*healthy));
        for (part, count) in vitals.panics() {
            self.panics_total.with_label_values(&[part.label()]).inc_by(count);
        }
    }
}

families! {
    /// How busy the asynchronous runtime is.
    struct Runtime {
        /// Threads that run tasks.
        tokio_workers: IntGauge,
        /// Tasks that have not ended.
        tokio_alive_tasks: IntGauge,
        /// Tasks that wait for a thread in the queue that all threads share.
        tokio_global_queue_depth: IntGauge,
        /// Seconds that all threads together spent running tasks.
        tokio_busy_seconds_total: Counter,
        /// How often a thread had nothing to do and slept.
        tokio_parks_total: IntCounter,
    }
}

impl Runtime {
    fn fill(&self, runtime: &tokio::runtime::Handle) {
        let runtime = runtime.metrics();
        let workers = runtime.num_workers();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.tokio_workers.set(count(workers));
        self.tokio_alive_tasks.set(count(runtime.num_alive_tasks()));
        self.tokio_global_queue_depth.set(count(runtime.global_queue_depth()));
        self.tokio_busy_seconds_total.inc_by((0..workers).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum());
        self.tokio_parks_total.inc_by((0..workers).map(|worker| runtime.worker_park_count(worker)).sum());
    }
}

impl Snapshot {
    /// The families that are made anew for each scrape.
    pub(super) fn gather(&self, vitals: &Vitals) -> Result<Vec<prometheus::proto::MetricFamily>, prometheus::Error> {
        let registry = Registry::new();
        Stored::register(&registry)?.fill(self, vitals);
        // There is none in a test that only renders.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            Runtime::register(&registry)?.fill(&runtime);
        }
        Ok(registry.gather())
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
