//! The fields of pcapng blocks.

use super::{LinkType, reader::Interface};
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of blocks.
pub(super) mod kind {
    pub(crate) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(crate) const INTERFACE_DESCRIPTION: u32 = 1;
    /// The packet block of the first drafts.
    pub(crate) const PACKET: u32 = 2;
    pub(crate) const SIMPLE_PACKET: u32 = 3;
    pub(crate) const NAME_RESOLUTION: u32 = 4;
    pub(crate) const ENHANCED_PACKET: u32 = 6;
    pub(crate) const DECRYPTION_SECRETS: u32 = 10;
}

pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type, and the length in front and behind.
pub(super) const FRAME_LEN: usize = 12;

/// Codes of options; those below 2 are common to all blocks.
pub(super) mod option {
    pub(crate) const END: u16 = 0;
    pub(crate) const COMMENT: u16 = 1;
    pub(crate) const IF_NAME: u16 = 2;
    pub(crate) const IF_DESCRIPTION: u16 = 3;
    pub(crate) const IF_TSRESOL: u16 = 9;
    pub(crate) const IF_FCSLEN: u16 = 13;
    pub(crate) const IF_TSOFFSET: u16 = 14;
    pub(crate) const PACKET_FLAGS: u16 = 2;
    pub(crate) const SHB_USERAPPL: u16 = 4;
}

/// The byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The field at `at`; 0 if it is not there.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
        let field = field.copied().unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(field),
            Self::Big => u16::from_be_bytes(field),
        }
    }

    /// The field at `at`; 0 if it is not there.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
        let field = field.copied().unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        }
    }

    pub(super) const fn bytes_of_u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(super) const fn bytes_of_u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// The options of a block, or the records of a name resolution block, one by one. What runs past the
/// end of the block ends the walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Options<'a> {
    pub(super) const fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { rest: bytes, order }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes from the next option on.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16(self.rest, 0);
        let len = usize::from(self.order.u16(self.rest, 2));
        // Code 0 is also what a walk past the end reads.
        if code == option::END {
            return None;
        }
        let value = self.rest.get(4..4 + len)?;
        self.rest = self
            .rest
            .get(4 + len.next_multiple_of(4)..)
            .unwrap_or_default();
        Some((code, value))
    }
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    resolution: Resolution,
    /// Seconds to add.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Micros,
    Nanos,
    /// Units of 10^-n seconds.
    Decimal(u8),
    /// Units of 2^-n seconds.
    Binary(u8),
}

const NANOS: u64 = 1_000_000_000;

impl Clock {
    pub(super) const MICROS: Self = Self {
        resolution: Resolution::Micros,
        offset: 0,
    };

    /// The time that a count stands for; what is before 1970 becomes the start of it.
    #[inline]
    pub(super) fn time(self, count: u64) -> Duration {
        let time = match self.resolution {
            Resolution::Micros => Duration::from_micros(count),
            Resolution::Nanos => Duration::from_nanos(count),
            Resolution::Decimal(digits) => decimal(count, digits),
            Resolution::Binary(bits) => binary(count, bits),
        };
        if self.offset == 0 {
            return time;
        }
        let offset = Duration::from_secs(self.offset.unsigned_abs());
        if self.offset > 0 {
            time.saturating_add(offset)
        } else {
            time.saturating_sub(offset)
        }
    }
}

fn decimal(count: u64, digits: u8) -> Duration {
    // 10^20 is more than any count: below one second.
    let seconds = match 10_u64.checked_pow(u32::from(digits)) {
        Some(unit) => count / unit,
        None => 0,
    };
    let nanos = match digits.checked_sub(9) {
        // Finer than a nanosecond.
        Some(finer) => 10_u64
            .checked_pow(u32::from(finer))
            .map_or(0, |unit| count / unit % NANOS),
        None => {
            let coarser = 10_u64.pow(9 - u32::from(digits));
            (u128::from(count) * u128::from(coarser) % u128::from(NANOS))
                .try_into()
                .unwrap_or(0)
        }
    };
    Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos))
}

