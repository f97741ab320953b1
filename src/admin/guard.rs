//! Who may see events and change things.
//!
//! With `--admin-token` whoever shows it; with `--viewer-token` whoever shows that may look. Without either, only programs on this
//! machine: the port has to listen on loopback, a browser there must not be talked into it by somebody else's page (a foreign
//! `Origin`, or a name that an attacker's DNS has pointed at 127.0.0.1), and what a proxy on this machine passes on is not from
//! this machine.

mod origin;
mod wrong_tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use tokio::sync::Semaphore;

use self::wrong_tokens::WrongTokens;
use super::problem::Problem;
use super::token::{Holder, Tokens};
use crate::asker::Asker;
use crate::envelope;
use crate::metrics::{AdminRefusal, Metrics};

/// How long the body of a request may take, as on the webhook port.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a body: ten thousand ids of deliveries, and room.
const BODY_BYTES_MAX: usize = 2 << 20;

/// Bodies that are read at a time. A connection that sends one cannot be sent away, so the rest of them is for probes and for looks.
const BODIES_MAX: usize = 32;

/// Keeps the API and reload.
#[derive(Debug)]
pub struct Guard {
    tokens: Arc<Tokens>,
    on_loopback: bool,
    wrong_tokens: Arc<WrongTokens>,
    bodies: Semaphore,
    metrics: Arc<Metrics>,
}

/// A request that is not let through.
#[derive(Debug)]
struct Refused {
    reason: AdminRefusal,
    problem: Problem,
}

impl Refused {
    fn new(reason: AdminRefusal, status: StatusCode, detail: impl Into<String>) -> Self {
        Self { reason, problem: Problem::new(status, detail) }
    }
}

impl Guard {
    /// For a port that listens at `address`.
    pub fn new(tokens: Arc<Tokens>, address: SocketAddr, metrics: Arc<Metrics>) -> Self {
        Self {
            tokens,
            on_loopback: address.ip().is_loopback(),
            wrong_tokens: Arc::new(WrongTokens::new()),
            bodies: Semaphore::new(BODIES_MAX),
            metrics,
        }
    }

    /// Who asks, in a word; or why it is refused.
    fn allows(&self, method: &Method, headers: &HeaderMap, uri: &Uri) -> Result<&'static str, Refused> {
        if headers.contains_key(envelope::WEBHOOK_ID) {
            let detail = "this is a delivery of a relay (`webhook-id`), and no event may ask the admin port for anything; mend the destination's `url`";
            return Err(Refused::new(AdminRefusal::Foreign, StatusCode::FORBIDDEN, detail));
        }
        let changes = ![Method::GET, Method::HEAD].contains(method);
        if self.tokens.are_none() {
            if !self.on_loopback {
                let detail = "the admin port listens beyond this machine and no --admin-token is set, so only metrics and health are open";
                return Err(Refused::new(AdminRefusal::Closed, StatusCode::FORBIDDEN, detail));
            }
            return match origin::from_this_machine(headers, uri) {
                Ok(()) => Ok("this machine"),
                Err(what) => {
                    let detail = format!("{what}; without --admin-token only programs on this machine are answered");
                    Err(Refused::new(AdminRefusal::Foreign, StatusCode::FORBIDDEN, detail))
                }
            };
        }
        let holder = self.holder(headers)?;
        if changes {
            if holder == Holder::Viewer {
                let whose = if self.tokens.may_change() { "this needs the admin token" } else { "the relay has no --admin-token" };
                let detail = format!("the viewer token may look and change nothing; {whose}");
                return Err(Refused::new(AdminRefusal::Viewer, StatusCode::FORBIDDEN, detail));
            }
            origin::from_no_other_site(headers, uri)
                .map_err(|what| Refused::new(AdminRefusal::Foreign, StatusCode::FORBIDDEN, format!("{what}; it may change nothing")))?;
        }
        Ok(match holder {
            Holder::Admin => "admin token",
            Holder::Viewer => "viewer token",
        })
    }

    fn holder(&self, headers: &HeaderMap) -> Result<Holder, Refused> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (first, second) = (given.next(), given.next());
        let Some(token) = first.filter(|_| second.is_none()).and_then(|value| bearer(value.as_bytes())) else {
            let detail = "the admin token is needed, once: `authorization: Bearer <token>`";
            return Err(Refused::new(AdminRefusal::NoToken, StatusCode::UNAUTHORIZED, detail));
        };
        let wrong = || Refused::new(AdminRefusal::WrongToken, StatusCode::UNAUTHORIZED, "that is not the admin token");
        self.tokens.holder(token).ok_or_else(wrong)
    }

    /// Counts and tells what was refused. Of a wrong token also by address, which may have had too many by now.
    fn refuse(&self, refused: Refused, asker: &Asker) -> Response {
        let Refused { mut reason, mut problem } = refused;
        if reason == AdminRefusal::WrongToken
            && let Err(wait) = self.wrong_tokens.count(asker)
        {
            reason = AdminRefusal::Limited;
            problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from this address; the right one is always taken")
                .retry_after(wait);
        }
        self.metrics.admin_refused(reason);
        problem.into_response()
    }
}

