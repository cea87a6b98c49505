//! Segmentation in software: one large TCP frame into frames that fit the MTU.

use super::{HeaderBuf, Payload, TxFrame, TxOffload};
use crate::checksum::{Sum, pseudo_header};
use crate::ip::{Protocol, ipv4, ipv6};
use crate::tcp::{Flags, MIN_HEADER_LEN};
use core::net::IpAddr;

/// Where the checksum is in a TCP header.
const CHECKSUM_AT: u16 = 16;

/// Turns a frame into frames that leave nothing to the device: cut into segments, checksums filled.
///
/// A frame that asks for less comes out alone, with what it asks for done. One whose request does not fit its headers
/// comes out as it went in, its request included, so that the device refuses it rather than the network.
#[must_use]
pub fn segment(frame: TxFrame) -> Segments {
    match Cutter::new(frame) {
        Ok(cutter) => Segments(Inner::Cut(cutter)),
        Err(mut frame) => {
            frame.fill_checksum();
            Segments(Inner::Whole(Some(frame)))
        }
    }
}

/// The frames made by [`segment`].
#[derive(Debug)]
pub struct Segments(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Option<TxFrame>),
    Cut(Cutter),
}

#[derive(Debug)]
struct Cutter {
    template: Template,
    rest: Payload,
    size: usize,
    at: At,
    done: bool,
}

impl Iterator for Segments {
    type Item = TxFrame;

    fn next(&mut self) -> Option<TxFrame> {
        match &mut self.0 {
            Inner::Whole(frame) => frame.take(),
            Inner::Cut(cutter) => cutter.next(),
        }
    }
}

impl Cutter {
    /// The frame comes back if it does not ask to be cut, or if its request does not fit its headers.
    #[expect(
        clippy::result_large_err,
        reason = "the error is the caller's own value"
    )]
    fn new(frame: TxFrame) -> Result<Self, TxFrame> {
        let TxOffload::Segment {
            ipv6,
            gso_size,
            header_len,
            checksum_start,
            ..
        } = frame.offload
        else {
            return Err(frame);
        };
        let template = Template::new(
            &frame.headers,
            ipv6,
            header_len.into(),
            checksum_start.into(),
        );
        match template {
            Some(template) if gso_size > 0 => Ok(Self {
                template,
                rest: frame.payload,
                size: gso_size.into(),
                at: At::default(),
                done: false,
            }),
            _ => Err(frame),
        }
    }

    fn next(&mut self) -> Option<TxFrame> {
        if self.done {
            return None;
        }
        let payload = self.rest.split_to(self.size);
        // A frame without data is still one frame.
        self.done = self.rest.is_empty();
        let mut sum = Sum::ZERO;
        sum.add_payload(&payload);
        let mut headers = self.template.headers;
        let piece = Piece {
            at: self.at,
            len: payload.len(),
            last: self.done,
            sum,
        };
        self.template.write(&mut headers, &piece)?;
        self.at.advance(payload.len());
        Some(TxFrame {
            headers,
            payload,
            offload: TxOffload::None,
        })
    }

    fn next_len(&self) -> Option<usize> {
        let data = self.rest.len().min(self.size);
        (!self.done).then(|| self.template.headers.len() + data)
    }

    fn write_next(
        &mut self,
        out: &mut [u8],
        copy: impl FnMut(&mut [u8], &[u8]) -> Sum,
    ) -> Option<usize> {
        let len = self.next_len()?;
        let out = out.get_mut(..len)?;
        let (headers, data) = out.split_at_mut_checked(self.template.headers.len())?;
        let sum = self.rest.move_to(data, copy);
        self.done = self.rest.is_empty();
        headers.copy_from_slice(&self.template.headers);
        let piece = Piece {
            at: self.at,
            len: data.len(),
            last: self.done,
            sum,
        };
        self.template.write(headers, &piece)?;
        self.at.advance(data.len());
        Some(len)
    }
}

