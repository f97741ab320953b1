//! `preset`: what one writes about a well-known receiver, under a name.
//!
//! A preset is a mapping of a destination's keys. It lies below the destination's own keys, as `defaults` do, and above `defaults`; one that
//! `defaults` name lies below these.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::destination::Destination;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::{Decoder, listed};
use crate::config::yaml::{self, Content, Key, Node, Parsed};

/// A recipe for a destination.
#[derive(Debug)]
pub struct Preset {
    /// By which a destination asks for it.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// The keys that it stands for, with a comment at each: YAML.
    pub text: &'static str,
    /// What one has to write beside it: YAML.
    pub own: &'static str,
    /// The header that has to be among that, if one has.
    needs: Option<HeaderName>,
}

const API_TOKEN: HeaderName = HeaderName::from_static("x-api-token");

/// All of them, by name.
pub static PRESETS: [Preset; 4] = [
    Preset {
        name: "hubspot-upsert",
        summary: "contacts into HubSpot by their e-mail address, in batches",
        text: include_str!("presets/hubspot-upsert.yaml"),
        own: "headers: { authorization: \"Bearer ${HUBSPOT_TOKEN}\" }\n",
        needs: Some(AUTHORIZATION),
    },
    Preset {
        name: "pipedrive-person",
        summary: "a new person in Pipedrive for each event",
        text: include_str!("presets/pipedrive-person.yaml"),
        own: "headers: { x-api-token: \"${PIPEDRIVE_TOKEN}\" }\n",
        needs: Some(API_TOKEN),
    },
    Preset {
        name: "salesforce-upsert",
        summary: "contacts into Salesforce by an external id, in batches",
        text: include_str!("presets/salesforce-upsert.yaml"),
        own: "url: ${SALESFORCE_URL}/services/data/v62.0/composite/sobjects/Contact/Wiza_Email__c\n\
              auth:\n  \
                oauth2:\n    \
                  token_url: ${SALESFORCE_URL}/services/oauth2/token\n    \
                  client_id: ${SALESFORCE_CLIENT_ID}\n    \
                  client_secret: ${SALESFORCE_CLIENT_SECRET}\n    \
                  client_auth: body\n",
        needs: Some(AUTHORIZATION),
    },
    Preset {
        name: "slack",
        summary: "a message to a channel of Slack for each event",
        text: include_str!("presets/slack.yaml"),
        own: "url: ${SLACK_WEBHOOK_URL}\n",
        needs: None,
    },
];

/// Keys whose values are mappings that are laid over each other key by key, as a destination's are over those of `defaults`.
const DEEP: [&str; 4] = ["headers", "retry", "circuit", "batch"];

/// A preset that a destination asks for.
pub(in crate::config) struct Applied {
    pub preset: &'static Preset,
    /// What lies below the destination's own keys: the preset with `defaults`.
    pub base: Arc<Node>,
    /// The preset alone.
    pub keys: Arc<Node>,
}

/// The preset that a destination, or `defaults` for it, ask for. Findings about what it says are shown where it is asked for.
pub(in crate::config) fn of(decoder: &mut Decoder<'_>, own: Option<&Node>, defaults: Option<&Node>) -> Option<Applied> {
    let asked = own.and_then(|own| own.get("preset"));
    let (node, is_own) = match asked {
        Some(node) => (node, true),
        None => (defaults?.get("preset")?, false),
    };
    if node.is_null() {
        return None;
    }
    let preset = find(decoder, node)?;
    decoder.report.preset_at = node.span.clone();
    let keys = keys(decoder, preset)?;
    let base = match defaults {
        Some(defaults) if is_own => over(&keys, defaults),
        Some(defaults) => over(defaults, &keys),
        None => Arc::clone(&keys),
    };
    Some(Applied { preset, base, keys })
}

fn find(decoder: &mut Decoder<'_>, node: &Node) -> Option<&'static Preset> {
    let name = decoder.public_text(node, "the name of a preset")?;
    let found = PRESETS.iter().find(|preset| preset.name == name);
    if found.is_none() {
        let names = PRESETS.each_ref().map(|preset| preset.name);
        let near = decoder.near(&name, names.into_iter());
        let hint = near.map_or_else(|| format!("there are {}", listed(&names)), |near| format!("did you mean `{near}`?"));
        decoder.report.error(node.span.clone(), format!("there is no preset {}", quoted(&name))).hint(hint);
    }
    found
}

/// A preset's tree, which is read once for all destinations.
fn keys(decoder: &mut Decoder<'_>, preset: &'static Preset) -> Option<Arc<Node>> {
    if let Some(keys) = decoder.presets.get(preset.name) {
        return Some(Arc::clone(keys));
    }
    let range = decoder.report.preset(preset.name)?;
    let Parsed::Tree(keys) = yaml::parse_file(&mut decoder.report, range) else { return None };
    decoder.presets.insert(preset.name, Arc::clone(&keys));
    Some(keys)
}

/// One mapping over another, as [`crate::config::reading::decode::Layers`] would read them.
pub(in crate::config) fn over(near: &Node, far: &Node) -> Arc<Node> {
    let (Content::Mapping(own), Content::Mapping(others)) = (&near.content, &far.content) else {
        return Arc::new(Node::new(near.span.clone(), Content::Invalid));
    };
    let mut entries: Vec<(Key, Arc<Node>)> = own.iter().map(|(key, node)| (key.clone(), Arc::clone(node))).collect();
    for (key, node) in others {
        match entries.iter_mut().find(|(known, _)| known.text.eq_ignore_ascii_case(&key.text)) {
            Some((known, own)) if DEEP.contains(&known.text.as_str()) && is_mapping(own) && is_mapping(node) => *own = over(own, node),
            Some(_) => {}
            None => entries.push((key.clone(), Arc::clone(node))),
        }
    }
    Arc::new(Node::new(near.span.clone(), Content::Mapping(entries)))
}

fn is_mapping(node: &Node) -> bool {
    matches!(node.content, Content::Mapping(_))
}

/// Reports what has to stand beside a preset and does not.
pub(in crate::config) fn check(decoder: &mut Decoder<'_>, preset: &Preset, destination: &Destination) {
    let Some(name) = &preset.needs else { return };
    let is_there = destination.shape.headers.iter().any(|(known, _)| known == name);
    if is_there || (*name == AUTHORIZATION && destination.auth.is_some()) {
        return;
    }
    let or_auth = if *name == AUTHORIZATION { ", or `auth`" } else { "" };
    let place = decoder.report.preset_at.clone();
    decoder
        .report
        .error(place, format!("the preset {} needs the header `{name}`{or_auth}", quoted(preset.name)))
        .hint(format!("`wiza-relay preset show {}` has an example of it", preset.name));
}
