//! The far end of many connections: packets made by hand, and twelve bytes kept for each connection, which are there from
//! the beginning, so that what a process grows by is what the stack needs.

use bytes::{Bytes, BytesMut};
use transom_stack::wire::{RxChecksum, RxFrame};

use crate::null::{fold, sum};

/// Where the stack listens.
pub(super) const STACK: [u8; 4] = [10, 0, 0, 1];
pub(super) const PORT: u16 = 80;
/// Everybody's port; their addresses differ.
const PEER_PORT: u16 = 40_000;
/// The first of those addresses.
const FIRST: u32 = u32::from_be_bytes([11, 0, 0, 0]);
/// What everybody begins with.
const ISS: u32 = 1_000_000;
/// IP and TCP header, with timestamps.
const HEADERS: usize = 20 + 32;
const WINDOW: u16 = 60_000;

pub(super) const SYN: u8 = 2;
pub(super) const FIN: u8 = 1;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What the peer of one connection knows.
#[derive(Clone, Copy, Default)]
struct One {
    /// The next number of ours, and of the stack's.
    own: u32,
    theirs: u32,
    /// The stack's latest timestamp.
    echo: u32,
}

/// All peers.
pub(super) struct Crowd {
    all: Vec<One>,
    /// Milliseconds, for timestamps.
    pub(super) clock: u32,
    buffer: BytesMut,
}

/// A packet of the stack's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// For which peer.
    pub(super) who: usize,
    pub(super) flags: u8,
    /// Bytes of data.
    pub(super) len: u32,
}

impl Crowd {
    pub(super) fn new(count: usize) -> Self {
        // Written to, so that the memory is there.
        let one = One {
            own: ISS,
            ..One::default()
        };
        Self {
            all: vec![one; count],
            clock: 5_000_000,
            buffer: BytesMut::new(),
        }
    }

    /// A packet, written into a block for many, as a device's pool has it.
    fn packet(&mut self, who: usize, flags: u8, len: usize) -> RxFrame {
        let one = self.all[who];
        // The options of a SYN: MSS, SACK permitted, timestamps, window scale. Otherwise timestamps.
        let options: &[u8] = if flags & SYN != 0 {
            &[
                2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7,
            ]
        } else {
            &[1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]
        };
        let total = 40 + options.len() + len;
        if self.buffer.capacity() < total {
            self.buffer = BytesMut::with_capacity(256 << 10);
        }
        self.buffer.resize(total, 0);
        let packet = &mut self.buffer[..];
        let short = u16::try_from(total).unwrap_or(u16::MAX);
        let address = FIRST + u32::try_from(who).unwrap_or(u32::MAX);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&short.to_be_bytes());
        packet[6] = 0x40;
        (packet[8], packet[9]) = (64, 6);
        packet[12..16].copy_from_slice(&address.to_be_bytes());
        packet[16..20].copy_from_slice(&STACK);
        let checksum = !fold(sum(0, &packet[..20]));
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet[20..22].copy_from_slice(&PEER_PORT.to_be_bytes());
        packet[22..24].copy_from_slice(&PORT.to_be_bytes());
        packet[24..28].copy_from_slice(&one.own.to_be_bytes());
        packet[28..32].copy_from_slice(&one.theirs.to_be_bytes());
        packet[32] = u8::try_from((20 + options.len()) / 4).unwrap_or(0) << 4;
        packet[33] = flags;
        packet[34..36].copy_from_slice(&WINDOW.to_be_bytes());
        packet[40..40 + options.len()].copy_from_slice(options);
        let stamps = if flags & SYN != 0 { 48 } else { 44 };
        packet[stamps..stamps + 4].copy_from_slice(&self.clock.to_be_bytes());
        packet[stamps + 4..stamps + 8].copy_from_slice(&one.echo.to_be_bytes());
        let data = self.buffer.split().freeze();
        let taken = u32::try_from(len).unwrap_or(0) + u32::from(flags & (SYN | FIN) != 0);
        self.all[who].own = one.own.wrapping_add(taken);
        RxFrame {
            data,
            // A device has looked at it.
            checksum: RxChecksum::Valid,
            gso_size: 0,
        }
    }

    pub(super) fn syn(&mut self, who: usize) -> RxFrame {
        self.packet(who, SYN, 0)
    }

    pub(super) fn ack(&mut self, who: usize) -> RxFrame {
        self.packet(who, ACK, 0)
    }

    pub(super) fn data(&mut self, who: usize, len: usize) -> RxFrame {
        self.packet(who, ACK | PSH, len)
    }

    pub(super) fn fin(&mut self, who: usize) -> RxFrame {
        self.packet(who, ACK | FIN, 0)
    }

    /// Takes a packet of the stack's in.
    pub(super) fn hear(&mut self, packet: &[u8]) -> Option<Heard> {
        let word = |at: usize| Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?));
        let who = usize::try_from(word(16)?.checked_sub(FIRST)?).ok()?;
        let one = self.all.get_mut(who)?;
        let flags = *packet.get(33)?;
        let headers = usize::from(*packet.get(32)? >> 4) * 4 + 20;
        let len = u32::try_from(packet.len().checked_sub(headers)?).ok()?;
        if flags & RST != 0 {
            return Some(Heard { who, flags, len });
        }
        let next = word(24)?
            .wrapping_add(len)
            .wrapping_add(u32::from(flags & (SYN | FIN) != 0));
        // What was sent again is no news.
        if flags & SYN != 0 || next.wrapping_sub(one.theirs) < 1 << 31 {
            one.theirs = next;
        }
        // Timestamps stand behind two fillers, in the SYN-ACK behind the MSS and SACK.
        let stamps = if flags & SYN != 0 { None } else { word(44) };
        one.echo = stamps.unwrap_or(0);
        Some(Heard { who, flags, len })
    }
}

/// Bytes of a packet with so much data.
pub(super) const fn packet_len(data: usize) -> usize {
    HEADERS + data
}

/// Bytes of memory that the process has.
pub(super) fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4096.0
}

/// Numbers without an order.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % bound
    }
}

/// What a frame holds, in one piece.
pub(super) fn octets(frame: &transom_stack::wire::TxFrame) -> Bytes {
    frame.to_vec().into()
}
