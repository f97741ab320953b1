//! The JSON Schema of routes.yaml and of `*.test.yaml`, for editors: completion, descriptions, red lines while one
//! types. It knows less than `check` (names, conditions, templates), and never refuses what the loader takes.
//!
//! One file a section, one entry a key. Ranges and defaults are the loader's own constants; that the keys are the loader's
//! own is tested (`tests`), so a key that is added to the one and not to the other does not pass.

mod auth;
mod destination;
mod egress;
mod kind;
mod own_events;
mod route;
mod source;
mod test_case;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::INCLUDED_MAX;
use kind::{Schema, list, map};

/// The dialect that the schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a routes.yaml.
pub fn routes_file() -> Value {
    let has_url = json!({ "type": "object", "anyOf": [{ "required": ["url"] }, { "required": ["preset"] }] });
    let file = Schema::of_type(["object"])
        .needs(["source"])
        .keys([
            ("include", include()),
            ("source", source::source().says("Where webhooks come in, and which are accepted.")),
            ("defaults", kind::defined("destination").says("Holds for every destination that does not say otherwise, key by key.")),
            ("destinations", destinations()),
            ("routes", routes()),
            (
                "unmatched",
                kind::defined("targets")
                    .says("Where an event goes that no route took. Empty: it is kept, counted and shown.")
                    .default(json!([])),
            ),
            (
                "egress",
                egress::egress()
                    .says("Where requests may go. Link-local and metadata addresses and the relay's own ports are closed by default, private addresses are open."),
            ),
            (
                "own_events",
                own_events::own_events().says("Limits of what the relay tells of itself. Who gets it, routes say: `when: event.source == \"relay\"`."),
            ),
            ("retention", source::retention().says("How long the past is kept.")),
            ("tests", test_case::tests()),
        ])
        // They may stand in other files.
        .with("anyOf", json!([{ "required": ["destinations", "routes"] }, { "required": ["include"] }]))
        // A destination has a `url`: its own, that of a preset or that of `defaults`.
        .with("if", json!({ "required": ["defaults"], "properties": { "defaults": has_url } }))
        .with("else", json!({ "properties": { "destinations": { "additionalProperties": has_url } } }));
    document(
        "routes.yaml",
        file,
        [("destination", destination::destination()), ("targets", route::targets()), ("value", destination::value())],
    )
}

/// The schema of a file that a routes.yaml includes.
pub fn included_file() -> Value {
    let file = Schema::of_type(["object"]).keys([("destinations", destinations()), ("routes", routes()), ("tests", test_case::tests())]);
    document("an included file", file, [("destination", destination::destination()), ("targets", route::targets())])
}

fn destinations() -> Schema {
    map(json!({ "pattern": destination::NAME }), kind::defined("destination"))
        .says("The places that events are sent to, by name. A name is a label of metrics and part of every `webhook-id`.")
}

fn routes() -> Schema {
    list(route::route()).says("Which events go where. Every route that matches applies, in the order of the file.")
}

/// One path needs no list around it.
fn include() -> Schema {
    let path = json!(format!(r"{}(?![\s\S]*(?:\*\*|[\[\]{{}}]|://))[\s\S]*[^/\s][^/]*\.(?:yaml|yml|json)$", kind::NO_VALUE));
    Schema::of_type(["array", "string"])
        .or_nothing()
        .says(
            "Files with more `destinations`, `routes` and `tests`: paths from this file's folder. `*` and `?` stand for what a name holds. Their routes \
             come behind those of this file, in the order of this list, those of one `*` in the order of their paths.",
        )
        .with("pattern", path.clone())
        .with("items", json!({ "type": "string", "pattern": path }))
        .with("maxItems", json!(INCLUDED_MAX))
        .examples([json!(["crm/*.yaml"]), json!("slack.yaml")])
}

/// The schema of a `*.test.yaml`.
pub fn tests_file() -> Value {
    let file = Schema::of_type(["object"]).needs(["tests"]).keys([("tests", test_case::tests())]);
    document("*.test.yaml", file, [])
}

/// A schema as a document of its own.
fn document<const N: usize>(name: &str, schema: Schema, definitions: [(&str, Schema); N]) -> Value {
    let title = format!("{name} of wiza-relay {}", env!("CARGO_PKG_VERSION"));
    let mut document = Map::from_iter([("$schema".to_owned(), json!(DIALECT)), ("title".to_owned(), json!(title))]);
    if let Value::Object(keywords) = Value::from(schema) {
        document.extend(keywords);
    }
    if !definitions.is_empty() {
        let definitions: Map<String, Value> = definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema.into())).collect();
        document.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Value::Object(document)
}

/// A mapping whose keys are names of headers.
fn headers(reserved: &[&str], values: Schema) -> Schema {
    let names = json!({ "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" });
    if reserved.is_empty() {
        return map(names, values);
    }
    let reserved: Vec<String> = reserved.iter().map(|name| any_case(name)).collect();
    map(json!({ "allOf": [names, { "not": { "pattern": format!("^(?:{})$", reserved.join("|")) } }] }), values)
}

/// A pattern of a word in upper or lower case: JSON Schema's patterns have no flag for that.
fn any_case(word: &str) -> String {
    let letter = |c: char| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase());
    word.chars().map(|c| if c.is_ascii_alphabetic() { letter(c) } else { c.to_string() }).collect()
}
