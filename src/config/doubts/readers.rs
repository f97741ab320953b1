//! What reads a body at the other end: warnings where a stranger's text would be markup, a field or a formula to it, and where a
//! signature cannot be verified. They come last, because they take a destination and its routes together.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};

use crate::transform::{Body, Format, Print, Scope, Selection, Shape, Template, Tree, is_plain};

use super::members::{self, Members};
use super::tried;
use crate::config::destinations::destination::Destination;
use crate::config::destinations::forms;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::routes::route::{Route, Target};
use crate::config::yaml::{Content, Node};

/// Warnings about one text at most: what a long one repeats is one slip.
const WARNINGS_MAX: usize = 20;

/// Where what was decoded stands in the file.
pub(in crate::config) struct Nodes<'n> {
    /// What lies below the own keys of destinations that have a preset, by their names.
    pub bases: HashMap<String, Arc<Node>>,
    pub destinations: Option<&'n Node>,
    pub defaults: Option<&'n Node>,
    pub routes: Option<&'n Node>,
    pub unmatched: Option<&'n Node>,
}

impl<'n> Nodes<'n> {
    /// A key of a destination, its own or that of its preset or of `defaults`.
    fn of_destination(&self, name: &str, key: &str) -> Option<&Arc<Node>> {
        let own = self.destinations.and_then(|all| all.get(name)).and_then(|own| own.get(key));
        let base = self.bases.get(name).map(AsRef::as_ref).or(self.defaults);
        own.or_else(|| base.and_then(|base| base.get(key)))
    }

    /// The targets of each route, each with its node.
    pub(in crate::config) fn targets_of_routes<'t>(&self, routes: &'t [Route]) -> Vec<Vec<(&'t Target, &'n Node)>> {
        let of_routes = self.routes.map(items).unwrap_or_default().iter().zip(routes);
        let lists = of_routes.map(|(node, route)| (node.get("to").map(|to| items(to)).unwrap_or_default(), route.to.as_slice()));
        lists.map(|(nodes, targets)| targets.iter().zip(nodes.iter().map(AsRef::as_ref)).collect()).collect()
    }

    /// Every target that shapes its requests, and its node.
    fn targets<'t>(&self, routes: &'t [Route], unmatched: &'t [Target]) -> Vec<(&'t Target, &'n Node)> {
        let of_routes = self.routes.map(items).unwrap_or_default().iter().zip(routes);
        let lists = of_routes.filter_map(|(node, route)| Some((node.get("to")?.as_ref(), route.to.as_slice())));
        let lists = lists.chain(self.unmatched.map(|node| (node, unmatched)));
        lists.flat_map(|(node, targets)| items(node).iter().zip(targets)).map(|(node, target)| (target, node.as_ref())).collect()
    }
}

fn items(node: &Node) -> &[Arc<Node>] {
    match &node.content {
        Content::Sequence(items) => items,
        _ => &[],
    }
}

/// Looks at the requests of every destination, as it has them and as routes shape them. All of the file was read without an error.
pub(in crate::config) fn warn(
    decoder: &mut Decoder<'_>,
    nodes: &Nodes<'_>,
    destinations: &[Arc<Destination>],
    routes: &[Route],
    unmatched: &[Target],
) {
    let mut members: Vec<Members<'_>> = destinations.iter().map(|_| Members::default()).collect();
    let to = routes.iter().flat_map(|route| route.to.iter().map(|target| (target, route.when.as_ref())));
    for (target, when) in to.chain(unmatched.iter().map(|target| (target, None))) {
        if let (Some(members), Some(destination)) = (members.get_mut(target.destination), destinations.get(target.destination)) {
            let own = target.shape.as_ref().and_then(|shape| shape.body.as_ref());
            members.bodies.push(own.or(destination.shape.body.as_ref()));
            members.conditions.push(when);
        }
    }
    for (destination, members) in destinations.iter().zip(&members) {
        look(decoder, nodes, destination, None, None, members);
    }
    for (target, node) in nodes.targets(routes, unmatched) {
        if let (Some(shape), Some(destination)) = (&target.shape, destinations.get(target.destination)) {
            look(decoder, nodes, destination, Some(shape), node.get("body"), &Members::default());
        }
    }
}

