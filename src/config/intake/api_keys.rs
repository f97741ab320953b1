//! `source.api_keys`: the keys that webhooks are accepted with, what they are called, and where each is accepted.

use std::sync::Arc;

use crate::verify::{self, ApiKey, ApiKeys, KeyHash};

use super::source::path_problem;
use crate::config::destinations::shape::optional;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::reading::names;
use crate::config::reading::units::Unreadable;
use crate::config::yaml::{Content, Node};

/// Keys that a file may have: every webhook's is compared with all of them.
pub(in crate::config) const API_KEYS_MAX: usize = 1000;
const HASH_EXPECTED: &str = "64 hexadecimal digits: `printf %s \"$WIZA_API_KEY\" | sha256sum`";
/// What stands for the hash of a key that a dry run does not know.
const HASH_STAND_IN: KeyHash = [0; 32];

/// A key, and where it stands.
struct Entry<'n> {
    key: ApiKey,
    node: &'n Node,
    /// Whether its hash is the real one, and no stand-in of a dry run.
    is_known: bool,
}

/// `source_path` is the path that bound paths lie below, where it could be read.
pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node, source_path: Option<&str>) -> Option<ApiKeys> {
    let items = decoder.list(node, "API keys")?;
    if items.is_empty() {
        decoder
            .report
            .error(node.span.clone(), "`api_keys` is empty: it would accept nothing")
            .hint("the API key of your Wiza account: `[\"${WIZA_API_KEY}\"]`");
        return None;
    }
    if items.len() > API_KEYS_MAX {
        let message = format!("there are {} API keys, and at most {API_KEYS_MAX} can be accepted", items.len());
        decoder.report.error(node.span.clone(), message).hint("take out those that are no longer used");
        return None;
    }
    let entries: Vec<Option<Entry<'_>>> = items.iter().map(|item| decode_entry(decoder, item, source_path)).collect();
    refuse_repetitions(decoder, &entries.iter().flatten().collect::<Vec<_>>());
    let keys: Option<Vec<ApiKey>> = entries.into_iter().map(|entry| entry.map(|entry| entry.key)).collect();
    keys.map(ApiKeys::new)
}

/// A key by itself, or with a name and a path.
fn decode_entry<'n>(decoder: &mut Decoder<'_>, node: &'n Arc<Node>, source_path: Option<&str>) -> Option<Entry<'n>> {
    if !matches!(node.content, Content::Mapping(_)) {
        let (hash, is_known) = decode_key(decoder, node)?;
        return Some(Entry { key: ApiKey { hash, account: None, path: None }, node, is_known });
    }
    let mut table = decoder.table(node, "an API key")?;
    let name = table.take("name");
    let key = table.take("key");
    let hash = table.take("sha256");
    let path = table.take("path");
    let misspelt = table.finish(decoder);
    let name = name.map(|node| decode_name(decoder, node));
    let path = path.map(|node| decode_path(decoder, node, source_path));
    let (hash, is_known) = match (key, hash) {
        (Some(key), None) => decode_key(decoder, key)?,
        (None, Some(hash)) => decode_hash(decoder, hash)?,
        (Some(_), Some(hash)) => {
            decoder
                .report
                .error(hash.span.clone(), "both `key` and `sha256` are given")
                .hint("one of them says it all: take the other out");
            return None;
        }
        (None, None) => {
            if !["key", "sha256"].iter().any(|name| misspelt.contains(name)) {
                let finding = decoder.report.error(node.span.clone(), "an API key is a string, or has `key: ...` or `sha256: ...`");
                finding.hint("for example `{ name: emea, key: \"${WIZA_API_KEY}\" }`");
            }
            return None;
        }
    };
    Some(Entry { key: ApiKey { hash, account: optional(name)?, path: optional(path)? }, node, is_known })
}

