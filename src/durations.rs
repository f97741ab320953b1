//! Durations as people write them: `500ms`, `10s`, `1h30m`, `7d`. One reader for routes.yaml, for flags and for queries, so
//! that one text means one time everywhere.

use std::time::Duration;

/// Why a text is no duration, and how to write what was meant. Displays as both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {hint}")]
pub struct NotADuration {
    /// Follows the text: `` `10` has no unit ``.
    pub reason: String,
    /// How to write it.
    pub hint: String,
}

/// The one unit that says two things: a month here and in Java, a minute in many other tools.
const AMBIGUOUS: &str = "M";

/// Reads a duration: one or more numbers, each with its unit.
///
/// # Errors
/// Where a number has no unit, where the unit is `M`, and where the text is anything else.
pub fn read(text: &str) -> Result<Duration, NotADuration> {
    let refused = |reason: &str, hint: String| Err(NotADuration { reason: reason.to_owned(), hint });
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return refused("has no unit", format!("seconds are written `{text}s`"));
    }
    let spelled = |unit: &str| -> String { pieces(text).map(|piece| if piece == AMBIGUOUS { unit } else { piece }).collect() };
    let month = if text.trim() == "1M" { "month" } else { "months" };
    let is_read = |text: &str| humantime::parse_duration(text).is_ok();
    match humantime::parse_duration(text) {
        Ok(_) if pieces(text).any(|piece| piece == AMBIGUOUS) => {
            let (minutes, months) = (spelled("m"), spelled(month));
            refused("can be minutes or months", format!("write `{minutes}` for minutes, `{months}` for months of 30.44 days"))
        }
        Ok(duration) => Ok(duration),
        // `1H`, `30S`, `2Days`.
        Err(_) if is_read(&text.to_ascii_lowercase()) && !pieces(text).any(|piece| piece == AMBIGUOUS) => {
            refused("is not a duration", format!("units are in small letters: `{}`", text.to_ascii_lowercase()))
        }
        Err(_) => refused("is not a duration", "a number and a unit: `500ms`, `10s`, `5m`, `4h`, `3d`, or `1h30m`".to_owned()),
    }
}

/// In milliseconds for people and logs: to a microsecond, so with three decimals at most. Longer than an hour it is an hour.
pub fn milliseconds(duration: Duration) -> f64 {
    const SHOWN_MAX: Duration = Duration::from_secs(60 * 60);
    f64::from(u32::try_from(duration.min(SHOWN_MAX).as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

/// The runs of letters of a text, and the runs of what stands between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c: char| c.is_alphabetic() != first.is_alphabetic()).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_say_what_they_mean() {
        for (text, seconds) in [("10s", 10), ("1h30m", 5400), ("3d", 259_200), ("1m", 60), ("2 months", 5_260_032), ("1month", 2_630_016)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(read("10").unwrap_err().to_string(), "has no unit: seconds are written `10s`");
        for bad in ["", "s", "10 parsecs", "-1s", "1e3s", "99999999999999999999s", "18446744073709551615d", "MM", "1MM"] {
            assert_eq!(read(bad).unwrap_err().reason, "is not a duration", "{bad}");
        }
    }

    #[test]
    fn milliseconds_have_three_decimals_at_most() {
        for (nanoseconds, shown) in
            [(0, "0.0"), (286_437, "0.286"), (2_631_359, "2.631"), (1_000_000_000, "1000.0"), (u64::MAX, "3600000.0")]
        {
            assert_eq!(format!("{:?}", milliseconds(Duration::from_nanos(nanoseconds))), shown);
        }
        for microseconds in (0..5_000_000).step_by(77) {
            let shown = milliseconds(Duration::from_micros(microseconds)).to_string();
            assert!(shown.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 3), "{shown}");
        }
    }

    #[test]
    fn a_month_that_could_be_a_minute_is_refused_with_both_spellings() {
        for (text, minutes, months) in [
            ("1M", "`1m`", "`1month`"),
            ("1h5M", "`1h5m`", "`1h5months`"),
            ("3 M", "`3 m`", "`3 months`"),
            ("1.5M", "`1.5m`", "`1.5months`"),
        ] {
            let NotADuration { reason, hint } = read(text).unwrap_err();
            assert_eq!(reason, "can be minutes or months", "{text}");
            assert!(hint.contains(minutes) && hint.contains(months), "{text}: {hint}");
            for spelling in [minutes, months] {
                assert!(read(spelling.trim_matches('`')).is_ok(), "{spelling}");
            }
        }
    }

    #[test]
    fn capital_units_are_refused_with_the_small_ones() {
        for (text, small) in [("10S", "`10s`"), ("1H30m", "`1h30m`"), ("2Days", "`2days`"), ("500MS", "`500ms`"), ("5MIN", "`5min`")] {
            assert!(read(text).unwrap_err().hint.contains(small), "{text}: {:?}", read(text));
        }
    }
}
