//! The stricter forms of minijinja's filters. Each looks at its input and its arguments before minijinja's own is called:
//! a null, an absent value and a kind that it cannot be meant for are refused, and what becomes text becomes JSON's.
//!
//! `strict` lets templates call them by a reserved name, and `map` finds them by the same, so that
//! `map("upper")` is as strict as `upper`.

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::digits::Digits;
use super::kind::{Kind, looks_like_number, present, refusal};
use super::printing::text_value;
use super::{conversions, lists};
use crate::transform::marks::{NULL_PRINTED, SAYS, is_named};

/// How the names begin under which templates find these filters.
pub(in crate::transform) const FILTER_PREFIX: &str = "__relay_filter_";
/// Refuses what cannot be an operand of `+ - / // % **`, of a sign, or a bound of a slice.
pub(in crate::transform) const OPERAND_FILTER: &str = "__relay_operand";
/// Refuses what has no negative.
pub(in crate::transform) const NEGATED_FILTER: &str = "__relay_negated";
/// The same as for operands, for those of `*`.
pub(in crate::transform) const FACTOR_FILTER: &str = "__relay_factor";
/// Refuses what cannot be sliced.
pub(in crate::transform) const SLICED_FILTER: &str = "__relay_sliced";
/// Refuses what a `for` cannot walk.
pub(in crate::transform) const EACH_FILTER: &str = "__relay_each";

/// Why nothing is calculated with such an integer.
pub(in crate::transform) const TOO_LONG: &str = "nothing is calculated with an integer of more than 128 bits; `| float` rounds it";

/// What a filter takes as its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Takes {
    /// A text, or a number or boolean, which becomes one.
    Text,
    /// Whatever prints.
    Printed,
    Number,
    List,
    /// A list or an object.
    Several,
    Map,
    ListOrText,
    /// What has a length: a text, a list, an object.
    Sized,
    /// Whatever is there and not null.
    Present,
}

impl Takes {
    fn accepts(self, kind: Kind) -> bool {
        match self {
            Self::Text => matches!(kind, Kind::Text | Kind::Number | Kind::Boolean),
            Self::Printed => matches!(kind, Kind::Text | Kind::Number | Kind::Boolean | Kind::List | Kind::Map),
            Self::Number => kind == Kind::Number,
            Self::List => kind == Kind::List,
            Self::Several => matches!(kind, Kind::List | Kind::Map),
            Self::Map => kind == Kind::Map,
            Self::ListOrText => matches!(kind, Kind::List | Kind::Text),
            Self::Sized => matches!(kind, Kind::Text | Kind::List | Kind::Map),
            Self::Present => true,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Printed => "a value that prints",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Several => "a list or an object",
            Self::Map => "an object",
            Self::ListOrText => "a list or a text",
            Self::Sized => "a text, a list or an object",
            Self::Present => "a value",
        }
    }
}

/// What a filter does with its arguments.
#[derive(Clone, Copy)]
enum With {
    /// None of them may be absent or null.
    Plain,
    /// Positional ones have to be texts.
    Texts,
    /// Positional ones become text, but for lists and objects; by name, as plain ones.
    Printed,
    /// Lists or objects, to go with the input.
    Several,
    /// Any from this position on, and those of these names: they are passed on, or put in.
    Free(usize, &'static [&'static str]),
    /// The filter looks at all of it itself.
    Own(fn(&mut State, &str, &[Value]) -> Result<Value, Error>),
}

