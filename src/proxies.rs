//! The proxies that the environment names, and the hosts that are reached without one. Pure.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use url::Url;

/// Which proxy leads to which host.
#[derive(Debug, Default, PartialEq)]
pub struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    direct: Vec<Direct>,
}

/// A proxy that speaks HTTP.
#[derive(PartialEq)]
pub struct Proxy {
    /// Whether it is itself spoken to over TLS.
    pub is_secure: bool,
    /// Its name or address, without the brackets of IPv6.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `proxy-authorization`, marked sensitive.
    pub authorization: Option<HeaderValue>,
}

/// Shows no credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_secure, host, port, .. } = self;
        f.debug_struct("Proxy").field("is_secure", is_secure).field("host", host).field("port", port).finish_non_exhaustive()
    }
}

/// A variable that names a proxy, and cannot be used. It does not repeat the value, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {wrong}")]
pub struct ProxyError {
    /// The variable.
    name: String,
    #[source]
    wrong: WrongProxy,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum WrongProxy {
    #[error("is not a URL: {0}; write `http://proxy.internal:3128`")]
    NotAUrl(#[source] url::ParseError),
    /// This scheme is not spoken.
    #[error("a proxy is `http://` or `https://`, and this one is `{0}://`, which the relay does not speak")]
    Foreign(String),
    #[error("names no host; write `http://proxy.internal:3128`")]
    NoHost,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, PartialEq)]
enum Direct {
    /// `*`
    Everything,
    /// An address or a range of them, on this port or on any.
    Range(IpNet, Option<u16>),
    /// A domain, on this port or on any. An empty name stands for every host on that port.
    Domain { name: String, itself: bool, port: Option<u16> },
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same names in lower case where those are not
    /// there or empty. `HTTP_PROXY` counts for nothing under CGI, where a request's `Proxy` header would set it.
    ///
    /// # Errors
    /// Which variable cannot be used, and why. A value is not repeated: it may hold a password.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let either = |upper: &str| {
            let lower = upper.to_ascii_lowercase();
            let is_suspect = upper == "HTTP_PROXY" && lookup("REQUEST_METHOD").is_some();
            let upper = (!is_suspect).then(|| value(upper).map(|value| (upper.to_owned(), value))).flatten();
            upper.or_else(|| value(&lower).map(|value| (lower, value)))
        };
        let proxy = |name: &str| match either(name) {
            Some((name, value)) => Proxy::parse(&value).map(|proxy| Some(Arc::new(proxy))).map_err(|wrong| ProxyError { name, wrong }),
            None => Ok(None),
        };
        let (http, https) = (proxy("HTTP_PROXY")?, proxy("HTTPS_PROXY")?);
        // One that would not be used need not be usable.
        let all = if http.is_some() && https.is_some() { None } else { proxy("ALL_PROXY")? };
        let direct = either("NO_PROXY").map(|(_, list)| entries(&list)).unwrap_or_default();
        Ok(Self { http: http.or_else(|| all.clone()), https: https.or(all), direct })
    }

    /// The proxy that leads to a host; `None` where the host is reached directly. `host` is as in a URL.
    pub fn toward(&self, is_secure: bool, host: &str, port: u16) -> Option<&Arc<Proxy>> {
        let proxy = if is_secure { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = bare(host).trim_end_matches('.').to_ascii_lowercase();
        let is_direct = match host.parse::<IpAddr>() {
            Ok(address) => self.direct.iter().any(|entry| entry.has_address(address, port)),
            Err(_) => self.direct.iter().any(|entry| entry.has_name(&host, port)),
        };
        (!is_direct).then_some(proxy)
    }
}

impl Proxy {
    /// Its URL, without credentials.
    pub fn url(&self) -> String {
        let Self { is_secure, host, port, .. } = self;
        let scheme = if *is_secure { "https" } else { "http" };
        if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
    }

