//! Talking to a running relay's admin port.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Host;

use super::{addresses, out};
use crate::admin::{AdminToken, both};

/// How long a relay may take to answer: a listing looks at the store for a second at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an error's text that are read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// The longest line of a stream: an event is a few hundred bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Which relay is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Remote {
    /// The relay's admin port.
    #[arg(long, env = "WIZA_RELAY_ADMIN_URL", default_value = "http://127.0.0.1:9090", value_name = "URL", value_parser = addresses::server)]
    admin_url: Url,
    /// The relay's admin token, or its viewer token if you only want to read.
    #[arg(long, env = "WIZA_RELAY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    admin_token: Option<String>,
    /// A file with the token. It is read for each request.
    #[arg(long, env = "WIZA_RELAY_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

/// A relay that is asked.
pub(super) struct Relay {
    remote: Remote,
    client: reqwest::Client,
}

impl Remote {
    /// Says so where the token would be seen by others on its way.
    ///
    /// # Errors
    /// Where this machine's TLS set-up cannot be used, or what was given makes no sense.
    pub fn connect(self) -> Result<Relay, String> {
        if self.admin_token.is_some() && self.admin_token_file.is_some() {
            return Err(both("admin-token"));
        }
        if !self.admin_url.username().is_empty() || self.admin_url.password().is_some() {
            return Err(
                "--admin-url: a URL with a user or a password is shown in messages; the token goes into --admin-token-file".to_owned()
            );
        }
        let has_token = self.admin_token.is_some() || self.admin_token_file.is_some();
        if has_token && self.admin_url.scheme() == "http" && !is_this_machine(&self.admin_url) {
            out::note(format_args!(
                "warning: the admin token goes to {} unencrypted; use https, or a tunnel to 127.0.0.1 (ssh -L, kubectl port-forward)",
                self.admin_url
            ));
        }
        // No proxy, whatever the environment says: over plain HTTP it would read the token and what is answered.
        let builder = reqwest::Client::builder().no_proxy().connect_timeout(ANSWER_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(Relay { remote: self, client })
    }

    fn token(&self) -> Result<Option<String>, String> {
        match &self.admin_token_file {
            Some(file) => {
                let token = AdminToken::read(file).map_err(|reason| format!("--admin-token-file: {reason}"))?;
                Ok(Some(token.expose().to_owned()))
            }
            None => Ok(self.admin_token.clone()),
        }
    }
}

/// Whether what is sent there stays on this machine.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

impl Relay {
    /// Asks for something.
    ///
    /// # Errors
    /// No relay there, or what it says is wrong; in words for the user.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T, String> {
        let request = self.client.get(self.url(path, query)?).timeout(ANSWER_TIMEOUT);
        self.read(self.answer(request).await?).await
    }

    /// Has something done. It may take as long as it takes.
    ///
    /// # Errors
    /// As [`Relay::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: Option<Value>) -> Result<T, String> {
        let mut request = self.client.post(self.url(path, &[])?);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.read(self.answer(request).await?).await
    }

    /// Has something done that may be refused with more to say than a sentence: whether it was done, and what the relay says.
    ///
    /// # Errors
    /// As [`Relay::get`], but for refusals that hold this member.
    pub async fn post_for_either(&self, path: &[&str], member: &str) -> Result<(bool, Value), String> {
        match self.try_answer(self.client.post(self.url(path, &[])?)).await? {
            Ok(response) => Ok((true, self.read(response).await?)),
            Err((_, Some(problem))) if problem.get(member).is_some() => Ok((false, problem)),
            Err((status, problem)) => Err(self.refused(status, problem)?),
        }
    }

    /// Hands each line of an answer that goes on to `line`, until the relay ends it; calls `begun` once it answers.
    ///
    /// # Errors
    /// As [`Relay::get`], and where the connection breaks.
    pub async fn follow(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        begun: impl FnOnce(),
        mut line: impl FnMut(Value),
    ) -> Result<(), String> {
        let mut response = self.answer(self.client.get(self.url(path, query)?)).await?;
        begun();
        let mut unread: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            unread.extend_from_slice(&chunk);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let whole: Vec<u8> = unread.drain(..=end).collect();
                if let Ok(value) = serde_json::from_slice(&whole) {
                    line(value);
                }
            }
            if unread.len() > LINE_BYTES_MAX {
                return Err(format!("{} sends a line that does not end; is it a wiza-relay?", self.remote.admin_url));
            }
        }
        Ok(())
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, String> {
        let mut url = self.remote.admin_url.clone();
        url.path_segments_mut()
            .map_err(|()| format!("--admin-url: `{}` is no URL of a server", self.remote.admin_url))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, String> {
        match self.try_answer(request).await? {
            Ok(response) => Ok(response),
            Err((status, problem)) => Err(self.refused(status, problem)?),
        }
    }

    /// An answer, or the status of a refusal and what it says by RFC 9457.
    async fn try_answer(&self, mut request: reqwest::RequestBuilder) -> Result<Result<Response, (StatusCode, Option<Value>)>, String> {
        if let Some(token) = self.remote.token()? {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        if status.is_success() { Ok(Ok(response)) } else { Ok(Err((status, problem(response).await))) }
    }

    /// A refusal in words.
    fn refused(&self, status: StatusCode, problem: Option<Value>) -> Result<String, String> {
        let hint = match status.as_u16() {
            401 if self.remote.token()?.is_none() => "; give it by --admin-token-file, or by WIZA_RELAY_ADMIN_TOKEN",
            _ => "",
        };
        let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str).map(str::to_owned);
        let detail = detail.unwrap_or_else(|| format!("{} answers {status}; is it the admin port of a wiza-relay?", self.remote.admin_url));
        Ok(format!("{detail}{hint}"))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, String> {
        let bytes = response.bytes().await.map_err(|error| self.lost(&error))?;
        let not_ours =
            |error: serde_json::Error| format!("{} answers something else than a wiza-relay does: {error}", self.remote.admin_url);
        serde_json::from_slice(&bytes).map_err(not_ours)
    }

    fn lost(&self, error: &reqwest::Error) -> String {
        let url = &self.remote.admin_url;
        if error.is_connect() {
            return format!("no relay answers at {url}; start one with `wiza-relay serve`, or say where it is with --admin-url");
        }
        if error.is_timeout() {
            return format!("the relay at {url} did not answer within {} s", ANSWER_TIMEOUT.as_secs());
        }
        format!("the connection to the relay at {url} broke")
    }
}

/// What an error in the form of RFC 9457 says.
async fn problem(mut response: Response) -> Option<Value> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ERROR_BYTES_MAX {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}