impl Cutter {
    fn into_rest(self) -> Option<TxFrame> {
        if self.done {
            return None;
        }
        let header_len = u16::try_from(self.template.headers.len()).ok()?;
        let start = u16::try_from(self.template.tcp_at).ok()?;
        let mut headers = self.template.headers;
        let piece = Piece {
            at: self.at,
            len: self.rest.len(),
            last: true,
            sum: Sum::ZERO,
        };
        self.template.write(&mut headers, &piece)?;
        // The field holds the pseudo-header's part.
        let (src, dst) = self.template.addresses;
        let len = u32::from(header_len - start) + u32::try_from(self.rest.len()).ok()?;
        let partial = pseudo_header(src, dst, Protocol::TCP.raw(), len).partial();
        let field = usize::from(start + CHECKSUM_AT);
        headers
            .get_mut(field..field + 2)?
            .copy_from_slice(&partial.to_be_bytes());
        let offload = if self.rest.len() > self.size {
            TxOffload::Segment {
                ipv6: self.template.ipv4.is_none(),
                gso_size: u16::try_from(self.size).ok()?,
                header_len,
                checksum_start: start,
                checksum_offset: CHECKSUM_AT,
            }
        } else {
            TxOffload::Checksum {
                start,
                offset: CHECKSUM_AT,
            }
        };
        Some(TxFrame {
            headers,
            payload: self.rest,
            offload,
        })
    }
}

/// Which piece is next.
#[derive(Clone, Copy, Debug, Default)]
struct At {
    /// Pieces before it.
    index: u16,
    /// Octets of data before it.
    offset: u32,
}

impl At {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is below 64 KiB, and sequence numbers wrap"
    )]
    fn advance(&mut self, len: usize) {
        self.index = self.index.wrapping_add(1);
        self.offset = self.offset.wrapping_add(len as u32);
    }
}

/// What the headers of a piece say of it.
struct Piece {
    at: At,
    /// Octets of data.
    len: usize,
    /// Nothing follows.
    last: bool,
    /// The sum over its data.
    sum: Sum,
}

/// Frames that are written whole into memory of the caller's, with nothing left to the device: cut into segments,
/// checksums filled. What [`segment`] makes, with one pass over the data in place of two.
///
/// A request that does not fit its headers is left undone, and the frame written as it is.
#[derive(Debug)]
pub struct Pieces(PiecesInner);

#[derive(Debug)]
enum PiecesInner {
    Whole(Option<TxFrame>),
    Cut(Cutter),
}

impl Pieces {
    /// The pieces of a frame: one, unless it asks to be cut.
    #[must_use]
    pub fn new(frame: TxFrame) -> Self {
        Self(match Cutter::new(frame) {
            Ok(cutter) => PiecesInner::Cut(cutter),
            Err(frame) => PiecesInner::Whole(Some(frame)),
        })
    }

    /// Length of the next frame, or none if all were written.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        match &self.0 {
            PiecesInner::Whole(frame) => frame.as_ref().map(TxFrame::len),
            PiecesInner::Cut(cutter) => cutter.next_len(),
        }
    }

    /// Writes the next frame to the beginning of `out` and returns its length; none if all were written, or if it is
    /// longer than `out`, which leaves it to be written.
    ///
    /// `copy` copies data and adds it up: [`checksum::copy`](crate::checksum::copy), or one for this machine.
    pub fn write_next(
        &mut self,
        out: &mut [u8],
        copy: impl FnMut(&mut [u8], &[u8]) -> Sum,
    ) -> Option<usize> {
        match &mut self.0 {
            PiecesInner::Cut(cutter) => cutter.write_next(out, copy),
            PiecesInner::Whole(frame) => {
                let len = frame.as_mut()?.write_whole(out, copy)?;
                *frame = None;
                Some(len)
            }
        }
    }
}

