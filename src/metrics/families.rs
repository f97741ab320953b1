//! How families of metrics are declared: a struct whose fields are the families.

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// Declares a struct of metrics: the doc comment is the help text, the field's name the metric's.
macro_rules! families {
    ($(#[$outer:meta])* $visibility:vis struct $name:ident { $( #[doc = $help:literal] $field:ident: $kind:ident $([$($label:literal),*])? $(in $buckets:ident)?, )+ }) => {
        $(#[$outer])*
        $visibility struct $name { $( #[doc = $help] pub $field: $kind, )+ }

        impl $name {
            fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $( $field: {
                    let family = <$kind as Family>::make(stringify!($field), $help.trim(), &[$($($label),*)?], &[$($buckets)?])?;
                    registry.register(Box::new(family.clone()))?;
                    family
                }, )+ })
            }
        }
    };
}
pub(super) use families;

/// Makes a family of a kind; lets the macro above treat all kinds alike.
pub(super) trait Family: Sized {
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

family_without_labels!(Counter, IntCounter, IntGauge, Gauge);
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