/// A key's hash, and whether it is the real one.
fn decode_key(decoder: &mut Decoder<'_>, node: &Node) -> Option<(KeyHash, bool)> {
    let text = decoder.text(node, "an API key")?;
    if text.first_value().is_none() {
        decoder.report.cover(node.span.clone());
    }
    let key = text.expose();
    if key.trim() != key || key.is_empty() {
        let what = if key.is_empty() { "is empty" } else { "begins or ends with blanks" };
        let shown = text.first_value().map_or("this API key".into(), |value| format!("the API key `{value}`"));
        decoder.report.error(node.span.clone(), format!("{shown} {what}")).hint("Wiza's settings page shows the key");
        return None;
    }
    if key.starts_with("sha256:") {
        // The hash is not shown, as no key of the file is.
        let hint = match text.first_value() {
            Some(_) => "write `sha256: ${NAME}` with the hash alone in the variable",
            None => "a blank is missing behind the colon: `sha256: ...`",
        };
        decoder.report.error(node.span.clone(), "this is a hash, and would be taken for a key").hint(hint);
        return None;
    }
    if verify::parse_hex(key.as_bytes()).is_some() {
        decoder
            .report
            .warning(node.span.clone(), "this looks like the SHA-256 of a key, and is taken for a key")
            .hint("if it is a hash, write `sha256: ...`");
    }
    Some((verify::hash_api_key(&key), decoder.unknown_value(&text).is_none()))
}

fn decode_hash(decoder: &mut Decoder<'_>, node: &Node) -> Option<(KeyHash, bool)> {
    let hash = decoder.read_or(node, HASH_EXPECTED, Some(HASH_STAND_IN), |text| {
        verify::parse_hex(text.trim().as_bytes())
            .ok_or_else(|| Unreadable { reason: "is not a SHA-256".into(), hint: format!("expected {HASH_EXPECTED}") })
    })?;
    Some((hash, hash != HASH_STAND_IN))
}

/// It is a label of metrics and a word on the command line, as a destination's name is.
fn decode_name(decoder: &mut Decoder<'_>, node: &Node) -> Option<Arc<str>> {
    let name = decoder.public_text(node, "a key's name")?;
    if names::is_good(&name) {
        return Some(name.into());
    }
    let mended = names::mended(&name);
    let hint = if mended.is_empty() { names::RULE.to_owned() } else { format!("{}: `{mended}`", names::RULE) };
    decoder.report.error(node.span.clone(), format!("{} cannot be the name of a key", quoted(&name))).hint(hint);
    None
}

/// What follows the source's path, as `event.path` has it; a slash before and after it is welcome.
fn decode_path(decoder: &mut Decoder<'_>, node: &Node, source_path: Option<&str>) -> Option<String> {
    let text = decoder.public_text(node, "a key's path")?;
    let path = text.strip_prefix('/').unwrap_or(&text).trim_end_matches('/');
    let below_source = source_path.filter(|source| *source != "/").and_then(|source| text.strip_prefix(source)).and_then(|rest| {
        let rest = rest.strip_prefix('/')?.trim_end_matches('/');
        (!rest.is_empty()).then_some(rest)
    });
    let (message, hint) = if let Some(rest) = below_source {
        (format!("{} begins with the source's own path", quoted(&text)), format!("write what follows it: `path: {rest}`"))
    } else if text.contains("://") {
        (format!("{} is a URL", quoted(&text)), "only what follows the source's path: `path: emea`".to_owned())
    } else if path.is_empty() {
        let hint =
            "take `path` out: such a key is accepted wherever no path is bound; or write what follows the source's path: `path: emea`";
        (format!("{} is no path below the source's", quoted(&text)), hint.to_owned())
    } else {
        match path_problem(path, &text) {
            Some(problem) => problem,
            None => return Some(path.to_owned()),
        }
    };
    decoder.report.error(node.span.clone(), message).hint(hint);
    None
}

/// One key is one account's, or nobody could tell whose webhook it is.
fn refuse_repetitions(decoder: &mut Decoder<'_>, entries: &[&Entry<'_>]) {
    for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_known) {
        let same = |first: &&&Entry<'_>| first.is_known && first.key.hash == entry.key.hash;
        let Some(first) = entries.iter().take(place).find(same) else { continue };
        let line = decoder.report.line_of(first.node.span.start);
        let named = |key: &ApiKey| key.account.as_deref().map_or("without a name".to_owned(), |name| format!("as `{name}`"));
        if first.key.account != entry.key.account {
            let message = format!("this key is given twice: on line {line} {}, here {}", named(&first.key), named(&entry.key));
            decoder.report.error(entry.node.span.clone(), message).hint("one key is one account's: take one of them out");
        } else if entries.iter().take(place).any(|other| other.is_known && other.key == entry.key) {
            let finding = decoder.report.warning(entry.node.span.clone(), "this key is given twice");
            finding.hint(format!("it stands on line {line} already; was another one meant?"));
        }
    }
}
