//! `source`: where webhooks come in, and which are accepted.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::transform::Selection;

use super::decode::Decoder;
use super::finding::quoted;
use super::units::Unreadable;
use super::yaml::{Content, Node};

/// Where webhooks come in, and which are accepted.
#[derive(Debug)]
pub struct Source {
    /// Begins with `/`, and does not end with one (but for `/` itself).
    pub path: String,
    /// SHA-256 of each accepted API key; at least one. The keys themselves are not kept.
    pub api_key_hashes: Vec<[u8; 32]>,
    /// Of a request, after inflating.
    pub body_bytes_max: usize,
    /// When a webhook is a repetition.
    pub dedupe: Dedupe,
}

/// When two webhooks are one event.
#[derive(Debug)]
pub struct Dedupe {
    /// How long an event is remembered.
    pub window: Duration,
    /// What makes two webhooks the same; empty: the SHA-256 of path, query and body.
    pub key: Vec<Selection>,
}

pub(super) const BODY_BYTES_DEFAULT: u64 = 1 << 20;
pub(super) const BODY_BYTES_MIN: u64 = 1 << 10;
pub(super) const BODY_BYTES_MAX: u64 = 64 << 20;
pub(super) const WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The dedupe index is held in memory.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const PATH_BYTES_MAX: usize = 256;
const HASH_EXPECTED: &str = "64 hexadecimal digits: `printf %s \"$WIZA_API_KEY\" | sha256sum`";

pub(super) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Source> {
    let mut table = decoder.table(node, "`source`")?;
    let path = table.take("path");
    let api_keys = table.take("api_keys");
    let max_body = table.take("max_body");
    let dedupe_node = table.take("dedupe");
    let misspelt = table.finish(decoder);

    let path = match path {
        Some(path) => decode_path(decoder, path),
        None if misspelt.contains(&"path") => None,
        None => {
            decoder.report.error(node.span.clone(), "`source` has no `path`").hint("for example `path: /webhooks/wiza`");
            None
        }
    };
    let api_key_hashes = match api_keys {
        Some(keys) => decode_keys(decoder, keys),
        None if misspelt.contains(&"api_keys") => None,
        None => {
            decoder
                .report
                .error(node.span.clone(), "`source` has no `api_keys`: it would accept nothing")
                .hint("the API key of your Wiza account: `api_keys: [\"${WIZA_API_KEY}\"]`");
            None
        }
    };
    let body_bytes_max = match max_body {
        Some(node) => decoder.size(node, BODY_BYTES_MIN..=BODY_BYTES_MAX),
        None => Some(BODY_BYTES_DEFAULT),
    };
    let dedupe = match dedupe_node {
        Some(node) => decode_dedupe(decoder, node),
        None => Some(Dedupe { window: WINDOW_DEFAULT, key: Vec::new() }),
    };
    Some(Source { path: path?, api_key_hashes: api_key_hashes?, body_bytes_max: usize::try_from(body_bytes_max?).ok()?, dedupe: dedupe? })
}

fn decode_path(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let text = decoder.text(node, "a path")?;
    if decoder.unknown_value(&text).is_some() {
        return Some("/".into());
    }
    let path = text.expose();
    let shown = text.masked();
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    let (message, hint) = if !path.starts_with('/') {
        if path.contains("://") {
            (format!("{} is a URL", quoted(&shown)), "only its path: `/webhooks/wiza`".to_owned())
        } else {
            (format!("{} does not begin with `/`", quoted(&shown)), format!("write `/{shown}`"))
        }
    } else if path.contains(['?', '#']) {
        (format!("{} holds a query", quoted(&shown)), "Wiza's callback URL may carry any query; leave it out here".into())
    } else if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        (format!("{} is not in its shortest form", quoted(&shown)), "no `//`, `.` or `..`".into())
    } else if let Some(character) = path.chars().find(|c| !fits(*c)) {
        (format!("{} cannot stand in the path", quoted(&character.to_string())), "letters, digits, `/`, `-`, `.`, `_` and `~`".into())
    } else if path.len() > PATH_BYTES_MAX {
        (format!("the path is longer than {PATH_BYTES_MAX} characters"), "any short one will do".into())
    } else {
        let trimmed = path.trim_end_matches('/');
        return Some(if trimmed.is_empty() { "/".into() } else { trimmed.into() });
    };
    decoder.report.error(node.span.clone(), message).hint(hint);
    None
}

