//! The only place that knows the `prometheus` crate. Every family exists from the start; the doc comment of a field
//! is its help text.

mod families;
mod labels;
mod scrape;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::families::{Family, families};
pub use self::labels::{AdminRefusal, ClosedFor, NAMELESS_ACCOUNT, OwnEventOutcome, Port, SpanOutcome, WebhookOutcome};
pub use self::scrape::Snapshot;
use crate::circuit::{CircuitState, OpenedBy};
use crate::delivery::{Ending, FailureReason, Outcome};
use crate::own_events::OwnKind;
use crate::vitals::Vitals;
use crate::withhold::Withheld;

/// From 100 us to 10 s: a webhook's answer, a commit.
const FAST_BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From 1 ms to a minute: one attempt.
const ATTEMPT_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From 5 ms to three days: a delivery over all its attempts.
const DELIVERY_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
    259_200.0,
];

families! {
    /// What the relay counts while it runs.
    #[derive(Debug, Clone)]
    pub struct Counted {
        /// Webhooks by what became of them.
        webhooks_total: IntCounterVec["outcome"],
        /// Webhooks with a right key, by the account that the key names, and by what became of them.
        webhooks_by_account_total: IntCounterVec["account", "outcome"],
        /// Webhooks with a right key that came to a path that is not the source's, and were refused.
        misdirected_total: IntCounter,
        /// Open connections for webhooks.
        connections: IntGauge,
        /// Connections for webhooks at a time, at most.
        connections_limit: IntGauge,
        /// Connections that the relay closed, by port and reason.
        connections_closed_total: IntCounterVec["port", "reason"],
        /// Bytes of memory that webhooks take while they are being received.
        receive_memory_bytes: IntGauge,
        /// Bytes of memory that they may take, at most.
        receive_memory_limit_bytes: IntGauge,
        /// Seconds from a webhook's headers to its 200.
        ack_seconds: Histogram in FAST_BUCKETS,
        /// Attempts to deliver, by what they led to.
        attempts_total: IntCounterVec["destination", "result"],
        /// Attempts that did not deliver, by what was wrong.
        attempt_failures_total: IntCounterVec["destination", "reason"],
        /// Deliveries that were given up, by why.
        given_up_total: IntCounterVec["destination", "reason"],
        /// Attempts under way.
        in_flight: IntGaugeVec["destination"],
        /// Seconds that an attempt took.
        attempt_seconds: HistogramVec["destination"] in ATTEMPT_BUCKETS,
        /// Seconds from receipt to delivery, over all attempts.
        delivery_seconds: HistogramVec["destination"] in DELIVERY_BUCKETS,
        /// Whether the destination's circuit breaker holds deliveries back (1) or not (0).
        circuit_open: IntGaugeVec["destination"],
        /// Why the destination's deliveries are held back now (1).
        held: IntGaugeVec["destination", "reason"],
        /// Events that the route matched, shadow routes included.
        route_matches_total: IntCounterVec["route"],
        /// Deliveries that a route asks for and that were not planned, by reason.
        not_planned_total: IntCounterVec["destination", "reason"],
        /// Events that no route took.
        unmatched_total: IntCounter,
        /// The relay's own events, by type and by what became of them.
        own_events_total: IntCounterVec["type", "outcome"],
        /// Seconds that a commit of the store took, fsync included.
        store_commit_seconds: Histogram in FAST_BUCKETS,
        /// Whether the books balanced when the relay last walked its store (1) or not (0); absent until it has.
        audit_last_balanced: IntGaugeVec[],
        /// When the relay last walked its store, in Unix seconds; absent until it has.
        audit_last_timestamp_seconds: GaugeVec[],
        /// Requests for the API or reload that were refused, by reason.
        admin_refused_total: IntCounterVec["reason"],
        /// Spans of recorded traces, by what became of them.
        spans_total: IntCounterVec["outcome"],
        /// Whether the last load of routes.yaml succeeded (1) or not (0).
        config_last_reload_successful: IntGauge,
        /// When routes.yaml was last loaded successfully, in Unix seconds.
        config_last_reload_success_timestamp_seconds: Gauge,
        /// The running version; always 1.
        build_info: IntGaugeVec["version"],
    }
}

