//! Playing Wiza.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{API_KEY, gzip, sha256_hex};

/// Where the webhooks of every test come in.
pub const PATH: &str = "/webhooks/wiza";

/// Posts to one relay; clones share what was accepted.
#[derive(Clone)]
pub struct Poster {
    client: reqwest::Client,
    address: SocketAddr,
    accepted: Arc<Mutex<Vec<String>>>,
}

impl Poster {
    pub(super) fn new(address: SocketAddr, accepted: Arc<Mutex<Vec<String>>>) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, address, accepted }
    }

    /// A webhook with a right key, to be changed and sent.
    pub fn webhook(&self, body: impl Into<Vec<u8>>) -> Webhook {
        Webhook {
            poster: self.clone(),
            method: reqwest::Method::POST,
            path: PATH.to_owned(),
            key: Some(sha256_hex(API_KEY)),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }
}

/// A webhook on its way.
#[must_use = "a webhook must be sent"]
pub struct Webhook {
    poster: Poster,
    method: reqwest::Method,
    path: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Webhook {
    /// Another method than POST.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// Adds this to the source's path; may hold a query.
    pub fn below(mut self, suffix: &str) -> Self {
        self.path += suffix;
        self
    }

    /// Another path altogether.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Another value of `x-auth-key`; `None` leaves it out.
    pub fn auth_key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Compresses the body and says so.
    pub fn gzip(mut self) -> Self {
        self.body = gzip(&self.body);
        self.header("content-encoding", "gzip")
    }

    /// Sends it; `Err` where no answer came.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let mut request = self.poster.client.request(self.method, format!("http://{}{}", self.poster.address, self.path)).body(self.body);
        for (name, value) in self.headers.iter().chain(&self.key.map(|key| ("x-auth-key".to_owned(), key))) {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let reply = Reply { status, headers, body: response.bytes().await?.to_vec() };
        if status == 200 && reply.json()["status"] == "accepted" {
            self.poster.accepted.lock().unwrap().push(reply.id());
        }
        Ok(reply)
    }

    /// Sends it and returns the answer.
    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap()
    }

    /// Sends it, makes sure that it is accepted, and returns its id.
    pub async fn accepted(self) -> String {
        let reply = self.send().await;
        assert_eq!((reply.status, reply.word().as_str()), (200, "accepted"), "{reply:?}");
        reply.id()
    }
}

/// The relay's answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// `accepted` or `duplicate`.
    pub fn word(&self) -> String {
        self.json()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The event's id.
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes sure that this is an error in the form of RFC 9457 and says `detail`.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(detail)), "`{detail}` is not in {problem}");
    }

    /// Makes sure that the sender is told when to come again, in whole seconds from 1 on.
    #[track_caller]
    pub fn assert_retry_after(&self) {
        let seconds: u32 = self.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After in {self:?}"));
        assert!((1..=120).contains(&seconds), "{seconds}");
    }
}
