//! An address with the length of its network prefix.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;

/// An address and a prefix length that fits its family: `10.0.0.1/24`, `fd00::1/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    addr: IpAddr,
    prefix_len: u8,
}

/// What is wrong with the text or the numbers of a [`Cidr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidrError {
    /// The part before the slash is no address.
    Address,
    /// The part after the slash is no number, or more than the address has bits.
    PrefixLen,
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address",
            Self::PrefixLen => "not a prefix length (0 to 32 for IPv4, 0 to 128 for IPv6)",
        })
    }
}

impl core::error::Error for CidrError {}

impl Cidr {
    /// An address with a prefix length in bits.
    ///
    /// # Errors
    /// [`CidrError::PrefixLen`] above 32 (IPv4) or 128 (IPv6).
    pub const fn new(addr: IpAddr, prefix_len: u8) -> Result<Self, CidrError> {
        if prefix_len > Self::bits(addr) {
            return Err(CidrError::PrefixLen);
        }
        Ok(Self { addr, prefix_len })
    }

    /// The address alone: prefix length 32 or 128.
    #[must_use]
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            prefix_len: Self::bits(addr),
        }
    }

    const fn bits(addr: IpAddr) -> u8 {
        match addr {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    /// The address, host bits included.
    #[inline]
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The prefix length in bits.
    #[inline]
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether `addr` is of the same family and lies in the network.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                let differ = u32::from(net) ^ u32::from(addr);
                differ
                    .checked_shr(32 - u32::from(self.prefix_len))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let differ = u128::from(net) ^ u128::from(addr);
                differ
                    .checked_shr(128 - u32::from(self.prefix_len))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// The network: the address with its host bits cleared.
    #[must_use]
    pub fn network(&self) -> Self {
        let host_bits = u32::from(Self::bits(self.addr) - self.prefix_len);
        let addr = match self.addr {
            IpAddr::V4(addr) => {
                IpAddr::V4((u32::from(addr) & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into())
            }
            IpAddr::V6(addr) => IpAddr::V6(
                (u128::from(addr) & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into(),
            ),
        };
        Self {
            addr,
            prefix_len: self.prefix_len,
        }
    }

    /// The directed broadcast address of an IPv4 network of more than two addresses (RFC 3021).
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.addr {
            IpAddr::V4(addr) if self.prefix_len <= 30 => {
                Some((u32::from(addr) | u32::MAX >> self.prefix_len).into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `address/length`; without a slash, the address alone.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        match text.split_once('/') {
            Some((addr, len)) => {
                let addr = addr.parse().map_err(|_| CidrError::Address)?;
                Self::new(addr, len.parse().map_err(|_| CidrError::PrefixLen)?)
            }
            None => Ok(Self::host(text.parse().map_err(|_| CidrError::Address)?)),
        }
    }
}

impl From<IpAddr> for Cidr {
    fn from(addr: IpAddr) -> Self {
        Self::host(addr)
    }
}
