//! `${...}` in a string: `${NAME}`, `${NAME:-default}`, `${file:/path}`, and `$${` for a literal `${`.

use std::fs::File;
use std::io::Read;
use std::ops::Range;

use super::finding::quoted;
use super::text::{Part, Secret, Text};

/// What a `${file:...}` may hold.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is reported of one string. Nobody reads more.
const PROBLEMS_MAX: usize = 10;

/// Gives the value of a variable, where it is set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string with everything in it replaced, as far as that went.
#[derive(Debug, Default)]
pub(super) struct Interpolated {
    pub text: Text,
    /// The values that came from outside the file (not the defaults, which stand in it).
    pub secrets: Vec<Secret>,
    pub problems: Vec<Problem>,
}

/// Something that could not be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes of the scalar's parsed string.
    pub span: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// Replaces each `${...}` of a scalar's parsed string.
pub(super) fn interpolate(scalar: &str, lookup: Lookup<'_>) -> Interpolated {
    let mut result = Interpolated::default();
    // Where the stretch that is being collected begins.
    let mut written = 0;
    let mut at = 0;
    while result.problems.len() < PROBLEMS_MAX
        && let Some(found) = scalar.get(at..).and_then(|rest| rest.find("${"))
    {
        let open = at + found;
        if scalar.get(..open).is_some_and(|before| before.ends_with('$')) && open > written {
            // `$${`: drop the first `$`, and go on behind the brace.
            result.push_written(scalar, written..open - 1);
            written = open;
            at = open + 2;
            continue;
        }
        let inside = open + 2;
        let Some(length) = scalar.get(inside..).and_then(|rest| rest.find('}')) else {
            result.problems.push(Problem {
                span: open..inside,
                message: "`${` without `}`".into(),
                hint: "close it: `${NAME}`; a literal `${` is written `$${`".into(),
            });
            break;
        };
        let close = inside + length;
        result.push_written(scalar, written..open);
        match resolve(scalar.get(inside..close).unwrap_or_default(), lookup) {
            Ok(Resolved { secret, from_outside }) => {
                if from_outside {
                    result.secrets.push(secret.clone());
                }
                result.text.parts.push(Part::Value(secret));
            }
            Err((message, hint)) => result.problems.push(Problem { span: open..close + 1, message, hint }),
        }
        written = close + 1;
        at = written;
    }
    result.push_written(scalar, written..scalar.len());
    result
}

impl Interpolated {
    fn push_written(&mut self, scalar: &str, range: Range<usize>) {
        if let Some(text) = scalar.get(range.clone())
            && !text.is_empty()
        {
            self.text.parts.push(Part::Written { text: text.to_owned(), offset: range.start });
        }
    }
}

struct Resolved {
    secret: Secret,
    from_outside: bool,
}

/// The value of what stands between the braces; else what is wrong, and how to mend it.
fn resolve(inside: &str, lookup: Lookup<'_>) -> Result<Resolved, (String, String)> {
    if let Some(path) = inside.strip_prefix("file:") {
        let value = read_file(path)?;
        return Ok(Resolved { secret: Secret::new(inside, value), from_outside: true });
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    check_name(inside, name)?;
    if default.is_some_and(|default| default.contains("${")) {
        return Err((format!("the default of {} holds another `${{`", quoted(&format!("${{{name}}}"))), "a default is plain text".into()));
    }
    // As in a shell, `:-` also covers a variable that is set but empty.
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok((default.to_owned(), false)),
        (Some(value), _) => Ok((value, true)),
        (None, Some(default)) => Ok((default.to_owned(), false)),
        (None, None) => Err((
            format!("the variable {} is not set", quoted(name)),
            format!("set it in the relay's environment, or give a default: `${{{name}:-...}}`"),
        )),
    }
    .map(|(value, from_outside)| Resolved { secret: Secret::new(name, value), from_outside })
}

fn check_name(inside: &str, name: &str) -> Result<(), (String, String)> {
    let fits =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    if fits {
        return Ok(());
    }
    let hint = if inside.contains('.') {
        format!("a value of the payload is written `{{{{ {} }}}}`", inside.trim())
    } else if inside.trim() != inside {
        format!("no spaces: `${{{}}}`", inside.trim())
    } else {
        "letters, digits and `_`: `${NAME}`, `${NAME:-default}` or `${file:/path}`; a literal `${` is written `$${`".into()
    };
    let what = if name.is_empty() { "`${}` names no variable".into() } else { format!("{} is not a variable's name", quoted(name)) };
    Err((what, hint))
}

