//! `include`: destinations, routes and tests that stand in files of their own.
//!
//! The sections of all files are joined into one tree, routes.yaml's first. What reads it does not see that there are several files: each
//! node knows its place.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::decode::{Decoder, listed};
use super::pattern::Pattern;
use super::units::Unreadable;
use crate::config::findings::files::{INCLUDED_MAX, Trouble};
use crate::config::findings::finding::{Severity, quoted};
use crate::config::findings::report::Report;
use crate::config::yaml::{self, Content, Key, Kind, Node, Parsed};

/// What an included file may hold. All else is said once, in routes.yaml.
const SECTIONS: [&str; 3] = ["destinations", "routes", "tests"];
/// The sections that only routes.yaml has.
const OF_MAIN: [&str; 6] = ["source", "defaults", "unmatched", "egress", "retention", "include"];

/// The files that a routes.yaml asks for, each with its place in `include`. What is wrong with others is said when it is loaded.
pub fn includes(text: &str) -> Vec<(usize, Pattern)> {
    // Most have none, and need not be read twice.
    if !text.contains("include") {
        return Vec::new();
    }
    let root = yaml::parse(&mut Report::new("", text));
    let nodes = root.as_ref().and_then(|root| root.get("include")).map(entries).unwrap_or_default();
    let patterns = nodes.iter().take(INCLUDED_MAX).enumerate().filter_map(|(entry, node)| {
        let Content::Scalar(scalar) = &node.content else { return None };
        Some((entry, Pattern::parse(&scalar.text).ok().filter(|_| !scalar.text.contains("${"))?))
    });
    patterns.collect()
}

/// One file needs no list around it.
pub(in crate::config) fn entries(node: &Arc<Node>) -> &[Arc<Node>] {
    match &node.content {
        Content::Sequence(items) => items,
        Content::Scalar(scalar) if scalar.kind != Kind::Null => std::slice::from_ref(node),
        _ => &[],
    }
}

/// Reports what is wrong with `include`, and what was found on the disk to be.
pub(in crate::config) fn check(decoder: &mut Decoder<'_>, node: &Arc<Node>, troubles: &[Trouble]) {
    let is_list = matches!(&node.content, Content::Scalar(scalar) if scalar.kind != Kind::Null);
    if !is_list && decoder.list(node, "files").is_none() {
        return;
    }
    if let Some(node) = entries(node).get(INCLUDED_MAX) {
        decoder
            .report
            .error(node.span.clone(), format!("more than {INCLUDED_MAX} files"))
            .hint("`*` takes the files of a folder: `crm/*.yaml`");
    }
    let mut seen: HashMap<String, ()> = HashMap::new();
    for (entry, node) in entries(node).iter().take(INCLUDED_MAX).enumerate() {
        if matches!(&node.content, Content::Scalar(scalar) if scalar.text.contains("${")) {
            decoder.report.error(node.span.clone(), "the path of a file cannot hold a `${...}`").hint("write it out");
            continue;
        }
        let Some(text) = decoder.public_text(node, "the path of a file") else { continue };
        if let Err(Unreadable { reason, hint }) = Pattern::parse(&text) {
            decoder.report.error(node.span.clone(), format!("{} {reason}", quoted(&text))).hint(hint);
        } else if seen.insert(text.clone(), ()).is_some() {
            decoder.report.warning(node.span.clone(), format!("{} stands here a second time", quoted(&text))).hint("take one of them out");
        }
        for trouble in troubles.iter().filter(|trouble| trouble.entry == entry) {
            let draft = match trouble.severity {
                Severity::Error => decoder.report.error(node.span.clone(), trouble.message.as_str()),
                Severity::Warning => decoder.report.warning(node.span.clone(), trouble.message.as_str()),
            };
            draft.hint.clone_from(&trouble.hint);
        }
    }
}

/// What stands in an included file.
#[derive(Default)]
pub(in crate::config) struct Part {
    pub destinations: Option<Arc<Node>>,
    pub routes: Option<Arc<Node>>,
    pub tests: Option<Arc<Node>>,
}

/// Reads the included file that is this part of the report's text.
pub(in crate::config) fn part(decoder: &mut Decoder<'_>, range: Range<usize>) -> Part {
    let start = range.start;
    let root = match yaml::parse_file(&mut decoder.report, range) {
        Parsed::Tree(root) => root,
        Parsed::Nothing => {
            decoder
                .report
                .warning(start..start, "this file is included, and is empty")
                .hint(format!("an included file holds {}", listed(&SECTIONS)));
            return Part::default();
        }
        Parsed::Broken => return Part::default(),
    };
    if let Content::Mapping(entries) = &root.content {
        for (key, _) in entries.iter().filter(|(key, _)| OF_MAIN.contains(&key.text.as_str())) {
            let main = decoder.report.file_name_of(0);
            let (message, hint) = match key.text.as_str() {
                "include" => ("an included file includes no others".to_owned(), format!("name all files in {main}")),
                name => (
                    format!("{} does not belong in an included file", quoted(name)),
                    format!("it stands in {main}, once for all files; an included file holds {}", listed(&SECTIONS)),
                ),
            };
            decoder.report.error(key.span.clone(), message).hint(hint);
        }
    }
    let Some(mut table) = decoder.table(&root, "an included file") else { return Part::default() };
    let part = Part {
        destinations: table.take("destinations").cloned(),
        routes: table.take("routes").cloned(),
        tests: table.take("tests").cloned(),
    };
    table.finish_but(decoder, &OF_MAIN);
    part
}

/// The destinations of all files as one mapping.
pub(in crate::config) fn joined_destinations(decoder: &mut Decoder<'_>, nodes: Vec<Arc<Node>>) -> Option<Arc<Node>> {
    let first = match nodes.as_slice() {
        [] | [_] => return nodes.into_iter().next(),
        [first, ..] => first.span.clone(),
    };
    let mut all = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for node in &nodes {
        for (key, value) in destination_entries(decoder, node) {
            match places.get(&key.text) {
                Some(first) => {
                    let first = decoder.report.place_seen_from(*first, key.span.start);
                    decoder
                        .report
                        .error(key.span.clone(), format!("a second destination is named {}", quoted(&key.text)))
                        .hint(format!("the first is {first}; a name is unique over all files"));
                }
                None => {
                    places.insert(key.text.clone(), key.span.start);
                    all.push((key.clone(), Arc::clone(value)));
                }
            }
        }
    }
    Some(Arc::new(Node::new(first, Content::Mapping(all))))
}

/// A list of all files as one; `of` says of what: `routes`.
pub(in crate::config) fn joined_list(decoder: &mut Decoder<'_>, nodes: Vec<Arc<Node>>, of: &str) -> Option<Arc<Node>> {
    let first = match nodes.as_slice() {
        [] | [_] => return nodes.into_iter().next(),
        [first, ..] => first.span.clone(),
    };
    let items = nodes.iter().flat_map(|node| decoder.list(node, of).unwrap_or_default().iter().cloned()).collect();
    Some(Arc::new(Node::new(first, Content::Sequence(items))))
}

/// The destinations of a mapping by name.
pub(in crate::config) fn destination_entries<'n>(decoder: &mut Decoder<'_>, node: &'n Node) -> &'n [(Key, Arc<Node>)] {
    match &node.content {
        Content::Mapping(entries) => entries.as_slice(),
        Content::Scalar(_) | Content::Sequence(_) if !node.is_null() => {
            decoder
                .report
                .error(node.span.clone(), format!("expected destinations as a mapping, found {}", node.noun()))
                .hint("`name:`, and below it, indented, `url: https://...`");
            &[]
        }
        _ => &[],
    }
}
