//! Tells the demo's story from the relay's own log lines, one short sentence each.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::out;
use crate::visible;

/// Turns log lines into sentences on standard output.
pub(super) struct Narrator {
    colour: bool,
}

impl Narrator {
    pub fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn say(&self, style: Style, actor: &str, words: &str) {
        let (actor, words) = (visible::one_line(actor), visible::one_line(words));
        let time = Zoned::now().strftime("%H:%M:%S%.3f").to_string();
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
        let event_id = short(of("event_id"));
        match fields.message.as_str() {
            "posted" => self.say(AnsiColor::Blue.on_default(), "Wiza", &format!("posts the sample `{}`: {}", of("sample"), of("gist"))),
            "stored" => {
                let words = format!("stored …{event_id} on disk, answered 200; matched: {}; goes to: {}", of("routes"), of("destinations"));
                self.say(AnsiColor::Cyan.on_default(), "relay", &words);
            }
            "received" => self.say(AnsiColor::Magenta.on_default(), of("destination"), &format!("got {}", of("body"))),
            "attempt" => {
                let place = format!("…{event_id} -> {}", of("destination"));
                let failure = if of("error").is_empty() { format!("status {}", of("status")) } else { of("error").to_owned() };
                match of("result") {
                    "delivered" => {
                        let latency: f64 = of("latency_ms").parse().unwrap_or(0.0);
                        self.say(
                            AnsiColor::Green.on_default(),
                            "delivered",
                            &format!("{place} at attempt {} in {latency:.1} ms", of("attempt")),
                        );
                    }
                    "retried" => {
                        let at = of("next_attempt_at").get(11..23).unwrap_or_default();
                        self.say(AnsiColor::Yellow.on_default(), "retried", &format!("{place} failed ({failure}), again at {at} UTC"));
                    }
                    _ => self.say(AnsiColor::Red.on_default(), "dead", &format!("{place}: {}", of("reason"))),
                }
            }
            "circuit breaker" => {
                let words =
                    if of("circuit") == "closed" { "closes: deliveries go on" } else { "opens: nothing more is attempted for a while" };
                self.say(AnsiColor::Yellow.on_default(), "breaker", &format!("{} {words}", of("destination")));
            }
            _ => {}
        }
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
