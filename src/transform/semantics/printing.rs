//! How values become text: what `{{ }}` prints, and what the filters that read text see.
//!
//! minijinja prints as Python does (`None`, `True`, `{'a': 1}`). A webhook's reader expects JSON's spelling, so booleans
//! print as `true` and `false`, lists and maps as JSON, numbers as JSON's numbers, in `{{ }}` as in `tojson`. A null is
//! refused as an undefined name is: nobody wants `None` in a message, and `default("...", true)` says what to print instead.

use std::borrow::Cow;
use std::io;

use minijinja::value::{Kwargs, StringInput};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::digits::Digits;
use super::kind::{Kind, present, refusal};
use crate::transform::limits::TEMPLATE_FUEL_MAX;
use crate::transform::marks::{FUNCTION_PRINTED, NULL_PRINTED};

/// Turns a value into the text that printing it would give.
pub(in crate::transform) const TEXT_FILTER: &str = "__relay_text";
/// Turns a value into JSON, which keeps its type.
pub(in crate::transform) const TYPED_FILTER: &str = "__relay_typed";
/// The name of the escaping of URL templates.
pub(in crate::transform) const URL_ESCAPING: &str = "url";

/// The levels of indentation that `tojson(indent=...)` grants at most, in spaces.
const INDENT_MAX: usize = 16;
/// One unit of fuel pays for this many bytes of JSON, as in minijinja's own `tojson`.
const JSON_BYTES_PER_FUEL: usize = 4;

/// Makes an environment print by these rules.
pub(in crate::transform) fn install(environment: &mut Environment<'static>) {
    environment.set_formatter(print);
    environment.add_filter(TEXT_FILTER, |state: &State, value: &Value| text_value(state, value));
    environment.add_filter("tojson", to_json);
    environment.add_filter(TYPED_FILTER, |state: &State, value: &Value| present_json(state, value, None));
    environment.add_filter("urlencode", url_encode);
}

fn encodes(state: &State) -> bool {
    matches!(state.auto_escape(), AutoEscape::Custom(name) if name == URL_ESCAPING)
}

fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None => text_of(state, value)?,
    };
    if encodes(state) && !value.is_safe() {
        let mut encoded = String::with_capacity(text.len());
        push_encoded(&mut encoded, &text);
        out.write_str(&encoded).map_err(Error::from)
    } else {
        out.write_str(&text).map_err(Error::from)
    }
}

/// The text that a value prints as.
pub(in crate::transform) fn text_of<'v>(state: &State, value: &'v Value) -> Result<Cow<'v, str>, Error> {
    match Kind::of(value) {
        Kind::Text => Ok(value.as_str().map_or(Cow::Borrowed(""), Cow::Borrowed)),
        // minijinja's own conversion remembers which name was undefined.
        Kind::Absent => StringInput::new(state, value).map(|text| Cow::Owned(text.as_str().to_owned())),
        Kind::Null => Err(Error::new(ErrorKind::InvalidOperation, NULL_PRINTED)),
        Kind::Boolean => Ok(Cow::Borrowed(if value.is_true() { "true" } else { "false" })),
        Kind::Number if value.is_integer() || Digits::of(value).is_some() => Ok(Cow::Owned(value.to_string())),
        Kind::Number | Kind::Map | Kind::List => json(state, value, None).map(Cow::Owned),
        Kind::Other => Err(Error::new(ErrorKind::InvalidOperation, FUNCTION_PRINTED)),
    }
}

/// A value as the text that printing it gives. An absent value goes on, to the operator or filter that refuses it by name.
pub(in crate::transform) fn text_value(state: &State, value: &Value) -> Result<Value, Error> {
    match Kind::of(value) {
        Kind::Text | Kind::Absent => Ok(value.clone()),
        _ => text_of(state, value).map(Value::from),
    }
}

/// `tojson`: plain JSON, without the escapes for HTML of minijinja's own, and so percent-encoded in a URL as any text.
fn to_json(state: &State, value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.or(options.get("indent")?);
    options.assert_all_used()?;
    present_json(state, value, indent)
}

/// A value as JSON; an absent one is refused by its name.
fn present_json(state: &State, value: &Value, indent: Option<usize>) -> Result<String, Error> {
    if Kind::of(value) == Kind::Absent {
        present(state, value)?;
    }
    json(state, value, indent)
}

