//! Captures byte by byte, in either byte order, for what no writer of ours produces.

use std::net::IpAddr;
use transom_flow::wire::ip::{Protocol, ipv4, ipv6};
use transom_flow::wire::tcp::{Flags, Header};
use transom_flow::wire::{Seq, checksum};

/// A pcapng file in the making.
#[derive(Clone)]
pub(crate) struct Blocks {
    pub(crate) bytes: Vec<u8>,
    is_big: bool,
}

pub(crate) const EPB: u32 = 6;

impl Blocks {
    /// Starts a section; `stated` is the length that its header states.
    pub(crate) fn new(is_big: bool) -> Self {
        let mut blocks = Self {
            bytes: Vec::new(),
            is_big,
        };
        blocks.section(is_big, u64::MAX);
        blocks
    }

    pub(crate) fn section(&mut self, is_big: bool, stated: u64) -> &mut Self {
        self.is_big = is_big;
        let mut body = self.u32(0x1a2b_3c4d);
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        let [high, low] = [(stated >> 32) as u32, stated as u32].map(|half| self.u32(half));
        body.extend(if is_big { [high, low] } else { [low, high] }.concat());
        self.block(0x0a0d_0d0a, &body)
    }

    pub(crate) fn u32(&self, value: u32) -> Vec<u8> {
        if self.is_big {
            value.to_be_bytes().into()
        } else {
            value.to_le_bytes().into()
        }
    }

    pub(crate) fn u16(&self, value: u16) -> Vec<u8> {
        if self.is_big {
            value.to_be_bytes().into()
        } else {
            value.to_le_bytes().into()
        }
    }

    pub(crate) fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend(self.u16(*code));
            bytes.extend(self.u16(value.len() as u16));
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            bytes.extend([0; 4]);
        }
        bytes
    }

    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let padded = body.len().next_multiple_of(4);
        let len = self.u32(padded as u32 + 12);
        let kind = self.u32(kind);
        self.bytes.extend(kind);
        self.bytes.extend(&len);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(&len);
        self
    }

    pub(crate) fn interface(
        &mut self,
        link: u16,
        snaplen: u32,
        options: &[(u16, &[u8])],
    ) -> &mut Self {
        let mut body = self.u16(link);
        body.extend([0, 0]);
        body.extend(self.u32(snaplen));
        body.extend(self.options(options));
        self.block(1, &body)
    }

    pub(crate) fn packet(
        &mut self,
        interface: u32,
        count: u64,
        data: &[u8],
        orig_len: u32,
        options: &[(u16, &[u8])],
    ) -> &mut Self {
        let len = data.len() as u32;
        let mut body = Vec::new();
        for word in [interface, (count >> 32) as u32, count as u32, len, orig_len] {
            body.extend(self.u32(word));
        }
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(self.options(options));
        self.block(EPB, &body)
    }

    pub(crate) fn simple(&mut self, data: &[u8], orig_len: u32) -> &mut Self {
        let body = [&self.u32(orig_len), data].concat();
        self.block(3, &body)
    }

    pub(crate) fn obsolete(
        &mut self,
        interface: u16,
        count: u64,
        data: &[u8],
        options: &[(u16, &[u8])],
    ) -> &mut Self {
        let mut body = self.u16(interface);
        body.extend(self.u16(3));
        let len = data.len() as u32;
        for word in [(count >> 32) as u32, count as u32, len, len] {
            body.extend(self.u32(word));
        }
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(self.options(options));
        self.block(2, &body)
    }
}

/// A pcap file with this link type and these frames, one a second from 1 on.
pub(crate) fn pcap(link: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for (at, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for word in [at as u32 + 1, 0, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(*frame);
    }
    bytes
}

pub(crate) fn client() -> IpAddr {
    [10, 0, 0, 1].into()
}

pub(crate) fn server() -> IpAddr {
    [10, 0, 0, 2].into()
}

/// A TCP segment from port 43210 to port 80, its checksum right.
pub(crate) fn segment(src: IpAddr, dst: IpAddr, data: &[u8]) -> Vec<u8> {
    let header = Header {
        src_port: 43_210,
        dst_port: 80,
        seq: Seq::new(1),
        ack: Seq::new(1),
        flags: Flags::ACK | Flags::PSH,
        window: 1000,
        ..Header::default()
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit_with_checksum(&mut bytes, src, dst, data);
    bytes.extend(data);
    bytes
}

/// An IP packet.
pub(crate) fn ip(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut packet = vec![0; ipv4::Header::LEN];
            ipv4::Header::new(src, dst, Protocol(protocol)).emit(&mut packet, payload.len());
            packet
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut packet = vec![0; ipv6::Header::LEN];
            ipv6::Header::new(src, dst, Protocol(protocol)).emit(&mut packet, payload.len());
            packet
        }
        _ => panic!("one version"),
    };
    packet.extend(payload);
    packet
}

/// An IPv4 packet with a TCP segment.
pub(crate) fn tcp4() -> Vec<u8> {
    ip(
        client(),
        server(),
        6,
        &segment(client(), server(), b"GET /"),
    )
}

/// An IPv6 packet with a TCP segment.
pub(crate) fn tcp6() -> Vec<u8> {
    let (src, dst) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    ip(src, dst, 6, &segment(src, dst, b"GET /"))
}

/// A UDP datagram; its checksum is left out.
pub(crate) fn udp(dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16 + 8;
    let mut bytes = [50_000_u16, dst_port, len, 0]
        .map(u16::to_be_bytes)
        .concat();
    bytes.extend(payload);
    bytes
}

/// An Ethernet frame.
pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fragments of an IPv4 packet with data of `size` bytes each.
pub(crate) fn fragments4(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let count = payload.len().div_ceil(size);
    let fragment = |(at, data): (usize, &[u8])| {
        let mut fragment = header.to_vec();
        let more = u16::from(at + 1 < count) << 13;
        let field = more | (at * size / 8) as u16;
        fragment[2..4].copy_from_slice(&(data.len() as u16 + 20).to_be_bytes());
        fragment[4..6].copy_from_slice(&id.to_be_bytes());
        fragment[6..8].copy_from_slice(&field.to_be_bytes());
        fragment[10..12].fill(0);
        let sum = checksum::checksum(&fragment);
        fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        fragment.extend(data);
        fragment
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

/// Bytes in front of a packet.
pub(crate) fn prefixed(prefix: &[u8], packet: &[u8]) -> Vec<u8> {
    [prefix, packet].concat()
}
