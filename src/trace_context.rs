//! How an event is found in a tracing system: W3C Trace Context. Pure.
//!
//! One trace an event, whose id is the event's. So nothing of a trace has to be stored: an attempt that is made days later, by
//! another process, belongs to it all the same.

use std::fmt;

use crate::event::EventId;

/// A span: its place in a trace, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace's id.
    pub trace: [u8; 16],
    /// The span's own id, never 0.
    pub id: u64,
    /// Whether it is recorded, by whoever made it.
    pub sampled: bool,
}

impl Span {
    /// The one in which the event was received. Its id is the last half of the event's, 62 bits of which are random.
    pub fn of_receipt(event: &EventId, sampled: bool) -> Self {
        let [.., a, b, c, d, e, f, g, h] = *event.as_bytes();
        Self { trace: *event.as_bytes(), id: u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1), sampled }
    }

    /// Another one in the event's trace. `random` names it.
    pub fn within(event: &EventId, random: u64, sampled: bool) -> Self {
        Self { trace: *event.as_bytes(), id: random.max(1), sampled }
    }

    /// Reads a `traceparent` (version 00, and of later ones what they promise to keep).
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (version, flags) = (hex(version, 2)?, hex(flags, 2)?);
        let (trace, id) = (hex(trace, 32)?, u64::try_from(hex(id, 16)?).ok()?);
        let ends_well = version != 0 || parts.next().is_none();
        (version != 0xff && ends_well && trace != 0 && id != 0).then_some(Self { trace: trace.to_be_bytes(), id, sampled: flags & 1 == 1 })
    }

    /// The trace's id in hex.
    pub fn trace_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }

    /// The span's id in hex.
    pub fn id_hex(&self) -> String {
        format!("{:016x}", self.id)
    }
}

/// The form of a `traceparent`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", u128::from_be_bytes(self.trace), self.id, u8::from(self.sampled))
    }
}

/// So many digits in lower case, and no sign.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let well_formed = text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if well_formed { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receipt_is_named_by_the_event_alone() {
        let event: EventId = "0197a000-0000-7000-8000-0000000000ff".parse().unwrap();
        assert_eq!(Span::of_receipt(&event, true).to_string(), "00-0197a0000000700080000000000000ff-80000000000000ff-01");
        assert_eq!(Span::within(&event, 0, false).to_string(), "00-0197a0000000700080000000000000ff-0000000000000001-00");
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Span::from_traceparent(good).unwrap().to_string(), good);
        assert!(!Span::from_traceparent(&good.replace("-01", "-02")).unwrap().sampled);
        assert!(Span::from_traceparent(&(good.replacen("00", "cc", 1) + "-what-comes-later")).is_some());
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        ] {
            assert_eq!(Span::from_traceparent(bad), None, "{bad}");
        }
    }
}