    fn parse(value: &str) -> Result<Self, WrongProxy> {
        // As curl and Go take it: a bare `proxy.internal:3128` is one that is spoken to over plain HTTP.
        let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
        let url = url.map_err(WrongProxy::NotAUrl)?;
        let is_secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                return Err(WrongProxy::Foreign(other.to_owned()));
            }
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(WrongProxy::NoHost);
        };
        Ok(Self { is_secure, host: bare(host).to_owned(), port, authorization: basic(&url) })
    }
}

/// The value of an authorization header for the user that stands in a URL, marked sensitive.
pub fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = percent_decode_str(url.username());
    let password = percent_decode_str(url.password().unwrap_or_default());
    let credentials: Vec<u8> = user.chain([b':']).chain(password).collect();
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// An IPv6 address without its brackets.
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The entries of `NO_PROXY`: between commas, as all have it, or between blanks, as curl has it.
fn entries(list: &str) -> Vec<Direct> {
    list.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty()).map(Direct::parse).collect()
}

impl Direct {
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::Everything;
        }
        if let Some(range) = range(entry) {
            return Self::Range(range, None);
        }
        // What has two colons or more and no brackets is no host with a port.
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            _ => (entry, None),
        };
        if host == "*" {
            return Self::Domain { name: String::new(), itself: true, port };
        }
        if let Some(range) = range(host) {
            return Self::Range(range, port);
        }
        let (name, itself) = match host.strip_prefix("*.") {
            Some(name) => (name, false),
            None => (host.strip_prefix('.').unwrap_or(host), true),
        };
        Self::Domain { name: name.trim_end_matches('.').to_ascii_lowercase(), itself, port }
    }

    fn has_address(&self, address: IpAddr, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Range(range, of) => range.contains(&address) && of.is_none_or(|of| of == port),
            Self::Domain { name, port: of, .. } => name.is_empty() && of.is_some_and(|of| of == port),
        }
    }

    fn has_name(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Range(..) => false,
            Self::Domain { name, itself, port: of } => {
                if name.is_empty() {
                    return of.is_some_and(|of| of == port);
                }
                let is_below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (host == name && *itself || is_below) && of.is_none_or(|of| of == port)
            }
        }
    }
}

