//! How long a reply asks the relay to wait: `Retry-After`, and `RateLimit-Reset` where only that is there. Pure.

use std::time::Duration;

use http::header::{DATE, HeaderMap, RETRY_AFTER};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A reply's `Date` that is off by no more says nothing against the clock: dates have whole seconds, and servers cache them.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);
/// What limiters send beside `Retry-After`, or in its place: the seconds until the count begins anew.
const RATELIMIT_RESET: &str = "ratelimit-reset";
/// A number from here on is a Unix time and no number of seconds: some services send that. Of `Retry-After` it is read as that time.
/// Of `RateLimit-Reset` it is not used, because the two clocks may differ by more than the wait.
const UNIX_TIMES_FROM: Duration = Duration::from_secs(1_000_000_000);
/// A two-digit year that would lie further ahead than this is one of the last century (RFC 9110, section 5.6.7).
const TWO_DIGIT_YEARS_AHEAD: i16 = 50;

/// Until when the reply asks the relay to wait; `None` where it says nothing that can be read. A time that is not after
/// `now` means that it asked to come again and named no wait.
///
/// `throttled` says that the status alone is a throttle: only then does `RateLimit-Reset` speak of this request, as limiters
/// send it with every reply. `X-RateLimit-Reset` is never read: it is a Unix time with some limiters and a wait with others.
/// A Unix time counts only within `wait_max` of now: one that is further away is no time that anybody meant.
pub fn rest_asked_for(headers: &HeaderMap, throttled: bool, now: Timestamp, wait_max: Duration) -> Option<Timestamp> {
    let texts = |name: &str| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok().map(str::trim));
    // A date is of the other side's clock, and so is the reply's own: where that clock is wrong, their difference still holds.
    let their_now = headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(|date| http_date(date, now));
    let their_now = their_now.filter(|theirs| theirs.duration_since(now).unsigned_abs() > CLOCKS_AGREE).unwrap_or(now);
    let asked = texts(RETRY_AFTER.as_str()).flat_map(elements).filter_map(|text| retry_after(text, their_now, wait_max)).max();
    let asked = asked.or_else(|| {
        let resets = texts(RATELIMIT_RESET).filter(|_| throttled);
        resets.filter_map(seconds).filter(|wait| *wait < UNIX_TIMES_FROM).max()
    });
    asked.map(|wait| now.checked_add(wait).unwrap_or(Timestamp::MAX))
}

/// The value of a header. Of several that something on the way joined with commas (`4, 4`) it is the first, if that is a number: a
/// date has a comma of its own.
fn elements(text: &str) -> Option<&str> {
    let first = text.split(',').next().map(str::trim);
    first.filter(|first| seconds(first).is_some() && text.split(',').all(|each| seconds(each.trim()).is_some())).or(Some(text))
}

/// Reads a `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). A date that is over gives no time at all.
fn retry_after(text: &str, now: Timestamp, wait_max: Duration) -> Option<Duration> {
    let until = |at: Timestamp| at.duration_since(now);
    match seconds(text) {
        Some(wait) if wait < UNIX_TIMES_FROM => Some(wait),
        Some(unix_time) => {
            let at = Timestamp::from_second(i64::try_from(unix_time.as_secs()).ok()?).ok()?;
            (until(at).unsigned_abs() <= wait_max).then(|| Duration::try_from(until(at)).unwrap_or_default())
        }
        None => http_date(text, now).map(|at| Duration::try_from(until(at)).unwrap_or_default()),
    }
}

/// Whole seconds, or a fraction of them, which is rounded up. Any number of digits, a `+` before them or a lone point after them.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // So many digits that they are no number any more ask for longer than anybody waits.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    Some(Duration::from_secs(whole.saturating_add(u64::from(fraction.bytes().any(|digit| digit != b'0')))))
}

