//! Who had something changed, as the log tells it.

use std::net::SocketAddr;

use http::HeaderMap;

/// Bytes of what a request says of where it came from.
const CLAIM_BYTES_MAX: usize = 200;

/// Who asks for a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// `admin token`, `viewer token`, `this machine` (no token is set), `SIGHUP` or `file change`.
    pub by: &'static str,
    /// The address that the connection comes from; `None` where it came by no connection.
    pub from: Option<SocketAddr>,
    /// What the request says of who was before: a claim that anybody can write.
    pub claims: Option<String>,
}

impl Asker {
    /// Whoever sent the process a signal.
    pub const SIGNAL: Self = Self { by: "SIGHUP", from: None, claims: None };
    /// Whoever wrote the file of the rules.
    pub const FILE_CHANGE: Self = Self { by: "file change", from: None, claims: None };

    /// Who sent a request.
    pub fn of_request(by: &'static str, from: Option<SocketAddr>, headers: &HeaderMap) -> Self {
        // What is visible ASCII only: a log line is no place for anything else.
        let claims = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        // A port that listens on IPv6 sees IPv4 addresses in a form that nobody searches a log for.
        let from = from.map(|from| SocketAddr::new(from.ip().to_canonical(), from.port()));
        Self { by, from, claims: claims.map(|claims| claims.chars().take(CLAIM_BYTES_MAX).collect()) }
    }

    /// The address, for a field of a log line.
    pub fn address(&self) -> Option<String> {
        self.from.map(|from| from.to_string())
    }
}
