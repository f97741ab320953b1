//! Many equalities by path and value: an event's values lead to those that hold.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Scope;
use super::super::ast::{Key, Path, Root};
use crate::condition::meaning::evaluate::child;
use crate::json::{Exact, NumberKey};

/// An equality: the same path (from the same root) and the same value have the same id.
pub(super) type EqualityId = u32;

/// Places of paths in the order of their making; the first two are the roots.
type PlaceId = usize;
const PAYLOAD: PlaceId = 0;
const EVENT: PlaceId = 1;

/// All paths as one tree, so that what they have in common is walked once, and the values wanted at their ends.
pub(super) struct Equalities {
    places: Vec<Place>,
    count: EqualityId,
}

/// Where a path leads, and how paths go on from there.
#[derive(Default)]
struct Place {
    names: HashMap<String, PlaceId>,
    indices: Vec<(Key, PlaceId)>,
    wanted: Wanted,
}

/// The literals that a path is compared with.
#[derive(Default)]
struct Wanted {
    null: Option<EqualityId>,
    booleans: [Option<EqualityId>; 2],
    numbers: HashMap<NumberKey, EqualityId>,
    texts: HashMap<String, EqualityId>,
    /// Bytes of the longest text: what is longer needs no look, and above all no hash.
    text_bytes_max: usize,
}

impl Equalities {
    pub fn new() -> Self {
        Self { places: vec![Place::default(), Place::default()], count: 0 }
    }

    /// The equalities of a path with these values; `None` if they cannot be indexed.
    pub fn insert(&mut self, path: &Path, values: &[Value]) -> Option<Vec<EqualityId>> {
        if !path.is_singular() || values.iter().any(|value| value.is_array() || value.is_object()) {
            return None;
        }
        let place = self.place(path);
        let wanted = &mut self.places.get_mut(place)?.wanted;
        let mut ids: Vec<EqualityId> = values.iter().filter_map(|value| wanted.insert(value, &mut self.count)).collect();
        ids.sort_unstable();
        ids.dedup(); // 1 and 1.0 are one equality.
        Some(ids)
    }

    /// The equalities that hold on an event, one a path at the most.
    pub fn holding(&self, scope: &Scope<'_>) -> Vec<EqualityId> {
        let mut found = Vec::with_capacity(16);
        self.visit(PAYLOAD, scope.payload, &mut found);
        if self.places.get(EVENT).is_some_and(Place::leads_on) {
            self.visit(EVENT, (scope.event)(), &mut found);
        }
        found
    }

    fn place(&mut self, path: &Path) -> PlaceId {
        let root = match path.root {
            // At the top `@` is the payload, and only terms at the top get here.
            Root::Payload | Root::Current => PAYLOAD,
            Root::Event => EVENT,
        };
        path.keys.iter().fold(root, |place, key| {
            let new = self.places.len();
            let known = self.places.get_mut(place).map_or(new, |place| place.next(key, new));
            if known == new {
                self.places.push(Place::default());
            }
            known
        })
    }

    /// Nests no deeper than the payload.
    fn visit(&self, place: PlaceId, value: &Value, found: &mut Vec<EqualityId>) {
        let Some(place) = self.places.get(place) else { return };
        found.extend(place.wanted.equal_to(value));
        match value {
            // Of many names only those that the object has are looked at.
            Value::Object(members) if place.names.len() > members.len() => {
                for (name, member) in members {
                    if let Some(next) = place.names.get(name) {
                        self.visit(*next, member, found);
                    }
                }
            }
            Value::Object(members) => {
                for (name, next) in &place.names {
                    if let Some(member) = members.get(name) {
                        self.visit(*next, member, found);
                    }
                }
            }
            Value::Array(_) => {
                for (index, next) in &place.indices {
                    if let Some(element) = child(value, index) {
                        self.visit(*next, element, found);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Place {
    /// Where a key leads; `new` if no path had it yet.
    fn next(&mut self, key: &Key, new: PlaceId) -> PlaceId {
        match key {
            Key::Name(name) => match self.names.get(name) {
                Some(known) => *known,
                None => *self.names.entry(name.clone()).or_insert(new),
            },
            Key::Index(_) => match self.indices.iter().find(|(known, _)| known == key) {
                Some((_, known)) => *known,
                None => {
                    self.indices.push((key.clone(), new));
                    new
                }
            },
        }
    }

    fn leads_on(&self) -> bool {
        !self.names.is_empty()
    }
}

impl Wanted {
    fn insert(&mut self, value: &Value, count: &mut EqualityId) -> Option<EqualityId> {
        let new = *count;
        let id = match value {
            Value::Null => *self.null.get_or_insert(new),
            Value::Bool(value) => *self.booleans.get_mut(usize::from(*value))?.get_or_insert(new),
            Value::Number(number) => *self.numbers.entry(Exact::of(number).key()).or_insert(new),
            Value::String(text) => {
                self.text_bytes_max = self.text_bytes_max.max(text.len());
                *self.texts.entry(text.clone()).or_insert(new)
            }
            Value::Array(_) | Value::Object(_) => return None,
        };
        if id == new {
            *count += 1;
        }
        Some(id)
    }

    fn equal_to(&self, value: &Value) -> Option<EqualityId> {
        match value {
            Value::Null => self.null,
            Value::Bool(value) => self.booleans.get(usize::from(*value)).copied().flatten(),
            Value::Number(number) if !self.numbers.is_empty() => self.numbers.get(&Exact::of(number).key()).copied(),
            Value::String(text) if text.len() <= self.text_bytes_max => self.texts.get(text).copied(),
            _ => None,
        }
    }
}
