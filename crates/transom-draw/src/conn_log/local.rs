//! Which addresses count as local: those that are not routed on the Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of the IANA IPv4 special-purpose address registry, and multicast that stays on a link or
/// in an organisation.
const V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 24),
    (Ipv4Addr::new(239, 0, 0, 0), 8),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Blocks of the IANA IPv6 special-purpose address registry.
const V6: [(Ipv6Addr, u32); 9] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
];

/// Whether an address is local.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_local_v4(ip),
        IpAddr::V6(ip) => {
            // 6to4 (RFC 3056) is as local as the IPv4 address in it.
            let [prefix, high, low, ..] = ip.segments();
            let embedded = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            prefix == 0x2002 && is_local_v4(embedded)
                || V6
                    .iter()
                    .any(|(block, len)| (ip.to_bits() ^ block.to_bits()).leading_zeros() >= *len)
        }
    }
}

fn is_local_v4(ip: Ipv4Addr) -> bool {
    V4.iter()
        .any(|(block, len)| (ip.to_bits() ^ block.to_bits()).leading_zeros() >= *len)
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn local_is_what_the_internet_does_not_route() {
        for ip in [
            "10.0.2.100",
            "127.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.127.0.1",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "2002:c0a8:101::1",
            "2001:db8::1",
        ] {
            assert!(is_local(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "11.0.0.0",
            "2606:2800::1",
            "2002:808:808::1",
        ] {
            assert!(!is_local(ip.parse().unwrap()), "{ip}");
        }
    }
}