/// minijinja's filters, but for `default` and `d`, which are made for what is absent or null, and for `tojson` and
/// `urlencode`, which are the relay's own.
const RULES: [(&str, Takes, With); 42] = [
    ("abs", Takes::Number, With::Plain),
    ("attr", Takes::Present, With::Plain),
    ("batch", Takes::List, With::Free(1, &["fill_with"])),
    ("bool", Takes::Present, With::Own(conversions::boolean)),
    ("capitalize", Takes::Text, With::Plain),
    ("chain", Takes::Several, With::Several),
    ("count", Takes::Sized, With::Plain),
    ("dictsort", Takes::Map, With::Plain),
    ("e", Takes::Printed, With::Plain),
    ("escape", Takes::Printed, With::Plain),
    ("first", Takes::ListOrText, With::Plain),
    ("float", Takes::Present, With::Own(conversions::number)),
    ("format", Takes::Text, With::Own(conversions::format)),
    ("groupby", Takes::List, With::Own(lists::grouped)),
    ("indent", Takes::Text, With::Plain),
    ("int", Takes::Present, With::Own(conversions::number)),
    ("items", Takes::Map, With::Plain),
    ("join", Takes::Several, With::Own(lists::join)),
    ("last", Takes::ListOrText, With::Plain),
    ("length", Takes::Sized, With::Plain),
    ("lines", Takes::Text, With::Plain),
    ("list", Takes::Several, With::Plain),
    ("lower", Takes::Text, With::Plain),
    ("map", Takes::Several, With::Own(lists::map)),
    ("max", Takes::List, With::Own(lists::ordered)),
    ("min", Takes::List, With::Own(lists::ordered)),
    ("pprint", Takes::Printed, With::Own(conversions::pretty)),
    ("reject", Takes::Several, With::Own(lists::select)),
    ("rejectattr", Takes::List, With::Own(lists::select)),
    ("replace", Takes::Text, With::Printed),
    ("reverse", Takes::ListOrText, With::Plain),
    ("round", Takes::Number, With::Plain),
    ("safe", Takes::Printed, With::Plain),
    ("select", Takes::Several, With::Own(lists::select)),
    ("selectattr", Takes::List, With::Own(lists::select)),
    ("slice", Takes::List, With::Free(1, &["fill_with"])),
    ("sort", Takes::List, With::Own(lists::ordered)),
    ("split", Takes::Text, With::Plain),
    ("string", Takes::Printed, With::Plain),
    ("sum", Takes::List, With::Own(lists::sum)),
    ("title", Takes::Text, With::Plain),
    ("trim", Takes::Text, With::Texts),
];

/// Those with less to say.
const MORE_RULES: [(&str, Takes, With); 3] =
    [("unique", Takes::List, With::Own(lists::grouped)), ("upper", Takes::Text, With::Plain), ("zip", Takes::Several, With::Several)];

fn rule(name: &str) -> Option<(&'static str, Takes, With)> {
    RULES.iter().chain(&MORE_RULES).find(|(known, ..)| *known == name).copied()
}

/// Whether a filter of minijinja's has a stricter form.
pub(in crate::transform) fn is_strict(name: &str) -> bool {
    rule(name).is_some()
}

pub(in crate::transform) fn install(environment: &mut Environment<'static>) {
    for (name, takes, with) in RULES.iter().chain(&MORE_RULES).copied() {
        let filter = move |state: &mut State, values: Rest<ValueOrKwargs>| apply(state, name, takes, with, values.into_values());
        environment.add_filter(format!("{FILTER_PREFIX}{name}"), filter);
    }
    environment.add_filter(OPERAND_FILTER, |state: &State, value: &Value| operand(state, value));
    environment.add_filter(NEGATED_FILTER, |state: &State, value: &Value| match operand(state, value)? {
        value if Kind::of(&value) == Kind::Number => Ok(value),
        value => Err(refusal(format!("only a number has a negative, and this is {}", Kind::of(&value).noun()))),
    });
    environment.add_filter(FACTOR_FILTER, |state: &State, value: &Value| match operand(state, value)? {
        value if value.as_str().is_some_and(looks_like_number) => {
            Err(refusal("`*` would repeat a text that looks like a number; write `value | float` or `value | int` for the number"))
        }
        value => Ok(value),
    });
    environment.add_filter(SLICED_FILTER, |state: &State, value: &Value| match present(state, value)? {
        Kind::List | Kind::Text => Ok(value.clone()),
        kind => Err(refusal(format!("only a text or a list can be sliced, and this is {}", kind.noun()))),
    });
    environment.add_filter(EACH_FILTER, |state: &State, value: &Value| match present(state, value)? {
        Kind::List | Kind::Map => Ok(value.clone()),
        kind => Err(refusal(format!("`for` needs a list, and this is {}", kind.noun()))),
    });
}

