//! Where a page begins, as a text that its reader hands back without looking into it.

use std::fmt;
use std::str::FromStr;

use crate::delivery::DestinationKey;
use crate::event::EventId;

/// In a walk along the events: after this event's delivery to this destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InEvents {
    pub event: EventId,
    pub destination: Option<DestinationKey>,
}

/// In a walk along the rows of deliveries in one state: after the row of this event (by its place in the order of
/// acceptance) and this destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InRows {
    pub sequence: i64,
    pub destination: DestinationKey,
}

impl fmt::Display for InEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) => write!(f, "e{}.{}", self.event, destination.0),
            None => write!(f, "e{}", self.event),
        }
    }
}

impl fmt::Display for InRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}.{}", self.sequence, self.destination.0)
    }
}

/// A text that is no cursor of this listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoCursor;

impl FromStr for InEvents {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let rest = text.strip_prefix('e').ok_or(NoCursor)?;
        let (event, destination) = match rest.split_once('.') {
            Some((event, destination)) => (event, Some(DestinationKey(destination.parse().map_err(|_| NoCursor)?))),
            None => (rest, None),
        };
        Ok(Self { event: event.parse().map_err(|_| NoCursor)?, destination })
    }
}

impl FromStr for InRows {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (sequence, destination) = text.strip_prefix('r').and_then(|rest| rest.split_once('.')).ok_or(NoCursor)?;
        let destination = DestinationKey(destination.parse().map_err(|_| NoCursor)?);
        Ok(Self { sequence: sequence.parse().map_err(|_| NoCursor)?, destination })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_another_text_is_refused() {
        let event: EventId = "0197a000-0000-7000-8000-000000000001".parse().unwrap();
        for destination in [None, Some(DestinationKey(7))] {
            let cursor = InEvents { event, destination };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let cursor = InRows { sequence: i64::MAX, destination: DestinationKey(0) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "e", "r1", "r1.x", "1.2", "e1.2"] {
            assert_eq!(text.parse::<InEvents>(), Err(NoCursor), "{text}");
            assert_eq!(text.parse::<InRows>(), Err(NoCursor), "{text}");
        }
    }
}
