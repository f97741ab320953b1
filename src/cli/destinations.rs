//! `wiza-relay destinations`, `pause` and `resume`: how destinations stand, and holding one back by hand.

use anstyle::{AnsiColor, Style};
use clap::Args;
use jiff::Timestamp;

use super::listing::Output;
use super::screen::{self, Screen};
use super::table::{Cell, Row, Table, shortened};
use super::{Ending, block_on, out};
use crate::wire::destinations::{DestinationState, DestinationStatus, RateBy};

#[derive(Debug, Args)]
pub(super) struct Destinations {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The destination.
    name: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The destination.
    name: String,
    #[command(flatten)]
    output: Output,
}

impl Destinations {
    pub fn run(self) -> Ending {
        block_on(async move {
            let Output { json, color, remote } = self.output;
            let listed = async {
                let states: Vec<DestinationState> = remote.connect()?.get(&["api", "destinations"], &[]).await?;
                if json {
                    states.iter().for_each(out::json);
                    return Ok(Ending::Good);
                }
                let (screen, now) = (Screen::of_stdout(color), Timestamp::now());
                let rows: Vec<Row> = states.iter().map(|state| row(state, &screen, now)).collect();
                let mut table = Table::default();
                table.fit(&rows);
                rows.iter().for_each(|row| out::styled(table.lines(row, &screen)));
                if states.is_empty() {
                    out::note("no destinations");
                }
                Ok(Ending::Good)
            };
            listed.await.unwrap_or_else(Ending::Failed)
        })
    }
}

impl Pause {
    pub fn run(self) -> Ending {
        set(self.name, "pause", self.output)
    }
}

impl Resume {
    pub fn run(self) -> Ending {
        set(self.name, "resume", self.output)
    }
}

fn set(name: String, verb: &'static str, Output { json, remote, .. }: Output) -> Ending {
    block_on(async move {
        let set = async {
            let answer: DestinationState = remote.connect()?.post(&["api", "destinations", &name, verb], None).await?;
            if json {
                out::json(&answer);
                return Ok(Ending::Good);
            }
            out::line(became(&name, verb, &answer));
            Ok(Ending::Good)
        };
        set.await.unwrap_or_else(Ending::Failed)
    })
}

/// What a command did, and what it did not because it was so already.
fn became(name: &str, verb: &str, state: &DestinationState) -> String {
    let DestinationState { waiting, parked, active, .. } = state;
    let (was, was_held) = (state.was.as_deref().unwrap_or_default(), state.was_held.unwrap_or_default());
    let was_paused = was == "paused";
    match (verb, active) {
        ("pause", true) if was_paused => format!("{name} was paused already: {waiting} waiting; `wiza-relay resume {name}` goes on"),
        ("pause", true) => format!("{name} is paused: {waiting} waiting; `wiza-relay resume {name}` goes on"),
        (_, true) if was == "closed" && !was_held => format!("nothing held {name} back, so nothing has changed: {waiting} waiting"),
        (_, true) if was == "closed" => format!("{name} goes on before the rest that it asked for is over: {waiting} waiting"),
        (_, true) => format!("{name} was {was} and goes on: {waiting} waiting"),
        (_, false) if state.disabled => {
            format!("{name} is {verb}d, but has `enabled: false` in routes.yaml: {parked} parked until it is switched on again")
        }
        (_, false) if was_paused == (verb == "pause") => {
            format!("{name} was {verb}d already, and is not in routes.yaml: {parked} parked until it is there again")
        }
        (_, false) => format!("{name} is {verb}d, but not in routes.yaml: {parked} parked until it is there again"),
    }
}

/// A name is not shortened to less than this.
const NAME_MIN: usize = 16;

/// `hubspot  OPEN 2m  2,862 waiting (oldest 2m, about 50 min at 1/s)  401 INVALID_AUTHENTICATION  probe in 8s`.
fn row(state: &DestinationState, screen: &Screen, now: Timestamp) -> Row {
    let plain = Style::new();
    let (word, style) = look(state.state);
    let since = ago(state.state_since.as_deref(), now);
    // What is behind the name matters more than its middle.
    let room = screen.width.map_or(usize::MAX, |width| (width / 5).max(NAME_MIN));
    let mut row = Row {
        cells: vec![
            Cell::whole(shortened(&state.name, room), plain),
            Cell::whole(since.map_or(word.to_owned(), |since| format!("{word} {since}")), style),
        ],
        phrases: Vec::new(),
        hangs: true,
    };
    row.say(backlog(state, now), plain);
    if state.dead_letters > 0 {
        let noun = if state.dead_letters == 1 { "dead letter" } else { "dead letters" };
        row.say(format!("{} {noun}", screen::count(state.dead_letters)), AnsiColor::Red.on_default());
    }
    row.say(last_failure(state, now), plain);
    row.say(next(state, screen, now), plain);
    if matches!(state.state, DestinationStatus::Ok | DestinationStatus::Failing) {
        row.say(last_delivered(state, now), Style::new().dimmed());
    }
    row
}

/// The word of a state, in capitals where an operator has to look.
fn look(status: DestinationStatus) -> (&'static str, Style) {
    let (red, yellow) = (AnsiColor::Red.on_default().bold(), AnsiColor::Yellow.on_default().bold());
    match status {
        DestinationStatus::Ok => ("ok", AnsiColor::Green.on_default()),
        DestinationStatus::Failing => ("FAILING", yellow),
        DestinationStatus::Held => ("HELD", yellow),
        DestinationStatus::Open => ("OPEN", red),
        DestinationStatus::Paused => ("PAUSED", yellow),
        DestinationStatus::Gone => ("GONE", red),
        DestinationStatus::Removed => ("REMOVED", yellow),
        DestinationStatus::Disabled => ("DISABLED", yellow),
    }
}

