//! The stricter forms of minijinja's functions.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value, functions};

use super::kind::{Kind, present, refusal};

pub(in crate::transform) fn install(environment: &mut Environment<'static>) {
    let range = Value::from_function(functions::range);
    environment.add_function("range", move |state: &mut State, values: Rest<Value>| -> Result<Value, Error> {
        for value in values.iter() {
            let kind = present(state, value)?;
            if kind != Kind::Number || !value.is_integer() {
                return Err(refusal(format!("`range` needs whole numbers, and this is {}", kind.noun())));
            }
        }
        range.call(state, &values).map_err(|_| refusal("`range` takes a start, an end and a step, of a list that is not too long"))
    });
    let dict = Value::from_function(functions::dict);
    environment.add_function("dict", move |state: &mut State, values: Rest<ValueOrKwargs>| -> Result<Value, Error> {
        let values = values.into_values();
        for value in values.iter().filter(|value| !value.is_kwargs()) {
            let kind = present(state, value)?;
            if kind != Kind::Map {
                return Err(refusal(format!("`dict` needs an object, and this is {}", kind.noun())));
            }
        }
        dict.call(state, &values).map_err(|_| refusal("`dict` takes an object and values by name"))
    });
}
