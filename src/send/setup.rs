//! Why no client can be made.

use rustls::pki_types::pem;

use crate::proxies::ProxyError;

/// Why a client cannot be made with the settings of a destination and of this machine.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The machine's TLS set-up, or the certificates given, cannot be used.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The key of the client's certificate cannot be read again.
    #[error("{0}")]
    Key(#[from] pem::Error),
    /// A variable that names a proxy cannot be used.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
}
