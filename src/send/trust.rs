//! TLS of a client: whom it trusts, and by which certificate it is known.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::setup::SetupError;
use crate::config::Tls;

/// How authorities of one's own stand to the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// In place of them.
    Instead,
    /// Beside them.
    Beside,
}

/// The protocols that are offered to a server, the better one first.
const OFFERED: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// HTTP/2, as it is named in a handshake.
pub(super) const HTTP_2: &[u8] = b"h2";

/// TLS towards servers. Host names are always checked, certificates always verified.
pub(super) fn client_config(tls: &Tls, own: Own) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let own_certificates: Vec<CertificateDer<'static>> =
        tls.authorities.iter().flat_map(|authorities| authorities.certificates()).map(|der| CertificateDer::from(der.to_vec())).collect();
    let builder = if !own_certificates.is_empty() && own == Own::Instead {
        builder.with_root_certificates(roots(own_certificates)?)
    } else {
        match systems_verifier(own_certificates.clone(), provider) {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
            // A machine without authorities can still send over plain HTTP, and to those whose authority it is given.
            Err(error) => {
                tracing::warn!(
                    %error,
                    "the system's certificate authorities cannot be used: no HTTPS without `tls: {{ ca: ... }}`"
                );
                builder.with_root_certificates(roots(own_certificates)?)
            }
        }
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key()?)?,
    };
    config.alpn_protocols = OFFERED.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn roots(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn systems_verifier(
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let verifier = if own.is_empty() { Verifier::new(provider) } else { Verifier::new_with_extra_roots(own, provider) };
    verifier.map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
}
