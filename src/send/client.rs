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
    let builder = builder(tls)?.connect_timeout(timeout).pool_max_idle_per_host(concurrency);
    let builder = match authorities(tls)? {
        Some(authorities) => builder.tls_certs_only(authorities),
        None => builder,
    };
    builder.build().map_err(|error| plain_words(&error))
}

/// A client for a destination's token server, which may be as private as the destination or a public one: `tls.ca`
/// stands beside the system's authorities.
pub(super) fn for_tokens(tls: &Tls) -> Result<reqwest::Client, String> {
    // Asked for minutes apart, so no connection is kept.
    let builder = builder(tls)?.pool_max_idle_per_host(0);
    let builder = match authorities(tls)? {
        Some(authorities) => builder.tls_certs_merge(authorities),
        None => builder,
    };
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
