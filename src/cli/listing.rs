//! What the listing commands have in common: filters, pages, following, showing.

use std::cell::RefCell;

use anstyle::Style;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::remote::Remote;
use super::screen::{Colour, Screen};
use super::table::{Cell, Row, Table};
use super::{Ending, block_on, out};
use crate::visible;
use crate::wire::listing::Page;

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
    /// Only events that came with the API key of this name (`api_keys: [{ name: ... }]`).
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Received at this time or later: 2026-01-31T08:00:00Z, or 90m or 2d ago.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Received before then.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only if the body, the path, the query or the id of the event contains this text.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

/// A listing: which items, how many, and how they are shown.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only with this status. For events: routed, unmatched, quarantined. For deliveries: waiting, retrying, delivered, dead, parked.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    filters: Filters,
    /// How many at most, the newest first. 0 means all.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// Then print what happens from now on, until Ctrl-C.
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
    /// Print one JSON object per line, with times in UTC.
    #[arg(long)]
    pub json: bool,
    /// Whether to write in colour.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
    #[command(flatten)]
    pub remote: Remote,
}

/// A kind of item.
pub(super) trait Listed: DeserializeOwned + Serialize {
    /// Where the API has it.
    const PATH: &'static str;
    /// What one says when there is none.
    const NONE: &'static str;
    /// The columns' headings.
    const HEADING: &'static [&'static str];
    /// The item in columns and words.
    fn row(&self, screen: &Screen) -> Row;
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
        let mut lister = Lister::new(json, Screen::of_stdout(self.output.color));
        let relay = self.output.remote.connect()?;
        if self.follow {
            let lister = RefCell::new(lister);
            let begun = || {
                if !json {
                    lister.borrow_mut().begin::<T>(&[]);
                }
            };
            relay.follow(&["api", T::PATH, "follow"], &query, begun, |item| lister.borrow_mut().show_followed::<T>(item)).await?;
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
            if !page.items.is_empty() {
                none = false;
                lister.show(&page.items);
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

/// Shows items of a listing, one after the other.
struct Lister {
    json: bool,
    screen: Screen,
    table: Table,
    has_begun: bool,
}

impl Lister {
    fn new(json: bool, screen: Screen) -> Self {
        Self { json, screen, table: Table::default(), has_begun: false }
    }

    /// The heading, once, with columns that these rows fit.
    fn begin<T: Listed>(&mut self, rows: &[Row]) {
        let heading = Row {
            cells: T::HEADING.iter().map(|name| Cell::whole(*name, Style::new().bold())).collect(),
            phrases: Vec::new(),
            hangs: false,
        };
        self.table.fit(std::slice::from_ref(&heading));
        self.table.fit(rows);
        if !std::mem::replace(&mut self.has_begun, true) {
            out::styled(self.table.lines(&heading, &self.screen));
        }
    }

    fn show<T: Listed>(&mut self, items: &[T]) {
        if self.json {
            return items.iter().for_each(out::json);
        }
        let rows: Vec<Row> = items.iter().map(|item| item.row(&self.screen)).collect();
        self.begin::<T>(&rows);
        rows.iter().for_each(|row| out::styled(self.table.lines(row, &self.screen)));
    }

    fn show_followed<T: Listed>(&mut self, item: Value) {
        if let Some(count) = item.get("missed") {
            out::note(format_args!("too much happens at once: {count} commits are not shown"));
        } else if let Ok(item) = serde_json::from_value::<T>(item) {
            self.show(&[item]);
        }
    }
}

/// Shows one item whole: its fields, and below them what is longer.
async fn show_one(path: &[&str], output: Output) -> Result<(), String> {
    let Output { json, color, remote } = output;
    let mut item: Value = remote.connect()?.get(path, &[]).await?;
    if json {
        out::json(&item);
        return Ok(());
    }
    let screen = Screen::of_stdout(color);
    let mut take = |name: &str| item.as_object_mut().and_then(|item| item.shift_remove(name)).unwrap_or_default();
    let (attempts, request, body) = (take("attempt_log"), take("request"), take("body"));
    let limit = take("attempts_max").as_u64();
    for (name, value) in item.as_object().into_iter().flatten() {
        match (name.as_str(), limit) {
            ("attempts", Some(limit)) => out::line(format_args!("attempts: {value} of {limit}")),
            ("deliveries", _) => out::print(deliveries(value)),
            _ => out::print(field(name, value, &screen)),
        }
    }
    if let Some(attempts) = attempts.as_array().filter(|attempts| !attempts.is_empty()) {
        out::line("attempts:");
        attempts.iter().for_each(|attempt| out::print(attempt_lines(attempt, limit, &screen)));
    }
    if !request.is_null() {
        show_request(&request, &body);
    }
    out::line("body:");
    show_body(&body);
    Ok(())
}

fn show_body(body: &Value) {
    match body {
        Value::String(text) => out::line(text),
        body => out::styled(format_args!("{}\n", visible::json(&serde_json::to_string_pretty(body).unwrap_or_default()))),
    }
}

/// The request of a delivery as the rules in effect now render it.
fn show_request(request: &Value, event_body: &Value) {
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(visible::one_line);
    let rules = text("rules").unwrap_or_default();
    out::line(format_args!("request, rendered again by the rules in effect now (version {rules}); what was sent is not kept:"));
    if let Some(error) = text("error") {
        return out::line(format_args!("  cannot be rendered: {error}"));
    }
    out::line(format_args!("  {} {}", text("method").unwrap_or_default(), text("url").unwrap_or_default()));
    for (name, value) in request.get("headers").and_then(Value::as_object).into_iter().flatten() {
        out::line(format_args!("  {name}: {}", visible::one_line(value.as_str().unwrap_or_default())));
    }
    match request.get("body") {
        Some(body) if body == event_body => out::line("  its body is the event's, below"),
        body => {
            out::line("");
            show_body(body.unwrap_or(&Value::Null));
        }
    }
}

/// An event's deliveries, a line each. An id ends with the destination's name, which is not said again.
fn deliveries(deliveries: &Value) -> String {
    let listed = deliveries.as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |text: String, delivery: &Value| {
        let part = |name: &str| visible::one_line(delivery.get(name).and_then(Value::as_str).unwrap_or_default()).into_owned();
        text + "  " + &part("id") + "  " + &part("status") + "\n"
    };
    if listed.is_empty() { String::new() } else { listed.iter().fold("deliveries:\n".to_owned(), line) }
}

/// `name: value`; a list of objects as a line each.
fn field(name: &str, value: &Value, screen: &Screen) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if name.ends_with("_at") => format!("{name}: {}\n", visible::one_line(&screen.time_of(text))),
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

/// `3 of 20  2026-11-28 03:24:20Z (04:24 CET)  status 503  12.3 ms`, and the reply on a line of its own.
fn attempt_lines(attempt: &Value, limit: Option<u64>, screen: &Screen) -> String {
    let text = |name: &str| attempt.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = match (attempt.get("number").and_then(Value::as_u64), limit) {
        (Some(number), Some(limit)) => format!("{number} of {limit}"),
        (Some(number), None) => number.to_string(),
        (None, _) => "not counted".to_owned(),
    };
    let status = attempt.get("status").and_then(Value::as_u64).map(|status| format!("status {status}"));
    let latency = attempt.get("latency_ms").and_then(Value::as_f64).map(|latency| format!("{latency:.1} ms"));
    let error = Some(text("error")).filter(|error| !error.is_empty()).map(str::to_owned);
    let before = attempt.get("before_redrive").and_then(Value::as_bool).unwrap_or_default();
    let before = before.then(|| "before it was redriven".to_owned());
    let parts = [Some(number), Some(screen.time_of(text("at"))), status, latency, error, before];
    let line = parts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let reply = text("reply");
    let reply = if reply.is_empty() { String::new() } else { format!("    reply: {}\n", visible::one_line(reply)) };
    format!("  {}\n{reply}", visible::one_line(&line))
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
