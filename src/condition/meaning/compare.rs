//! RFC 9535's comparisons (2.3.5.2.2), with numbers compared by their exact value.

use std::cmp::Ordering;

use serde_json::Value;

use crate::json::Exact;

use super::evaluate::Evaluation;
use crate::condition::TooManySteps;
use crate::condition::ast::Operator;

/// How much text is compared or measured in about the time that a node is visited.
pub(in crate::condition) const STRING_BYTES_PER_STEP: usize = 256;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(in crate::condition) enum Side<'o> {
    /// RFC 9535's Nothing.
    Absent,
    Value(&'o Value),
    /// What `length()` and `count()` give.
    Count(u64),
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
            (Value::Number(left), Value::Number(right)) => Exact::of(left).order(Exact::of(right)) == Some(Ordering::Equal),
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
    side(left)?.order(side(right)?)
}

fn side(side: Side<'_>) -> Option<Exact<'_>> {
    match side {
        Side::Value(Value::Number(number)) => Some(Exact::of(number)),
        Side::Count(count) => Some(Exact::Integer(i128::from(count))),
        _ => None,
    }
}
