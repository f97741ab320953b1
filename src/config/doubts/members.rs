//! What the body of a batch asks of its members' bodies: paths that none of them has, and values that one of them may lack. It comes
//! last, because what the members are is said by their destination and by the routes that lead there.

use std::ops::Range;

use crate::condition::{Condition, PathRoot, Step, UsedPath};
use crate::transform::{Body, ReadPath, Scope, Selection, Template, Tree, is_plain};

use super::known_paths::{WARNINGS_MAX, is_known};
use crate::config::destinations::forms;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::{Content, Node};

/// What is sent of the events that go together.
#[derive(Default)]
pub(in crate::config) struct Members<'m> {
    /// Each shape that a member's body can have; `None`: the payload.
    pub bodies: Vec<Option<&'m Body>>,
    /// Of the routes that lead there; `None`: all events.
    pub conditions: Vec<Option<&'m Condition>>,
}

/// Where a path into a member's body leads.
enum Leads {
    /// To what these steps find in the payload.
    Payload(Vec<Step>),
    /// To something that the file says, and that is always there.
    Given,
    /// To something that `$present` leaves out of some members.
    Perhaps,
    /// To nothing: the last object on the way has these keys and no such one.
    Nowhere(Vec<String>),
    /// That cannot be told.
    Unknown,
}

impl Members<'_> {
    fn lead(&self, steps: &[Step]) -> Vec<Leads> {
        let lead = |body: &Option<&Body>| match body {
            None => Leads::Payload(steps.to_vec()),
            Some(Body::Text(_)) if steps.is_empty() => Leads::Given,
            Some(Body::Text(_)) => Leads::Nowhere(Vec::new()),
            Some(Body::Tree(tree)) => in_tree(tree, steps),
        };
        self.bodies.iter().map(lead).collect()
    }

    /// Whether a path of a batch's template leads to nothing of a stranger's, whichever shape the member has.
    /// `element`: the steps to the element of the `$each` around it.
    pub fn is_plain(&self, read: &ReadPath, element: Option<&[Step]>) -> bool {
        let is_plain = |leads: &Leads| match leads {
            Leads::Payload(steps) => is_plain(&names(steps).join(".")),
            Leads::Given | Leads::Perhaps | Leads::Nowhere(_) | Leads::Unknown => false,
        };
        let steps = from_list(read, element).filter(|steps| steps.first() == Some(&Step::Element));
        steps
            .and_then(|steps| steps.split_first().map(|(_, rest)| rest.to_vec()))
            .is_some_and(|steps| !self.bodies.is_empty() && self.lead(&steps).iter().all(is_plain))
    }
}

fn in_tree(tree: &Tree, steps: &[Step]) -> Leads {
    match (tree, steps.split_first()) {
        (Tree::Present(tree), _) => match in_tree(tree, steps) {
            Leads::Given if steps.is_empty() => Leads::Perhaps,
            leads => leads,
        },
        (Tree::Select(selection), _) => match forms::steps_of(selection, None) {
            Some(found) => Leads::Payload(found.into_iter().chain(steps.iter().cloned()).collect()),
            None => Leads::Unknown,
        },
        (_, None) => Leads::Given,
        (Tree::Map(entries), Some((Step::Name(name), rest))) => match entries.iter().find(|(key, _)| key == name) {
            Some((_, tree)) => in_tree(tree, rest),
            None => Leads::Nowhere(entries.iter().map(|(key, _)| key.clone()).collect()),
        },
        (Tree::Template(_), Some(_)) => Leads::Nowhere(Vec::new()),
        _ => Leads::Unknown,
    }
}

/// The steps of a template's path from the list of the members' bodies; `None` where it begins elsewhere.
fn from_list(read: &ReadPath, element: Option<&[Step]>) -> Option<Vec<Step>> {
    match (read.path.root, read.is_explicit, read.path.steps.split_first()) {
        (PathRoot::Payload, true, _) => Some(read.path.steps.clone()),
        (PathRoot::Payload, false, Some((Step::Name(root), rest))) => match root.as_str() {
            "items" => Some(rest.to_vec()),
            "item" => Some(element?.iter().chain(rest).cloned().collect()),
            _ => None,
        },
        _ => None,
    }
}

fn names(steps: &[Step]) -> Vec<&str> {
    let names = steps.iter().filter_map(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None });
    names.collect()
}

/// Walks a batch's body and its node side by side, and warns. Recurses at most as deep as the parser of YAML lets a file nest.
pub(in crate::config) fn warn(decoder: &mut Decoder<'_>, body: &Body, node: &Node, members: &Members<'_>) {
    let mut walk = Walk { decoder, members, element: None };
    match body {
        Body::Tree(tree) => walk.tree(tree, node),
        Body::Text(template) => walk.template(template, node),
    }
}

struct Walk<'w, 'd> {
    decoder: &'w mut Decoder<'d>,
    members: &'w Members<'w>,
    /// The steps from the list to the element of the `$each` around what is read, as far as they can be told.
    element: Option<Vec<Step>>,
}