impl Pieces {
    /// What was not written yet, as a frame again.
    #[must_use]
    pub fn into_rest(self) -> Option<TxFrame> {
        match self.0 {
            PiecesInner::Whole(frame) => frame,
            PiecesInner::Cut(cutter) => cutter.into_rest(),
        }
    }
}

impl TxFrame {
    /// Writes the frame, which is not cut, to the beginning of `out`, fills its checksum if that is asked for, and returns
    /// its length. None, and nothing done, if it is longer than `out`; otherwise its data is gone from it.
    pub fn write_whole(
        &mut self,
        out: &mut [u8],
        copy: impl FnMut(&mut [u8], &[u8]) -> Sum,
    ) -> Option<usize> {
        let len = self.len();
        let (headers, data) = out
            .get_mut(..len)?
            .split_at_mut_checked(self.headers.len())?;
        let sum = self.payload.move_to(data, copy);
        if let TxOffload::Checksum { start, offset } = self.offload {
            self.fill_checksum_with(start.into(), offset.into(), sum);
        }
        headers.copy_from_slice(&self.headers);
        Some(len)
    }
}

/// The headers of the large frame, where the layers begin in them, and the sums of what all pieces share.
#[derive(Debug)]
struct Template {
    headers: HeaderBuf,
    ip_at: usize,
    tcp_at: usize,
    seq: u32,
    flags: Flags,
    addresses: (IpAddr, IpAddr),
    /// IPv4: identification, and the sum of the header without it and the length.
    ipv4: Option<SharedV4>,
    /// The sum of pseudo-header and TCP header without length, sequence number and control bits.
    tcp: Sum,
}

impl Template {
    /// Finds the layers. None if the headers are not link, IP and TCP of the lengths said.
    fn new(headers: &HeaderBuf, ipv6: bool, header_len: usize, tcp_at: usize) -> Option<Self> {
        let tcp = headers.get(tcp_at..)?;
        let fixed = tcp.first_chunk::<MIN_HEADER_LEN>()?;
        if headers.len() != header_len || usize::from(fixed[12] >> 4) * 4 != tcp.len() {
            return None;
        }
        // The IP header begins behind no link header, an Ethernet header, or one with a tag, and ends where
        // TCP begins; its version and length tell which.
        let ip_at = [0, 14, 18].into_iter().find(|at| {
            headers.get(*at..tcp_at).is_some_and(|ip| match ip.first() {
                Some(first) if ipv6 => {
                    first >> 4 == 6 && ip.len() >= ipv6::HEADER_LEN && ip.len().is_multiple_of(8)
                }
                Some(first) => first >> 4 == 4 && usize::from(first & 0x0f) * 4 == ip.len(),
                None => false,
            })
        })?;
        let seq = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let flags = Flags::from_bits(u16::from_be_bytes([fixed[12], fixed[13]]));
        let mut headers = *headers;
        let (front, tcp) = headers.split_at_mut_checked(tcp_at)?;
        let fixed = tcp.first_chunk_mut::<MIN_HEADER_LEN>()?;
        [fixed[4], fixed[5], fixed[6], fixed[7]] = [0; 4];
        // The first octet of the control bits holds the data offset too, which stays, but is not summed twice.
        let offset = core::mem::take(&mut fixed[12]) & 0xfe;
        [fixed[13], fixed[16], fixed[17]] = [0; 3];
        let (ipv4, addresses) = blank_ip(front.get_mut(ip_at..)?, ipv6)?;
        let (src, dst) = addresses;
        let mut sum = pseudo_header(src, dst, Protocol::TCP.raw(), 0);
        sum.add_bytes(tcp);
        *tcp.get_mut(12)? = offset;
        Some(Self {
            headers,
            ip_at,
            tcp_at,
            seq,
            flags,
            addresses,
            ipv4,
            tcp: sum,
        })
    }

