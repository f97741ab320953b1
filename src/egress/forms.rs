//! Addresses that stand for others: an IPv4 address can come as a part of an IPv6 one, and packets reach it by that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as it is, and each IPv4 address that a packet to it may reach.
pub(super) fn of(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(outer) = address else { return vec![address] };
    let mut forms = vec![address];
    forms.extend(embedded(outer).into_iter().map(IpAddr::V4));
    forms
}

/// The IPv4 addresses in an IPv6 one, by the forms that there are.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bytes = address.octets();
    let at = |places: [usize; 4]| {
        let [a, b, c, d] = places.map(|place| bytes.get(place).copied().unwrap_or_default());
        Ipv4Addr::new(a, b, c, d)
    };
    let last = at([12, 13, 14, 15]);
    let mut found = Vec::new();
    match address.segments() {
        // Mapped (RFC 4291, 2.5.5.2), translated (RFC 7915), and the well-known prefix of NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => found.push(last),
        // Compatible (RFC 4291, 2.5.5.1), which nobody should use. `::` and `::1` are none of them.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => found.push(last),
        // NAT64 of one's own (RFC 8215): the address stands where the length of the prefix says, which nobody outside knows. Zeroes are
        // those that fill up another length.
        [0x64, 0xff9b, 1, ..] => {
            let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
            found.extend(places.map(at).into_iter().filter(|inner| inner.octets().first() != Some(&0)));
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => found.push(at([2, 3, 4, 5])),
        // Teredo (RFC 4380): the server, and the client with all its bits turned.
        [0x2001, 0, ..] => found.extend([at([4, 5, 6, 7]), Ipv4Addr::from_bits(!last.to_bits())]),
        _ => {}
    }
    // ISATAP (RFC 5214), behind any prefix.
    if matches!(bytes, [_, _, _, _, _, _, _, _, 0 | 2, 0, 0x5e, 0xfe, ..]) {
        found.push(last);
    }
    found
}
