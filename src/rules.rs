//! The rules in effect: a validated file together with the store's keys for its names.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::config::Config;
use crate::delivery::{DestinationKey, OrderKey, Plan, Planned, RouteKey};
use crate::event::{Event, rfc3339_milliseconds};
use crate::names::{Keys, Names, RulesKey};
use crate::route::{self, Decision};
use crate::transform::Shape;

/// Where the rules in effect are read: one load gives one version for a whole event.
pub type CurrentRules = Arc<ArcSwap<Rules>>;

/// One version of the rules.
#[derive(Debug)]
pub struct Rules {
    /// The file.
    pub config: Config,
    keys: Keys,
    /// The routes' places by their keys.
    route_places: HashMap<RouteKey, usize>,
}

/// What is known of the file behind the rules.
#[derive(Debug, Clone)]
pub struct FileStatus {
    /// The version in effect.
    pub version: String,
    /// Since when it is in effect.
    pub since: Timestamp,
    /// Why what the file holds now is not in effect, if so.
    pub refused: Option<Refused>,
}

/// A file that could not take effect.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When it was read.
    pub at: Timestamp,
    /// `2 errors, the first at routes.yaml:3:7`; quotes nothing of the file.
    pub reason: String,
}

/// The line that tells an operator.
impl fmt::Display for FileStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules: version {} in effect since {}", self.version, rfc3339_milliseconds(self.since))?;
        match &self.refused {
            None => Ok(()),
            Some(Refused { at, reason }) => {
                write!(f, "; what the file has held since {} is not: {reason}", rfc3339_milliseconds(*at))
            }
        }
    }
}

/// Where the file's status is read.
pub type CurrentStatus = Arc<ArcSwap<FileStatus>>;

/// The names that must have keys before `config` can take effect.
pub fn names(config: &Config) -> Names {
    Names {
        destinations: config.destinations.iter().map(|destination| destination.name.clone()).collect(),
        disabled: config
            .destinations
            .iter()
            .filter(|destination| !destination.enabled)
            .map(|destination| destination.name.clone())
            .collect(),
        expire: config.destinations.iter().filter_map(|destination| Some((destination.name.clone(), destination.expire?))).collect(),
        routes: config.routes.iter().map(|route| route.name.clone()).collect(),
        version: config.version.clone(),
        dedupe_window: config.source.dedupe.window,
        retention: config.retention,
        held_by: None,
    }
}

impl Rules {
    /// The keys are those that the store gave for [`names`] of this very `config`.
    pub fn new(config: Config, keys: Keys) -> Self {
        let route_places = keys.routes.iter().enumerate().map(|(place, key)| (*key, place)).collect();
        Self { config, keys, route_places }
    }

    /// The version's key in the store.
    pub fn key(&self) -> RulesKey {
        self.keys.rules
    }

    /// The destinations with their keys, in the file's order.
    pub fn destinations(&self) -> impl Iterator<Item = (DestinationKey, usize)> + '_ {
        self.keys.destinations.iter().enumerate().map(|(place, key)| (*key, place))
    }

    /// Decides where an event goes, in the file's places and in the store's keys.
    pub fn plan(&self, event: &Event) -> (Decision, Plan) {
        let decision = route::decide(&self.config, event);
        let route_key = |place: &usize| self.keys.routes.get(*place).copied();
        let plan = Plan {
            routes: decision.matched.iter().filter_map(route_key).collect(),
            deliveries: decision
                .deliveries
                .iter()
                .filter_map(|(destination, route)| {
                    let order_by = self.config.destinations.get(*destination).and_then(|destination| destination.order_by.as_ref());
                    let order = order_by.and_then(|order_by| order_by.key_text(event.payload())).map(|text| OrderKey::of(&text));
                    let destination = self.keys.destinations.get(*destination).copied()?;
                    Some(Planned { destination, route: route.as_ref().and_then(route_key), order })
                })
                .collect(),
            unmatched: decision.unmatched,
        };
        (decision, plan)
    }

    /// The name of the route with this key, and how it wants requests to the destination at `place` to look. A route
    /// that has left the file since the event was planned has no say any more: the destination's own shape counts.
    pub fn target(&self, route: Option<RouteKey>, place: usize) -> (&str, Option<&Shape>) {
        let route = match route {
            None => None,
            Some(key) => match self.route_places.get(&key) {
                Some(place) => Some(*place),
                None => return (GONE, None),
            },
        };
        self.config.target(route, place)
    }
}

/// The route's name where it has left the file.
const GONE: &str = "(no longer in the file)";
