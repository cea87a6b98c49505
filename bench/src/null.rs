//! The ceiling: a "TCP" that does as little as a kernel peer lets it get away with.
//!
//! One connection at a time, in order only, no per-byte work: the payload is constant zero and the
//! checksum is left to the kernel. What it reaches is what the device and the kernel's end can carry.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::net::{Roles, SOURCE};
use crate::sys::{self, VNET_HEADER};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const WINDOW_SCALE: u8 = 10;
const WINDOW: u32 = 8 << 20;
/// IPv4 and TCP header without options.
pub(crate) const HEADERS: usize = 40;
/// Timestamps, padded (RFC 7323 Appendix A).
const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];
const TIMESTAMPS_LEN: usize = 12;

#[derive(Default)]
pub(crate) struct Connection {
    pub(crate) open: bool,
    peer_port: u16,
    pub(crate) local_port: u16,
    peer: [u8; 4],
    pub(crate) local: [u8; 4],
    pub(crate) snd_nxt: u32,
    snd_una: u32,
    rcv_nxt: u32,
    snd_wnd: u32,
    snd_scale: u8,
    duplicates: u32,
}

/// What takes packets to the kernel.
pub(crate) trait Link {
    /// Sends an IPv4 packet, with its virtio header before it where the link has them; false when the device did not
    /// take it.
    fn write(&mut self, packet: &[u8]) -> bool;
}

/// A TUN device.
impl Link for OwnedFd {
    fn write(&mut self, packet: &[u8]) -> bool {
        sys::write(self, packet)
    }
}

pub(crate) struct Null<L = OwnedFd> {
    pub(crate) link: L,
    vnet: bool,
    mss: usize,
    /// Bytes that may come, and that may be under way.
    pub(crate) window: u32,
    /// Packets with data that one acknowledgement answers, and those that none has answered yet.
    ack_every: usize,
    owed: usize,
    out: Vec<u8>,
    pub(crate) connection: Connection,
    progress: Instant,
    /// Has the kernel use SACK and timestamps, as a complete TCP does: they cost the kernel, too.
    has_options: bool,
    started: Instant,
    /// The last timestamp of the kernel.
    ts_recent: [u8; 4],
}

/// What a packet came to.
#[derive(Default)]
pub(crate) struct Heard {
    /// How much closer the next acknowledgement is.
    pub(crate) closer: usize,
    /// New data, as a part of the packet.
    pub(crate) data: Range<usize>,
    /// A connection was opened.
    pub(crate) opened: bool,
}

impl Heard {
    fn nothing() -> Self {
        Self::default()
    }
}

/// Serves behind a TUN device; with SACK and timestamps or without.
pub(crate) fn serve(roles: &Roles, has_options: bool) -> std::io::Result<()> {
    let fd = sys::open_tun(&roles.device, roles.vnet)?;
    roles.configure()?;
    crate::net::ready();
    let mut null = Null::new(fd, roles.vnet, roles.mtu - HEADERS);
    if has_options {
        null.has_options = true;
        null.mss -= TIMESTAMPS_LEN;
    }
    let mut buffer = vec![0u8; 70_000];
    loop {
        let mut received = 0;
        while received < 64 {
            let Some(n) = sys::read(&null.link, &mut buffer) else {
                break;
            };
            received += 1;
            let start = if roles.vnet { VNET_HEADER } else { 0 };
            let packet = buffer.get(start..n).unwrap_or_default();
            let heard = null.handle(packet);
            null.owe(heard.closer);
        }
        null.settle();
        let sent = null.send();
        if received == 0 && sent == 0 {
            sys::wait_readable(&null.link, 100_000);
        }
    }
}

impl<L: Link> Null<L> {
    pub(crate) fn new(link: L, vnet: bool, mss: usize) -> Self {
        Self {
            link,
            vnet,
            mss,
            window: WINDOW,
            ack_every: if vnet { 4 } else { 32 },
            owed: 0,
            out: vec![0; 70_000],
            connection: Connection::default(),
            progress: Instant::now(),
            has_options: false,
            started: Instant::now(),
            ts_recent: [0; 4],
        }
    }

