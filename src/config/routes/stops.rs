//! Routes that can never match, because `stop: true` before them ends the walk for all that they would take.

use std::collections::HashMap;

use crate::condition::Demands;

use super::route::Route;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;

/// Of the stops that one demand leads to, so many are compared with a route: otherwise the time that a file takes
/// would grow with the square of its length.
const STOPS_COMPARED_MAX: usize = 64;

/// The routes so far that end the walk.
#[derive(Default)]
pub(in crate::config) struct Stops {
    routes: Vec<Stop>,
    /// The first route that stops every event.
    every: Option<usize>,
    /// Alternatives of stops, by the first of their demands, each with its place in `routes`.
    by_demand: HashMap<String, Vec<(Demands, usize)>>,
}

struct Stop {
    /// Byte offset of the route.
    offset: usize,
    name: String,
}

impl Stops {
    /// Warns of a route that can never match, and notes one that stops. A broken route is not judged.
    pub fn meet(&mut self, decoder: &mut Decoder<'_>, node: &Node, route: Option<&Route>) {
        if let Some(Stop { offset, name }) = self.every.and_then(|every| self.routes.get(every)) {
            let place = decoder.report.place_seen_from(*offset, node.span.start);
            decoder
                .report
                .warning(node.span.clone(), format!("this route can never match: {} stops every event", quoted(name)))
                .hint(format!("the route {place} has `stop: true` and no `when`"));
            return;
        }
        let Some(route) = route else { return };
        // Without `when` there is one alternative, which demands nothing.
        let alternatives = route.when.as_ref().map_or_else(|| Some(vec![Demands::new()]), |when| when.alternatives());
        let Some(alternatives) = alternatives else { return };
        if let Some(Stop { offset, name }) = self.before_all_of(&alternatives) {
            let place = decoder.report.place_seen_from(*offset, node.span.start);
            decoder
                .report
                .warning(node.span.clone(), format!("this route can never match: {} stops every event that it would take", quoted(name)))
                .hint(format!("the route {place} has `stop: true` and takes all of them; put this one before it"));
        }
        if route.stop && !route.shadow {
            self.note(node.span.start, route, alternatives);
        }
    }

    /// The stop that takes what the last of these alternatives takes, where each of them is taken by one.
    fn before_all_of(&self, alternatives: &[Demands]) -> Option<&Stop> {
        let takers: Option<Vec<usize>> = alternatives.iter().map(|demands| self.before(demands)).collect();
        takers?.into_iter().max().and_then(|place| self.routes.get(place))
    }

    /// The stop that takes every event which meets these demands.
    fn before(&self, demands: &Demands) -> Option<usize> {
        let candidates = demands.iter().filter_map(|demand| self.by_demand.get(demand)).flatten();
        candidates.filter(|(wider, _)| wider.is_subset(demands)).map(|(_, place)| *place).min()
    }

    fn note(&mut self, offset: usize, route: &Route, alternatives: Vec<Demands>) {
        let place = self.routes.len();
        self.routes.push(Stop { offset, name: route.name.clone() });
        for demands in alternatives {
            let Some(first) = demands.first().cloned() else {
                self.every = self.every.or(Some(place));
                continue;
            };
            let stops = self.by_demand.entry(first).or_default();
            if stops.len() < STOPS_COMPARED_MAX {
                stops.push((demands, place));
            }
        }
    }
}
