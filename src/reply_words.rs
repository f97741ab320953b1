//! The first words of a destination's reply: what a person wants to read beside its status. APIs put them at many places of a JSON object,
//! servers and proxies into the title of a page. Pure.

use serde_json::Value;

/// Characters at most: with the status they fit a line.
const CHARACTERS_MAX: usize = 80;
/// Where JSON replies name the kind of an error, the most telling first: Salesforce, HubSpot, OAuth 2.0 and Slack, many others.
const KINDS: [&str; 5] = ["errorCode", "category", "error", "code", "type"];
/// Where they say it in words.
const MESSAGES: [&str; 8] = ["message", "error_description", "detail", "error_info", "title", "msg", "reason", "description"];
/// Where they have an object, or a list of them, that says both.
const WITHIN: [&str; 4] = ["error", "errors", "fault", "detail"];

/// The first words, on one line; `None` where it has none.
pub fn first(reply: &str) -> Option<String> {
    let text = reply.trim();
    let words = match serde_json::from_str::<Value>(text) {
        Ok(value) => said(&value).unwrap_or_else(|| text.to_owned()),
        // A reply that was cut is no JSON any more, but its beginning may still have what is looked for.
        Err(_) if text.starts_with(['{', '[']) => cut_object(text).and_then(|value| said(&value)).unwrap_or_else(|| text.to_owned()),
        Err(_) if text.starts_with('<') => title(text).unwrap_or_else(|| text.to_owned()),
        Err(_) => text.to_owned(),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    (!words.is_empty()).then(|| shortened(&words))
}

/// What a JSON reply says: `INVALID_AUTHENTICATION: the token has expired`.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(said),
        Value::Object(fields) => {
            let text = |names: &[&str]| {
                let found =
                    names.iter().filter_map(|name| fields.get(*name)).find(|value| value.as_str().is_some_and(|text| !text.is_empty()));
                found.and_then(Value::as_str).map(str::to_owned)
            };
            let (kind, message) = (text(&KINDS), text(&MESSAGES));
            match (kind, message) {
                (Some(kind), Some(message)) if kind != message => Some(format!("{kind}: {message}")),
                (Some(one), _) | (None, Some(one)) => Some(one),
                (None, None) => WITHIN.iter().filter_map(|name| fields.get(*name)).find_map(said),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The object that the beginning of a text is, up to its last whole member.
fn cut_object(text: &str) -> Option<Value> {
    let ends = text.char_indices().filter(|(_, character)| *character == ',').map(|(place, _)| place);
    let ends: Vec<usize> = ends.collect();
    ends.into_iter().rev().take(TRIES_MAX).find_map(|end| {
        let begun = text.get(..end)?.trim_start_matches('[');
        serde_json::from_str(&format!("{begun}}}")).ok()
    })
}

/// Commas at which the end of a cut object is looked for.
const TRIES_MAX: usize = 32;

/// What a page's title says.
fn title(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let begin = lower.find("<title")?;
    let begin = begin + lower.get(begin..)?.find('>')? + 1;
    let length = lower.get(begin..)?.find("</title")?;
    page.get(begin..begin + length).map(str::to_owned)
}

fn shortened(words: &str) -> String {
    match words.char_indices().nth(CHARACTERS_MAX) {
        None => words.to_owned(),
        Some((end, _)) => {
            let whole = words.get(..end).unwrap_or_default();
            // Not in the middle of a word, unless the word is very long.
            let end = whole.rfind(' ').filter(|space| *space > CHARACTERS_MAX / 2).unwrap_or(end);
            format!("{}\u{2026}", words.get(..end).unwrap_or_default().trim_end_matches([' ', ',', ';', ':']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_real_services() {
        for (reply, words) in [
            // HubSpot, Salesforce, Slack (webhook, API), OAuth 2.0 (RFC 6749), RFC 9457, Pipedrive, Google, JSON:API.
            (
                r#"{"status":"error","message":"Authentication credentials not found.","correlationId":"c0","category":"INVALID_AUTHENTICATION"}"#,
                "INVALID_AUTHENTICATION: Authentication credentials not found.",
            ),
            (
                r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#,
                "INVALID_SESSION_ID: Session expired or invalid",
            ),
            ("no_service", "no_service"),
            (r#"{"ok":false,"error":"invalid_auth"}"#, "invalid_auth"),
            (r#"{"error":"invalid_client","error_description":"unknown client"}"#, "invalid_client: unknown client"),
            (r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such list"}"#, "about:blank: no such list"),
            (
                r#"{"success":false,"error":"unauthorized access","errorCode":401,"error_info":"Please check"}"#,
                "unauthorized access: Please check",
            ),
            (
                r#"{"error":{"code":403,"message":"The caller has no permission","status":"PERMISSION_DENIED"}}"#,
                "The caller has no permission",
            ),
            (r#"{"errors":[{"title":"Invalid Attribute","detail":"First name must not be empty."}]}"#, "First name must not be empty."),
            ("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>", "502 Bad Gateway"),
            ("\"a text\"", "a text"),
            ("  one\n\ttwo  ", "one two"),
            (r#"{"ok":false}"#, r#"{"ok":false}"#),
            // Cut after a KiB.
            (
                r#"{"category":"VALIDATION_ERROR","message":"Property values were not valid","context":{"list":["a","b"#,
                "VALIDATION_ERROR: Property values were not valid",
            ),
        ] {
            assert_eq!(first(reply).as_deref(), Some(words), "{reply}");
        }
        for nothing in ["", "  \n"] {
            assert_eq!(first(nothing), None);
        }
    }

    #[test]
    fn long_ones_end_at_a_word() {
        let words = first(&"seven77 ".repeat(20)).unwrap();
        assert_eq!(words, format!("{}\u{2026}", ["seven77"; 10].join(" ")));
        assert_eq!(first(&"x".repeat(200)).unwrap().chars().count(), CHARACTERS_MAX + 1);
        assert_eq!(first(&"\u{e9}".repeat(200)).unwrap().chars().count(), CHARACTERS_MAX + 1);
    }
}
