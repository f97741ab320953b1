//! Comparisons in templates: what `== != < <= > >= in` give there is what they give in a condition.
//!
//! minijinja orders all values: null before numbers, numbers before texts, and `true` is 1. So `{% if n < 50 %}` would
//! hold for null. Here only numbers are ordered against numbers and texts against texts, `true` is no number, and all
//! else is neither smaller nor larger. What is absent equals only what is absent, and has no order, as RFC 9535 has it.

use std::cmp::Ordering;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, State, Value};

use crate::json::Exact;

use super::digits::Digits;
use super::kind::{Kind, present, refusal};

/// The function that comparisons become: an operand, an operator, an operand, and so on.
pub(in crate::transform) const COMPARE: &str = "__relay_compare";

/// How much text is compared for one unit of fuel, as minijinja's own comparisons have it.
const TEXT_BYTES_PER_FUEL: usize = 64;

pub(in crate::transform) fn install(environment: &mut Environment<'static>) {
    environment.add_function(COMPARE, |state: &State, operands: Rest<Value>| chain(state, &operands));
}

/// `a < b <= c` holds where both comparisons do.
fn chain(state: &State, operands: &[Value]) -> Result<bool, Error> {
    for window in operands.windows(3).step_by(2) {
        let [left, operator, right] = window else { break };
        if !holds(state, left, operator.as_str().unwrap_or_default(), right)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a comparison holds.
pub(in crate::transform) fn holds(state: &State, left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    state.consume_fuel(1)?;
    let is_less = |left, right| Ok::<bool, Error>(order(state, left, right)? == Some(Ordering::Less));
    Ok(match operator {
        "==" => is_equal(state, left, right)?,
        "!=" => !is_equal(state, left, right)?,
        "<" => is_less(left, right)?,
        ">" => is_less(right, left)?,
        "<=" => is_less(left, right)? || is_equal(state, left, right)?,
        ">=" => is_less(right, left)? || is_equal(state, left, right)?,
        "in" => is_in(state, left, right)?,
        "not in" => !is_in(state, left, right)?,
        _ => return Err(refusal("there is no such comparison")),
    })
}

/// The order of two numbers, by their exact values, or of two texts, by their characters.
pub(in crate::transform) fn order(state: &State, left: &Value, right: &Value) -> Result<Option<Ordering>, Error> {
    match (Kind::of(left), Kind::of(right)) {
        (Kind::Number, Kind::Number) => Ok(order_of_numbers(left, right)),
        (Kind::Text, Kind::Text) => {
            let (left, right) = (left.as_str().unwrap_or_default(), right.as_str().unwrap_or_default());
            spend_on(state, left.len().min(right.len()))?;
            Ok(Some(left.cmp(right)))
        }
        _ => Ok(None),
    }
}

fn order_of_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (exact(left), exact(right)) {
        (Some(left), Some(right)) => left.order(right),
        // The product of two large integers can be one of minijinja's that no `i128` holds.
        _ => Some(left.cmp(right)),
    }
}

fn exact(value: &Value) -> Option<Exact<'_>> {
    if let Some(number) = Digits::of(value) {
        return Some(Exact::of(number));
    }
    if value.is_integer() {
        i128::try_from(value.clone()).ok().map(Exact::Integer)
    } else {
        f64::try_from(value.clone()).ok().map(Exact::Float)
    }
}

/// Equality as RFC 9535 has it: of the same kind and the same value, lists and objects part by part.
pub(in crate::transform) fn is_equal(state: &State, left: &Value, right: &Value) -> Result<bool, Error> {
    let kind = Kind::of(left);
    if kind != Kind::of(right) {
        return Ok(false);
    }
    match kind {
        Kind::Absent | Kind::Null => Ok(true),
        Kind::Boolean => Ok(left.is_true() == right.is_true()),
        Kind::Number | Kind::Text => Ok(order(state, left, right)? == Some(Ordering::Equal)),
        Kind::List => {
            let mut others = right.try_iter()?;
            for item in left.try_iter()? {
                state.consume_fuel(1)?;
                match others.next() {
                    Some(other) if is_equal(state, &item, &other)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(others.next().is_none())
        }
        Kind::Map => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for key in left.try_iter()? {
                state.consume_fuel(1)?;
                if !is_equal(state, &left.get_item(&key)?, &right.get_item(&key)?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Kind::Other => Ok(left == right),
    }
}

/// Whether a list holds a value, an object a key, a text another text.
fn is_in(state: &State, value: &Value, container: &Value) -> Result<bool, Error> {
    match present(state, container)? {
        Kind::List => {
            for item in container.try_iter()? {
                state.consume_fuel(1)?;
                if is_equal(state, value, &item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Kind::Map => Ok(value.kind() == ValueKind::String && !container.get_item(value)?.is_undefined()),
        Kind::Text => match (present(state, value)?, value.as_str(), container.as_str()) {
            (Kind::Text, Some(part), Some(text)) => {
                spend_on(state, text.len())?;
                Ok(text.contains(part))
            }
            (kind, ..) => Err(refusal(format!("only a text can be in a text, and this is {}", kind.noun()))),
        },
        kind => Err(refusal(format!("`in` needs a list, an object or a text behind it, and this is {}", kind.noun()))),
    }
}

fn spend_on(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / TEXT_BYTES_PER_FUEL).unwrap_or(u64::MAX))
}