fn binary(count: u64, bits: u8) -> Duration {
    let seconds = count.checked_shr(u32::from(bits)).unwrap_or(0);
    let fraction = match 1_u64.checked_shl(u32::from(bits)) {
        Some(unit) => count & (unit - 1),
        None => count,
    };
    // A fraction is below 2^64 and 10^9 below 2^30; at most 127 bits are shifted out.
    let nanos = (u128::from(fraction) * u128::from(NANOS)) >> bits.min(127);
    Duration::from_secs(seconds)
        .saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Reads an interface description; names are cut to a length worth showing.
pub(super) fn interface(body: &[u8], order: Order) -> Interface {
    const NAME_MAX: usize = 256;
    let text = |value: &[u8]| {
        let value = value.get(..NAME_MAX).unwrap_or(value);
        String::from_utf8_lossy(value).into_owned()
    };
    let mut interface = Interface {
        name: String::new(),
        description: String::new(),
        link: LinkType(order.u16(body, 0)),
        snaplen: order.u32(body, 4),
        fcs_len: None,
        clock: Clock::MICROS,
    };
    for (code, value) in Options::new(body.get(8..).unwrap_or_default(), order) {
        match (code, value) {
            (option::IF_NAME, value) => interface.name = text(value),
            (option::IF_DESCRIPTION, value) => interface.description = text(value),
            (option::IF_FCSLEN, [len, ..]) => interface.fcs_len = Some(*len),
            (option::IF_TSRESOL, [resolution, ..]) => {
                interface.clock.resolution = match (resolution >> 7, resolution & 0x7f) {
                    (0, 6) => Resolution::Micros,
                    (0, 9) => Resolution::Nanos,
                    (0, digits) => Resolution::Decimal(digits),
                    (_, bits) => Resolution::Binary(bits),
                };
            }
            (option::IF_TSOFFSET, value) => {
                if let Some(value) = value.first_chunk::<8>() {
                    interface.clock.offset = match order {
                        Order::Little => i64::from_le_bytes(*value),
                        Order::Big => i64::from_be_bytes(*value),
                    };
                }
            }
            _ => {}
        }
    }
    interface
}

/// The addresses and first names in the body of a name resolution block.
pub(super) fn names(body: &[u8], order: Order) -> impl Iterator<Item = (IpAddr, String)> {
    const IPV4: u16 = 1;
    const IPV6: u16 = 2;
    // Longer than any name of the DNS.
    const NAME_MAX: usize = 255;
    Options::new(body, order).filter_map(|(code, value)| {
        let (addr, names) = match code {
            IPV4 => {
                let (addr, names) = value.split_first_chunk::<4>()?;
                (IpAddr::V4(Ipv4Addr::from(*addr)), names)
            }
            IPV6 => {
                let (addr, names) = value.split_first_chunk::<16>()?;
                (IpAddr::V6(Ipv6Addr::from(*addr)), names)
            }
            _ => return None,
        };
        let name = names.split(|byte| *byte == 0).next()?;
        let name = name.get(..NAME_MAX).unwrap_or(name);
        (!name.is_empty()).then(|| (addr, String::from_utf8_lossy(name).into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_resolution() {
        let at = |resolution, offset, count| Clock { resolution, offset }.time(count);
        let expected = Duration::new(1_700_000_000, 500_000_000);
        let cases = [
            (Resolution::Micros, 1_700_000_000_500_000),
            (Resolution::Nanos, 1_700_000_000_500_000_000),
            (Resolution::Decimal(1), 17_000_000_005),
            (Resolution::Decimal(3), 1_700_000_000_500),
            (Resolution::Decimal(10), 17_000_000_005_000_000_000),
            (Resolution::Binary(1), 3_400_000_001),
            (Resolution::Binary(32), (1_700_000_000 << 32) + (1 << 31)),
        ];
        for (resolution, count) in cases {
            assert_eq!(at(resolution, 0, count), expected, "{resolution:?}");
        }
        assert_eq!(
            at(Resolution::Decimal(0), 0, 7),
            Duration::from_secs(7),
            "whole seconds"
        );
        assert_eq!(
            at(Resolution::Micros, 1_700_000_000, 500_000),
            expected,
            "an offset"
        );
        assert_eq!(
            at(Resolution::Micros, -1_700_000_000, 1_700_000_001_000_000),
            Duration::from_secs(1)
        );
        assert_eq!(at(Resolution::Micros, i64::MIN, 5), Duration::ZERO);
    }

    #[test]
    fn no_resolution_or_count_overflows() {
        for exponent in 0..=127 {
            for resolution in [Resolution::Decimal(exponent), Resolution::Binary(exponent)] {
                for count in [0, 1, u64::MAX] {
                    for offset in [i64::MIN, 0, i64::MAX] {
                        let _ = Clock { resolution, offset }.time(count);
                    }
                }
            }
        }
    }
}