impl Walk<'_, '_> {
    fn tree(&mut self, tree: &Tree, node: &Node) {
        match (tree, &node.content) {
            (Tree::Present(tree), _) => match (&**tree, forms::within_present(node)) {
                // What they need may be missing: then they are left out.
                (Tree::Template(template), node) => self.paths_of(template, node),
                (Tree::Value(template), node) => self.paths_of(template, node.get(forms::VALUE).map_or(node, |node| node)),
                (tree, node) => self.tree(tree, node),
            },
            (Tree::Map(entries), Content::Mapping(nodes)) => {
                entries.iter().zip(nodes).for_each(|((_, tree), (_, node))| self.tree(tree, node));
            }
            (Tree::List(items), Content::Sequence(nodes)) => items.iter().zip(nodes).for_each(|(tree, node)| self.tree(tree, node)),
            (Tree::Each(each), _) => {
                let (Some(list), Some(element)) = (node.get(forms::EACH), node.get(forms::DO)) else { return };
                self.selection(&each.list, list);
                let steps = forms::steps_to_elements(&each.list, self.element.as_deref());
                let outer = std::mem::replace(&mut self.element, steps);
                self.tree(&each.element, element);
                self.element = outer;
            }
            (Tree::Value(template), _) => {
                if let Some(node) = node.get(forms::VALUE) {
                    self.template(template, node);
                }
            }
            (Tree::Template(template), _) => self.template(template, node),
            (Tree::Select(selection), _) => self.selection(selection, node),
            _ => {}
        }
    }

    fn selection(&mut self, selection: &Selection, node: &Node) {
        for UsedPath { steps, span, .. } in selection.paths_from(self.element.as_deref()).into_iter().take(WARNINGS_MAX) {
            self.path(&steps, node, span);
        }
    }

    fn template(&mut self, template: &Template, node: &Node) {
        self.paths_of(template, node);
        for read in template.hazards().iter().take(WARNINGS_MAX) {
            if let Some(steps) = from_list(read, self.element.as_deref()) {
                self.null(&steps, node, read);
            }
        }
    }

    fn paths_of(&mut self, template: &Template, node: &Node) {
        for read in template.reads().iter().filter(|read| !read.may_be_absent).take(WARNINGS_MAX) {
            if let Some(steps) = from_list(read, self.element.as_deref()) {
                self.path(&steps, node, read.path.span.clone());
            }
        }
    }

    /// Warns of a path that leads nowhere in every member.
    fn path(&mut self, steps: &[Step], node: &Node, span: Range<usize>) {
        let rest = match steps.split_first() {
            None => return,
            Some((Step::Element, rest)) => rest,
            Some((Step::Name(name), _)) => {
                let message = format!("this is the list of the members' bodies, which has no {}", quoted(name));
                let hint = match self.element {
                    Some(_) => format!("write `@.{name}` for that of the element"),
                    None => format!("write `$[*].{name}` for that of each member, `$[0].{name}` for the first"),
                };
                self.decoder.warning_in(node, span, message).hint(hint);
                return;
            }
        };
        let mut keys: Vec<String> = Vec::new();
        for leads in self.members.lead(rest) {
            match leads {
                Leads::Nowhere(known) => keys.extend(known),
                Leads::Payload(steps) if !steps.is_empty() && !is_known(&names(&steps).join(".")) => {}
                Leads::Payload(_) | Leads::Given | Leads::Perhaps | Leads::Unknown => return,
            }
        }
        let Some(Step::Name(last)) = rest.iter().rev().find(|step| matches!(step, Step::Name(_))) else { return };
        let mut near = self.decoder.near(last, keys.iter().map(String::as_str)).map(str::to_owned);
        if near.is_none() && self.members.bodies.iter().all(Option::is_none) {
            near = self.decoder.near_payload_path(rest);
        }
        let finding = self.decoder.warning_in(node, span, format!("no member's body has {}", quoted(&names(rest).join("."))));
        match near {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None if keys.is_empty() => finding.hint("the members are payloads as they came: `data.NAME`"),
            None => finding.hint("the members' bodies are what the destination's `body` makes of each event"),
        }
    }

    /// Warns of a value that a member may lack.
    fn null(&mut self, steps: &[Step], node: &Node, read: &ReadPath) {
        let span = read.path.span.clone();
        let Some((Step::Element, rest)) = steps.split_first() else { return };
        let written = match &node.content {
            Content::Scalar(scalar) => scalar.text.get(span.clone()).unwrap_or_default().to_owned(),
            _ => return,
        };
        let all = self.members.lead(rest);
        let lacking = all.iter().filter(|leads| matches!(leads, Leads::Nowhere(_))).count();
        if (1..all.len()).contains(&lacking) {
            let message =
                format!("not every member's body has {}: a route that leads here has another `body`", quoted(&names(rest).join(".")));
            self.decoder
                .warning_in(node, span, message)
                .hint(format!("give it there too, or say what to print instead: `{written} | default(\"...\", true)`"));
            return;
        }
        if !read.may_be_absent && all.iter().any(|leads| matches!(leads, Leads::Perhaps)) {
            let message = format!("`$present` leaves {} out of some members' bodies", quoted(&names(rest).join(".")));
            self.decoder.warning_in(node, span, message).hint(format!("say what to print instead: `{written} | default(\"...\")`"));
            return;
        }
        for leads in all {
            if let Leads::Payload(steps) = leads {
                let path: Vec<String> = names(&steps).into_iter().map(str::to_owned).collect();
                let place = node.place_in(self.decoder.report.text, span.clone());
                if self.decoder.doubt_of_member(place, path, &written, &self.members.conditions) {
                    return;
                }
            }
        }
    }
}

/// Where a batch's body is read: what `check` knows of other bodies does not hold there.
pub(in crate::config) const SCOPE: Scope = Scope { of_batch: true, in_each: false };
