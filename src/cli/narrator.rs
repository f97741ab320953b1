//! Tells the demo's story from the relay's own log lines, one short sentence each, in the order in which it happens: deliveries begin
//! once an event is on disk, and may be quicker than the line that says so. What is told of an event too early waits for that line.

use std::collections::{HashSet, VecDeque};
use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use jiff::ZonedDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::out;
use crate::visible;

/// Events remembered as stored; a demo that runs for days forgets the oldest.
const STORED_REMEMBERED_MAX: usize = 100_000;
/// Sentences that wait for their event at most. A line of the log that never came must not silence what follows.
const HELD_MAX: usize = 1000;

/// Turns log lines into sentences on standard output.
pub(super) struct Narrator {
    colour: bool,
    order: Mutex<Order<Sentence>>,
}

/// A sentence to be said.
struct Sentence {
    style: Style,
    actor: String,
    words: String,
}

/// Puts what is told of an event behind the line that says that it is stored.
struct Order<T> {
    stored: HashSet<String>,
    /// The same, the oldest first.
    oldest: VecDeque<String>,
    held: VecDeque<(String, T)>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { stored: HashSet::new(), oldest: VecDeque::new(), held: VecDeque::new() }
    }
}

impl<T> Order<T> {
    /// What is to be said now, after an event was stored: that, and what waited for it.
    fn stored(&mut self, event: &str, told: T) -> Vec<T> {
        if self.stored.insert(event.to_owned()) {
            self.oldest.push_back(event.to_owned());
        }
        if self.oldest.len() > STORED_REMEMBERED_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.stored.remove(&oldest);
        }
        let mut now = vec![told];
        for (of, held) in std::mem::take(&mut self.held) {
            if of == event { now.push(held) } else { self.held.push_back((of, held)) }
        }
        now
    }

    /// What is to be said now, after something became of an event: nothing, where that is not told as stored yet.
    fn happened(&mut self, event: &str, told: T) -> Vec<T> {
        if event.is_empty() || self.stored.contains(event) {
            return vec![told];
        }
        self.held.push_back((event.to_owned(), told));
        if self.held.len() > HELD_MAX { self.held.pop_front().into_iter().map(|(_, held)| held).collect() } else { Vec::new() }
    }
}

impl Narrator {
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, order: Mutex::default() }
    }

    /// Says it, as soon as it is its turn: `event` is empty where it belongs to none.
    fn tell(&self, event: &str, is_stored: bool, sentence: Sentence) {
        // Held while it is said, so that no other thread's line comes between.
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let now = if is_stored { order.stored(event, sentence) } else { order.happened(event, sentence) };
        for Sentence { style, actor, words } in now {
            self.say(style, &actor, &words);
        }
    }

    fn say(&self, style: Style, actor: &str, words: &str) {
        let (actor, words) = (visible::one_line(actor), visible::one_line(words));
        let time = ZonedDateTime::now().strftime("%H:%M:%S%.3f").to_string();
        if self.colour {
            out::styled(format_args!("{time}  {style}{actor:<13}{style:#} {words}\n"));
        } else {
            out::styled(format_args!("{time}  {actor:<13} {words}\n"));
        }
    }
}

impl<S: Subscriber> Layer<S> for Narrator {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let of = |name: &str| fields.of(name);
        let short = |id: &str| id.chars().skip(id.len().saturating_sub(6)).collect::<String>();
        let (event, event_id) = (of("event_id"), short(of("event_id")));
        let is_stored = fields.message == "stored";
        let colour = |colour: AnsiColor| colour.on_default();
        let (style, actor, words) = match fields.message.as_str() {
            "posted" => (colour(AnsiColor::Blue), "Wiza", format!("posts the sample `{}`: {}", of("sample"), of("gist"))),
            "stored" => {
                let words = format!("stored …{event_id} on disk, answered 200; matched: {}; goes to: {}", of("routes"), of("destinations"));
                (colour(AnsiColor::Cyan), "relay", words)
            }
            "received" => (colour(AnsiColor::Magenta), of("destination"), format!("got {}", of("body"))),
            "attempt" => {
                let place = format!("…{event_id} -> {}", of("destination"));
                let failure = if of("error").is_empty() { format!("status {}", of("status")) } else { of("error").to_owned() };
                match of("result") {
                    "delivered" => {
                        let latency: f64 = of("latency_ms").parse().unwrap_or(0.0);
                        (colour(AnsiColor::Green), "delivered", format!("{place} at attempt {} in {latency:.1} ms", of("attempt")))
                    }
                    "retried" => {
                        let at = of("next_attempt_at").get(11..23).unwrap_or_default();
                        (colour(AnsiColor::Yellow), "retried", format!("{place} failed ({failure}), again at {at} UTC"))
                    }
                    _ => (colour(AnsiColor::Red), "dead", format!("{place}: {}", of("reason"))),
                }
            }
            "circuit breaker" => {
                let words =
                    if of("circuit") == "closed" { "closes: deliveries go on" } else { "opens: nothing more is attempted for a while" };
                (colour(AnsiColor::Yellow), "breaker", format!("{} {words}", of("destination")))
            }
            _ => return,
        };
        self.tell(event, is_stored, Sentence { style, actor: actor.to_owned(), words });
    }
}

/// The fields of a log line as text.
#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn of(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.values.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_an_event_is_told_after_it_is_stored() {
        let mut order = Order::default();
        assert!(order.happened("a", "a is received").is_empty());
        assert!(order.happened("b", "b is delivered").is_empty());
        assert!(order.happened("a", "a is delivered").is_empty());
        assert_eq!(order.happened("", "the breaker opens"), ["the breaker opens"]);
        assert_eq!(order.stored("a", "a is stored"), ["a is stored", "a is received", "a is delivered"]);
        assert_eq!(order.happened("a", "a is delivered elsewhere"), ["a is delivered elsewhere"]);
        assert_eq!(order.stored("b", "b is stored"), ["b is stored", "b is delivered"]);
    }

    #[test]
    fn a_line_that_never_comes_silences_nothing_for_ever() {
        let mut order = Order::default();
        for number in 0..HELD_MAX {
            assert!(order.happened("lost", number).is_empty());
        }
        assert_eq!(order.happened("lost", HELD_MAX), [0]);
        for number in 0..=STORED_REMEMBERED_MAX {
            order.stored(&number.to_string(), number);
        }
        assert_eq!((order.stored.len(), order.oldest.len()), (STORED_REMEMBERED_MAX, STORED_REMEMBERED_MAX));
    }
}
