//! The table of docs/rules.md that says what every operator, filter and test makes of a null, of what is absent, of `true`,
//! of a text that looks like a number, and of a list that holds one of them. It is made by running each of them.
//!
//! `UPDATE_EXPECTED=1 cargo test --lib table_tests` writes the document anew; read the difference before you commit it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::templates::{context_of, text};
use crate::transform::templates::vocabulary::suggestions;
use crate::transform::*;

const BEGIN: &str = "<!-- What follows is written by `UPDATE_EXPECTED=1 cargo test --lib table_tests`. -->\n";
const END: &str = "<!-- Here it ends. -->\n";

/// The operators; `X` is the value.
const OPERATORS: [&str; 40] = [
    "X",
    "X ~ \"!\"",
    "X + 1",
    "X + \"1\"",
    "X - 1",
    "X * 2",
    "X / 2",
    "X // 2",
    "X % 2",
    "X ** 2",
    "-X",
    "X == 50",
    "X == \"50\"",
    "X == true",
    "X == 1",
    "X == none",
    "X != 50",
    "X < 100",
    "X > 10",
    "X <= 50",
    "X >= \"5\"",
    "10 < X < 100",
    "X in [50, 1]",
    "X in [none, \"50\"]",
    "X not in [50]",
    "X in \"None 50 true\"",
    "50 in X",
    "\"5\" in X",
    "1 in X",
    "not X",
    "X and \"yes\"",
    "X or \"no\"",
    "\"yes\" if X else \"no\"",
    "{% if X %}yes{% else %}no{% endif %}",
    "{% for item in X %}{{ item }};{% endfor %}",
    "X[0]",
    "X[:1]",
    "X.name",
    "[X]",
    "range(X)",
];

/// How a filter is written that needs arguments, or more than one way to show.
const FILTERS: [(&str, &[&str]); 32] = [
    ("attr", &["X | attr(\"name\")"]),
    ("batch", &["X | batch(2) | list"]),
    ("center", &["X | center(9)"]),
    ("truncate", &["X | truncate(3)"]),
    ("chain", &["X | chain([1]) | list", "[1] | chain(X) | list"]),
    ("default", &["X | default(\"-\")", "X | default(\"-\", true)"]),
    ("d", &["X | d(\"-\")"]),
    ("first", &["X | first"]),
    ("float", &["X | float", "X | float(0)"]),
    ("format", &["\"%s\" | format(X)", "\"%d\" | format(X)", "\"%(k)s\" | format({\"k\": X})"]),
    ("groupby", &["X | groupby(\"name\") | list"]),
    ("indent", &["X | indent(2)"]),
    ("int", &["X | int", "X | int(0)"]),
    ("join", &["X | join(\",\")", "[\"a\", \"b\"] | join(X)"]),
    ("map", &["X | map(\"string\") | join(\",\")", "X | map(\"upper\") | join(\",\")", "X | map(attribute=\"name\") | list"]),
    ("items", &["X | items | list", "{\"k\": X} | items | map(\"join\", \"=\") | join"]),
    ("reject", &["X | reject(\"none\") | list"]),
    ("rejectattr", &["X | rejectattr(\"name\") | list"]),
    ("replace", &["X | replace(\"5\", \"6\")", "\"abc\" | replace(\"a\", X)"]),
    ("reverse", &["X | reverse | list"]),
    ("round", &["X | round"]),
    ("select", &["X | select | list", "X | select(\"lt\", 100) | list", "X | select(\"startingwith\", \"5\") | list"]),
    ("selectattr", &["X | selectattr(\"name\") | list"]),
    ("slice", &["X | slice(1) | list"]),
    ("sort", &["X | sort", "(X | list + [1]) | sort"]),
    ("max", &["X | max", "(X | list + [1]) | max"]),
    ("min", &["X | min", "(X | list + [1]) | min"]),
    ("split", &["X | split(\",\")", "\"a b\" | split(X)"]),
    ("trim", &["X | trim", "\"50x\" | trim(X)"]),
    ("unique", &["X | unique | list", "(X | list + [1]) | unique | list"]),
    ("urlencode", &["X | urlencode", "{\"k\": X} | urlencode"]),
    ("zip", &["X | zip([1]) | list"]),
];

