//! Numbers in one canonical form each.

use serde_json::Number;

use super::fault::Problem;

/// Integers with fewer digits are in the range of a 64-bit float, whatever the digits are.
const DIGITS_IN_RANGE: usize = 309;

/// The one integer whose digits no integer of Rust holds. It equals `0`, and it prints as it is written.
pub const NEGATIVE_ZERO: &str = "-0";

/// Reads a JSON number (RFC 8259, section 6) as [`parse`](super::parse) reads those of a payload: an integer with all its
/// digits, any other number as a 64-bit float. `None`: it is none, or is beyond 1.8e308.
pub fn number(text: &str) -> Option<Number> {
    let (length, is_integer) = scan(text.as_bytes())?;
    if length == text.len() { canonical(text, is_integer).ok() } else { None }
}

/// Whether a number is an integer, of whatever size, that was written as one (`1`, and not `1.0` or `1e0`).
pub fn is_integer(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

/// How many bytes the number at the front has, and whether it is an integer.
pub(super) fn scan(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits_from = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let at = |index: usize| bytes.get(index).copied();
    let mut end = usize::from(at(0) == Some(b'-'));
    let integer_digits = digits_from(end);
    if integer_digits == 0 || (integer_digits > 1 && at(end) == Some(b'0')) {
        return None;
    }
    end += integer_digits;
    let mut is_integer = true;
    if at(end) == Some(b'.') {
        is_integer = false;
        let digits = digits_from(end + 1);
        if digits == 0 {
            return None;
        }
        end += 1 + digits;
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        is_integer = false;
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let digits = digits_from(end + 1 + sign);
        if digits == 0 {
            return None;
        }
        end += 1 + sign + digits;
    }
    Some((end, is_integer))
}

/// A scanned number.
pub(super) fn canonical(text: &str, is_integer: bool) -> Result<Number, Problem> {
    if is_integer {
        // The range is checked also here, so that whoever reads such an integer as a float finds one.
        let in_range = text.len() < DIGITS_IN_RANGE || text.parse::<f64>().is_ok_and(f64::is_finite);
        // As it is written: a scanned integer has no other form, and parsing would drop the sign of -0.
        return if in_range { Ok(Number::from_string_unchecked(text.to_owned())) } else { Err(Problem::NumberTooLarge) };
    }
    text.parse().ok().and_then(Number::from_f64).ok_or(Problem::NumberTooLarge)
}
