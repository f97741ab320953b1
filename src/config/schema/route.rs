//! `routes` and `unmatched`.

use serde_json::json;

use crate::config::routes::route::NAME_CHARACTERS_MAX;

use super::destination;
use super::kind::{self, NO_VALUE, Schema, boolean, object};

pub(super) fn route() -> Schema {
    object([
        (
            "name",
            kind::public_text()
                .says("Names the route in metrics, logs and `explain`; unique.")
                .with("pattern", json!(format!(r"{NO_VALUE}[^\x00-\x1f]*\S[^\x00-\x1f]*$")))
                .with("maxLength", json!(NAME_CHARACTERS_MAX)),
        ),
        (
            "when",
            Schema::of_type(["string"])
                .says(
                    "Which events: what RFC 9535 (JSONPath) puts inside `[?...]`, and `and or not`, bare paths from the payload's root, \
                     and `in [...]`. Left out: all.",
                )
                .with("pattern", json!(format!(r"{NO_VALUE}[\s\S]*\S")))
                .examples([
                    json!("status.code == 400 or data.status == \"failed\""),
                    json!("data.emails[?@.email_type == \"work\" && @.email_status == \"valid\"]"),
                    json!("data.company_country in [\"Germany\", \"Austria\"]"),
                ]),
        ),
        (
            "to",
            kind::defined("targets")
                .says("Where the events go. With `stop: true`, `[]` drops them.")
                .examples([json!(["crm", "warehouse"])]),
        ),
        ("stop", boolean().says("Ends the walk for events that match: no later route is looked at.").default(false)),
        ("shadow", boolean().says("Evaluated, counted and shown, never sent: to try a rule on live traffic.").default(false)),
    ])
    .needs(["name", "to"])
}

/// One destination's name, or a list of names and of destinations with a shape of their own.
pub(super) fn targets() -> Schema {
    let name = || kind::text().with("pattern", json!(destination::NAME));
    let own_name = ("destination", name().says("The destination's name."));
    let target = Schema::of_type(["string", "number", "boolean", "object"])
        .says("A destination's name; or with `url`, `headers` or `body` of this route's own.")
        .with("pattern", json!(destination::NAME))
        .keys([own_name].into_iter().chain(destination::shape()))
        .needs(["destination"]);
    Schema::of_type(["array", "string", "number", "boolean"])
        .with("pattern", json!(destination::NAME))
        .with("items", target.into())
        .or_nothing()
}
