//! A range of addresses that share their first bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    /// The first address; bits after `len` are ignored.
    pub(crate) address: IpAddr,
    /// How many leading bits count.
    pub(crate) len: u8,
}

impl Prefix {
    /// All addresses of the family.
    pub(crate) const ALL_V4: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        len: 0,
    };
    /// All addresses of the family.
    pub(crate) const ALL_V6: Self = Self {
        address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        len: 0,
    };

    /// Whether some address lies in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let shorter = self.len.min(other.len);
        match (self.address, other.address) {
            (IpAddr::V4(one), IpAddr::V4(two)) => {
                let differs = u128::from(one.to_bits() ^ two.to_bits()) << 96;
                differs.leading_zeros() >= u32::from(shorter)
            }
            (IpAddr::V6(one), IpAddr::V6(two)) => {
                (one.to_bits() ^ two.to_bits()).leading_zeros() >= u32::from(shorter)
            }
            _ => false,
        }
    }

    /// Whether every address of the family lies in it.
    pub(crate) fn is_default(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, len) = text.split_once('/').unwrap();
        Prefix {
            address: address.parse().unwrap(),
            len: len.parse().unwrap(),
        }
    }

    #[test]
    fn overlap_is_decided_by_the_shorter_prefix() {
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.0.2.0/24")));
        assert!(prefix("10.0.2.0/24").overlaps(&prefix("10.0.0.0/8")));
        assert!(!prefix("10.0.2.0/24").overlaps(&prefix("10.0.3.0/24")));
        assert!(prefix("10.0.2.0/24").overlaps(&Prefix::ALL_V4));
        assert!(!prefix("10.0.2.0/24").overlaps(&Prefix::ALL_V6));
        assert!(prefix("fd00::/8").overlaps(&prefix("fd00:1::/64")));
        assert!(!prefix("2001:db8::/32").overlaps(&prefix("fd00::/8")));
    }
}
