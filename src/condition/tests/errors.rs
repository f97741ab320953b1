//! Text that is refused: what is blamed, what is said, which fix is shown.

use crate::condition::{Condition, NESTING_DEPTH_MAX, Query, SyntaxError, TEXT_BYTES_MAX};

fn refused(text: &str) -> SyntaxError {
    match Condition::parse(text) {
        Ok(condition) => panic!("{text} was taken as {condition}"),
        Err(error) => error,
    }
}

/// Text, the part of it that is blamed, words of the message, words of the hint.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (text, blamed, message, hint) in cases {
        let error = refused(text);
        assert_eq!(&text[error.span.clone()], *blamed, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {error}");
    }
}

#[test]
fn forgotten_quotes() {
    check(&[
        ("email_status == valid", "valid", "without its quotes", "write \"valid\" in quotes, or `@.valid`"),
        ("a == head of sales and b", "head of sales", "without its quotes", "\"head of sales\""),
        ("a[?@.b == valid]", "valid", "without its quotes", "\"valid\""),
        ("a in [\"x\", valid]", "valid", "without its quotes", "write \"valid\" in quotes"),
        ("a == “valid”", "“valid”", "without its quotes", "plain quotes"),
        ("a == vice-president", "vice-president", "needs quotes", "\"vice-president\""),
        ("a == `x`", "`", "no meaning", "quotes"),
        ("a == 10x", "10x", "neither a number nor a name", "\"10x\""),
    ]);
    assert!(Condition::parse("a == b.c").is_ok(), "a dotted path on the right is a path");
    assert!(Condition::parse("a == b[0]").is_ok());
    assert!(Condition::parse("a == @.valid").is_ok());
}

#[test]
fn operators_of_other_languages() {
    check(&[
        ("a = \"b\"", "=", "no operator", "`==`"),
        ("a === \"b\"", "===", "no operator", "`==`"),
        ("a !== \"b\"", "!==", "no operator", "`!=`"),
        ("a <> \"b\"", "<>", "no operator", "`!=`"),
        ("a => 1", "=>", "no operator", "`>=`"),
        ("a =~ \"b\"", "=~", "no operator", "search("),
        ("a & b", "&", "no operator", "`&&`"),
        ("a | b", "|", "no operator", "`||`"),
        ("a AND b", "AND", "expected", "`and`"),
        ("a == 1 OR b", "OR", "expected", "`or`"),
        ("NOT(a)", "NOT", "no function", "`not`"),
        ("a IN [1]", "IN", "expected", "`in`"),
        ("NOT a", "NOT", "small letters", "`not`"),
        ("a == None", "None", "not a word", "`null`"),
        ("a == nil or b", "nil", "not a word", "`null`"),
        ("True == a", "True", "not a word", "`true`"),
        ("a in [TRUE]", "TRUE", "not a word", "`true`"),
        ("a contains \"x\"", "contains", "expected", "search("),
        ("a is null", "is", "expected", "`==`"),
        ("a == 1 + 2", "+", "no meaning", "no arithmetic"),
        ("{{ a }}", "{", "no meaning", "no template"),
        ("1 < a.b < 5", "<", "cannot be chained", "`1 < a.b and a.b < 5`"),
    ]);
}

#[test]
fn negation() {
    check(&[
        ("!a == \"b\"", "!a == \"b\"", "not before a comparison", "`!(a == \"b\")`"),
        ("x and not a.b in [1]", "not a.b in [1]", "not before a comparison", "`not (a.b in [1])`"),
        ("!!a", "!!", "two negations", "parentheses"),
        ("not not a", "not not", "two negations", "parentheses"),
        ("a not in [1]", "not in", "not one of the words", "`not (a in [...])`"),
        ("a == !b", "!", "is expected", "before a whole test"),
    ]);
}

