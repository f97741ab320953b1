//! `${...}` in a string: `${NAME}`, `${NAME:-default}`, `${file:/path}`, and `$${` for a literal `${`.

mod files;
mod foreign;

use std::ops::Range;
use std::path::Path;

pub(in crate::config) use self::files::read_file;
use super::flaw::{self, Flaw};
use crate::config::findings::finding::quoted;
use crate::text::{Part, Secret, Text};

/// What the name of a value begins with that comes from a file.
const FILE_PREFIX: &str = "file:";
/// What names of variables begin with that are settings of the relay itself, its tokens among them. Rules never see their
/// values: whoever writes rules could send them anywhere.
const OWN_PREFIXES: [&str; 2] = ["WIZA_RELAY_", "OTEL_"];

/// What is reported of one string. Nobody reads more.
const PROBLEMS_MAX: usize = 10;

/// Gives the value of a variable, where it is set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where the value of a `${NAME}` is looked for.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// There: in the relay, in the environment.
    Of(Lookup<'a>),
    /// In this folder, as the file of that name, and nowhere else: rules then see nothing of the environment.
    In(&'a Path),
}

/// What becomes of a `${...}` without a value and without a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Missing {
    /// The file cannot take effect.
    IsAnError,
    /// Something else stands in for it: nothing is sent, so the value itself does not matter.
    IsStoodInFor,
}

/// A string with everything in it replaced, as far as that went.
#[derive(Debug, Default)]
pub(in crate::config) struct Interpolated {
    pub text: Text,
    /// The values that came from outside the file (not the defaults, which stand in it).
    pub secrets: Vec<Secret>,
    /// The names of those among them that something else stands in for.
    pub stood_in_for: Vec<String>,
    pub problems: Vec<Problem>,
    /// What keeps no value from being used, and is hardly ever meant.
    pub doubts: Vec<Problem>,
}

/// Something that could not be replaced, or that should be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Problem {
    /// Bytes of the scalar's parsed string.
    pub span: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// Replaces each `${...}` of a scalar's parsed string.
pub(in crate::config) fn replace(scalar: &str, values: Values<'_>, missing: Missing) -> Interpolated {
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
        if let Some(end) = foreign::end_of_double_brace(scalar, open) {
            let (message, hint) = foreign::double_brace(scalar.get(open..end).unwrap_or_default());
            result.problems.push(Problem { span: open..end, message, hint });
            written = end;
            at = end;
            continue;
        }
        match resolve(scalar.get(inside..close).unwrap_or_default(), values) {
            Ok(Resolved { secret, from_outside, doubt }) => {
                if from_outside {
                    result.secrets.push(secret.clone());
                }
                if let Some((message, hint)) = doubt
                    && result.doubts.len() < PROBLEMS_MAX
                {
                    result.doubts.push(Problem { span: open..close + 1, message, hint });
                }
                result.text.parts.push(Part::Value(secret));
            }
            Err(Unresolved::Missing { name, .. }) if missing == Missing::IsStoodInFor => {
                let secret = Secret::new(name.as_str(), stand_in(&name, result.text.parts.is_empty()));
                result.secrets.push(secret.clone());
                result.stood_in_for.push(name);
                result.text.parts.push(Part::Value(secret));
            }
            Err(Unresolved::Missing { message, hint, .. } | Unresolved::Wrong { message, hint }) => {
                result.problems.push(Problem { span: open..close + 1, message, hint });
            }
        }
        written = close + 1;
        at = written;
    }
    result.push_written(scalar, written..scalar.len());
    result
}

/// The same, with the values of a function.
#[cfg(test)]
pub(in crate::config) fn interpolate(scalar: &str, lookup: Lookup<'_>, missing: Missing) -> Interpolated {
    replace(scalar, Values::Of(lookup), missing)
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
    /// A message and a hint.
    doubt: Option<(String, String)>,
}

/// Why there is no value, and how to mend it.
enum Unresolved {
    /// Rightly written, but there is nothing under this name, or something empty.
    Missing { name: String, message: String, hint: String },
    /// Never right, wherever the relay runs.
    Wrong { message: String, hint: String },
}

/// What every stand-in begins with, but for the scheme of a URL.
const STAND_IN: &str = "stand-in-for-";

