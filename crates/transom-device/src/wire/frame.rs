//! A frame as the kernel hands it over, and where its packets are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use transom_wire::ethernet::{self, EtherType};
use transom_wire::ip::Protocol;

use super::piece::Piece;
use crate::complete::UDP_HEADER;
use crate::vnet;

/// Tags that stand before the EtherType: 802.1Q and 802.1ad.
const TAGS: [EtherType; 2] = [EtherType::VLAN, EtherType(0x88a8)];

/// Bytes of all frames of which a part is on a wire of this process.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What a port has received.
pub(crate) struct RawFrame {
    pub(crate) vnet: [u8; vnet::LEN],
    pub(crate) data: Bytes,
}

/// A received frame of which packets are on the wire.
pub(crate) struct Frame {
    pub(super) vnet: [u8; vnet::LEN],
    pub(super) data: Bytes,
    /// Where the IP header begins, which is also the length of the link header.
    pub(super) ip: usize,
    pub(super) is_ip: bool,
    /// How it is cut; `None`: it is carried whole.
    pub(super) cut: Option<Cut>,
}

/// Where a super-segment is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) ipv6: bool,
    pub(super) tcp: bool,
    /// Where the transport header begins.
    pub(super) transport: usize,
    /// Where the data begins.
    pub(super) payload: usize,
    /// Bytes of data in each segment but the last.
    pub(super) size: usize,
}

impl Frame {
    /// None: so many bytes are held already that there is no room.
    pub(super) fn new(raw: RawFrame, max_held: usize) -> Option<Arc<Self>> {
        let len = raw.data.len();
        if HELD.fetch_add(len, Ordering::Relaxed) > max_held {
            HELD.fetch_sub(len, Ordering::Relaxed);
            return None;
        }
        let network = network(&raw.data);
        let cut = network.and_then(|(ip, ipv6)| cut(&raw, ip, ipv6));
        Some(Arc::new(Self {
            vnet: raw.vnet,
            ip: network.map_or(ethernet::HEADER_LEN, |(ip, _)| ip),
            is_ip: network.is_some(),
            cut,
            data: raw.data,
        }))
    }

    /// Its packets, in order.
    pub(super) fn pieces(self: &Arc<Self>) -> impl Iterator<Item = Piece> + use<> {
        let frame = Arc::clone(self);
        (0..self.count()).map(move |index| Piece::new(Arc::clone(&frame), index))
    }

    /// How many packets it is on a wire.
    pub(super) fn count(&self) -> usize {
        self.cut.map_or(1, |cut| {
            let data = self.data.len() - cut.payload;
            data.div_ceil(cut.size).max(1)
        })
    }

    /// Bytes of one of its packets, without link header. A super-segment that is not understood counts the headers
    /// that its segments would have.
    pub(super) fn size_of(&self, index: usize) -> usize {
        let Some(cut) = self.cut else {
            let size = usize::from(vnet::number(&self.vnet, vnet::GSO_SIZE));
            let headers = usize::from(vnet::number(&self.vnet, vnet::HEADER_LEN));
            let len = self.data.len().saturating_sub(self.ip);
            if self.vnet[1] == 0 || size == 0 || headers <= self.ip {
                return len;
            }
            let segments = self
                .data
                .len()
                .saturating_sub(headers)
                .div_ceil(size)
                .max(1);
            return len + (segments - 1) * (headers - self.ip);
        };
        let from = cut.payload + index * cut.size;
        let data = self.data.len().saturating_sub(from).min(cut.size);
        cut.payload - self.ip + data
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        HELD.fetch_sub(self.data.len(), Ordering::Relaxed);
    }
}

/// Where the IP header begins and whether it is one of IPv6.
fn network(data: &[u8]) -> Option<(usize, bool)> {
    let mut at = ethernet::HEADER_LEN - 2;
    for _ in 0..=TAGS.len() {
        let kind = EtherType(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
        let ip = at + 2;
        match kind {
            EtherType::IPV4 if data.get(ip)? >> 4 == 4 => return Some((ip, false)),
            EtherType::IPV6 if data.get(ip)? >> 4 == 6 => return Some((ip, true)),
            kind if TAGS.contains(&kind) => at += 4,
            _ => return None,
        }
    }
    None
}

/// How a super-segment is cut, if this is one that is understood: the vnet header and the packet must agree.
fn cut(raw: &RawFrame, ip: usize, ipv6: bool) -> Option<Cut> {
    let tcp = match raw.vnet[1] & !vnet::GSO_ECN {
        vnet::GSO_TCPV4 if !ipv6 => true,
        vnet::GSO_TCPV6 if ipv6 => true,
        vnet::GSO_UDP_L4 => false,
        _ => return None,
    };
    let size = usize::from(vnet::number(&raw.vnet, vnet::GSO_SIZE));
    let transport = usize::from(vnet::number(&raw.vnet, vnet::CHECKSUM_START));
    let data = &raw.data;
    let (protocol, end) = if ipv6 {
        (*data.get(ip + 6)?, ip + 40)
    } else {
        (
            *data.get(ip + 9)?,
            ip + usize::from(data.get(ip)? & 0x0f) * 4,
        )
    };
    // Extension headers make IPv6 longer and hide the protocol; the kernel leaves none but these to offload.
    let agrees = transport == end || (ipv6 && transport > end);
    let wanted = if tcp { Protocol::TCP } else { Protocol::UDP };
    if !agrees || (transport == end && protocol != wanted.raw()) || size == 0 {
        return None;
    }
    let header = if tcp {
        usize::from(data.get(transport + 12)? >> 4) * 4
    } else {
        UDP_HEADER
    };
    let payload = transport + header;
    let is_sound = header >= UDP_HEADER && payload < data.len() && vnet::needs_checksum(&raw.vnet);
    is_sound.then_some(Cut {
        ipv6,
        tcp,
        transport,
        payload,
        size,
    })
}