fn operand(state: &State, value: &Value) -> Result<Value, Error> {
    match present(state, value)? {
        _ if let Some(digits) = Digits::of(value) => digits.as_i64().map(Value::from).ok_or_else(|| refusal(TOO_LONG)),
        kind @ (Kind::Boolean | Kind::Map | Kind::Other) => Err(refusal(format!("there is no arithmetic with {}", kind.noun()))),
        _ => Ok(value.clone()),
    }
}

fn apply(state: &mut State, name: &str, takes: Takes, with: With, mut values: Vec<Value>) -> Result<Value, Error> {
    // What `int(0)` and `float(0)` say holds for what is absent, too.
    if matches!(name, "int" | "float")
        && let Some(instead) = conversions::instead(&values)
    {
        return Ok(instead);
    }
    let Some(input) = values.first_mut() else { return state.apply_filter(name, &values) };
    let prints = matches!(takes, Takes::Text | Takes::Printed);
    if prints && Kind::of(input) == Kind::Null {
        return Err(Error::new(ErrorKind::InvalidOperation, NULL_PRINTED));
    }
    let kind = present(state, input)?;
    if !takes.accepts(kind) {
        return Err(refusal(format!("`{name}` needs {}, and this is {}", takes.noun(), kind.noun())));
    }
    if prints && name != "pprint" {
        *input = text_value(state, input)?;
    }
    match with {
        With::Own(own) => return own(state, name, &values).map_err(|error| in_words(error, name)),
        With::Free(from, names) => arguments_are_present(state, &values, from + 1, names)?,
        With::Plain => arguments_are_present(state, &values, usize::MAX, &[])?,
        With::Texts => {
            arguments_are_present(state, &values, usize::MAX, &[])?;
            let kinds = values.iter().skip(1).filter(|value| !value.is_kwargs()).map(Kind::of);
            if let Some(kind) = kinds.into_iter().find(|kind| *kind != Kind::Text) {
                return Err(refusal(format!("`{name}` needs texts, and this is {}", kind.noun())));
            }
        }
        With::Printed => {
            arguments_are_present(state, &values, usize::MAX, &[])?;
            // The third of `replace` is a count.
            for value in values.iter_mut().skip(1).take(2).filter(|value| !value.is_kwargs()) {
                let kind = Kind::of(value);
                if !Takes::Text.accepts(kind) {
                    return Err(refusal(format!("`{name}` needs texts, and this is {}", kind.noun())));
                }
                *value = text_value(state, value)?;
            }
        }
        With::Several => {
            for value in values.iter().skip(1) {
                let kind = present(state, value)?;
                if !matches!(kind, Kind::List | Kind::Map) {
                    return Err(refusal(format!("`{name}` goes with lists, and this is {}", kind.noun())));
                }
            }
        }
    }
    state.apply_filter(name, &values).map_err(|error| in_words(error, name))
}

/// Refuses arguments that are absent or null, but for the positions from `free_from` on and the names in `free`.
pub(in crate::transform) fn arguments_are_present(state: &State, values: &[Value], free_from: usize, free: &[&str]) -> Result<(), Error> {
    for (place, value) in values.iter().enumerate().skip(1) {
        if value.is_kwargs() {
            let named = Kwargs::try_from(value.clone())?;
            for name in named.args().filter(|name| !free.contains(name)) {
                present(state, &named.peek::<Value>(name)?)?;
            }
        } else if place < free_from {
            present(state, value)?;
        }
    }
    Ok(())
}

/// minijinja's message may quote a value. What a filter cannot do is said without one.
pub(in crate::transform) fn in_words(error: Error, name: &str) -> Error {
    let is_known = error.detail().is_some_and(|detail| detail.starts_with(SAYS))
        || !matches!(error.kind(), ErrorKind::InvalidOperation | ErrorKind::BadSerialization);
    let is_named = error.detail().is_some_and(is_named);
    if is_known || is_named { error } else { refusal(format!("`{name}` cannot work with this value and these arguments")) }
}
