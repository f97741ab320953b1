//! A destination, and so `defaults` too; and the shape of requests, which a route's target may override.

use serde_json::json;

use crate::circuit::Circuit;
use crate::config::PRESETS;
use crate::config::destinations::batch;
use crate::config::destinations::destination::{
    ATTEMPTS_MAX, BURST_MAX, CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DEADLINE_MAX, EXPIRE_MIN, FACTOR_MAX, FAILURES_MAX, METHODS,
    MILLISECOND, OFF, REFUSALS_MAX, REPLIES, Retry, TIMEOUT_DEFAULT, TIMEOUT_MAX, WAIT_MAX,
};
use crate::config::destinations::forms::{DO, EACH, PRESENT, VALUE};
use crate::config::destinations::retry::RETRIED_STATUSES;
use crate::config::destinations::shape::RESERVED_HEADERS;
use crate::config::reading::units::shown_duration;

use super::kind::{self, Entry, NO_VALUE, RATE, Schema, duration, integer, integer_or, number, object, rate, short_or_long};
use super::{auth, headers};

/// What a destination's name looks like.
pub(super) const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

pub(super) fn destination() -> Schema {
    let methods: Vec<&str> = METHODS.iter().map(http::Method::as_str).collect();
    let own = [
        (
            "preset",
            kind::one_of(&PRESETS.each_ref().map(|preset| preset.name))
                .or_nothing()
                .says("A recipe that stands for most of these keys; what is written beside it wins. `wiza-relay preset show NAME` prints it.")
                .examples([json!("slack")]),
        ),
        ("method", kind::one_of(&methods).says("The requests' method.").default("POST").examples([json!("PUT"), json!("PATCH")])),
        (
            "timeout",
            duration(&(MILLISECOND..=TIMEOUT_MAX))
                .says("Of one attempt, from connecting to the end of the reply.")
                .default(shown_duration(TIMEOUT_DEFAULT)),
        ),
        ("concurrency", integer(&(1..=CONCURRENCY_MAX)).says("Attempts at the same time.").default(CONCURRENCY_DEFAULT)),
        (
            "enabled",
            kind::boolean()
                .says("`false`: no new deliveries are planned for it, and what waits is parked until it is switched on again.")
                .default(true),
        ),
        (
            "expire",
            duration(&(EXPIRE_MIN..=DEADLINE_MAX))
                .or_nothing()
                .says("How long after an event's receipt it is worth sending; then the delivery is dead, wherever it waits. Left out: `retry.deadline` alone counts.")
                .examples([json!("2h")]),
        ),
        (
            "never",
            Schema::of_type(["string"])
                .or_nothing()
                .says("A guard, as in `when`: an event for which it holds is never sent there, whatever the routes say.")
                .with("pattern", json!(format!(r"{NO_VALUE}[\s\S]*\S")))
                .examples([json!("data.email_type == \"personal\"")]),
        ),
        ("rate_limit", rate_limit().says("Attempts a second, minute or hour at most. Left out: no limit.")),
        ("retry", retry().says("When a failed attempt is repeated, and how often. A Retry-After of the destination wins.")),
        ("circuit", circuit().says("When the destination is left alone for a while: its queue waits, and no attempts are used up.")),
        ("batch", batch().says("Several deliveries in one request: a JSON array of their bodies, or a `body` around it, with a `webhook-id` of its own. Left out: one each.")),
        (
            "order_by",
            kind::path()
                .says("JSONPath of what deliveries are in line by: those for which it finds the same go one at a time, in the order of acceptance. Left out: each goes as soon as it can.")
                .examples([json!("$.data.id")]),
        ),
        (
            "success",
            Schema::of_type(["string"])
                .or_nothing()
                .says("What must hold on the JSON reply of a 2xx for it to count, as in `when`; else the attempt failed and is retried. Left out: every 2xx counts.")
                .with("pattern", json!(format!(r"{NO_VALUE}[\s\S]*\S")))
                .examples([json!("$.ok == true")]),
        ),
        (
            "replies",
            kind::one_of(&REPLIES.map(|(name, _)| name))
                .says("What is kept of replies, to be shown with deliveries: `full`, the status and the first KiB; `status` alone; or `none` of it.")
                .default("full"),
        ),
        ("sign", auth::sign().says("Signs requests as Standard Webhooks says, so that the receiver can verify them.")),
        ("auth", auth::auth().says("How the relay shows who it is, in place of a header `authorization`.")),
        ("tls", auth::tls().says("How connections are secured beyond what holds for all: files in PEM, by absolute paths.")),
    ];
    object(shape().into_iter().chain(own)).or_nothing()
}

