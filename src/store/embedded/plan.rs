//! A plan as JSON in the event's row: small to write, and readable with nothing but the `sqlite3` shell.

use std::fmt::Write;

use crate::delivery::{DestinationKey, Plan, Planned, RouteKey};

/// `[route key, ...]`
pub(super) fn routes_json(plan: &Plan) -> String {
    let mut json = String::with_capacity(2 + plan.routes.len() * 4);
    json.push('[');
    for (index, route) in plan.routes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(json, "{comma}{}", route.0);
    }
    json.push(']');
    json
}

/// `[[destination key, route key or null], ...]`
pub(super) fn deliveries_json(plan: &Plan) -> String {
    let mut json = String::with_capacity(2 + plan.deliveries.len() * 8);
    json.push('[');
    for (index, planned) in plan.deliveries.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = match planned.route {
            Some(route) => write!(json, "{comma}[{},{}]", planned.destination.0, route.0),
            None => write!(json, "{comma}[{},null]", planned.destination.0),
        };
    }
    json.push(']');
    json
}

/// The deliveries that [`deliveries_json`] wrote.
pub(super) fn parse_deliveries(json: &str) -> Result<Vec<Planned>, serde_json::Error> {
    let pairs: Vec<(u32, Option<u32>)> = serde_json::from_str(json)?;
    Ok(pairs
        .into_iter()
        .map(|(destination, route)| Planned { destination: DestinationKey(destination), route: route.map(RouteKey) })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let deliveries = vec![
            Planned { destination: DestinationKey(0), route: Some(RouteKey(7)) },
            Planned { destination: DestinationKey(4_000_000_000), route: None },
        ];
        for count in 0..=deliveries.len() {
            let plan = Plan { routes: vec![RouteKey(1); count], deliveries: deliveries[..count].to_vec(), unmatched: false };
            assert_eq!(parse_deliveries(&deliveries_json(&plan)).unwrap(), plan.deliveries);
        }
        let plan = Plan { routes: vec![RouteKey(3), RouteKey(12)], deliveries, unmatched: false };
        assert_eq!(routes_json(&plan), "[3,12]");
        assert_eq!(deliveries_json(&plan), "[[0,7],[4000000000,null]]");
    }
}
