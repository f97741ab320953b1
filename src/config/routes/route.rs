//! `routes` and `unmatched`: which events go where.

use std::collections::HashMap;
use std::sync::Arc;

use crate::condition::Condition;
use crate::event::EventSource;
use crate::transform::Shape;

use super::stops::Stops;
use crate::config::destinations::batch;
use crate::config::destinations::shape::{self, optional};
use crate::config::doubts::kinds::Kinds;
use crate::config::findings::finding::{Place, quoted};
use crate::config::reading::condition;
use crate::config::reading::decode::{Decoder, Layers, listed};
use crate::config::yaml::{Content, Key, Kind, Node};

/// A rule: which events, and where they go. Every route that matches applies, in the order of the file.
#[derive(Debug)]
pub struct Route {
    /// Names the route in metrics, logs and `explain`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// None: always.
    pub when: Option<Condition>,
    /// Whose events it is offered. Without `when`: webhooks.
    pub source: EventSource,
    /// Where it sends events.
    pub to: Vec<Target>,
    /// Ends the walk for events that match.
    pub stop: bool,
    /// Evaluated, counted and shown, never sent.
    pub shadow: bool,
}

/// A destination that a route names, with what the route changes about its requests.
#[derive(Debug)]
pub struct Target {
    /// Index into the file's destinations.
    pub destination: usize,
    /// What the route says of the request's look; the destination's own stands where it says nothing.
    pub shape: Option<Shape>,
}

/// A route's name is a metric's label.
pub(in crate::config) const NAME_CHARACTERS_MAX: usize = 200;

/// The destinations of the file by name, and which of them somebody uses.
pub(in crate::config) struct Destinations<'n> {
    keys: Vec<&'n Key>,
    by_name: HashMap<&'n str, usize>,
    used: Vec<bool>,
    /// Those that send batches, and whether these have a body of their own.
    batched: HashMap<String, bool>,
}

impl<'n> Destinations<'n> {
    pub fn new(keys: Vec<&'n Key>, batched: HashMap<String, bool>) -> Self {
        let by_name = keys.iter().enumerate().map(|(index, key)| (key.text.as_str(), index)).collect();
        Self { used: vec![false; keys.len()], keys, by_name, batched }
    }

    pub fn warn_of_unused(&self, decoder: &mut Decoder<'_>) {
        for (key, _) in self.keys.iter().zip(&self.used).filter(|(_, used)| !**used) {
            decoder
                .report
                .warning(key.span.clone(), format!("no route goes to the destination {}", quoted(&key.text)))
                .hint("name it in a route's `to`, or take it out");
        }
    }

    fn find(&mut self, decoder: &mut Decoder<'_>, node: &Node) -> Option<usize> {
        let name = decoder.public_text(node, "a destination's name")?;
        if let Some(index) = self.by_name.get(name.as_str()) {
            if let Some(used) = self.used.get_mut(*index) {
                *used = true;
            }
            return Some(*index);
        }
        let near = decoder.near(&name, self.keys.iter().map(|key| key.text.as_str()));
        let finding = decoder.report.error(node.span.clone(), format!("there is no destination {}", quoted(&name)));
        match near {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None if (1..=10).contains(&self.keys.len()) => {
                let names: Vec<&str> = self.keys.iter().map(|key| key.text.as_str()).collect();
                finding.hint(format!("there are {}", listed(&names)));
            }
            None => finding.hint("add it under `destinations`"),
        }
        None
    }
}

pub(in crate::config) fn decode_all(decoder: &mut Decoder<'_>, node: &Node, destinations: &mut Destinations<'_>) -> Option<Vec<Route>> {
    let items = decoder.list(node, "routes")?;
    if items.is_empty() {
        decoder
            .report
            .warning(node.span.clone(), "there are no routes: every event goes to `unmatched`")
            .hint("`- name: everything`, and below it `to: [...]`");
    }
    let mut first_places = HashMap::new();
    // What stops webhooks stops no event of the relay's own, nor the other way round.
    let mut stops = EventSource::ALL.map(|source| (source, Stops::default()));
    let mut routes = Vec::new();
    for item in items {
        let route = decode(decoder, item, destinations, &mut first_places);
        let source = route.as_ref().map(|route| route.source).unwrap_or_default();
        for (_, stops) in stops.iter_mut().filter(|(known, _)| *known == source) {
            stops.meet(decoder, item, route.as_ref());
        }
        routes.push(route);
    }
    routes.into_iter().collect()
}

