//! HTTP clients, with the limits that all share.

use std::time::Duration;

use reqwest::tls::{Certificate, Identity};
use secrecy::ExposeSecret as _;

use crate::config::Tls;

use super::words::plain_words;

/// How long an unused connection is kept.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(30);

/// A client of a destination's own. `tls.ca` stands in place of the system's authorities.
pub(super) fn for_deliveries(timeout: Duration, concurrency: usize, tls: &Tls) -> Result<reqwest::Client, String> {
    let builder = || Ok::<_, String>(builder(tls)?.connect_timeout(timeout).pool_max_idle_per_host(concurrency));
    match authorities(tls)? {
        Some(authorities) => build(builder()?.tls_certs_only(authorities)),
        None => with_the_systems_authorities(builder),
    }
}

/// A client for a destination's token server, which may be as private as the destination or a public one: `tls.ca`
/// stands beside the system's authorities.
pub(super) fn for_tokens(tls: &Tls) -> Result<reqwest::Client, String> {
    // Asked for minutes apart, so no connection is kept.
    let builder = || Ok::<_, String>(builder(tls)?.pool_max_idle_per_host(0));
    match authorities(tls)? {
        Some(authorities) => build(builder()?.tls_certs_merge(authorities)),
        None => with_the_systems_authorities(builder),
    }
}

/// A machine without authorities can still send over plain HTTP; over HTTPS every attempt fails, and says why.
fn with_the_systems_authorities(builder: impl Fn() -> Result<reqwest::ClientBuilder, String>) -> Result<reqwest::Client, String> {
    build(builder()?).or_else(|reason| {
        let client = build(builder()?.tls_certs_only([]))?;
        tracing::warn!(error = reason, "the system's certificate authorities cannot be used: no HTTPS without `tls: {{ ca: ... }}`");
        Ok(client)
    })
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| plain_words(&error))
}

/// Proxies are those of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
fn builder(tls: &Tls) -> Result<reqwest::ClientBuilder, String> {
    let builder =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).pool_idle_timeout(IDLE_CONNECTION_MAX).tcp_nodelay(true);
    match &tls.identity {
        None => Ok(builder),
        Some(identity) => {
            let identity = Identity::from_pem(identity.to_pem().expose_secret().as_bytes()).map_err(|error| plain_words(&error))?;
            Ok(builder.identity(identity))
        }
    }
}

fn authorities(tls: &Tls) -> Result<Option<Vec<Certificate>>, String> {
    let Some(authorities) = &tls.authorities else { return Ok(None) };
    let certificates: Result<Vec<_>, _> = authorities.certificates().map(Certificate::from_der).collect();
    certificates.map(Some).map_err(|error| plain_words(&error))
}
