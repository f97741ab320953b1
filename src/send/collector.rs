//! A client for whoever collects telemetry.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use url::Url;

use super::client::Client;
use super::message::Outgoing;
use super::setup::SetupError;
use super::trust::Own;
use super::words::Trusting;
use crate::config::Tls;

/// Bytes of an answer that are read; a collector says little.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// What makes the relay trust a collector's own authority.
const TRUSTING: Trusting = Trusting("OTEL_EXPORTER_OTLP_CERTIFICATE");
/// Requests to it are made one after the other.
const CONNECTIONS: usize = 1;

/// Posts to a collector.
#[derive(Debug, Clone)]
pub struct Collector {
    client: Client,
    timeout: Duration,
}

impl Collector {
    /// A client whose requests may go anywhere, because it is the operator who says where, and take at most this time, whatever the other side does.
    ///
    /// # Errors
    /// Where the machine's TLS set-up cannot be used.
    pub fn new(timeout: Duration, tls: &Tls) -> Result<Self, SetupError> {
        Ok(Self { client: Client::new(tls, Own::Instead, (CONNECTIONS, timeout), TRUSTING, None)?, timeout })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// Why there was no answer, without the URL.
    pub async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let deadline = Instant::now() + self.timeout;
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string()).map_err(|error| error.to_string())?;
        let sent = self.client.send(Outgoing { method: head.method, url, headers: head.headers, body });
        let answer = match tokio::time::timeout(self.timeout, sent).await {
            Ok(sent) => sent.map_err(|failure| failure.words)?,
            Err(_) => return Err(format!("no answer within {}", humantime::format_duration(self.timeout))),
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers.clone();
        *response.body_mut() = answer.whole(REPLY_BYTES_MAX, deadline).await.0;
        Ok(response)
    }
}
