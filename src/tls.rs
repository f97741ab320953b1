//! Certificates and keys in PEM: checked when the file is read, so that a handshake does not fail for what could have been
//! said before. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretString};

/// What is wrong with a file of certificates or of a key, as what follows the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PemError {
    /// It holds none.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// Something in it is not what its lines say.
    #[error("is not PEM throughout")]
    NotPem,
    /// It holds a certificate that connections cannot be checked against.
    #[error("holds a certificate that cannot be an authority: {0}")]
    NoAuthority(String),
    /// It holds what cannot be read as a certificate.
    #[error("holds no valid certificate: {0}")]
    InvalidCertificate(rustls::CertificateError),
    /// It needs a passphrase.
    #[error("holds a key that is encrypted")]
    EncryptedKey,
    /// It holds none.
    #[error("holds no private key in PEM")]
    NoKey,
    /// The certificate beside it was not made with this key.
    #[error("holds the key of another certificate")]
    OtherKey,
    /// The key is of a kind that TLS here has no use for.
    #[error("holds a key that cannot be used")]
    UnusableKey,
}

/// Certificate authorities that a destination's certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads one certificate or more.
    ///
    /// # Errors
    /// What is wrong, as what follows the file's name.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PemError> {
        let certificates = certificates(pem)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| {
                let reason = match error {
                    rustls::Error::InvalidCertificate(reason) => reason.to_string(),
                    error => error.to_string(),
                };
                PemError::NoAuthority(reason)
            })?;
        }
        Ok(Self { certificates })
    }

    /// Each certificate in DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }
}

/// A client certificate with the authorities between it and the root, and its private key.
#[derive(Clone)]
pub struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    /// In PEM.
    key: SecretString,
}

impl Identity {
    /// Reads a chain of certificates, the client's own first, and the private key in another file.
    ///
    /// # Errors
    /// Which of the two is to blame, and what is wrong, as what follows the file's name.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, (Culprit, PemError)> {
        let chain = certificates(chain).map_err(|reason| (Culprit::Certificate, reason))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            let encrypted = key.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
            (Culprit::Key, if encrypted { PemError::EncryptedKey } else { PemError::NoKey })
        })?;
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let pem = SecretString::from(pem(label, key.secret_der()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain.clone(), key, &provider) {
            Ok(_) => Ok(Self { certificates: chain, key: pem }),
            Err(rustls::Error::InconsistentKeys(_)) => Err((Culprit::Key, PemError::OtherKey)),
            Err(rustls::Error::InvalidCertificate(error)) => Err((Culprit::Certificate, PemError::InvalidCertificate(error))),
            Err(_) => Err((Culprit::Key, PemError::UnusableKey)),
        }
    }

    /// The client's own certificate and those between it and the root.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certificates.clone()
    }

    /// Its private key.
    ///
    /// # Errors
    /// Where it cannot be read again, which does not happen: it was read once.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, pem::Error> {
        PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}

/// Which file of an [`Identity`] is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// That of the certificates.
    Certificate,
    /// That of the key.
    Key,
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";
/// Characters of a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(PemError::NoCertificate),
        Err(_) => Err(PemError::NotPem),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (place, character) in encoded.chars().enumerate() {
        if place > 0 && place % PEM_LINE == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    use super::*;

    fn made() -> (String, String) {
        let Made { cert, signing_key } = generate_simple_self_signed(["client".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_and_written_again() {
        let ((chain, key), (other, _)) = (made(), made());
        let identity = Identity::from_pem(format!("first, some words\n{chain}{other}").as_bytes(), key.as_bytes()).unwrap();
        let certificates: String = identity.chain().iter().map(|certificate| super::pem("CERTIFICATE", certificate)).collect();
        let key = super::pem("PRIVATE KEY", identity.key().unwrap().secret_der());
        let again = Identity::from_pem(certificates.as_bytes(), key.as_bytes()).unwrap();
        assert!(again == identity && again.certificates.len() == 2);
        assert_eq!(format!("{identity:?}"), "Identity { certificates: 2, .. }");
        assert_eq!(Authorities::from_pem(format!("{chain}{other}").as_bytes()).unwrap().certificates().count(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_of_the_right_file() {
        let ((chain, key), (_, other_key)) = (made(), made());
        let told = |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(told(&chain, &other_key), (Culprit::Key, PemError::OtherKey));
        assert_eq!(told(&key, &key), (Culprit::Certificate, PemError::NoCertificate));
        assert_eq!(told(&chain, &chain), (Culprit::Key, PemError::NoKey));
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert_eq!(told(&chain, &encrypted), (Culprit::Key, PemError::EncryptedKey));
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(told(garbled, &key).0, Culprit::Certificate);
        assert!(Authorities::from_pem(garbled.as_bytes()).unwrap_err().to_string().contains("cannot be an authority"));
        assert_eq!(Authorities::from_pem(b"-----BEGIN CERTIFICATE-----\n!"), Err(PemError::NotPem));
    }
}
