//! The chain of IPv6 extension headers: RFC 8200 §4.
//!
//! Invariants
//! - At most [`MAX_HEADERS`] headers of at most [`MAX_CHAIN_LEN`] bytes in all are walked; every step
//!   passes at least 8 bytes; every length is checked before it is used.
//! - The walk ends at a fragment header that is not atomic: what follows belongs to the reassembled packet.

use super::HEADER_LEN;
use crate::error::{Layer, Malformed, Reason};
use crate::ip::{Fragment, MAX_PACKET_LEN, Protocol};

/// The most extension headers that are walked (IP6-5).
pub const MAX_HEADERS: usize = 8;
/// The most bytes of extension headers that are walked (IP6-5).
pub const MAX_CHAIN_LEN: usize = 512;

const fn malformed(reason: Reason, at: usize) -> Malformed {
    Malformed::new(Layer::Ipv6Extension, reason, at)
}

/// What was found behind the fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The first header that is not an extension header; in a fragment that is not the first, the type that
    /// the fragment header names.
    pub protocol: Protocol,
    /// Length in bytes of the extension headers.
    pub len: usize,
    /// Where the next-header field that names `protocol` is: offset in bytes from the start of the packet.
    pub next_header_at: usize,
    /// The fragment header, if there was one.
    pub fragment: Option<Fragment>,
    /// What follows the extension headers.
    pub payload: &'a [u8],
}

/// Whether faults that only a receiver minds end the walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Receiver,
    Reader,
}

/// Walks the extension headers in `payload`, the bytes behind the fixed header, beginning with `next_header`, and
/// checks what a receiver must check.
///
/// # Errors
/// [`Malformed`] with offsets from the start of the IPv6 header, ready for a
/// [`Report`](crate::icmpv6::Report).
#[inline]
pub fn walk(next_header: Protocol, payload: &[u8]) -> Result<Chain<'_>, Malformed> {
    walk_as(Strictness::Receiver, next_header, payload)
}

/// Walks the extension headers of a packet that may be cut short, as captures and ICMP errors hold it, and minds only
/// where one header ends and the next begins.
///
/// # Errors
/// [`Malformed`] if there are too many headers, or one is cut short.
#[inline]
pub fn walk_lax(next_header: Protocol, payload: &[u8]) -> Result<Chain<'_>, Malformed> {
    walk_as(Strictness::Reader, next_header, payload)
}

#[inline]
fn walk_as(
    strictness: Strictness,
    next_header: Protocol,
    payload: &[u8],
) -> Result<Chain<'_>, Malformed> {
    let chain = Chain {
        protocol: next_header,
        len: 0,
        next_header_at: 6,
        fragment: None,
        payload,
    };
    // Nearly every packet has no extension header.
    if is_extension(next_header) {
        walk_extensions(strictness, chain)
    } else {
        Ok(chain)
    }
}

const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::DESTINATION_OPTIONS
            | Protocol::AUTHENTICATION
    )
}

fn walk_extensions(strictness: Strictness, mut chain: Chain<'_>) -> Result<Chain<'_>, Malformed> {
    let strict = strictness == Strictness::Receiver;
    let mut count = 0;
    while is_extension(chain.protocol) {
        let at = HEADER_LEN + chain.len;
        let (header, rest) = split_header(&chain, at)?;
        count += 1;
        if count > MAX_HEADERS || chain.len + header.len() > MAX_CHAIN_LEN {
            return Err(malformed(Reason::TooManyHeaders, at));
        }
        let mut splits = false;
        match chain.protocol {
            // IP6-3: hop-by-hop options stand directly behind the fixed header or nowhere.
            Protocol::HOP_BY_HOP if strict && chain.len != 0 => {
                return Err(malformed(Reason::HopByHopNotFirst, chain.next_header_at));
            }
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS if strict => {
                check_options(header, at)?;
            }
            Protocol::ROUTING if strict => check_routing(header, at)?,
            Protocol::FRAGMENT => {
                // A fragment of fragments is made by nobody but an attacker.
                if chain.fragment.is_some() {
                    return Err(malformed(Reason::Value, chain.next_header_at));
                }
                let fragment = read_fragment(header, at)?;
                if strict {
                    check_fragment(fragment, rest.len(), at)?;
                }
                chain.fragment = Some(fragment);
                splits = !fragment.is_atomic();
            }
            _ => {}
        }
        chain.protocol = Protocol(header.first().copied().unwrap_or_default());
        chain.next_header_at = at;
        chain.len += header.len();
        chain.payload = rest;
        if splits {
            // What follows is a piece of another payload: the whole is walked after reassembly.
            if strict {
                check_first_fragment(&chain)?;
            }
            break;
        }
    }
    Ok(chain)
}

/// Cuts the header that `chain.protocol` names off the front of the payload.
fn split_header<'a>(chain: &Chain<'a>, at: usize) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let len_field = chain.payload.get(1).copied().map_or(0, usize::from);
    let len = match chain.protocol {
        Protocol::FRAGMENT => 8,
        // RFC 4302 §2.2: counted in 4-byte words, less two.
        Protocol::AUTHENTICATION => (len_field + 2) * 4,
        _ => (len_field + 1) * 8,
    };
    chain
        .payload
        .split_at_checked(len)
        .ok_or_else(|| malformed(Reason::Truncated, at))
}

