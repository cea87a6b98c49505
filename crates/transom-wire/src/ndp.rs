//! Neighbour Discovery for IPv6: RFC 4861, over Ethernet (RFC 2464).
//!
//! Invariants
//! - A message is read only if all that RFC 4861 demands of it holds: hop limit 255, code 0, long enough, every
//!   option longer than zero and within the packet, and the packet no fragment (RFC 6980).
//! - Unknown options are passed over; of two link-layer addresses or MTUs the last counts.

use crate::error::{Layer, Malformed, Reason};
use crate::ethernet::MacAddr;
use crate::icmpv6::{self, kind};
use crate::ip::Packet;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// The most prefixes that are taken from one router advertisement; the others are passed over.
pub const MAX_PREFIXES: usize = 16;

mod option {
    pub(super) const SOURCE_LINK: u8 = 1;
    pub(super) const TARGET_LINK: u8 = 2;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
}

const fn malformed(reason: Reason, at: usize) -> Malformed {
    Malformed::new(Layer::Ndp, reason, at)
}

/// A prefix that a router advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix; bits beyond its length are as sent.
    pub prefix: Ipv6Addr,
    /// Length in bits, 0 to 128.
    pub prefix_len: u8,
    /// Whether addresses of the prefix are on the link.
    pub on_link: bool,
    /// Whether addresses may be formed from it.
    pub autonomous: bool,
    /// Seconds for which it is valid; all ones: for ever.
    pub valid_lifetime: u32,
    /// Seconds for which addresses from it are preferred; all ones: for ever.
    pub preferred_lifetime: u32,
}

/// A Neighbour Discovery message as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Are there routers?
    RouterSolicitation {
        /// Link-layer address of the sender.
        source_link: Option<MacAddr>,
    },
    /// A router says what the link is like.
    RouterAdvertisement(RouterAdvertisement),
    /// Who has `target`?
    NeighborSolicitation {
        /// The address asked for; never multicast.
        target: Ipv6Addr,
        /// Link-layer address of the sender.
        source_link: Option<MacAddr>,
    },
    /// `target` is here.
    NeighborAdvertisement {
        /// Whether the sender is a router.
        router: bool,
        /// Whether it answers a solicitation.
        solicited: bool,
        /// Whether it replaces what is cached.
        override_cached: bool,
        /// The address spoken of; never multicast.
        target: Ipv6Addr,
        /// Its link-layer address.
        target_link: Option<MacAddr>,
    },
    /// There is a better first hop.
    Redirect {
        /// The better first hop.
        target: Ipv6Addr,
        /// For this destination.
        destination: Ipv6Addr,
        /// Link-layer address of the better first hop.
        target_link: Option<MacAddr>,
    },
}

/// What a router advertises.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RouterAdvertisement {
    /// Hop limit to use; 0: not said.
    pub hop_limit: u8,
    /// Whether addresses are available by DHCPv6.
    pub managed: bool,
    /// Whether other configuration is available by DHCPv6.
    pub other_config: bool,
    /// Seconds for which the sender may be used as default router; 0: not at all.
    pub router_lifetime: u16,
    /// Milliseconds for which a neighbour counts as reachable; 0: not said.
    pub reachable_ms: u32,
    /// Milliseconds between solicitations; 0: not said.
    pub retrans_ms: u32,
    /// Link-layer address of the router.
    pub source_link: Option<MacAddr>,
    /// MTU of the link in bytes.
    pub mtu: Option<u32>,
    /// Prefixes, at most [`MAX_PREFIXES`].
    pub prefixes: Vec<PrefixInformation>,
}

/// The options of a message that are understood.
#[derive(Default)]
struct NdpOptions {
    source_link: Option<MacAddr>,
    target_link: Option<MacAddr>,
    mtu: Option<u32>,
    prefixes: Vec<PrefixInformation>,
}

