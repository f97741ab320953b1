//! The names that a template sees.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use crate::event::Event;

use super::view::{self, Root};
use crate::transform::filters;
use crate::transform::marks::RESERVED_PREFIX;

/// What a delivery is rendered from.
#[derive(Clone)]
pub struct RenderContext {
    /// The event, whose payload's top-level keys are the templates' names.
    pub event: Arc<Event>,
    /// The name of the route that took the event: `event.route`.
    pub route: Arc<str>,
    /// The moment that the request is made for: `now()`.
    pub now: Timestamp,
}

/// Names the event, and keeps its content to itself.
impl fmt::Debug for RenderContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderContext").field("event", &self.event.id).field("route", &self.route).finish()
    }
}

impl RenderContext {
    /// The root of a template's names.
    pub(in crate::transform) fn names(&self) -> Value {
        Value::from_object(Names(self.clone()))
    }
}

/// The payload's top-level keys by name; beside them `event`, the relay's own facts, `payload`, the whole payload, and the function
/// `now`. Where the payload has a key of one of these three names, that key is reached by `payload.event`.
#[derive(Debug)]
struct Names(RenderContext);

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "event" => Some(Value::from_object(Facts(self.0.clone()))),
            "now" => Some(filters::now(self.0.now)),
            "payload" => Some(view::root(&self.0.event, Root::Payload)),
            // Reserved names are the globals that stand for `${...}`; no payload may take their place.
            _ if name.starts_with(RESERVED_PREFIX) => None,
            _ => view::member(&self.0.event, Root::Payload, name),
        }
    }
}

/// `event`: the facts of conditions (`id`, `received_at`, `path`, `query`, `source`, `account` where there is one) and `route`.
#[derive(Debug)]
struct Facts(RenderContext);

impl Object for Facts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "route" => Some(Value::from(self.0.route.as_ref())),
            _ => view::member(&self.0.event, Root::Facts, name),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.0.event.account {
            Some(_) => Enumerator::Str(&["id", "received_at", "path", "query", "source", "account", "route"]),
            None => Enumerator::Str(&["id", "received_at", "path", "query", "source", "route"]),
        }
    }
}

/// What a batch's body sees: `items`, the list of its members' bodies, which is `payload` too, and the function `now`. The relay's facts
/// are those of one event, so there is no `event`.
#[derive(Debug)]
pub(in crate::transform) struct BatchNames {
    /// A list.
    pub(in crate::transform) items: Value,
    pub(in crate::transform) now: Timestamp,
}

/// The names of a batch's body.
pub(in crate::transform) const BATCH_NAMES: [&str; 3] = ["items", "payload", "now"];

impl Object for BatchNames {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "items" | "payload" => Some(self.items.clone()),
            "now" => Some(filters::now(self.now)),
            _ => None,
        }
    }
}

/// The names of a template inside of `$each`: beside all others `item`, the element, and `loop`, its place, as in `{% for %}`.
#[derive(Debug)]
pub(in crate::transform) struct ElementNames {
    /// Those outside of it.
    pub(in crate::transform) outer: Value,
    pub(in crate::transform) item: Value,
    /// From 0.
    pub(in crate::transform) index: usize,
    /// How many elements there are.
    pub(in crate::transform) length: usize,
}

/// The names that `$each` adds.
pub(in crate::transform) const ELEMENT_NAMES: [&str; 2] = ["item", "loop"];

impl Object for ElementNames {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "item" => Some(self.item.clone()),
            "loop" => Some(place(self.index, self.length)),
            _ => self.outer.get_attr(name).ok().filter(|value| !value.is_undefined()),
        }
    }
}

/// What `loop` says of an element, `index` from 0.
pub(in crate::transform) fn place(index: usize, length: usize) -> Value {
    minijinja::context! {
        index => index + 1,
        index0 => index,
        first => index == 0,
        last => index + 1 == length,
        length => length,
    }
}
