//! What the store counts and measures: the conservation equation's terms by destination, the room that it takes, what failed.

use std::sync::Arc;

use jiff::Timestamp;

/// The room that the store takes, and that it may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that the store takes.
    pub bytes: u64,
    /// Bytes above which delivered events are deleted before their time.
    pub limit_bytes: u64,
    /// Bytes that may still be written; `None` where the engine does not know.
    pub available_bytes: Option<u64>,
}

/// What has failed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failed {
    /// Commits.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
}

/// One destination's terms. The first four only ever grow and survive restarts and retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestinationFigures {
    /// The name in routes.yaml.
    pub name: Arc<str>,
    /// Whether the name is in the file now and not switched off; if not, what is outstanding is parked.
    pub active: bool,
    /// Whether the file has it, with `enabled: false`. Known once the rules are in effect.
    pub disabled: bool,
    /// Deliveries that rules planned.
    pub planned: u64,
    /// Dead deliveries that were taken up again.
    pub redriven: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries given up.
    pub dead: u64,
    /// Dead deliveries still kept.
    pub dead_kept: u64,
}

/// What is known of a destination beside its figures and how it stands: since when, by whom, and what it last said. Over restarts, but
/// for the last field. Times before the store knew them are absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DestinationHistory {
    /// Since when its circuit is what it is.
    pub circuit_since: Option<Timestamp>,
    /// Who set the circuit by hand.
    pub circuit_by: Option<String>,
    /// Since when it is held (Retry-After); says nothing where no hold lasts.
    pub hold_since: Option<Timestamp>,
    /// When it left routes.yaml; says nothing where it is in the file.
    pub removed_at: Option<Timestamp>,
    /// When it last took a delivery.
    pub last_delivered_at: Option<Timestamp>,
    /// The last attempt that failed.
    pub last_failure: Option<LastFailure>,
    /// Deliveries a second that got a final outcome within the last minute; `None` where none did.
    pub ended_per_second: Option<f64>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When that was written down.
    pub at: Timestamp,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, where that is more than a status.
    pub error: Option<String>,
    /// The first KiB of the reply, known secrets masked. It ends with its event.
    pub reply: Option<String>,
}

impl DestinationFigures {
    /// Deliveries without a final outcome.
    pub fn outstanding(&self) -> u64 {
        (self.planned + self.redriven).saturating_sub(self.delivered + self.dead)
    }

    /// Outstanding deliveries that are being worked on.
    pub fn waiting(&self) -> u64 {
        if self.active { self.outstanding() } else { 0 }
    }

    /// Outstanding deliveries whose destination is not in the file, or switched off there.
    pub fn parked(&self) -> u64 {
        if self.active { 0 } else { self.outstanding() }
    }
}
