//! The only place that knows the `prometheus` crate. Every family exists from the start; the doc comment of a field
//! is its help text.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus::{Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use prometheus::{Gauge, GaugeVec, IntGauge};

use crate::delivery::{DestinationKey, Outcome};
use crate::store::Figures;

/// From 100 us to 10 s: a webhook's answer, a commit.
const FAST_BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From 1 ms to a minute: one attempt.
const ATTEMPT_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From 5 ms to three days: a delivery over all its attempts.
const DELIVERY_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
    259_200.0,
];

/// Declares a struct of metrics: the doc comment is the help text, the field's name the metric's.
macro_rules! families {
    ($(#[$outer:meta])* $visibility:vis struct $name:ident { $( #[doc = $help:literal] $field:ident: $kind:ident $([$($label:literal),+])? $(in $buckets:ident)?, )+ }) => {
        $(#[$outer])*
        $visibility struct $name { $( #[doc = $help] pub $field: $kind, )+ }

        impl $name {
            fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $( $field: {
                    let family = <$kind as Family>::make(stringify!($field), $help.trim(), &[$($($label),+)?], &[$($buckets)?])?;
                    registry.register(Box::new(family.clone()))?;
                    family
                }, )+ })
            }
        }
    };
}

families! {
    /// What the relay counts while it runs.
    #[derive(Debug, Clone)]
    pub struct Counted {
        /// Webhooks by what became of them.
        webhooks_total: IntCounterVec["outcome"],
        /// Seconds from a webhook's headers to its 200.
        ack_seconds: Histogram in FAST_BUCKETS,
        /// Attempts to deliver, by what they led to.
        attempts_total: IntCounterVec["destination", "result"],
        /// Seconds that an attempt took.
        attempt_seconds: HistogramVec["destination"] in ATTEMPT_BUCKETS,
        /// Seconds from receipt to delivery, over all attempts.
        delivery_seconds: HistogramVec["destination"] in DELIVERY_BUCKETS,
        /// Whether the destination's circuit breaker holds deliveries back (1) or not (0).
        circuit_open: IntGaugeVec["destination"],
        /// Events that the route matched, shadow routes included.
        route_matches_total: IntCounterVec["route"],
        /// Events that no route took.
        unmatched_total: IntCounter,
        /// Seconds that a commit of the store took, fsync included.
        store_commit_seconds: Histogram in FAST_BUCKETS,
        /// Whether the last load of routes.yaml succeeded (1) or not (0).
        config_last_reload_successful: IntGauge,
        /// When routes.yaml was last loaded successfully, in Unix seconds.
        config_last_reload_success_timestamp_seconds: Gauge,
        /// The running version; always 1.
        build_info: IntGaugeVec["version"],
    }
}

families! {
    /// What the store knows; read from it at every scrape.
    struct Stored {
        /// Final outcomes of deliveries.
        deliveries_total: IntCounterVec["destination", "outcome"],
        /// Deliveries that rules planned.
        planned_total: IntCounterVec["destination"],
        /// Dead deliveries that were taken up again.
        redriven_total: IntCounterVec["destination"],
        /// Deliveries without a final outcome.
        waiting: IntGaugeVec["destination"],
        /// Deliveries without a final outcome whose destination is not in the file.
        parked: IntGaugeVec["destination"],
        /// Dead deliveries kept now.
        dead_letters: IntGaugeVec["destination"],
        /// Age in seconds of the oldest delivery without a final outcome; 0 if there is none.
        queue_oldest_seconds: GaugeVec["destination"],
        /// Bytes of the store's files.
        store_bytes: IntGauge,
    }
}

/// Every value of `webhooks_total{outcome}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// New and stored.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Key missing or wrong.
    Unauthorized,
    /// Too many wrong keys from the address.
    Limited,
    /// Authentic, but no JSON object, or not readable as HTTP.
    Invalid,
    /// Body over the limit.
    TooLarge,
    /// Headers or body took too long.
    Timeout,
    /// The store could not take it.
    Unavailable,
}

impl WebhookOutcome {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Unauthorized,
        Self::Limited,
        Self::Invalid,
        Self::TooLarge,
        Self::Timeout,
        Self::Unavailable,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Unauthorized => "unauthorized",
            Self::Limited => "limited",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One destination's series, looked up once: an attempt then costs a few atomic additions.
#[derive(Debug, Clone)]
pub struct DestinationMetrics {
    delivered: IntCounter,
    retried: IntCounter,
    dead: IntCounter,
    attempt_seconds: Histogram,
    delivery_seconds: Histogram,
    circuit_open: IntGauge,
}

impl DestinationMetrics {
    /// Counts an attempt that ended `after` its event was received.
    pub fn attempt(&self, outcome: &Outcome, latency: Duration, after: SignedDuration) {
        self.attempt_seconds.observe(latency.as_secs_f64());
        match outcome {
            Outcome::Delivered => {
                self.delivered.inc();
                self.delivery_seconds.observe(after.as_secs_f64().max(0.0));
            }
            Outcome::Retry(_) => self.retried.inc(),
            Outcome::Dead(_) => self.dead.inc(),
        }
    }