impl NdpOptions {
    /// Reads options; `at` is the offset of the first from the start of the message.
    fn parse(mut bytes: &[u8], mut at: usize) -> Result<Self, Malformed> {
        let mut options = Self::default();
        // Every step passes at least 8 bytes.
        while let Some(&kind) = bytes.first() {
            let len = bytes.get(1).map_or(0, |len| usize::from(*len) * 8);
            // ND-1, RFC 4861 §4.6: an option of length 0, or one that runs past the end, condemns the packet.
            let Some((option, rest)) = bytes.split_at_checked(len).filter(|_| len > 0) else {
                return Err(malformed(Reason::OptionLength, at));
            };
            match (kind, option) {
                (option::SOURCE_LINK, &[_, _, a, b, c, d, e, f]) => {
                    options.source_link = Some(MacAddr([a, b, c, d, e, f]));
                }
                (option::TARGET_LINK, &[_, _, a, b, c, d, e, f]) => {
                    options.target_link = Some(MacAddr([a, b, c, d, e, f]));
                }
                (option::MTU, &[_, _, _, _, a, b, c, d]) => {
                    options.mtu = Some(u32::from_be_bytes([a, b, c, d]));
                }
                (option::PREFIX, _) if options.prefixes.len() < MAX_PREFIXES => {
                    options.prefixes.extend(read_prefix(option));
                }
                _ => {}
            }
            bytes = rest;
            at += len;
        }
        Ok(options)
    }
}

/// Reads a prefix option of 32 bytes; none if it has another length or says more than 128 bits.
fn read_prefix(option: &[u8]) -> Option<PrefixInformation> {
    let (
        &[
            _,
            _,
            prefix_len,
            flags,
            v0,
            v1,
            v2,
            v3,
            p0,
            p1,
            p2,
            p3,
            _,
            _,
            _,
            _,
        ],
        prefix,
    ) = option.split_first_chunk::<16>()?;
    let prefix: [u8; 16] = prefix.try_into().ok()?;
    (prefix_len <= 128).then(|| PrefixInformation {
        prefix: prefix.into(),
        prefix_len,
        on_link: flags & 0x80 != 0,
        autonomous: flags & 0x40 != 0,
        valid_lifetime: u32::from_be_bytes([v0, v1, v2, v3]),
        preferred_lifetime: u32::from_be_bytes([p0, p1, p2, p3]),
    })
}

/// An address at the front of a message body, and what follows.
fn take_address(body: &[u8]) -> Result<(Ipv6Addr, &[u8]), Malformed> {
    match body.split_first_chunk::<16>() {
        Some((octets, rest)) => Ok((Ipv6Addr::from(*octets), rest)),
        None => Err(malformed(
            Reason::Truncated,
            icmpv6::HEADER_LEN + body.len(),
        )),
    }
}

/// A target, which may not be multicast.
fn take_target(body: &[u8]) -> Result<(Ipv6Addr, &[u8]), Malformed> {
    let (target, rest) = take_address(body)?;
    // RFC 4861 §7.1: a multicast target condemns the packet.
    if target.is_multicast() {
        return Err(malformed(Reason::Value, icmpv6::HEADER_LEN));
    }
    Ok((target, rest))
}

impl Message {
    /// Whether a message type belongs to Neighbour Discovery.
    #[must_use]
    pub const fn is_kind(kind: u8) -> bool {
        matches!(kind, kind::ROUTER_SOLICITATION..=kind::REDIRECT)
    }

