//! What a scalar means: YAML 1.2's core schema, but with JSON's numbers, so that nothing is sent that was not
//! written (`0123`, `1_000`, `+49170` and `0x1F` are strings).

use serde_json::Number;

use super::{Kind, Style};
use crate::json;

pub(super) fn kind(text: &str, style: Style) -> Kind {
    if style != Style::Plain {
        return Kind::String;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Boolean(true),
        "false" | "False" | "FALSE" => Kind::Boolean(false),
        _ if is_json_number(text) => Kind::Number,
        _ => Kind::String,
    }
}

/// YAML 1.1's other booleans, which are plain strings in YAML 1.2: what they would have been.
pub(in crate::config) fn looks_like_boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// What other readers of YAML (1.1, or 1.2's core schema) take for a number, and JSON does not: how JSON writes it. An empty
/// text stands for a number that JSON has not.
pub(in crate::config) fn looks_like_number(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(String::new());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            let integer = u128::from_str_radix(&digits.replace('_', ""), radix).ok();
            return integer.filter(|_| !digits.starts_with(['+', '_'])).map(|integer| format!("{sign}{integer}"));
        }
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (unsigned, String::new()),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // `1_000` is a number to YAML 1.1, `_1` is none.
    let begins_with_digit = integer.is_empty() || integer.starts_with(|first: char| first.is_ascii_digit());
    let integer = integer.replace('_', "");
    let integer = integer.trim_start_matches('0');
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let written = format!("{sign}{}{fraction}{exponent}", if integer.is_empty() { "0" } else { integer });
    let has_digits = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    (begins_with_digit && has_digits && is_json_number(&written)).then_some(written)
}

/// A JSON number, as a payload's are read: integers are never rounded. `None`: it is beyond 1.8e308.
pub(super) fn number(text: &str) -> Option<Number> {
    json::number(text)
}

/// RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let after_integer = match unsigned.strip_prefix('0') {
        Some(rest) => Some(rest),
        None => digits(unsigned),
    };
    let after_fraction = after_integer.and_then(|rest| match rest.strip_prefix('.') {
        Some(fraction) => digits(fraction),
        None => Some(rest),
    });
    let after_exponent = after_fraction.and_then(|rest| match rest.strip_prefix(['e', 'E']) {
        Some(exponent) => digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => Some(rest),
    });
    after_exponent == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_readers_are_known() {
        for (text, number) in [
            ("+1", "1"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1.", "1"),
            ("+1.5e3", "1.5e3"),
            ("1.e3", "1e3"),
            ("0x1F", "31"),
            ("0o14", "12"),
            ("0b101", "5"),
            ("-0x10", "-16"),
            ("0123", "123"),
            ("00", "0"),
            ("1_000", "1000"),
            ("+49170", "49170"),
            (".inf", ""),
            ("-.Inf", ""),
            (".nan", ""),
        ] {
            assert_eq!(kind(text, Style::Plain), Kind::String, "{text}");
            assert_eq!(looks_like_number(text).as_deref(), Some(number), "{text}");
        }
        for text in [
            "+", "-", ".", "", "e5", ".e5", "0x", "0xG", "0o8", "1e", "1.2.3", "12:30", "_1", "1-2", "+4 9", "inf", "nan", "yes", "v1",
            "0x_1", "++1",
        ] {
            assert_eq!(looks_like_number(text), None, "{text}");
        }
    }

    #[test]
    fn plain_scalars_have_kinds() {
        for (text, expected) in [
            ("", Kind::Null),
            ("~", Kind::Null),
            ("true", Kind::Boolean(true)),
            ("False", Kind::Boolean(false)),
            ("yes", Kind::String),
            ("0", Kind::Number),
            ("-12.5e+3", Kind::Number),
            ("1E9", Kind::Number),
            ("0123", Kind::String),
            ("1_000", Kind::String),
            ("+1", Kind::String),
            (".5", Kind::String),
            ("1.", Kind::String),
            ("0x1F", Kind::String),
            (".inf", Kind::String),
            ("-", Kind::String),
            ("1e", Kind::String),
            ("12:30", Kind::String),
        ] {
            assert_eq!(kind(text, Style::Plain), expected, "{text}");
        }
        assert_eq!(kind("1", Style::DoubleQuoted), Kind::String);
        assert_eq!(kind("true", Style::Literal), Kind::String);
    }

    #[test]
    fn integers_are_never_rounded() {
        assert_eq!(number("18446744073709551615").unwrap().to_string(), "18446744073709551615");
        assert_eq!(number("-9223372036854775808").unwrap().to_string(), "-9223372036854775808");
        assert_eq!(number("18446744073709551616").unwrap().to_string(), "18446744073709551616");
        assert_eq!(number("-123456789012345678901234567890").unwrap().to_string(), "-123456789012345678901234567890");
        assert!(number("1e999").is_none());
        assert!(number("1.5").is_some());
    }
}
