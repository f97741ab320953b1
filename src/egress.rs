//! Where requests may go: which addresses and names of destinations and token servers are refused. Pure: who resolves names and
//! knows this machine's addresses asks here before it connects.
//!
//! Of all that speaks of an address the narrowest decides: a built-in range, a network of `deny`, a network of `allow`. Where two
//! are equally narrow `deny` stands above `allow`, and `allow` above what is built in. So `allow: [169.254.7.0/24]` opens that
//! network, and `allow: [0.0.0.0/0]` opens nothing that is closed by default. A name in `allow` opens what `deny` and `private: deny`
//! close, because a name is narrower than a network, but no link-local, metadata or other special address: who answers for the name
//! could lead there. The relay's own ports are open to nobody.

mod entry;
mod forms;
mod special;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::proxies::bare;
pub use entry::{Entry, Name, Network, Unreadable};
use special::{METADATA_NAMES, PRIVATE, SPECIAL};

/// The top-level `egress` of routes.yaml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Whether private addresses are closed, which are open by default: internal services are what a relay is for.
    pub private_denied: bool,
    /// What is open although something wider closes it.
    pub allow: Vec<Entry>,
    /// What is closed.
    pub deny: Vec<Entry>,
}

/// Says where requests may go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    egress: Egress,
    /// Where the relay itself listens, wildcards included.
    own: Arc<[SocketAddr]>,
}

/// Why a request may not go there, without the URL and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// What decides of an address, from the weakest to the strongest of those that are equally narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voice<'g> {
    Special(&'static str, Network),
    Private(Network),
    Allow,
    Deny(&'g Network),
}

impl Guard {
    /// A guard by these rules for a relay that listens at these addresses.
    pub fn new(egress: Egress, own: impl Into<Arc<[SocketAddr]>>) -> Self {
        Self { egress, own: own.into() }
    }

    /// Whether a request may go to a host, as far as its name says: all that can be known where a proxy resolves it. An address in
    /// place of a name is judged as such.
    ///
    /// # Errors
    /// Why it may not.
    pub fn host(&self, host: &str, port: u16, is_local: impl Fn(IpAddr) -> bool) -> Result<(), Refusal> {
        let host = bare(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.address(host, SocketAddr::new(address, port), is_local);
        }
        match self.name_verdict(host) {
            Some(Verdict::Denied(name)) => Err(Refusal(format!("`egress.deny` has `{name}`"))),
            Some(Verdict::Allowed) => Ok(()),
            None if METADATA_NAMES.contains(&host.trim_end_matches('.')) => {
                Err(Refusal("the name is one of a cloud's metadata service, which is not open by default".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Whether a request to this host (a name, or the address itself) may go to an address that the host has. `is_local` says whether an
    /// address is one of this machine.
    ///
    /// # Errors
    /// Why it may not.
    pub fn address(&self, host: &str, address: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> Result<(), Refusal> {
        let is_allowed_by_name = self.name_verdict(bare(host)) == Some(Verdict::Allowed);
        for form in forms::of(address.ip()) {
            if self.own.iter().any(|own| is_own(*own, SocketAddr::new(form, address.port()), &is_local)) {
                return Err(Refusal("the address is the relay's own port, which no destination may be".to_owned()));
            }
            match self.voice(form) {
                None | Some(Voice::Allow) => {}
                Some(Voice::Special(kind, network)) => {
                    return Err(Refusal(format!(
                        "the address is {kind} ({network}), which is not open by default; `egress: {{ allow: [...] }}` opens it to those who \
                         mean it"
                    )));
                }
                Some(Voice::Private(_) | Voice::Deny(_)) if is_allowed_by_name => {}
                Some(Voice::Private(network)) => {
                    return Err(Refusal(format!("the address is private ({network}), and `egress.private` is `deny`")));
                }
                Some(Voice::Deny(network)) => return Err(Refusal(format!("`egress.deny` has {network}"))),
            }
        }
        Ok(())
    }

    /// What is narrowest of all that speaks of an address.
    fn voice(&self, address: IpAddr) -> Option<Voice<'_>> {
        let special = SPECIAL.iter().map(|(network, kind)| (network, Voice::Special(kind, *network)));
        let private = PRIVATE.iter().filter(|_| self.egress.private_denied).map(|network| (network, Voice::Private(*network)));
        let built_in = special.chain(private).filter(|(network, _)| network.contains(address));
        let allowed = networks(&self.egress.allow, address).map(|network| (network, Voice::Allow));
        let denied = networks(&self.egress.deny, address).map(|network| (network, Voice::Deny(network)));
        let all = built_in.chain(allowed).chain(denied);
        all.max_by_key(|(network, voice)| (network.length(), *voice)).map(|(_, voice)| voice)
    }

    /// What the entries that are names say of a name; of two the longer decides, and of equals `deny`.
    fn name_verdict(&self, host: &str) -> Option<Verdict<'_>> {
        match (narrowest_name(&self.egress.allow, host), narrowest_name(&self.egress.deny, host)) {
            (None, None) => None,
            (Some(allowed), Some(denied)) if allowed.rank() > denied.rank() => Some(Verdict::Allowed),
            (_, Some(denied)) => Some(Verdict::Denied(denied)),
            (Some(_), None) => Some(Verdict::Allowed),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict<'g> {
    Allowed,
    Denied(&'g Name),
}

fn networks(entries: &[Entry], address: IpAddr) -> impl Iterator<Item = &Network> {
    entries.iter().filter_map(Entry::network).filter(move |network| network.contains(address))
}

fn narrowest_name<'e>(entries: &'e [Entry], host: &str) -> Option<&'e Name> {
    entries.iter().filter_map(Entry::name).filter(|name| name.is_of(host)).max_by_key(|name| name.rank())
}

/// Whether a connection to `address` would reach what listens at `own`.
fn is_own(own: SocketAddr, address: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
    if own.port() != address.port() {
        return false;
    }
    let (listens, reached) = (own.ip().to_canonical(), address.ip().to_canonical());
    // A connection to `0.0.0.0` or `::` is one to this machine.
    let is_here = reached.is_unspecified() || reached.is_loopback();
    if listens.is_unspecified() {
        // `[::]` takes connections to IPv4 addresses as well.
        return (listens.is_ipv6() || reached.is_ipv4()) && (is_here || is_local(reached));
    }
    listens == reached || (reached.is_unspecified() && listens.is_loopback())
}
