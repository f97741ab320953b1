//! Which addresses are this machine's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Any port: nothing is sent to it.
const PORT: u16 = 9;

/// Whether an address is one of this machine. The kernel is asked from which address it would send to that one: to an address of its
/// own it would send from the same. No packet leaves.
pub(super) fn has(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, PORT))?;
        socket.local_addr()
    });
    address.is_loopback() || source.is_ok_and(|source: SocketAddr| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_loopback_and_not_what_is_documentation() {
        for own in ["127.0.0.1", "127.1.2.3", "::1"] {
            assert!(has(own.parse().unwrap()), "{own}");
        }
        for other in ["192.0.2.1", "203.0.113.9", "2001:db8::1"] {
            assert!(!has(other.parse().unwrap()), "{other}");
        }
    }
}
