//! A plan as JSON in the event's row: small to write, and readable with nothing but the `sqlite3` shell.

use std::fmt::{self, Write};

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::delivery::{DestinationKey, OrderKey, Plan, Planned, RouteKey};

/// `[route key, ...]`
pub fn routes_json(plan: &Plan) -> String {
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

/// `[[destination key, route key or null], ...]`, of an ordered destination with the key of the order as a third.
pub fn deliveries_json(plan: &Plan) -> String {
    let mut json = String::with_capacity(2 + plan.deliveries.len() * 8);
    json.push('[');
    for (index, planned) in plan.deliveries.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = match planned.route {
            Some(route) => write!(json, "{comma}[{},{}", planned.destination.0, route.0),
            None => write!(json, "{comma}[{},null", planned.destination.0),
        };
        let _ = match planned.order {
            Some(order) => write!(json, ",{}]", order.0),
            None => write!(json, "]"),
        };
    }
    json.push(']');
    json
}

/// The deliveries that [`deliveries_json`] wrote.
pub fn parse_deliveries(json: &str) -> Result<Vec<Planned>, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_str(json)?;
    Ok(entries.into_iter().map(|Entry(planned)| planned).collect())
}

struct Entry(Planned);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[destination, route or null] or [destination, route or null, order]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entry: A) -> Result<Entry, A::Error> {
        let missing = |place| de::Error::invalid_length(place, &self);
        let destination = DestinationKey(entry.next_element()?.ok_or_else(|| missing(0))?);
        let route = entry.next_element::<Option<u32>>()?.ok_or_else(|| missing(1))?.map(RouteKey);
        let order = entry.next_element::<u64>()?.map(OrderKey);
        Ok(Entry(Planned { destination, route, order }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let deliveries = vec![
            Planned { destination: DestinationKey(0), route: Some(RouteKey(7)), order: None },
            Planned { destination: DestinationKey(4_000_000_000), route: None, order: None },
            Planned { destination: DestinationKey(1), route: None, order: Some(OrderKey(i64::MAX as u64)) },
        ];
        for count in 0..=deliveries.len() {
            let plan = Plan { routes: vec![RouteKey(1); count], deliveries: deliveries[..count].to_vec(), unmatched: false };
            assert_eq!(parse_deliveries(&deliveries_json(&plan)).unwrap(), plan.deliveries);
        }
        let plan = Plan { routes: vec![RouteKey(3), RouteKey(12)], deliveries, unmatched: false };
        assert_eq!(routes_json(&plan), "[3,12]");
        assert_eq!(deliveries_json(&plan), "[[0,7],[4000000000,null],[1,null,9223372036854775807]]");
        for broken in ["[[]]", "[[1]]", "[[1,null,2,3]]", "[1]", "{}"] {
            assert!(parse_deliveries(broken).is_err(), "{broken}");
        }
    }
}