fn look(
    decoder: &mut Decoder<'_>,
    nodes: &Nodes<'_>,
    destination: &Destination,
    shape: Option<&Shape>,
    own: Option<&Arc<Node>>,
    members: &Members<'_>,
) {
    let base = &destination.shape;
    let url = shape.and_then(|shape| shape.url.as_ref()).or(base.url.as_ref());
    let body = shape.and_then(|shape| shape.body.as_ref()).or(base.body.as_ref());
    let headers = shape.map_or(&[][..], |shape| shape.headers.as_slice()).iter().chain(&base.headers);
    let node = own.or_else(|| nodes.of_destination(&destination.name, "body"));
    // What is read is the batch's body, if it has one; a route changes those of its members only.
    let around = destination.batch.as_ref().and_then(|batch| batch.body.as_deref());
    let (body, node) = match around {
        Some(_) if shape.is_some() => return,
        Some(around) => (Some(around), nodes.of_destination(&destination.name, "batch").and_then(|batch| batch.get("body"))),
        None => (body, node),
    };
    let none = Members::default();
    let members = match (around, node) {
        (Some(around), Some(node)) => {
            members::warn(decoder, around, node, members);
            members
        }
        _ => &none,
    };
    let chat = url.and_then(chat_at);
    let signed = nodes.of_destination(&destination.name, "sign").filter(|_| !destination.sign.is_empty());
    match (body, node) {
        (Some(Body::Text(template)), Some(node)) => {
            let format = format_of(headers, template);
            for format in format.into_iter().chain(chat) {
                warn_of_prints(decoder, node, template, format, members);
            }
            tried::warn(decoder, destination, shape, node, template.is_literal());
            if signed.is_some() && !is_json(template.masked()) {
                warn_of_signature(decoder, node, "this body is not JSON");
            }
        }
        (Some(Body::Tree(tree)), Some(node)) => {
            if let Some(chat) = chat {
                Walk { decoder, chat, members }.tree(tree, node, &Place { key: "", is_field: false, is_plain: false });
            }
        }
        _ => {
            if let Some(sign) = signed.filter(|_| body.is_none() && matches!(destination.method, Method::GET | Method::HEAD)) {
                warn_of_signature(decoder, sign, &format!("a {} has no body", destination.method));
            }
        }
    }
}

fn warn_of_signature(decoder: &mut Decoder<'_>, node: &Node, why: &str) {
    decoder
        .report
        .warning(node.span.clone(), format!("requests are signed here, and {why}: most receivers cannot verify it"))
        .hint("libraries of Standard Webhooks verify a signature and then parse the body as JSON: send a mapping, or leave `sign` out");
}

/// The chat whose messages go to this URL, by its host; of a host that a variable names, by the variable's name too.
fn chat_at(url: &Template) -> Option<Format> {
    let host = url.host_and_port().map(|(host, _)| host.to_ascii_lowercase()).unwrap_or_default();
    let is_at = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let variable = url.masked().trim_start().strip_prefix("${").and_then(|rest| rest.split('}').next()).unwrap_or_default();
    let variable = variable.to_ascii_uppercase();
    let is_discord = ["discord.com", "discordapp.com"].into_iter().any(is_at) || variable.contains("DISCORD");
    // Discord reads messages in Slack's form there, and Slack's markup in them.
    if is_discord && path_of(url).ends_with("/slack") {
        return Some(Format::Slack);
    }
    if ["slack.com", "slack-gov.com"].into_iter().any(is_at) || variable.contains("SLACK") {
        return Some(Format::Slack);
    }
    is_discord.then_some(Format::Discord)
}

/// The path of a URL as it is written, without its query and a `/` at the end.
fn path_of(url: &Template) -> &str {
    url.masked().split(['?', '#']).next().unwrap_or_default().trim_end().trim_end_matches('/')
}

