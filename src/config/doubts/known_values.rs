//! Values that Wiza is not known to send where others are known: `data.status == "Failed"` never holds, because it sends `failed`.
//! New values may come, so these are warnings.

use serde_json::Value;

use crate::condition::{Compared, Condition, PathRoot, Query};
use crate::transform::Template;

use super::known_paths::WARNINGS_MAX;
use crate::config::reading::decode::{Decoder, listed};
use crate::config::reading::near::near;
use crate::config::yaml::Node;
use crate::text::Text;

/// What is known of the values at a path.
enum Values {
    /// These texts, and hardly others.
    Of(&'static [&'static str]),
    /// These texts, and others that nobody here has seen.
    Such(&'static [&'static str]),
    /// A number.
    Number,
    /// A boolean.
    Boolean,
}

const STATUSES: &[&str] = &["queued", "resolving", "finished", "failed"];
const EMAIL_TYPES: &[&str] = &["work", "personal"];
/// The last two were observed.
const EMAIL_STATUSES: &[&str] = &["valid", "risky", "unfound", "catch_all", "unknown"];

const KNOWN: [(&str, Values); 13] = [
    ("type", Values::Such(&["individual_reveal", "list"])),
    ("status.code", Values::Number),
    ("data.id", Values::Number),
    ("data.status", Values::Of(STATUSES)),
    ("data.is_complete", Values::Boolean),
    ("data.fail_error", Values::Such(&["no_match", "billing_issue"])),
    ("data.enrichment_level", Values::Of(&["none", "partial", "phone", "full"])),
    ("data.email_type", Values::Of(EMAIL_TYPES)),
    ("data.email_status", Values::Of(EMAIL_STATUSES)),
    ("data.emails.email_type", Values::Of(EMAIL_TYPES)),
    ("data.emails.email_status", Values::Of(EMAIL_STATUSES)),
    ("data.phone_status", Values::Of(&["found", "unfound"])),
    ("data.phones.type", Values::Such(&["mobile", "direct"])),
];

impl Decoder<'_> {
    /// Warns of values in a condition.
    pub(in crate::config) fn warn_of_values(&mut self, node: &Node, text: &Text, condition: &Condition) {
        self.warn_of_compared(node, &condition.compared_values(), |at| text.offset_in_scalar(at));
    }

    /// The same for the filters of a path `$...`.
    pub(in crate::config) fn warn_of_values_in_query(&mut self, node: &Node, text: &Text, path: &str) {
        // Of the members' bodies of a batch nothing is known.
        if let Ok(query) = Query::parse(path)
            && !self.scope.of_batch
        {
            self.warn_of_compared(node, &query.compared_values(path), |at| text.offset_in_scalar(at));
        }
    }

    /// The same for a template.
    pub(in crate::config) fn warn_of_values_in_template(&mut self, node: &Node, template: &Template) {
        self.warn_of_compared(node, template.compared(), |at| at);
    }

    fn warn_of_compared(&mut self, node: &Node, compared: &[Compared], in_scalar: impl Fn(usize) -> usize) {
        let mut warnings = 0;
        for compared in compared {
            let Some((message, hint)) = doubt(compared).or_else(|| self.doubt_of_account(compared)) else { continue };
            let span = &compared.span;
            self.warning_in(node, in_scalar(span.start)..in_scalar(span.end), message).hint(hint);
            warnings += 1;
            if warnings == WARNINGS_MAX {
                return;
            }
        }
    }

    /// As [`doubt`], for the name of a key: there are those of the file, and no others. Where no key has a name, the path itself is
    /// warned of.
    fn doubt_of_account(&mut self, Compared { path, value, .. }: &Compared) -> Option<(String, String)> {
        let account = value.as_str().filter(|_| path.root == PathRoot::Event && path.names() == ["account"])?;
        let accounts = self.accounts.clone()?;
        if accounts.names.is_empty() || accounts.names.iter().any(|name| name == account) {
            return None;
        }
        let near = self.near(account, accounts.names.iter().map(String::as_str));
        let hint = near.map_or_else(|| format!("the names are {}", listed(&accounts.names)), |near| format!("did you mean \"{near}\"?"));
        Some((format!("no API key has the name {value}"), hint))
    }
}

