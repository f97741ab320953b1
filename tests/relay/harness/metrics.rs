//! Reading Prometheus' text format.

/// One scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub text: String,
}

impl Metrics {
    /// The value of the series with exactly these labels (but for `le`), without the prefix `wiza_relay_`.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        wanted.sort();
        self.text.lines().find_map(|line| {
            let (series, value) = line.strip_prefix("wiza_relay_")?.rsplit_once(' ')?;
            let (found, labels) = series.strip_suffix('}').and_then(|series| series.split_once('{')).unwrap_or((series, ""));
            let mut labels: Vec<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
            labels.sort_unstable();
            (found == name && labels == wanted).then(|| value.parse().unwrap())
        })
    }

    /// As [`Metrics::find`], of a counter or a gauge that counts; fails the test if the series is not there.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.find(name, labels).unwrap_or_else(|| panic!("no series {name} {labels:?} in\n{}", self.text));
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} {labels:?} is {value}");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "asserted above")]
        let whole = value as u64;
        whole
    }

    /// Every destination that has series.
    pub fn destinations(&self) -> Vec<String> {
        let prefix = "wiza_relay_planned_total{destination=\"";
        self.text.lines().filter_map(|line| line.strip_prefix(prefix)?.split('"').next().map(str::to_owned)).collect()
    }

    /// Checks the conservation equation for every destination.
    #[track_caller]
    pub fn assert_conserved(&self) {
        for destination in self.destinations() {
            let of = |name| self.get(name, &[("destination", &destination)]);
            let ended = |outcome| self.get("deliveries_total", &[("destination", &destination), ("outcome", outcome)]);
            let (planned, redriven, waiting, parked) = (of("planned_total"), of("redriven_total"), of("waiting"), of("parked"));
            assert_eq!(
                planned + redriven,
                ended("delivered") + ended("dead") + waiting + parked,
                "{destination}: planned {planned} + redriven {redriven} = delivered {} + dead {} + waiting {waiting} + parked {parked}",
                ended("delivered"),
                ended("dead"),
            );
        }
    }
}
