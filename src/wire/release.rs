//! Letting an event out of quarantine.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::listing::EventStatus;

/// What became of an event that was in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseAnswer {
    /// The event.
    pub id: String,
    /// `routed`, or `unmatched` where no route took it.
    pub status: EventStatus,
    /// The routes that matched, shadow routes among them.
    pub routes: Vec<String>,
    /// Its deliveries, `<event id>_<destination>` each. They are due at once.
    pub deliveries: Vec<String>,
}
