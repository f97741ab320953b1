//! What templates see of an event, or of any JSON: it is as it stands, without a copy in minijinja's own values. Only what a
//! template reaches is converted, and a template reaches little of a payload.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use serde_json::Value as Json;

use crate::event::Event;
use crate::transform::semantics::digits;

/// Which of an event's two trees a view looks into.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) enum Root {
    /// The payload.
    Payload,
    /// The relay's own facts.
    Facts,
}

/// The value at the root of a tree.
pub(in crate::transform) fn root(event: &Arc<Event>, root: Root) -> Value {
    View { source: Source::Event(Arc::clone(event), root), steps: Vec::new() }.value()
}

/// A value that belongs to no event: what a batch's body sees, an element of a list.
pub(in crate::transform) fn of(json: Arc<Json>) -> Value {
    View { source: Source::Json(json), steps: Vec::new() }.value()
}

/// The value of a member of a tree's root; `None` where it has no such member.
pub(in crate::transform) fn member(event: &Arc<Event>, root: Root, name: &str) -> Option<Value> {
    let view = View { source: Source::Event(Arc::clone(event), root), steps: Vec::new() };
    view.json()?.get(name)?;
    Some(view.child(Step::Member(name.into())))
}

/// A map or a list: where it comes from, and the way to it from the tree's root. The way is walked at each use, which
/// for the few steps of a path costs less than a copy would.
#[derive(Clone)]
struct View {
    source: Source,
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Source {
    Event(Arc<Event>, Root),
    Json(Arc<Json>),
}

#[derive(Clone)]
enum Step {
    Member(Box<str>),
    Item(usize),
}

impl View {
    fn json(&self) -> Option<&Json> {
        let root = match &self.source {
            Source::Event(event, Root::Payload) => event.payload(),
            Source::Event(event, Root::Facts) => event.facts(),
            Source::Json(json) => json,
        };
        self.steps.iter().try_fold(root, |json, step| match step {
            Step::Member(name) => json.get(&**name),
            Step::Item(index) => json.get(*index),
        })
    }

    fn child(&self, step: Step) -> Value {
        let mut steps = Vec::with_capacity(self.steps.len() + 1);
        steps.extend_from_slice(&self.steps);
        steps.push(step);
        Self { source: self.source.clone(), steps }.value()
    }

    /// A plain value as minijinja has it, a map or a list as a view.
    fn value(self) -> Value {
        let plain = match self.json() {
            None => Some(Value::UNDEFINED),
            Some(Json::Null) => Some(Value::from(())),
            Some(Json::Bool(flag)) => Some(Value::from(*flag)),
            Some(Json::String(text)) => Some(Value::from(text.as_str())),
            Some(Json::Number(number)) => Some(digits::number(number)),
            Some(Json::Array(_) | Json::Object(_)) => None,
        };
        plain.unwrap_or_else(|| Value::from_object(self))
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if matches!(self.json(), Some(Json::Array(_))) { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.json()? {
            Json::Array(items) => {
                let index = usize::try_from(key.clone()).ok().filter(|index| *index < items.len())?;
                Some(self.child(Step::Item(index)))
            }
            _ => self.get_value_by_str(key.as_str()?),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        self.json()?.get(name)?;
        Some(self.child(Step::Member(name.into())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.json() {
            Some(Json::Array(items)) => Enumerator::Seq(items.len()),
            Some(Json::Object(members)) => Enumerator::Values(members.keys().map(|name| Value::from(name.as_str())).collect()),
            _ => Enumerator::Empty,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.json() {
            Some(Json::Array(items)) => Some(items.len()),
            Some(Json::Object(members)) => Some(members.len()),
            _ => Some(0),
        }
    }
}

/// Says where it looks, and nothing of what is there.
impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut view = f.debug_struct("View");
        if let Source::Event(event, root) = &self.source {
            view.field("event", &event.id).field("root", root);
        }
        view.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use jiff::Timestamp;
    use minijinja::{Environment, context};

    use crate::event::EventId;

    #[test]
    fn a_view_is_to_templates_what_a_copy_would_be() {
        let json = r#"{"b": {"z": 1, "a": [1, -2, 3.5, 18446744073709551615, null, true, "x", [], {}]}, "a": "text", "list": [{"n": 2}, {"n": 1}]}"#;
        let event = Event::new(EventId::from_bytes([7; 16]), Timestamp::UNIX_EPOCH, String::new(), String::new(), Bytes::from(json));
        let copy = digits::copy(event.payload());
        let view = root(&Arc::new(event), Root::Payload);
        assert_eq!(view, copy);
        let environment = Environment::new();
        for expression in [
            "v",
            "v | length",
            "v | tojson",
            "v.b",
            "v.b | items | list",
            "v.b.a[-1]",
            "v.b.a[1:3]",
            "v.b.a[3]",
            "v.b.a | reverse | list",
            "v.b.a[4] is none",
            "v.b.a[7] or 'empty'",
            "v.b.a[8] or 'empty'",
            "v.b.a[99] is undefined",
            "v.c is undefined",
            "v['a']",
            "v.list | sort(attribute='n') | map(attribute='n') | join(',')",
            "v.list | selectattr('n', 'eq', 1) | first",
            "'a' in v",
            "1 in v.b.a",
            "v.b == {'a': v.b.a, 'z': 1}",
            "v.list[0] < v.list[1]",
            "v is mapping",
            "v.list is sequence",
            "v.b.a[2] + 1",
            "dict(v.b, more=1)",
            "v.list + [3]",
            "v.list | unique | list",
            "v | dictsort",
        ] {
            let render =
                |v: &Value| environment.render_str(&format!("{{{{ {expression} }}}}"), context! { v => v }).map_err(|error| error.kind());
            assert_eq!(render(&view), render(&copy), "{expression}");
        }
    }
}
