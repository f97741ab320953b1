//! `url`, `headers` and `body`: what a request looks like, of a destination or of a route's target.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;

use crate::transform::{Body, Escape, ReadPath, Selection, Shape, Template, TemplateError, Tree};

use super::forms;
use crate::config::doubts::lookalikes::{BeyondPath, beyond_path};
use crate::config::doubts::nulls::Part;
use crate::config::findings::finding::quoted;
use crate::config::outside::url;
use crate::config::reading::decode::{Decoder, Layers};
use crate::config::reading::near::near;
use crate::config::yaml::{Content, Key, Kind, Node, Scalar, Style, looks_like_boolean, looks_like_number, word_at};
use crate::text::Text;

/// Headers that the relay sets itself.
pub(in crate::config) const RESERVED_HEADERS: [&str; 8] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "idempotency-key",
    "content-length",
    "host",
    "transfer-encoding",
    "connection",
];

/// Headers of a request at most: servers refuse requests with many more.
const HEADERS_MAX: usize = 100;

/// Takes `url`, `headers` and `body`. Also tells whether there is a `url`, be it valid or not.
pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, layers: &mut Layers<'_>) -> (Option<Shape>, bool) {
    let url = layers.take("url");
    let has_url = url.is_some();
    let [headers, base_headers] = layers.take_both("headers");
    let body = layers.take("body");

    let before = decoder.doubts.len();
    let url = url.map(|node| decode_url(decoder, node));
    decoder.doubts_are_in(before, Part::Url);
    let base_headers = base_headers.map(|node| decode_headers(decoder, node));
    let headers = headers.map(|node| decode_headers(decoder, node));
    let before = decoder.doubts.len();
    let body = body.map(|node| decode_body(decoder, node));
    decoder.doubts_are_in(before, Part::Body);

    let shape = || {
        let mut merged = optional(base_headers)?.unwrap_or_default();
        for (name, value) in optional(headers)?.unwrap_or_default() {
            merged.retain(|(known, _)| *known != name);
            merged.push((name, value));
        }
        Some(Shape { url: optional(url)?, headers: merged, body: optional(body)? })
    };
    (shape(), has_url)
}

