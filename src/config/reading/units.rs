//! Durations, sizes and rates as they are written.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::durations::{self, NotADuration};

/// Why a value cannot be read, and how to write it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Unreadable {
    /// Follows the value: `` `10` has no unit ``.
    pub reason: String,
    pub hint: String,
}

fn unreadable(reason: impl Into<String>, hint: impl Into<String>) -> Unreadable {
    Unreadable { reason: reason.into(), hint: hint.into() }
}

const UNITS: [(&str, u64); 7] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

/// `500ms`, `10s`, `1h30m`, `7d`.
pub(in crate::config) fn duration(text: &str) -> Result<Duration, Unreadable> {
    durations::read(text).map_err(|NotADuration { reason, hint }| unreadable(reason, hint))
}

/// `1MiB` (1,048,576), `1MB` (1,000,000), or bytes without a unit.
pub(in crate::config) fn size(text: &str) -> Result<u64, Unreadable> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let not_a_size =
        || unreadable("is not a size", "a whole number and a unit: `512KiB`, `1MiB`, `10GiB`, or `KB`, `MB`, `GB` for powers of 1000");
    if unit.starts_with('.') {
        return Err(unreadable("is not a whole number", "take the next smaller unit: `1536KiB` for one and a half `MiB`"));
    }
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.is_empty() => return Err(not_a_size()),
        Err(_) => return Err(unreadable("is too large", "at most 18446744073709551615 bytes")),
    };
    let unit = unit.trim_start();
    let factor = UNITS.iter().find(|(name, _)| *name == unit || unit.is_empty()).map(|(_, factor)| *factor);
    let Some(factor) = factor else {
        // `mib`, `Mi`, `M`: the unit in binary, as most mean it.
        let near = UNITS.iter().find(|(name, _)| {
            name.eq_ignore_ascii_case(unit)
                || (!unit.is_empty() && name.len() == 3 && name.to_ascii_lowercase().starts_with(&unit.to_ascii_lowercase()))
        });
        return Err(match near {
            Some((name, _)) => unreadable(format!("has a unit `{unit}` that is not known"), format!("did you mean `{number}{name}`?")),
            None => not_a_size(),
        });
    };
    number.checked_mul(factor).ok_or_else(|| unreadable("is too large", "at most 18446744073709551615 bytes"))
}

/// `10/s`, `90/m`, `1000/h`: how many, and in how much time.
pub(in crate::config) fn rate(text: &str) -> Result<(NonZeroU32, Duration), Unreadable> {
    let hint = "a number and `/s`, `/m` or `/h`: `10/s`, `90/m`, `1000/h`";
    let not_a_rate = || unreadable("is not a rate", hint);
    let (count, unit) = text.split_once('/').ok_or_else(not_a_rate)?;
    let per = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(60 * 60),
        _ => return Err(not_a_rate()),
    };
    let count: u32 = count.trim().parse().map_err(|_| not_a_rate())?;
    let count = NonZeroU32::new(count).ok_or_else(|| {
        unreadable(
            "would never send anything",
            "a rate is at least `1/h`; `enabled: false` switches a destination off, and `wiza-relay pause` holds it back",
        )
    })?;
    if count.get() > RATE_COUNT_MAX {
        return Err(unreadable("is too high a rate", format!("at most `{RATE_COUNT_MAX}`; leave `rate_limit` out for no limit")));
    }
    Ok((count, per))
}

/// More than any relay sends, and far from where arithmetic on it overflows.
const RATE_COUNT_MAX: u32 = 1_000_000;

/// `90s` as `1m30s`: in the units that durations are written in, up to days.
pub(in crate::config) fn shown_duration(duration: Duration) -> String {
    let mut milliseconds = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if milliseconds >= length {
            text.push_str(&format!("{}{unit}", milliseconds / length));
            milliseconds %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// A size in the largest binary unit that holds it exactly.
pub(in crate::config) fn shown_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("10").unwrap_err().hint, "seconds are written `10s`");
        assert!(duration("1M").unwrap_err().hint.contains("`1m`"));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1B", 1),
            ("1KiB", 1024),
            ("2 MiB", 2 << 20),
            ("10GiB", 10 << 30),
            ("1KB", 1000),
            ("5MB", 5_000_000),
            ("3GB", 3_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, hint) in [("1mib", "`1MiB`"), ("1Mi", "`1MiB`"), ("1M", "`1MiB`"), ("1mb", "`1MB`"), ("7g", "`7GiB`")] {
            assert!(size(text).unwrap_err().hint.contains(hint), "{text}: {:?}", size(text));
        }
        for bad in ["", "MiB", "-1MiB", "1.5MiB", "1XB", "99999999999999999999", "99999999999GiB", "1 Mi B"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_and_sizes_are_shown_as_they_are_written() {
        for text in ["0s", "250ms", "1m30s", "3d", "1d2h3m4s5ms"] {
            assert_eq!(shown_duration(duration(text).unwrap()), text);
        }
        for text in ["0B", "1000B", "1KiB", "1536KiB", "10GiB"] {
            assert_eq!(shown_size(size(text).unwrap()), text);
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("10/s").unwrap(), (NonZeroU32::new(10).unwrap(), Duration::from_secs(1)));
        assert_eq!(rate("90 / m").unwrap().1, Duration::from_secs(60));
        assert_eq!(rate("1000/h").unwrap().1, Duration::from_secs(3600));
        for bad in ["", "10", "10/d", "0/s", "-1/s", "1.5/s", "4294967296/s", "2000000/s", "/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
