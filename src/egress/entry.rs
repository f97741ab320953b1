//! An entry of `allow` and `deny`: a network in CIDR notation, an address, or a name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

/// A network or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`.
    Network(Network),
    /// `crm.example.com`, `*.example.com`.
    Name(Name),
}

/// Why a text is no entry, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong, to follow the text itself.
    pub reason: String,
    /// The fix.
    pub hint: String,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    first: IpAddr,
    length: u8,
}

/// A host's name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// In lower case, without the dot at the end.
    name: String,
    /// `*.`: what is below it, and not itself.
    is_below: bool,
}

const EXPECTED: &str =
    "a network (`10.0.0.0/8`), an address (`192.0.2.7`), a host (`crm.example.com`) or all hosts below one (`*.example.com`)";

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        let unreadable = |reason: &str, hint: &str| Err(Unreadable { reason: reason.to_owned(), hint: hint.to_owned() });
        if text.contains("://") {
            return unreadable("is a URL", "write its host alone: `crm.example.com`");
        }
        if let Some((address, length)) = text.split_once('/') {
            return Network::parse(address, length).map(Self::Network);
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self::Network(Network::of(address)));
        }
        if text == "*" {
            return unreadable("is no entry", "all addresses are `0.0.0.0/0` and `::/0`");
        }
        if text.contains(':') {
            return unreadable("has a port, or is no IPv6 address", "an entry holds for all ports: write the host or the address alone");
        }
        let (name, is_below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        match Host::parse(name.strip_suffix('.').unwrap_or(name)) {
            Ok(Host::Ipv4(address)) if !is_below => Ok(Self::Network(Network::of(address.into()))),
            Ok(Host::Domain(name)) if !name.contains('*') => Ok(Self::Name(Name { name, is_below })),
            _ => unreadable("is no network and no host", EXPECTED),
        }
    }

    pub(super) fn network(&self) -> Option<&Network> {
        match self {
            Self::Network(network) => Some(network),
            Self::Name(_) => None,
        }
    }

    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Network(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl Network {
    /// From the address that a network begins with, and how many of its bits all have.
    pub(super) const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Self {
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    /// From the first three groups of an IPv6 address, its last one, and how many of its bits all have.
    pub(super) const fn v6(first: [u16; 3], last: [u16; 2], length: u8) -> Self {
        Self { first: IpAddr::V6(Ipv6Addr::new(first[0], first[1], first[2], 0, 0, 0, last[0], last[1])), length }
    }

    /// One address.
    fn of(address: IpAddr) -> Self {
        let first = address.to_canonical();
        Self { first, length: if first.is_ipv4() { 32 } else { 128 } }
    }

    fn parse(address: &str, length: &str) -> Result<Self, Unreadable> {
        let unreadable = |reason: &str, hint: String| Err(Unreadable { reason: reason.to_owned(), hint });
        let Ok(address) = address.trim().parse::<IpAddr>() else {
            return unreadable("is no network: what stands before the `/` is no address", format!("expected {EXPECTED}"));
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match length.trim().parse::<u8>() {
            Ok(length) if length <= bits => length,
            _ => return unreadable("is no network", format!("behind the `/` stands a number of bits, at most {bits}")),
        };
        // An IPv4 address is looked for by its own form, whichever it comes in.
        let network = match (address.to_canonical(), address) {
            (first @ IpAddr::V4(_), IpAddr::V6(_)) if length >= 96 => Self { first, length: length - 96 },
            _ => Self { first: address, length },
        };
        let first = network.first_with(network.length);
        if first == network.first {
            return Ok(network);
        }
        unreadable("has bits set behind its length", format!("the network is `{}`", Self { first, ..network }))
    }

    /// How many bits its addresses have in common: the more, the narrower it is.
    pub(super) fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let first = Self { first: address, length: self.length }.first_with(self.length);
        first == self.first
    }

    /// The address with these bits, and zeroes behind them.
    fn first_with(&self, length: u8) -> IpAddr {
        match self.first {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl Name {
    /// Whether it is this host's name, or one that the host is below.
    pub(super) fn is_of(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match host.len().checked_sub(self.name.len()) {
            Some(0) => !self.is_below && host.eq_ignore_ascii_case(&self.name),
            Some(more) if self.is_below => {
                let (before, end) = host.split_at_checked(more).unwrap_or_default();
                before.ends_with('.') && end.eq_ignore_ascii_case(&self.name)
            }
            _ => false,
        }
    }

    /// The higher, the narrower.
    pub(super) fn rank(&self) -> (bool, usize) {
        (!self.is_below, self.name.len())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.is_below { "*." } else { "" };
        write!(f, "{below}{}", self.name)
    }
}