fn decode_keys(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<[u8; 32]>> {
    let items = decoder.list(node, "API keys")?;
    if items.is_empty() {
        decoder
            .report
            .error(node.span.clone(), "`api_keys` is empty: it would accept nothing")
            .hint("the API key of your Wiza account: `[\"${WIZA_API_KEY}\"]`");
        return None;
    }
    let hashes: Vec<Option<[u8; 32]>> = items.iter().map(|item| decode_key(decoder, item)).collect();
    hashes.into_iter().collect()
}

fn decode_key(decoder: &mut Decoder<'_>, node: &Arc<Node>) -> Option<[u8; 32]> {
    if matches!(node.content, Content::Mapping(_)) {
        let mut table = decoder.table(node, "an API key")?;
        let hash = table.take("sha256");
        let misspelt = table.finish(decoder);
        let Some(hash) = hash else {
            if !misspelt.contains(&"sha256") {
                decoder.report.error(node.span.clone(), "an API key is a string, or `sha256: ...`");
            }
            return None;
        };
        return decoder.read_or(hash, HASH_EXPECTED, Some([0; 32]), |text| {
            decode_hex(text.trim())
                .ok_or_else(|| Unreadable { reason: "is not a SHA-256".into(), hint: format!("expected {HASH_EXPECTED}") })
        });
    }
    let text = decoder.text(node, "an API key")?;
    let key = text.expose();
    if key.trim() != key || key.is_empty() {
        let what = if key.is_empty() { "is empty" } else { "begins or ends with blanks" };
        let shown = text.first_value().map_or("this API key".into(), |value| format!("the API key `{value}`"));
        decoder.report.error(node.span.clone(), format!("{shown} {what}")).hint("Wiza's settings page shows the key");
        return None;
    }
    if decode_hex(&key).is_some() {
        decoder
            .report
            .warning(node.span.clone(), "this looks like the SHA-256 of a key, and is taken for a key")
            .hint("if it is a hash, write `sha256: ...`");
    }
    Some(Sha256::digest(key.as_bytes()).into())
}

/// 64 hexadecimal digits of either case.
fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, index) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(index..index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn decode_dedupe(decoder: &mut Decoder<'_>, node: &Node) -> Option<Dedupe> {
    let mut table = decoder.table(node, "`dedupe`")?;
    let window = table.take("window");
    let key = table.take("key");
    table.finish(decoder);
    let window = match window {
        Some(node) => decoder.duration(node, WINDOW_MIN..=WINDOW_MAX),
        None => Some(WINDOW_DEFAULT),
    };
    let key = match key {
        Some(node) => {
            let items = decoder.list(node, "paths")?;
            let selections: Vec<Option<Selection>> = items.iter().map(|item| decoder.selection(item)).collect();
            let selections: Option<Vec<Selection>> = selections.into_iter().collect();
            if selections.as_deref().is_some_and(takes_statuses_for_repetitions) {
                decoder
                    .report
                    .warning(
                        node.span.clone(),
                        "a list of Wiza's calls back several times with one `data.id`, and all but the first would be dropped",
                    )
                    .hint("add `$.data.status`, or leave `key` out: the body counts then, and each status has another");
            }
            selections
        }
        None => Some(Vec::new()),
    };
    Some(Dedupe { window: window?, key: key? })
}

/// Whether a key tells events apart by their id and not by their status: a list has one id from `queued` to `finished`. What is
/// selected as a whole (`$.data`) holds the status too.
fn takes_statuses_for_repetitions(key: &[Selection]) -> bool {
    let paths: Vec<String> = key.iter().flat_map(Selection::paths).map(|used| used.names().join(".")).collect();
    let is_id = |path: &str| matches!(path, "data.id" | "data_json.id");
    let tells_status = |path: &str| !is_id(path) && !matches!(path, "type") && !is_fixed(path);
    paths.iter().any(|path| is_id(path)) && !paths.iter().any(|path| tells_status(path))
}

/// Whether a list has the same there from its first status to its last.
fn is_fixed(path: &str) -> bool {
    matches!(path, "data.name" | "data.enrichment_level" | "data.report_type" | "data.created_at")
}
