//! Dates: `now()`, and the filter `date`. The time is an argument of rendering, and the rules of time zones come with the binary,
//! so that the same event is rendered to the same text on every machine.

use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ZonedDateTime};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value};

use crate::event::rfc3339_milliseconds;
use crate::transform::semantics::printing::text_of;

use super::{arguments, says, text};

const FORMAT: &str = "%Y-%m-%d";
/// The length of `2026-01-31`.
const DATE_BYTES: usize = 10;
/// One unit of fuel pays for this many bytes of a format: each can become some fifty.
const FORMAT_BYTES_PER_FUEL: usize = 2;

/// The function `now()` of a rendering at this time: a text as `event.received_at` is one.
pub(in crate::transform) fn now(at: Timestamp) -> Value {
    Value::from_function(move || rfc3339_milliseconds(at))
}

/// `date(format="%Y-%m-%d", tz="UTC")`: a moment (RFC 3339, or seconds since 1970) as it is called in a time zone. A date without a
/// time is the same everywhere.
pub(super) fn date(state: &State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let [format, zone] = arguments(given, &named, ["format", "tz"])?;
    let format = text(format, FORMAT)?;
    state.consume_fuel(u64::try_from(format.len() / FORMAT_BYTES_PER_FUEL).unwrap_or(u64::MAX))?;
    let zone = zone_named(&text(zone, "UTC")?).ok_or_else(|| says("the time zone is not known; one is `Europe/Berlin`"))?;
    let text = text_of(state, value)?;
    let moment = if value.kind() == ValueKind::Number { at_second(value, zone) } else { written(&text, zone) };
    let moment = moment.ok_or_else(|| says("this is no date: RFC 3339 with its offset, `2026-01-31`, or seconds since 1970"))?;
    jiff::fmt::strtime::format(&format, &moment)
        .map_err(|_| says("the format is not one of dates: `%Y-%m-%d %H:%M`; a literal `%` is written `%%`"))
}

/// A zone of the IANA database by its name.
fn zone_named(name: &str) -> Option<TimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    ZONES.get(name).ok()
}

fn at_second(value: &Value, zone: TimeZone) -> Option<ZonedDateTime> {
    let moment = match i64::try_from(value.clone()) {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => {
            let seconds = f64::try_from(value.clone()).ok()?;
            jiff::SignedDuration::try_from_secs_f64(seconds).ok().and_then(|since| Timestamp::from_duration(since).ok())
        }
    };
    Some(moment?.to_zoned_datetime(zone))
}

fn written(text: &str, zone: TimeZone) -> Option<ZonedDateTime> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.to_zoned_datetime(zone));
    }
    // Longer ones have a time and no offset, and nobody knows when that was.
    let date: Date = text.parse().ok().filter(|_| text.len() == DATE_BYTES)?;
    date.to_zoned_datetime(zone).ok()
}
