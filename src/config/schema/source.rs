//! `source` and `retention`.

use serde_json::json;

use crate::config::intake::api_keys::API_KEYS_MAX;
use crate::config::intake::source::{
    BODY_BYTES_DEFAULT, BODY_BYTES_MAX, BODY_BYTES_MIN, PATH_BYTES_MAX, WINDOW_DEFAULT, WINDOW_MAX, WINDOW_MIN,
};
use crate::config::limits::retention::{self, Retention};
use crate::config::reading::units::{shown_duration, shown_size};

use super::destination::NAME;
use super::kind::{self, Schema, duration, list, object, size};

/// No blanks at its ends.
const API_KEY: &str = r"^\S(?:[\s\S]*\S)?$";

fn api_key_text() -> Schema {
    kind::text().with("pattern", json!(API_KEY))
}

pub(super) fn source() -> Schema {
    let path = format!(r"(?!.*//)(?!.*/\.\.?(?:/|$))/[A-Za-z0-9/._~-]{{0,{}}}", PATH_BYTES_MAX - 1);
    let bound = format!(r"^(?!.*//)(?!(?:.*/)?\.\.?(?:/|$))/?[A-Za-z0-9._~-][A-Za-z0-9/._~-]{{0,{}}}$", PATH_BYTES_MAX);
    let api_key = Schema::of_type(["string", "number", "boolean", "object"])
        .says("An API key of your Wiza account, or its SHA-256 alone: the relay never needs the key itself.")
        .with("pattern", json!(API_KEY))
        .keys([
            (
                "name",
                kind::public_text()
                    .with("pattern", json!(NAME))
                    .says("Names the account: `event.account` in rules and templates. Several keys of one account share a name."),
            ),
            ("key", api_key_text().says("The key itself.")),
            (
                "sha256",
                kind::text_like(r"\s*[0-9a-fA-F]{64}\s*").says("SHA-256 of the key, in hex: `printf %s \"$WIZA_API_KEY\" | sha256sum`."),
            ),
            (
                "path",
                kind::public_text().with("pattern", json!(bound)).says(
                    "What follows the source's path, such as `emea`: there and below it this key is accepted, no key that is not bound to it, \
                     and this key nowhere else.",
                ),
            ),
        ])
        .with("oneOf", json!([{ "type": ["string", "number", "boolean"] }, { "type": "object", "required": ["key"] }, { "type": "object", "required": ["sha256"] }]))
        .examples([
            json!("${WIZA_API_KEY}"),
            json!({ "sha256": "${WIZA_API_KEY_SHA256}" }),
            json!({ "name": "emea", "key": "${WIZA_API_KEY_EMEA}" }),
        ]);
    object([
        (
            "path",
            kind::text_like(&path)
                .says("The path of the URL that you paste into Wiza. A webhook's own path may go deeper and carry a query.")
                .examples([json!("/webhooks/wiza")]),
        ),
        (
            "api_keys",
            Schema::of_type(["array"])
                .says("Any of these keys is accepted: for a change of keys, or for several accounts.")
                .with("minItems", json!(1))
                .with("maxItems", json!(API_KEYS_MAX))
                .with("items", api_key.into()),
        ),
        (
            "max_body",
            size(&(BODY_BYTES_MIN..=BODY_BYTES_MAX))
                .says("The longest body that is taken, after inflating.")
                .default(shown_size(BODY_BYTES_DEFAULT)),
        ),
        ("dedupe", dedupe().says("When two webhooks are one event: Wiza repeats what was not answered in time.")),
    ])
    .needs(["path", "api_keys"])
}

fn dedupe() -> Schema {
    object([
        ("window", duration(&(WINDOW_MIN..=WINDOW_MAX)).says("How long an event is remembered.").default(shown_duration(WINDOW_DEFAULT))),
        (
            "key",
            list(kind::path())
                .says("JSONPaths of what makes two webhooks the same. Empty: path, query and body. A list calls back with one `data.id` for each of its statuses, so an id needs `$.data.status` beside it.")
                .default(json!([]))
                .examples([json!(["$.type", "$.data.id", "$.data.status"])]),
        ),
    ])
    .or_nothing()
}

pub(super) fn retention() -> Schema {
    let default = Retention::default();
    let kept = || duration(&(retention::KEPT_MIN..=retention::KEPT_MAX));
    object([
        ("delivered", kept().says("Events all of whose deliveries arrived.").default(shown_duration(default.delivered))),
        ("dead", kept().says("Dead letters.").default(shown_duration(default.dead))),
        (
            "parked",
            kept()
                .says("Deliveries whose destination left the file, was paused, is gone or has an open circuit. After this time they are dead.")
                .default(shown_duration(default.parked)),
        ),
        (
            "size",
            size(&(retention::SIZE_BYTES_MIN..=retention::SIZE_BYTES_MAX))
                .says("What the store may take of the disk.")
                .default(shown_size(default.size)),
        ),
    ])
    .or_nothing()
}