/// What a request looks like: of a destination, or of a route's target.
pub(super) fn shape() -> Vec<Entry> {
    vec![
        (
            "url",
            kind::text_like(r"\s*[hH][tT][tT][pP][sS]?:[\s\S]*")
                .says("Where requests go. A template behind the host; values in it are percent-encoded.")
                .examples([json!("${SLACK_WEBHOOK_URL}"), json!("https://crm.example.com/v1/contacts/{{ data.id }}")]),
        ),
        (
            "headers",
            headers(&RESERVED_HEADERS, kind::text())
                .says("Headers beside those that the relay sets itself. Values are templates.")
                .examples([json!({ "x-api-key": "${API_KEY}" })]),
        ),
        (
            "body",
            body()
                .says(
                    "What is sent. A string that begins with `$.` or `$[` is a JSONPath and keeps the type of what it finds, `$` alone is \
                     the whole payload, a string with `{{ }}` is a template, anything else is literal. `{ $each: path, $do: body }` makes \
                     a list of another, `{ $value: \"{{ ... }}\" }` keeps the type of a template's value, `{ $present: value }` leaves out what is \
                     absent, null or empty. Left out: the payload, byte for \
                     byte as it was received.",
                )
                .examples([
                    json!({ "email": "$.data.email", "name": "{{ data.name | title }}", "source": "wiza" }),
                    json!({ "properties": { "$present": { "phone": "$.data.mobile_phone", "jobtitle": "$.data.title" } } }),
                    json!({ "phones": { "$each": "$.data.phones", "$do": { "number": "@.number" } } }),
                ]),
        ),
    ]
}

fn body() -> Schema {
    Schema::of_type(["object", "array", "string", "number", "boolean"]).with("allOf", json!([kind::defined("value").into_value()]))
}

/// Any value of a body: an object may be one of its forms, `$each` with `$do`, `$value`, or `$present`.
pub(super) fn value() -> Schema {
    let value = || kind::defined("value").into_value();
    let each = json!({
        "description": "The list: a JSONPath of the payload (`$...`), or inside of another `$each` of its element (`@...`).",
        "type": "string",
        "pattern": r"^[$@](?:$|[.\[])",
        "examples": ["$.data.phones"],
    });
    let element = json!({
        "description": "What each element becomes. In it `@` is the element, `$` the payload, and templates know `item` and `loop`.",
        "allOf": [value()],
        "examples": [{ "number": "@.number" }],
    });
    let typed = json!({
        "description": "One `{{ }}`, whose value keeps its type.",
        "type": "string",
        "pattern": r"^\s*\{\{[\s\S]*\}\}\s*$",
        "examples": ["{{ data.company_size > 1000 }}"],
    });
    let present = json!({
        "description": "Left out where it is absent, null, or a text, list or object with nothing in it. Of an object or a list the same \
                        holds for each of its values.",
        "allOf": [value()],
        "not": { "type": "object", "required": [PRESENT] },
        "examples": ["$.data.mobile_phone", { "phone": "$.data.mobile_phone", "jobtitle": "$.data.title" }],
    });
    let left_out = json!({ "properties": { PRESENT: present }, "additionalProperties": false });
    let list = json!({ "required": [EACH, DO], "properties": { EACH: each, DO: element }, "additionalProperties": false });
    let any = json!({ "additionalProperties": value(), "items": value() });
    kind::anything()
        .says("A value of a body.")
        .with("if", json!({ "type": "object", "anyOf": [{ "required": [EACH] }, { "required": [DO] }] }))
        .with("then", list)
        .with(
            "else",
            json!({
                "if": { "type": "object", "required": [PRESENT] },
                "then": left_out,
                "else": {
                    "if": { "type": "object", "required": [VALUE] },
                    "then": { "properties": { VALUE: typed }, "additionalProperties": false },
                    "else": any,
                },
            }),
        )
}

