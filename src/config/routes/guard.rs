//! `never`: where a route sends to a destination only what that destination refuses, nothing would ever come of it.

use std::sync::Arc;

use crate::condition::Demands;

use super::route::Route;
use crate::config::destinations::destination::Destination;
use crate::config::doubts::readers::Nodes;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;

/// Alternatives of a guard that are compared with those of a route, and the other way round: a guard is short.
const ALTERNATIVES_MAX: usize = 64;

/// Refuses routes whose `when` holds only where the `never` of a destination that they name holds too.
pub(in crate::config) fn refuse(decoder: &mut Decoder<'_>, nodes: &Nodes<'_>, destinations: &[Arc<Destination>], routes: &[Route]) {
    // Each guard's alternatives, read once.
    let guards: Vec<Option<Vec<Demands>>> = destinations
        .iter()
        .map(|destination| destination.never.as_ref().and_then(|never| never.alternatives()).filter(|all| all.len() <= ALTERNATIVES_MAX))
        .collect();
    if guards.iter().all(Option::is_none) {
        return;
    }
    for (route, targets) in routes.iter().zip(nodes.targets_of_routes(routes)) {
        let Some(alternatives) = route.when.as_ref().and_then(|when| when.alternatives()).filter(|all| all.len() <= ALTERNATIVES_MAX)
        else {
            continue;
        };
        for (target, node) in targets {
            let (Some(Some(guard)), Some(destination)) = (guards.get(target.destination), destinations.get(target.destination)) else {
                continue;
            };
            let is_refused = |demands: &Demands| guard.iter().any(|refused| refused.is_subset(demands));
            if !alternatives.is_empty() && alternatives.iter().all(is_refused) {
                let never = destination.never.as_ref().map(|never| never.text().to_owned()).unwrap_or_default();
                let message = format!("{} refuses every event that this route takes", quoted(&destination.name));
                let finding = decoder.report.error(node.span.clone(), message);
                finding.hint(format!("its `never` is {}; take it out of this route's `to`, or change the guard", quoted(&never)));
            }
        }
    }
}
