//! Who may see events and change things.
//!
//! With `--admin-token` whoever shows it. Without one, only programs on this machine: the port has to listen on loopback,
//! and a browser there must not be talked into it by somebody else's page (a foreign `Origin`, or a name that an
//! attacker's DNS has pointed at 127.0.0.1).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// The shortest token that is taken: 64 bits, if it is random and hexadecimal.
const TOKEN_BYTES_MIN: usize = 16;

/// What `--admin-token` says. Shown by no log and no error.
#[derive(Debug, Clone)]
pub struct AdminToken(SecretString);

impl AdminToken {
    /// Takes a token.
    ///
    /// # Errors
    /// One that could be guessed, or that no header can carry.
    pub fn new(token: &str) -> Result<Self, String> {
        if token.len() < TOKEN_BYTES_MIN {
            return Err(format!("the admin token is shorter than {TOKEN_BYTES_MIN} characters; `openssl rand -hex 32` makes a good one"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the admin token may hold letters, digits and ASCII signs only, no blanks".to_owned());
        }
        Ok(Self(token.to_owned().into()))
    }

    /// Takes as long for a token that is nearly right as for any other.
    fn is(&self, given: &[u8]) -> bool {
        let hash = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
        hash(self.0.expose_secret().as_bytes()).ct_eq(&hash(given)).into()
    }
}

/// Keeps the API and reload.
#[derive(Debug)]
pub struct Guard {
    token: Option<AdminToken>,
    on_loopback: bool,
}

impl Guard {
    /// For a port that listens at `address`.
    pub fn new(token: Option<AdminToken>, address: SocketAddr) -> Self {
        Self { token, on_loopback: address.ip().is_loopback() }
    }

    fn allows(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        match &self.token {
            Some(token) => {
                let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
                match given {
                    Some(given) if token.is(given) => Ok(()),
                    Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "that is not the admin token")),
                    None => Err(Problem::new(StatusCode::UNAUTHORIZED, "the admin token is needed: `authorization: Bearer <token>`")),
                }
            }
            None if !self.on_loopback => {
                let detail = "the admin port listens beyond this machine and no --admin-token is set, so only metrics and health are open";
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
            None => from_this_machine(headers, uri),
        }
    }
}

/// Lets a request through, or answers it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.allows(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Refuses what a page of somebody else makes a browser on this machine send.
fn from_this_machine(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST)).unwrap_or_default();
    let foreign = |what: &str| {
        let detail = format!("{what}; without --admin-token only programs on this machine are answered");
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    };
    if !is_loopback(host) {
        return foreign("the Host header names no loopback address");
    }
    if text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return foreign("the request comes from another site");
    }
    match text(header::ORIGIN).map(|origin| origin.strip_prefix("http://").unwrap_or(origin)) {
        Some(origin) if origin != host => foreign("the request comes from another origin"),
        _ => Ok(()),
    }
}

/// Whether `host[:port]` is this machine by name or by address.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:9090";
    const EVERYWHERE: &str = "0.0.0.0:9090";
    const TOKEN: &str = "0123456789abcdef";

    fn answer(token: Option<&str>, listens: &str, headers: &[(&str, &str)]) -> u16 {
        let guard = Guard::new(token.map(|token| AdminToken::new(token).unwrap()), listens.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        match guard.allows(&map, &Uri::from_static("/api/events")) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn with_a_token_whoever_shows_it_wherever_the_port_is() {
        for listens in [LOOPBACK, EVERYWHERE] {
            assert_eq!(answer(Some(TOKEN), listens, &[("authorization", "Bearer 0123456789abcdef")]), 200);
            assert_eq!(answer(Some(TOKEN), listens, &[("authorization", "bearer  0123456789abcdef")]), 200);
            for wrong in ["Bearer 0123456789abcdeF", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef"] {
                assert_eq!(answer(Some(TOKEN), listens, &[("authorization", wrong), ("host", "localhost")]), 401, "{wrong}");
            }
            assert_eq!(answer(Some(TOKEN), listens, &[("host", "localhost")]), 401);
        }
    }

    #[test]
    fn without_a_token_only_programs_on_this_machine() {
        assert_eq!(answer(None, EVERYWHERE, &[("host", "localhost:9090")]), 403);
        for host in ["localhost:9090", "127.0.0.1:9090", "127.1.2.3", "[::1]:9090", "LOCALHOST"] {
            assert_eq!(answer(None, LOOPBACK, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example:9090", "localhost.evil.example", "10.0.0.1:9090", ""] {
            assert_eq!(answer(None, LOOPBACK, &[("host", host)]), 403, "{host}");
        }
        let host = ("host", "localhost:9090");
        assert_eq!(answer(None, LOOPBACK, &[host, ("origin", "http://localhost:9090"), ("sec-fetch-site", "same-origin")]), 200);
        for foreign in
            [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("origin", "http://localhost:1")]
        {
            assert_eq!(answer(None, LOOPBACK, &[host, foreign]), 403, "{foreign:?}");
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_or_sent_by_nobody_is_refused_and_none_is_shown() {
        for token in ["", "guess", "0123456789 abcdef", "0123456789abcdéf0"] {
            let error = AdminToken::new(token).unwrap_err();
            assert!(token.is_empty() || !error.contains(token), "{error}");
        }
        assert!(!format!("{:?}", AdminToken::new(TOKEN).unwrap()).contains(TOKEN));
    }
}
