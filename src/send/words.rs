//! Errors of connections in words for an operator, without the URL (it may hold a secret).

use std::error::Error;
use std::io;

use rustls::{CertificateError, Error as TlsError};

use crate::delivery::FailureReason;

use super::failure::Failure;
use super::limits::{REPLY_HEAD_BYTES_MAX, REPLY_HEADERS_MAX};

/// What makes a client trust an authority of one's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusting(pub &'static str);

/// What went wrong while connecting.
pub(super) fn io_failure(error: &io::Error, trusting: Trusting) -> Failure {
    match tls_error(error) {
        Some(error) => Failure { reason: FailureReason::Tls, words: tls_words(error, trusting) },
        None => Failure::connection(error.to_string()),
    }
}

/// What HTTP/2 says, where it is the reason.
pub(super) fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    std::iter::successors(error.source(), |cause| (*cause).source()).find_map(|cause| cause.downcast_ref())
}

/// What went wrong with a request.
pub(super) fn hyper_failure(error: &hyper::Error, trusting: Trusting) -> Failure {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if let Some(tls) = causes.find_map(tls_error) {
        return Failure { reason: FailureReason::Tls, words: tls_words(tls, trusting) };
    }
    if let Some(error) = h2_error(error).filter(|error| !error.is_io()) {
        return Failure::connection(h2_words(error));
    }
    let words = if error.is_incomplete_message() {
        "the connection was closed before the answer's status and headers were there".to_owned()
    } else if error.is_parse_too_large() {
        let kib = REPLY_HEAD_BYTES_MAX / 1024;
        format!("the answer has more than {REPLY_HEADERS_MAX} headers, or more than {kib} KiB of them")
    } else if error.is_parse() {
        format!("the answer is not HTTP that can be read: {error}")
    } else if error.is_canceled() || error.is_closed() {
        "the connection ended before the answer".to_owned()
    } else {
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let last = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        format!("the connection broke: {last}")
    };
    Failure::connection(words)
}

fn h2_words(error: &h2::Error) -> String {
    let reason = error.reason().map(|reason| format!(", {reason:?}")).unwrap_or_default();
    if error.is_go_away() && error.is_remote() {
        format!("the server ended the connection before the answer (HTTP/2 GOAWAY{reason})")
    } else if error.is_reset() && error.is_remote() {
        format!("the server broke the request off (HTTP/2 RST_STREAM{reason})")
    } else {
        format!("what the server speaks is not HTTP/2 as it should be: {error}")
    }
}

/// The TLS library's error, which comes wrapped, even twice, as one of reading or writing.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<io::Error>() {
        error = inner.get_ref()?;
    }
    error.downcast_ref()
}

fn tls_words(error: &TlsError, Trusting(trust): Trusting) -> String {
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
