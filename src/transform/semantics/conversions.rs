//! The stricter forms of the filters that make one kind of value of another: `int`, `float`, `bool`, `format`, `pprint`.

use std::collections::BTreeMap;

use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

use super::builtins::arguments_are_present;
use super::digits::Digits;
use super::kind::{Kind, present, refusal};
use super::printing::{json, text_value};

/// From here on a float is no integer that minijinja can hold: 2^127.
const INTEGERS_END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
/// The levels of indentation of `pprint`, in spaces.
const PRETTY_INDENT: usize = 2;
/// The texts that nobody takes for a yes, though they are not empty.
const TEXTS_OF_NO: [&str; 6] = ["false", "no", "off", "0", "none", "null"];

/// What `int(0)`, `float(0)`, `int(default=0)` give in place of a value that is absent or null.
pub(in crate::transform) fn instead(values: &[Value]) -> Option<Value> {
    let (input, arguments) = values.split_first()?;
    if matches!(Kind::of(input), Kind::Absent | Kind::Null) { default(arguments) } else { None }
}

fn default(arguments: &[Value]) -> Option<Value> {
    let by_place = arguments.first().filter(|value| !value.is_kwargs()).cloned();
    by_place.or_else(|| {
        let named = Kwargs::try_from(arguments.last()?.clone()).ok()?;
        if named.has("default") { named.peek::<Value>("default").ok() } else { None }
    })
}

/// `int` and `float`: what is no number has a default or is refused; neither "nan" nor "inf" is one.
pub(in crate::transform) fn number(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    let Some((input, arguments)) = values.split_first() else { return state.apply_filter(name, values) };
    let refused = |why: &str| match default(arguments) {
        Some(default) => Ok(default),
        None => Err(refusal(format!("`{name}` {why}; `{name}(0)` gives 0 instead"))),
    };
    if let Some(digits) = Digits::of(input) {
        let integer = || digits.as_i64().map_or_else(|| input.clone(), Value::from);
        return Ok(if name == "int" { integer() } else { Value::from(digits.as_f64()) });
    }
    let is_decimal = !arguments.iter().any(|value| value.is_kwargs()) && arguments.len() < 2;
    let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    if input.as_str().is_some_and(|text| is_decimal && !has_digit(text)) {
        return refused("needs a text that reads as a number, and this one does not");
    }
    let float = match input.as_str() {
        Some(text) => text.parse::<f64>().ok(),
        None => f64::try_from(input.clone()).ok(),
    };
    if float.is_some_and(|float| !float.is_finite() || (name == "int" && float.abs() >= INTEGERS_END)) {
        return refused("cannot hold a number that large");
    }
    match Kind::of(input) {
        Kind::Number | Kind::Text | Kind::Boolean => {}
        kind => return refused(&format!("needs a number or a text, and this is {}", kind.noun())),
    }
    state.apply_filter(name, values).or_else(|_| refused("needs a text that reads as a number, and this one does not"))
}

/// `bool`: whether a number is not 0, a text or a list not empty. A text that says no is not taken for a yes.
pub(in crate::transform) fn boolean(_: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    let Some(input) = values.first() else { return Err(refusal(format!("`{name}` needs a value"))) };
    if let Some(text) = input.as_str()
        && TEXTS_OF_NO.iter().any(|no| text.trim().eq_ignore_ascii_case(no))
    {
        return Err(refusal(format!(
            "`{name}` is true for every text that is not empty, and this one says no; compare it: `value == \"...\"`"
        )));
    }
    Ok(Value::from(input.is_true()))
}

/// `pprint`: JSON over several lines.
pub(in crate::transform) fn pretty(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    match values {
        [input] => json(state, input, Some(PRETTY_INDENT)).map(Value::from),
        _ => Err(refusal(format!("`{name}` takes no arguments"))),
    }
}

/// `format`: what `%s` prints is what `{{ }}` prints, and `%d` and its like take numbers.
pub(in crate::transform) fn format(state: &mut State, name: &str, values: &[Value]) -> Result<Value, Error> {
    let Some((pattern, arguments)) = values.split_first() else { return state.apply_filter(name, values) };
    let fields = fields(pattern.as_str().unwrap_or_default());
    let mut converted = arguments.to_vec();
    if fields.iter().any(|(key, _)| key.is_some()) {
        let Some(map) = arguments.first() else { return state.apply_filter(name, values) };
        let mut members = BTreeMap::new();
        for (key, kind) in &fields {
            let key = key.as_deref().unwrap_or_default();
            members.insert(key.to_owned(), field(state, &map.get_attr(key)?, *kind)?);
        }
        converted = vec![Value::from(members)];
    } else {
        arguments_are_present(state, values, usize::MAX, &[])?;
        for ((_, kind), argument) in fields.iter().zip(&mut converted) {
            *argument = field(state, argument, *kind)?;
        }
    }
    let all: Vec<Value> = std::iter::once(pattern.clone()).chain(converted).collect();
    state.apply_filter(name, &all)
}

fn field(state: &State, value: &Value, conversion: char) -> Result<Value, Error> {
    match (conversion, present(state, value)?) {
        ('s', _) => text_value(state, value),
        ('c', Kind::Text | Kind::Number) => Ok(value.clone()),
        ('c', kind) => Err(refusal(format!("`%c` needs a character, and this is {}", kind.noun()))),
        (_, Kind::Number) => Ok(value.clone()),
        (conversion, kind) => Err(refusal(format!("`%{conversion}` needs a number, and this is {}", kind.noun()))),
    }
}

/// The fields of a pattern, as Python's `%` has them: the key in `%(key)s`, and what the value becomes.
fn fields(pattern: &str) -> Vec<(Option<String>, char)> {
    let mut fields = Vec::new();
    let mut rest = pattern;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(literal) = after.strip_prefix('%') {
            rest = literal;
            continue;
        }
        let (key, after) = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((key, after)) => (Some(key.to_owned()), after),
            None => (None, after),
        };
        let after = after.trim_start_matches(|flag: char| "#0- +.123456789hlL".contains(flag));
        let Some(conversion) = after.chars().next() else { break };
        fields.push((key, conversion));
        rest = after.get(conversion.len_utf8()..).unwrap_or_default();
    }
    fields
}
