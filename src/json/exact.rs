//! Numbers by their exact values: an integer of any length against another, and against a float, without rounding either.

use std::cmp::Ordering;

use serde_json::Number;

use super::is_integer;

/// From here on a float is larger than every `i128`: 2^127.
const INTEGERS_END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// A number by its exact value.
#[derive(Debug, Clone, Copy)]
pub enum Exact<'n> {
    /// An integer of up to 128 bits.
    Integer(i128),
    /// The digits of a longer one, with a `-` before those of a negative one.
    Digits(&'n str),
    /// Any other number.
    Float(f64),
}

/// A number's value as a key: two numbers have the same key exactly if they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NumberKey {
    /// Also a float's, where it is whole.
    Integer(i128),
    /// The digits of a longer integer; a float's, where it is whole.
    Digits(Box<str>),
    /// The bits of any other float.
    Float(u64),
}

impl<'n> Exact<'n> {
    /// The value of a number that [`parse`](super::parse) or [`number`](super::number()) has read.
    pub fn of(number: &'n Number) -> Self {
        match number.as_i128() {
            Some(integer) => Self::Integer(integer),
            None if is_integer(number) => Self::Digits(number.as_str()),
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    /// Its key.
    pub fn key(self) -> NumberKey {
        match self {
            Self::Integer(integer) => NumberKey::Integer(integer),
            Self::Digits(digits) => NumberKey::Digits(digits.into()),
            // Exact, as below; and -0.0 becomes 0.
            Self::Float(float) if float.fract() == 0.0 && (-INTEGERS_END..INTEGERS_END).contains(&float) => {
                NumberKey::Integer(float as i128)
            }
            Self::Float(float) if float.fract() == 0.0 => NumberKey::Digits(digits_of(float).into()),
            Self::Float(float) => NumberKey::Float(float.to_bits()),
        }
    }

    /// How two numbers are ordered; `None` only for what is no number.
    pub fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Digits(left), Self::Digits(right)) => Some(order_of_digits(left, right)),
            (Self::Integer(left), Self::Float(right)) => order_mixed(left, right),
            // Longer than every `i128`, so its sign decides.
            (Self::Digits(left), Self::Integer(_)) => Some(if left.starts_with('-') { Ordering::Less } else { Ordering::Greater }),
            (Self::Digits(left), Self::Float(right)) if right.abs() < INTEGERS_END => {
                Some(if left.starts_with('-') { Ordering::Less } else { Ordering::Greater })
            }
            (Self::Digits(left), Self::Float(right)) if right.is_finite() => Some(order_of_digits(left, &digits_of(right))),
            (Self::Digits(_), Self::Float(infinite)) => 0.0.partial_cmp(&infinite),
            (left, right) => right.order(left).map(Ordering::reverse),
        }
    }
}

/// All digits of a whole float.
fn digits_of(float: f64) -> String {
    format!("{float:.0}")
}

/// Two integers without leading zeros, by sign, length and digits.
fn order_of_digits(left: &str, right: &str) -> Ordering {
    let magnitudes = |left: &str, right: &str| left.len().cmp(&right.len()).then_with(|| left.cmp(right));
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (Some(left), Some(right)) => magnitudes(right, left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => magnitudes(left, right),
    }
}

fn order_mixed(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= INTEGERS_END {
        return Some(Ordering::Less);
    }
    if float < -INTEGERS_END {
        return Some(Ordering::Greater);
    }
    // Exact: between these the whole part of a float fits.
    let whole = integer.cmp(&(float.trunc() as i128));
    Some(whole.then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::super::number;
    use super::*;

    #[test]
    fn numbers_are_in_their_exact_order() {
        // Each is smaller than the next; those in one line are equal.
        let ascending: [&[&str]; 21] = [
            &[
                "-1e130",
                "-10000000000000000597830782460516151851749290252338090708736359498322008205751130936310560341066601403445681992244323541365884452864",
            ],
            &["-340282366920938463463374607431768211457"],
            &["-340282366920938463463374607431768211456", "-3.402823669209384634634e38"],
            &["-170141183460469231731687303715884105729"],
            &["-170141183460469231731687303715884105728", "-1.7014118346046923e38"],
            &["-9223372036854775809"],
            &["-1", "-1.0", "-1e0"],
            &["-0.5"],
            &["0", "-0", "0.0", "-0.0"],
            &["1e-300"],
            &["9007199254740992", "9007199254740992.0"],
            &["9007199254740993"],
            &["18446744073709551615"],
            &["18446744073709551616", "18446744073709551616.0"],
            &["18446744073709551617"],
            &["12345678901234567890123"],
            &["12345678901234567890124"],
            &["170141183460469231731687303715884105727"],
            &["170141183460469231731687303715884105728", "1.7014118346046923e38"],
            &[
                "10000000000000000597830782460516151851749290252338090708736359498322008205751130936310560341066601403445681992244323541365884452863",
            ],
            &[
                "1e130",
                "10000000000000000597830782460516151851749290252338090708736359498322008205751130936310560341066601403445681992244323541365884452864",
            ],
        ];
        let all: Vec<(usize, Number)> = ascending
            .iter()
            .enumerate()
            .flat_map(|(rank, equals)| equals.iter().map(move |text| (rank, number(text).unwrap_or_else(|| panic!("{text}")))))
            .collect();
        for (left_rank, left) in &all {
            for (right_rank, right) in &all {
                let (left, right) = (Exact::of(left), Exact::of(right));
                let expected = left_rank.cmp(right_rank);
                assert_eq!(left.order(right), Some(expected), "{left:?} {right:?}");
                assert_eq!(left.key() == right.key(), expected == Ordering::Equal, "{left:?} {right:?}");
            }
        }
    }
}
