//! What the listing commands have in common: filters, pages, following, showing.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::remote::Remote;
use super::{Ending, block_on, out};
use crate::listing::Page;
use crate::visible;

/// Items asked for at a time.
const PAGE_ITEMS: usize = 500;

/// Which events or deliveries.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Of this destination.
    #[arg(long, value_name = "NAME")]
    pub destination: Option<String>,
    /// Of this route.
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Of events that came with a key of this name (`api_keys: [{ name: ... }]`).
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Received then or later: 2026-01-31T08:00:00Z, or 90m or 2d for so long ago.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Received before then.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only where the body, the path, the query or the id of the event holds this text.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

/// A listing: which items, how many, and how they are shown.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only in this status. Of events: routed, unmatched, quarantined; of deliveries: waiting, retrying, delivered, dead, parked.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    filters: Filters,
    /// How many at most, the newest first; 0: all.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// Go on with what happens from now on, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    output: Output,
}

/// One item, whole.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// An event's id is a UUID; a delivery's is `<event id>_<destination>`, the `webhook-id` that the destination gets.
    id: String,
    #[command(flatten)]
    output: Output,
}

/// How something is shown, and which relay is asked.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// A kind of item.
pub(super) trait Listed: DeserializeOwned + Serialize {
    /// Where the API has it.
    const PATH: &'static str;
    /// What one says when there is none.
    const NONE: &'static str;
    /// The heading of the lines.
    const HEADING: &'static str;
    /// The item on a line.
    fn line(&self) -> String;
}

impl List {
    pub fn run<T: Listed>(self) -> Ending {
        block_on(async move { self.list::<T>().await.map_or_else(Ending::Failed, |()| Ending::Good) })
    }

    async fn list<T: Listed>(self) -> Result<(), String> {
        let Filters { destination, route, account, since, until, search } = self.filters;
        let filters = [
            ("status", self.status),
            ("destination", destination),
            ("route", route),
            ("account", account),
            ("since", since),
            ("until", until),
            ("search", search),
        ];
        let query: Vec<(&str, String)> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let json = self.output.json;
        let relay = self.output.remote.connect()?;
        if self.follow {
            let heading = || heading::<T>(json);
            relay.follow(&["api", T::PATH, "follow"], &query, heading, |item| show_followed::<T>(item, json)).await?;
            out::note("the relay has stopped");
            return Ok(());
        }
        let mut left = if self.limit == 0 { usize::MAX } else { self.limit };
        let mut from: Option<String> = None;
        let mut none = true;
        loop {
            let mut query = query.clone();
            query.push(("limit", left.min(PAGE_ITEMS).to_string()));
            query.extend(from.map(|from| ("from", from)));
            let page: Page<T> = relay.get(&["api", T::PATH], &query).await?;
            left -= page.items.len().min(left);
            for item in page.items {
                if std::mem::take(&mut none) {
                    heading::<T>(json);
                }
                show(&item, json);
            }
            match page.next {
                None => break,
                Some(_) if left == 0 => {
                    if !json {
                        out::note(format_args!("the newest {}; there may be more: --limit 0 lists all", self.limit));
                    }
                    break;
                }
                Some(next) => from = Some(next),
            }
        }
        if none && !json {
            out::note(T::NONE);
        }
        Ok(())
    }
}

impl Show {
    pub fn run<T: Listed>(self) -> Ending {
        block_on(async move { show_one(&["api", T::PATH, &self.id], self.output).await.map_or_else(Ending::Failed, |()| Ending::Good) })
    }
}

fn heading<T: Listed>(json: bool) {
    if !json {
        out::line(T::HEADING);
    }
}

fn show<T: Listed>(item: &T, json: bool) {
    if json { out::json(item) } else { out::line(visible::one_line(&item.line())) }
}

fn show_followed<T: Listed>(item: Value, json: bool) {
    if let Some(count) = item.get("missed") {
        out::note(format_args!("too much happens at once: {count} commits are not shown"));
    } else if let Ok(item) = serde_json::from_value::<T>(item) {
        show(&item, json);
    }
}

/// Shows one item whole: its fields, and below them the body.
async fn show_one(path: &[&str], Output { json, remote }: Output) -> Result<(), String> {
    let mut item: Value = remote.connect()?.get(path, &[]).await?;
    if json {
        out::json(&item);
        return Ok(());
    }
    let body = item.as_object_mut().and_then(|item| item.shift_remove("body")).unwrap_or_default();
    for (name, value) in item.as_object().into_iter().flatten() {
        out::print(field(name, value));
    }
    out::line("body:");
    match &body {
        Value::String(text) => out::line(text),
        body => out::styled(format_args!("{}\n", visible::json(&serde_json::to_string_pretty(body).unwrap_or_default()))),
    }
    Ok(())
}

/// `name: value`; a list of objects as a line each.
fn field(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{name}: {}\n", visible::one_line(text)),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let names: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("{name}: {}\n", visible::one_line(&names.join(", ")))
        }
        Value::Array(items) => items.iter().fold(format!("{name}:\n"), |text, item| text + "  " + &visible::one_line(&words(item)) + "\n"),
        other => format!("{name}: {other}\n"),
    }
}

/// An object's values behind their names, without those that are null.
fn words(item: &Value) -> String {
    let named = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("{name} {text}")),
        other => Some(format!("{name} {other}")),
    };
    item.as_object().map(|fields| fields.iter().filter_map(named).collect::<Vec<_>>().join(", ")).unwrap_or_else(|| item.to_string())
}

/// A text that fits its column; longer ones push the line out.
pub(super) fn column(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}
