//! The tests of templates (`is ...`, `select`, `selectattr`) that minijinja answers by Python's rules, where null and
//! `true` are taken for texts and numbers. Here null is nothing but null and `true` no number, as in a condition.
//!
//! Of what is absent the answer to a question about the content (`is lt(50)`, `is startingwith("A")`) is no, after `is`
//! as in `select` and `selectattr`. A comparison with it is what it is in a condition: what is absent is `ne` to a value.

use minijinja::value::Rest;
use minijinja::{Environment, Error, State, Value};

use super::builtins::TOO_LONG;
use super::comparing;
use super::digits::Digits;
use super::kind::{Kind, present, refusal};

/// How the names begin under which `is`, `select` and their like find these tests.
pub(in crate::transform) const TEST_PREFIX: &str = "__relay_is_";

/// What a test asks.
#[derive(Clone, Copy)]
enum Question {
    /// A comparison by this operator.
    Compares(&'static str),
    /// About the content: minijinja's own test, asked only of these kinds.
    Content(&'static [Kind]),
    /// Which kind it is. Of what is absent the answer is no.
    IsOf(fn(&Value) -> bool),
}

fn is_number(value: &Value) -> bool {
    Kind::of(value) == Kind::Number
}

fn is_integer(value: &Value) -> bool {
    value.is_integer() || Digits::of(value).is_some()
}

fn is_fraction(value: &Value) -> bool {
    is_number(value) && !is_integer(value)
}

fn is_list(value: &Value) -> bool {
    Kind::of(value) == Kind::List
}

fn is_walked(value: &Value) -> bool {
    matches!(Kind::of(value), Kind::List | Kind::Map)
}

const NUMBERS: &[Kind] = &[Kind::Number];
const TEXTS: &[Kind] = &[Kind::Text];
const PRINTED: &[Kind] = &[Kind::Text, Kind::Number];

/// The tests that are not minijinja's.
const QUESTIONS: [(&str, Question); 32] = [
    ("eq", Question::Compares("==")),
    ("equalto", Question::Compares("==")),
    ("==", Question::Compares("==")),
    ("ne", Question::Compares("!=")),
    ("!=", Question::Compares("!=")),
    ("lt", Question::Compares("<")),
    ("lessthan", Question::Compares("<")),
    ("<", Question::Compares("<")),
    ("le", Question::Compares("<=")),
    ("<=", Question::Compares("<=")),
    ("gt", Question::Compares(">")),
    ("greaterthan", Question::Compares(">")),
    (">", Question::Compares(">")),
    ("ge", Question::Compares(">=")),
    (">=", Question::Compares(">=")),
    ("in", Question::Compares("in")),
    ("odd", Question::Content(NUMBERS)),
    ("even", Question::Content(NUMBERS)),
    ("divisibleby", Question::Content(NUMBERS)),
    ("lower", Question::Content(TEXTS)),
    ("upper", Question::Content(TEXTS)),
    ("startingwith", Question::Content(PRINTED)),
    ("endingwith", Question::Content(PRINTED)),
    ("sameas", Question::Content(&[Kind::Null, Kind::Boolean, Kind::Number, Kind::Text, Kind::List, Kind::Map])),
    ("filter", Question::Content(TEXTS)),
    ("test", Question::Content(TEXTS)),
    ("number", Question::IsOf(is_number)),
    ("integer", Question::IsOf(is_integer)),
    ("int", Question::IsOf(is_integer)),
    ("float", Question::IsOf(is_fraction)),
    ("sequence", Question::IsOf(is_list)),
    ("iterable", Question::IsOf(is_walked)),
];

/// Whether a test is one of these.
pub(in crate::transform) fn is_own(name: &str) -> bool {
    QUESTIONS.iter().any(|(own, _)| *own == name)
}

pub(in crate::transform) fn install(environment: &mut Environment<'static>) {
    for (name, question) in QUESTIONS {
        let test = move |state: &mut State, values: Rest<Value>| answer(state, name, question, &values);
        environment.add_test(format!("{TEST_PREFIX}{name}"), test);
    }
}

fn answer(state: &mut State, name: &str, question: Question, values: &[Value]) -> Result<bool, Error> {
    let Some((subject, operands)) = values.split_first() else { return state.perform_test(name, values) };
    match question {
        Question::Compares(operator) => {
            let [operand] = operands else { return Err(refusal(format!("the test `{name}` takes one value to compare with"))) };
            // Nothing is in a text but a text, and an item of another kind is just not selected.
            if operator == "in" && Kind::of(operand) == Kind::Text && Kind::of(subject) != Kind::Text {
                return Ok(false);
            }
            comparing::holds(state, subject, operator, operand)
        }
        Question::Content(kinds) => {
            for operand in operands {
                let kind = if name == "sameas" { Kind::of(operand) } else { present(state, operand)? };
                if kind == Kind::Absent {
                    present(state, operand)?;
                }
                if name != "sameas" && !kinds.contains(&kind) {
                    return Err(refusal(format!("the test `{name}` cannot work with {}", kind.noun())));
                }
            }
            if !kinds.contains(&Kind::of(subject)) {
                return Ok(false);
            }
            match Digits::of(subject) {
                Some(digits) => of_digits(name, digits.as_str()),
                None => state.perform_test(name, values),
            }
        }
        Question::IsOf(is) if operands.is_empty() => Ok(is(subject)),
        Question::IsOf(_) => Err(refusal(format!("the test `{name}` takes no values"))),
    }
}

/// What minijinja cannot see of an integer of more than 128 bits.
fn of_digits(name: &str, digits: &str) -> Result<bool, Error> {
    let is_odd = digits.ends_with(['1', '3', '5', '7', '9']);
    match name {
        "odd" => Ok(is_odd),
        "even" => Ok(!is_odd),
        _ => Err(refusal(TOO_LONG)),
    }
}
