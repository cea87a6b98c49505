//! A packet on the wire, and packets of one frame that leave together.

use std::sync::Arc;

use bytes::Bytes;
use transom_sim::Packet;
use transom_sim::ip::{PureAck, mark_header, pure_ack};
use transom_wire::checksum::{checksum, pseudo_header};
use transom_wire::ip;

use super::frame::{Cut, Frame, RawFrame};
use crate::complete::{TCP_CHECKSUM, UDP_CHECKSUM, set_ip_len};
use crate::vnet;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;
/// In the byte before the flags: the third bit of Accurate ECN.
const AE: u8 = 0x01;
/// The longest header of IPv4; the one of IPv6 is shorter.
const MAX_IP_HEADER: usize = 60;

/// One packet of a frame.
#[derive(Clone)]
pub(crate) struct Piece {
    frame: Arc<Frame>,
    index: usize,
    /// The link set Congestion Experienced in it.
    is_marked: bool,
}

impl Piece {
    pub(super) fn new(frame: Arc<Frame>, index: usize) -> Self {
        Self {
            frame,
            index,
            is_marked: false,
        }
    }

    /// The packet as a frame of its own, its checksum filled in.
    fn complete(&self) -> RawFrame {
        let run = Run::new(self.clone());
        let (vnet, headers, payload) = run.assemble();
        let mut data = headers;
        data.extend_from_slice(payload);
        if vnet::needs_checksum(&vnet) {
            let start = usize::from(vnet::number(&vnet, vnet::CHECKSUM_START));
            let at = start + usize::from(vnet::number(&vnet, vnet::CHECKSUM_OFFSET));
            // The field holds the sum of the pseudo-header already.
            let sum = data.get(start..).map(checksum);
            if let (Some(sum), Some(field)) = (sum, data.get_mut(at..at + 2)) {
                // UDP: no checksum is written as zero, hence a sum of zero as its other form.
                let sum = if sum == 0 { 0xffff } else { sum };
                field.copy_from_slice(&sum.to_be_bytes());
            }
        }
        RawFrame {
            vnet: [0; vnet::LEN],
            data: Bytes::from(data),
        }
    }
}

impl Packet for Piece {
    fn size(&self) -> usize {
        self.frame.size_of(self.index)
    }

    fn mark_congestion(&mut self) -> bool {
        let (data, ip) = (&self.frame.data, self.frame.ip);
        let traffic_class = match data.get(ip..ip + 2) {
            Some([first, second]) if first >> 4 == 4 => *second,
            Some([first, second]) if first >> 4 == 6 => second >> 4,
            _ => return false,
        };
        // RFC 3168 §5: nothing but ECT(0), ECT(1) and CE may be marked.
        self.is_marked = self.frame.is_ip && traffic_class & 0b11 != 0;
        self.is_marked
    }

    fn pure_ack(&self) -> Option<PureAck> {
        match self.frame.cut {
            Some(_) => None,
            None => pure_ack(self.frame.data.get(self.frame.ip..)?),
        }
    }

    /// Damage is noticed as on a real wire: the checksum is there, and the link header is spared.
    fn flip_bit(&mut self, bit: usize) {
        let complete = self.complete();
        let mut data = complete.data.to_vec();
        if let Some(byte) = data.get_mut(self.frame.ip + bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let damaged = RawFrame {
            vnet: complete.vnet,
            data: Bytes::from(data),
        };
        // One packet more than the bound does no harm.
        if let Some(frame) = Frame::new(damaged, usize::MAX) {
            *self = Self::new(frame, 0);
        }
    }
}

/// Packets of one frame that follow each other and are due together.
pub(crate) struct Run {
    first: Piece,
    count: usize,
}

impl Run {
    pub(super) fn new(first: Piece) -> Self {
        Self { first, count: 1 }
    }