/// One destination's series, looked up once: an attempt then costs a few atomic additions.
#[derive(Debug, Clone)]
pub struct DestinationMetrics {
    delivered: IntCounter,
    retried: IntCounter,
    dead: IntCounter,
    failures: [IntCounter; FailureReason::ALL.len()],
    given_up: HashMap<Ending, IntCounter>,
    in_flight: IntGauge,
    attempt_seconds: Histogram,
    delivery_seconds: Histogram,
    circuit_open: IntGauge,
    held: [IntGauge; HELD_REASONS.len()],
}

/// Every value of `held{reason}`: the breaker is open after failures; it is open after a run of refusals; the destination said that it is
/// gone; somebody paused it; it asked for rest.
const HELD_REASONS: [&str; 5] = ["circuit", "refusals", "gone", "paused", "retry_after"];

impl DestinationMetrics {
    /// Counts an attempt; `failure` is the kind of what went wrong.
    pub fn attempt(&self, failure: Option<FailureReason>, outcome: &Outcome, latency: Duration) {
        self.attempt_seconds.observe(latency.as_secs_f64());
        match outcome {
            Outcome::Delivered => self.delivered.inc(),
            Outcome::Retry(_) => self.retried.inc(),
            Outcome::Dead(_) => self.dead.inc(),
        }
        if let Some(reason) = failure {
            self.failures[reason as usize].inc();
        }
    }

    /// Counts deliveries that were given up.
    pub fn given_up(&self, ending: Ending, count: usize) {
        if let Some(counter) = self.given_up.get(&ending) {
            counter.inc_by(count as u64);
        }
    }

    /// Notes that an event arrived `after` it was received.
    pub fn arrived(&self, after: SignedDuration) {
        self.delivery_seconds.observe(after.as_secs_f64().max(0.0));
    }

    /// An attempt is under way. Counted and not set: of a destination that left the file and came back two lanes may be at work.
    pub fn begun(&self) {
        self.in_flight.inc();
    }

    /// It is no longer.
    pub fn ended(&self) {
        self.in_flight.dec();
    }

    /// Notes what holds the destination's deliveries back: its breaker, and whether it asked for rest.
    pub fn standing(&self, circuit: CircuitState, rests: bool) {
        self.circuit_open.set(i64::from(circuit != CircuitState::Closed));
        let holds = [
            circuit.opened_by() == Some(OpenedBy::Failures),
            circuit.opened_by() == Some(OpenedBy::Refusals),
            circuit == CircuitState::Gone,
            circuit == CircuitState::Paused,
            rests,
        ];
        for (gauge, holds) in self.held.iter().zip(holds) {
            gauge.set(i64::from(holds));
        }
    }
}

