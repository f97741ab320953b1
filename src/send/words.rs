//! Errors of the client in words for an operator.

use std::error::Error;

use rustls::{CertificateError, Error as TlsError};

use crate::delivery::FailureReason;

/// An error of a destination's client, from the outside in, without the URL (it may hold a secret).
pub(super) fn plain_words(error: &reqwest::Error) -> String {
    words_with(error, "`tls: { ca: /path.pem }`")
}

/// The same of any client; `trust` is what makes it trust an authority of one's own.
pub(super) fn words_with(error: &reqwest::Error, trust: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    if error.is_connect() {
        words.push("cannot connect".to_owned());
    } else if error.is_timeout() {
        words.push("timed out".to_owned());
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = tls_error(inner) {
            words.push(tls_words(tls, trust));
            break;
        }
        let text = inner.to_string();
        // The client's own layers say no more than that it was they.
        if !text.starts_with("client error (") && words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
        cause = inner.source();
    }
    if words.is_empty() {
        words.push("the request failed".to_owned());
    }
    words.join(": ")
}

/// The kind of an error of the client.
pub(super) fn reason(error: &reqwest::Error) -> FailureReason {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if causes.any(|cause| tls_error(cause).is_some()) {
        FailureReason::Tls
    } else if error.is_timeout() {
        FailureReason::Timeout
    } else {
        FailureReason::Connection
    }
}

/// The TLS library's error, which comes wrapped, even twice, as one of reading or writing.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<std::io::Error>() {
        error = inner.get_ref()?;
    }
    error.downcast_ref()
}

fn tls_words(error: &TlsError, trust: &str) -> String {
    match error {
        // A bad signature is one of another authority that has the same name.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!("TLS: the certificate is of an authority that is not trusted; {trust} trusts your own")
        }
        TlsError::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "TLS: the certificate is for another host name".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "TLS: the certificate has expired".to_owned()
        }
        TlsError::InvalidMessage(_) => "TLS: what the other side speaks is not TLS".to_owned(),
        error => format!("TLS: {error}"),
    }
}
