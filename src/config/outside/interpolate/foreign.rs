//! How other tools write what is `${NAME}` here.

/// What other tools put before a variable's name: `${env.TOKEN}`, `${{ secrets.TOKEN }}`.
const PLACES: [&str; 6] = ["env", "ENV", "secrets", "secret", "vars", "var"];
/// How shells and other tools begin a default or an error behind a variable's name.
const DEFAULTS: [&str; 7] = [":=", ":?", ":+", "-", "=", "?", ":"];

/// Where a `${{ ... }}` that begins at `open` ends.
pub(super) fn end_of_double_brace(scalar: &str, open: usize) -> Option<usize> {
    let rest = scalar.get(open..)?;
    if !rest.starts_with("${{") {
        return None;
    }
    let close = rest.find("}}")? + "}}".len();
    // `${{{ x }}}`
    let more = rest.get(close..)?.bytes().take_while(|byte| *byte == b'}').count();
    Some(open + close + more)
}

/// A message and a hint for `${{ ... }}`.
pub(super) fn double_brace(written: &str) -> (String, String) {
    let inside = written.trim_matches(['$', '{', '}']).trim();
    let message = "`${{ }}` is neither a variable nor a template".to_owned();
    let hint = match variable(inside) {
        Some(name) => format!("a value of the environment is written `${{{name}}}`"),
        None => format!("a value of the event is written without the `$`: `{{{{ {inside} }}}}`"),
    };
    (message, hint)
}

/// What to write in place of a `${...}` that names no variable.
pub(super) fn hint(inside: &str) -> Option<String> {
    if let Some(name) = variable(inside).filter(|name| *name != inside) {
        return Some(format!("a value of the environment is written `${{{name}}}`"));
    }
    let inside = inside.trim();
    let end = inside.find(|c: char| !is_of_name(c)).unwrap_or(inside.len());
    let (name, behind) = inside.split_at_checked(end)?;
    let default = DEFAULTS.iter().find_map(|sign| behind.strip_prefix(sign));
    if let Some(default) = default.filter(|_| is_name(name) && name.bytes().all(|byte| !byte.is_ascii_lowercase())) {
        return Some(format!("a default stands behind `:-`: `${{{name}:-{default}}}`"));
    }
    let path = inside.trim_start_matches("$.");
    path.contains('.').then(|| format!("a value of the payload is written `{{{{ {path} }}}}`"))
}

/// The variable that another tool's words name.
fn variable(inside: &str) -> Option<&str> {
    let is_constant = |name: &str| is_name(name) && name.bytes().all(|byte| !byte.is_ascii_lowercase());
    if is_constant(inside) {
        return Some(inside);
    }
    let (place, name) = inside.split_once(['.', ':'])?;
    (PLACES.contains(&place) && is_name(name)).then_some(name)
}

fn is_name(name: &str) -> bool {
    name.chars().all(is_of_name) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_what_somebody_can_write() {
        for (inside, expected) in [
            ("data.name", Some("a value of the payload is written `{{ data.name }}`")),
            ("$.data.name", Some("a value of the payload is written `{{ data.name }}`")),
            ("env.TOKEN", Some("a value of the environment is written `${TOKEN}`")),
            ("env:token", Some("a value of the environment is written `${token}`")),
            ("TOKEN:?is missing", Some("a default stands behind `:-`: `${TOKEN:-is missing}`")),
            ("TOKEN-x", Some("a default stands behind `:-`: `${TOKEN:-x}`")),
            ("TOKEN:x", Some("a default stands behind `:-`: `${TOKEN:-x}`")),
            ("wiza-api-key", None),
            ("", None),
        ] {
            assert_eq!(hint(inside).as_deref(), expected, "{inside}");
        }
        for (written, expected) in [
            ("${{ event.id }}", "a value of the event is written without the `$`: `{{ event.id }}`"),
            ("${{ secrets.CRM_TOKEN }}", "a value of the environment is written `${CRM_TOKEN}`"),
            ("${{{ data.name }}}", "a value of the event is written without the `$`: `{{ data.name }}`"),
            ("${{TOKEN}}", "a value of the environment is written `${TOKEN}`"),
        ] {
            assert_eq!(end_of_double_brace(&format!("a{written} }}}}"), 1), Some(1 + written.len()));
            assert_eq!(double_brace(written).1, expected);
        }
        assert_eq!(end_of_double_brace("${NAME}}", 0), None);
        assert_eq!(end_of_double_brace("${{ x }", 0), None);
    }
}
