//! Numbers of a payload as templates have them.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
#[cfg(test)]
use serde::{Serialize, Serializer};
use serde_json::Number;

use crate::json;

/// A number as minijinja has it: an integer of up to 128 bits, or a float. A longer integer is [`Digits`], and so is `-0`.
pub(in crate::transform) fn number(number: &Number) -> Value {
    if number.as_str() == json::NEGATIVE_ZERO {
        Value::from_object(Digits(number.clone()))
    } else if let Some(integer) = number.as_i64() {
        Value::from(integer)
    } else if let Some(integer) = number.as_u64() {
        Value::from(integer)
    } else if let Some(integer) = number.as_i128() {
        Value::from(integer)
    } else if json::is_integer(number) {
        Value::from_object(Digits(number.clone()))
    } else {
        Value::from(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// A whole tree as minijinja's own values, for comparison with a view of it.
#[cfg(test)]
pub(in crate::transform) fn copy(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Number(written) => number(written),
        serde_json::Value::Array(items) => items.iter().map(copy).collect(),
        serde_json::Value::Object(members) => Value::from(minijinja::value::Serde(Members(members))),
        plain => Value::from(minijinja::value::Serde(plain)),
    }
}

#[cfg(test)]
struct Members<'j>(&'j serde_json::Map<String, serde_json::Value>);

#[cfg(test)]
impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, copy(member))))
    }
}

/// An integer of more than 128 bits, or `-0`: it prints as its digits. Of the two only `-0` can be calculated with, as 0.
#[derive(Debug)]
pub(in crate::transform) struct Digits(Number);

impl Digits {
    /// The number of a value that is one.
    pub fn of(value: &Value) -> Option<&Number> {
        value.downcast_object_ref::<Self>().map(|digits| &digits.0)
    }
}

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.as_str() != json::NEGATIVE_ZERO
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