/// Reads a date in any of the three forms of RFC 9110, section 5.6.7, and near them: the weekday may be wrong or missing, and
/// the zone may be `UTC` or an offset (`-0000`), as some libraries write it. RFC 3339 is read too.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(timestamp) = text.trim().parse() {
        return Some(timestamp);
    }
    let words: Vec<&str> = text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
    let words = match words.as_slice() {
        [first, rest @ ..] if first.bytes().all(|byte| byte.is_ascii_alphabetic()) && month(first).is_none() => rest,
        words => words,
    };
    let dashed: Vec<&str> = words.first()?.split('-').collect();
    let (day, month_name, year, time, zone) = match (dashed.as_slice(), words) {
        // 06-Nov-94 08:49:37 GMT
        ([day, month, year], [_, time, zone @ ..]) => (*day, *month, *year, *time, zone),
        // Nov  6 08:49:37 1994
        (_, [name, day, time, year, zone @ ..]) if month(name).is_some() => (*day, *name, *year, *time, zone),
        // 06 Nov 1994 08:49:37 GMT
        (_, [day, month, year, time, zone @ ..]) => (*day, *month, *year, *time, zone),
        _ => return None,
    };
    let offset = match zone {
        [] => Offset::UTC,
        [zone] => offset(zone)?,
        _ => return None,
    };
    // Some libraries write a fraction of a second (`08:49:37.123`). It is less than what clocks differ by.
    let time = match time.split_once('.') {
        Some((time, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => time,
        _ => time,
    };
    let mut clock = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let (day, month) = (day.parse().ok()?, month(month_name)?);
    // A minute may have a 61st second, which civil time does not know.
    let at = |year| offset.to_timestamp(DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?).ok();
    let number: i16 = year.parse().ok()?;
    if year.len() != 2 {
        return at(number);
    }
    let this_year = Offset::UTC.to_datetime(now).year();
    let year = this_year - this_year % 100 + number;
    at(if year > this_year + TWO_DIGIT_YEARS_AHEAD { year - 100 } else { year })
}

/// The month that a word names by its first three letters.
fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    (1..).zip(MONTHS).find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(number, _)| number)
}

