//! From a host's name to a stream: resolved, connected, through a proxy where one is set, secured where the URL says so.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::message::Origin;
use super::stream::Stream;
use super::this_machine;
use super::trust::HTTP_2;
use super::tunnel;
use super::words::{Trusting, io_failure};
use crate::egress::{Guard, Refusal};
use crate::proxies::{Proxies, Proxy, bare};

/// Of the addresses of a name so many are tried.
const ADDRESSES_MAX: usize = 16;
/// How long an address has for itself before the next is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A stream to a server or, for requests in the form that proxies want, to a proxy.
pub(super) struct Connected {
    pub stream: Box<dyn Stream>,
    pub is_http_2: bool,
    /// The proxy that requests are to be written for.
    pub by_proxy: Option<Arc<Proxy>>,
}

/// How connections are made.
#[derive(Debug)]
pub(super) struct Connector {
    pub proxies: Proxies,
    pub tls: Arc<ClientConfig>,
    /// The same for a proxy that is spoken to over TLS, which is offered HTTP/1.1 only.
    pub proxy_tls: Arc<ClientConfig>,
    pub trusting: Trusting,
    /// Where connections may lead; `None`: anywhere.
    pub egress: Option<Arc<Guard>>,
}

impl Connector {
    /// Makes a connection. How long it may take is for the caller to say.
    pub async fn connect(&self, origin: &Origin) -> Result<Connected, Failure> {
        self.try_connect(origin).await.map_err(Failure::connecting)
    }

    async fn try_connect(&self, origin: &Origin) -> Result<Connected, Failure> {
        let Origin { is_secure, host, port } = origin;
        let proxy = self.proxies.toward(*is_secure, host, *port);
        if let Some(egress) = &self.egress {
            // All that can be known of what a proxy connects to, and before a name that is closed is asked for.
            egress.host(host, *port, this_machine::has).map_err(|refusal| Failure::refused(&refusal))?;
        }
        let mut stream: Box<dyn Stream> = match proxy {
            None => Box::new(tcp(bare(host), *port, self.egress.as_deref()).await?),
            Some(proxy) => {
                let by_proxy = |Failure { reason, words }: Failure| Failure { reason, words: format!("the proxy: {words}") };
                // Where the proxy is, its operator says.
                let tcp = tcp(&proxy.host, proxy.port, None).await.map_err(by_proxy)?;
                if proxy.is_secure {
                    Box::new(self.secure(Box::new(tcp), &proxy.host, &self.proxy_tls).await.map_err(by_proxy)?)
                } else {
                    Box::new(tcp)
                }
            }
        };
        if !is_secure {
            return Ok(Connected { stream, is_http_2: false, by_proxy: proxy.cloned() });
        }
        if let Some(proxy) = proxy {
            tunnel::open(&mut stream, host, *port, proxy.authorization.as_ref()).await?;
        }
        let stream = self.secure(stream, bare(host), &self.tls).await?;
        let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        Ok(Connected { stream: Box::new(stream), is_http_2, by_proxy: None })
    }

    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        host: &str,
        tls: &Arc<ClientConfig>,
    ) -> Result<tokio_rustls::client::TlsStream<Box<dyn Stream>>, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::connection(format!("TLS: `{host}`: {error}")))?;
        let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        handshake.await.map_err(|error| io_failure(&error, self.trusting))
    }
}

/// Connects to the first address of a host that takes a connection and that `egress` leaves open.
async fn tcp(host: &str, port: u16, egress: Option<&Guard>) -> Result<TcpStream, Failure> {
    let (addresses, refusal) = open(host, addresses(host, port).await?, egress)?;
    let words = |error: io::Error| match refusal {
        None => error.to_string(),
        Some(refusal) => format!("{error}; not tried was an address of the name because of this: {refusal}"),
    };
    let stream = first_of(by_turns(addresses)).await.map_err(|error| Failure::connection(words(error)))?;
    // Heads and short bodies are not to wait for one another.
    stream.set_nodelay(true).map_err(|error| Failure::connection(error.to_string()))?;
    Ok(stream)
}

/// Those of a host's addresses that requests may go to, and why others are left out. Each address that is connected to was judged here,
/// after the name was resolved for this very connection: an answer that changes between two looks gains nothing. A name with open and
/// closed addresses stays usable by the open ones, as a closed one among them may be an honest mistake and is never connected to.
fn open(host: &str, addresses: Vec<SocketAddr>, egress: Option<&Guard>) -> Result<(Vec<SocketAddr>, Option<Refusal>), Failure> {
    let Some(egress) = egress else { return Ok((addresses, None)) };
    let mut refusal = None;
    let mut open = addresses;
    open.retain(|address| {
        let judged = egress.address(host, *address, this_machine::has);
        let is_open = judged.is_ok();
        refusal = refusal.take().or(judged.err());
        is_open
    });
    match refusal {
        Some(refusal) if open.is_empty() => Err(Failure::refused(&refusal)),
        refusal => Ok((open, refusal)),
    }
}

/// The addresses of a host. Whatever the relay connects to comes out of here, be it a receiver, a token server, a collector or a proxy.
async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = lookup_host((host, port)).await.map_err(|error| Failure::connection(format!("dns error: {error}")))?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(Failure::connection("dns error: the name has no address")) } else { Ok(found) }
}

/// IPv6 and IPv4 by turns, so that a network that has only one of them is found out soon.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut ordered = Vec::new();
    while ordered.len() < ADDRESSES_MAX {
        let before = ordered.len();
        ordered.extend(preferred.next());
        ordered.extend(others.next());
        if ordered.len() == before {
            break;
        }
    }
    ordered
}

/// Tries one after the other, and beside one that hangs the next.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut first_error = None;
    loop {
        match waiting.next() {
            Some(address) => under_way.push(TcpStream::connect(address)),
            None if under_way.is_empty() => return Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into())),
            None => {}
        }
        let are_more = waiting.len() > 0;
        tokio::select! {
            Some(tried) = under_way.next() => match tried {
                Ok(stream) => return Ok(stream),
                Err(error) => first_error = first_error.or(Some(error)),
            },
            () = tokio::time::sleep(HEAD_START), if are_more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_families_take_turns_and_the_systems_first_choice_begins() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address).to_vec();
        assert_eq!(by_turns(found), ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address));
        assert!(by_turns(vec![address("1.1.1.1:1"); 100]).len() <= ADDRESSES_MAX);
        assert!(by_turns(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_hangs_is_passed_over() {
        let refuses = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
        let takes = listener.local_addr().unwrap();
        // A listener whose queue is full answers nothing.
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let full = full.listen(1).unwrap();
        let hangs = full.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(Ok(filler)) = tokio::time::timeout(HEAD_START, TcpStream::connect(hangs)).await {
            fillers.push(filler);
        }
        let stream = first_of(vec![refuses, hangs, takes]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), takes);
        let error = first_of(vec![refuses, refuses]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
