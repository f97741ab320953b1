//! Texts that are sent as JSON, because `content-type` says so: whether they are. A body that is written as a text may be JSON only
//! nearly, and a receiver's answer to that is a dead letter that says less.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::json::{self, Fault};
use crate::transform::errors::RenderError;

/// What a content type says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    /// One JSON value.
    Json,
    /// A JSON value on each line.
    Lines,
}

/// Those of lines, of which none is registered and several are in use.
const LINES: [&str; 6] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-ldjson",
];

impl Declared {
    fn by(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            kind if kind.ends_with("+json") => Some(Self::Json),
            kind if LINES.contains(&kind) => Some(Self::Lines),
            _ => None,
        }
    }
}

/// Why a text is not what its content type says; `None` where it is, or where that says nothing of JSON. What is empty says nothing
/// that could be wrong.
fn fault(content_type: &str, text: &str) -> Option<Fault> {
    match Declared::by(content_type)? {
        _ if text.is_empty() => None,
        Declared::Json => json::parse(text.as_bytes()).err(),
        Declared::Lines => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let mut faults =
                lines.filter_map(|(before, line)| json::parse(line.as_bytes()).err().map(|fault| Fault { line: before + 1, ..fault }));
            faults.next()
        }
    }
}

/// Whether the headers say of a text that it is lines of JSON: then it is shown as it stands, also where it is one line.
pub(crate) fn are_lines(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|content_type| content_type.to_str().ok());
    content_type.and_then(Declared::by) == Some(Declared::Lines)
}

/// How an error ends that is about this.
const DECLARED: &str = "and `content-type` says that it is JSON";

/// Whether an error says that a text is not what its content type says.
pub(crate) fn declares_json(error: &RenderError) -> bool {
    error.message.ends_with(DECLARED)
}

/// Refuses a text that is not what the headers say of it.
pub(in crate::transform) fn check(headers: &HeaderMap, text: &str) -> Result<(), RenderError> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    match content_type.and_then(Result::ok).and_then(|content_type| fault(content_type, text)) {
        Some(fault) => Err(RenderError::new(format!("the text {fault}, {DECLARED}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(content_type: &str, text: &str) -> String {
        fault(content_type, text).map(|fault| fault.to_string()).unwrap_or_default()
    }

    #[test]
    fn only_what_is_said_to_be_json_is_asked() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.api+json"] {
            assert_eq!(says(content_type, " {\"a\": 1}\n"), "", "{content_type}");
            assert_eq!(says(content_type, ""), "", "{content_type}");
            assert_eq!(says(content_type, "{\n\"a\": x}"), "is not valid JSON: a value is expected at line 2, column 6", "{content_type}");
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "", "json"] {
            assert_eq!(says(content_type, "{"), "", "{content_type}");
        }
    }

    #[test]
    fn of_lines_each_is_a_value() {
        for content_type in LINES {
            assert_eq!(says(content_type, "{\"a\": 1}\r\n\n[2]\n"), "", "{content_type}");
            assert_eq!(
                says(content_type, "{}\n{\"a\":}\n{"),
                "is not valid JSON: a value is expected at line 2, column 6",
                "{content_type}"
            );
        }
    }
}
