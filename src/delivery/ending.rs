//! Why a delivery was given up, in one word: for metrics and for the relay's own events.

use super::FailureReason;

/// Why a delivery was given up, coarsely enough to be a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// After an attempt; what was wrong with the last one.
    Failed(FailureReason),
    /// The destination's `expire` was over.
    Expired,
    /// The destination's `never` refuses the event.
    Never,
    /// The destination was held back for longer than `retention.parked`.
    Parked,
}

impl Ending {
    /// Every value of the label.
    pub fn all() -> impl Iterator<Item = Self> {
        FailureReason::ALL.into_iter().map(Self::Failed).chain([Self::Expired, Self::Never, Self::Parked])
    }

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed(reason) => reason.label(),
            Self::Expired => "expired",
            Self::Never => "never",
            Self::Parked => "parked",
        }
    }
}
