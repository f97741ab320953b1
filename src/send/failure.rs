//! What went wrong with a request, as a value for the log and for the metrics.

use crate::delivery::FailureReason;
use crate::egress::Refusal;

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub reason: FailureReason,
    /// For an operator; without the URL, which may hold a secret.
    pub words: String,
}

impl Failure {
    /// A connection that could not be made or that broke.
    pub fn connection(words: impl Into<String>) -> Self {
        Self { reason: FailureReason::Connection, words: words.into() }
    }

    /// A host or an address that no request may go to.
    pub fn refused(refusal: &Refusal) -> Self {
        Self { reason: FailureReason::Egress, words: refusal.to_string() }
    }

    /// The same while connecting.
    pub fn connecting(self) -> Self {
        Self { words: format!("cannot connect: {}", self.words), ..self }
    }
}
