//! What people write who come from Python, JavaScript, Liquid or Ansible, and what stands for it here.

/// Stands for the value that is asked, in a suggestion.
const VALUE: &str = "{}";
/// Stands for the arguments that were written, or else for those behind the bar: `{args|" "}`.
const ARGUMENTS: &str = "{args|";
/// A suggestion is one line: a longer value is called `value`.
const SHOWN_BYTES_MAX: usize = 80;

const EXPRESSION: &str = "regular expressions stand in a route's `when` only: `search(data.email, \"@example\\\\.com$\")`";
const DATE: &str = "write `{} | date({args|\"%Y-%m-%d\"})`";
const MISSING: &str = "write `{}.NAME`, and `{}.NAME | default(\"...\", true)` where there may be none";

/// Names in small letters and without `_`, and the hint for them.
const FOREIGN: &[(&str, &str)] = &[
    ("upper uppercase upcase toupper touppercase strtoupper", "write `{} | upper`"),
    ("lower lowercase downcase tolower tolowercase casefold strtolower", "write `{} | lower`"),
    ("strip trim trimstart trimend lstrip rstrip chomp", "write `{} | trim`"),
    ("title titlecase titleize", "write `{} | title`"),
    ("capitalize ucfirst", "write `{} | capitalize`"),
    ("split explode", "write `{} | split({args|\" \"})`, and `| first` or `| last` behind it for one of the parts"),
    ("replace replaceall gsub", "write `{} | replace({args|\"a\", \"b\"})`"),
    ("startswith beginswith", "write `{} is startingwith({args|\"x\"})`"),
    ("endswith", "write `{} is endingwith({args|\"x\"})`"),
    ("includes contains has haskey hasownproperty find index indexof", "write `{args|\"x\"} in {}`"),
    ("get", MISSING),
    ("items entries", "write `{} | items`"),
    ("keys", "write `{} | list`"),
    ("values", "write `{} | items | map(\"last\")`"),
    ("length len size count strlen", "write `{} | length`"),
    ("format sprintf printf", "join texts with `~`: `\"Hello \" ~ data.name`"),
    ("join implode", "write `{} | join({args|\", \"})`"),
    ("str string tostring tos", "write `{} | string`"),
    ("int integer toint tointeger parseint number tonumber", "write `{} | int`"),
    ("float tofloat parsefloat", "write `{} | float`"),
    ("bool boolean", "write `{} | bool`"),
    ("round tofixed", "write `{} | round({args|2})`"),
    ("date strftime isoformat toisostring todate dateformat formatdate datetimeformat", DATE),
    ("today utcnow timestamp time datetime currentdate", "write `now() | date(\"%Y-%m-%d\")`"),
    ("map pluck", "write `{} | map(attribute=\"email\")`"),
    ("filter where", "write `{} | selectattr(\"email_type\", \"eq\", \"work\")`"),
    ("first", "write `{} | first`"),
    ("last", "write `{} | last`"),
    ("at", "write `{}[{args|0}]`"),
    ("slice substring substr", "write `{}[0:5]`"),
    ("concat append", "write `{} ~ {args|\"x\"}` for texts, `{} + [...]` for lists"),
    ("push", "write `{} + [{args|\"x\"}]`"),
    ("json jsonify tojson stringify dumps", "write `{} | tojson`"),
    ("urlencode urlencoded encodeuri encodeuricomponent quote", "write `{} | urlencode`; in a `url` values are encoded anyway"),
    ("empty isempty blank isblank", "write `not {}`: what is empty, null or absent counts as no"),
    ("exists isdefined present", "write `{} is defined`"),
    ("null isnull nil none undefined", "write `{} is none` for null, `{} is not defined` for what is absent"),
    ("match matches test search regex regexmatch regexsearch regexreplace resub", EXPRESSION),
    ("coalesce ifnull nvl", "write `{} or \"...\"`"),
    ("iif ternary", "write `this if condition else that`"),
    ("env getenv environ secrets vars", "a value of the environment is written `${NAME}`, outside of the braces"),
    ("uuid uuid4 guid randomuuid", "write `event.id`: it is unique, and stays the same when the request is sent again"),
];

/// What to write in place of a name of another language. `value` is what it is asked of, `arguments` what was written in its
/// parentheses.
pub(crate) fn hint(name: &str, value: &str, arguments: &str) -> Option<String> {
    let plain = name.to_ascii_lowercase().replace('_', "");
    let (_, hint) = FOREIGN.iter().find(|(names, _)| names.split(' ').any(|known| known == plain))?;
    Some(filled(hint, value, arguments))
}

/// The same where the value is a separator, and the list stands in the parentheses: `", ".join(list)`.
pub(in crate::transform) fn join(separator: &str, list: &str) -> String {
    filled("write `{} | join({args|\", \"})`", list, separator)
}

fn filled(hint: &str, value: &str, arguments: &str) -> String {
    let shown = |text: &str, short: &'static str| if text.len() <= SHOWN_BYTES_MAX { text.to_owned() } else { short.to_owned() };
    let mut text = hint.to_owned();
    if let Some((before, rest)) = hint.split_once(ARGUMENTS)
        && let Some((usual, behind)) = rest.split_once('}')
    {
        let arguments = if arguments.trim().is_empty() { usual.to_owned() } else { shown(arguments.trim(), "...") };
        text = format!("{before}{arguments}{behind}");
    }
    text.replace(VALUE, &shown(value, "value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_each_language_writes_them() {
        for (name, value, arguments, expected) in [
            ("toUpperCase", "data.name", "", "write `data.name | upper`"),
            ("parse_int", "data.id", "", "write `data.id | int`"),
            ("startsWith", "data.name", "'A'", "write `data.name is startingwith('A')`"),
            ("includes", "data.title", "\"VP\"", "write `\"VP\" in data.title`"),
            ("split", "data.name", "", "write `data.name | split(\" \")`, and `| first` or `| last` behind it for one of the parts"),
            ("toFixed", "data.x", "3", "write `data.x | round(3)`"),
        ] {
            assert_eq!(hint(name, value, arguments).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(hint("frobnicate", "data.x", ""), None);
        assert_eq!(hint("upper", &"x".repeat(200), "").as_deref(), Some("write `value | upper`"));
        assert_eq!(join("\", \"", "data.emails"), "write `data.emails | join(\", \")`");
    }

    #[test]
    fn no_name_is_told_twice() {
        let mut names: Vec<&str> = FOREIGN.iter().flat_map(|(names, _)| names.split(' ')).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())));
    }
}
