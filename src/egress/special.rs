//! What no destination leads to unless the file says so, and what counts as private.

use super::entry::Network;

const METADATA: &str = "a cloud's metadata service";
const LINK_LOCAL: &str = "link-local";

/// Closed by default, and what each is. An address of a metadata service is named by itself though it is link-local as well: who opens
/// link-local addresses does not open these.
pub(super) const SPECIAL: &[(Network, &str)] = &[
    (Network::v4(0, 0, 0, 0, 8), "unspecified"),
    (Network::v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (Network::v4(224, 0, 0, 0, 4), "multicast"),
    (Network::v4(240, 0, 0, 0, 4), "reserved or broadcast"),
    (Network::v6([0, 0, 0], [0, 0], 128), "unspecified"),
    (Network::v6([0xfe80, 0, 0], [0, 0], 10), LINK_LOCAL),
    (Network::v6([0xff00, 0, 0], [0, 0], 8), "multicast"),
    // AWS, Azure, Google, Oracle, DigitalOcean, Hetzner, OpenStack and others.
    (Network::v4(169, 254, 169, 254, 32), METADATA),
    // AWS: credentials of ECS tasks and of EKS pods.
    (Network::v4(169, 254, 170, 2, 32), METADATA),
    (Network::v4(169, 254, 170, 23, 32), METADATA),
    // AWS, what it serves to instances over IPv6: metadata (254), pod credentials (23), time and names.
    (Network::v6([0xfd00, 0xec2, 0], [0, 0], 32), METADATA),
    // Google over IPv6.
    (Network::v6([0xfd20, 0xce, 0], [0, 0x254], 128), METADATA),
    // Oracle over IPv6, and its older cloud.
    (Network::v6([0xfd00, 0xc1, 0], [0xa9fe, 0xa9fe], 128), METADATA),
    (Network::v4(192, 0, 0, 192, 32), METADATA),
    // OpenStack over IPv6.
    (Network::v6([0xfe80, 0, 0], [0xa9fe, 0xa9fe], 128), METADATA),
    // Scaleway.
    (Network::v4(169, 254, 42, 42, 32), METADATA),
    (Network::v6([0xfd00, 0x42, 0], [0, 0x42], 128), METADATA),
    // Alibaba.
    (Network::v4(100, 100, 100, 200, 32), METADATA),
    // Tencent.
    (Network::v4(169, 254, 0, 23, 32), METADATA),
    // Azure's channel to its virtual machines, at an address that looks public.
    (Network::v4(168, 63, 129, 16, 32), METADATA),
];

/// What `private: deny` closes.
pub(super) const PRIVATE: &[Network] = &[
    Network::v4(10, 0, 0, 0, 8),
    Network::v4(172, 16, 0, 0, 12),
    Network::v4(192, 168, 0, 0, 16),
    // Loopback.
    Network::v4(127, 0, 0, 0, 8),
    Network::v6([0, 0, 0], [0, 1], 128),
    // Shared with other customers of a provider (RFC 6598), and used inside of clusters.
    Network::v4(100, 64, 0, 0, 10),
    // Protocols' own, and benchmarks (RFC 6890, RFC 2544).
    Network::v4(192, 0, 0, 0, 24),
    Network::v4(198, 18, 0, 0, 15),
    // Unique local, and what was called site-local before.
    Network::v6([0xfc00, 0, 0], [0, 0], 7),
    Network::v6([0xfec0, 0, 0], [0, 0], 10),
];

/// Names of metadata services, for where a proxy resolves them. In lower case.
pub(super) const METADATA_NAMES: [&str; 5] =
    ["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"];
