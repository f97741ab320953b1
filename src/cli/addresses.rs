//! Addresses and names as people write them on the command line, with what they probably meant.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::Url;

use crate::config::near;

/// Entries of a folder that are compared with a name that is not there.
const ENTRIES_MAX: usize = 1_000;

/// An address to listen on.
///
/// # Errors
/// What to write, if it is not an IP address and a port.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        if port.parse::<u16>().is_err() {
            return if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
                "a port is a number up to 65535".to_owned()
            } else {
                "an address is an IP address and a port: `127.0.0.1:8080`, or `0.0.0.0:8080` for all addresses of this machine".to_owned()
            };
        }
        match host {
            "" | "*" => {
                format!("an address to listen on has an IP address too: `0.0.0.0:{port}` for all, `127.0.0.1:{port}` for this machine only")
            }
            "localhost" => format!("write the address and not its name: `127.0.0.1:{port}`"),
            _ if host.contains(':') && !host.starts_with('[') => format!("an IPv6 address stands in brackets: `[{host}]:{port}`"),
            _ => format!("`{host}` is not an IP address; `0.0.0.0:{port}` listens on all addresses of this machine"),
        }
    })
}

/// The URL of a server, with `http://` or `https://`.
///
/// # Errors
/// What to write, if it is not one.
pub(super) fn server(text: &str) -> Result<Url, String> {
    let is_server = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match text.parse::<Url>() {
        Ok(url) if is_server(&url) => Ok(url),
        // `localhost:9090` reads as a URL of the scheme `localhost`.
        _ => match format!("http://{text}").parse::<Url>() {
            // `mailto:a@example.com` is a URL of another kind, and `127.0.0.1:8080` has a host before the colon.
            Ok(url) if is_server(&url) && url.username().is_empty() && !text.contains("://") => {
                Err(format!("a URL begins with its scheme: `http://{text}`"))
            }
            _ => Err("a URL has a scheme and a host: `http://127.0.0.1:9090`".to_owned()),
        },
    }
}

/// `; did you mean ...?` for a file that is not there, if one beside it is called nearly the same. Otherwise nothing.
pub(super) fn near_file(path: &Path) -> String {
    let (Some(name), false) = (path.file_name().and_then(|name| name.to_str()), path.exists()) else { return String::new() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // A folder has its entries in any order, and the same slip has always the same answer.
    names.sort();
    let same_stem = |other: &&String| Path::new(other).file_stem() == path.file_stem();
    let found = names.iter().find(same_stem).map(String::as_str).or_else(|| near(name, names.iter().map(String::as_str)));
    found.map(|found| format!("; did you mean `{}`?", path.with_file_name(found).display())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_address_is_told_how_to_write_it() {
        assert!(socket("127.0.0.1:8080").is_ok() && socket("[::1]:0").is_ok());
        for (written, meant) in [
            ("8080", "`0.0.0.0:8080`"),
            (":8080", "`127.0.0.1:8080`"),
            ("*:8080", "`0.0.0.0:8080`"),
            ("localhost:8080", "`127.0.0.1:8080`"),
            ("::1:8080", "`[::1]:8080`"),
            ("relay.example.com:8080", "not an IP address"),
            ("127.0.0.1:99999", "65535"),
            ("127.0.0.1", "an IP address and a port"),
            ("", "an IP address and a port"),
        ] {
            let said = socket(written).unwrap_err();
            assert!(said.contains(meant), "{written}: {said}");
        }
    }

    #[test]
    fn what_is_not_a_url_is_told_how_to_write_it() {
        assert!(server("http://127.0.0.1:9090").is_ok() && server("https://relay.example.com/x").is_ok());
        for (written, meant) in [
            ("localhost:9090", "`http://localhost:9090`"),
            ("127.0.0.1:9090/x", "`http://127.0.0.1:9090/x`"),
            ("ftp://host/", "a scheme and a host"),
            ("mailto:a@example.com", "a scheme and a host"),
            ("", "a scheme and a host"),
        ] {
            let said = server(written).unwrap_err();
            assert!(said.contains(meant), "{written}: {said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_a_near_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["routes.yaml", "payload.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let near = |name: &str| near_file(&folder.path().join(name));
        assert!(near("routes.yml").ends_with("routes.yaml`?") && near("ruotes.yaml").ends_with("routes.yaml`?"));
        assert!(near("paylod.json").ends_with("payload.json`?"));
        assert_eq!((near("routes.yaml"), near("quite-another")), (String::new(), String::new()));
    }
}