/// Takes text until the fuel that is left could not pay for it: a list that is multiplied can be longer than memory.
struct Affordable {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Affordable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > self.bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value as JSON. A null is JSON's own; what is absent inside of it, or no number, is refused.
pub(in crate::transform) fn json(state: &State, value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let fuel = state.fuel_levels().map_or(TEMPLATE_FUEL_MAX, |(_, remaining)| remaining);
    let bytes_max = usize::try_from(fuel).unwrap_or(usize::MAX).saturating_mul(JSON_BYTES_PER_FUEL);
    let mut bytes = Affordable { bytes: Vec::new(), bytes_max };
    let written = match indent {
        None => Strict(value).serialize(&mut serde_json::Serializer::new(&mut bytes)),
        Some(width) => {
            let spaces = " ".repeat(width.min(INDENT_MAX));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            Strict(value).serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        }
    };
    if bytes.bytes.len() > bytes_max {
        return Err(Error::from(ErrorKind::OutOfFuel));
    }
    written.map_err(|error| refusal(error.to_string()))?;
    let text = String::from_utf8(bytes.bytes).map_err(|_| Error::from(ErrorKind::BadSerialization))?;
    state.consume_fuel(u64::try_from(text.len() / JSON_BYTES_PER_FUEL).unwrap_or(u64::MAX))?;
    Ok(text)
}

/// Serializes what JSON can say, and refuses the rest.
struct Strict<'v>(&'v Value);

impl Serialize for Strict<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        match Kind::of(value) {
            Kind::Absent => Err(S::Error::custom("a part of this list or object is absent; `default(none)` makes it null")),
            Kind::Other => Err(S::Error::custom("a function is no JSON")),
            Kind::List => {
                let mut list = serializer.serialize_seq(None)?;
                for item in value.try_iter().map_err(|_| S::Error::custom("this list cannot be read"))? {
                    list.serialize_element(&Strict(&item))?;
                }
                list.end()
            }
            Kind::Map => {
                let mut map = serializer.serialize_map(None)?;
                for key in value.try_iter().map_err(|_| S::Error::custom("this object cannot be read"))? {
                    let item = value.get_item(&key).map_err(|_| S::Error::custom("this object cannot be read"))?;
                    let name = key.as_str().ok_or_else(|| S::Error::custom("the names in an object are texts"))?;
                    map.serialize_entry(name, &Strict(&item))?;
                }
                map.end()
            }
            Kind::Number if let Some(number) = Digits::of(value) => number.serialize(serializer),
            Kind::Number if !value.is_integer() && !f64::try_from(value.clone()).is_ok_and(f64::is_finite) => {
                Err(S::Error::custom("this is no number that JSON has: something was divided by 0, or is too large"))
            }
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text => value.serialize(serializer),
        }
    }
}

/// `urlencode`: everything but RFC 3986's unreserved characters is percent-encoded; a map becomes `a=1&b=2`. What it
/// gives is not encoded again in a URL.
fn url_encode(state: &State, value: &Value) -> Result<Value, Error> {
    let mut encoded = String::new();
    if Kind::of(value) == Kind::Map {
        for key in value.try_iter()? {
            let item = value.get_item(&key)?;
            if !encoded.is_empty() {
                encoded.push('&');
            }
            push_encoded(&mut encoded, &text_of(state, &key)?);
            encoded.push('=');
            push_encoded(&mut encoded, &text_of(state, &item)?);
        }
    } else {
        push_encoded(&mut encoded, &text_of(state, value)?);
    }
    Ok(Value::from_safe_string(encoded))
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Percent-encodes `text` (RFC 3986, 2.1) behind what is in `encoded`.
fn push_encoded(encoded: &mut String, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        // Unreserved characters are ASCII, so a run of them ends at the border of a character.
        let (plain, after) = rest.split_at(rest.bytes().position(|byte| !is_unreserved(byte)).unwrap_or(rest.len()));
        encoded.push_str(plain);
        let Some(character) = after.chars().next() else { break };
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
        rest = after.get(character.len_utf8()..).unwrap_or_default();
    }
}
