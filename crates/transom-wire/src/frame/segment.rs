//! Segmentation in software: one large TCP frame into frames that fit the MTU.

use super::{HeaderBuf, Payload, TxFrame, TxOffload};
use crate::checksum::{Sum, checksum, pseudo_header};
use crate::ip::{Protocol, ipv4, ipv6};
use crate::tcp::{Flags, MIN_HEADER_LEN};
use core::net::IpAddr;

/// Turns a frame into frames that leave nothing to the device: cut into segments, checksums filled.
///
/// A frame that asks for less comes out alone, with what it asks for done. One whose request does not fit its headers
/// comes out as it went in, its request included, so that the device refuses it rather than the network.
#[must_use]
pub fn segment(mut frame: TxFrame) -> Segments {
    let TxOffload::Segment {
        ipv6,
        gso_size,
        header_len,
        checksum_start,
        ..
    } = frame.offload
    else {
        frame.fill_checksum();
        return Segments(Inner::Whole(Some(frame)));
    };
    match Template::new(
        &frame.headers,
        ipv6,
        header_len.into(),
        checksum_start.into(),
    ) {
        Some(template) if gso_size > 0 => Segments(Inner::Cut(Cutter {
            template,
            rest: frame.payload,
            size: gso_size.into(),
            index: 0,
            done: false,
        })),
        _ => Segments(Inner::Whole(Some(frame))),
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
    index: usize,
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
    fn next(&mut self) -> Option<TxFrame> {
        if self.done {
            return None;
        }
        let payload = self.rest.split_to(self.size);
        // A frame without data is still one frame.
        self.done = self.rest.is_empty();
        let headers = self
            .template
            .headers_of(self.index, self.size, self.done, &payload)?;
        self.index += 1;
        Some(TxFrame {
            headers,
            payload,
            offload: TxOffload::None,
        })
    }
}

/// The headers of the large frame, and where the layers begin in them.
#[derive(Debug)]
struct Template {
    headers: HeaderBuf,
    ip: Ip,
    ip_at: usize,
    tcp_at: usize,
    seq: u32,
    flags: Flags,
}

#[derive(Clone, Copy, Debug)]
enum Ip {
    V4 { id: u16 },
    V6,
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
        let id = headers.get(ip_at + 4..)?.first_chunk::<2>()?;
        let ip = if ipv6 {
            Ip::V6
        } else {
            Ip::V4 {
                id: u16::from_be_bytes(*id),
            }
        };
        Some(Self {
            headers: *headers,
            ip,
            ip_at,
            tcp_at,
            seq: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            flags: Flags::from_bits(u16::from_be_bytes([fixed[12], fixed[13]])),
        })
    }

    /// The headers of segment `index` of segments of `size` bytes.
    fn headers_of(
        &self,
        index: usize,
        size: usize,
        last: bool,
        payload: &Payload,
    ) -> Option<HeaderBuf> {
        let mut headers = self.headers;
        let transport_len = headers.len() - self.tcp_at + payload.len();
        let (front, tcp) = headers.split_at_mut_checked(self.tcp_at)?;
        let ip = front.get_mut(self.ip_at..)?;
        let addresses = write_ip(self.ip, ip, index, transport_len)?;

        let fixed = tcp.first_chunk_mut::<MIN_HEADER_LEN>()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "sequence numbers wrap, and a frame is below 64 KiB"
        )]
        let seq = self.seq.wrapping_add((index * size) as u32);
        [fixed[4], fixed[5], fixed[6], fixed[7]] = seq.to_be_bytes();
        let mut flags = self.flags;
        if !last {
            // LNK-8: the end of the data, and the push, come with the last byte.
            flags = flags.without(Flags::FIN.union(Flags::PSH));
        }
        if index > 0 && !flags.contains(Flags::AE) {
            // LNK-8, RFC 3168 §6.1.2: CWR answers once. With Accurate ECN (RFC 9768) the bit is part of a
            // counter, which all segments repeat; AE set shows that surely.
            flags = flags.without(Flags::CWR);
        }
        let [high, low] = flags.bits().to_be_bytes();
        fixed[12] = fixed[12] & 0xfe | high;
        [fixed[13], fixed[16], fixed[17]] = [low, 0, 0];

        let (src, dst) = addresses;
        let len = u32::try_from(transport_len).ok()?;
        let mut sum: Sum = pseudo_header(src, dst, Protocol::TCP.raw(), len);
        sum.add_bytes(tcp);
        sum.add_payload(payload);
        [*tcp.get_mut(16)?, *tcp.get_mut(17)?] = sum.finish().to_be_bytes();
        Some(headers)
    }
}

/// Writes length and identification of segment `index` into an IP header; returns its addresses.
fn write_ip(
    kind: Ip,
    ip: &mut [u8],
    index: usize,
    transport_len: usize,
) -> Option<(IpAddr, IpAddr)> {
    let header_len = ip.len();
    match kind {
        Ip::V4 { id } => {
            let total_len = u16::try_from(header_len + transport_len).ok()?;
            let fixed = ip.first_chunk_mut::<{ ipv4::MIN_HEADER_LEN }>()?;
            #[expect(clippy::cast_possible_truncation, reason = "identification wraps")]
            let id = id.wrapping_add(index as u16);
            [fixed[2], fixed[3]] = total_len.to_be_bytes();
            [fixed[4], fixed[5]] = id.to_be_bytes();
            [fixed[10], fixed[11]] = [0, 0];
            let &mut [.., s0, s1, s2, s3, d0, d1, d2, d3] = fixed;
            let sum = checksum(ip).to_be_bytes();
            [*ip.get_mut(10)?, *ip.get_mut(11)?] = sum;
            Some(([s0, s1, s2, s3].into(), [d0, d1, d2, d3].into()))
        }
        Ip::V6 => {
            let payload_len = header_len - ipv6::HEADER_LEN + transport_len;
            let payload_len = u16::try_from(payload_len).ok()?;
            let fixed = ip.first_chunk_mut::<{ ipv6::HEADER_LEN }>()?;
            [fixed[4], fixed[5]] = payload_len.to_be_bytes();
            let (_, addresses) = fixed.split_at(8);
            let src = addresses.first_chunk::<16>()?;
            let dst = addresses.last_chunk::<16>()?;
            Some(((*src).into(), (*dst).into()))
        }
    }
}
