//! Playing Wiza: the sample webhooks, and posting them as Wiza does.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::out;
use super::remote::is_this_machine;
use crate::config;
use crate::json;
use crate::proxies::Proxies;
use crate::receive::AUTH_HEADER;
use crate::verify;

/// The sample that has a valid work address.
pub(super) const VALID: &str = include_str!("../../samples/valid.json");

/// The reveals among the samples: name and text, as in the folder `samples`.
pub(super) const SAMPLES: [(&str, &str); 7] = [
    ("valid", VALID),
    ("risky", include_str!("../../samples/risky.json")),
    ("unfound", include_str!("../../samples/unfound.json")),
    ("failed", include_str!("../../samples/failed.json")),
    ("billing", include_str!("../../samples/billing.json")),
    ("phone", include_str!("../../samples/phone.json")),
    ("full", include_str!("../../samples/full.json")),
];

/// What Wiza was seen to send beside reveals, and does not document. Played only where it is asked for by name.
pub(super) const OBSERVED: [(&str, &str); 2] =
    [("list", include_str!("../../samples/list.json")), ("list-data-json", include_str!("../../samples/list-data-json.json"))];

/// The text of the sample with this name.
pub(super) fn sample(name: &Path) -> Option<&'static str> {
    SAMPLES.iter().chain(&OBSERVED).find(|(known, _)| Path::new(known) == name).map(|(_, text)| *text)
}

/// The samples' names, as they are listed.
pub(super) fn sample_names() -> String {
    let names: Vec<&str> = SAMPLES.iter().chain(&OBSERVED).map(|(name, _)| *name).collect();
    names.join(", ")
}

/// The name of the sample that was probably meant by this one.
pub(super) fn near_sample(wanted: &str) -> Option<&'static str> {
    config::near(wanted, SAMPLES.iter().chain(&OBSERVED).map(|(name, _)| *name))
}

/// How long Wiza's stand-in waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One webhook to post.
pub(super) struct Sample {
    pub payload: Value,
    written: Bytes,
}

impl Sample {
    /// Reads a payload.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let written = Bytes::copy_from_slice(body);
        json::parse(body).map(|payload| Self { payload, written }).map_err(|fault| format!("it {fault}"))
    }

    /// The body with an id of its own, so that the relay does not take it for a repetition.
    pub fn numbered(&self, id: u64) -> Bytes {
        let mut payload = self.payload.clone();
        for key in ["data", "data_json"] {
            if let Some(data) = payload.get_mut(key).and_then(Value::as_object_mut) {
                data.insert("id".to_owned(), id.into());
            }
        }
        payload.to_string().into()
    }

    /// The body byte for byte, as Wiza might send it.
    pub fn as_it_is(&self) -> Bytes {
        self.written.clone()
    }
}

/// Ids for samples, none twice: they begin at the time of day in microseconds.
pub(super) struct Ids(AtomicU64);

impl Ids {
    pub fn new() -> Self {
        Self(AtomicU64::new(u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(1)))
    }

    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Posts webhooks.
#[derive(Clone)]
pub(super) struct Wiza {
    client: reqwest::Client,
    url: reqwest::Url,
    auth_key: String,
}

/// The proxy that the environment names for an `https` URL, in the same forms as for deliveries.
fn proxy(url: &reqwest::Url) -> Result<Option<reqwest::Proxy>, String> {
    let proxies = Proxies::read(&|name| std::env::var(name).ok()).map_err(|error| error.to_string())?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(None) };
    let Some(proxy) = proxies.toward(true, host, port) else { return Ok(None) };
    let made = reqwest::Proxy::all(proxy.url()).map_err(|error| error.to_string())?;
    Ok(Some(match &proxy.authorization {
        Some(authorization) => made.custom_http_auth(authorization.clone()),
        None => made,
    }))
}

/// Why there was no answer, where no connection was made.
pub(super) const CANNOT_CONNECT: &str = "cannot connect";

/// What came of a post.
pub(super) struct Posted {
    pub latency: Duration,
    /// What the relay answered, or why it did not.
    pub answer: Result<Answered, String>,
}

/// What a relay answered.
pub(super) struct Answered {
    pub status: u16,
    /// The body's `status` where that is a word: `accepted`, `duplicate`.
    pub word: Option<String>,
    /// The event's id.
    pub id: Option<String>,
    /// Why it was refused.
    pub detail: Option<String>,
}

impl Wiza {
    /// # Errors
    /// Where no client can be made.
    pub fn new(url: reqwest::Url, api_key: &str) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder().no_proxy();
        if url.scheme() == "http" {
            // Over plain HTTP a proxy would read the key; through a tunnel it cannot.
            if !is_this_machine(&url) {
                let to = url.authority();
                out::note(format_args!("warning: the API key's hash, which is a password, goes to {to} unencrypted; use https"));
            }
        } else if let Some(proxy) = proxy(&url)? {
            builder = builder.proxy(proxy);
        }
        let client = builder
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, url, auth_key: verify::to_hex(&verify::hash_api_key(api_key)) })
    }

    /// Posts one webhook.
    pub async fn post(&self, body: Bytes) -> Posted {
        let clock = Instant::now();
        let request =
            self.client.post(self.url.clone()).header("content-type", "application/json").header(AUTH_HEADER, &self.auth_key).body(body);
        let answer = match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let body: Option<Value> = response.bytes().await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let member = |name| body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str).map(str::to_owned);
                Ok(Answered { status, word: member("status"), id: member("id"), detail: member("detail") })
            }
            Err(error) if error.is_connect() => Err(CANNOT_CONNECT.to_owned()),
            Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
            Err(error) => Err(error.without_url().to_string()),
        };
        Posted { latency: clock.elapsed(), answer }
    }
}
