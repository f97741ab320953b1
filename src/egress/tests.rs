use proptest::prelude::*;

use super::*;

/// Nothing but loopback is this machine.
fn nowhere(_: IpAddr) -> bool {
    false
}

fn entries(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| Entry::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))).collect()
}

fn guard(allow: &[&str], deny: &[&str]) -> Guard {
    Guard::new(Egress { private_denied: false, allow: entries(allow), deny: entries(deny) }, [])
}

fn private_denied(allow: &[&str], deny: &[&str]) -> Guard {
    Guard::new(Egress { private_denied: true, allow: entries(allow), deny: entries(deny) }, [])
}

/// Of a name that resolves to this address.
fn resolved(guard: &Guard, name: &str, address: &str) -> Result<(), Refusal> {
    guard.address(name, SocketAddr::new(address.parse().unwrap(), 443), nowhere)
}

fn refused(guard: &Guard, address: &str) -> String {
    resolved(guard, "crm.example.com", address).err().unwrap_or_else(|| panic!("{address} is open")).to_string()
}

fn open(guard: &Guard, address: &str) {
    resolved(guard, "crm.example.com", address).unwrap_or_else(|refusal| panic!("{address}: {refusal}"));
}

const METADATA: [&str; 9] = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fe80::a9fe:a9fe",
];

#[test]
fn by_default_only_what_no_service_has_is_closed() {
    let guard = Guard::default();
    for (address, kind) in [
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("240.0.0.1", "reserved"),
    ] {
        let refusal = refused(&guard, address);
        assert!(refusal.contains(kind) && !refusal.contains(&format!("{address} ")), "{address}: {refusal}");
    }
    for address in METADATA {
        assert!(refused(&guard, address).contains("metadata"), "{address}");
    }
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd00::1",
        "192.0.2.1",
        "2606:4700::1",
        "223.255.255.255",
    ] {
        open(&guard, address);
    }
}

#[test]
fn an_address_within_another_one_is_found() {
    let metadata = [
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:2:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::",
        "2001:0:cb00:7101::5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
    ];
    for address in metadata {
        assert!(refused(&Guard::default(), address).contains("metadata"), "{address}");
    }
    for address in ["::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "2002:a00:1::", "::ffff:127.0.0.1"] {
        open(&Guard::default(), address);
        assert!(refused(&private_denied(&[], &[]), address).contains("private"), "{address}");
    }
    open(&Guard::default(), "64:ff9b::203.0.113.1");
}

/// The numbers that stand for an address in a URL are read before the guard sees them.
#[test]
fn numbers_in_a_url_are_addresses() {
    let spellings = [
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "169.16689662",
        "169.254.43518",
        "169.254.169.254.",
        "[::ffff:a9fe:a9fe]",
        "１６９.254.169.254",
    ];
    for spelling in spellings {
        let url = url::Url::parse(&format!("http://{spelling}/latest")).unwrap();
        let refusal = Guard::default().host(url.host_str().unwrap(), 80, nowhere).unwrap_err();
        assert!(refusal.to_string().contains("metadata"), "{spelling}: {refusal}");
    }
}

#[test]
fn the_narrowest_decides_and_of_equals_deny() {
    open(&guard(&["169.254.7.0/24"], &[]), "169.254.7.1");
    refused(&guard(&["169.254.7.0/24"], &[]), "169.254.8.1");
    open(&guard(&["169.254.0.0/16"], &[]), "169.254.8.1");
    let link_local = guard(&["169.254.0.0/16", "fe80::/10"], &[]);
    refused(&link_local, "169.254.169.254");
    refused(&link_local, "::ffff:169.254.169.254");
    open(&guard(&["169.254.169.254"], &[]), "169.254.169.254");
    open(&guard(&["169.254.169.254/32"], &[]), "::ffff:169.254.169.254");
    refused(&guard(&["0.0.0.0/0", "::/0"], &[]), "169.254.1.1");
    let closed = guard(&["10.1.0.0/16"], &["0.0.0.0/0", "::/0", "10.1.2.0/24"]);
    assert!(refused(&closed, "203.0.113.1").contains("`egress.deny` has 0.0.0.0/0"));
    assert!(refused(&closed, "2606:4700::1").contains("::/0"));
    assert!(refused(&closed, "10.1.2.3").contains("10.1.2.0/24"));
    open(&closed, "10.1.3.3");
    refused(&guard(&["10.0.0.0/8"], &["10.0.0.0/8"]), "10.0.0.1");
    let private = private_denied(&["10.1.0.0/16", "192.168.0.0/16"], &[]);
    for address in ["10.2.0.1", "127.0.0.1", "::1", "172.31.0.1", "100.64.0.1", "fd12::1"] {
        assert!(refused(&private, address).contains("`egress.private` is `deny`"), "{address}");
    }
    for address in ["10.1.0.1", "192.168.3.4", "203.0.113.1", "2606:4700::1"] {
        open(&private, address);
    }
}

