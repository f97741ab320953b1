//! `wiza-relay send`: plays Wiza.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use governor::{Quota, RateLimiter};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::load::counted;
use super::wiza::{self, Answered, CANNOT_CONNECT, Ids, Posted, SAMPLES, Sample, Wiza};
use super::{Ending, addresses, block_on, out};
use crate::durations;

#[derive(Debug, Args)]
pub(super) struct Send {
    /// What to send, one after the other: the name of a sample (valid, risky, unfound, failed, billing, phone, full, list,
    /// list-data-json), or a file with a JSON payload. By default the seven reveals. The lists are as observed: Wiza does not document them.
    #[arg(long, value_name = "NAME|FILE")]
    sample: Vec<String>,
    /// The relay's webhook URL. It may have a longer path and a query.
    #[arg(long, env = "WIZA_RELAY_URL", default_value = "http://127.0.0.1:8080/webhooks/wiza", value_parser = addresses::server)]
    url: reqwest::Url,
    /// The API key. Its SHA-256 is sent.
    #[arg(long, env = "WIZA_API_KEY", hide_env_values = true)]
    api_key: String,
    /// How many webhooks. By default one of each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How many webhooks per second. By default as fast as the relay answers.
    #[arg(long)]
    rate: Option<NonZeroU32>,
    /// Connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: u32,
    /// Send every payload unchanged. By default each gets a new id, so that none is a duplicate.
    #[arg(long)]
    same: bool,
    /// Do not list the events' ids.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    /// Print one JSON object per webhook and line, with the event's id or the reason of the refusal, and no summary.
    #[arg(long)]
    json: bool,
}

/// Ids that are listed; of so many as a load test sends nobody reads them.
const IDS_SHOWN_MAX: usize = 10;

/// What all connections share.
struct Work {
    samples: Vec<Sample>,
    ids: Option<Ids>,
    count: u64,
    next: AtomicU64,
    wiza: Wiza,
    progress: ProgressBar,
    json: bool,
    limiter: Option<governor::DefaultDirectRateLimiter>,
}

impl Send {
    pub fn run(self) -> Ending {
        let samples = match samples(&self.sample) {
            Ok(samples) => samples,
            Err(reason) => return Ending::Misused(reason),
        };
        block_on(self.send(samples))
    }

    async fn send(self, samples: Vec<Sample>) -> Ending {
        let wiza = match Wiza::new(self.url.clone(), &self.api_key) {
            Ok(wiza) => wiza,
            Err(reason) => return Ending::Failed(reason),
        };
        let count = self.count.unwrap_or_else(|| u64::try_from(samples.len()).unwrap_or(u64::MAX));
        let progress = ProgressBar::new(count);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}") {
            progress.set_style(style);
        }
        let work = Arc::new(Work {
            samples,
            ids: (!self.same).then(Ids::new),
            count,
            next: AtomicU64::new(0),
            wiza,
            progress,
            json: self.json,
            limiter: self.rate.map(|rate| RateLimiter::direct(Quota::per_second(rate).allow_burst(NonZeroU32::MIN))),
        });
        let clock = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..self.concurrency {
            connections.spawn(connection(Arc::clone(&work)));
        }
        let mut summary = Summary::default();
        while let Some(posted) = connections.join_next().await {
            match posted {
                Ok(part) => summary.add(part),
                Err(error) => return Ending::Failed(error.to_string()),
            }
        }
        work.progress.finish_and_clear();
        if !self.json {
            summary.print(clock.elapsed(), self.quiet);
        }
        if summary.answers.contains_key(CANNOT_CONNECT) {
            out::note(format_args!(
                "nothing listens at {}: start the relay (`wiza-relay serve`), or say with --url where it is (its --listen address and \
                 `source.path`)",
                address(&self.url)
            ));
        }
        if summary.good == count { Ending::Good } else { Ending::No }
    }
}

/// The payloads that were asked for.
fn samples(wanted: &[String]) -> Result<Vec<Sample>, String> {
    if wanted.is_empty() {
        return SAMPLES
            .iter()
            .map(|(name, text)| Sample::parse(text.as_bytes()).map_err(|error| format!("sample {name}: {error}")))
            .collect();
    }
    wanted
        .iter()
        .map(|wanted| {
            if let Some(text) = wiza::sample(Path::new(wanted)) {
                return Sample::parse(text.as_bytes());
            }
            let body = std::fs::read(Path::new(wanted)).map_err(|error| {
                let names = wiza::sample_names();
                let near = wiza::near_sample(wanted).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                format!("--sample {wanted}: neither a sample ({names}) nor a file that can be read: {error}{near}")
            })?;
            Sample::parse(&body).map_err(|error| format!("--sample {wanted}: {error}"))
        })
        .collect()
}

