use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::*;

fn read(text: &str) -> Value {
    parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: it {fault}"))
}

#[test]
fn half_a_surrogate_pair_is_the_replacement_character() {
    for (text, expected) in [
        (r#""Head of Growth \ud83d""#, "Head of Growth \u{fffd}"),
        (r#""\ud83d\ude80""#, "\u{1f680}"),
        (r#""\uD83D\uDE80""#, "\u{1f680}"),
        (r#""\ude80""#, "\u{fffd}"),
        (r#""\ude80\ud83d""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83d\ud83d\ude80""#, "\u{fffd}\u{1f680}"),
        (r#""\ud83dA""#, "\u{fffd}A"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\\u0041""#, "\u{fffd}\\u0041"),
        // The backslash is escaped, so what follows is text.
        (r#""\\ud83d""#, "\\ud83d"),
        (r#""\\\ud83d""#, "\\\u{fffd}"),
        (r#""\udbff\udfff\ud800\udc00""#, "\u{10ffff}\u{10000}"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let nested = read(r#"{"a\udfff": [{"b": "\ud800"}, "x"], "c": "{\"d\": \"\\ud83d\"}"}"#);
    assert_eq!(nested, json!({"a\u{fffd}": [{"b": "\u{fffd}"}, "x"], "c": "{\"d\": \"\\ud83d\"}"}));
}

#[test]
fn a_byte_order_mark_is_passed_over_at_the_front_only() {
    assert_eq!(read("\u{feff}{\"a\": 1}"), json!({"a": 1}));
    assert_eq!(read("\"\u{feff}\""), json!("\u{feff}"));
    assert!(parse("\u{feff}\u{feff}1".as_bytes()).is_err());
    assert!(parse("1\u{feff}".as_bytes()).is_err());
}

#[test]
fn integers_keep_all_their_digits_and_other_numbers_their_value() {
    let long = "9".repeat(308);
    for integer in ["0", "-0", "-1", "18446744073709551615", "-9223372036854775809", "12345678901234567890123", &long] {
        let number = number(integer).unwrap();
        assert_eq!(number.to_string(), integer);
        assert_eq!(serde_json::to_string(&read(&format!("[{integer}]"))).unwrap(), format!("[{integer}]"));
        assert!(is_integer(&number), "{integer}");
    }
    for (written, canonical) in [
        ("1.0", "1.0"),
        ("1.50", "1.5"),
        ("1e2", "100.0"),
        ("-0.0", "-0.0"),
        ("-0e0", "-0.0"),
        ("0.1000000000000000055", "0.1"),
        ("3e-71", "3e-71"),
        ("300E-73", "3e-71"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e16", "1e+16"),
        ("1e-400", "0.0"),
    ] {
        let number = number(written).unwrap();
        assert_eq!(number.to_string(), canonical, "{written}");
        assert!(!is_integer(&number), "{written}");
    }
    for none in ["", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "0x1f", "1_000", "NaN", "Infinity", " 1", "1 ", "1e309", "1e400"] {
        assert_eq!(number(none), None, "{none}");
    }
    assert_eq!(number(&"9".repeat(309)), None, "beyond 1.8e308");
}

#[test]
fn no_key_is_taken_for_anything_else() {
    let text = r#"{"$serde_json::private::Number": "5", "n": {"$serde_json::private::Number": 5}}"#;
    assert_eq!(serde_json::to_string(&read(text)).unwrap(), text.replace(": ", ":").replace(", ", ","));
    assert_eq!(read(r#"{"a": 1, "b": 2, "a": 3}"#), json!({"a": 3, "b": 2}));
}

#[test]
fn a_fault_says_what_and_where() {
    for (text, words) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("\u{feff}", "is empty"),
        ("{\"a\": ", "is not valid JSON: it ends in the middle of a value, at line 1, column 7"),
        ("{\"a\": tru", "is not valid JSON: it ends in the middle of a value, at line 1, column 10"),
        ("[1,\n 2,]", "is not valid JSON: a value is expected at line 2, column 4"),
        ("[1 2]", "is not valid JSON: `,` or `]` is expected at line 1, column 4"),
        ("{\"a\" 1}", "is not valid JSON: `:` is expected at line 1, column 6"),
        ("{a: 1}", "is not valid JSON: a key in quotes is expected at line 1, column 2"),
        ("{\"a\": 1,}", "is not valid JSON: a key in quotes is expected at line 1, column 9"),
        ("{\"a\": 1 \"b\"}", "is not valid JSON: `,` or `}` is expected at line 1, column 9"),
        ("{} {}", "is not valid JSON: something follows the value, at line 1, column 4"),
        ("\"\u{e9}\u{1f680}\t\"", "is not valid JSON: a string has a control character that is not escaped, at line 1, column 4"),
        (r#""\x""#, "is not valid JSON: a string has an unknown escape, at line 1, column 2"),
        (r#""\ud83d\uXYZW""#, "is not valid JSON: a string has an unknown escape, at line 1, column 2"),
        ("[01]", "is not valid JSON: a number is malformed, at line 1, column 2"),
        ("[1, 1e999]", "has a number beyond 1.8e308, the range of a 64-bit float, at line 1, column 5"),
        ("nul", "is not valid JSON: it ends in the middle of a value, at line 1, column 4"),
        ("nothing", "is not valid JSON: a value is expected at line 1, column 1"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), words, "{text}");
    }
    assert_eq!(
        parse(b"{\"a\":\n\"b\xff\"}").unwrap_err().to_string(),
        "is not valid JSON: its bytes are not UTF-8 (RFC 8259, section 8.1), at line 2, column 3"
    );
    // The bytes of half a surrogate pair are not UTF-8 (RFC 3629, section 3): only its escape can be written.
    assert_eq!(parse(b"\"\xed\xa0\xbd\"").unwrap_err().problem, Problem::NotUtf8);
    let deep = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
    assert!(parse(&deep(DEPTH_MAX)).is_ok());
    assert_eq!(parse(&deep(DEPTH_MAX + 1)).unwrap_err().to_string(), "nests deeper than 127 levels, at line 1, column 128");
    assert_eq!(parse(&b"[".repeat(1_000_000)).unwrap_err().problem, Problem::TooDeep);
}

#[test]
fn lists_are_counted_before_they_are_read() {
    let blanks = " ".repeat(64 * 1024);
    for (text, lengths) in [
        ("[]", &[0][..]),
        ("[ ]", &[0]),
        ("[1]", &[1]),
        ("[1, 2 ,3]", &[3]),
        (r#"[",]", "\"[,", []]"#, &[3, 0]),
        (r#"{"a": [1, {"b": [[], [2]], "c": "]"}, 3], "d": 5, "e": []}"#, &[3, 2, 0, 1, 0]),
        (r#"[{"a": 1, "b": 2}, {}]"#, &[2]),
        ("[[[", &[1, 1, 0]),
        ("]]}[1", &[1]),
    ] {
        let text = format!("{text}{blanks}");
        assert_eq!(need::list_lengths(&text), lengths, "{}", text.trim());
    }
    assert_eq!(need::list_lengths("[1, 2]"), [0; 0], "short texts are not worth it");
    // What is counted does not change what is read.
    let long = format!("[{}[1, {{\"a\": [2, 3]}}]]", "[\"x\", null, {}], ".repeat(8 * 1024));
    let value = read(&long);
    assert_eq!((value.as_array().unwrap().len(), &value[8 * 1024]), (8 * 1024 + 1, &json!([1, {"a": [2, 3]}])));
}

#[test]
fn a_text_is_known_to_need_what_its_value_takes() {
    fn taken(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.capacity() * size_of::<Value>() + items.iter().map(taken).sum::<usize>(),
            // An entry has its key and its hash; the table has at least four places.
            Value::Object(members) => {
                let entries = members.len() * (size_of::<Value>() + 32) + members.len().max(4) * 12;
                entries + members.iter().map(|(name, member)| name.len() + taken(member)).sum::<usize>()
            }
            Value::String(text) => text.len(),
            Value::Number(number) => number.as_str().len(),
            Value::Null | Value::Bool(_) => 0,
        }
    }
    for piece in ["0,", "[],", "[0],", "{},", "{\"\":0},", "{\"a\":{\"b\":[1,2]}},", "\"text\",", "null,"] {
        for times in [1, 10, 1000, 100_000] {
            let text = format!("[{}0]", piece.repeat(times));
            let (taken, need) = (taken(&read(&text)), need(text.as_bytes()));
            assert!(taken <= need, "{times} times {piece} takes {taken} and is said to need {need}");
            assert!(times < 1000 || need < taken * 8, "{times} times {piece} takes {taken} and is said to need {need}");
        }
    }
    let sample = include_bytes!("../../samples/full.json");
    assert!(need(sample) < 32 * 1024, "{}", need(sample));
}

/// Texts that are nearly JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"\\", "\\u", "\\ud83d", "\\ude80", "\\n", "\\\"", "0", "1", "-", ".", "e", "E+",
        "12.5", "true", "false", "null", " ", "\n", "\t", "é", "\u{1}", "x", "{\"k\":", "[1,",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| serde_json::Number::from_f64(float).map(Value::Number)),
        "(-[1-9]|[1-9])[0-9]{19,60}".prop_map(|digits| Value::Number(number(&digits).unwrap())),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// serde_json accepts the same texts where it only looks over them.
    #[test]
    fn the_grammar_is_rfc_8259s(text in nearly_json()) {
        prop_assert_eq!(parse(text.as_bytes()).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn what_is_written_is_read(value in values()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(read(&text), value.clone());
        }
    }
}