    /// Reads a message, and checks what RFC 4861 §6.1 and §7.1 demand of it. The ICMPv6 checksum is the caller's to
    /// check. `packet` is the packet that carried it, as it came from the link: a reassembled one must be refused
    /// before.
    ///
    /// # Errors
    /// [`Malformed`] naming what condemns the packet.
    pub fn parse(packet: &Packet<'_>, view: &icmpv6::View<'_>) -> Result<Self, Malformed> {
        // ND-1: 255 proves that no router passed it on; code 0; no fragment, not even an atomic one.
        if packet.ttl() != 255 || packet.fragment().is_some() {
            return Err(malformed(Reason::Value, 0));
        }
        if view.code() != 0 {
            return Err(malformed(Reason::Value, 1));
        }
        let (rest, body) = (view.rest(), view.body());
        let unspecified = packet.src().is_unspecified();
        match view.kind() {
            kind::ROUTER_SOLICITATION => {
                let options = NdpOptions::parse(body, 8)?;
                reject_link_of_unspecified(unspecified, options.source_link)?;
                Ok(Self::RouterSolicitation {
                    source_link: options.source_link,
                })
            }
            kind::ROUTER_ADVERTISEMENT => parse_advertisement(rest, body),
            kind::NEIGHBOR_SOLICITATION => {
                let (target, options) = take_target(body)?;
                let options = NdpOptions::parse(options, 24)?;
                reject_link_of_unspecified(unspecified, options.source_link)?;
                // ND-2, RFC 4861 §7.1.1: from :: only to a solicited-node address.
                if unspecified && packet.dst() != solicited_node(target) {
                    return Err(malformed(Reason::Value, 0));
                }
                Ok(Self::NeighborSolicitation {
                    target,
                    source_link: options.source_link,
                })
            }
            kind::NEIGHBOR_ADVERTISEMENT => {
                let (target, options) = take_target(body)?;
                let [flags, ..] = rest;
                let solicited = flags & 0x40 != 0;
                // RFC 4861 §7.1.2: what went to many answers nobody in particular.
                if solicited && packet.dst().is_multicast() {
                    return Err(malformed(Reason::Value, 4));
                }
                Ok(Self::NeighborAdvertisement {
                    router: flags & 0x80 != 0,
                    solicited,
                    override_cached: flags & 0x20 != 0,
                    target,
                    target_link: NdpOptions::parse(options, 24)?.target_link,
                })
            }
            kind::REDIRECT => {
                let (target, body) = take_target(body)?;
                let (destination, options) = take_address(body)?;
                if destination.is_multicast() {
                    return Err(malformed(Reason::Value, 24));
                }
                let target_link = NdpOptions::parse(options, 40)?.target_link;
                Ok(Self::Redirect {
                    target,
                    destination,
                    target_link,
                })
            }
            _ => Err(malformed(Reason::Unsupported, 0)),
        }
    }

    /// Length in bytes of the message.
    #[must_use]
    pub fn len(&self) -> usize {
        let link = |link: &Option<MacAddr>| if link.is_some() { 8 } else { 0 };
        8 + match self {
            Self::RouterSolicitation { source_link } => link(source_link),
            Self::RouterAdvertisement(ra) => {
                8 + link(&ra.source_link)
                    + if ra.mtu.is_some() { 8 } else { 0 }
                    + 32 * ra.prefixes.len().min(MAX_PREFIXES)
            }
            Self::NeighborSolicitation { source_link, .. } => 16 + link(source_link),
            Self::NeighborAdvertisement { target_link, .. } => 16 + link(target_link),
            Self::Redirect { target_link, .. } => 32 + link(target_link),
        }
    }

    /// Never: a message has at least 8 bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message, checksum included, and returns its length; writes nothing and returns 0 if `out` is
    /// shorter than [`len`](Self::len). The packet must have hop limit 255.
    pub fn emit(&self, out: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) -> usize {
        let bytes = self.bytes();
        let Some(out) = out.get_mut(..bytes.len()) else {
            debug_assert!(false, "buffer shorter than len()");
            return 0;
        };
        out.copy_from_slice(&bytes);
        icmpv6::fill_checksum(out, src, dst);
        out.len()
    }

