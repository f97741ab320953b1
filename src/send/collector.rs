//! A client for whoever collects telemetry.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};

use super::{client, reply, words::words_with};
use crate::config::Tls;

/// Bytes of an answer that are read; a collector says little.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// What makes the relay trust a collector's own authority.
const TRUST: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// Requests to it are made one after the other.
const CONNECTIONS: usize = 1;

/// Posts to a collector.
#[derive(Debug, Clone)]
pub struct Collector {
    client: reqwest::Client,
    timeout: Duration,
}

impl Collector {
    /// A client whose requests take at most this time, whatever the other side does.
    ///
    /// # Errors
    /// Where the machine's TLS set-up cannot be used.
    pub fn new(timeout: Duration, tls: &Tls) -> Result<Self, String> {
        Ok(Self { client: client::for_deliveries(timeout, CONNECTIONS, tls)?, timeout })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// Why there was no answer, without the URL.
    pub async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let deadline = Instant::now() + self.timeout;
        let request = reqwest::Request::try_from(request).map_err(|error| words_with(&error, TRUST))?;
        let sent = tokio::time::timeout(self.timeout, self.client.execute(request)).await;
        let mut answer = match sent {
            Ok(sent) => sent.map_err(|error| words_with(&error, TRUST))?,
            Err(_) => return Err(format!("no answer within {}", humantime::format_duration(self.timeout))),
        };
        let (body, _) = reply::whole(&mut answer, REPLY_BYTES_MAX, deadline).await;
        let mut response = Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}
