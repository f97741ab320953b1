//! Templates that print what Wiza may send as null, or leave out. Whether that is worth a warning is known when the routes are
//! read: where each route that leads to a destination asks for the value, its template need not ask again.

use std::collections::HashMap;
use std::ops::Range;

use crate::condition::{Condition, PathRoot, UsedPath};
use crate::event::EventSource;
use crate::transform::ReadPath;

use super::kinds::Kinds;
use super::known_paths::{LISTS, WARNINGS_MAX, is_known};
use crate::config::reading::decode::Decoder;
use crate::config::routes::route::{Route, Target};
use crate::config::yaml::Node;

/// A place where a template prints such a path.
pub(in crate::config) struct Doubt {
    /// The destination whose template it is; none yet while the template is read.
    destination: Option<String>,
    part: Part,
    /// Bytes of the file.
    place: Range<usize>,
    path: Vec<String>,
    /// How it is written, where that is not the path: from the element of `$each`, or from the list of a batch.
    written: Option<String>,
}

/// The part of a request that a template makes, as far as a route's target may replace it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Part {
    Url,
    Body,
    Other,
}

/// A way to a destination: the condition of a route, and the target with which it leads there.
#[derive(Clone, Copy)]
struct Way<'w> {
    when: Option<&'w Condition>,
    target: Option<&'w Target>,
}

impl Doubt {
    /// Whose events may lack the value, of those that come this way.
    fn stands(&self, Way { when, target }: Way<'_>) -> Option<EventSource> {
        let shape = target.and_then(|target| target.shape.as_ref());
        let is_replaced = match self.part {
            Part::Url => shape.is_some_and(|shape| shape.url.is_some()),
            Part::Body => shape.is_some_and(|shape| shape.body.is_some()),
            Part::Other => false,
        };
        let kinds = when.map_or_else(Kinds::all, Kinds::taken_by);
        let is_lacking = !is_replaced && kinds.may_lack(&self.path.join(".")) && !when.is_some_and(|when| when.ensures(&self.path));
        is_lacking.then(|| kinds.source())
    }
}

impl Decoder<'_> {
    /// Notes what a template prints without a way out for when it is null or absent.
    pub(in crate::config) fn doubt(&mut self, node: &Node, hazards: &[ReadPath]) {
        let mut paths: Vec<Vec<String>> = Vec::new();
        // What nobody is known to send is warned of elsewhere.
        let is_known =
            |path: &UsedPath| path.root == PathRoot::Payload && !path.steps.is_empty() && Kinds::of_both().have(&path.names().join("."));
        for ReadPath { path, .. } in hazards.iter().filter(|read| is_known(&read.path)) {
            let names: Vec<String> = path.names().into_iter().map(str::to_owned).collect();
            // One word about a path is enough.
            if paths.len() == WARNINGS_MAX || paths.contains(&names) {
                continue;
            }
            paths.push(names.clone());
            let place = node.place_in(self.report.text, path.span.clone());
            let written = self.written_from_element(node, &path.span);
            self.doubts.push(Doubt { destination: None, part: Part::Other, place, path: names, written });
        }
    }

    /// Warns where a member of a batch may lack what the batch's body prints: an event of one of the routes with these conditions.
    /// Says whether it did.
    pub(in crate::config) fn doubt_of_member(
        &mut self,
        place: Range<usize>,
        path: Vec<String>,
        written: &str,
        conditions: &[Option<&Condition>],
    ) -> bool {
        let doubt = Doubt { destination: None, part: Part::Body, place, path, written: Some(written.to_owned()) };
        if !is_known(&doubt.path.join(".")) {
            return false;
        }
        let sources = conditions.iter().filter_map(|when| doubt.stands(Way { when: *when, target: None }));
        let sources: Vec<EventSource> = sources.collect();
        for source in EventSource::ALL.into_iter().filter(|source| sources.contains(source)) {
            self.warn_of_doubt(&doubt, source);
        }
        !sources.is_empty()
    }

    /// Says which part of a request was read since there were `before` doubts.
    pub(in crate::config) fn doubts_are_in(&mut self, before: usize, part: Part) {
        self.doubts.iter_mut().skip(before).for_each(|doubt| doubt.part = part);
    }

    /// Says whose templates were read since there were `before` doubts. Those of `defaults` are each destination's.
    pub(in crate::config) fn doubts_are_of(&mut self, before: usize, destination: Option<&str>) {
        match destination {
            None => self.doubts.truncate(before),
            Some(name) => self.doubts.iter_mut().skip(before).for_each(|doubt| doubt.destination = Some(name.to_owned())),
        }
    }

    /// Warns of the doubts since there were `before`, but for those that the route's condition settles.
    pub(in crate::config) fn warn_of_route(&mut self, before: usize, when: Option<&Condition>) {
        let doubts = self.doubts.split_off(before.min(self.doubts.len()));
        for doubt in &doubts {
            if let Some(source) = doubt.stands(Way { when, target: None }) {
                self.warn_of_doubt(doubt, source);
            }
        }
    }

    /// Warns of the doubts about destinations, but for those that all routes to them settle.
    pub(in crate::config) fn warn_of_destinations(&mut self, names: &[&str], routes: Option<&[Route]>, unmatched: Option<&[Target]>) {
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let mut leading: Vec<Vec<Way<'_>>> = vec![Vec::new(); names.len()];
        let by_routes = routes.unwrap_or_default().iter().flat_map(|route| route.to.iter().map(|target| (target, route.when.as_ref())));
        for (target, when) in by_routes.chain(unmatched.unwrap_or_default().iter().map(|target| (target, None))) {
            let way = Way { when, target: Some(target) };
            leading.get_mut(target.destination).into_iter().for_each(|ways| ways.push(way));
        }
        const NONE: [Way<'static>; 1] = [Way { when: None, target: None }];
        for doubt in std::mem::take(&mut self.doubts) {
            let place = doubt.destination.as_deref().and_then(|name| places.get(name));
            let ways = place.and_then(|place| leading.get(*place)).map(Vec::as_slice).filter(|ways| !ways.is_empty());
            // One word about webhooks is enough, and one about own events.
            for source in EventSource::ALL {
                if ways.unwrap_or(&NONE).iter().any(|way| doubt.stands(*way) == Some(source)) {
                    self.warn_of_doubt(&doubt, source);
                }
            }
        }
    }

    fn warn_of_doubt(&mut self, doubt: &Doubt, source: EventSource) {
        let path = doubt.path.join(".");
        if source == EventSource::Relay {
            let message = format!("an own event of the relay's comes here without `{path}`, and would be a dead letter");
            let hint = "give its route a body of its own, `to: [{ destination: NAME, body: { text: \"{{ data.summary }}\" } }]`; `data.summary` is in all of them";
            self.report.warning(doubt.place.clone(), message).hint(hint);
            return;
        }
        let written = doubt.written.as_ref().unwrap_or(&path);
        let list = LISTS.iter().find(|list| path.strip_prefix(**list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
        let hint = match list {
            Some(list) if doubt.written.is_none() => {
                format!("take an empty list instead, `{list} or []`, or ask first: `{{% if {list} %}}`")
            }
            _ => format!("say what to print instead, `{written} | default(\"...\", true)`, or ask first: `{{% if {written} %}}`"),
        };
        let message = format!("Wiza may send `{path}` as null or leave it out, and such an event would be a dead letter");
        self.report.warning(doubt.place.clone(), message).hint(hint);
    }
}