    /// The message with a checksum of 0. Built in a vector: messages are short and rare.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        match self {
            Self::RouterSolicitation { source_link } => {
                out.extend([kind::ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
                put_link(&mut out, option::SOURCE_LINK, *source_link);
            }
            Self::RouterAdvertisement(ra) => put_advertisement(&mut out, ra),
            Self::NeighborSolicitation {
                target,
                source_link,
            } => {
                out.extend([kind::NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
                out.extend(target.octets());
                put_link(&mut out, option::SOURCE_LINK, *source_link);
            }
            Self::NeighborAdvertisement {
                router,
                solicited,
                override_cached,
                target,
                target_link,
            } => {
                let flags =
                    bit(*router, 0x80) | bit(*solicited, 0x40) | bit(*override_cached, 0x20);
                out.extend([kind::NEIGHBOR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
                out.extend(target.octets());
                put_link(&mut out, option::TARGET_LINK, *target_link);
            }
            Self::Redirect {
                target,
                destination,
                target_link,
            } => {
                out.extend([kind::REDIRECT, 0, 0, 0, 0, 0, 0, 0]);
                out.extend(target.octets());
                out.extend(destination.octets());
                put_link(&mut out, option::TARGET_LINK, *target_link);
            }
        }
        out
    }
}

/// RFC 4861 §6.1.1, §7.1.1: a sender without an address has no link-layer address to tell.
const fn reject_link_of_unspecified(
    unspecified: bool,
    source_link: Option<MacAddr>,
) -> Result<(), Malformed> {
    if unspecified && source_link.is_some() {
        return Err(malformed(Reason::Value, 0));
    }
    Ok(())
}

fn parse_advertisement(rest: [u8; 4], body: &[u8]) -> Result<Message, Malformed> {
    let Some((&[a, b, c, d, e, f, g, h], options)) = body.split_first_chunk::<8>() else {
        return Err(malformed(
            Reason::Truncated,
            icmpv6::HEADER_LEN + body.len(),
        ));
    };
    let [hop_limit, flags, l0, l1] = rest;
    let options = NdpOptions::parse(options, 16)?;
    Ok(Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit,
        managed: flags & 0x80 != 0,
        other_config: flags & 0x40 != 0,
        router_lifetime: u16::from_be_bytes([l0, l1]),
        reachable_ms: u32::from_be_bytes([a, b, c, d]),
        retrans_ms: u32::from_be_bytes([e, f, g, h]),
        source_link: options.source_link,
        mtu: options.mtu,
        prefixes: options.prefixes,
    }))
}

fn put_advertisement(out: &mut Vec<u8>, ra: &RouterAdvertisement) {
    let flags = bit(ra.managed, 0x80) | bit(ra.other_config, 0x40);
    out.extend([kind::ROUTER_ADVERTISEMENT, 0, 0, 0, ra.hop_limit, flags]);
    out.extend(ra.router_lifetime.to_be_bytes());
    out.extend(ra.reachable_ms.to_be_bytes());
    out.extend(ra.retrans_ms.to_be_bytes());
    put_link(out, option::SOURCE_LINK, ra.source_link);
    if let Some(mtu) = ra.mtu {
        out.extend([option::MTU, 1, 0, 0]);
        out.extend(mtu.to_be_bytes());
    }
    for prefix in ra.prefixes.iter().take(MAX_PREFIXES) {
        let flags = bit(prefix.on_link, 0x80) | bit(prefix.autonomous, 0x40);
        out.extend([option::PREFIX, 4, prefix.prefix_len, flags]);
        out.extend(prefix.valid_lifetime.to_be_bytes());
        out.extend(prefix.preferred_lifetime.to_be_bytes());
        out.extend([0; 4]);
        out.extend(prefix.prefix.octets());
    }
}

const fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn put_link(out: &mut Vec<u8>, kind: u8, link: Option<MacAddr>) {
    if let Some(link) = link {
        out.extend([kind, 1]);
        out.extend(link.octets());
    }
}

/// The multicast group that a node with this address joins (RFC 4291 §2.7.1).
#[must_use]
pub const fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | a as u16,
        u16::from_be_bytes([b, c]),
    )
}
