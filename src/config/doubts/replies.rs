//! `success` that asks for what is not in a reply's JSON.

use serde_json::Value;

use super::known_paths::WARNINGS_MAX;
use crate::condition::{Condition, PathRoot, UsedPath};
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;
use crate::text::Text;

/// What other tools call the reply around its body.
const REPLY_ROOTS: [&str; 6] = ["response", "res", "resp", "reply", "body", "result"];
/// What they call its status. The first two are names of fields as well: there the value decides.
const STATUS_NAMES: [&str; 6] = ["status", "code", "status_code", "statuscode", "http_status", "http_code"];
/// What begins a path that is meant as one of the reply.
const FIELD: &str = "$";

impl Decoder<'_> {
    /// Warns where `success` asks for the reply's HTTP status, or for a field of something around the reply's body. A path that is written with
    /// its `$` is meant as it stands.
    pub(in crate::config) fn warn_of_success(&mut self, node: &Node, text: &Text, condition: &Condition) {
        let is_status = |value: &Value| value.as_u64().is_some_and(|number| (100..600).contains(&number));
        let compared = condition.compared_values();
        let written = |used: &UsedPath| condition.text().get(used.span.clone()).unwrap_or_default();
        let bare = condition.paths().into_iter().filter(|used| used.root == PathRoot::Payload && !written(used).starts_with(FIELD));
        for used in bare.take(WARNINGS_MAX) {
            let names = used.names();
            let range = text.offset_in_scalar(used.span.start)..text.offset_in_scalar(used.span.end);
            let (root, behind) = match names.as_slice() {
                [root, behind @ ..] if REPLY_ROOTS.contains(root) && !behind.is_empty() => (Some(*root), behind),
                all => (None, all),
            };
            let place = STATUS_NAMES.iter().position(|known| matches!(behind, [name] if name.eq_ignore_ascii_case(known)));
            let means_status = match place {
                Some(0 | 1) => compared.iter().any(|found| found.path.span == used.span && is_status(&found.value)),
                Some(_) => true,
                None => false,
            };
            let as_it_stands = format!("if the reply has a field that is called so, write `$.{}`", names.join("."));
            if means_status {
                let hint = "without `success` every 2xx counts, and no other status ever does: leave it out, or ask for a field of the reply, `$.ok == true`";
                self.warning_in(node, range, "`success` is asked of the reply's JSON, and the HTTP status is not in it")
                    .hint(format!("{hint}; {as_it_stands}"));
            } else if let Some(root) = root {
                self.warning_in(
                    node,
                    range,
                    format!("`success` is asked of the reply's JSON, and there is no {} around that", quoted(root)),
                )
                .hint(format!("write `$.{}`; {as_it_stands}", behind.join(".")));
            }
        }
    }
}