/// The format of a body that is written as a text: what `content-type` says, else what it looks like.
fn format_of<'h>(mut headers: impl Iterator<Item = &'h (HeaderName, Template)>, body: &Template) -> Option<Format> {
    if let Some((_, kind)) = headers.find(|(name, _)| name == CONTENT_TYPE) {
        let kind = kind.masked().to_ascii_lowercase();
        let formats = [
            ("x-www-form-urlencoded", Format::Form),
            ("csv", Format::Csv),
            ("tab-separated-values", Format::Csv),
            ("html", Format::Html),
            ("xml", Format::Xml),
            ("json", Format::Json),
        ];
        return formats.into_iter().find(|(word, _)| kind.contains(word)).map(|(_, format)| format);
    }
    let text = body.masked().trim_start();
    let is_json = text.starts_with(['{', '[']) && !["{{", "{%", "{#"].iter().any(|tag| text.starts_with(tag));
    match text {
        _ if is_json => Some(Format::Json),
        _ if text.starts_with("<?xml") => Some(Format::Xml),
        _ => None,
    }
}

/// Whether a body that is written as a text looks like JSON, whatever `content-type` says: a receiver that verifies a signature
/// parses the body.
fn is_json(text: &str) -> bool {
    let mut text = text.trim();
    // What decides and repeats prints nothing itself.
    while let Some(closing) = [("{%", "%}"), ("{#", "#}")].iter().find_map(|(open, close)| text.starts_with(open).then_some(*close)) {
        let Some((_, behind)) = text.split_once(closing) else { return false };
        text = behind.trim_start();
    }
    if let Some((printed, behind)) = text.strip_prefix("{{").and_then(|tag| tag.split_once("}}")) {
        let last_filter = printed.rsplit('|').next().unwrap_or_default().trim_matches(|c: char| c == '-' || c.is_whitespace());
        return (last_filter == "tojson" || last_filter.starts_with("tojson(")) && (behind.is_empty() || behind.starts_with("{%"));
    }
    text.starts_with(['{', '[']) || crate::json::parse(text.as_bytes()).is_ok()
}

fn warn_of_prints(decoder: &mut Decoder<'_>, node: &Node, template: &Template, format: Format, members: &Members<'_>) {
    let Content::Scalar(scalar) = &node.content else { return };
    // Whether it is one of the paths whose content is known, as inside of `$each`.
    let reads = decoder.of_payload(template.reads());
    let element = decoder.element.clone();
    let is_plain_path = |print: &&Print| {
        reads.iter().any(|read| read.path.span == print.span && is_plain(&read.path.names().join(".")))
            || template.reads().iter().any(|read| read.path.span == print.span && members.is_plain(read, element.as_deref()))
    };
    let prints = template.prints().iter().filter(|print| print.format == format && !is_plain_path(print));
    for print in prints.take(WARNINGS_MAX) {
        let value = scalar.text.get(print.span.clone()).unwrap_or_default();
        let (into, hint) = told(format);
        decoder.warning_in(node, print.span.clone(), format!("{} goes into {into} as it is", quoted(value))).hint(hint);
    }
}

/// What a format is called, and what to do.
fn told(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Slack => ("a message to Slack", "add `| slack`: a text of somebody's can hold `<!channel>` or a forged link"),
        Format::Discord => ("a message to Discord", "add `| discord`: a text of somebody's can hold `@everyone` or a forged link"),
        Format::Form => ("a form", "add `| form`: a text with `&` in it would add a field"),
        Format::Csv => ("CSV", "add `| csv`, which sets the quotes too: a text can hold a comma, a line break or a formula"),
        Format::Xml => ("XML", "add `| xml`: a text can hold `<` and `&`"),
        Format::Html => ("HTML", "add `| escape`: a text can hold `<` and `&`"),
        Format::Json => (
            "JSON that is written by hand",
            "write the body as a mapping; or `| tojson`, which sets the quotes too: a text can hold a quote",
        ),
    }
}

