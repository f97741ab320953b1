//! A request as it goes out: to whom, and in the form that the connection wants.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use url::{Position, Url};

use super::failure::Failure;
use crate::proxies::{Proxy, basic};

const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// What requests carry.
pub(super) type Body = Full<Bytes>;

/// Where requests go that can share connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub is_secure: bool,
    /// As in a URL: an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// That of a URL; `None` where it has no host.
    pub fn of(url: &Url) -> Option<Self> {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        Some(Self { is_secure: url.scheme() == "https", host, port })
    }

    /// Whether it is the origin of this URL.
    pub fn is_of(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.host) && url.port_or_known_default() == Some(self.port) && (url.scheme() == "https") == self.is_secure
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// How a connection wants its requests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// HTTP/1.1 to the server itself: the path and a `host`.
    Direct,
    /// HTTP/1.1 to a proxy: the whole URL.
    ByProxy(&'a Proxy),
    /// HTTP/2: the URL's parts, and no `host` beside them.
    Http2,
}

impl Outgoing {
    /// Adds what every request has unless its own headers say otherwise.
    pub fn complete(&mut self) {
        let Self { url, headers, .. } = self;
        headers.entry(ACCEPT).or_insert(ANYTHING);
        if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = basic(url)
        {
            headers.insert(AUTHORIZATION, value);
        }
    }

    /// In the form of a connection.
    pub fn into_message(self, form: Form<'_>) -> Result<Request<Body>, Failure> {
        let Self { method, url, mut headers, body } = self;
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let path = &url[Position::BeforePath..Position::AfterQuery];
        let uri = match form {
            Form::Direct => Uri::try_from(path),
            Form::ByProxy(_) | Form::Http2 => Uri::try_from(format!("{}://{authority}{path}", url.scheme())),
        };
        let uri = uri.map_err(|error| Failure::connection(format!("the URL cannot be sent: {error}")))?;
        if !matches!(form, Form::Http2) && !headers.contains_key(HOST) {
            let host = HeaderValue::try_from(authority);
            headers.insert(HOST, host.map_err(|error| Failure::connection(format!("the URL's host cannot be sent: {error}")))?);
        }
        if let Form::ByProxy(Proxy { authorization: Some(value), .. }) = form {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(request)
    }
}

/// The header that says for how long a server keeps an idle connection.
pub(super) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(url: &str) -> Outgoing {
        Outgoing { method: Method::POST, url: Url::parse(url).unwrap(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    #[test]
    fn a_request_has_the_form_that_the_connection_wants() {
        let proxy = Proxy { is_secure: false, host: "proxy".to_owned(), port: 1, authorization: Some(HeaderValue::from_static("Basic x")) };
        for (form, uri, host) in [
            (Form::Direct, "/a%20b?c=1", Some("crm.test:8080")),
            (Form::ByProxy(&proxy), "http://crm.test:8080/a%20b?c=1", Some("crm.test:8080")),
            (Form::Http2, "http://crm.test:8080/a%20b?c=1", None),
        ] {
            let mut outgoing = outgoing("http://user:p%40ss@crm.test:8080/a b?c=1#d");
            outgoing.complete();
            let message = outgoing.into_message(form).unwrap();
            assert_eq!(message.uri().to_string(), uri);
            assert_eq!(message.headers().get(HOST).map(|host| host.to_str().unwrap()), host);
            assert_eq!(message.headers()[AUTHORIZATION], "Basic dXNlcjpwQHNz");
            assert_eq!(message.headers().contains_key(PROXY_AUTHORIZATION), matches!(form, Form::ByProxy(_)));
        }
    }

    #[test]
    fn an_own_host_and_authorization_stay() {
        let mut outgoing = outgoing("https://user@crm.test/");
        outgoing.headers.insert(HOST, HeaderValue::from_static("other.test"));
        outgoing.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        outgoing.complete();
        let message = outgoing.into_message(Form::Direct).unwrap();
        assert_eq!(
            (&message.headers()[HOST], &message.headers()[AUTHORIZATION]),
            (&"other.test".parse().unwrap(), &"Bearer x".parse().unwrap())
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |url: &str| Origin::of(&Url::parse(url).unwrap()).unwrap();
        let secure = origin("https://CRM.test/a");
        assert_eq!(secure, origin("https://x@crm.test:443/b?c"));
        assert!(secure.is_of(&Url::parse("https://crm.test/c").unwrap()));
        for other in ["http://crm.test:443/", "https://crm.test:444/", "https://a.crm.test/"] {
            assert!(!secure.is_of(&Url::parse(other).unwrap()) && secure != origin(other), "{other}");
        }
    }
}