/// All metrics of one relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The families that the flows count in.
    pub counted: Counted,
    /// What has panicked.
    pub vitals: Arc<Vitals>,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only where two families have one name: a mistake in this file, found by its test.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let counted = Counted::register(&registry)?;
        for port in Port::ALL {
            for reason in ClosedFor::ALL {
                counted.connections_closed_total.with_label_values(&[port.label(), reason.label()]);
            }
        }
        for reason in AdminRefusal::ALL {
            counted.admin_refused_total.with_label_values(&[reason.label()]);
        }
        for outcome in SpanOutcome::ALL {
            counted.spans_total.with_label_values(&[outcome.label()]);
        }
        for kind in OwnKind::ALL {
            for outcome in OwnEventOutcome::ALL {
                counted.own_events_total.with_label_values(&[kind.name(), outcome.label()]);
            }
        }
        for outcome in WebhookOutcome::ALL {
            counted.webhooks_total.with_label_values(&[outcome.label()]);
            counted.webhooks_by_account_total.with_label_values(&[NAMELESS_ACCOUNT, outcome.label()]);
        }
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        counted.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Arc::new(Self { registry, counted, vitals: Arc::default() }))
    }

    /// Makes the series of every account, at 0 where they are new.
    pub fn prepare_accounts(&self, accounts: &[&str]) {
        for account in accounts {
            for outcome in WebhookOutcome::ALL {
                self.counted.webhooks_by_account_total.with_label_values(&[account, outcome.label()]);
            }
        }
    }

    /// Makes the series of every destination and route, at 0 where they are new.
    pub fn prepare<'a>(&self, destinations: impl Iterator<Item = &'a str>, routes: impl Iterator<Item = &'a str>) {
        for destination in destinations {
            self.destination(destination);
            for reason in Withheld::LABELS {
                self.counted.not_planned_total.with_label_values(&[destination, reason]);
            }
        }
        for route in routes {
            self.counted.route_matches_total.with_label_values(&[route]);
        }
    }

    /// The series of a destination, made where they are new.
    pub fn destination(&self, name: &str) -> DestinationMetrics {
        let attempts = |result| self.counted.attempts_total.with_label_values(&[name, result]);
        DestinationMetrics {
            delivered: attempts("delivered"),
            retried: attempts("retried"),
            dead: attempts("dead"),
            failures: FailureReason::ALL.map(|reason| self.counted.attempt_failures_total.with_label_values(&[name, reason.label()])),
            given_up: Ending::all()
                .map(|ending| (ending, self.counted.given_up_total.with_label_values(&[name, ending.label()])))
                .collect(),
            in_flight: self.counted.in_flight.with_label_values(&[name]),
            attempt_seconds: self.counted.attempt_seconds.with_label_values(&[name]),
            delivery_seconds: self.counted.delivery_seconds.with_label_values(&[name]),
            circuit_open: self.counted.circuit_open.with_label_values(&[name]),
            held: HELD_REASONS.map(|reason| self.counted.held.with_label_values(&[name, reason])),
        }
    }

    /// Counts a webhook; `account` where its key is a right one.
    pub fn webhook(&self, outcome: WebhookOutcome, account: Option<&str>) {
        self.counted.webhooks_total.with_label_values(&[outcome.label()]).inc();
        if let Some(account) = account {
            self.counted.webhooks_by_account_total.with_label_values(&[account, outcome.label()]).inc();
        }
    }

    /// Counts what the rules said of an event.
    pub fn matched<'r>(&self, routes: impl Iterator<Item = &'r str>, unmatched: bool) {
        for route in routes {
            self.counted.route_matches_total.with_label_values(&[route]).inc();
        }
        if unmatched {
            self.counted.unmatched_total.inc();
        }
    }

    /// Counts a delivery that a route asks for and that was not planned.
    pub fn not_planned(&self, destination: &str, why: Withheld) {
        self.counted.not_planned_total.with_label_values(&[destination, why.label()]).inc();
    }

    /// Counts deliveries that were given up without an attempt, by the store.
    pub fn given_up(&self, destination: &str, ending: Ending, count: u64) {
        self.counted.given_up_total.with_label_values(&[destination, ending.label()]).inc_by(count);
    }

    /// Counts an own event.
    pub fn own_event(&self, kind: OwnKind, outcome: OwnEventOutcome) {
        self.counted.own_events_total.with_label_values(&[kind.name(), outcome.label()]).inc();
    }

    /// Counts a request that the admin port refused.
    pub fn admin_refused(&self, reason: AdminRefusal) {
        self.counted.admin_refused_total.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a connection that the relay closed.
    pub fn connection_closed(&self, port: Port, reason: ClosedFor) {
        self.counted.connections_closed_total.with_label_values(&[port.label(), reason.label()]).inc();
    }

    /// Counts spans.
    pub fn spans(&self, outcome: SpanOutcome, count: usize) {
        self.counted.spans_total.with_label_values(&[outcome.label()]).inc_by(count as u64);
    }

    /// Notes a check of the books.
    pub fn audited(&self, balanced: bool) {
        self.counted.audit_last_balanced.with_label_values::<&str>(&[]).set(i64::from(balanced));
        self.counted.audit_last_timestamp_seconds.with_label_values::<&str>(&[]).set(Timestamp::now().as_duration().as_secs_f64());
    }

    /// Notes a load of routes.yaml.
    pub fn reloaded(&self, succeeded: bool) {
        self.counted.config_last_reload_successful.set(i64::from(succeeded));
        if succeeded {
            self.counted.config_last_reload_success_timestamp_seconds.set(Timestamp::now().as_duration().as_secs_f64());
        }
    }

    /// Writes everything in Prometheus' text format.
    ///
    /// # Errors
    /// Only where a family is inconsistent.
    pub fn render(&self, snapshot: &Snapshot) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(snapshot.gather(&self.vitals)?);
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Seconds, as histograms want them.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::DestinationKey;
    use crate::store::{DestinationFigures, Disk, Failed};

    #[test]
    fn a_reason_stands_where_its_number_says() {
        for (number, reason) in FailureReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
    }

    #[test]
    fn every_family_is_there_from_the_start_and_the_equation_can_be_read_off() {
        let metrics = Metrics::new().unwrap();
        metrics.prepare(["crm"].into_iter(), ["everything"].into_iter());
        let crm = DestinationFigures {
            name: "crm".into(),
            active: true,
            disabled: false,
            planned: 10,
            redriven: 1,
            delivered: 4,
            dead: 2,
            dead_kept: 1,
        };
        let ledger = vec![(DestinationKey(0), crm)];
        let disk = Disk { bytes: 4096, limit_bytes: 8192, available_bytes: Some(1 << 20) };
        let failed = Failed { writes: 2, reads: 0 };
        let now = Timestamp::now();
        let oldest = Some(vec![(DestinationKey(0), now - SignedDuration::from_secs(3))]);
        let text = metrics.render(&Snapshot { ledger, disk, failed, backlog_limit: 100, oldest, ready: true, healthy: true, now }).unwrap();
        for line in [
            "wiza_relay_webhooks_total{outcome=\"accepted\"} 0",
            "wiza_relay_webhooks_total{outcome=\"too_large\"} 0",
            "wiza_relay_attempts_total{destination=\"crm\",result=\"delivered\"} 0",
            "wiza_relay_planned_total{destination=\"crm\"} 10",
            "wiza_relay_redriven_total{destination=\"crm\"} 1",
            "wiza_relay_deliveries_total{destination=\"crm\",outcome=\"delivered\"} 4",
            "wiza_relay_deliveries_total{destination=\"crm\",outcome=\"dead\"} 2",
            "wiza_relay_waiting{destination=\"crm\"} 5",
            "wiza_relay_parked{destination=\"crm\"} 0",
            "wiza_relay_queue_oldest_seconds{destination=\"crm\"} 3",
            "wiza_relay_route_matches_total{route=\"everything\"} 0",
            "wiza_relay_unmatched_total 0",
            "wiza_relay_store_bytes 4096",
            "wiza_relay_store_limit_bytes 8192",
            "wiza_relay_store_available_bytes 1048576",
            "wiza_relay_backlog_limit 100",
            "wiza_relay_store_errors_total{operation=\"write\"} 2",
            "wiza_relay_store_errors_total{operation=\"read\"} 0",
            "wiza_relay_ready 1",
            "wiza_relay_healthy 1",
            "wiza_relay_panics_total{part=\"store_writer\"} 0",
            "wiza_relay_attempt_failures_total{destination=\"crm\",reason=\"timeout\"} 0",
            "wiza_relay_held{destination=\"crm\",reason=\"retry_after\"} 0",
            "wiza_relay_in_flight{destination=\"crm\"} 0",
            concat!("wiza_relay_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# HELP wiza_relay_ack_seconds Seconds from a webhook's headers to its 200.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
