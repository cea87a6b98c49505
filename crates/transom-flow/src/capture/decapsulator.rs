//! Records to the innermost IP packets.

use super::checksum;
use super::fragments::{Fragments, Outcome};
use super::link::{self, NoIp};
use super::tunnel::{self, Inner, Tunnel};
use super::{LinkType, Record};
use crate::dissect::Ignored;
use crate::tracker::{Checksum, Frame};
use core::time::Duration;
use transom_wire::{Layer, Malformed, Medium, Reason};

/// IP packets within IP packets that are looked into.
const DEPTH_MAX: usize = 8;

/// What was found around packets, and what was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Records given.
    pub records: u64,
    /// Records of which less was captured than was on the wire.
    pub cut: u64,
    /// Records of link types that are not understood.
    pub unknown_link: u64,
    /// The last of those link types.
    pub unknown_link_type: Option<LinkType>,
    /// Records that hold no IP packet.
    pub not_ip: u64,
    /// Records that the link encrypted.
    pub encrypted: u64,
    /// Records that end within their link header.
    pub short: u64,
    /// GRE headers taken off.
    pub gre: u64,
    /// VXLAN and Geneve headers taken off.
    pub vxlan: u64,
    /// IP headers taken off in front of other IP headers.
    pub ip_in_ip: u64,
    /// GTP-U, Teredo and AYIYA headers taken off.
    pub udp_tunnels: u64,
    /// Fragments of IP packets.
    pub fragments: u64,
    /// Packets put together from fragments.
    pub reassembled: u64,
    /// Fragments seen twice, as port mirrors make them.
    pub fragment_copies: u64,
    /// Fragments that contradict others or the rules; their packets are left out.
    pub fragments_refused: u64,
    /// Packets left out because some of their fragments did not come.
    pub incomplete: u64,
    /// TCP checksums that are wrong: damage after the sender. Counted only where they are checked.
    pub checksums_wrong: u64,
    /// TCP checksums that the sending host had left to its network card. Counted only where they are
    /// checked.
    pub checksums_offloaded: u64,
    /// Records earlier than the one before.
    pub time_reversals: u64,
}

/// Takes link headers, tags, labels and tunnels off records, and puts fragments together.
///
/// Memory is bounded (about 9 MiB of fragments); what is left out is counted in [`Counters`].
#[derive(Debug, Default)]
pub struct Decapsulator {
    layers: Layers,
    last: Duration,
    checks: bool,
    /// The last packet that was put together.
    whole: Vec<u8>,
}

/// What lasts from packet to packet.
#[derive(Debug, Default)]
struct Layers {
    counters: Counters,
    fragments: Fragments,
}

/// What is within an IP packet.
enum Peeled<'a> {
    /// The innermost packet, at the end of what was given.
    Packet(&'a [u8]),
    /// One that was put together, to be looked into, and its length on the wire.
    Whole(Vec<u8>, u32),
}

impl Decapsulator {
    /// A decapsulator that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the TCP checksums of packets that were captured in full.
    ///
    /// That costs some 20 ns a packet and 30 ns a KiB; without it [`Frame::checksum`] stays unknown.
    #[must_use]
    pub const fn with_checksums(mut self) -> Self {
        self.checks = true;
        self
    }