/// A message and a hint, where Wiza is not known to send this value.
fn doubt(Compared { path, value, .. }: &Compared) -> Option<(String, String)> {
    let name = path.names().join(".");
    let (_, known) = KNOWN.iter().find(|(known, _)| path.root == PathRoot::Payload && *known == name)?;
    let noun = match value {
        Value::String(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a boolean",
        _ => return None,
    };
    let never = |kind: &str, hint: String| Some((format!("`{name}` is {kind}, and {value} is {noun}: the two are never equal"), hint));
    match (known, value) {
        (Values::Number, Value::Number(_)) | (Values::Boolean, Value::Bool(_)) => None,
        (Values::Number, Value::String(text)) if text.parse::<f64>().is_ok() => {
            never("a number", format!("write `{text}`, without quotes"))
        }
        (Values::Number, _) => never("a number", "compare it with a number".into()),
        (Values::Boolean, Value::String(text)) if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") => {
            never("a boolean", format!("write `{}`, without quotes", text.to_ascii_lowercase()))
        }
        (Values::Boolean, _) => never("a boolean", "compare it with `true` or `false`".into()),
        (Values::Of(texts), Value::String(text)) => {
            let hint = near_text(text, texts).unwrap_or_else(|| format!("known are {}", listed(texts)));
            let unknown = format!("Wiza is not known to send {value} as `{name}`");
            (!texts.contains(&text.as_str())).then_some((unknown, hint))
        }
        (Values::Such(texts), Value::String(text)) if !texts.contains(&text.as_str()) => {
            Some((format!("Wiza is not known to send {value} as `{name}`"), near_text(text, texts)?))
        }
        (Values::Such(_), Value::String(_)) => None,
        (Values::Of(texts) | Values::Such(texts), _) => never("a text", format!("known are {}", listed(texts))),
    }
}

/// The known text that was probably meant.
fn near_text(text: &str, known: &'static [&'static str]) -> Option<String> {
    let plain = |text: &str| text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let same = known.iter().copied().find(|known| *known == plain(text));
    let near = same.or_else(|| near(text, known.iter().copied()))?;
    Some(format!("did you mean \"{near}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(condition: &str) -> Vec<String> {
        let compared = Condition::parse(condition).expect("valid").compared_values();
        compared.iter().filter_map(|compared| doubt(compared).map(|(_, hint)| hint)).collect()
    }

    #[test]
    fn near_values_are_named() {
        for (condition, expected) in [
            ("data.status == \"Failed\"", "did you mean \"failed\"?"),
            ("data.status in [\"finished\", \"FAILED\"]", "did you mean \"failed\"?"),
            ("data.status != \"fialed\"", "did you mean \"failed\"?"),
            ("data.emails[?@.email_type == \"Work\"]", "did you mean \"work\"?"),
            ("not data.phones[?@.type == \"Mobile\"]", "did you mean \"mobile\"?"),
            ("type == \"individual-reveal\"", "did you mean \"individual_reveal\"?"),
            ("type == \"Individual Reveal\"", "did you mean \"individual_reveal\"?"),
            ("data.status == \"done\"", "known are `queued`, `resolving`, `finished` and `failed`"),
            ("data.email_type == true", "known are `work` and `personal`"),
            ("status.code == \"400\"", "write `400`, without quotes"),
            ("data.is_complete == \"True\"", "write `true`, without quotes"),
            ("data.is_complete == 1", "compare it with `true` or `false`"),
            ("match(data.status, \"Failed\")", "did you mean \"failed\"?"),
        ] {
            assert_eq!(said(condition), [expected], "{condition}");
        }
    }

    #[test]
    fn known_and_open_values_pass() {
        for condition in [
            "data.status == \"failed\"",
            "data.email_status in [\"valid\", \"catch_all\", \"unknown\"]",
            "type == \"contact_exported\"",
            "data.fail_error == \"timeout\"",
            "data.phones[?@.type == \"landline\"]",
            "status.code >= 400",
            "data.status != null",
            "data.title == \"Work\"",
            "event.path == \"Work\"",
            "match(data.status, \"F.*\")",
        ] {
            assert_eq!(said(condition), [""; 0], "{condition}");
        }
    }
}
