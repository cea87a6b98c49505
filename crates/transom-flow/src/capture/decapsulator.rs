//! Records to the innermost IP packets.

use super::link::{self, NoIp};
use super::tunnel::{self, Inner, Tunnel};
use super::{LinkType, Record};
use crate::dissect::Ignored;
use crate::tracker::Frame;
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
    /// Fragments of IP packets.
    pub fragments: u64,
    /// Records earlier than the one before.
    pub time_reversals: u64,
}

/// Takes link headers, tags, labels and tunnels off records, and puts fragments together.
///
/// Memory is bounded; what is left out is counted in [`Counters`].
#[derive(Debug, Default)]
pub struct Decapsulator {
    counters: Counters,
    last: Duration,
}

impl Decapsulator {
    /// A decapsulator that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was found so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The innermost IP packet of a record, numbered and timed as the record.
    ///
    /// # Errors
    /// [`Ignored`] if it holds none; it is counted.
    #[inline]
    pub fn frame<'a>(&'a mut self, record: &Record<'a>) -> Result<Frame<'a>, Ignored> {
        self.counters.records += 1;
        self.counters.cut += u64::from(record.is_cut());
        self.counters.time_reversals += u64::from(record.time < self.last);
        self.last = record.time;
        let packet =
            link::strip(record.link, record.data).map_err(|no_ip| self.no_ip(no_ip, record))?;
        let packet = self.peel(packet)?;
        Ok(Frame {
            number: Some(record.number),
            ..Frame::new(record.time, Medium::Ip, packet)
        })
    }

    #[inline]
    fn peel<'a>(&mut self, mut packet: &'a [u8]) -> Result<&'a [u8], Ignored> {
        for _ in 0..DEPTH_MAX {
            match tunnel::look(packet) {
                Inner::None => break,
                Inner::Fragment => {
                    self.counters.fragments += 1;
                    return Err(Ignored::Fragment);
                }
                Inner::Packet(tunnel, inner) => {
                    match tunnel {
                        Tunnel::Gre => self.counters.gre += 1,
                        Tunnel::Vxlan => self.counters.vxlan += 1,
                        Tunnel::Ip => self.counters.ip_in_ip += 1,
                    }
                    packet = inner;
                }
            }
        }
        Ok(packet)
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
