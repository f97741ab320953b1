//! What the relay can tell of itself, and the payload that it becomes. There is no personal data in it: names of destinations,
//! ids of events, statuses, reasons as the log has them, counts and times.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::OwnKind;
use crate::event::{EventId, rfc3339_milliseconds};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A destination's breaker has opened.
    CircuitOpened {
        /// The destination.
        destination: String,
        /// What opened it: `failures`, `refusals` or `gone`. The last needs somebody who resumes it.
        opened_by: &'static str,
        /// The kind of what went wrong last, as in `attempt_failures_total{reason}`.
        reason: &'static str,
        /// The last reply's status.
        status: Option<u16>,
        /// When.
        at: Timestamp,
        /// How often it opened since the last of these events about it.
        times: u32,
    },
    /// It has closed again.
    CircuitClosed {
        /// The destination.
        destination: String,
        /// When it had opened.
        opened_at: Timestamp,
        /// When it closed.
        at: Timestamp,
    },
    /// Deliveries were given up.
    DeadLetters {
        /// The destination.
        destination: String,
        /// Why, in one word, as in `given_up_total{reason}`.
        reason: &'static str,
        /// Why the first of them was given up, in words.
        detail: String,
        /// The status of the first one's last reply.
        status: Option<u16>,
        /// How many.
        count: u64,
        /// The events of the first and the last one.
        events: (EventId, EventId),
        /// When the first and the last one were given up.
        span: (Timestamp, Timestamp),
    },
    /// A destination's oldest delivery has waited for too long.
    QueueOld {
        /// The destination.
        destination: String,
        /// When it was received.
        oldest: Timestamp,
        /// Now.
        at: Timestamp,
        /// From what age on this is told.
        limit: Duration,
        /// How the breaker stands: `closed`, `open`, `gone` or `paused`.
        circuit: &'static str,
    },
    /// A file that could not take effect.
    RulesRefused {
        /// `2 errors, the first at routes.yaml:3:7`; quotes nothing of the file.
        reason: String,
        /// When.
        at: Timestamp,
        /// How often since the last of these events.
        times: u32,
    },
    /// The store is in trouble, or was.
    StoreTrouble {
        /// `disk_nearly_full`, `backlog_nearly_full` or `cannot_write`.
        trouble: &'static str,
        /// What it looks like, in words.
        detail: String,
        /// Since when.
        since: Timestamp,
        /// When it was over: a store that cannot write takes no event before that.
        over_at: Option<Timestamp>,
    },
}

/// What only whoever writes the event down knows.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Deliveries that wait for the destination now.
    pub waiting: u64,
    /// The version of the rules in effect.
    pub rules: &'a str,
}

impl News {
    /// Its kind.
    pub fn kind(&self) -> OwnKind {
        match self {
            Self::CircuitOpened { .. } => OwnKind::CircuitOpened,
            Self::CircuitClosed { .. } => OwnKind::CircuitClosed,
            Self::DeadLetters { .. } => OwnKind::DeadLetters,
            Self::QueueOld { .. } => OwnKind::QueueOld,
            Self::RulesRefused { .. } => OwnKind::RulesRefused,
            Self::StoreTrouble { .. } => OwnKind::StoreTrouble,
        }
    }