#[test]
fn several_values_in_a_comparison() {
    let several = "can find several values";
    check(&[
        ("data.emails[*].status == \"valid\"", "data.emails[*].status", several, "`data.emails[?@.status == \"valid\"]`"),
        ("\"a\" < data.x[*]", "data.x[*]", several, "`data.x[?@ > \"a\"]`"),
        ("@.x[*].y == b.c", "@.x[*].y", several, "`@.x[?@.y == $.b.c]`"),
        ("x[?@.a].y == 1", "x[?@.a].y", several, "`x[?@.a && @.y == 1]`"),
        ("x[?@.a or @.b].y == 1", "x[?@.a or @.b].y", several, "`x[?(@.a || @.b) && @.y == 1]`"),
        ("x[*].y in [1, 2]", "x[*].y", several, "`x[?@.y in [1, 2]]`"),
        ("$..email == \"x\"", "$..email", several, "`$..[?@.email == \"x\"]`"),
        ("x[0:2] == 1", "x[0:2]", several, "an index"),
        ("x[*] == event.path", "x[*]", several, "an index"),
        ("a[?@.b[*] == 1]", "@.b[*]", several, "`@.b[?@ == 1]`"),
    ]);
}

#[test]
fn the_fix_for_several_values_is_itself_taken() {
    for text in ["data.emails[*].a == \"valid\"", "x[?@.a or @.b].y == c.d", "x[*][\"a b\"] in [1]", "$..email != 'x'", "1 <= x.*"] {
        let hint = refused(text).hint.expect("a hint");
        let fix = hint.split('`').nth(1).expect("a fix in the hint");
        assert!(Condition::parse(fix).is_ok(), "{text}: {fix}");
    }
}

#[test]
fn function_calls() {
    check(&[
        ("lenght(a) > 1", "lenght", "no function `lenght()`", "did you mean `length()`?"),
        ("Count(a) > 1", "Count", "no function", "did you mean `count()`?"),
        ("len(a) > 1", "len", "no function", "`length(...)`"),
        ("startsWith(a, \"x\")", "startsWith", "no function", "match("),
        ("frobnicate(a)", "frobnicate", "no function", "there are length()"),
        ("length(a)", "length(a)", "alone is no condition", "compare it"),
        ("length(a[*]) > 1", "a[*]", "takes one value", "`count(a[*])`"),
        ("length(a, b) > 1", "length(a, b)", "takes 1", "for instance"),
        ("match(a)", "match(a)", "takes 2", "for instance"),
        ("match(a, \"x\") == true", "match(a, \"x\")", "not compared", "`not match(a, \"x\")`"),
        ("true == search(a, \"x\")", "search(a, \"x\")", "not compared", "write"),
        ("count(\"x\") == 1", "\"x\"", "takes a path", "count(data.emails[*])"),
        ("count(length(a)) == 1", "length(a)", "takes a path", "count(data.emails[*])"),
        ("length(match(a, \"x\")) == 1", "match(a, \"x\")", "not compared", "write"),
        ("count(a == 1)", "==", "not a condition", "close the parenthesis"),
        ("count(!a)", "!", "not a condition", "close the parenthesis"),
        ("count (a) > 1", "(", "is expected", "without a blank"),
        ("a.name.length() > 1", "length", "not called on a path", "`length(a.name)`"),
        ("match(a, \"(\")", "\"(\"", "unclosed group", "I-Regexp"),
        ("match(a, \"a)|(b\")", "\"a)|(b\"", "not understood", "I-Regexp"),
        ("search(a, \"\\\\w{5000}\")", "\"\\\\w{5000}\"", "more than 262144 bytes", "I-Regexp"),
        ("search(a, \"\\d\")", "\\d", "no escape", "`\\\\d`"),
    ]);
}

#[test]
fn brackets_and_strings() {
    check(&[
        ("(a == 1", "(", "never closed", "`)`"),
        ("a[?(@.b == 1]", "(", "never closed", "`)`"),
        ("a == 1)", ")", "closes nothing", "remove it"),
        ("a == 1]", "]", "closes nothing", "remove it"),
        ("a[?@.b", "[", "never closed", "`]`"),
        ("(a[0)", "[", "never closed", "`]`"),
        ("length(a > 1", ">", "not a condition", "close the parenthesis"),
        ("length(a", "(", "never closed", "`)`"),
        ("a in [1, 2", "[", "never closed", "`]`"),
        ("a == \"x", "\"x", "never ends", "close it"),
        ("a == 'x\\'", "'x\\'", "never ends", "close it"),
        ("a == \"x\ny\"", "\n", "U+000A", "\\n"),
        ("a == \"\\uD800\"", "\\uD800", "high surrogate", "pair"),
        ("a == \"\\u12é\"", "\\u", "four hexadecimal", "digits"),
        ("a == \"\\'\"", "\\'", "no escape", "needs no backslash"),
        ("(a) == 1", "(a) ==", "conditions, not values", "without parentheses"),
        ("a == (1)", "(", "is expected", "leave them out"),
    ]);
}

