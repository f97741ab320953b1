//! Who reads standard output: a person at a terminal, who wants lines that fit, colour and their own time, or a program, which wants
//! one line an item and UTC.

use anstyle::Style;
use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::load;
use crate::event::rfc3339_milliseconds;
use crate::visible;

/// Columns of a terminal that does not say how many it has.
const WIDTH_DEFAULT: usize = 80;
/// What is narrower is treated as so wide: no line of ours would be of use there.
const WIDTH_MIN: usize = 40;

/// Whether to write in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where standard output goes.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    /// Columns of the terminal; `None`: it is none.
    pub width: Option<usize>,
    colour: bool,
    /// The local time zone, at a terminal.
    zone: Option<TimeZone>,
}

impl Screen {
    /// As standard output is.
    pub fn of_stdout(colour: Colour) -> Self {
        let stdout = std::io::stdout();
        let colour = match colour {
            Colour::Auto => load::in_colour(&stdout),
            Colour::Always => true,
            Colour::Never => false,
        };
        if !std::io::IsTerminal::is_terminal(&stdout) {
            return Self { width: None, colour, zone: None };
        }
        let size = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        let width = if size == 0 { WIDTH_DEFAULT } else { size.max(WIDTH_MIN) };
        Self { width: Some(width), colour, zone: TimeZone::try_system().ok() }
    }

    /// Of so many columns, without colour, in UTC.
    #[cfg(test)]
    pub fn without_colour(width: Option<usize>) -> Self {
        Self { width, colour: false, zone: None }
    }

    /// A time. At a terminal the local time stands beside UTC, where it is another: `2026-11-28 03:24:20Z (04:24 CET)`.
    pub fn time(&self, at: Timestamp) -> String {
        if self.width.is_none() {
            return rfc3339_milliseconds(at);
        }
        let utc = at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let Some(zone) = self.zone.as_ref().filter(|zone| !zone.to_offset(at).is_zero()) else { return utc };
        let local = at.to_zoned_datetime(zone.clone());
        let same_day = local.date() == at.to_zoned_datetime(TimeZone::UTC).date();
        let name = zone.to_offset_info(at).abbreviation().to_owned();
        let format = if same_day { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        format!("{utc} ({} {name})", local.strftime(format))
    }

    /// A time as the relay writes it; what is no time stays as it is.
    pub fn time_of(&self, text: &str) -> String {
        text.parse().map_or_else(|_| text.to_owned(), |at| self.time(at))
    }

    /// Words in a style, where there is colour. They are made fit for a terminal.
    pub fn paint(&self, style: Style, words: &str) -> String {
        let words = visible::one_line(words);
        if self.colour && !words.is_empty() { format!("{style}{words}{style:#}") } else { words.into_owned() }
    }
}

/// How long something lasts or how old it is, in a word: `8s`, `2m`, `1h20m`, `30h`, `3d`.
pub(super) fn brief(seconds: f64) -> String {
    let seconds = whole(seconds);
    match (seconds / 60, seconds / 3600, seconds / 86_400) {
        (0, ..) => format!("{seconds}s"),
        (minutes, 0, _) => format!("{minutes}m"),
        (minutes, hours @ 1..10, _) if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        (_, hours @ 1..48, _) => format!("{hours}h"),
        (.., days) => format!("{days}d"),
    }
}

/// About how long something takes: `50 min`, `3 h`, `2 days`.
pub(super) fn about(seconds: f64) -> String {
    let seconds = whole(seconds).max(1);
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// From then to now, in seconds; 0 where a clock was set back meanwhile.
pub(super) fn seconds_since(then: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, not negative, and cut at what fits")]
fn whole(seconds: f64) -> u64 {
    seconds.max(0.0).round() as u64
}

/// A count with a comma between thousands: `2,862`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str) -> Screen {
        Screen { width: Some(100), colour: false, zone: TimeZone::get(zone).ok() }
    }

    #[test]
    fn local_time_stands_beside_utc_where_it_is_another() {
        let time: Timestamp = "2026-11-28T03:24:20.123Z".parse().unwrap();
        for (zone, shown) in [
            ("Europe/Berlin", "2026-11-28 03:24:20Z (04:24 CET)"),
            ("America/New_York", "2026-11-28 03:24:20Z (2026-11-27 22:24 EST)"),
            ("Asia/Kolkata", "2026-11-28 03:24:20Z (08:54 IST)"),
            ("America/Sao_Paulo", "2026-11-28 03:24:20Z (00:24 -03)"),
            ("Europe/London", "2026-11-28 03:24:20Z"),
            ("UTC", "2026-11-28 03:24:20Z"),
        ] {
            assert_eq!(at(zone).time(time), shown);
        }
        let summer: Timestamp = "2026-07-01T03:24:20Z".parse().unwrap();
        assert_eq!(at("Europe/Berlin").time(summer), "2026-07-01 03:24:20Z (05:24 CEST)");
        let piped = Screen { width: None, ..at("Europe/Berlin") };
        assert_eq!(piped.time(time), "2026-11-28T03:24:20.123Z");
        assert_eq!(piped.time_of("no time"), "no time");
    }

    #[test]
    fn durations_and_counts_are_short() {
        for (seconds, shown) in [
            (0.2, "0s"),
            (8.0, "8s"),
            (150.0, "2m"),
            (4800.0, "1h20m"),
            (7200.0, "2h"),
            (108_000.0, "30h"),
            (300_000.0, "3d"),
            (-5.0, "0s"),
        ] {
            assert_eq!(brief(seconds), shown);
        }
        for (seconds, shown) in [(0.2, "1 s"), (60.0, "60 s"), (2990.0, "50 min"), (10_800.0, "3 h"), (180_000.0, "2 days")] {
            assert_eq!(about(seconds), shown);
        }
        for (number, shown) in [(0, "0"), (999, "999"), (2862, "2,862"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), shown);
        }
    }
}