/// Lets a request through, or answers it. What may change something is logged with who asked for it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let allowed = guard.allows(request.method(), request.headers(), request.uri());
    let asker = Asker::of_request(allowed.as_ref().copied().unwrap_or("nobody"), peer, request.headers());
    if let Err(refused) = allowed {
        return guard.refuse(refused, &asker);
    }
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    let asked = format!("{} {}", request.method(), request.uri().path());
    request.extensions_mut().insert(asker.clone());
    let response = match guard.with_whole_body(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let status = response.status().as_u16();
    tracing::info!(asked, status, by = asker.by, from = asker.address(), forwarded_for = asker.claims, "a change was asked for");
    response
}

impl Guard {
    /// Reads the body first, so that nobody holds a connection by sending one for hours.
    async fn with_whole_body(&self, request: Request) -> Result<Request, Problem> {
        let Ok(_room) = self.bodies.try_acquire() else {
            let detail = format!("{BODIES_MAX} changes are being asked for at this moment; ask again");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Duration::from_secs(1)));
        };
        let (head, body) = request.into_parts();
        match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
            Ok(Ok(body)) => Ok(Request::from_parts(head, body.into())),
            Ok(Err(_)) => {
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body broke off, or is over {BODY_BYTES_MAX} bytes")))
            }
            Err(_) => {
                let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
            }
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::token::Kept;
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:9090";
    const EVERYWHERE: &str = "0.0.0.0:9090";
    const TOKEN: &str = "0123456789abcdef";
    const VIEWER: &str = "fedcba9876543210";

    fn guard(admin: Option<&str>, viewer: Option<&str>, listens: &str) -> Guard {
        let kept = |name, token| Kept::from_flags(name, token, None).unwrap();
        let tokens = Tokens::new(kept("admin-token", admin), kept("viewer-token", viewer)).unwrap();
        Guard::new(Arc::new(tokens), listens.parse().unwrap(), Metrics::new().unwrap())
    }

    fn ask(guard: &Guard, method: &Method, headers: &[(&str, &str)]) -> Result<&'static str, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let allowed = guard.allows(method, &map, &Uri::from_static("/api/events"));
        allowed.map_err(|refused| refused.problem.into_response().status().as_u16())
    }

    fn answer(token: Option<&str>, listens: &str, headers: &[(&str, &str)]) -> u16 {
        ask(&guard(token, None, listens), &Method::GET, headers).err().unwrap_or(200)
    }

    #[test]
    fn a_delivery_is_refused_whatever_it_shows() {
        for (token, listens) in [(Some(TOKEN), EVERYWHERE), (None, LOOPBACK)] {
            let headers = [("authorization", "Bearer 0123456789abcdef"), ("host", "localhost")];
            assert_eq!(answer(token, listens, &headers), 200);
            assert_eq!(answer(token, listens, &[headers.as_slice(), &[("webhook-id", "x_crm")]].concat()), 403);
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
            let twice = [("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer guess")];
            assert_eq!(answer(Some(TOKEN), listens, &twice), 401);
        }
    }

    #[test]
    fn the_viewer_token_looks_and_changes_nothing() {
        let viewer = ("authorization", "Bearer fedcba9876543210");
        for admin in [Some(TOKEN), None] {
            let guard = guard(admin, Some(VIEWER), LOOPBACK);
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(ask(&guard, &method, &[viewer]), Ok("viewer token"));
            }
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                assert_eq!(ask(&guard, &method, &[viewer]), Err(403), "{method}");
            }
            // With any token set, being on this machine is not enough.
            assert_eq!(ask(&guard, &Method::GET, &[("host", "localhost:9090")]), Err(401));
        }
        let guard = guard(Some(TOKEN), Some(VIEWER), LOOPBACK);
        assert_eq!(ask(&guard, &Method::POST, &[("authorization", "Bearer 0123456789abcdef")]), Ok("admin token"));
    }

    #[test]
    fn a_browser_changes_nothing_for_another_site_even_with_the_token() {
        let guard = guard(Some(TOKEN), None, EVERYWHERE);
        let token = ("authorization", "Bearer 0123456789abcdef");
        let host = ("host", "relay.example.com");
        for (header, expected) in [
            (("sec-fetch-site", "same-origin"), Ok("admin token")),
            (("sec-fetch-site", "cross-site"), Err(403)),
            (("sec-fetch-site", "same-site"), Err(403)),
            (("origin", "https://relay.example.com"), Ok("admin token")),
            (("origin", "https://evil.example"), Err(403)),
            (("origin", "null"), Err(403)),
        ] {
            assert_eq!(ask(&guard, &Method::POST, &[token, host, header]), expected, "{header:?}");
            assert_eq!(ask(&guard, &Method::GET, &[token, host, header]), Ok("admin token"), "{header:?}");
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
}