/// A URL's scheme, host, port and path, without what may be a secret.
fn address(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// One connection's share of the work: posts until all are posted.
async fn connection(work: Arc<Work>) -> Summary {
    let mut summary = Summary::default();
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        let samples = u64::try_from(work.samples.len()).unwrap_or(1).max(1);
        let place = usize::try_from(number % samples).unwrap_or(0);
        let (true, Some(sample)) = (number < work.count, work.samples.get(place)) else { return summary };
        if let Some(limiter) = &work.limiter {
            limiter.until_ready().await;
        }
        let body = work.ids.as_ref().map_or_else(|| sample.as_it_is(), |ids| sample.numbered(ids.next()));
        let posted = work.wiza.post(body).await;
        if work.json {
            out::json(&shown(&posted));
        }
        summary.note(posted);
        work.progress.inc(1);
    }
}

/// What came of a webhook, for programs.
fn shown(Posted { latency, answer }: &Posted) -> Value {
    let latency_ms = durations::milliseconds(*latency);
    match answer {
        Ok(Answered { status, word, id, detail }) => {
            json!({ "status": status, "answer": word, "id": id, "detail": detail, "latency_ms": latency_ms })
        }
        Err(reason) => json!({ "status": null, "answer": null, "id": null, "detail": reason, "latency_ms": latency_ms }),
    }
}

/// Answers of one kind.
#[derive(Default)]
struct Alike {
    count: u64,
    /// The relay's reason, where it refused; of several the first.
    detail: Option<String>,
}

/// What came of everything that was posted.
struct Summary {
    good: u64,
    answers: BTreeMap<String, Alike>,
    /// The first ids, each with its word.
    ids: Vec<(String, String)>,
    /// Microseconds.
    latencies: Histogram<u64>,
}

impl Default for Summary {
    fn default() -> Self {
        // One microsecond to a minute, three digits; the bounds are constants, so this cannot fail.
        let latencies = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"));
        Self { good: 0, answers: BTreeMap::new(), ids: Vec::new(), latencies }
    }
}

impl Summary {
    fn note(&mut self, posted: Posted) {
        self.latencies.saturating_record(u64::try_from(posted.latency.as_micros()).unwrap_or(u64::MAX).max(1));
        let (answer, detail) = match posted.answer {
            Ok(Answered { status: 200, word, id, .. }) => {
                self.good += 1;
                let word = word.unwrap_or_default();
                if let Some(id) = id.filter(|_| self.ids.len() < IDS_SHOWN_MAX) {
                    self.ids.push((id, word.clone()));
                }
                (format!("200 {word}"), None)
            }
            Ok(Answered { status, detail, .. }) => (status.to_string(), detail),
            Err(reason) => (reason, None),
        };
        let alike = self.answers.entry(answer).or_default();
        alike.count += 1;
        alike.detail = alike.detail.take().or(detail);
    }

    fn add(&mut self, other: Self) {
        self.good += other.good;
        for (answer, Alike { count, detail }) in other.answers {
            let alike = self.answers.entry(answer).or_default();
            alike.count += count;
            alike.detail = alike.detail.take().or(detail);
        }
        self.ids.extend(other.ids);
        let _ = self.latencies.add(other.latencies);
    }

    fn print(&mut self, elapsed: Duration, quiet: bool) {
        let total: u64 = self.answers.values().map(|alike| alike.count).sum();
        let webhooks = counted(usize::try_from(total).unwrap_or(usize::MAX), "webhook");
        out::line(format_args!("{webhooks} in {:.2} s ({:.0}/s)", elapsed.as_secs_f64(), per_second(total, elapsed)));
        for (answer, Alike { count, detail }) in &self.answers {
            let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            out::line(format_args!("  {count:>8}  {answer}{detail}"));
        }
        // Ids are in the order of time.
        self.ids.sort_unstable();
        for (id, word) in self.ids.iter().take(IDS_SHOWN_MAX).filter(|_| !quiet) {
            out::line(format_args!("  {id}  {word}"));
        }
        let shown = u64::try_from(self.ids.len().min(IDS_SHOWN_MAX)).unwrap_or(u64::MAX);
        if !quiet && self.good > shown {
            out::line(format_args!("  and {} more; --json lists all", self.good - shown));
        }
        let at = |quantile| format!("{:.2} ms", Duration::from_micros(self.latencies.value_at_quantile(quantile)).as_secs_f64() * 1000.0);
        out::line(format_args!("  latency   p50 {}   p90 {}   p99 {}   max {}", at(0.5), at(0.9), at(0.99), at(1.0)));
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / elapsed.as_secs_f64().max(1e-9)
}
