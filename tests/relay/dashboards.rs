//! dashboards/ against a real Prometheus that scrapes a real relay: when all is well the top row says so; when much is
//! wrong it says that, and every query of every panel, annotation and variable gives data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::dashboard::{Chosen, Dashboard, Query};
use crate::harness::{Answer, Faults, Poster, Prometheus, Receiver, Relay, Setup, eventually, repository, reveal};

/// What must be empty when all is well; with faults it must give data like everything else.
const EMPTY_WHEN_WELL: [&str; 3] =
    ["Destination: $destination / Failed attempts, by reason / A", "annotation / Rules refused", "annotation / Not ready"];

const DESTINATIONS: [&str; 5] = ["crm", "dialler", "former", "old-crm", "slack-alerts"];

/// The colour of what is well.
const WELL: &str = "#009E73";

fn routes(receivers: &[Receiver; 5]) -> String {
    let [crm, dialler, former, old, slack] = receivers.each_ref().map(|receiver| receiver.url("/"));
    format!(
        "defaults: {{ retry: {{ attempts: 3, first: 100ms, max: 1h }}, circuit: {{ failures: 50, cooldown: 1h }} }}
destinations:
  crm: {{ url: '{crm}' }}
  dialler: {{ url: '{dialler}' }}
  former: {{ url: '{former}', retry: {{ first: 1h }} }}
  old-crm: {{ url: '{old}' }}
  slack-alerts: {{ url: '{slack}' }}
routes:
  - {{ name: failures, when: data.status == \"failed\", to: [slack-alerts] }}
  - {{ name: reveals, when: type == \"individual_reveal\", to: [crm, dialler, old-crm] }}
  - {{ name: what was, when: event.query.campaign == \"old\", to: [former] }}
"
    )
}

/// Somebody looks at the dashboard: this Prometheus, since then, with these destinations.
struct Looking<'a> {
    dashboard: &'a Dashboard,
    prometheus: &'a Prometheus,
    since: f64,
    /// The namespace that is chosen, as a pattern.
    namespace: &'a str,
}

impl Looking<'_> {
    fn now() -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
    fn range(&self) -> u64 {
        (Self::now() - self.since) as u64 + 1
    }

    /// Whether a query gives at least one number.
    async fn has_data(&self, query: &Query, destinations: &[&str]) -> bool {
        let chosen = Chosen { range: self.range(), namespace: self.namespace, destinations };
        let expression = self.dashboard.filled(&query.expression, &chosen);
        if query.is_instant {
            return self.prometheus.query(&expression).await.iter().any(|sample| !sample.value.is_nan());
        }
        let series = self.prometheus.query_range(&expression, self.since, Self::now(), 1.0).await;
        // Of annotations Grafana marks only what is above 0.
        let counts = |value: f64| if query.place.starts_with("annotation") { value > 0.0 } else { !value.is_nan() };
        series.iter().flat_map(|series| &series.points).any(|(_, value)| counts(*value))
    }

    /// Those of the queries that give nothing, whether all destinations are chosen or one.
    async fn without_data(&self) -> Vec<String> {
        let mut empty = Vec::new();
        for query in self.dashboard.queries() {
            let mut has_data = self.has_data(&query, &DESTINATIONS).await;
            if has_data && query.place.starts_with("Destination: ") {
                has_data = false;
                for destination in DESTINATIONS {
                    has_data |= self.has_data(&query, &[destination]).await;
                }
            }
            if !has_data {
                empty.push(query.place);
            }
        }
        empty
    }

    /// Waits until just these give nothing.
    async fn wait_for_data_in_all_but(&self, empty: &[&str]) {
        let mut found = Vec::new();
        let mut wanted: Vec<&str> = empty.to_vec();
        wanted.sort_unstable();
        let waited = tokio::time::timeout(crate::harness::PATIENCE / 2, async {
            loop {
                found = self.without_data().await;
                found.sort();
                if found == wanted {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        });
        if waited.await.is_err() {
            panic!("without data are {found:#?}, and should be {wanted:#?}");
        }
    }

    /// Titles, words and colours of the top row.
    async fn answers(&self) -> Vec<(String, String, String)> {
        let mut told = Vec::new();
        for (title, expression) in self.dashboard.answers() {
            let expression =
                self.dashboard.filled(&expression, &Chosen { range: self.range(), namespace: self.namespace, destinations: &DESTINATIONS });
            let samples = self.prometheus.query(&expression).await;
            assert!(samples.len() < 2, "{title} is not one number: {samples:?}");
            let (word, colour) = self.dashboard.says(&title, samples.first().map(|sample| sample.value).filter(|value| !value.is_nan()));
            told.push((title, word, colour));
        }
        told
    }

    /// Waits until a panel of states says this of these destinations.
    async fn wait_for_states(&self, title: &str, states: &[(&str, &str)]) {
        let expression = self.dashboard.queries().into_iter().find(|query| query.place.contains(title)).unwrap().expression;
        let expression =
            self.dashboard.filled(&expression, &Chosen { range: self.range(), namespace: self.namespace, destinations: &DESTINATIONS });
        eventually(&format!("{title}: {states:?}"), async || {
            let samples = self.prometheus.query(&expression).await;
            let all = states.iter().all(|(destination, word)| {
                let sample = samples.iter().find(|sample| sample.labels["destination"] == *destination);
                sample.is_some_and(|sample| self.dashboard.says(title, Some(sample.value)).0 == *word)
            });
            all.then_some(())
        })
        .await;
    }

    /// Waits until just these answers are not in the colour of what is well.
    async fn wait_for_bad_news(&self, titles: &[&str]) {
        let mut last = Vec::new();
        let waited = tokio::time::timeout(crate::harness::PATIENCE / 2, async {
            loop {
                last = self.answers().await;
                if last.iter().filter(|(_, _, colour)| colour != WELL).map(|(title, _, _)| title).eq(titles) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        });
        if waited.await.is_err() {
            panic!("bad news should be {titles:?}; it says {last:#?}");
        }
    }
}

/// Wiza, for as long as it lives: reveals, failures, and a type that no route takes.
struct Load {
    ends: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(poster: Poster, from: u64) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let mut number = from;
            while !end.load(Ordering::SeqCst) {
                number += 1;
                let body = match number % 8 {
                    0 => format!(r#"{{"type":"list_done","number":{number}}}"#),
                    1 => reveal(number).replace("finished", "failed"),
                    _ => reveal(number),
                };
                let below = if number % 16 == 3 { "?campaign=old" } else { "" };
                // Answered or not: a test may end before this does.
                let _ = poster.webhook(body.clone()).below(below).try_send().await;
                if number % 8 == 2 {
                    // Wiza repeats itself.
                    let _ = poster.webhook(body).below(below).try_send().await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        Self { ends, task }
    }

    async fn end(self) {
        self.ends.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

/// The values that a variable offers.
async fn offered(looking: &Looking<'_>, label: &str) -> Vec<String> {
    let (_, series) = looking.dashboard.variables().into_iter().find(|(known, _)| known == label).unwrap();
    let series = looking.dashboard.filled(&series, &Chosen { range: looking.range(), namespace: looking.namespace, destinations: &[] });
    let values = looking.prometheus.get(&format!("label/{label}/values"), &[("match[]", &series)]).await;
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_a_relay_that_is_well_from_one_that_is_not_and_every_query_gives_data() {
    let Some(prometheus) = Prometheus::start(&std::fs::read_to_string(repository("alerts/rules.yaml")).unwrap()).await else { return };
    let Some(faults) = Faults::new() else { return };
    let mut receivers = Vec::new();
    for _ in DESTINATIONS {
        receivers.push(Receiver::start().await);
    }
    let receivers: [Receiver; 5] = receivers.try_into().ok().unwrap();
    let rules = routes(&receivers);
    let [crm, dialler, former, old, slack] = &receivers;
    let mut relay: Relay = Setup::new(&rules).with(&faults).start().await;
    let dashboard = Dashboard::read();
    assert!(dashboard.queries().len() > 60, "{}", dashboard.queries().len());
    let looking = Looking { dashboard: &dashboard, prometheus: &prometheus, since: Looking::now(), namespace: ".*" };

    // All is well, outside Kubernetes.
    prometheus.scrape(&[(relay.admin, &[])]);
    let load = Load::start(relay.poster(), 0);
    looking.wait_for_data_in_all_but(&EMPTY_WHEN_WELL).await;
    load.end().await;
    looking.wait_for_bad_news(&[]).await;
    let told = looking.answers().await;
    let words: Vec<(&str, &str)> = told.iter().map(|(title, word, _)| (title.as_str(), word.as_str())).collect();
    let well = [
        ("Receiving", "ready"),
        ("Books", "balance"),
        ("Dead letters, new", "none"),
        ("Oldest waiting", "nothing waits"),
        ("Deliveries waiting", "none"),
        ("Destinations held back", "none"),
        ("Webhooks refused", "none"),
        ("Wrong keys", "none"),
        ("Parked", "none"),
        ("Delivered in 5 minutes", "1"),
        ("Rules", "in effect"),
        ("Store errors", "none"),
    ];
    assert_eq!(words, well);
    assert!(offered(&looking, "namespace").await.is_empty());
    assert_eq!(offered(&looking, "job").await, ["wiza-relay"]);
    assert_eq!(offered(&looking, "instance").await, [relay.admin.to_string()]);
    assert_eq!(offered(&looking, "destination").await, DESTINATIONS);

    // From here on as in Kubernetes, where it is another relay: one that is gone would count as well. The disk is full for a moment.
    prometheus.scrape(&[(relay.admin, &[("namespace", "relays")])]);
    prometheus.wait_until("wiza_relay_ready{namespace=\"relays\"}").await;
    assert_eq!(offered(&looking, "namespace").await, ["relays"]);
    eventually("of two relays one is gone", async || (looking.answers().await.swap_remove(0).1 == "NO ANSWER").then_some(())).await;
    let looking = Looking { namespace: "relays", ..looking };
    faults.inject("write relay.db-wal ENOSPC");
    relay.webhook(reveal(1_000_000)).send().await.assert_problem(503, "cannot write");
    // Nothing has been delivered in this namespace yet.
    looking.wait_for_bad_news(&["Receiving", "Webhooks refused", "Delivered in 5 minutes", "Store errors"]).await;
    faults.clear();
    eventually("ready again", async || (relay.get("/readyz").await.0 == 200).then_some(())).await;

    // One destination asks for a rest, one refuses the relay, one is taken out with deliveries waiting, one says that it is
    // gone, one refuses what it gets.
    former.become_always(Answer::status(500));
    let last = relay.webhook(reveal(1_000_001)).below("?campaign=old").accepted().await;
    eventually("the last one waits", async || {
        former.requests().iter().any(|request| request.webhook_id().starts_with(&last)).then_some(())
    })
    .await;
    relay.write_rules(rules.lines().filter(|line| !line.contains("former")).map(|line| format!("{line}\n")).collect::<String>());
    relay.reloaded().await;
    relay.write_rules("routes: [");
    crm.become_always(Answer::status(503).header("retry-after", 3600));
    dialler.become_always(Answer::status(401));
    old.become_always(Answer::status(410));
    slack.become_always(Answer::status(404));
    relay.webhook(reveal(1_000_002)).auth_key(Some("wrong")).send().await.assert_problem(401, "");
    relay.webhook("[]").send().await.assert_problem(400, "");
    let load = Load::start(relay.poster(), 2_000_000);
    looking.wait_for_data_in_all_but(&[]).await;
    load.end().await;
    assert_eq!(relay.ask(&["pause", "slack-alerts"]).await.code, Some(0));
    let held = [("crm", "asked for a rest"), ("dialler", "breaker open"), ("old-crm", "gone (410)"), ("slack-alerts", "paused by hand")];
    looking.wait_for_states("Held back, when and why", &held).await;
    looking
        .wait_for_bad_news(&[
            "Dead letters, new",
            "Deliveries waiting",
            "Destinations held back",
            "Webhooks refused",
            "Wrong keys",
            "Parked",
            "Rules",
            "Store errors",
        ])
        .await;

    // Hours pass, or so the relay thinks.
    faults.inject("clock 7200");
    looking
        .wait_for_bad_news(&[
            "Dead letters, new",
            "Oldest waiting",
            "Deliveries waiting",
            "Destinations held back",
            "Webhooks refused",
            "Wrong keys",
            "Parked",
            "Rules",
            "Store errors",
        ])
        .await;
    faults.clear();

    // It is gone: no number of before stands there as if it were of now.
    relay.kill();
    prometheus.wait_until("up{namespace=\"relays\"} == 0").await;
    let gone = looking.answers().await;
    assert_eq!(gone[0], ("Receiving".to_owned(), "NO ANSWER".to_owned(), "#D55E00".to_owned()));
    assert_eq!(gone[1].1, "no relay answers");
}
