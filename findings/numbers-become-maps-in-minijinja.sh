#!/usr/bin/env bash
# Guess: with serde_json's feature `arbitrary_precision`, which only lets a number keep all its digits, a template still prints
#   a payload's number: `{{ n }}` of {"n": 5} gives 5.
# Reality: minijinja 3.1.0 gets each number of a serde_json 1.0.154 value as a map: {'$serde_json::private::Number': '5'}, is told that
#   it is a mapping and not a number, and `n + 1` fails. Without the feature the same program prints 5. A feature is switched on for
#   the whole program, also by some other crate of it.
# Why it matters: whoever turns that feature on, to keep a long id, breaks each template that prints a number, and no compiler says so. A
#   relay that sends what templates print would send the map. (Turn numbers into minijinja's values by hand.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[features]
digits = ["serde_json/arbitrary_precision"]

[dependencies]
serde_json = "=1.0.154"
minijinja = { version = "=3.1.0", features = ["serde"] }
TOML
cat > src/main.rs <<'RUST'
use minijinja::{Environment, Value, value::Serde};

fn main() {
    let payload: serde_json::Value = serde_json::from_str(r#"{"n": 5}"#).unwrap();
    let environment = Environment::new();
    for template in ["{{ n }}", "{{ n is number }} {{ n is mapping }}", "{{ n + 1 }}"] {
        let printed = environment.render_str(template, Value::from(Serde(&payload)));
        println!("{template} -> {}", printed.unwrap_or_else(|error| format!("{:?}", error.kind())));
    }
}
RUST
without=$(cargo run --quiet)
with=$(cargo run --quiet --features digits)
printf 'without arbitrary_precision:\n%s\nwith it:\n%s\n' "$without" "$with"
expected_without='{{ n }} -> 5
{{ n is number }} {{ n is mapping }} -> True False
{{ n + 1 }} -> 6'
expected_with="{{ n }} -> {'\$serde_json::private::Number': '5'}
{{ n is number }} {{ n is mapping }} -> False True
{{ n + 1 }} -> InvalidOperation"
[ "$without" = "$expected_without" ] && [ "$with" = "$expected_with" ]