#[test]
fn paths() {
    check(&[
        ("a[?b == 1]", "b", "inside `[?...]`", "`@.b`"),
        ("a[?b.c and @.d]", "b.c", "inside `[?...]`", "`$.b.c`"),
        ("a[?length(b) > 1]", "b", "inside `[?...]`", "`@.b`"),
        ("data.first-name == \"x\"", "first-name", "needs quotes", "`[\"first-name\"]`"),
        ("data[email]", "email", "cannot stand between", "`[\"email\"]`"),
        ("data.0.x", ".0", "cannot follow a dot", "`[0]`"),
        ("data.[0]", ".[", "cannot follow a dot", "leave out the dot"),
        ("data.\"x\"", ".\"x\"", "cannot follow a dot", "`[\"x\"]`"),
        ("data.", ".", "missing after this dot", "remove the dot"),
        ("data. x", ". x", "no blank", "remove the blank"),
        ("[\"a\"] == 1", "[", "is expected", "`@[\"first name\"]`"),
        ("a[]", "[]", "nothing stands between", "`[*]`"),
        ("a[@.b]", "@", "cannot stand between", "begins with `?`"),
        ("a[1.5]", "1.5", "not an index", "whole number"),
        ("a[9007199254740992]", "9007199254740992", "out of range", "9007199254740991"),
        (".a", ".", "is expected", "not with a dot"),
    ]);
}

#[test]
fn something_missing() {
    check(&[
        ("", "", "empty", "leave out `when`"),
        ("  \n", "  \n", "empty", "leave out `when`"),
        ("true", "true", "alone is no condition", "leave out `when`"),
        ("\"x\"", "\"x\"", "alone is no condition", "compare it"),
        ("a == 1 and", "", "missing after `and`", "belongs here"),
        ("a ==", "", "missing after `==`", "belongs here"),
        ("and a", "and", "is expected", "`@.and`"),
        ("a and or b", "or", "expected after `and`", "`@.or`"),
        ("a == 1 b == 2", "b", "is expected", "join conditions"),
        ("a \"x\"", "\"x\"", "is expected", "operator"),
        ("a in", "", "is missing", "in [\"valid\""),
        ("a in \"x\"", "\"x\"", "list of values", "`a in [\"x\"]`"),
        ("a in (1, 2)", "(", "list of values", "`[` and `]`"),
        ("\"vip\" in data.tags", "data", "list of values", "`data.tags[?@ == \"vip\"]`"),
        ("a in []", "[]", "never holds", "at least one"),
        ("a in [1,]", "]", "is missing", "extra `,`"),
        ("a in [b.c]", "b.c", "no text, number", "by `==`"),
        ("a == 1,", ",", "is expected", "join conditions"),
        ("a == 1e999", "1e999", "out of range", "1.8e308"),
        ("a == 01", "01", "begin with 0", "leave out the 0"),
    ]);
}

#[test]
fn limits() {
    let long = format!("a == \"{}\"", "x".repeat(TEXT_BYTES_MAX));
    assert!(refused(&long).message.contains("too many"));
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Condition::parse(&deep(NESTING_DEPTH_MAX)).is_ok());
    assert!(refused(&deep(NESTING_DEPTH_MAX + 1)).message.contains("inside one another"));
}

#[test]
fn queries() {
    for (text, message, hint) in [
        ("data.email", "begins with `$`", "`$.data.email`"),
        (" $", "blank", "remove"),
        ("$ ", "blank", "remove"),
        ("", "begins with `$`", "$.data.email"),
        ("$.a == 1", "the end of the query", "compared"),
        ("$[?a]", "inside `[?...]`", "`@.a`"),
        ("$.data.first-name", "needs quotes", "[\"first-name\"]"),
    ] {
        let error = Query::parse(text).expect_err(text);
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {error}");
    }
    assert!(Query::parse("$.a[?@.b and not @.c or @.d in [1]]").is_ok());
}