/// What is absent is fine; what is there must be valid.
pub(in crate::config) fn optional<T>(decoded: Option<Option<T>>) -> Option<Option<T>> {
    match decoded {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

impl Decoder<'_> {
    pub(in crate::config) fn template(&mut self, node: &Node, text: &Text, escape: Escape) -> Option<Template> {
        match Template::compile_within(&mut self.templates, text, escape, self.scope) {
            Ok(template) => {
                self.warn_of_parts(node, text);
                let (reads, hazards) = (self.of_payload(template.reads()), self.of_payload(template.hazards()));
                let refused = self.refuse_attributes(node, &reads);
                // One word about one place is enough.
                let others = |reads: &[ReadPath]| -> Vec<ReadPath> {
                    reads.iter().filter(|read| !refused.contains(&read.path.span)).cloned().collect()
                };
                self.warn_of_unknown_in_template(node, &others(&reads));
                self.doubt(node, &others(&hazards));
                self.warn_of_values_in_template(node, &template);
                refused.is_empty().then_some(template)
            }
            Err(TemplateError { offset, message, hint }) => {
                self.error_in(node, word_at(node, offset), message).hint = hint;
                None
            }
        }
    }

    /// The text of a URL, with values that cannot change where it leads.
    pub(in crate::config) fn url_text(&mut self, node: &Node) -> Option<Text> {
        let text = self.text(node, "a URL")?;
        match url::placed(&text) {
            Ok(placed) => {
                // What was percent-encoded is the secret in another form.
                for secret in placed.values().filter(|secret| text.values().all(|known| known != *secret)) {
                    self.secrets.add(secret);
                }
                Some(placed)
            }
            Err(url::Problem { offset, message, hint }) => {
                self.error_in(node, word_at(node, offset), message).hint(hint);
                None
            }
        }
    }

    /// A path `$...`.
    pub(in crate::config) fn selection(&mut self, node: &Node) -> Option<Selection> {
        let text = self.text(node, "a path")?;
        self.selection_from(node, &text)
    }

    pub(in crate::config) fn selection_from(&mut self, node: &Node, text: &Text) -> Option<Selection> {
        if let Some(value) = text.first_value() {
            let message = format!("a path cannot hold `{value}`: values are never read as paths");
            self.error_in(node, word_at(node, text.offset_of_first_value()), message).hint("write the path out");
            return None;
        }
        let path = text.expose();
        let is_of_element = self.scope.in_each && Selection::is_of_element(&path);
        if !is_of_element && !path.starts_with('$') {
            let message = format!("{} is not a path: it does not begin with `$`", quoted(&path));
            let bare = path.trim_start_matches("{{").trim_end_matches("}}").trim().trim_start_matches("payload.").trim_start_matches("@.");
            self.report.error(node.span.clone(), message).hint(format!("write `$.{}`", bare.trim_start_matches('.')));
            return None;
        }
        match if is_of_element { Selection::parse_of_element(&path) } else { Selection::parse(&path) } {
            Ok(selection) => {
                self.warn_of_selection(node, text, &selection);
                self.warn_of_values_in_query(node, text, &path);
                Some(selection)
            }
            Err(error) => {
                match beyond_path(&path) {
                    Some(BeyondPath { span, message, hint }) => {
                        let range = text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
                        self.error_in(node, range, message).hint(hint);
                    }
                    None => self.syntax_error(node, text, error),
                }
                None
            }
        }
    }
}

fn decode_url(decoder: &mut Decoder<'_>, node: &Node) -> Option<Template> {
    let text = decoder.url_text(node)?;
    if let Some((scheme, hint)) = foreign_scheme(&text.masked()) {
        let message = format!("the relay sends HTTP requests, and {} is no URL for them", quoted(&format!("{scheme}:")));
        decoder.error_in(node, word_at(node, 0), message).hint(hint);
        return None;
    }
    let template = decoder.template(node, &text, Escape::Url)?;
    decoder.refuse_closed_url(node, &template)?;
    Some(template)
}

/// Schemes of other protocols, and what to do instead.
const FOREIGN_SCHEMES: [(&[&str], &str); 6] = [
    (&["ws", "wss"], "a WebSocket is for who listens: write the service's endpoint for requests, `https://...`"),
    (
        &["mailto", "smtp", "smtps"],
        "a service that sends e-mail takes it as a request: `https://api.resend.com/emails`, for one; see docs/recipes/operations.md",
    ),
    (
        &["ftp", "ftps", "sftp", "file", "s3", "gs"],
        "write the address of a service that takes files by HTTP, `https://...` with `method: PUT`",
    ),
    (
        &["amqp", "amqps", "kafka", "mqtt", "mqtts", "nats", "redis", "rediss"],
        "a queue needs something in front that takes HTTP: write its address, `https://...`",
    ),
    (
        &["postgres", "postgresql", "mysql", "mongodb", "jdbc"],
        "a database needs a service in front that takes HTTP: write its address, `https://...`",
    ),
    (&["tcp", "udp", "unix", "grpc", "grpcs", "ssh"], "write the address of a service that takes HTTP, `https://...`"),
];

/// The scheme with which a URL begins, where it is not one of HTTP, and what to do.
fn foreign_scheme(url: &str) -> Option<(String, String)> {
    let url = url.trim_start();
    let (scheme, behind) = url.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let lower = scheme.to_ascii_lowercase();
    if !is_scheme || matches!(lower.as_str(), "http" | "https") {
        return None;
    }
    if let Some((_, hint)) = FOREIGN_SCHEMES.iter().find(|(schemes, _)| schemes.contains(&lower.as_str())) {
        return Some((scheme.to_owned(), (*hint).to_owned()));
    }
    // `crm.example.com:8080/x` has no scheme, and another finding says so.
    behind.strip_prefix("//")?;
    let hint = match near(&lower, ["https", "http"].into_iter()) {
        Some(near) => format!("did you mean `{near}://`?"),
        None => "write an address that begins with `https://` or `http://`".to_owned(),
    };
    Some((scheme.to_owned(), hint))
}

fn decode_headers(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<(HeaderName, Template)>> {
    let entries = match &node.content {
        Content::Mapping(entries) => entries.as_slice(),
        _ if node.is_null() => &[],
        Content::Invalid => return None,
        _ => {
            let message = format!("expected headers as a mapping, found {}", node.noun());
            decoder.report.error(node.span.clone(), message).hint("`name: value`, one header a line");
            return None;
        }
    };
    if let Some((key, _)) = entries.get(HEADERS_MAX) {
        decoder.report.error(key.span.clone(), format!("more than {HEADERS_MAX} headers")).hint("no server takes so many: leave some out");
        return None;
    }
    let mut first_lines: HashMap<HeaderName, usize> = HashMap::new();
    let mut headers = Vec::new();
    let mut complete = true;
    for (key, value) in entries {
        let name = match HeaderName::from_bytes(key.text.as_bytes()) {
            Ok(name) if RESERVED_HEADERS.contains(&name.as_str()) => {
                decoder.report.error(key.span.clone(), format!("the relay sets the header `{name}` itself")).hint("take it out");
                None
            }
            Ok(name) => Some(name),
            Err(_) => {
                decoder
                    .report
                    .error(key.span.clone(), format!("{} is not a header's name", quoted(&key.text)))
                    .hint("letters, digits and `-`");
                None
            }
        };
        if let Some(name) = &name
            && let Some(line) = first_lines.insert(name.clone(), decoder.report.line_of(key.span.start))
        {
            decoder
                .report
                .error(key.span.clone(), format!("the header `{name}` stands here a second time"))
                .hint(format!("the first is on line {line}; upper and lower case are the same"));
            complete = false;
        }
        if name.as_ref().is_some_and(|name| bears_a_secret(name.as_str())) {
            cover_literal(decoder, value);
        }
        match (name, decode_header_value(decoder, value)) {
            (Some(name), Some(value)) => headers.push((name, value)),
            _ => complete = false,
        }
    }
    complete.then_some(headers)
}

/// Words in the names of headers whose values are secrets.
const SECRET_WORDS: [&str; 7] = ["auth", "cookie", "key", "password", "secret", "signature", "token"];

/// Whether the value of this header is probably a secret, by its name in lower case.
fn bears_a_secret(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Keeps a secret that is written out in the file out of excerpts. One that comes from elsewhere stands there by its name, which a reader of
/// the finding needs.
fn cover_literal(decoder: &mut Decoder<'_>, node: &Node) {
    if let Content::Scalar(scalar) = &node.content
        && !scalar.text.contains("${")
        && !scalar.text.contains("{{")
    {
        // A text of several lines ends where the next key begins.
        let written = decoder.report.text.get(node.span.clone()).unwrap_or_default().trim_end();
        decoder.report.cover(node.span.start..node.span.start + written.len());
    }
}

fn decode_header_value(decoder: &mut Decoder<'_>, node: &Node) -> Option<Template> {
    let text = decoder.text(node, "a header's value")?;
    decoder.warn_of_header(node, &text.masked());
    decoder.template(node, &text, Escape::Header)
}

pub(in crate::config) fn decode_body(decoder: &mut Decoder<'_>, node: &Arc<Node>) -> Option<Body> {
    match &node.content {
        Content::Scalar(Scalar { kind: Kind::Null, .. }) => {
            decoder.report.error(node.span.clone(), "the body is missing").hint(match decoder.scope.of_batch {
                true => "leave `body` out to send the list of the members' bodies",
                false => "leave `body` out to send the payload byte for byte as it was received",
            });
            None
        }
        Content::Scalar(Scalar { kind: Kind::String, text, .. }) if !Selection::is_written_in(text) => {
            decoder.warn_of_whole(node, text);
            let text = decoder.text(node, "a body")?;
            decoder.template(node, &text, Escape::None).map(Body::Text)
        }
        _ => decode_tree(decoder, node).map(Body::Tree),
    }
}

/// Recurses at most as deep as the parser of YAML lets a file nest.
pub(in crate::config) fn decode_tree(decoder: &mut Decoder<'_>, node: &Node) -> Option<Tree> {
    match &node.content {
        Content::Mapping(entries) if forms::is_form(entries) => forms::decode(decoder, entries),
        Content::Mapping(entries) => decode_map(decoder, entries, decode_tree),
        Content::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| decode_tree(decoder, item)).collect();
            items.into_iter().collect::<Option<_>>().map(Tree::List)
        }
        Content::Scalar(scalar) => decode_leaf(decoder, node, scalar),
        Content::Invalid => None,
    }
}

/// An object whose values are read by `decode`.
pub(super) fn decode_map(
    decoder: &mut Decoder<'_>,
    entries: &[(Key, Arc<Node>)],
    decode: fn(&mut Decoder<'_>, &Node) -> Option<Tree>,
) -> Option<Tree> {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| {
            if ["{{", "{%", "${"].iter().any(|tag| key.text.contains(tag)) {
                decoder
                    .report
                    .warning(key.span.clone(), format!("the key {} is sent as it stands", quoted(&key.text)))
                    .hint("only values can be templates or hold `${...}`");
            }
            Some((forms::key_text(key), decode(decoder, value)?))
        })
        .collect();
    entries.into_iter().collect::<Option<_>>().map(Tree::Map)
}

fn decode_leaf(decoder: &mut Decoder<'_>, node: &Node, scalar: &Scalar) -> Option<Tree> {
    if scalar.kind != Kind::String {
        let value = scalar.to_json();
        if value.is_none() {
            decoder
                .report
                .error(node.span.clone(), format!("the number {} is beyond 1.8e308, the range of a 64-bit float", quoted(&scalar.text)))
                .hint("put it in quotes to send it as a string");
        }
        return value.map(Tree::Literal);
    }
    if let (Style::Plain, Some(value)) = (scalar.style, looks_like_boolean(&scalar.text)) {
        decoder
            .report
            .warning(node.span.clone(), format!("{} is a string here", quoted(&scalar.text)))
            .hint(format!("write `{value}` for a boolean, or put it in quotes"));
    }
    if let (Style::Plain, Some(number)) = (scalar.style, looks_like_number(&scalar.text)) {
        let hint = match number.as_str() {
            "" => "JSON has no such number; put it in quotes if this text is meant".to_owned(),
            number => format!("write `{number}` for a number, or put it in quotes"),
        };
        decoder.report.warning(node.span.clone(), format!("{} is a string here", quoted(&scalar.text))).hint(hint);
    }
    let text = decoder.interpolated(node, &scalar.text)?;
    if Selection::is_written_in(&scalar.text) || (decoder.scope.in_each && Selection::is_of_element(&scalar.text)) {
        return decoder.selection_from(node, &text).map(Tree::Select);
    }
    if text.has_tags() || text.first_value().is_some() {
        return decoder.template(node, &text, Escape::None).map(Tree::Template);
    }
    if !decoder.warn_of_whole(node, &scalar.text) {
        decoder.warn_of_parts(node, &text);
    }
    Some(Tree::Literal(Value::String(text.expose())))
}
