//! What is said of a template that cannot be read: mostly it is another language's, and that has a word here.

/// Signs of other languages, longest first, and what stands for them here.
const SIGNS: [(&str, &str); 11] = [
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("??", "write `value | default(\"...\", true)`"),
    ("?.", "write a plain dot, and `| default(\"...\", true)` behind the path where there may be nothing"),
    (
        "=>",
        "there are no functions: `| selectattr(\"email_type\", \"eq\", \"work\")` picks items, `| map(attribute=\"email\")` takes a field of each",
    ),
    ("[?", "filters stand in paths of bodies and conditions; here write `| selectattr(\"email_type\", \"eq\", \"work\")`"),
    ("$.", "inside of `{{ }}` a path has no `$.`: write `data.email`"),
    ("@.", "inside of `{{ }}` a path has no `@.`: write `data.email`"),
    ("!", "write `not`"),
];

/// Words of other languages behind `{%`.
const STATEMENTS: [(&str, &str); 12] = [
    ("elseif", "write `{% elif condition %}`"),
    ("elsif", "write `{% elif condition %}`"),
    ("unless", "write `{% if not condition %}` and `{% endif %}`"),
    ("endunless", "write `{% if not condition %}` and `{% endif %}`"),
    ("foreach", "write `{% for item in list %}` and `{% endfor %}`"),
    ("each", "write `{% for item in list %}` and `{% endfor %}`"),
    ("end", "write which: `{% endif %}` or `{% endfor %}`"),
    ("fi", "write `{% endif %}`"),
    ("assign", "write `{% set name = value %}`"),
    ("let", "write `{% set name = value %}`"),
    ("case", "write `{% if ... %}`, `{% elif ... %}` and `{% else %}`"),
    ("switch", "write `{% if ... %}`, `{% elif ... %}` and `{% else %}`"),
];

const BRACES: &str = "every `{{` needs its `}}`, every `{% if %}` its `{% endif %}`, every `{% for %}` its `{% endfor %}`";

/// How to mend what could not be read at `at`, where the parser says `detail` of it.
pub(in crate::transform) fn hint(source: &str, at: usize, detail: &str) -> Option<String> {
    let (before, place) = source.split_at_checked(at)?;
    if let Some(name) = detail.strip_prefix("unknown statement ") {
        let known = STATEMENTS.iter().find(|(word, _)| *word == name).map(|(_, hint)| (*hint).to_owned());
        return known.or_else(|| {
            let opened = name.strip_prefix("end").map_or(name, |opened| opened);
            Some(match name {
                "else" | "elif" => "no `{% if %}` is open here".to_owned(),
                _ if name.starts_with("end") => format!("no `{{% {opened} %}}` is open here: take this out, or add the other"),
                _ => "there are `if`, `for`, `set`, `with`, `macro` and `filter`".to_owned(),
            })
        });
    }
    if let Some((_, hint)) = SIGNS.iter().find(|(sign, _)| touches(sign, before, place)) {
        return Some((*hint).to_owned());
    }
    let last = before.trim_end();
    let is_in = |opening: &str| last.rfind(opening).is_some_and(|open| !last.get(open..).unwrap_or_default().contains("}}"));
    if place.starts_with('#') && last.ends_with("{{") {
        return Some(
            "this is Handlebars; write `{% if data.name %}...{% endif %}` or `{% for item in data.emails %}...{% endfor %}`".into(),
        );
    }
    if place.starts_with('/') && last.ends_with("{{") {
        return Some("this is Handlebars; write `{% endif %}` or `{% endfor %}`".into());
    }
    if place.starts_with('.') && (last.ends_with("{{") || last.ends_with("{%")) {
        return Some("a path begins with a name, without a dot before it: `data.name`".into());
    }
    if last.ends_with("else") && place.starts_with("if") {
        return Some("write `{% elif condition %}`".into());
    }
    if place.starts_with('}') && is_in("{{{") {
        return Some("write two braces and not three; `| tojson` prints a text with its quotes".into());
    }
    if place.starts_with('}') && is_in("{{") {
        return Some("close it with two braces: `{{ data.name }}`".into());
    }
    if place.starts_with('?') {
        return Some("write `this if condition else that`".into());
    }
    if place.starts_with(':') && is_in("|") {
        let filter = last.rsplit('|').next().unwrap_or_default().trim();
        let (argument, _) = place.get(1..)?.split_once("}}")?;
        let argument = argument.trim();
        return Some(if argument.is_empty() {
            format!("take the `:` out: `| {filter}`")
        } else {
            format!("a filter's arguments stand in parentheses: `| {filter}({argument})`")
        });
    }
    if detail.contains("end of input") || place.trim_start().is_empty() {
        return Some(BRACES.to_owned());
    }
    if detail.contains("expected end of variable block") || detail.contains("expected end of block") {
        let begins_value = place.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '"' | '\'' | '_'));
        return Some(if begins_value {
            "something is missing before it: `~` joins texts, a filter stands behind `|` with its arguments in parentheses".to_owned()
        } else {
            BRACES.to_owned()
        });
    }
    None
}

/// Whether a sign stands there: the parser may stop at any of its characters.
fn touches(sign: &str, before: &str, place: &str) -> bool {
    sign.char_indices().any(|(at, _)| {
        let (first, rest) = sign.split_at(at);
        before.ends_with(first) && place.starts_with(rest)
    })
}