/// Where in a message a value stands.
struct Place<'p> {
    key: &'p str,
    /// Somewhere below `fields`.
    is_field: bool,
    /// The mapping around it says that it holds plain text.
    is_plain: bool,
}

struct Walk<'w, 'd> {
    decoder: &'w mut Decoder<'d>,
    chat: Format,
    members: &'w Members<'w>,
}

impl Walk<'_, '_> {
    /// Walks a body and its node side by side. Recurses at most as deep as the parser of YAML lets a file nest.
    fn tree(&mut self, tree: &Tree, node: &Node, place: &Place<'_>) {
        match (tree, &node.content) {
            (Tree::Present(tree), _) => self.tree(tree, forms::within_present(node), place),
            (Tree::Map(entries), Content::Mapping(nodes)) => {
                let kind = node.get("type").and_then(|kind| match &kind.content {
                    Content::Scalar(scalar) => Some(scalar.text.as_str()),
                    _ => None,
                });
                // Of Slack's blocks: `plain_text`, and `text` within rich text.
                let is_plain = matches!(kind, Some("plain_text" | "text"));
                for ((key, tree), (_, node)) in entries.iter().zip(nodes) {
                    self.tree(tree, node, &Place { key, is_field: place.is_field || key == "fields", is_plain });
                }
            }
            (Tree::List(items), Content::Sequence(nodes)) => {
                for (tree, node) in items.iter().zip(nodes) {
                    self.tree(tree, node, place);
                }
            }
            (Tree::Each(each), _) => {
                let Some(node) = node.get(forms::DO) else { return };
                let steps = self.decoder.steps_to_elements(&each.list);
                let outer = std::mem::replace(&mut self.decoder.element, steps);
                let scope = Scope { in_each: true, ..self.decoder.scope };
                let (tree, chat, members) = (&each.element, self.chat, self.members);
                self.decoder.within(scope, |decoder| Walk { decoder, chat, members }.tree(tree, node, place));
                self.decoder.element = outer;
            }
            (Tree::Value(template), _) if self.is_read(place) => {
                if let Some(node) = node.get(forms::VALUE) {
                    warn_of_prints(self.decoder, node, template, self.chat, self.members);
                }
            }
            (Tree::Template(template), _) if self.is_read(place) => warn_of_prints(self.decoder, node, template, self.chat, self.members),
            (Tree::Select(selection), Content::Scalar(scalar)) if self.is_read(place) => self.selection(selection, node, &scalar.text),
            _ => {}
        }
    }

    /// Whether what stands there is read as markup.
    fn is_read(&self, place: &Place<'_>) -> bool {
        match self.chat {
            Format::Slack => {
                !place.is_plain
                    && (matches!(place.key, "text" | "pretext" | "fallback" | "title") || (place.is_field && place.key == "value"))
            }
            _ => matches!(place.key, "content" | "description" | "title") || (place.is_field && matches!(place.key, "name" | "value")),
        }
    }

    fn selection(&mut self, selection: &Selection, node: &Node, path: &str) {
        let paths = selection.paths_from(self.decoder.element.as_deref());
        if !paths.is_empty() && paths.iter().all(|used| is_plain(&used.names().join("."))) {
            return;
        }
        let (into, hint) = told(self.chat);
        let message = format!("what {} finds goes into {into} as it is", quoted(path));
        let template = if path.starts_with('@') { path.replacen('@', "item", 1) } else { path.trim_start_matches("$.").to_owned() };
        let filter = self.chat.filters().first().copied().unwrap_or_default();
        let is_simple = template.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        let why = hint.split_once(": ").map_or(hint, |(_, why)| why);
        let hint = if is_simple {
            format!("write `{{{{ {template} | {filter} }}}}`: {why}")
        } else {
            format!("print it with `| {filter}`: {why}")
        };
        self.decoder.report.warning(node.span.clone(), message).hint(hint);
    }
}
