//! OAuth 2.0 client credentials (RFC 6749, section 4.4): the request for a token, and what its answer means. Pure.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::text::Secret;

/// How long a token counts as good whose answer does not say. Short, because one that ended before costs a 401.
pub const LIFETIME_UNSTATED: Duration = Duration::from_secs(5 * 60);
/// The longest that a token is kept, whatever its answer says.
pub const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is replaced so long before its end, or a tenth of its life if that is shorter: a request may be under way for a
/// while, and clocks differ.
pub const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// The longest token that is taken: servers refuse longer headers.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest error code that is repeated in a reason.
const ERROR_BYTES_MAX: usize = 40;

/// Who the relay is to a token server.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: Url,
    /// The client's name.
    pub client_id: Secret,
    /// Its secret.
    pub client_secret: Secret,
    /// What the token is to allow; `None`: what the server gives unasked.
    pub scope: Option<String>,
    /// Where the credentials stand in the request.
    pub client_auth: ClientAuth,
}

/// Where a token server wants the client's name and secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `authorization` header, as every server must be able to read it (RFC 6749, section 2.3.1).
    #[default]
    Basic,
    /// In the body, beside the other parameters.
    Body,
}

/// A token and how long it counts.
#[derive(Debug)]
pub struct Grant {
    /// The token.
    pub token: Secret,
    /// `Bearer ...`, marked sensitive.
    pub header: HeaderValue,
    /// From the request's beginning.
    pub lifetime: Duration,
}

/// Why there is no token. Quotes nothing but the error codes of RFC 6749.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The server refuses the relay's credentials, or is not where the file says: nothing that an event could change.
    Refused(String),
    /// The server is in trouble.
    Failed(String),
    /// The server gave no token, with this status, and asked to come again then.
    Delayed {
        /// The HTTP status.
        status: u16,
        /// When to come again.
        until: Timestamp,
        /// For an operator.
        reason: String,
    },
    /// The server is where no request may go: it was not asked.
    Closed(String),
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(reason) | Self::Failed(reason) | Self::Delayed { reason, .. } | Self::Closed(reason)) = self;
        f.write_str(reason)
    }
}

impl ClientCredentials {
    /// The value of `authorization` that names the client: each half form-encoded first (RFC 6749, section 2.3.1).
    pub fn basic(&self) -> String {
        let encoded = |secret: &Secret| byte_serialize(secret.expose().as_bytes()).collect::<String>();
        STANDARD.encode(format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret)))
    }

    /// Headers and body of the POST that asks for a token.
    pub fn request(&self) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        match self.client_auth {
            ClientAuth::Basic => {
                // Base64 is always fit for a header.
                if let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", self.basic())) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
            ClientAuth::Body => {
                form.append_pair("client_id", self.client_id.expose());
                form.append_pair("client_secret", self.client_secret.expose());
            }
        }
        (headers, form.finish())
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// Reads a token server's answer. `asked` is when it asked to come again, if it did.
///
/// # Errors
/// Where it gives no token that can be used.
pub fn read_answer(status: u16, asked: Option<Timestamp>, body: &[u8]) -> Result<Grant, NoToken> {
    let read = read_grant(status, body);
    match (read, asked) {
        (Err(NoToken::Refused(reason) | NoToken::Failed(reason)), Some(until)) if !(200..400).contains(&status) => {
            Err(NoToken::Delayed { status, until, reason })
        }
        (read, _) => read,
    }
}

fn read_grant(status: u16, body: &[u8]) -> Result<Grant, NoToken> {
    let failed = |reason: &str| Err(NoToken::Failed(format!("the token server {reason}")));
    match status {
        200..=299 => {}
        300..=399 => return Err(NoToken::Refused(format!("the token server answered {status}, and redirects are not followed"))),
        408 | 425 | 429 | 500.. => return failed(&format!("answered {status}")),
        _ => {
            let code = error_code(body).map(|code| format!(": {code}")).unwrap_or_default();
            return Err(NoToken::Refused(format!("the token server answered {status}{code}")));
        }
    }
    // The parser's own words may quote what it read.
    let Ok(Answer { access_token, token_type, expires_in }) = serde_json::from_slice(body) else {
        return failed("gave no JSON with an `access_token`");
    };
    if token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return failed("gave a token that is no bearer token");
    }
    if access_token.is_empty() || access_token.len() > TOKEN_BYTES_MAX || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return failed(&format!("gave a token that is not 1 to {TOKEN_BYTES_MAX} visible characters"));
    }
    let Ok(mut header) = HeaderValue::try_from(format!("Bearer {access_token}")) else {
        return failed("gave a token that cannot stand in a header");
    };
    header.set_sensitive(true);
    let lifetime = expires_in.as_ref().and_then(seconds).map_or(LIFETIME_UNSTATED, |stated| stated.min(LIFETIME_MAX));
    Ok(Grant { token: Secret::new("an access token", access_token), header, lifetime })
}

