//! The stricter forms of the filters that walk lists.

use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

use super::builtins::{FILTER_PREFIX, TOO_LONG, arguments_are_present, is_strict};
use super::digits::Digits;
use super::kind::{Kind, present, refusal};
use super::printing::text_value;
use super::questions::{TEST_PREFIX, is_own};

/// The arguments by name at the end of a filter's values.
fn named(values: &[Value]) -> Result<Option<Kwargs>, Error> {
    match values.last() {
        Some(last) if last.is_kwargs() => Kwargs::try_from(last.clone()).map(Some),
        _ => Ok(None),
    }
}

/// The path of the attribute that a filter looks at, given by name or at a position.
fn attribute(values: &[Value], position: Option<usize>) -> Result<Option<String>, Error> {
    let by_name = match named(values)? {
        Some(named) if named.has("attribute") => Some(named.peek::<Value>("attribute")?),
        _ => None,
    };
    let found = by_name.or_else(|| values.get(position?).filter(|value| !value.is_kwargs()).cloned());
    Ok(found.and_then(|value| value.as_str().map(str::to_owned)))
}

/// An item's attribute, by a path with dots; absent where it leads to nothing.
fn at_path(item: &Value, path: &str) -> Value {
    path.split('.')
        .try_fold(item.clone(), |value, step| {
            let index = step.parse::<usize>().ok().map(Value::from);
            let found = match index {
                Some(index) if Kind::of(&value) == Kind::List => value.get_item(&index),
                _ => value.get_attr(step),
            };
            found.ok()
        })
        .unwrap_or(Value::UNDEFINED)
}

/// The items of the input, paid for one by one: multiplied, a list can be longer than memory.
fn items(state: &State, input: &Value) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    for item in input.try_iter()? {
        state.consume_fuel(1)?;
        items.push(item);
    }
    Ok(items)
}

/// `join`: each item as printing it would give; a null or an absent one is refused.
pub(in crate::transform) fn join(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    arguments_are_present(state, values, usize::MAX, &[])?;
    let Some((input, arguments)) = values.split_first() else { return state.apply_filter(name, values) };
    let path = attribute(values, Some(2))?;
    let mut texts = Vec::new();
    for item in items(state, input)? {
        let item = path.as_ref().map_or_else(|| item.clone(), |path| at_path(&item, path));
        if item.is_undefined() {
            present(state, &item).map_err(|error| absent_item(error, &item, path.as_deref()))?;
        }
        if item.is_none() {
            return Err(refusal(match path {
                Some(_) => "an item has a null there; keep those that have a value: `selectattr` with the same attribute",
                None => "an item is null; `| select` before `join` drops such items",
            }));
        }
        texts.push(text_value(state, &item)?);
    }
    let between = match arguments.first().filter(|value| !value.is_kwargs()) {
        Some(between) => Some(between.clone()),
        None => match named(values)? {
            Some(named) if named.has("d") => Some(named.peek::<Value>("d")?),
            _ => None,
        },
    };
    if let Some(kind) = between.as_ref().map(Kind::of).filter(|kind| *kind != Kind::Text) {
        return Err(refusal(format!("`{name}` needs a text between the items, and this is {}", kind.noun())));
    }
    let joined: Vec<Value> = std::iter::once(Value::from(texts)).chain(between).collect();
    state.apply_filter(name, &joined)
}

/// An absent item has no name that minijinja knows.
fn absent_item(error: Error, item: &Value, path: Option<&str>) -> Error {
    match path {
        _ if !item.is_undefined() => error,
        Some(_) => refusal("an item has no such attribute; keep those that have it: `selectattr` with the same attribute"),
        None => refusal(
            "an item is absent; with `map(attribute=...)`, give `default=\"...\"` or keep those that have it: `selectattr` with the same attribute",
        ),
    }
}

/// `sum`: of numbers, each of them there.
pub(in crate::transform) fn sum(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    arguments_are_present(state, values, usize::MAX, &[])?;
    let Some(input) = values.first() else { return state.apply_filter(name, values) };
    let path = attribute(values, Some(1))?;
    for item in items(state, input)? {
        let item = path.as_ref().map_or_else(|| item.clone(), |path| at_path(&item, path));
        match Kind::of(&item) {
            Kind::Number | Kind::List => {}
            kind => {
                return Err(refusal(format!("`sum` adds numbers, and an item is {}; keep the numbers: `select(\"number\")`", kind.noun())));
            }
        }
    }
    state.apply_filter(name, values)
}

/// `min`, `max`, `sort`: numbers with numbers, or texts with texts; between others there is no order.
pub(in crate::transform) fn ordered(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    arguments_are_present(state, values, usize::MAX, &[])?;
    let Some(input) = values.first() else { return state.apply_filter(name, values) };
    let paths = attribute(values, None)?;
    let paths: Vec<&str> = paths.iter().flat_map(|paths| paths.split(',')).map(str::trim).filter(|path| !path.is_empty()).collect();
    let items = items(state, input)?;
    let keys: Vec<Option<&str>> = if paths.is_empty() { vec![None] } else { paths.into_iter().map(Some).collect() };
    for path in keys {
        let mut first = None;
        for item in &items {
            let key = path.map_or_else(|| item.clone(), |path| at_path(item, path));
            if Digits::of(&key).is_some() {
                return Err(refusal(TOO_LONG));
            }
            let kind = Kind::of(&key);
            let is_comparable = matches!(kind, Kind::Number | Kind::Text);
            if !is_comparable || *first.get_or_insert(kind) != kind {
                let other = first.filter(|first| *first != kind).map_or(String::new(), |first| format!(" beside {}", first.noun()));
                return Err(refusal(format!(
                    "`{name}` orders numbers or texts, and a value is {}{other}; keep those of one kind, as by `select(\"number\")`",
                    kind.noun()
                )));
            }
        }
    }
    state.apply_filter(name, values)
}

/// `unique` and `groupby`: minijinja takes `true` and 1 for one value, which they are not.
pub(in crate::transform) fn grouped(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    arguments_are_present(state, values, usize::MAX, &["default"])?;
    let Some(input) = values.first() else { return state.apply_filter(name, values) };
    let path = attribute(values, (name == "groupby").then_some(1))?;
    let (mut booleans, mut numbers) = (false, false);
    for item in items(state, input)? {
        let kind = Kind::of(&path.as_ref().map_or_else(|| item.clone(), |path| at_path(&item, path)));
        booleans |= kind == Kind::Boolean;
        numbers |= kind == Kind::Number;
    }
    if booleans && numbers {
        return Err(refusal(format!("`{name}` cannot tell booleans from numbers in one list")));
    }
    state.apply_filter(name, values)
}

/// `map`: filters by their stricter forms.
pub(in crate::transform) fn map(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    renamed(state, name, values, 1, FILTER_PREFIX, is_strict)
}

/// `select`, `reject`, `selectattr`, `rejectattr`: tests by the relay's.
pub(in crate::transform) fn select(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    let place = if name.ends_with("attr") { 2 } else { 1 };
    renamed(state, name, values, place, TEST_PREFIX, is_own)
}

fn renamed(state: &mut State, name: &str, values: &[Value], place: usize, prefix: &str, has: fn(&str) -> bool) -> Result<Value, Error> {
    let mut values = values.to_vec();
    if let Some(inner) = values.get_mut(place)
        && let Some(known) = inner.as_str().filter(|known| has(known))
    {
        *inner = Value::from(format!("{prefix}{known}"));
    }
    state.apply_filter(name, &values)
}