    /// The destination that it is about, if it is about one: it is not sent there.
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::CircuitOpened { destination, .. }
            | Self::CircuitClosed { destination, .. }
            | Self::DeadLetters { destination, .. }
            | Self::QueueOld { destination, .. } => Some(destination),
            Self::RulesRefused { .. } | Self::StoreTrouble { .. } => None,
        }
    }

    /// The event's payload.
    pub fn payload(&self, beside: Beside<'_>) -> Value {
        let mut data = self.data(beside);
        let summary = self.summary(beside);
        if let Some(data) = data.as_object_mut() {
            data.insert("summary".to_owned(), summary.into());
        }
        json!({ "type": self.kind().name(), "data": data })
    }

    fn data(&self, Beside { waiting, rules }: Beside<'_>) -> Value {
        let time = |time: &Timestamp| rfc3339_milliseconds(*time);
        match self {
            Self::CircuitOpened { destination, opened_by, reason, status, at, times } => json!({
                "destination": destination, "opened_by": opened_by, "reason": reason, "status": status,
                "opened_at": time(at), "times": times, "waiting": waiting,
            }),
            Self::CircuitClosed { destination, opened_at, at } => json!({
                "destination": destination, "opened_at": time(opened_at), "closed_at": time(at),
                "open_seconds": seconds(*opened_at, *at), "waiting": waiting,
            }),
            Self::DeadLetters { destination, reason, detail, status, count, events, span } => json!({
                "destination": destination, "reason": reason, "detail": detail, "status": status, "count": count,
                "first_event_id": events.0.to_string(),
                "last_event_id": events.1.to_string(),
                "since": time(&span.0), "until": time(&span.1),
            }),
            Self::QueueOld { destination, oldest, at, limit, circuit } => json!({
                "destination": destination, "oldest_at": time(oldest), "oldest_seconds": seconds(*oldest, *at),
                "limit_seconds": limit.as_secs(), "circuit": circuit, "waiting": waiting,
            }),
            Self::RulesRefused { reason, at, times } => {
                json!({ "reason": reason, "refused_at": time(at), "times": times, "version": rules })
            }
            Self::StoreTrouble { trouble, since, over_at, .. } => json!({
                "trouble": trouble, "over": over_at.is_some(), "since": time(since),
                "lasted_seconds": over_at.map_or(0, |over| seconds(*since, over)),
            }),
        }
    }

    /// The whole of it in one or two sentences, for a message to people.
    fn summary(&self, Beside { waiting, rules }: Beside<'_>) -> String {
        let wait = format!("{waiting} {} there", if waiting == 1 { "delivery waits" } else { "deliveries wait" });
        match self {
            Self::CircuitOpened { destination, opened_by: "gone", .. } => {
                format!(
                    "{destination}: nothing is sent there any more, because it answered 410 (gone). {wait}. To go on: wiza-relay resume {destination}"
                )
            }
            Self::CircuitOpened { destination, opened_by: "refusals", reason, status, .. } => {
                let status = status.map(|status| format!(", status {status}")).unwrap_or_default();
                format!(
                    "{destination}: the circuit is open, because one event after the other was refused ({reason}{status}). {wait}, so that not all \
                     become dead letters; mend the mapping and reload"
                )
            }
            Self::CircuitOpened { destination, reason, status, times, .. } => {
                let status = status.map(|status| format!(", status {status}")).unwrap_or_default();
                let times = if *times > 1 { format!(" It has opened {times} times since this was told last.") } else { String::new() };
                format!("{destination}: the circuit is open ({reason}{status}). {wait}; one at a time is tried until one succeeds.{times}")
            }
            Self::CircuitClosed { destination, opened_at, at } => {
                format!("{destination}: the circuit has closed after {}. {wait}, and they are sent now.", lasted(*opened_at, *at))
            }
            Self::DeadLetters { destination, reason, detail, count, .. } => {
                let given_up = if *count == 1 { "1 delivery was given up".to_owned() } else { format!("{count} deliveries were given up") };
                // `expired: it was not delivered within 2h` has said it.
                let word = if detail.starts_with(reason) { String::new() } else { format!(" ({reason})") };
                format!("{destination}: {given_up}{word}: {detail}. To send again: wiza-relay redrive --destination {destination}")
            }
            Self::QueueOld { destination, oldest, at, circuit, .. } => {
                format!("{destination}: the oldest delivery has waited for {} (circuit: {circuit}). {wait}.", lasted(*oldest, *at))
            }
            Self::RulesRefused { reason, .. } => {
                format!("The rules were not reloaded: {reason}. Version {rules} goes on. See: wiza-relay check")
            }
            Self::StoreTrouble { detail, since, over_at, .. } => match over_at {
                Some(over) => {
                    format!("The store took nothing for {}, and webhooks got 503: {detail}. It works again.", lasted(*since, *over))
                }
                None => format!("The store will soon take nothing more, and webhooks will get 503: {detail}."),
            },
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).max(SignedDuration::ZERO).as_secs()
}

fn lasted(from: Timestamp, to: Timestamp) -> String {
    let whole = Duration::from_secs(u64::try_from(seconds(from, to)).unwrap_or(0));
    humantime::format_duration(whole).to_string()
}
