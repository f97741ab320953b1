//! URLs of requests: what the file fixes, and what values may not change.
//!
//! The scheme, the user, the host and the port come from the file, because secrets of the destination go there. Values
//! fill in path segments and the query; printed, they are percent-encoded, so that `/`, `?`, `#` and `@` cannot appear.

use url::Url;

use super::RenderError;
use super::template::TemplateError;

/// The longest URL that is sent, in bytes. Most servers refuse longer ones.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Reads a URL without tags. No message quotes it, for it may be a secret (a Slack webhook's is).
pub(super) fn literal(text: &str) -> Result<Url, TemplateError> {
    let url = parse(text).map_err(|problem| {
        let error = TemplateError::new(0, problem);
        if text.contains("://") { error } else { error.hint("write it whole: `https://host/path`") }
    })?;
    if text.len() > URL_BYTES_MAX {
        return Err(TemplateError::new(0, format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    Ok(url)
}

/// What the text before a URL template's first tag fixes. `head_end` is the tag's place in the scalar.
pub(super) fn base(head: &str, head_end: usize) -> Result<Url, TemplateError> {
    let authority = head.find("://").map(|at| at + 3);
    let path = authority.and_then(|start| head.get(start..)?.find(['/', '?', '#', '\\']).map(|at| start + at));
    let Some(fixed) = path.and_then(|end| head.get(..end)) else {
        let error = TemplateError::new(head_end, "a value could change the host that this URL leads to");
        return Err(error.hint(
            "write scheme and host out, and a `/` before the first `{{`: `https://host/{{ ... }}`; for several hosts, \
             make several destinations",
        ));
    };
    parse(fixed).map_err(|problem| TemplateError::new(0, problem))
}

/// Reads a rendered URL, which must lead where `base` does.
pub(super) fn rendered(base: &Url, text: &str) -> Result<Url, RenderError> {
    let text = text.trim_matches(|character| character <= ' ');
    if text.len() > URL_BYTES_MAX {
        return Err(RenderError::new(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    // The URL standard drops tabs and line breaks, and reads a backslash as a slash.
    if text.contains(|character: char| character.is_ascii_control() || character == '\\') {
        return Err(RenderError::new("the URL holds a control character or a backslash"));
    }
    let path_end = text.find(['?', '#']).unwrap_or(text.len());
    if text.get(..path_end).unwrap_or_default().split('/').any(is_dot_segment) {
        return Err(RenderError::new(
            "the URL's path has a segment `.` or `..`, which would lead to another path; a value must not be one",
        ));
    }
    let url = parse(text).map_err(RenderError::new)?;
    let fixed = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.username().to_owned(),
            url.password().map(str::to_owned),
            url.host().map(|host| host.to_owned()),
            url.port(),
        )
    };
    if fixed(&url) == fixed(base) { Ok(url) } else { Err(RenderError::new("a value changed the URL's host, port or user")) }
}

/// The problem is put in words that do not quote the URL.
fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("not a URL: {problem}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("the URL must begin with http:// or https://".to_owned()),
    }
}

/// The URL standard's single-dot and double-dot segments, percent-encoded ones included.
fn is_dot_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let mut at = 0;
    let mut dots = 0;
    while at < bytes.len() {
        at += match bytes.get(at..) {
            Some([b'.', ..]) => 1,
            Some([b'%', b'2', b'e' | b'E', ..]) => 3,
            _ => return false,
        };
        dots += 1;
    }
    dots == 1 || dots == 2
}