    /// Makes the headers, a copy of the template's, those of a piece.
    fn write(&self, headers: &mut [u8], piece: &Piece) -> Option<()> {
        let transport_len = headers.len() - self.tcp_at + piece.len;
        let (front, tcp) = headers.split_at_mut_checked(self.tcp_at)?;
        self.write_ip(front.get_mut(self.ip_at..)?, piece.at.index, transport_len)?;

        let fixed = tcp.first_chunk_mut::<MIN_HEADER_LEN>()?;
        let seq = self.seq.wrapping_add(piece.at.offset);
        [fixed[4], fixed[5], fixed[6], fixed[7]] = seq.to_be_bytes();
        let mut flags = self.flags;
        if !piece.last {
            // LNK-8: the end of the data, and the push, come with the last byte.
            flags = flags.without(Flags::FIN.union(Flags::PSH));
        }
        if piece.at.index > 0 && !flags.contains(Flags::AE) {
            // LNK-8, RFC 3168 §6.1.2: CWR answers once. With Accurate ECN (RFC 9768) the bit is part of a
            // counter, which all segments repeat; AE set shows that surely.
            flags = flags.without(Flags::CWR);
        }
        let [high, low] = flags.bits().to_be_bytes();
        [fixed[12], fixed[13]] = [fixed[12] & 0xfe | high, low];

        let mut sum = self.tcp;
        sum.add_u32(u32::try_from(transport_len).ok()?);
        sum.add_u32(seq);
        sum.add_u16(u16::from_be_bytes([fixed[12], low]));
        sum.combine(piece.sum);
        [fixed[16], fixed[17]] = sum.finish().to_be_bytes();
        Some(())
    }

    /// Writes length and identification of a piece into an IP header.
    fn write_ip(&self, ip: &mut [u8], index: u16, transport_len: usize) -> Option<()> {
        let header_len = ip.len();
        let Some((id, mut sum)) = self.ipv4 else {
            let payload_len = header_len - ipv6::HEADER_LEN + transport_len;
            let field = ip.get_mut(4..6)?;
            field.copy_from_slice(&u16::try_from(payload_len).ok()?.to_be_bytes());
            return Some(());
        };
        let total_len = u16::try_from(header_len + transport_len).ok()?;
        let id = id.wrapping_add(index);
        sum.add_u16(total_len);
        sum.add_u16(id);
        let fixed = ip.first_chunk_mut::<{ ipv4::MIN_HEADER_LEN }>()?;
        [fixed[2], fixed[3]] = total_len.to_be_bytes();
        [fixed[4], fixed[5]] = id.to_be_bytes();
        [fixed[10], fixed[11]] = sum.finish().to_be_bytes();
        Some(())
    }
}

/// What all pieces share of an IPv4 header: identification, and sum without what varies.
type SharedV4 = (u16, Sum);

/// Clears what varies in an IP header; gives what all pieces share of it, and its addresses.
fn blank_ip(ip: &mut [u8], ipv6: bool) -> Option<(Option<SharedV4>, (IpAddr, IpAddr))> {
    if ipv6 {
        let fixed = ip.first_chunk::<{ ipv6::HEADER_LEN }>()?;
        let (_, addresses) = fixed.split_at(8);
        let src = addresses.first_chunk::<16>()?;
        let dst = addresses.last_chunk::<16>()?;
        return Some((None, ((*src).into(), (*dst).into())));
    }
    let fixed = ip.first_chunk_mut::<{ ipv4::MIN_HEADER_LEN }>()?;
    let id = u16::from_be_bytes([fixed[4], fixed[5]]);
    [fixed[2], fixed[3], fixed[4], fixed[5]] = [0; 4];
    [fixed[10], fixed[11]] = [0; 2];
    let &mut [.., s0, s1, s2, s3, d0, d1, d2, d3] = fixed;
    let mut sum = Sum::ZERO;
    sum.add_bytes(ip);
    let addresses = ([s0, s1, s2, s3].into(), [d0, d1, d2, d3].into());
    Some((Some((id, sum)), addresses))
}
