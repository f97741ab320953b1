//! What keeps a delivery from being made although a route names its destination: the destination is switched off, its guard refuses
//! the event, or the time is over after which the event is worth nothing to it. Pure: `now` is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::condition::Scope;
use crate::config::Destination;
use crate::delivery::Ending;
use crate::event::Event;

/// Why a route's destination gets no delivery of an event: nothing is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The destination has `enabled: false`.
    Disabled,
    /// The destination's `never` holds on the event.
    Refused,
    /// It took too many steps on the event. A guard that cannot tell refuses: what it is there to keep back may be in the event.
    Undecided,
}

impl Withheld {
    /// All labels of metrics.
    pub const LABELS: [&str; 2] = ["disabled", "never"];

    /// In one word, as a metric's label and in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Refused | Self::Undecided => "never",
        }
    }

    /// In words, which follow the destination's name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Disabled => "has `enabled: false`",
            Self::Refused => "refuses this event: its `never` holds",
            Self::Undecided => "refuses this event: its `never` takes too many steps on it, so nobody knows",
        }
    }
}

/// Whether a delivery may be planned.
pub fn at_planning(destination: &Destination, scope: &Scope<'_>) -> Option<Withheld> {
    if !destination.enabled {
        return Some(Withheld::Disabled);
    }
    match destination.never.as_ref()?.holds(scope) {
        Ok(false) => None,
        Ok(true) => Some(Withheld::Refused),
        Err(_) => Some(Withheld::Undecided),
    }
}

/// Why a delivery that was planned is not to be attempted any more, in one word and in words that name nothing of the event. `since` is the event's
/// receipt, or when the delivery was last taken up by hand. The guard is asked again: the rules may have changed since.
pub fn at_delivery(destination: &Destination, event: &Event, since: Timestamp, now: Timestamp) -> Option<(Ending, String)> {
    if let Some(expire) = destination.expire
        && since.checked_add(expire).is_ok_and(|end| end <= now)
    {
        return Some((Ending::Expired, expired(expire)));
    }
    let facts = || event.facts();
    let never = destination.never.as_ref()?;
    match never.holds(&Scope { payload: event.payload(), event: &facts }) {
        Ok(false) => None,
        Ok(true) => Some((Ending::Never, "refused: the destination's `never` holds on this event".to_owned())),
        Err(_) => Some((Ending::Never, "refused: the destination's `never` takes too many steps on this event".to_owned())),
    }
}

/// The reason of a delivery that ended because its time was over.
pub fn expired(expire: Duration) -> String {
    format!("expired: it was not delivered within {}", humantime::format_duration(expire))
}