    /// Takes one packet.
    pub(crate) fn handle(&mut self, packet: &[u8]) -> Heard {
        if packet.len() < 40 || packet[0] >> 4 != 4 || packet[9] != 6 {
            return Heard::nothing();
        }
        let be16 = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let be32 = |at: usize| u32::from(be16(at)) << 16 | u32::from(be16(at + 2));
        let total = usize::from(be16(2));
        let total = if total == 0 { packet.len() } else { total };
        let offset = usize::from(packet[32] >> 4) * 4;
        let length = total.saturating_sub(20 + offset);
        let (seq, ack, flags, window) = (be32(24), be32(28), packet[33], u32::from(be16(34)));
        if self.has_options
            && let Some(value) = packet.get(40..20 + offset).and_then(timestamp)
        {
            self.ts_recent = value;
        }
        if flags & SYN != 0 {
            let options = packet.get(40..20 + offset).unwrap_or_default();
            self.connection = Connection {
                peer_port: be16(20),
                local_port: be16(22),
                peer: [packet[12], packet[13], packet[14], packet[15]],
                local: [packet[16], packet[17], packet[18], packet[19]],
                snd_nxt: 1000,
                snd_una: 1001,
                rcv_nxt: seq.wrapping_add(1),
                snd_wnd: window,
                snd_scale: window_scale(options),
                ..Connection::default()
            };
            let segment = self.mss + self.options_len();
            let mss = (segment as u16).to_be_bytes();
            let mut options = vec![2, 4, mss[0], mss[1], 1, 3, 3, WINDOW_SCALE];
            if self.has_options {
                // SACK-permitted.
                options.extend([1, 1, 4, 2]);
            }
            self.emit(SYN | ACK, &options, 0, 1000);
            self.connection.snd_nxt = 1001;
            return Heard {
                opened: true,
                ..Heard::default()
            };
        }
        let c = &mut self.connection;
        if be16(20) != c.peer_port || be16(22) != c.local_port {
            return Heard::nothing();
        }
        if flags & RST != 0 {
            c.open = false;
            return Heard::nothing();
        }
        c.open = true;
        c.snd_wnd = window << c.snd_scale;
        let advance = ack.wrapping_sub(c.snd_una) as i32;
        if advance > 0 {
            c.snd_una = ack;
            if (c.snd_nxt.wrapping_sub(ack) as i32) < 0 {
                c.snd_nxt = ack;
            }
            c.duplicates = 0;
            self.progress = Instant::now();
        } else if advance == 0 && length == 0 && c.snd_nxt != c.snd_una {
            c.duplicates += 1;
        }
        let mut heard = Heard::default();
        if length > 0 {
            if seq == c.rcv_nxt {
                c.rcv_nxt = c.rcv_nxt.wrapping_add(length as u32);
                heard.closer = 1;
                heard.data = 20 + offset..total;
            } else {
                heard.closer = self.ack_every;
            }
        }
        if flags & FIN != 0 {
            c.rcv_nxt = c.rcv_nxt.wrapping_add(1);
            c.open = false;
            let seq = c.snd_nxt;
            self.emit(FIN | ACK, &[], 0, seq);
        }
        heard
    }

    /// An acknowledgement has come so much closer, and may be due.
    pub(crate) fn owe(&mut self, closer: usize) {
        self.owed += closer;
        if self.owed >= self.ack_every {
            self.acknowledge();
        }
    }