fn rate_limit() -> Schema {
    short_or_long(
        RATE,
        [
            ("rate", rate().says("How many in a second, minute or hour.").examples([json!("10/s"), json!("90/m"), json!("1000/h")])),
            ("burst", integer(&(1..=BURST_MAX)).says("How many at once. Left out: what is due in a tenth of a second, and at least 1.")),
        ],
    )
    .needs(["rate"])
    .examples([json!("1/s"), json!({ "rate": "10/s", "burst": 20 })])
}

fn retry() -> Schema {
    let default = Retry::default();
    let wait = || duration(&(MILLISECOND..=WAIT_MAX));
    object([
        ("attempts", integer(&(1..=ATTEMPTS_MAX)).says("All attempts, the first included.").default(default.attempts)),
        (
            "first",
            wait()
                .says("The longest wait after the first attempt; the wait itself is drawn by chance.")
                .default(shown_duration(default.first)),
        ),
        ("factor", number(&(1.0..=FACTOR_MAX)).says("By how much the longest wait grows with each attempt.").default(default.factor)),
        ("max", wait().says("What no wait exceeds, a Retry-After included.").default(shown_duration(default.max))),
        (
            "deadline",
            duration(&(MILLISECOND..=DEADLINE_MAX))
                .says("After the event was accepted; then the delivery goes to the dead letters.")
                .default(shown_duration(default.deadline)),
        ),
        (
            "on",
            kind::list(integer(&RETRIED_STATUSES))
                .with("uniqueItems", json!(true))
                .says(
                    "Statuses by which the destination says 'later' in its own way. Each is read as a 429: neither as refused nor as gone.",
                )
                .examples([json!([404, 302])]),
        ),
    ])
    .or_nothing()
}

fn batch() -> Schema {
    object([
        ("max", integer(&(1..=batch::MAX_MAX)).says("Members at most: so many go at once.").default(batch::MAX_DEFAULT)),
        (
            "every",
            duration(&(MILLISECOND..=batch::EVERY_MAX))
                .says("How long the first waits for others.")
                .default(shown_duration(batch::EVERY_DEFAULT)),
        ),
        (
            "body",
            body()
                .says(
                    "What is sent, as a destination's `body`: its `$`, and `items` in its templates, is the list of the members' bodies. \
                     Left out: that list.",
                )
                .examples([json!({ "inputs": "$" }), json!("{% for item in items %}{{ item | tojson }}\n{% endfor %}")]),
        ),
    ])
    .or_nothing()
}

fn circuit() -> Schema {
    let default = Circuit::default();
    object([
        ("failures", integer(&(1..=FAILURES_MAX)).says("Failed attempts in a row.").default(default.failures)),
        (
            "refusals",
            integer_or(&(0..=REFUSALS_MAX), OFF)
                .says("Different events in a row that are dead because it refuses them, or because no request can be made of them. `off`, or 0: these never open it.")
                .default(default.refusals),
        ),
        (
            "cooldown",
            duration(&(MILLISECOND..=WAIT_MAX))
                .says("How long nothing is sent; then one probe decides.")
                .default(shown_duration(default.cooldown)),
        ),
    ])
    .or_nothing()
}