    /// What was found so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            incomplete: self.layers.fragments.incomplete(),
            ..self.layers.counters
        }
    }

    /// Packets of which some fragments have not come yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.layers.fragments.pending()
    }

    /// The innermost IP packet of a record, numbered and timed as the record. A packet that came in
    /// fragments is given with the one that completes it.
    ///
    /// # Errors
    /// [`Ignored`] if it holds none; it is counted. [`Ignored::Fragment`] for one that has to wait.
    #[inline(always)]
    pub fn frame<'a>(&'a mut self, record: &Record<'a>) -> Result<Frame<'a>, Ignored> {
        let counters = &mut self.layers.counters;
        counters.records += 1;
        counters.cut += u64::from(record.is_cut());
        counters.time_reversals += u64::from(record.time < self.last);
        self.last = record.time;
        let (packet, wire_len) = match self.layers.packet(record)? {
            Peeled::Packet(packet) => {
                let off = record.data.len() - packet.len();
                let off = u32::try_from(off).unwrap_or(u32::MAX);
                (packet, record.orig_len.saturating_sub(off))
            }
            Peeled::Whole(packet, len) => {
                self.whole = packet;
                let wire_len = self.peel_whole(record.time, len)?;
                let at = self.whole.len().saturating_sub(wire_len.1);
                (self.whole.get(at..).unwrap_or_default(), wire_len.0)
            }
        };
        let checksum = if self.checks {
            let counters = &mut self.layers.counters;
            let checksum = checksum::check(packet, record.direction);
            counters.checksums_wrong += u64::from(checksum == Checksum::Wrong);
            counters.checksums_offloaded += u64::from(checksum == Checksum::Offloaded);
            checksum
        } else {
            Checksum::Unknown
        };
        Ok(Frame {
            number: Some(record.number),
            wire_len,
            checksum,
            ..Frame::new(record.time, Medium::Ip, packet)
        })
    }

    /// Looks into a packet that was put together, which may hold fragments in turn; returns the length of
    /// the innermost packet on the wire, and of what there is of it at the end of `whole`.
    #[cold]
    fn peel_whole(&mut self, time: Duration, mut wire_len: u32) -> Result<(u32, usize), Ignored> {
        for _ in 0..DEPTH_MAX {
            match self.layers.peel(time, &self.whole)? {
                Peeled::Packet(packet) => {
                    let off = self.whole.len() - packet.len();
                    let off = u32::try_from(off).unwrap_or(u32::MAX);
                    return Ok((wire_len.saturating_sub(off), packet.len()));
                }
                Peeled::Whole(packet, len) => {
                    self.whole = packet;
                    wire_len = len;
                }
            }
        }
        Err(Ignored::Fragment)
    }
}

impl Layers {
    #[inline]
    fn packet<'a>(&mut self, record: &Record<'a>) -> Result<Peeled<'a>, Ignored> {
        match link::strip(record.link, record.data) {
            Ok(packet) => self.peel(record.time, packet),
            Err(no_ip) => Err(self.no_ip(no_ip, record)),
        }
    }

    #[inline]
    fn peel<'a>(&mut self, time: Duration, mut packet: &'a [u8]) -> Result<Peeled<'a>, Ignored> {
        for _ in 0..DEPTH_MAX {
            match tunnel::look(packet) {
                Inner::None => break,
                Inner::Fragment => return self.fragment(time, packet),
                Inner::Packet(tunnel, inner) => {
                    match tunnel {
                        Tunnel::Gre => self.counters.gre += 1,
                        Tunnel::Vxlan => self.counters.vxlan += 1,
                        Tunnel::Ip => self.counters.ip_in_ip += 1,
                        Tunnel::Udp => self.counters.udp_tunnels += 1,
                    }
                    packet = inner;
                }
            }
        }
        Ok(Peeled::Packet(packet))
    }

    #[cold]
    fn fragment<'a>(&mut self, time: Duration, packet: &[u8]) -> Result<Peeled<'a>, Ignored> {
        self.counters.fragments += 1;
        match self.fragments.add(time, packet) {
            Outcome::Waiting => {}
            Outcome::Copy => self.counters.fragment_copies += 1,
            Outcome::Refused => self.counters.fragments_refused += 1,
            Outcome::Whole { packet, wire_len } => {
                self.counters.reassembled += 1;
                return Ok(Peeled::Whole(packet, wire_len));
            }
        }
        Err(Ignored::Fragment)
    }

    #[cold]
    fn no_ip(&mut self, no_ip: NoIp, record: &Record<'_>) -> Ignored {
        match no_ip {
            NoIp::Other => self.counters.not_ip += 1,
            NoIp::Encrypted => self.counters.encrypted += 1,
            NoIp::UnknownLink => {
                self.counters.unknown_link += 1;
                self.counters.unknown_link_type = Some(record.link);
            }
            NoIp::Short => {
                self.counters.short += 1;
                return Ignored::Malformed(Malformed::new(
                    Layer::Ethernet,
                    Reason::Truncated,
                    record.data.len(),
                ));
            }
        }
        Ignored::NotIp
    }
}