    /// Nothing more is there for now: acknowledges what was received.
    pub(crate) fn settle(&mut self) {
        if self.owed > 0 {
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        self.owed = 0;
        self.emit(ACK, &[], 0, self.connection.snd_nxt);
    }

    /// How much may be sent at once now.
    pub(crate) fn room(&self) -> usize {
        let largest = if self.vnet {
            (65_535 - HEADERS - self.options_len()) / self.mss * self.mss
        } else {
            self.mss
        };
        let c = &self.connection;
        let flight = c.snd_nxt.wrapping_sub(c.snd_una);
        let room = (c.snd_wnd.min(self.window).saturating_sub(flight) as usize).min(largest);
        if room < self.mss && flight > 0 {
            0
        } else {
            room
        }
    }

    /// Sends what `fill` puts into the room that is given to it, as its result says; whether the device took it.
    pub(crate) fn send_with(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let start = if self.vnet { VNET_HEADER } else { 0 } + HEADERS + self.options_len();
        let room = self.room();
        let length = self.out.get_mut(start..start + room).map_or(0, fill);
        let seq = self.connection.snd_nxt;
        if length == 0 || !self.emit(ACK, &[], length, seq) {
            return false;
        }
        self.connection.snd_nxt = seq.wrapping_add(length as u32);
        true
    }

    /// Sends what the window allows, at most sixteen super-segments at a time.
    pub(crate) fn send(&mut self) -> usize {
        if !self.connection.open || self.connection.local_port != SOURCE {
            return 0;
        }
        let stuck = self.progress.elapsed() > Duration::from_millis(200);
        if self.connection.duplicates > 3 || stuck {
            self.connection.snd_nxt = self.connection.snd_una;
            self.connection.duplicates = 0;
            self.progress = Instant::now();
        }
        for sent in 0..16 {
            // The payload is zero, as it was before.
            if !self.send_with(|room| room.len()) {
                return sent;
            }
        }
        16
    }

    /// Length of the options of a segment without SYN.
    fn options_len(&self) -> usize {
        if self.has_options { TIMESTAMPS_LEN } else { 0 }
    }

    fn emit(&mut self, flags: u8, options: &[u8], length: usize, seq: u32) -> bool {
        let start = if self.vnet { VNET_HEADER } else { 0 };
        let timestamps_at = 20 + options.len();
        let header = timestamps_at + self.options_len();
        let total = 20 + header + length;
        let c = &self.connection;
        let ip = &mut self.out[start..start + 20 + header];
        ip[..20].fill(0);
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        ip[6] = 0x40;
        ip[8..10].copy_from_slice(&[64, 6]);
        ip[12..16].copy_from_slice(&c.local);
        ip[16..20].copy_from_slice(&c.peer);
        let checksum = !fold(sum(0, &ip[..20]));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let pseudo = sum(sum(6 + (header + length) as u32, &c.local), &c.peer);
        let window = if flags & SYN != 0 {
            65_535
        } else {
            (self.window >> WINDOW_SCALE) as u16
        };
        let tcp = &mut ip[20..];
        tcp[0..2].copy_from_slice(&c.local_port.to_be_bytes());
        tcp[2..4].copy_from_slice(&c.peer_port.to_be_bytes());
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&c.rcv_nxt.to_be_bytes());
        tcp[12] = ((header / 4) as u8) << 4;
        tcp[13] = flags;
        tcp[14..16].copy_from_slice(&window.to_be_bytes());
        tcp[16..20].fill(0);
        tcp[20..timestamps_at].copy_from_slice(options);
        if self.has_options {
            let now = self.started.elapsed().as_millis() as u32;
            let timestamps = &mut tcp[timestamps_at..];
            timestamps[..4].copy_from_slice(&TIMESTAMPS);
            timestamps[4..8].copy_from_slice(&now.to_be_bytes());
            timestamps[8..].copy_from_slice(&self.ts_recent);
        }
        if self.vnet {
            tcp[16..18].copy_from_slice(&fold(pseudo).to_be_bytes());
            let vnet = &mut self.out[..VNET_HEADER];
            vnet.fill(0);
            vnet[0] = 1;
            if length > self.mss {
                vnet[1] = 1;
                vnet[2..4].copy_from_slice(&((20 + header) as u16).to_ne_bytes());
                vnet[4..6].copy_from_slice(&(self.mss as u16).to_ne_bytes());
            }
            vnet[6..8].copy_from_slice(&20u16.to_ne_bytes());
            vnet[8..10].copy_from_slice(&16u16.to_ne_bytes());
        } else {
            // The payload is zero and adds nothing to the sum.
            let checksum = !fold(sum(pseudo, tcp));
            tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        }
        let sent = self.link.write(&self.out[..start + total]);
        if flags & SYN != 0 {
            // Where options were, data comes next.
            self.out[start + HEADERS..start + 20 + header].fill(0);
        }
        sent
    }
}

fn window_scale(mut options: &[u8]) -> u8 {
    while let Some(kind) = options.first() {
        match (kind, options.get(1)) {
            (0, _) | (2.., None) => break,
            (1, _) => options = &options[1..],
            (3, Some(3)) => return options.get(2).copied().unwrap_or(0),
            (_, Some(&n)) => options = options.get(usize::from(n.max(2))..).unwrap_or_default(),
        }
    }
    0
}

/// The sender's timestamp, wherever it stands. (No MSS that is measured with looks like one.)
fn timestamp(options: &[u8]) -> Option<[u8; 4]> {
    let at = options.windows(2).position(|pair| pair == [8, 10])?;
    options.get(at + 2..)?.first_chunk().copied()
}

pub(crate) fn sum(start: u32, data: &[u8]) -> u32 {
    data.chunks(2).fold(start, |sum, pair| {
        sum + (u32::from(pair[0]) << 8) + pair.get(1).map_or(0, |byte| u32::from(*byte))
    })
}

pub(crate) fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
