#!/usr/bin/env bash
# minijinja-contrib 3.1.0 with minijinja 3.1.0 (Rust 1.90), beside Jinja2 3.1.6 with MarkupSafe 3.0.3 (Python 3.9 or newer).
#
# Guess:   the contributed filters `striptags` and `truncate` give what Jinja's own do.
# Reality: `striptags` takes every `<` for the beginning of a tag and drops the rest of the text where no `>` follows:
#          `teams < 50 people` becomes `teams`. MarkupSafe leaves it. `truncate` takes no argument by place, as Jinja's
#          documentation shows it (`truncate(9)`): it is an error. A null becomes an empty text in place of `None`.
# Matters: a template of a relay loses a part of a job's title or of a company's description in silence, and one that was copied
#          from Jinja's documentation cannot be rendered, which costs each of its deliveries.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2024"

[dependencies]
minijinja = "=3.1.0"
minijinja-contrib = "=3.1.0"
TOML
cat > "$folder/src/main.rs" <<'RUST'
fn main() {
    let mut environment = minijinja::Environment::new();
    minijinja_contrib::add_to_environment(&mut environment);
    for template in ["{{ 'teams < 50 people' | striptags }}", "{{ 'Head of Growth' | truncate(9) }}", "[{{ none | truncate }}]"] {
        let text = environment.render_str(template, minijinja::context! {});
        println!("{}", text.unwrap_or_else(|error| format!("error: {:?}", error.kind())));
    }
}
RUST
seen=$(cd "$folder" && cargo run --quiet)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jinja2==3.1.6 markupsafe==3.0.3
jinja=$("$folder/venv/bin/python" - <<'PYTHON'
from jinja2 import Environment

environment = Environment()
for template in ["{{ 'teams < 50 people' | striptags }}", "{{ 'Head of Growth' | truncate(9, leeway=0) }}"]:
    print(environment.from_string(template).render())
PYTHON
)
printf 'minijinja-contrib:\n%s\nJinja:\n%s\n' "$seen" "$jinja"
[ "$seen" = $'teams\nerror: TooManyArguments\n[]' ] && [ "$jinja" = $'teams < 50 people\nHead...' ]
