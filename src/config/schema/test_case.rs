//! `tests`, of a routes.yaml and of a `*.test.yaml`.

use serde_json::json;

use crate::config::destinations::destination::METHODS;
use crate::event::EventSource;

use super::kind::{self, NO_VALUE, Schema, anything, list, map, object};
use super::{any_case, destination, headers};

pub(super) fn tests() -> Schema {
    list(test()).says("Events with what should become of them; `wiza-relay test` runs them.")
}

fn test() -> Schema {
    let name = json!({ "pattern": destination::NAME });
    object([
        ("name", kind::public_text().says("Names the test in reports; unique in its file.")),
        (
            "payload",
            Schema::of_type(["object", "string", "number", "boolean"])
                .says("The event's body: a file beside this one, or the object itself.")
                .with("pattern", json!(NO_VALUE))
                .examples([json!("samples/failed.json"), json!({ "type": "individual_reveal", "data": { "email_status": "valid" } })]),
        ),
        ("event", facts().says("The relay's own facts, where a rule reads them.")),
        ("now", time().says("What `now()` gives in templates, as in RFC 3339. Left out: the event's `received_at`.")),
        (
            "routes",
            list(kind::public_text())
                .says("Every route that should match, in the order of the file, shadow routes too. Left out: not looked at."),
        ),
        (
            "expect",
            map(name, expectation())
                .says("Every destination that should get something, with what it should get; a destination not named must get nothing.")
                .examples([json!({ "crm": { "body_contains": { "source": "wiza" } }, "warehouse": {} }), json!({})]),
        ),
    ])
    .needs(["name", "payload", "expect"])
}

/// RFC 3339.
fn time() -> Schema {
    Schema::of_type(["string"])
        .with("pattern", json!("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*(?:[Zz]|[+-][0-9]{2}.*)$"))
        .examples([json!("2026-01-31T12:00:00Z")])
}

fn facts() -> Schema {
    object([
        ("path", kind::public_text().says("`event.path`: what follows the source's path in the URL.").default("")),
        (
            "query",
            Schema::of_type(["object", "string", "number", "boolean"])
                .says("`event.query`: names with their values, or the query as it stands in a URL.")
                .with("pattern", json!(NO_VALUE))
                .with("additionalProperties", kind::public_text().into())
                .examples([json!({ "campaign": "q4" }), json!("campaign=q4&record=0031x")]),
        ),
        (
            "account",
            kind::public_text().says("`event.account`: the name of the API key that it comes with. Left out: a key without a name."),
        ),
        ("received_at", time().says("`event.received_at`, as in RFC 3339. Left out: now.")),
        (
            "source",
            kind::one_of(&EventSource::ALL.map(EventSource::name))
                .says("`event.source`. Left out: `relay` where the payload's `type` begins with `relay.`, else `wiza`."),
        ),
    ])
    .or_nothing()
}

fn expectation() -> Schema {
    let sent_only = json!({ "url": false, "headers": false, "body": false, "body_contains": false });
    object([
        ("route", kind::public_text().says("The route that should send it.")),
        ("method", method()),
        ("url", kind::text().says("The whole URL.")),
        ("headers", headers(&[], kind::text()).says("Headers with their values; others may be there too.")),
        ("body", anything().says("The whole body: JSON, or a text as a string.")),
        ("body_contains", anything().says("What the body holds among other things; of a text, words of it.")),
        ("error", kind::public_text().says("Words of the reason why the request cannot be rendered.")),
    ])
    .says("What should be sent; what is not given is not looked at, so `{}` is: anything.")
    .or_nothing()
    .with("dependentSchemas", json!({ "error": { "properties": sent_only } }))
}

/// In upper or lower case.
fn method() -> Schema {
    let methods: Vec<String> = METHODS.iter().map(|method| any_case(method.as_str())).collect();
    Schema::of_type(["string"])
        .says("The request's method.")
        .with("pattern", json!(format!("^(?:{})$", methods.join("|"))))
        .examples([json!("PUT")])
}
