//! URLs of requests: what the file fixes, and what values may not change.
//!
//! The scheme, the user, the host and the port come from the file, because secrets of the destination go there. Values
//! fill in path segments and the query; printed, they are percent-encoded, so that `/`, `?`, `#` and `@` cannot appear.

use url::{Host, Url};

use crate::transform::errors::{RenderError, TemplateError};

/// The longest URL that is sent, in bytes. Most servers refuse longer ones.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Reads a URL without tags. No message quotes it, for it may be a secret (a Slack webhook's is).
pub(in crate::transform) fn literal(text: &str) -> Result<Url, TemplateError> {
    let url = as_written(text).map_err(|problem| {
        let error = TemplateError::new(0, problem);
        if text.contains("://") { error } else { error.hint("write it whole: `https://host/path`") }
    })?;
    if text.len() > URL_BYTES_MAX {
        return Err(TemplateError::new(0, format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    Ok(url)
}

/// What a URL template fixes: scheme, user, host and port.
pub(in crate::transform) struct Base {
    /// As in the file.
    written: String,
    url: Url,
}

impl Base {
    /// The URL without what follows the port.
    pub(in crate::transform) fn url(&self) -> &Url {
        &self.url
    }
}

/// What the text before a URL template's first tag fixes. `head_end` is the tag's place in the scalar.
pub(in crate::transform) fn base(head: &str, head_end: usize) -> Result<Base, TemplateError> {
    let authority = head.find("://").map(|at| at + 3);
    let path = authority.and_then(|start| head.get(start..)?.find(['/', '?', '#', '\\']).map(|at| start + at));
    let Some(fixed) = path.and_then(|end| head.get(..end)) else {
        let error = TemplateError::new(head_end, "a value could change the host that this URL leads to");
        return Err(error.hint(
            "write scheme and host out, and a `/` before the first `{{`: `https://host/{{ ... }}`; for several hosts, \
             make several destinations",
        ));
    };
    let url = as_written(fixed).map_err(|problem| TemplateError::new(0, problem))?;
    Ok(Base { written: fixed.to_owned(), url })
}

/// Reads a rendered URL, which must lead where `base` does.
pub(in crate::transform) fn rendered(base: &Base, text: &str) -> Result<Url, RenderError> {
    let text = text.trim_matches(|character| character <= ' ');
    if text.len() > URL_BYTES_MAX {
        return Err(RenderError::new(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    // The URL standard drops tabs and line breaks, and reads a backslash as a slash.
    if text.contains(|character: char| character.is_ascii_control() || character == '\\') {
        return Err(RenderError::new("the URL holds a control character or a backslash"));
    }
    let path_end = text.find(['?', '#']).unwrap_or(text.len());
    if dot_segments(text.get(..path_end).unwrap_or_default()) > 0 {
        return Err(RenderError::new(
            "the URL's path has a segment `.` or `..`, which would lead to another path; a value must not be one",
        ));
    }
    if let Some(rest) = text.strip_prefix(&base.written)
        && rest.starts_with(['/', '?', '#'])
    {
        return Ok(following(&base.url, rest));
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
    if fixed(&url) == fixed(&base.url) { Ok(url) } else { Err(RenderError::new("a value changed the URL's host, port or user")) }
}

/// The URL that `rest`, a path with what comes after it, leads to at `base`. Reading host and port anew for every
/// request would cost ten times as much.
fn following(base: &Url, rest: &str) -> Url {
    let (rest, fragment) = split(rest, '#');
    let (path, query) = split(rest, '?');
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(query);
    url.set_fragment(fragment);
    url
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// The problem is put in words that do not quote the URL.
fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("not a URL: {problem}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("the URL must begin with http:// or https://".to_owned()),
    }
}

/// Reads a URL that leads to the host that a reader sees in it (RFC 3986). The URL standard, by which requests are made, mends
/// what it can: it drops line breaks and slashes, reads a backslash as a slash, and so may find another host.
pub(crate) fn as_written(text: &str) -> Result<Url, String> {
    let text = text.trim_matches(|character| character <= ' ');
    let url = parse(text)?;
    let authority_and_path = text.split_once("://").map(|(_, behind)| behind).ok_or("the URL must begin with http:// or https://")?;
    let before_query = authority_and_path.split(['?', '#']).next().unwrap_or_default();
    if text.contains(|character: char| character.is_ascii_control()) || before_query.contains('\\') {
        return Err("the URL holds a control character or a backslash".to_owned());
    }
    let authority = before_query.split('/').next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host_and_port)| host_and_port);
    let host = match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host_and_port,
    };
    let is_the_host = Host::parse(host).is_ok_and(|host| Some(host.to_owned()) == url.host().map(|host| host.to_owned()));
    if is_the_host { Ok(url) } else { Err("the URL leads to another host than the one that is written in it".to_owned()) }
}

/// How many segments of a path are `.` or `..`, slashes that are percent-encoded counted as slashes: some servers read them so.
pub(crate) fn dot_segments(path: &str) -> usize {
    let mut count = 0;
    let mut rest = path;
    loop {
        let end = segment_end(rest);
        let (segment, behind) = rest.split_at_checked(end.map_or(rest.len(), |(at, _)| at)).unwrap_or_default();
        count += usize::from(is_dot_segment(segment));
        match end.and_then(|(_, length)| behind.get(length..)) {
            Some(next) => rest = next,
            None => return count,
        }
    }
}

/// Where the next slash stands, and how long it is.
fn segment_end(path: &str) -> Option<(usize, usize)> {
    path.bytes().enumerate().find_map(|(at, byte)| match byte {
        b'/' | b'\\' => Some((at, 1)),
        b'%' => {
            let code = path.get(at + 1..at + 3)?;
            ["2f", "5c"].iter().any(|slash| code.eq_ignore_ascii_case(slash)).then_some((at, 3))
        }
        _ => None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_follows_the_host_is_read_as_in_a_whole_url(rest in "[/?#]([a-z0-9/?#%.:@;=&+ \"<>{}|^`'\\[\\]é€-]|%2[fFeE]|//){0,24}") {
            for fixed in ["http://127.0.0.1:9", "https://user:pass@host.example:8443", "http://[::1]", "HTTPS://Höst.example"] {
                let base = base(&format!("{fixed}/"), 0).unwrap();
                let text = format!("{fixed}{rest}");
                let text = text.trim_matches(' ');
                let whole = parse(text);
                if let Ok(url) = rendered(&base, text) {
                    prop_assert_eq!(Ok(url), whole);
                }
            }
        }
    }

    #[test]
    fn a_host_that_a_value_continues_is_no_following_path() {
        let base = base("https://host/", 0).unwrap();
        for text in ["https://host.evil.example/x", "https://host@evil.example/", "https://host:1/"] {
            assert!(rendered(&base, text).is_err(), "{text}");
        }
        assert_eq!(rendered(&base, "https://host//evil.example/x").unwrap().host_str(), Some("host"));
    }
}