/// After which part of a token's life another is asked for.
pub fn refresh_after(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(REFRESH_BEFORE.min(lifetime / 10))
}

/// A number, or a number in quotes, which some servers send.
fn seconds(stated: &serde_json::Value) -> Option<Duration> {
    let seconds = stated.as_f64().or_else(|| stated.as_str()?.parse().ok())?;
    Duration::try_from_secs_f64(seconds.clamp(0.0, LIFETIME_MAX.as_secs_f64())).ok()
}

/// `invalid_client` and the like, and no free text: it might hold what it was sent.
fn error_code(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = body.get("error")?.as_str()?;
    let is_code = code.len() <= ERROR_BYTES_MAX && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(client_auth: ClientAuth) -> ClientCredentials {
        ClientCredentials {
            token_url: Url::parse("https://login.example.com/token").unwrap(),
            client_id: Secret::new("client_id", "relay:1"),
            client_secret: Secret::new("client_secret", "s3cret&+ \u{e9}"),
            scope: Some("a b".to_owned()),
            client_auth,
        }
    }

    #[test]
    fn credentials_stand_in_the_header_or_in_the_body() {
        let (headers, body) = credentials(ClientAuth::Basic).request();
        let value = headers[AUTHORIZATION].to_str().unwrap();
        let plain = STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "relay%3A1:s3cret%26%2B+%C3%A9");
        assert!(headers[AUTHORIZATION].is_sensitive());
        assert_eq!(body, "grant_type=client_credentials&scope=a+b");
        let (headers, body) = credentials(ClientAuth::Body).request();
        assert_eq!(headers.get(AUTHORIZATION), None);
        assert!(body.ends_with("&client_id=relay%3A1&client_secret=s3cret%26%2B+%C3%A9"), "{body}");
        assert!(!format!("{:?}", credentials(ClientAuth::Body)).contains("s3cret"));
    }

    #[test]
    fn a_grant_says_how_long_it_counts() {
        let lifetime = |expires: &str| {
            let body = format!(r#"{{"access_token":"t0ken","token_type":"bearer"{expires}}}"#);
            read_answer(200, None, body.as_bytes()).unwrap().lifetime.as_secs()
        };
        assert_eq!([lifetime(""), lifetime(r#","expires_in":3600"#), lifetime(r#","expires_in":"90""#)], [300, 3600, 90]);
        assert_eq!(
            [lifetime(r#","expires_in":-5"#), lifetime(r#","expires_in":1e300"#), lifetime(r#","expires_in":null"#)],
            [0, 86400, 300]
        );
        let grant = read_answer(201, None, br#"{"access_token":"t0ken"}"#).unwrap();
        assert_eq!((grant.header.to_str().unwrap(), grant.header.is_sensitive()), ("Bearer t0ken", true));
        assert!(!format!("{grant:?}").contains("t0ken"));
        assert_eq!([20, 600, 3600].map(|life| refresh_after(Duration::from_secs(life)).as_secs()), [18, 540, 3540]);
    }

    #[test]
    fn what_speaks_of_the_credentials_is_told_from_trouble() {
        let refused = |status, body: &[u8]| match read_answer(status, None, body) {
            Err(NoToken::Refused(reason)) => reason,
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(
            refused(401, br#"{"error":"invalid_client","error_description":"s3cret"}"#),
            "the token server answered 401: invalid_client"
        );
        assert_eq!(refused(400, br#"{"error":"s3cret is wrong"}"#), "the token server answered 400");
        assert_eq!(refused(404, b"<html>"), "the token server answered 404");
        assert!(refused(302, b"").contains("redirects"));
        for (status, body) in [
            (500, &b""[..]),
            (429, b""),
            (200, b"hello s3cret"),
            (200, br#"{"token":"s3cret"}"#),
            (200, br#"{"access_token":""}"#),
            (200, br#"{"access_token":"s3cret\n"}"#),
            (200, br#"{"access_token":"s3cret","token_type":"mac"}"#),
        ] {
            match read_answer(status, None, body) {
                Err(NoToken::Failed(reason)) => assert!(!reason.contains("s3cret"), "{reason}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_answer_that_names_a_time_asks_to_come_again_whatever_its_status() {
        let then: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for code in [400, 401, 403, 429, 500, 503] {
            let Err(NoToken::Delayed { status, until, reason }) = read_answer(code, Some(then), b"") else { panic!("{code}") };
            assert_eq!((status, until, reason), (code, then, format!("the token server answered {code}")));
        }
        assert!(read_answer(200, Some(then), br#"{"access_token":"t0ken"}"#).is_ok());
        assert!(matches!(read_answer(302, Some(then), b""), Err(NoToken::Refused(_))));
    }
}