/// RFC 8200 §4.5, RFC 7112: the first fragment holds all headers up to and including the upper layer's.
fn check_first_fragment(chain: &Chain<'_>) -> Result<(), Malformed> {
    if !chain.fragment.is_some_and(|fragment| fragment.is_first()) {
        return Ok(());
    }
    let split = malformed(Reason::HeaderChainSplit, 0);
    let rest = match walk_lax(chain.protocol, chain.payload) {
        Ok(rest) if rest.fragment.is_some() => {
            return Err(malformed(Reason::Value, chain.next_header_at));
        }
        Ok(rest) => rest,
        Err(Malformed {
            reason: Reason::Truncated,
            ..
        }) => return Err(split),
        Err(fault) => {
            return Err(Malformed {
                at: fault.at + chain.len,
                ..fault
            });
        }
    };
    let upper_len = match rest.protocol {
        Protocol::TCP => crate::tcp::MIN_HEADER_LEN,
        Protocol::UDP => crate::udp::HEADER_LEN,
        Protocol::ICMPV6 => crate::icmpv6::HEADER_LEN,
        _ => 0,
    };
    if rest.payload.len() < upper_len {
        Err(split)
    } else {
        Ok(())
    }
}

fn check_options(header: &[u8], at: usize) -> Result<(), Malformed> {
    let mut pos = 2;
    // Every step passes at least one byte of a header of at most 512.
    while let Some((&kind, rest)) = header.get(pos..).and_then(<[u8]>::split_first) {
        if kind == 0 {
            // Pad1, the only option without a length.
            pos += 1;
            continue;
        }
        let Some((&len, data)) = rest.split_first() else {
            return Err(malformed(Reason::OptionLength, at + pos));
        };
        if usize::from(len) > data.len() {
            return Err(malformed(Reason::OptionLength, at + pos + 1));
        }
        // PadN and router alert are known; they need nothing from a host.
        if kind != 1 {
            // IP6-3, RFC 8200 §4.2: the two highest bits say what to do with an unknown option.
            let reason = match kind >> 6 {
                0b00 => None,
                0b01 => Some(Reason::OptionDiscard),
                0b10 => Some(Reason::OptionReport),
                _ => Some(Reason::OptionReportUnicast),
            };
            if let Some(reason) = reason {
                return Err(malformed(reason, at + pos));
            }
        }
        pos += 2 + usize::from(len);
    }
    Ok(())
}

fn check_routing(header: &[u8], at: usize) -> Result<(), Malformed> {
    // IP6-6, RFC 8200 §4.4: with no segments left the header is passed over, whatever its type; otherwise an
    // unknown type is reported with a pointer to the type. RFC 5095: type 0 counts as unknown.
    match header.get(3) {
        Some(0) => Ok(()),
        _ => Err(malformed(Reason::Routing, at + 2)),
    }
}

fn read_fragment(header: &[u8], at: usize) -> Result<Fragment, Malformed> {
    let &[_, _, o0, o1, i0, i1, i2, i3] = header else {
        return Err(malformed(Reason::Truncated, at));
    };
    let field = u16::from_be_bytes([o0, o1]);
    Ok(Fragment {
        id: u32::from_be_bytes([i0, i1, i2, i3]),
        offset: field & !0b111,
        more: field & 1 != 0,
    })
}

fn check_fragment(fragment: Fragment, data_len: usize, at: usize) -> Result<(), Malformed> {
    // RFC 8200 §4.5: all but the last fragment are multiples of 8 long (pointer to the payload length), and
    // none ends beyond 65535 (pointer to the fragment offset).
    if fragment.more && !data_len.is_multiple_of(8) {
        return Err(malformed(Reason::FragmentLength, 4));
    }
    if usize::from(fragment.offset) + data_len > MAX_PACKET_LEN {
        return Err(malformed(Reason::FragmentOverflow, at + 2));
    }
    Ok(())
}

/// A fragment header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// What the reassembled payload begins with.
    pub next_header: Protocol,
    /// Identification, offset (a multiple of 8) and whether more follow.
    pub fragment: Fragment,
}

impl FragmentHeader {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Writes the header; an offset is rounded down to a multiple of 8. Returns its length, or 0 with nothing
    /// written if `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let Some((header, _)) = out.split_first_chunk_mut::<8>() else {
            debug_assert!(false, "buffer shorter than a fragment header");
            return 0;
        };
        let field = self.fragment.offset & !0b111 | u16::from(self.fragment.more);
        let [o0, o1] = field.to_be_bytes();
        let [i0, i1, i2, i3] = self.fragment.id.to_be_bytes();
        *header = [self.next_header.raw(), 0, o0, o1, i0, i1, i2, i3];
        Self::LEN
    }
}