    /// Puts a packet behind the others; gives it back if it does not follow them.
    pub(super) fn join(&mut self, piece: Piece) -> Result<(), Piece> {
        let follows = Arc::ptr_eq(&self.first.frame, &piece.frame)
            && piece.index == self.first.index + self.count
            && piece.is_marked == self.first.is_marked;
        if follows {
            self.count += 1;
            return Ok(());
        }
        Err(piece)
    }

    /// The vnet header, the headers and the data of the frame that carries these packets.
    pub(super) fn assemble(&self) -> ([u8; vnet::LEN], Vec<u8>, &[u8]) {
        let frame = &*self.first.frame;
        let is_whole = self.count == frame.count();
        let (headers_end, payload) = match frame.cut {
            Some(cut) if !is_whole => {
                let from = cut.payload + self.first.index * cut.size;
                let to = (from + self.count * cut.size).min(frame.data.len());
                (cut.payload, frame.data.get(from..to).unwrap_or_default())
            }
            _ => {
                let end = frame.data.len().min(frame.ip + MAX_IP_HEADER);
                (end, frame.data.get(end..).unwrap_or_default())
            }
        };
        let mut headers = frame.data.get(..headers_end).unwrap_or_default().to_vec();
        let mut header = frame.vnet;
        if let Some(cut) = frame.cut
            && !is_whole
        {
            // The frame was checked to be long enough when it was made.
            let written = self.write(&cut, &mut headers, payload.len());
            debug_assert!(written.is_some());
            if payload.len() <= cut.size {
                vnet::set_single(&mut header);
            } else {
                vnet::set_header_len(&mut header, cut.payload);
            }
        }
        if self.first.is_marked
            && let Some(packet) = headers.get_mut(frame.ip..)
        {
            mark_header(packet);
        }
        (header, headers, payload)
    }

    /// Makes the headers of the whole frame those of this part.
    fn write(&self, cut: &Cut, headers: &mut [u8], payload: usize) -> Option<()> {
        let frame = &*self.first.frame;
        let is_first = self.first.index == 0;
        let is_last = self.first.index + self.count == frame.count();
        let transport_len = cut.payload - cut.transport + payload;
        let (front, transport) = headers.split_at_mut_checked(cut.transport)?;
        let ip_header = front.get_mut(frame.ip..)?;
        if !cut.ipv6 {
            let id = u16::from_be_bytes(*ip_header.get(4..)?.first_chunk()?);
            #[expect(clippy::cast_possible_truncation, reason = "identifications wrap")]
            let id = id.wrapping_add(self.first.index as u16);
            ip_header.get_mut(4..6)?.copy_from_slice(&id.to_be_bytes());
        }
        set_ip_len(ip_header, transport_len, cut.ipv6)?;
        let field = if cut.tcp {
            let fixed = transport.first_chunk_mut::<20>()?;
            let seq = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sequence numbers wrap, and a frame is below 64 KiB"
            )]
            let seq = seq.wrapping_add((self.first.index * cut.size) as u32);
            fixed[4..8].copy_from_slice(&seq.to_be_bytes());
            if !is_last {
                fixed[13] &= !(FIN | PSH);
            }
            // RFC 3168 §6.1.2: CWR answers once; with Accurate ECN it is part of a counter.
            if !is_first && fixed[12] & AE == 0 {
                fixed[13] &= !CWR;
            }
            TCP_CHECKSUM
        } else {
            // For several datagrams the kernel wants the length of all.
            let len = u16::try_from(transport_len).ok()?;
            transport.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
            UDP_CHECKSUM
        };
        let packet = ip::Packet::lax(front.get(frame.ip..)?).ok()?;
        let protocol = if cut.tcp {
            ip::Protocol::TCP
        } else {
            ip::Protocol::UDP
        };
        let len = u32::try_from(transport_len).ok()?;
        let partial = pseudo_header(packet.src(), packet.dst(), protocol.raw(), len).partial();
        let place = transport.get_mut(field..field + 2)?;
        place.copy_from_slice(&partial.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests;