#[test]
fn a_name_opens_networks_but_nothing_special() {
    let guard = private_denied(&["crm.internal", "*.svc.cluster.local"], &["0.0.0.0/0", "bad.svc.cluster.local", "*.evil.example"]);
    for name in ["crm.internal", "CRM.internal.", "a.b.svc.cluster.local"] {
        assert_eq!(resolved(&guard, name, "10.0.0.1"), Ok(()), "{name}");
        assert_eq!(resolved(&guard, name, "203.0.113.1"), Ok(()), "{name}");
        for address in METADATA {
            assert!(resolved(&guard, name, address).is_err(), "{name} at {address}");
        }
    }
    for name in ["crm.internal.evil.example", "xcrm.internal", "svc.cluster.local", "internal"] {
        assert!(resolved(&guard, name, "10.0.0.1").is_err(), "{name}");
    }
    for name in ["bad.svc.cluster.local", "a.evil.example", "A.EVIL.example."] {
        let refusal = guard.host(name, 443, nowhere).unwrap_err().to_string();
        assert!(refusal.contains("`egress.deny` has `"), "{name}: {refusal}");
    }
    for name in ["evil.example", "crm.internal", "a.svc.cluster.local"] {
        assert_eq!(guard.host(name, 443, nowhere), Ok(()), "{name}");
    }
    assert!(Guard::default().host("metadata.google.internal.", 80, nowhere).is_err());
    assert_eq!(self::guard(&["metadata.google.internal"], &[]).host("metadata.google.internal", 80, nowhere), Ok(()));
}

#[test]
fn the_relays_own_ports_are_open_to_nobody() {
    let everything = || Egress {
        private_denied: false,
        allow: entries(&["127.0.0.0/8", "0.0.0.0/8", "::/128", "::1", "10.0.0.5", "crm"]),
        deny: Vec::new(),
    };
    let machine = |address: IpAddr| address.to_string() == "10.0.0.5" || address.to_string() == "fd00::5";
    for (own, refused, open) in [
        (
            "127.0.0.1:9090",
            &["127.0.0.1:9090", "0.0.0.0:9090", "[::ffff:127.0.0.1]:9090", "[64:ff9b::7f00:1]:9090", "[2002:7f00:1::]:9090"][..],
            &["127.0.0.1:9091", "127.0.0.2:9090", "10.0.0.5:9090", "[::1]:9090"][..],
        ),
        (
            "0.0.0.0:8080",
            &["127.0.0.1:8080", "127.1.2.3:8080", "0.0.0.0:8080", "10.0.0.5:8080", "[::ffff:10.0.0.5]:8080"],
            &["10.0.0.6:8080", "127.0.0.1:80", "[::1]:8080", "[fd00::5]:8080"],
        ),
        (
            "[::]:8080",
            &["127.0.0.1:8080", "[::1]:8080", "[::]:8080", "10.0.0.5:8080", "[fd00::5]:8080"],
            &["10.0.0.6:8080", "[fd00::6]:8080"],
        ),
        ("10.0.0.5:8080", &["10.0.0.5:8080"], &["127.0.0.1:8080", "10.0.0.6:8080"]),
    ] {
        let guard = Guard::new(everything(), [own.parse().unwrap()]);
        let judged = |address: &&str| guard.address("crm", address.parse().unwrap(), machine).map_err(|refusal| refusal.to_string());
        for address in refused {
            assert!(judged(address).is_err_and(|refusal| refusal.contains("own port")), "{address} with {own}");
        }
        for address in open {
            assert_eq!(judged(address), Ok(()), "{address} with {own}");
        }
    }
}

#[test]
fn an_entry_is_read_or_explained() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("fd00::/8", "fd00::/8"),
        (" 192.0.2.7 ", "192.0.2.7/32"),
        ("[::1]", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("2130706433", "127.0.0.1/32"),
        ("Crm.Example.com.", "crm.example.com"),
        ("*.example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ] {
        let shown_entry = match &entries(&[text])[0] {
            Entry::Network(network) => network.to_string(),
            Entry::Name(name) => name.to_string(),
        };
        assert_eq!(shown_entry, shown, "{text}");
    }
    for (text, part) in [
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("fe80::1/10", "fe80::/10"),
        ("10.0.0.0/33", "at most 32"),
        ("::/129", "at most 128"),
        ("crm/8", "no address"),
        ("https://crm.example.com", "its host alone"),
        ("crm.example.com:443", "all ports"),
        ("*", "0.0.0.0/0"),
        ("a.*.example.com", "*.example.com"),
        ("", "a network"),
        ("a b", "a network"),
    ] {
        let Unreadable { reason, hint } = Entry::parse(text).unwrap_err();
        assert!(format!("{reason} {hint}").contains(part), "{text}: {reason} {hint}");
    }
}

proptest! {
    /// Whatever is closed stays closed in each form that carries it.
    #[test]
    fn no_form_of_an_ipv4_address_is_more_open_than_itself(bits in any::<u32>(), private in any::<bool>()) {
        let guard = if private { private_denied(&[], &["203.0.0.0/8"]) } else { guard(&[], &["203.0.0.0/8"]) };
        let inner = std::net::Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = inner.octets();
        if resolved(&guard, "h", &inner.to_string()).is_err() && a != 0 {
            let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
            for form in [format!("::ffff:{inner}"), format!("::{inner}"), format!("64:ff9b::{inner}"), format!("64:ff9b:1::{inner}"), format!("2002:{hex}::1")] {
                prop_assert!(resolved(&guard, "h", &form).is_err(), "{}", form);
            }
        }
    }
}