/// A file's text without one trailing line break.
fn read_file(path: &str) -> Result<String, (String, String)> {
    if !path.starts_with('/') {
        return Err((format!("{} is not an absolute path", quoted(path)), "write the whole path: `${file:/run/secrets/name}`".into()));
    }
    let unreadable = |reason: String| {
        (format!("cannot read {}: {reason}", quoted(path)), "the relay needs the file, readable, when it loads the rules".into())
    };
    // Not everything that opens also ends: only files are read, no pipes or devices.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a file".into()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is larger than {} KiB", FILE_BYTES_MAX / 1024)));
    }
    let trimmed = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(trimmed.unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A} $.x {{ y }}".into()),
            _ => None,
        }
    }

    fn exposed(scalar: &str) -> String {
        let result = interpolate(scalar, &lookup);
        assert_eq!(result.problems, [], "{scalar}");
        result.text.expose()
    }

    fn problem(scalar: &str) -> Problem {
        let mut problems = interpolate(scalar, &lookup).problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    #[test]
    fn replaces_variables() {
        for (scalar, expected) in [
            ("", ""),
            ("plain $ {A} $A", "plain $ {A} $A"),
            ("${A}", "alpha"),
            ("<${A}${A}>", "<alphaalpha>"),
            ("${NO:-a: {b, c:-d}", "a: {b, c:-d"),
            ("${NO:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("[${EMPTY}]", "[]"),
            ("${NESTED}", "${A} $.x {{ y }}"),
        ] {
            assert_eq!(exposed(scalar), expected, "{scalar}");
        }
    }

    #[test]
    fn doubled_dollar_is_literal() {
        for (scalar, expected) in
            [("$${A}", "${A}"), ("a$${A}${A}", "a${A}alpha"), ("$${", "${"), ("${A}$${A}", "alpha${A}"), ("$$${A}", "$${A}")]
        {
            assert_eq!(exposed(scalar), expected, "{scalar}");
        }
        // A value that ends in `$` escapes nothing.
        let dollar = interpolate("${D}${D}", &|_| Some("$".into()));
        assert_eq!(dollar.text.expose(), "$$");
    }

    #[test]
    fn offsets_are_those_of_the_scalar() {
        let text = interpolate("ab$${c}${A}d", &lookup).text;
        let offsets: Vec<_> = text
            .parts
            .iter()
            .map(|part| match part {
                Part::Written { text, offset } => (text.as_str(), *offset),
                Part::Value(secret) => (secret.name.as_str(), usize::MAX),
            })
            .collect();
        assert_eq!(offsets, [("ab", 0), ("${c}", 3), ("A", usize::MAX), ("d", 11)]);
    }

    #[test]
    fn names_what_is_missing_and_where() {
        let missing = problem("x${NOPE}y");
        assert_eq!((missing.span, missing.message.as_str()), (1..8, "the variable `NOPE` is not set"));
        assert_eq!(interpolate("${NO} ${A} ${NOPE}", &lookup).problems.len(), 2);
    }

    #[test]
    fn rejects_what_is_no_variable() {
        assert_eq!(problem("a${A").span, 1..3);
        assert!(problem("${}").message.contains("names no variable"));
        assert!(problem("${ A }").hint.contains("`${A}`"));
        assert!(problem("${data.id}").hint.contains("{{ data.id }}"));
        assert!(problem("${1A}").message.contains("not a variable's name"));
        assert!(problem("${NO:-${A}}").message.contains("holds another"));
    }

    #[test]
    fn reads_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"s3cret\r\n").unwrap();
        assert_eq!(exposed(&format!("<${{file:{}}}>", file.path().display())), "<s3cret>");
        file.write_all(&[b'x'; 70_000]).unwrap();
        assert!(problem(&format!("${{file:{}}}", file.path().display())).message.contains("larger than 64 KiB"));
        assert!(problem("${file:secret}").message.contains("not an absolute path"));
        assert!(problem("${file:/no/such/file}").message.contains("cannot read"));
        assert!(problem("${file:/dev/zero}").message.contains("not a file"));
        assert!(problem("${file:/tmp}").message.contains("not a file"));
    }

    #[test]
    fn only_values_from_outside_are_secrets() {
        let result = interpolate("${A} ${NO:-default} ${EMPTY:-x}", &lookup);
        let names: Vec<_> = result.secrets.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!(names, ["A"]);
    }
}
