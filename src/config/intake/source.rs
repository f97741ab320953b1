//! `source`: where webhooks come in, and which are accepted.

use std::time::Duration;

use crate::transform::Selection;
use crate::verify::ApiKeys;

use super::api_keys;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;

/// Where webhooks come in, and which are accepted.
#[derive(Debug)]
pub struct Source {
    /// Begins with `/`, and does not end with one (but for `/` itself).
    pub path: String,
    /// The accepted API keys; at least one.
    pub api_keys: ApiKeys,
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

pub(in crate::config) const BODY_BYTES_DEFAULT: u64 = 1 << 20;
pub(in crate::config) const BODY_BYTES_MIN: u64 = 1 << 10;
pub(in crate::config) const BODY_BYTES_MAX: u64 = 64 << 20;
pub(in crate::config) const WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
pub(in crate::config) const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The dedupe index is held in memory.
pub(in crate::config) const WINDOW_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(in crate::config) const PATH_BYTES_MAX: usize = 256;

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Source> {
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
    let api_keys = match api_keys {
        Some(keys) => api_keys::decode(decoder, keys, path.as_deref()),
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
    Some(Source { path: path?, api_keys: api_keys?, body_bytes_max: usize::try_from(body_bytes_max?).ok()?, dedupe: dedupe? })
}

fn decode_path(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let text = decoder.text(node, "a path")?;
    if decoder.unknown_value(&text).is_some() {
        return Some("/".into());
    }
    let path = text.expose();
    let problem = if !path.starts_with('/') {
        let shown = text.masked();
        Some(if path.contains("://") {
            (format!("{} is a URL", quoted(&shown)), "only its path: `/webhooks/wiza`".to_owned())
        } else {
            (format!("{} does not begin with `/`", quoted(&shown)), format!("write `/{shown}`"))
        })
    } else {
        path_problem(&path, &text.masked())
    };
    let Some((message, hint)) = problem else {
        let trimmed = path.trim_end_matches('/');
        return Some(if trimmed.is_empty() { "/".into() } else { trimmed.into() });
    };
    decoder.report.error(node.span.clone(), message).hint(hint);
    None
}

/// What is wrong with the path of a URL, and what to write. `shown`: the path, secrets masked.
pub(in crate::config) fn path_problem(path: &str, shown: &str) -> Option<(String, String)> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    Some(if path.contains(['?', '#']) {
        (format!("{} holds a query", quoted(shown)), "Wiza's callback URL may carry any query; leave it out here".into())
    } else if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        (format!("{} is not in its shortest form", quoted(shown)), "no `//`, `.` or `..`".into())
    } else if let Some(character) = path.chars().find(|c| !fits(*c)) {
        (format!("{} cannot stand in the path", quoted(&character.to_string())), "letters, digits, `/`, `-`, `.`, `_` and `~`".into())
    } else if path.len() > PATH_BYTES_MAX {
        (format!("the path is longer than {PATH_BYTES_MAX} characters"), "any short one will do".into())
    } else {
        return None;
    })
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