/// How a test is written that takes a value.
const TESTS: [(&str, &str); 20] = [
    ("divisibleby", "X is divisibleby(5)"),
    ("endingwith", "X is endingwith(\"0\")"),
    ("startingwith", "X is startingwith(\"5\")"),
    ("eq", "X is eq(50)"),
    ("equalto", "X is equalto(1)"),
    ("ne", "X is ne(50)"),
    ("lt", "X is lt(100)"),
    ("le", "X is le(100)"),
    ("gt", "X is gt(10)"),
    ("ge", "X is ge(10)"),
    ("in", "X is in([50, 1])"),
    ("sameas", "X is sameas(true)"),
    ("lessthan", "X is lessthan(100)"),
    ("greaterthan", "X is greaterthan(10)"),
    ("int", "X is int"),
    ("float", "X is float"),
    ("filter", "X is filter"),
    ("test", "X is test"),
    ("safe", "X is safe"),
    ("escaped", "X is escaped"),
];

/// The columns: a heading, the payload, and what stands for the value.
fn columns() -> [(&'static str, Value, &'static str); 9] {
    let absent = "(items_of | map(attribute=\"no\"))";
    [
        ("null", json!({"x": null}), "x"),
        ("absent", json!({}), "x"),
        ("`true`", json!({"x": true}), "x"),
        ("`50`", json!({"x": 50}), "x"),
        ("`\"50\"`", json!({"x": "50"}), "x"),
        ("`[null]`", json!({"x": [null]}), "x"),
        ("[absent]", json!({"items_of": [{}]}), absent),
        ("`[true]`", json!({"x": [true]}), "x"),
        ("`[\"50\"]`", json!({"x": ["50"]}), "x"),
    ]
}

fn cell(written: &str, payload: &Value, value: &str) -> String {
    let expression = written.replace('X', value);
    let template = if expression.contains("{%") { expression } else { format!("{{{{ {expression} }}}}") };
    let mut templates = Templates::new();
    // What can never render is refused when the file is read.
    let Ok(template) = Template::compile(&mut templates, &text(&template), Escape::None) else { return "error".to_owned() };
    let context = context_of(payload);
    match template.render(&templates, &context) {
        Err(error) => {
            assert!(!error.message.contains("invalid operation"), "{written} over {payload}: {}", error.message);
            "error".to_owned()
        }
        Ok(printed) if printed.is_empty() => "nothing".to_owned(),
        Ok(printed) => format!("`{}`", printed.replace('\n', "⏎").replace('|', "\\|")),
    }
}

fn row(written: &str) -> String {
    let shown = written.replace('X', "x").replace('|', "\\|");
    let cells: Vec<String> = columns().iter().map(|(_, payload, value)| cell(written, payload, value)).collect();
    format!("| `{shown}` | {} |\n", cells.join(" | "))
}

fn table(rows: impl IntoIterator<Item = String>) -> String {
    let headings: Vec<&str> = columns().iter().map(|(heading, ..)| *heading).collect();
    let rows: String = rows.into_iter().collect();
    format!("| written | {} |\n|{}\n{rows}", headings.join(" | "), "---|".repeat(headings.len() + 1))
}

fn tables() -> String {
    let [filters, tests, _] = suggestions();
    let ways: BTreeMap<&str, &[&str]> = FILTERS.into_iter().collect();
    let filters = filters.into_iter().flat_map(|name| match ways.get(name) {
        Some(ways) => ways.iter().map(|way| row(way)).collect::<Vec<_>>(),
        None => vec![row(&format!("X | {name}"))],
    });
    let forms: BTreeMap<&str, &str> = TESTS.into_iter().collect();
    let mut names: Vec<&str> = tests.into_iter().chain(TESTS.map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.dedup();
    let tests = names.into_iter().map(|name| row(forms.get(name).map_or(format!("X is {name}"), |form| (*form).to_owned()).as_str()));
    format!(
        "\nOperators, `if` and `for`:\n\n{}\nFilters:\n\n{}\nTests:\n\n{}\n",
        table(OPERATORS.into_iter().map(row)),
        table(filters),
        table(tests)
    )
}

#[test]
fn the_table_of_the_document_is_what_the_code_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let made = tables();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    for (made, written) in made.lines().zip(written.lines()) {
        assert_eq!(made, written, "docs/rules.md says otherwise; UPDATE_EXPECTED=1 writes it anew");
    }
    assert_eq!(made.lines().count(), written.lines().count(), "docs/rules.md; UPDATE_EXPECTED=1 writes it anew");
}