/// Whether a value only stands in for one that is not known.
pub(in crate::config) fn is_stand_in(value: &str) -> bool {
    value.strip_prefix("https://").unwrap_or(value).starts_with(STAND_IN)
}

/// A value for a name that has none, where nothing is sent: at the start of a string it can be the whole of a URL,
/// anywhere else a part of one. The top-level domain is one that never exists (RFC 2606).
fn stand_in(name: &str, at_start: bool) -> String {
    let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let word = format!("{STAND_IN}{}", word.trim_matches('-'));
    if at_start { format!("https://{word}.invalid") } else { word }
}

/// The value of what stands between the braces.
fn resolve(inside: &str, values: Values<'_>) -> Result<Resolved, Unresolved> {
    if let Some(path) = inside.strip_prefix(FILE_PREFIX) {
        if !path.starts_with('/') {
            let message = format!("{} is not an absolute path", quoted(path));
            return Err(Unresolved::Wrong { message, hint: "write the whole path: `${file:/run/secrets/name}`".into() });
        }
        let value = read_file(Path::new(path)).map_err(|reason| files::unreadable(inside, Path::new(path), &reason))?;
        let empty = "put the value into it, on one line".to_owned();
        return from_outside(Secret::in_file(inside, value, path.into()), &format!("the file {}", quoted(path)), empty);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    check_name(inside, name)?;
    if default.is_some_and(|default| default.contains("${")) {
        let message = format!("the default of {} holds another `${{`", quoted(&format!("${{{name}}}")));
        return Err(Unresolved::Wrong { message, hint: "a default is plain text".into() });
    }
    let found = match values {
        Values::Of(lookup) => lookup(name).map(|value| Secret::new(name, value)),
        Values::In(folder) => files::find(folder, name)?,
    };
    // As in a shell, `:-` also covers a variable that is set but empty.
    match (found.filter(|secret| default.is_none() || !secret.expose().is_empty()), default) {
        (Some(secret), _) => {
            let shown = match &secret.file {
                Some(file) => format!("the file {}", quoted(&file.display().to_string())),
                None => format!("the variable {}", quoted(name)),
            };
            from_outside(secret, &shown, format!("set it; where it may be empty, write `${{{name}:-}}`"))
        }
        (None, Some(default)) => Ok(Resolved { secret: Secret::new(name, default), from_outside: false, doubt: None }),
        (None, None) => Err(not_there(name, values)),
    }
}

/// A value as it came, unless something is wrong with it. `shown` is what it came from, `empty` what to do where that is empty.
fn from_outside(secret: Secret, shown: &str, empty: String) -> Result<Resolved, Unresolved> {
    let doubt = match flaw::find(secret.expose()) {
        Some(Flaw::Empty(message)) => {
            return Err(Unresolved::Missing { name: secret.name, message: format!("{shown} {message}"), hint: empty });
        }
        Some(Flaw::Foreign { message, hint }) => {
            return Err(Unresolved::Wrong { message: format!("{shown} {message}"), hint: hint.into() });
        }
        Some(Flaw::Blank { message, hint }) => Some((format!("{shown} {message}"), hint.to_owned())),
        None => None,
    };
    Ok(Resolved { secret, from_outside: true, doubt })
}

fn not_there(name: &str, values: Values<'_>) -> Unresolved {
    let (message, hint) = match values {
        Values::Of(_) => (
            format!("the variable {} is not set", quoted(name)),
            format!("set it in the relay's environment, or give a default: `${{{name}:-...}}`"),
        ),
        Values::In(folder) => (
            format!("there is no file {} in {}", quoted(name), folder.display()),
            format!("with --secrets-from values come from that folder only: add the file, or give a default: `${{{name}:-...}}`"),
        ),
    };
    Unresolved::Missing { name: name.to_owned(), message, hint }
}

fn check_name(inside: &str, name: &str) -> Result<(), Unresolved> {
    let fits =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    if let Some(prefix) = OWN_PREFIXES.into_iter().find(|prefix| is_prefix(prefix, name))
        && fits
    {
        let message = format!("{} is a setting of the relay itself, and rules never see it", quoted(name));
        let hint = format!("a value for rules needs a name that does not begin with `{prefix}`: what rules see can be sent anywhere");
        return Err(Unresolved::Wrong { message, hint });
    }
    if fits {
        return Ok(());
    }
    let hint = if let Some(hint) = foreign::hint(inside) {
        hint
    } else if inside.trim() != inside {
        format!("no spaces: `${{{}}}`", inside.trim())
    } else {
        "letters, digits and `_`: `${NAME}`, `${NAME:-default}` or `${file:/path}`; a literal `${` is written `$${`".into()
    };
    let what = if name.is_empty() { "`${}` names no variable".into() } else { format!("{} is not a variable's name", quoted(name)) };
    Err(Unresolved::Wrong { message: what, hint })
}

fn is_prefix(prefix: &str, name: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".into()),
            "EMPTY" => Some(String::new()),
            "SPACED" => Some(" spaced".into()),
            "LINE" => Some("s3cret\n".into()),
            "NESTED" => Some("${A} $.x {{ y }}".into()),
            _ => None,
        }
    }

    fn exposed(scalar: &str) -> String {
        let result = interpolate(scalar, &lookup, Missing::IsAnError);
        assert_eq!(result.problems, [], "{scalar}");
        result.text.expose()
    }

    fn problem(scalar: &str) -> Problem {
        let mut problems = interpolate(scalar, &lookup, Missing::IsAnError).problems;
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
            ("[${EMPTY:-}]", "[]"),
            ("[${SPACED}]", "[ spaced]"),
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
        let dollar = interpolate("${D}${D}", &|_| Some("$".into()), Missing::IsAnError);
        assert_eq!(dollar.text.expose(), "$$");
    }

    #[test]
    fn offsets_are_those_of_the_scalar() {
        let text = interpolate("ab$${c}${A}d", &lookup, Missing::IsAnError).text;
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
        assert_eq!(interpolate("${NO} ${A} ${NOPE}", &lookup, Missing::IsAnError).problems.len(), 2);
    }

    #[test]
    fn something_stands_in_for_what_is_missing_where_nothing_is_sent() {
        let result = interpolate("${NO_URL}/x?k=${NOPE}&${A}&${NO:-d}&${file:/no/such/file}", &lookup, Missing::IsStoodInFor);
        assert_eq!(result.problems, []);
        let expected = "https://stand-in-for-no-url.invalid/x?k=stand-in-for-nope&alpha&d&stand-in-for-file--no-such-file";
        assert_eq!(result.text.expose(), expected);
        assert_eq!(result.text.masked(), "${NO_URL}/x?k=${NOPE}&${A}&${NO}&${file:/no/such/file}");
        assert_eq!(result.stood_in_for, ["NO_URL", "NOPE", "file:/no/such/file"]);
        assert_eq!(interpolate("${1A}", &lookup, Missing::IsStoodInFor).problems.len(), 1);
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
    fn a_value_that_nobody_means_is_named_with_its_place_and_never_shown() {
        let empty = problem("x${EMPTY}");
        assert_eq!((empty.span.clone(), empty.message.as_str()), (1..9, "the variable `EMPTY` is empty"));
        assert!(empty.hint.contains("`${EMPTY:-}`"));
        let line = problem("x${LINE}");
        assert_eq!((line.span.clone(), line.message.as_str()), (1..8, "the variable `LINE` ends with a line break"));
        let spaced = interpolate("x${SPACED}", &lookup, Missing::IsAnError);
        assert_eq!((spaced.problems.len(), spaced.doubts.len()), (0, 1));
        assert_eq!(spaced.doubts[0].message, "the variable `SPACED` begins with a blank");
        for said in [format!("{empty:?}"), format!("{line:?}"), format!("{:?}", spaced.doubts)] {
            assert!(!said.contains("s3cret") && !said.contains(" spaced"), "{said}");
        }
        // What has no value in a dry run may as well be empty there: some CI sets a secret that it may not tell to nothing.
        assert_eq!(interpolate("${EMPTY}", &lookup, Missing::IsStoodInFor).stood_in_for, ["EMPTY"]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        assert_eq!(problem(&format!("${{file:{path}}}")).message, format!("the file `{path}` is empty"));
        file.write_all("\u{feff}s3cret\n".as_bytes()).unwrap();
        assert_eq!(problem(&format!("${{file:{path}}}")).message, format!("the file `{path}` begins with a byte order mark (BOM), U+FEFF"));
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
        assert!(problem("${file:/dev/zero}").message.contains("/proc, /sys and /dev"));
        assert!(problem("${file:/tmp}").message.contains("not a file"));
    }

    #[test]
    fn the_relays_own_settings_are_no_values_for_rules() {
        let every = |_: &str| Some("a-secret".to_owned());
        for name in ["WIZA_RELAY_ADMIN_TOKEN", "WIZA_RELAY_", "wiza_relay_store", "OTEL_EXPORTER_OTLP_HEADERS", "Otel_X"] {
            for scalar in [format!("${{{name}}}"), format!("x${{{name}:-}}y")] {
                for missing in [Missing::IsAnError, Missing::IsStoodInFor] {
                    let result = interpolate(&scalar, &every, missing);
                    assert!(result.problems[0].message.contains("is a setting of the relay itself"), "{:?}", result.problems);
                    assert_eq!(result.secrets, [], "{scalar}");
                }
            }
        }
        for name in ["WIZA_API_KEY", "WIZA_RELAY", "MY_OTEL_TOKEN", "OTEL"] {
            assert_eq!(interpolate(&format!("${{{name}}}"), &every, Missing::IsAnError).text.expose(), "a-secret");
        }
    }

    #[test]
    fn what_the_system_shows_as_files_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/proc/self/environ", &link).unwrap();
        let climbing = format!("{}/../../proc/self/environ", folder.path().display());
        for path in ["/proc/self/environ", "/proc/1/environ", "//proc//self/./environ", "/sys/kernel/uevent_seqnum", "/dev/null"] {
            let message = problem(&format!("${{file:{path}}}")).message;
            assert!(message.contains("cannot read"), "{message}");
        }
        for path in [link.to_str().unwrap(), &climbing, "/proc/self/environ"] {
            let scalar = format!("${{file:{path}}}");
            for missing in [Missing::IsAnError, Missing::IsStoodInFor] {
                let problems = interpolate(&scalar, &lookup, missing).problems;
                assert!(problems.len() == 1 && problems[0].message.contains("/proc, /sys and /dev"), "{path}: {problems:?}");
            }
        }
    }

    #[test]
    fn a_folder_of_secrets_stands_in_the_place_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |scalar: &str| replace(scalar, Values::In(folder.path()), Missing::IsAnError);
        std::fs::write(folder.path().join("TOKEN"), "s3cret\n").unwrap();
        std::fs::write(folder.path().join("EMPTY"), "").unwrap();
        std::fs::create_dir(folder.path().join("FOLDER")).unwrap();
        std::os::unix::fs::symlink("TOKEN", folder.path().join("LINKED")).unwrap();
        std::os::unix::fs::symlink("/proc/self/environ", folder.path().join("ENVIRON")).unwrap();
        assert_eq!(in_folder("${TOKEN} ${LINKED} ${EMPTY:-x} ${NO:-y}").text.expose(), "s3cret s3cret x y");
        assert_eq!(in_folder("${TOKEN} ${NO:-y}").secrets[0].file, Some(folder.path().join("TOKEN")));
        for (scalar, expected) in [
            ("${PATH}", "there is no file `PATH` in"),
            ("${FOLDER}", "it is not a file"),
            ("${FOLDER:-x}", "it is not a file"),
            ("${ENVIRON}", "/proc, /sys and /dev"),
            ("${../TOKEN}", "not a variable's name"),
            ("${WIZA_RELAY_ADMIN_TOKEN}", "a setting of the relay itself"),
        ] {
            let problems = in_folder(scalar).problems;
            assert!(problems.len() == 1 && problems[0].message.contains(expected), "{scalar}: {problems:?}");
        }
        let stood_in_for = replace("${NO}", Values::In(folder.path()), Missing::IsStoodInFor);
        assert_eq!(stood_in_for.stood_in_for, ["NO"]);
    }

    #[test]
    fn only_values_from_outside_are_secrets() {
        let result = interpolate("${A} ${NO:-default} ${EMPTY:-x}", &lookup, Missing::IsAnError);
        let names: Vec<_> = result.secrets.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!(names, ["A"]);
    }
}