fn decode(
    decoder: &mut Decoder<'_>,
    node: &Arc<Node>,
    destinations: &mut Destinations<'_>,
    first_places: &mut HashMap<String, usize>,
) -> Option<Route> {
    let mut table = decoder.table(node, "a route")?;
    let name = table.take("name");
    let when = table.take("when");
    let to = table.take("to");
    let stop_node = table.take("stop");
    let shadow = table.take("shadow");
    let misspelt = table.finish(decoder);

    let name = match name {
        Some(name) => decode_name(decoder, name, first_places),
        None if misspelt.contains(&"name") => None,
        None => {
            decoder.report.error(node.span.clone(), "a route needs a `name`").hint("it is shown by `explain`, in listings and in metrics");
            None
        }
    };
    let when = when.map(|when| condition::decode(decoder, when));
    let stop = stop_node.map(|stop| decoder.boolean(stop));
    let shadow = shadow.map(|shadow| decoder.boolean(shadow));
    let doubts_before = decoder.doubts.len();
    let targets = match to {
        Some(to) => decode_targets(decoder, to, destinations),
        None if misspelt.contains(&"to") => None,
        None => {
            decoder
                .report
                .error(node.span.clone(), "a route needs `to`")
                .hint("`to: [a-destination]`; with `stop: true`, `to: []` drops what matches");
            None
        }
    };
    decoder.warn_of_route(doubts_before, when.as_ref().and_then(Option::as_ref));
    let when = optional(when)?;
    let route = Route {
        name: name?,
        place: decoder.report.place_of(node.span.start),
        source: when.as_ref().map(|when| Kinds::taken_by(when).source()).unwrap_or_default(),
        when,
        to: targets?,
        stop: optional(stop)?.unwrap_or(false),
        shadow: optional(shadow)?.unwrap_or(false),
    };
    if let Some(to) = to
        && route.to.is_empty()
        && !route.stop
    {
        decoder
            .report
            .warning(to.span.clone(), "this route sends nothing, and does not stop the walk")
            .hint("name a destination, or add `stop: true` to drop what matches");
    }
    if let Some(stop) = stop_node
        && route.stop
        && route.shadow
    {
        decoder
            .report
            .warning(stop.span.clone(), "a shadow route does not stop the walk")
            .hint("a rule that is tried out changes nothing; `stop` counts once `shadow` is gone");
    }
    Some(route)
}

fn decode_name(decoder: &mut Decoder<'_>, node: &Node, first_places: &mut HashMap<String, usize>) -> Option<String> {
    let name = decoder.public_text(node, "a route's name")?;
    if name.trim().is_empty() || name.chars().count() > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        decoder
            .report
            .error(node.span.clone(), format!("{} cannot be a route's name", quoted(&name)))
            .hint(format!("one line of 1 to {NAME_CHARACTERS_MAX} characters"));
        return None;
    }
    if let Some(first) = first_places.get(&name) {
        let first = decoder.report.place_seen_from(*first, node.span.start);
        decoder
            .report
            .error(node.span.clone(), format!("a second route is named {}", quoted(&name)))
            .hint(format!("the first is {first}; names are unique"));
        return None;
    }
    first_places.insert(name.clone(), node.span.start);
    Some(name)
}

pub(in crate::config) fn decode_targets(
    decoder: &mut Decoder<'_>,
    node: &Arc<Node>,
    destinations: &mut Destinations<'_>,
) -> Option<Vec<Target>> {
    let items = match &node.content {
        // One name needs no list around it.
        Content::Scalar(scalar) if scalar.kind != Kind::Null => std::slice::from_ref(node),
        _ => decoder.list(node, "destinations")?,
    };
    let mut seen: HashMap<usize, ()> = HashMap::new();
    let mut targets = Vec::new();
    for item in items {
        let target = decode_target(decoder, item, destinations);
        if let Some(target) = &target
            && seen.insert(target.destination, ()).is_some()
        {
            decoder
                .report
                .warning(item.span.clone(), "this destination stands here a second time")
                .hint("an event reaches a destination once, as the first entry says");
        }
        targets.push(target);
    }
    targets.into_iter().collect()
}

fn decode_target(decoder: &mut Decoder<'_>, node: &Node, destinations: &mut Destinations<'_>) -> Option<Target> {
    if !matches!(node.content, Content::Mapping(_)) {
        let destination = destinations.find(decoder, node)?;
        return Some(Target { destination, shape: None });
    }
    let mut layers = Layers::open(decoder, Some(node), None, "a target of a route");
    let name = layers.take("destination");
    let (shape, _) = shape::decode(decoder, &mut layers);
    let misspelt = layers.finish(decoder);
    let Some(name) = name else {
        if !misspelt.contains(&"destination") {
            decoder
                .report
                .error(node.span.clone(), "a target needs a `destination`")
                .hint("`{destination: a-name, body: {...}}`, or the name alone");
        }
        return None;
    };
    let (destination, shape) = (destinations.find(decoder, name)?, shape?);
    let batched = destinations.keys.get(destination).and_then(|key| destinations.batched.get(&key.text));
    if let Some(has_body) = batched
        && !batch::fits_target(decoder, name.span.clone(), &shape, *has_body)
    {
        return None;
    }
    Some(Target { destination, shape: Some(shape) })
}
