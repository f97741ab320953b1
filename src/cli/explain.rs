//! `wiza-relay explain`: what would become of an event, and why. Sends nothing.

mod text;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Ending, load, out, rules, wiza};
use crate::config::{self, Config, Facts, Severity};
use crate::event::{Event, EventId, EventSource, parse_payload};
use crate::explain::{self, Decided, Delivery, Explanation};
use crate::own_events;
use crate::transform::are_lines;

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(super) struct Explain {
    /// The rules file, the same as `--config`.
    #[arg(value_name = "RULES")]
    file: Option<PathBuf>,
    /// The event's body: a file, `-` for standard input, or the name of a sample (valid, risky, unfound, failed, billing, phone,
    /// full, list, list-data-json), or the type of one of the relay's own events (relay.circuit_opened, ...).
    payload: PathBuf,
    #[command(flatten)]
    config: rules::Config,
    #[command(flatten)]
    secrets: load::Secrets,
    /// The part of the URL after the source's path: `event.path`.
    #[arg(long, default_value = "", value_name = "PATH")]
    path: String,
    /// The URL's query, as in `campaign=q4&record=0031x`: `event.query`.
    #[arg(long, default_value = "", value_name = "QUERY")]
    query: String,
    /// The name of the API key that the event comes with: `event.account`. By default a key without a name.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Where the event comes from: `event.source`. By default `relay` if the payload's type begins with `relay.`, otherwise `wiza`.
    #[arg(long, value_name = "SOURCE")]
    source: Option<Source>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Whose event it is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Source {
    /// A webhook.
    Wiza,
    /// One of the relay's own events.
    Relay,
}

impl Explain {
    pub fn run(self) -> Ending {
        let path = match self.config.or(self.file.as_deref()) {
            Ok(path) => path,
            Err(reason) => return Ending::Misused(reason),
        };
        let file = match load::read_for_dry_run(&self.secrets.of(&path)) {
            Ok(file) => file,
            Err(reason) => return Ending::Misused(reason),
        };
        if load::count(&file.loaded.findings, Severity::Error) > 0 {
            file.show_findings();
        }
        let config = match file.into_config() {
            Ok(config) => config,
            Err(errors) => return Ending::Failed(format!("{} has {}", path.display(), load::counted(errors, "error"))),
        };
        if let Some(reason) = self.unknown_account(&config) {
            return Ending::Misused(reason);
        }
        let event = match self.event() {
            Ok(event) => Arc::new(event),
            Err(reason) => return Ending::Misused(reason),
        };
        let explanation = explain::explain(&config, &event, Timestamp::now());
        if self.json {
            out::json(&to_json(&config, &explanation));
        } else {
            out::styled(text::render(&config, &event, &explanation, load::in_colour(&std::io::stdout())));
        }
        // Said above, of each.
        if explanation.dead() > 0 { Ending::No } else { Ending::Good }
    }

    /// Why no webhook can come with this account, if so.
    fn unknown_account(&self, config: &Config) -> Option<String> {
        let wanted = self.account.as_deref()?;
        let accounts = config.source.api_keys.accounts();
        if accounts.contains(&wanted) {
            return None;
        }
        let there_are = match accounts.as_slice() {
            [] => "no API key of the rules has a name".to_owned(),
            accounts => format!("the rules name {}", accounts.join(", ")),
        };
        Some(format!("--account {wanted}: there is no such account; {there_are}"))
    }

    /// The sample that was probably meant by a payload that is neither one nor a file.
    fn near_sample(&self) -> String {
        let Some(wanted) = self.payload.to_str().filter(|_| !self.payload.exists()) else { return String::new() };
        let near = wiza::near_sample(wanted).or_else(|| config::near(wanted, own_events::sample_types()));
        near.map_or_else(String::new, |near| format!("; did you mean the sample `{near}`?"))
    }

    fn event(&self) -> Result<Event, String> {
        let own = || self.payload.to_str().and_then(own_events::sample);
        let body = match wiza::sample(&self.payload).or_else(own) {
            Some(text) => Bytes::from_static(text.as_bytes()),
            None => load::read_payload(&self.payload).map_err(|error| format!("{error}{}", self.near_sample()))?,
        };
        // The same judgement as of a webhook, but said at once.
        let payload = parse_payload(&body).map_err(|reason| {
            let is_yaml = self.payload.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            let hint =
                if is_yaml { "; the rules stand first, and then comes an event's body: `explain routes.yaml payload.json`" } else { "" };
            format!("{} is not an event: {reason}; the relay would put it into quarantine{hint}", self.payload.display())
        })?;
        let now = Timestamp::now();
        let path = self.path.trim_start_matches('/').to_owned();
        let query = self.query.trim_start_matches('?').to_owned();
        let source = self.source.map(|source| match source {
            Source::Wiza => EventSource::Wiza,
            Source::Relay => EventSource::Relay,
        });
        let facts = Facts { source, ..Facts::default() };
        let event = Event::new(EventId::of(facts.source_of(&payload), now), now, path, query, body);
        Ok(event.of_account(self.account.as_deref().map(Into::into)))
    }
}

fn to_json(config: &Config, explanation: &Explanation<'_>) -> Value {
    let routes: Vec<Value> = explanation
        .routes
        .iter()
        .map(|verdict| {
            let why: Vec<Value> = verdict.why.iter().map(term_json).collect();
            let mut entry = json!({
                "name": verdict.route,
                "file": &*verdict.place.file,
                "line": verdict.place.line,
                "matched": verdict.decision == Decided::Matched,
                "shadow": verdict.shadow,
                "why": why,
            });
            match verdict.decision {
                Decided::Skipped(by) => entry["skipped_by"] = json!(by),
                Decided::Undecided => entry["undecided"] = json!(true),
                Decided::NotOffered(source) => entry["only_for"] = json!(source.name()),
                Decided::Matched | Decided::NotMatched => {}
            }
            entry
        })
        .collect();
    let deliveries: Vec<Value> = explanation.deliveries.iter().map(|delivery| delivery_json(config, delivery)).collect();
    let mut told = json!({ "routes": routes, "deliveries": deliveries, "unmatched": explanation.unmatched });
    if !explanation.withheld.is_empty() {
        let withheld = explanation.withheld.iter().map(|kept| {
            let why: Vec<Value> = kept.why.iter().map(term_json).collect();
            json!({ "destination": kept.destination, "route": kept.route, "reason": kept.withheld.label(), "why": why })
        });
        told["withheld"] = withheld.collect();
    }
    told
}

/// One term of a condition.
fn term_json(finding: &crate::condition::Finding) -> Value {
    let mut entry = Map::new();
    entry.insert("condition".into(), json!(finding.condition));
    entry.insert("path".into(), json!(finding.path));
    if let Some(value) = &finding.value {
        entry.insert("value".into(), json!(value));
    }
    entry.insert("holds".into(), json!(finding.holds));
    if finding.negated {
        entry.insert("negated".into(), json!(true));
    }
    Value::Object(entry)
}

fn delivery_json(config: &Config, delivery: &Delivery<'_>) -> Value {
    let Delivery { destination, route, method, request, .. } = delivery;
    let mut entry = json!({ "destination": destination, "route": route, "method": method.as_str() });
    match request {
        Ok(request) => {
            let headers: Map<String, Value> =
                explain::shown_headers(config, request).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            let body = config.secrets.mask(&String::from_utf8_lossy(&request.body));
            entry["url"] = json!(config.secrets.mask(delivery.shown_url(request)));
            entry["headers"] = Value::Object(headers);
            let is_one = !are_lines(&request.headers);
            entry["body"] = crate::json::parse(body.as_bytes()).ok().filter(|_| is_one).unwrap_or(Value::String(body));
            entry["error"] = Value::Null;
            if !delivery.left_out.is_empty() {
                let left_out = delivery.left_out.iter().map(|left| json!({ "place": left.place, "why": left.why.to_string() }));
                entry["left_out"] = left_out.collect();
            }
        }
        Err(error) => {
            for part in ["url", "headers", "body"] {
                entry[part] = Value::Null;
            }
            entry["error"] = json!(config.secrets.mask(&error.to_string()));
        }
    }
    entry
}
