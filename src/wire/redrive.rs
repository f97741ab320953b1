//! Taking dead deliveries up again: what is asked for, and what was done.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::listing::DeliveryStatus;

/// Which dead deliveries, and how fast. Either `ids` or `filter`; an empty filter means all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedriveRequest {
    /// These, `<event id>_<destination>` each; 10,000 at most.
    pub ids: Vec<String>,
    /// Those that this finds.
    pub filter: Option<RedriveFilter>,
    /// How many become due a second; 0: all at once. By default 50.
    pub per_second: Option<u32>,
    /// Only count them.
    pub dry_run: bool,
}

/// As in the listing of deliveries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedriveFilter {
    /// To this destination.
    pub destination: Option<String>,
    /// That this route sent.
    pub route: Option<String>,
    /// Of events that came with a key of this name.
    pub account: Option<String>,
    /// Of events received then or later: RFC 3339, or how long ago.
    pub since: Option<String>,
    /// Of events received before then.
    pub until: Option<String>,
    /// Of events whose body, path, query or id holds this text.
    pub search: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RedriveAnswer {
    /// Whether they were only counted.
    pub dry_run: bool,
    /// How many are dead, of those that were asked for.
    pub matched: u64,
    /// How many of them are sent again now; 0 where they were only counted.
    pub planned: u64,
    /// How many of the `ids` are not dead, so that nothing was done with them.
    #[serde(default)]
    pub already: u64,
    /// By destination.
    pub destinations: Vec<Counted>,
    /// Why, of the first 100 of them.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// A delivery that was asked for by its id, and is not taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// Where it stands; `None`: there is no such delivery.
    pub status: Option<DeliveryStatus>,
    /// The same in words.
    pub reason: String,
}

/// A count of one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// Its name.
    pub destination: String,
    /// How many.
    pub count: u64,
}