/// `10.0.0.0/8`, `10.1.2.3`, `fd00::/8`, `::1` or `[::1]`.
fn range(text: &str) -> Option<IpNet> {
    let text = bare(text);
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        let variables: Vec<(String, String)> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxies::read(&move |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    fn host_of(proxies: &Proxies, url: &str) -> Option<String> {
        let url = Url::parse(url).unwrap();
        let port = url.port_or_known_default().unwrap();
        proxies.toward(url.scheme() == "https", url.host_str().unwrap(), port).map(|proxy| proxy.host.clone())
    }

    #[test]
    fn each_scheme_has_its_proxy_and_all_proxy_stands_in() {
        let proxies = read(&[("HTTP_PROXY", "plain:3128"), ("all_proxy", "https://any")]).unwrap();
        assert_eq!(host_of(&proxies, "http://a/").as_deref(), Some("plain"));
        assert_eq!(host_of(&proxies, "https://a/").as_deref(), Some("any"));
        assert_eq!((proxies.http.unwrap().port, proxies.https.unwrap().port), (3128, 443));
        let lower = read(&[("HTTPS_PROXY", " "), ("https_proxy", "http://[::1]:1")]).unwrap();
        assert_eq!(host_of(&lower, "https://a/").as_deref(), Some("::1"));
        assert_eq!(lower.https.as_ref().unwrap().url(), "http://[::1]:1");
        assert_eq!(host_of(&lower, "http://a/"), None);
        assert_eq!(read(&[]).unwrap(), Proxies::default());
        let unused = read(&[("HTTP_PROXY", "a"), ("HTTPS_PROXY", "b"), ("ALL_PROXY", "socks5://c")]).unwrap();
        assert_eq!(host_of(&unused, "https://x/").as_deref(), Some("b"));
    }

    #[test]
    fn under_cgi_only_the_name_in_lower_case_counts() {
        let proxies = read(&[("REQUEST_METHOD", "POST"), ("HTTP_PROXY", "evil"), ("HTTPS_PROXY", "good")]).unwrap();
        assert_eq!(host_of(&proxies, "http://a/"), None);
        assert_eq!(host_of(&proxies, "https://a/").as_deref(), Some("good"));
        let lower = read(&[("REQUEST_METHOD", "POST"), ("HTTP_PROXY", "evil"), ("http_proxy", "good")]).unwrap();
        assert_eq!(host_of(&lower, "http://a/").as_deref(), Some("good"));
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxies = read(&[("HTTP_PROXY", "http://re%3Alay:Zq7%40x@proxy:1")]).unwrap();
        let proxy = proxies.http.as_ref().unwrap();
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic cmU6bGF5OlpxN0B4");
        assert!(!format!("{proxies:?}").contains("Zq7") && !format!("{proxies:?}").contains("cmU6"));
    }

    #[test]
    fn what_is_no_proxy_is_said_of_the_right_variable_without_its_value() {
        for (name, value, words) in [
            ("HTTPS_PROXY", "socks5://user:Zq7@proxy:1080", "`socks5://`, which the relay does not speak"),
            ("http_proxy", "http://user:Zq7@pro xy", "is not a URL"),
            ("ALL_PROXY", "http://", "is not a URL"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(name) && error.contains(words) && !error.contains("Zq7"), "{error}");
        }
    }

    /// The forms of curl's `NOPROXY` and of Go's `httpproxy`. Where the two differ the relay goes directly wherever one of them does.
    #[test]
    fn no_proxy_has_the_forms_of_curl_and_go() {
        for (list, directly, through) in [
            ("*", &["http://a.example.com/", "http://127.0.0.1/", "http://[::1]/"][..], &[][..]),
            ("a.test, *", &["http://b.test/"], &[]),
            (
                "example.com",
                &["http://example.com/", "http://EXAMPLE.com:81/", "http://a.b.example.com/", "http://example.com./"],
                &["http://notexample.com/", "http://example.com.evil/"],
            ),
            (".example.com", &["http://example.com/", "http://a.example.com/"], &["http://notexample.com/"]),
            ("*.example.com", &["http://a.example.com/", "http://b.a.example.com/"], &["http://example.com/", "http://notexample.com/"]),
            ("Example.COM.", &["http://a.example.com/"], &[]),
            ("example.com:8080", &["http://example.com:8080/", "http://a.example.com:8080/"], &["http://example.com/"]),
            ("*.example.com:8080", &["http://a.example.com:8080/"], &["http://a.example.com/", "http://example.com:8080/"]),
            ("127.0.0.1", &["http://127.0.0.1:99/"], &["http://127.0.0.2/", "http://127.0.0.1.nip.io/"]),
            ("127.0.0.1:99", &["http://127.0.0.1:99/"], &["http://127.0.0.1/"]),
            ("10.0.0.0/8 fd00::/8", &["http://10.1.2.3/", "http://[fd00::7]/"], &["http://11.0.0.1/", "http://[fe80::1]/"]),
            ("[::1]", &["http://[::1]/", "http://[0:0::1]:9/"], &["http://[::2]/"]),
            ("::1", &["http://[::1]/"], &["http://[::2]/"]),
            ("[::1]:9", &["http://[::1]:9/"], &["http://[::1]/"]),
            ("0.0.1", &[], &["http://127.0.0.1/"]),
            ("localhost,\tinternal", &["http://localhost/", "http://a.internal/"], &["http://127.0.0.1/"]),
            (".", &[], &["http://a/", "http://10.0.0.1/"]),
            ("*:8080", &["http://a:8080/", "http://10.0.0.1:8080/"], &["http://a/", "http://10.0.0.1/"]),
            ("", &[], &["http://localhost/"]),
        ] {
            let proxies = read(&[("HTTP_PROXY", "http://proxy:3128"), ("no_proxy", list)]).unwrap();
            for url in directly {
                assert_eq!(host_of(&proxies, url), None, "`{list}`: {url} is reached directly");
            }
            for url in through {
                assert_eq!(host_of(&proxies, url).as_deref(), Some("proxy"), "`{list}`: {url} is reached through the proxy");
            }
        }
    }
}
