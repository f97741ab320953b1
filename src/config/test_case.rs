//! `tests`: events with what should become of them. Only their outline is checked here; `test` reads the rest.

use std::sync::Arc;

use super::decode::Decoder;
use super::finding::quoted;
use super::yaml::{Content, Node};

/// One entry of `tests`.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Names the test in reports.
    pub name: String,
    /// Where the test begins, counted from 1.
    pub line: usize,
    /// The payload inline, or the path of a file beside the rules.
    pub payload: Arc<Node>,
    /// By destination, what should be sent.
    pub expect: Arc<Node>,
    /// The relay's own facts, where a rule reads them.
    pub event: Option<Arc<Node>>,
}

pub(super) fn decode_all(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<TestCase>> {
    let items = decoder.list(node, "tests")?;
    let cases: Vec<Option<TestCase>> = items.iter().map(|item| decode(decoder, item)).collect();
    cases.into_iter().collect()
}

fn decode(decoder: &mut Decoder<'_>, node: &Arc<Node>) -> Option<TestCase> {
    let mut table = decoder.table(node, "a test")?;
    let name = table.take("name");
    let payload = table.take("payload");
    let expect = table.take("expect");
    let event = table.take("event");
    let misspelt = table.finish(decoder);

    for (key, value) in [("name", name), ("payload", payload), ("expect", expect)] {
        if value.is_none() && !misspelt.contains(&key) {
            decoder
                .report
                .error(node.span.clone(), format!("a test needs {}", quoted(key)))
                .hint("`name`, `payload` (a file or the object inline) and `expect` (by destination; `{}` for none)");
        }
    }
    let name = name.and_then(|name| decoder.public_text(name, "a test's name"));
    let payload = payload.filter(|payload| match &payload.content {
        Content::Mapping(_) => true,
        Content::Scalar(_) => decoder.text(payload, "a payload").is_some(),
        Content::Sequence(_) => {
            decoder.report.error(payload.span.clone(), "a payload is an object, and this is a list");
            false
        }
        Content::Invalid => false,
    });
    let expect = expect.filter(|expect| is_mapping(decoder, expect, "`expect`"));
    let event = match event {
        Some(event) => Some(is_mapping(decoder, event, "`event`").then(|| Arc::clone(event))?),
        None => None,
    };
    let line = decoder.report.line_of(node.span.start);
    Some(TestCase { name: name?, line, payload: Arc::clone(payload?), expect: Arc::clone(expect?), event })
}

fn is_mapping(decoder: &mut Decoder<'_>, node: &Node, what: &'static str) -> bool {
    decoder.table(node, what).is_some()
}
