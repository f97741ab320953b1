//! What a value can be, as JSON Schema. No kind refuses anything that the loader takes: every scalar may stand in
//! quotes or be a `${...}`, so numbers and booleans may be strings, and strings may look like numbers.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::reading::units::{shown_duration, shown_size};

/// A schema that is being built: its keywords, in the order in which they are printed.
#[derive(Debug, Clone)]
pub(super) struct Schema(Map<String, Value>);

/// A key of an object, and what its value can be.
pub(super) type Entry = (&'static str, Schema);

impl Schema {
    /// It as a part of a keyword's value.
    pub fn into_value(self) -> Value {
        self.into()
    }

    /// A schema of a type, or of several.
    pub fn of_type<const N: usize>(types: [&str; N]) -> Self {
        match types.as_slice() {
            [only] => Self(Map::new()).with("type", json!(only)),
            several => Self(Map::new()).with("type", json!(several)),
        }
    }

    /// Adds a keyword.
    pub fn with(mut self, keyword: &str, value: Value) -> Self {
        self.0.insert(keyword.to_owned(), value);
        self
    }

    /// Adds a description; a range that the kind has named already follows it.
    pub fn says(mut self, text: &str) -> Self {
        let description = match self.0.shift_remove("description").as_ref().and_then(Value::as_str) {
            Some(range) => format!("{text} {range}"),
            None => text.to_owned(),
        };
        self.0.shift_insert(0, "description".to_owned(), Value::String(description));
        self
    }

    /// Adds what counts where the key is left out.
    pub fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value.into())
    }

    /// Adds examples.
    pub fn examples<const N: usize>(self, examples: [Value; N]) -> Self {
        self.with("examples", Value::from(examples.to_vec()))
    }

    /// Adds a pattern that strings must match, unless they hold a `${...}`.
    fn pattern(self, pattern: &str) -> Self {
        self.with("pattern", Value::String(format!(r"^(?:{pattern})$|(?:^|[^$])\$\{{")))
    }

    /// Also allows the key to stand there without a value.
    pub fn or_nothing(mut self) -> Self {
        match self.0.get_mut("type") {
            Some(Value::Array(types)) => types.push(json!("null")),
            Some(only) => *only = json!([only, "null"]),
            None => {}
        }
        self
    }

    /// The keys that a mapping must have.
    pub fn needs<const N: usize>(self, keys: [&str; N]) -> Self {
        self.with("required", Value::from(keys.to_vec()))
    }

    /// The keys that a mapping can have; others are refused.
    pub fn keys(self, entries: impl IntoIterator<Item = Entry>) -> Self {
        let properties: Map<String, Value> = entries.into_iter().map(|(key, schema)| (key.to_owned(), schema.into())).collect();
        self.with("properties", Value::Object(properties)).with("additionalProperties", json!(false))
    }
}

impl From<Schema> for Value {
    fn from(Schema(keywords): Schema) -> Self {
        Self::Object(keywords)
    }
}

/// A mapping with these keys and no others; see [`Schema::needs`] and [`Schema::or_nothing`].
pub(super) fn object(entries: impl IntoIterator<Item = Entry>) -> Schema {
    Schema::of_type(["object"]).keys(entries)
}

/// A mapping from names of one's own; `names` is a schema of the names.
pub(super) fn map(names: Value, values: Schema) -> Schema {
    Schema::of_type(["object"]).with("propertyNames", names).with("additionalProperties", values.into()).or_nothing()
}

/// A list; it may be empty.
pub(super) fn list(items: Schema) -> Schema {
    Schema::of_type(["array"]).with("items", items.into()).or_nothing()
}

/// What `$defs` holds under this name.
pub(super) fn defined(name: &str) -> Schema {
    Schema(Map::new()).with("$ref", Value::String(format!("#/$defs/{name}")))
}

/// Any value, null too.
pub(super) fn anything() -> Schema {
    Schema(Map::new())
}

/// Any scalar, taken as it is written.
pub(super) fn text() -> Schema {
    Schema::of_type(["string", "number", "boolean"])
}

/// A string that matches the pattern, or holds a `${...}`.
pub(super) fn text_like(pattern: &str) -> Schema {
    Schema::of_type(["string"]).pattern(pattern)
}

/// A scalar that is shown in logs and metrics, and so has no `${...}` (but for `$${`, which stands for `${`).
pub(super) fn public_text() -> Schema {
    text().with("pattern", json!(NO_VALUE))
}

/// What a pattern begins with whose text has no `${...}`.
pub(super) const NO_VALUE: &str = r"^(?![\s\S]*(?:^|[^$])\$\{)";

/// One of these words.
pub(super) fn one_of(words: &[&str]) -> Schema {
    Schema::of_type(["string"]).pattern(&words.join("|"))
}

/// `true` or `false`.
pub(super) fn boolean() -> Schema {
    Schema::of_type(["boolean", "string"]).pattern("[Tt]rue|TRUE|[Ff]alse|FALSE")
}

/// A whole number in the range.
pub(super) fn integer(range: &RangeInclusive<u32>) -> Schema {
    Schema::of_type(["integer", "string"]).with("minimum", json!(range.start())).with("maximum", json!(range.end())).pattern("[0-9]+")
}

/// A whole number in the range, or this word.
pub(super) fn integer_or(range: &RangeInclusive<u32>, word: &str) -> Schema {
    integer(range).pattern(&format!("[0-9]+|{word}"))
}

/// A number in the range.
pub(super) fn number(range: &RangeInclusive<f64>) -> Schema {
    Schema::of_type(["number", "string"])
        .with("minimum", json!(range.start()))
        .with("maximum", json!(range.end()))
        .pattern(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
}

/// `10s`, `1h30m`, `3d`. The range cannot be a pattern, so the description has it.
pub(super) fn duration(range: &RangeInclusive<Duration>) -> Schema {
    const UNITS: &str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|\
                         weeks?|wks?|w|months?|years?|yrs?|y";
    Schema::of_type(["string"]).pattern(&format!(r"\s*(?:[0-9]+(?:\.[0-9]+)?\s*(?:{UNITS})\s*)+")).says(&format!(
        "From {} to {}.",
        shown_duration(*range.start()),
        shown_duration(*range.end())
    ))
}

/// `1MiB`, `10GB`, or a number of bytes.
pub(super) fn size(range: &RangeInclusive<u64>) -> Schema {
    Schema::of_type(["string", "integer"])
        .with("minimum", json!(range.start()))
        .with("maximum", json!(range.end()))
        .pattern(r"[0-9]+\s*(?:B|KiB|MiB|GiB|KB|MB|GB)?")
        .says(&format!("From {} to {}.", shown_size(*range.start()), shown_size(*range.end())))
}

/// What a rate looks like: `10/s`, `90/m`, `1000/h`.
pub(super) const RATE: &str = r"\s*0*[1-9][0-9]*\s*/\s*[smh]\s*";

/// `10/s`, `90/m`, `1000/h`.
pub(super) fn rate() -> Schema {
    Schema::of_type(["string"]).pattern(RATE)
}

/// Either a string that matches the pattern (or holds a `${...}`), or an object with these keys.
pub(super) fn short_or_long(pattern: &str, entries: impl IntoIterator<Item = Entry>) -> Schema {
    Schema::of_type(["string", "object"]).pattern(pattern).keys(entries)
}

/// A JSONPath over the payload.
pub(super) fn path() -> Schema {
    Schema::of_type(["string"]).with("pattern", json!(format!(r"{NO_VALUE}\$")))
}