/// `GMT` and its other names, or `+hhmm`.
fn offset(zone: &str) -> Option<Offset> {
    if ["GMT", "UTC", "UT", "Z"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(Offset::UTC);
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..).filter(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number: i32 = digits.parse().ok()?;
    Offset::from_seconds(sign * (number / 100 * 3600 + number % 100 * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// The seconds that a reply with these headers asks for.
    fn asked(throttled: bool, headers: &[(&'static str, &str)]) -> Option<i64> {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let mut all = HeaderMap::new();
        for (name, value) in pairs {
            all.append(name, value);
        }
        rest_asked_for(&all, throttled, now(), HOUR).map(|at| at.as_second() - now().as_second())
    }

    #[test]
    fn seconds_may_be_a_fraction_or_more_than_a_number_holds() {
        for (text, wait) in
            [("120", 120), (" 120 ", 120), ("0", 0), ("1.5", 2), ("0.2", 1), ("3.0", 3), ("1.", 1), ("+3", 3), ("4, 4", 4), ("4,7", 4)]
        {
            assert_eq!(asked(false, &[("retry-after", text)]), Some(wait), "{text}");
        }
        assert_eq!(asked(false, &[("retry-after", "999999999")]), Some(999_999_999));
        for nonsense in ["", "soon", "-1", "1e3", ".5", "+", "++3", ".", "4, soon", "120s", "NaN", "\u{b2}"] {
            assert_eq!(asked(true, &[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn all_three_forms_of_a_date_are_read_and_those_near_them() {
        for date in [
            "Fri, 02 Jan 2026 03:05:05 GMT",
            "Friday, 02-Jan-26 03:05:05 GMT",
            "Fri Jan  2 03:05:05 2026",
            "Fri, 02 Jan 2026 03:05:05 -0000",
            "Fri, 02 Jan 2026 03:05:05 +0000",
            "Fri, 02 Jan 2026 03:05:05 UTC",
            "Fri, 02 Jan 2026 04:35:05 +0130",
            "Mon, 02 Jan 2026 03:05:05 GMT",
            "Montag, 02-Jan-26 03:05:05 GMT",
            "02 Jan 2026 03:05:05 GMT",
            "Fri, 2 Jan 2026 03:05:05 GMT",
            "Fri, 02-Jan-2026 03:05:05 GMT",
            "fri, 02 jan 2026 03:05:05 gmt",
            "2026-01-02T03:05:05Z",
            "Fri, 02 Jan 2026 03:05:05.123 GMT",
            "Fri Jan  2 03:05:05.9 2026",
        ] {
            assert_eq!(asked(false, &[("retry-after", date)]), Some(60), "{date}");
        }
        assert_eq!(asked(false, &[("retry-after", "Fri, 02 Jan 2026 03:04:60 GMT")]), Some(54), "a leap second");
        assert_eq!(asked(false, &[("retry-after", "Fri, 02 Jan 2026 03:00:00 GMT")]), Some(0), "over: come again, no wait named");
        for nonsense in [
            "Fri, 32 Jan 2026 03:05:05 GMT",
            "Fri, 02 Jan 2026 25:05:05 GMT",
            "Fri, 02 Jan 2026 03:05 GMT",
            "Fri, 02 Jan 2026 03:05:05 XYZ",
            "Fri, 02 Jan 2026 03:05:05.x GMT",
            "Fri, 02 Jan 2026 03:05:05 GMT GMT",
            "Fri, 02 Foo 2026 03:05:05 GMT",
            "Fri",
            ", ,",
            "-",
            "--- 1:1:1",
            "Fri, 02 Jan 2026 03:05:05 -\u{e9}",
        ] {
            assert_eq!(asked(false, &[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn a_unix_time_is_read_as_that_time_if_it_is_near_and_holds_nothing_back_if_not() {
        let then = now().as_second();
        for (ahead, wait) in [(2, Some(2)), (3600, Some(3600)), (-5, Some(0)), (3601, None), (-3601, None)] {
            assert_eq!(asked(true, &[("retry-after", &(then + ahead).to_string())]), wait, "{ahead}");
        }
        let milliseconds = (then * 1000).to_string();
        for far in ["1000000000", "99999999999", "999999999999999999999999999", &milliseconds] {
            assert_eq!(asked(true, &[("retry-after", far)]), None, "{far}");
        }
        assert_eq!(asked(true, &[("retry-after", "99999999999"), ("ratelimit-reset", "7")]), Some(7));
        let ahead = [("date", "Fri, 02 Jan 2026 09:00:00 GMT"), ("retry-after", "1767344430")];
        assert_eq!(asked(false, &ahead), Some(30), "it is of the other side's clock, as a date is");
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_50_years_ahead() {
        for (text, year) in [("26", 2026), ("76", 2076), ("77", 1977), ("94", 1994), ("00", 2000)] {
            let at = http_date(&format!("Sunday, 06-Nov-{text} 08:49:37 GMT"), now()).unwrap();
            assert_eq!(Offset::UTC.to_datetime(at).year(), year, "{text}");
        }
    }

    #[test]
    fn a_date_counts_from_the_clock_that_it_is_of() {
        let ahead = [("date", "Fri, 02 Jan 2026 09:00:00 GMT"), ("retry-after", "Fri, 02 Jan 2026 09:00:30 GMT")];
        assert_eq!(asked(false, &ahead), Some(30), "a clock that is six hours fast does not hold it back for six hours");
        let cached = [("date", "Fri, 02 Jan 2026 03:04:03 GMT"), ("retry-after", "Fri, 02 Jan 2026 03:04:15 GMT")];
        assert_eq!(asked(false, &cached), Some(10), "a date that was made a moment ago adds nothing");
    }

    #[test]
    fn of_two_the_longer_counts_and_what_cannot_be_read_counts_for_nothing() {
        assert_eq!(asked(false, &[("retry-after", "5"), ("retry-after", "soon"), ("retry-after", "30")]), Some(30));
    }

    #[test]
    fn ratelimit_reset_counts_on_a_throttle_that_says_nothing_else() {
        assert_eq!(asked(true, &[("ratelimit-reset", "7")]), Some(7));
        assert_eq!(asked(true, &[("ratelimit-reset", "7"), ("retry-after", "3")]), Some(3));
        assert_eq!(asked(false, &[("ratelimit-reset", "7")]), None, "sent with every reply");
        assert_eq!(asked(true, &[("ratelimit-reset", "1767323045")]), None, "a Unix time");
        for value in ["7", "1767323045"] {
            assert_eq!(asked(true, &[("x-ratelimit-reset", value)]), None, "it is a wait with some and a time with others");
        }
    }
}
