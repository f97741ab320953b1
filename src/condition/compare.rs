//! RFC 9535's comparisons (2.3.5.2.2), with numbers compared by their exact value.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::TooManySteps;
use super::ast::Operator;
use super::evaluate::Evaluation;

/// How much text is compared or measured in about the time that a node is visited.
pub(super) const STRING_BYTES_PER_STEP: usize = 256;
/// 2^65 lies beyond every integer that a payload's number can hold as one.
const BEYOND_INTEGERS: f64 = 36_893_488_147_419_103_232.0;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) enum Side<'o> {
    /// RFC 9535's Nothing.
    Absent,
    Value(&'o Value),
    /// What `length()` and `count()` give.
    Count(u64),
}

/// A number by its exact value.
#[derive(Clone, Copy)]
enum Exact {
    Integer(i128),
    Float(f64),
}

impl Evaluation<'_> {
    pub fn compare(&self, left: Side<'_>, operator: Operator, right: Side<'_>) -> Result<bool, TooManySteps> {
        Ok(match operator {
            Operator::Equal => self.is_equal(left, right)?,
            Operator::Unequal => !self.is_equal(left, right)?,
            Operator::Less => self.is_less(left, right)?,
            Operator::Greater => self.is_less(right, left)?,
            Operator::LessOrEqual => self.is_less(left, right)? || self.is_equal(left, right)?,
            Operator::GreaterOrEqual => self.is_less(right, left)? || self.is_equal(left, right)?,
        })
    }

    pub fn is_equal(&self, left: Side<'_>, right: Side<'_>) -> Result<bool, TooManySteps> {
        match (left, right) {
            (Side::Absent, Side::Absent) => Ok(true),
            (Side::Absent, _) | (_, Side::Absent) => Ok(false),
            (Side::Value(left), Side::Value(right)) => self.equal_values(left, right),
            (left, right) => Ok(ordering_of_numbers(left, right) == Some(Ordering::Equal)),
        }
    }

    /// Deep equality; it nests no deeper than the payload.
    fn equal_values(&self, left: &Value, right: &Value) -> Result<bool, TooManySteps> {
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Number(left), Value::Number(right)) => order(exact(left), exact(right)) == Some(Ordering::Equal),
            (Value::String(left), Value::String(right)) => {
                if left.len() == right.len() {
                    self.spend_on(left.len())?;
                }
                left == right
            }
            (Value::Array(left), Value::Array(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right) {
                    self.spend(1)?;
                    if !self.equal_values(left, right)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (name, left) in left {
                    self.spend(1)?;
                    let Some(right) = right.get(name) else {
                        return Ok(false);
                    };
                    if !self.equal_values(left, right)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => false,
        })
    }

    fn is_less(&self, left: Side<'_>, right: Side<'_>) -> Result<bool, TooManySteps> {
        if let (Side::Value(Value::String(left)), Side::Value(Value::String(right))) = (left, right) {
            self.spend_on(left.len().min(right.len()))?;
            // UTF-8 sorts as its Unicode scalar values do.
            return Ok(left < right);
        }
        Ok(ordering_of_numbers(left, right) == Some(Ordering::Less))
    }

    /// Counts the reading of a text.
    pub fn spend_on(&self, bytes: usize) -> Result<(), TooManySteps> {
        self.spend(bytes / STRING_BYTES_PER_STEP)
    }
}

fn ordering_of_numbers(left: Side<'_>, right: Side<'_>) -> Option<Ordering> {
    order(side(left)?, side(right)?)
}

fn side(side: Side<'_>) -> Option<Exact> {
    match side {
        Side::Value(Value::Number(number)) => Some(exact(number)),
        Side::Count(count) => Some(Exact::Integer(i128::from(count))),
        _ => None,
    }
}

fn exact(number: &Number) -> Exact {
    if let Some(integer) = number.as_i64() {
        Exact::Integer(i128::from(integer))
    } else if let Some(integer) = number.as_u64() {
        Exact::Integer(i128::from(integer))
    } else {
        Exact::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// A number's value as a key: two numbers have the same key exactly if they compare as equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum NumberKey {
    /// Also a float's, where it is whole and there can be an integer beside it.
    Integer(i128),
    /// The bits of any other.
    Float(u64),
}

pub(super) fn number_key(number: &Number) -> NumberKey {
    match exact(number) {
        Exact::Integer(integer) => NumberKey::Integer(integer),
        // Exact, as below; and -0.0 becomes 0.
        Exact::Float(float) if float.fract() == 0.0 && float.abs() < BEYOND_INTEGERS => NumberKey::Integer(float as i128),
        Exact::Float(float) => NumberKey::Float(float.to_bits()),
    }
}

fn order(left: Exact, right: Exact) -> Option<Ordering> {
    match (left, right) {
        (Exact::Integer(left), Exact::Integer(right)) => Some(left.cmp(&right)),
        (Exact::Float(left), Exact::Float(right)) => left.partial_cmp(&right),
        (Exact::Integer(left), Exact::Float(right)) => order_mixed(left, right),
        (Exact::Float(left), Exact::Integer(right)) => order_mixed(right, left).map(Ordering::reverse),
    }
}

/// An integer against a float, without rounding either.
fn order_mixed(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= BEYOND_INTEGERS {
        return Some(Ordering::Less);
    }
    if float <= -BEYOND_INTEGERS {
        return Some(Ordering::Greater);
    }
    // Exact: below 2^65 the whole part of a float fits.
    let whole = integer.cmp(&(float.trunc() as i128));
    Some(whole.then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}