/// How long ago a time was that the relay has written.
fn ago(time: Option<&str>, now: Timestamp) -> Option<String> {
    let time: Timestamp = time?.parse().ok()?;
    Some(screen::brief(screen::seconds_since(time, now)))
}

/// How long it is until such a time; `None` if that is over.
fn left(time: Option<&str>, now: Timestamp) -> Option<String> {
    let time: Timestamp = time?.parse().ok()?;
    (time > now).then(|| screen::brief(time.duration_since(now).as_secs_f64().max(1.0)))
}

/// `2,862 waiting (oldest 2m, about 50 min at 1/s)`.
fn backlog(state: &DestinationState, now: Timestamp) -> String {
    let (count, what) = if state.active { (state.waiting, "waiting") } else { (state.parked, "parked") };
    if count == 0 {
        return format!("nothing {what}");
    }
    let oldest = ago(state.oldest_received_at.as_deref(), now).map(|age| format!("oldest {age}"));
    let takes = state.backlog_seconds.zip(state.backlog_rate).map(|(seconds, rate)| {
        let now = if state.backlog_rate_by == Some(RateBy::LastMinute) { ", as in the last minute" } else { "" };
        format!("about {} at {}{now}", screen::about(seconds), per_time(rate))
    });
    let details: Vec<String> = oldest.into_iter().chain(takes).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    format!("{} {what}{details}", screen::count(count))
}

/// A rate as routes.yaml writes it: `12.5/s`, `30/m`.
fn per_time(rate: f64) -> String {
    let number = |rate: f64| {
        let text = format!("{rate:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    if rate >= 1.0 { format!("{}/s", number(rate)) } else { format!("{}/m", number(rate * 60.0)) }
}

/// What an attempt last heard, as long as nothing was delivered since, or there are dead letters to ask about.
fn last_failure(state: &DestinationState, now: Timestamp) -> String {
    let (Some(failed_at), stands) = (state.last_failed_at.as_deref(), state.state) else { return String::new() };
    let is_last = state.last_delivered_at.as_deref().is_none_or(|delivered_at| failed_at > delivered_at);
    if !is_last && state.dead_letters == 0 && state.waiting == 0 {
        return String::new();
    }
    // A page's title has the status too.
    let status = state.last_status.map(|status| status.to_string());
    let status = status.filter(|status| !state.last_reply.iter().any(|reply| reply.starts_with(status)));
    let words = [status, state.last_error.clone(), state.last_reply.clone()];
    let words = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    // Where the circuit is open, it is why.
    if matches!(stands, DestinationStatus::Open | DestinationStatus::Gone | DestinationStatus::Held) {
        return words;
    }
    let ago = ago(Some(failed_at), now).map(|ago| format!(" {ago} ago")).unwrap_or_default();
    format!("last error{ago}: {words}")
}

/// What comes next, or what has to be done.
fn next(state: &DestinationState, screen: &Screen, now: Timestamp) -> String {
    let paused_by = state.paused_by.as_ref().map(|by| format!("paused by {by}"));
    let in_time = |what: &str, time: &Option<String>| match left(time.as_deref(), now) {
        Some(left) => format!("{what} in {left}"),
        None => format!("{what} now"),
    };
    match state.state {
        DestinationStatus::Ok | DestinationStatus::Failing => String::new(),
        DestinationStatus::Open => {
            let why = if state.opened_by.as_deref() == Some("refusals") { "refuses every event; mend its mapping or URL; " } else { "" };
            format!("{why}{}", in_time("probe", &state.open_until))
        }
        DestinationStatus::Held => match (&state.hold_until, left(state.hold_until.as_deref(), now)) {
            (Some(until), Some(left)) => format!("goes on in {left}, at {}", screen.time_of(until)),
            _ => "goes on now".to_owned(),
        },
        DestinationStatus::Paused => {
            let by = paused_by.map(|by| format!("{by}; ")).unwrap_or_default();
            format!("{by}`wiza-relay resume` goes on")
        }
        DestinationStatus::Gone => "`wiza-relay resume` goes on".to_owned(),
        DestinationStatus::Disabled => {
            let paused = paused_by.map(|by| format!(", and {by}")).unwrap_or_default();
            format!("`enabled: false` in routes.yaml{paused}; nothing new is planned for it")
        }
        DestinationStatus::Removed => match (paused_by, state.circuit.as_str()) {
            (Some(by), _) => format!("not in routes.yaml, and {by}"),
            (None, "gone") => "not in routes.yaml, and it said that it is gone (410)".to_owned(),
            (None, _) if state.parked > 0 => "not in routes.yaml; they go on when it is there again".to_owned(),
            (None, _) => "not in routes.yaml".to_owned(),
        },
    }
}

fn last_delivered(state: &DestinationState, now: Timestamp) -> String {
    if state.delivered == 0 {
        return "nothing delivered yet".to_owned();
    }
    let ago = ago(state.last_delivered_at.as_deref(), now).map(|ago| format!(", the last {ago} ago")).unwrap_or_default();
    format!("{} delivered{ago}", screen::count(state.delivered))
}