    /// Notes when another delivery of the same batch arrived, if it did.
    pub fn delivered_with(&self, outcome: &Outcome, after: SignedDuration) {
        if *outcome == Outcome::Delivered {
            self.delivery_seconds.observe(after.as_secs_f64().max(0.0));
        }
    }

    /// Notes the circuit breaker's state.
    pub fn circuit(&self, open: bool) {
        self.circuit_open.set(i64::from(open));
    }
}

/// All metrics of one relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The families that the flows count in.
    pub counted: Counted,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only where two families have one name: a mistake in this file, found by its test.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let counted = Counted::register(&registry)?;
        for outcome in WebhookOutcome::ALL {
            counted.webhooks_total.with_label_values(&[outcome.label()]);
        }
        counted.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Arc::new(Self { registry, counted }))
    }

    /// Makes the series of every destination and route, at 0 where they are new.
    pub fn prepare<'a>(&self, destinations: impl Iterator<Item = &'a str>, routes: impl Iterator<Item = &'a str>) {
        for destination in destinations {
            self.destination(destination);
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
            attempt_seconds: self.counted.attempt_seconds.with_label_values(&[name]),
            delivery_seconds: self.counted.delivery_seconds.with_label_values(&[name]),
            circuit_open: self.counted.circuit_open.with_label_values(&[name]),
        }
    }

    /// Counts a webhook.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        self.counted.webhooks_total.with_label_values(&[outcome.label()]).inc();
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
    pub fn render(&self, figures: &Figures, oldest: &[(DestinationKey, Timestamp)], now: Timestamp) -> Result<String, prometheus::Error> {
        let stored = Registry::new();
        Stored::register(&stored)?.fill(figures, oldest, now);
        let mut families = self.registry.gather();
        families.extend(stored.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Stored {
    fn fill(&self, figures: &Figures, oldest: &[(DestinationKey, Timestamp)], now: Timestamp) {
        for (key, destination) in &figures.destinations {
            let name = destination.name.as_str();
            self.planned_total.with_label_values(&[name]).inc_by(destination.planned);
            self.redriven_total.with_label_values(&[name]).inc_by(destination.redriven);
            self.deliveries_total.with_label_values(&[name, "delivered"]).inc_by(destination.delivered);
            self.deliveries_total.with_label_values(&[name, "dead"]).inc_by(destination.dead);
            self.waiting.with_label_values(&[name]).set(gauge(destination.waiting()));
            self.parked.with_label_values(&[name]).set(gauge(destination.parked()));
            self.dead_letters.with_label_values(&[name]).set(gauge(destination.dead_kept));
            let age =
                oldest.iter().find(|(of, _)| of == key).map_or(0.0, |(_, received_at)| now.duration_since(*received_at).as_secs_f64());
            self.queue_oldest_seconds.with_label_values(&[name]).set(age.max(0.0));
        }
        self.store_bytes.set(gauge(figures.bytes));
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Seconds, as histograms want them.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Makes a family of a kind; lets the macro above treat all kinds alike.
trait Family: Sized {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[&[f64]]) -> Result<Self, prometheus::Error>;
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("wiza_relay")
}

fn histogram_options(name: &str, help: &str, buckets: &[&[f64]]) -> HistogramOpts {
    let options = HistogramOpts::new(name, help).namespace("wiza_relay");
    match buckets.first() {
        Some(buckets) => options.buckets(buckets.to_vec()),
        None => options,
    }
}

macro_rules! family_without_labels {
    ($($kind:ident),+) => { $(
        impl Family for $kind {
            fn make(name: &str, help: &str, _: &[&str], _: &[&[f64]]) -> Result<Self, prometheus::Error> {
                Self::with_opts(options(name, help))
            }
        }
    )+ };
}

macro_rules! family_with_labels {
    ($($kind:ident),+) => { $(
        impl Family for $kind {
            fn make(name: &str, help: &str, labels: &[&str], _: &[&[f64]]) -> Result<Self, prometheus::Error> {
                Self::new(options(name, help), labels)
            }
        }
    )+ };
}

family_without_labels!(IntCounter, IntGauge, Gauge);
family_with_labels!(IntCounterVec, IntGaugeVec, GaugeVec);

impl Family for Histogram {
    fn make(name: &str, help: &str, _: &[&str], buckets: &[&[f64]]) -> Result<Self, prometheus::Error> {
        Self::with_opts(histogram_options(name, help, buckets))
    }
}

impl Family for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[&[f64]]) -> Result<Self, prometheus::Error> {
        Self::new(histogram_options(name, help, buckets), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DestinationFigures;

    #[test]
    fn every_family_is_there_from_the_start_and_the_equation_can_be_read_off() {
        let metrics = Metrics::new().unwrap();
        metrics.prepare(["crm"].into_iter(), ["everything"].into_iter());
        let crm = DestinationFigures { name: "crm".into(), active: true, planned: 10, redriven: 1, delivered: 4, dead: 2, dead_kept: 1 };
        let figures = Figures { destinations: vec![(DestinationKey(0), crm)], bytes: 4096 };
        let now = Timestamp::now();
        let text = metrics.render(&figures, &[(DestinationKey(0), now - jiff::SignedDuration::from_secs(3))], now).unwrap();
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
            concat!("wiza_relay_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# HELP wiza_relay_ack_seconds Seconds from a webhook's headers to its 200.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
