//! Which rules are in effect.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The rules in effect, and what is known of their file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesState {
    /// The version: the beginning of a hash of the rules' text.
    pub version: String,
    /// Since when it is in effect.
    pub since: String,
    /// Why what the file holds now is not in effect, if so.
    pub refused: Option<RefusedRules>,
}

/// A file that could not take effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRules {
    /// When it was read.
    pub at: String,
    /// `2 errors, the first at routes.yaml:3:7`.
    pub reason: String,
}
