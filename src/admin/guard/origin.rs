//! Where a request comes from, as far as it says so: from this machine, or from another site's page.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName, Uri, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What proxies add that pass a request on; beside these whatever begins with `x-forwarded`.
const OF_PROXIES: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "cf-connecting-ip",
    "true-client-ip",
    "fly-client-ip",
];

/// Why a request is not taken for one from this machine, or for one from no other site.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error("the request was passed on by a proxy (`{0}`)")]
    ByProxy(HeaderName),
    #[error("the Host header names no loopback address")]
    NotLoopback,
    #[error("the request comes from another site")]
    Site,
    #[error("the request comes from another origin")]
    Origin,
    #[error("the request names two hosts")]
    TwoHosts,
    #[error("the request has no Host header")]
    NoHost,
    #[error("the header `{0}` is there twice")]
    Twice(HeaderName),
    #[error("the header `{0}` is unreadable")]
    Unreadable(HeaderName),
}

/// Refuses what somebody else made a program on this machine send: a page of another site in a browser, or a proxy.
pub(super) fn from_this_machine(headers: &HeaderMap, uri: &Uri) -> Result<(), Foreign> {
    if let Some(name) = headers.keys().find(|name| OF_PROXIES.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded")) {
        return Err(Foreign::ByProxy(name.clone()));
    }
    let named = host(headers, uri)?;
    if !is_loopback(named) {
        return Err(Foreign::NotLoopback);
    }
    match only(headers, &SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(Foreign::Site),
    }
    same_origin(headers, named)
}

/// Refuses what a page of another site made a browser send. A browser says where the page is from; other programs say nothing.
pub(super) fn from_no_other_site(headers: &HeaderMap, uri: &Uri) -> Result<(), Foreign> {
    match only(headers, &SEC_FETCH_SITE)? {
        Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Foreign::Site),
        // Browsers leave it out over plain HTTP.
        None if headers.contains_key(header::ORIGIN) => same_origin(headers, host(headers, uri)?),
        None => Ok(()),
    }
}

fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), Foreign> {
    let Some(origin) = only(headers, &header::ORIGIN)? else { return Ok(()) };
    let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or(origin);
    if of.eq_ignore_ascii_case(host) { Ok(()) } else { Err(Foreign::Origin) }
}

/// The host that is asked. A request in absolute form names it twice, and must not name two.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<&'a str, Foreign> {
    let named = only(headers, &header::HOST)?;
    match (uri.authority().map(http::uri::Authority::as_str), named) {
        (Some(asked), Some(named)) if asked != named => Err(Foreign::TwoHosts),
        (asked, named) => asked.or(named).ok_or(Foreign::NoHost),
    }
}

/// The one value of a header; what is there twice, or is no visible ASCII, is refused and not taken for absent.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Foreign> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Foreign::Twice(name.clone()));
    }
    value.to_str().map(Some).map_err(|_| Foreign::Unreadable(name.clone()))
}

/// Whether `host[:port]`, and nothing else, is this machine by name or by address.
fn is_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return is_port(port) && address.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::from(address).to_canonical().is_loopback());
    }
    let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
    let is_here = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_here && is_port(port)
}

/// `:9090`, or nothing.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, headers: &[(&str, &[u8])]) -> Result<(), Foreign> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), http::HeaderValue::from_bytes(value).unwrap());
        }
        from_this_machine(&map, &uri.parse().unwrap())
    }

    #[test]
    fn a_host_is_read_to_its_end() {
        for host in ["localhost", "LocalHost:9090", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:9090", "[::ffff:127.0.0.1]:9090"] {
            assert_eq!(asked("/", &[("host", host.as_bytes())]), Ok(()), "{host}");
        }
        for host in [
            "",
            ":9090",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "localhost:+1",
            "localhost:9090:evil",
            "localhost:9090@evil.example",
            "localhost.",
            "localhost evil.example",
            "localhost,evil.example",
            "user@localhost",
            "[::1",
            "[::1]evil.example",
            "[::1].evil.example:9090",
            "[localhost]",
            "::1",
            "127.0.0.1.evil.example",
            "0x7f.1",
            "2130706433",
            "127.1",
            "0.0.0.0:9090",
            "[::]:9090",
        ] {
            assert!(asked("/", &[("host", host.as_bytes())]).is_err(), "{host}");
        }
    }

    #[test]
    fn what_is_said_twice_or_cannot_be_read_is_not_taken_for_absent() {
        let host = ("host", b"localhost".as_slice());
        for (uri, headers) in [
            ("/", vec![]),
            ("/", vec![host, host]),
            ("http://127.0.0.1/", vec![host]),
            ("http://evil.example/", vec![]),
            ("/", vec![host, ("origin", b"http://evil.ex\xe4mple")]),
            ("/", vec![host, ("origin", b"http://localhost"), ("origin", b"http://evil.example")]),
            ("/", vec![host, ("sec-fetch-site", b"same-origin"), ("sec-fetch-site", b"cross-site")]),
            ("/", vec![host, ("sec-fetch-site", b"cross-s\xefte")]),
        ] {
            assert!(asked(uri, &headers).is_err(), "{uri} {headers:?}");
        }
        assert_eq!(asked("http://localhost/", &[host]), Ok(()));
    }

    #[test]
    fn what_a_proxy_passes_on_is_not_from_this_machine() {
        let host = ("host", b"localhost".as_slice());
        for name in OF_PROXIES.into_iter().chain(["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"]) {
            let error = asked("/", &[host, (name, b"192.0.2.1")]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
