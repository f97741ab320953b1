//! Which routes an event matches, and so where it goes. Pure, and the same for the live path, `explain` and `test`.

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::condition::Scope;
use crate::config::{Config, Route};
use crate::event::{Event, EventSource};
use crate::withhold::{self, Withheld};

/// What the rules decided. Numbers are places in the file's lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Routes that matched, in the file's order, shadow routes among them.
    pub matched: Vec<usize>,
    /// Where the event goes: a destination, and the route that sends it there (`None`: `unmatched` does).
    pub deliveries: Vec<(usize, Option<usize>)>,
    /// Destinations that routes name and that get nothing, by whom, and why.
    pub withheld: Vec<(usize, Option<usize>, Withheld)>,
    /// No route took the event.
    pub unmatched: bool,
    /// Routes whose condition took too many steps on this event, and so counts as not matched.
    pub undecided: Vec<usize>,
}

/// Walks the routes: all that match apply, `stop` ends the walk, and of several routes to one destination the first
/// wins. A shadow route is only noted: it takes nothing and stops nothing.
///
/// Only those routes are looked at that the file's index finds; see [`decide_by_every_route`].
pub fn decide(config: &Config, event: &Event) -> Decision {
    let facts = || event.facts();
    let scope = Scope { payload: event.payload(), event: &facts };
    walk(config, event.source(), &scope, config.index.candidates(&scope, event.bytes()))
}

/// The same, looking at every route. What this says is right; the index only saves time, and the tests hold
/// [`decide`] against it.
pub fn decide_by_every_route(config: &Config, event: &Event) -> Decision {
    let facts = || event.facts();
    let scope = Scope { payload: event.payload(), event: &facts };
    walk(config, event.source(), &scope, 0..config.routes.len())
}

/// `places`: of the routes to look at, ascending. A route is offered the events of one source only. `unmatched` is for webhooks: an
/// own event that no route asks for is nothing that anybody misses.
fn walk(config: &Config, source: EventSource, scope: &Scope<'_>, places: impl Iterator<Item = usize>) -> Decision {
    let mut decision = Decision { unmatched: source == EventSource::Wiza, ..Decision::default() };
    let about = about(config, source, scope.payload);
    for place in places {
        let Some(route) = config.routes.get(place) else { break };
        if route.source != source {
            continue;
        }
        match matches(route, scope) {
            Matched::No => continue,
            Matched::Undecided => {
                decision.undecided.push(place);
                continue;
            }
            Matched::Yes => decision.matched.push(place),
        }
        if route.shadow {
            continue;
        }
        decision.unmatched = false;
        for target in route.to.iter().filter(|target| Some(target.destination) != about) {
            decision.add(config, scope, target.destination, Some(place));
        }
        if route.stop {
            break;
        }
    }
    if decision.unmatched {
        for target in &config.unmatched {
            decision.add(config, scope, target.destination, None);
        }
    }
    decision
}

/// The destination that an own event is about, by its place. Nothing of it is sent there: that a breaker is open would wait behind
/// the breaker, and what fails there would be told there.
pub fn about(config: &Config, source: EventSource, payload: &Value) -> Option<usize> {
    if source != EventSource::Relay {
        return None;
    }
    let name = payload.get("data")?.get("destination")?.as_str()?;
    config.destinations.iter().position(|destination| destination.name == name)
}

enum Matched {
    Yes,
    No,
    Undecided,
}

fn matches(route: &Route, scope: &Scope<'_>) -> Matched {
    match route.when.as_ref().map(|condition| condition.holds(scope)) {
        None | Some(Ok(true)) => Matched::Yes,
        Some(Ok(false)) => Matched::No,
        Some(Err(_)) => Matched::Undecided,
    }
}

impl Decision {
    fn add(&mut self, config: &Config, scope: &Scope<'_>, destination: usize, route: Option<usize>) {
        let is_known = self.deliveries.iter().any(|(taken, _)| *taken == destination);
        if is_known || self.withheld.iter().any(|(taken, ..)| *taken == destination) {
            return;
        }
        match config.destinations.get(destination).and_then(|destination| withhold::at_planning(destination, scope)) {
            None => self.deliveries.push((destination, route)),
            Some(why) => self.withheld.push((destination, route, why)),
        }
    }
}
