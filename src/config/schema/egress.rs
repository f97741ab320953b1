//! `egress`.

use serde_json::json;

use crate::config::limits::egress::ENTRIES_MAX;

use super::kind::{self, Schema, list, object};

pub(super) fn egress() -> Schema {
    let entries = || list(kind::text()).with("maxItems", json!(ENTRIES_MAX)).default(json!([]));
    object([
        (
            "private",
            kind::one_of(&["allow", "deny"])
                .says("Whether private addresses (10.0.0.0/8, 127.0.0.0/8, fd00::/8 and the like) are open.")
                .default("allow"),
        ),
        (
            "allow",
            entries().says("Networks and hosts that are open although something wider closes them.").examples([json!([
                "10.1.0.0/16",
                "crm.internal",
                "*.svc.cluster.local"
            ])]),
        ),
        (
            "deny",
            entries()
                .says("Networks and hosts that are closed. All addresses are `0.0.0.0/0` and `::/0`.")
                .examples([json!(["10.9.0.0/16", "*.example.net"])]),
        ),
    ])
    .or_nothing()
}
