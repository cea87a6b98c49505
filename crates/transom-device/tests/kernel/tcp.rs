//! As much of TCP as is needed to exchange bytes with the kernel over a link that loses nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bytes::Bytes;
use transom_wire::frame::{Payload, RxChecksum, TxOffload};
use transom_wire::ip::Protocol;
use transom_wire::seq::Seq;
use transom_wire::tcp::{Flags, Header, Options, TcpView};

use super::wire::{Ends, PATIENCE, Received, Wire};

/// A received segment.
pub(crate) struct Segment {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: Flags,
    pub(crate) payload: Bytes,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) gso_size: u16,
    pub(crate) frame_len: usize,
}

/// A connection that we opened to a socket of the kernel.
pub(crate) struct Connection<'a> {
    wire: &'a mut Wire,
    ends: Ends,
    port: u16,
    snd_nxt: Seq,
    rcv_nxt: Seq,
    /// What the kernel is ready to take beyond what it has acknowledged, and how it scales it.
    snd_wnd: usize,
    snd_wnd_scale: u8,
    /// What we offer, in KiB.
    window: u16,
}

const OUR_PORT: u16 = 4000;
const WINDOW_SCALE: u8 = 10;
/// 256 KiB: less than any queue between the kernel and us, so that nothing is lost.
const WINDOW: u16 = 256;

impl<'a> Connection<'a> {
    /// Connects; gives the kernel's end too.
    pub(crate) fn open(wire: &'a mut Wire, ends: Ends, window: u16) -> (Self, TcpStream) {
        let listener = TcpListener::bind((ends.kernel, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (snd_nxt, rcv_nxt) = (Seq::new(0xffff_f000), Seq::new(0));
        let mut connection = Self {
            wire,
            ends,
            port,
            snd_nxt,
            rcv_nxt,
            snd_wnd: 0,
            snd_wnd_scale: 0,
            window,
        };
        connection.send(Flags::SYN, Payload::new());
        connection.snd_nxt += 1;
        let answer = connection.recv();
        assert_eq!(answer.flags, Flags::SYN | Flags::ACK);
        assert_eq!(answer.ack, connection.snd_nxt);
        connection.rcv_nxt = answer.seq + 1;
        connection.snd_wnd = answer.window.into();
        connection.snd_wnd_scale = answer.options.window_scale.unwrap();
        connection.send(Flags::ACK, Payload::new());
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = connection
            .wire
            .until("the kernel's socket is connected", |_| {
                listener.accept().ok()
            });
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        (connection, stream)
    }

    pub(crate) fn mss(&self) -> usize {
        let header = if self.ends.ours.is_ipv4() { 40 } else { 60 };
        self.wire.device.capabilities().mtu - header
    }

    /// Sends one frame: a single segment, or several for the device to cut.
    pub(crate) fn send(&mut self, flags: Flags, payload: Payload) {
        let syn = flags.contains(Flags::SYN);
        let options = if syn {
            Options {
                mss: Some(self.mss() as u16),
                window_scale: Some(WINDOW_SCALE),
                ..Options::default()
            }
        } else {
            Options::default()
        };
        let header = Header {
            src_port: OUR_PORT,
            dst_port: self.port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags,
            window: if syn { 65_535 } else { self.window },
            urgent: 0,
            options,
        };
        let Ends { ours, kernel } = self.ends;
        let mut bytes = vec![0; header.header_len()];
        let (start, offset) = (0, 16);
        let offload = if !self.wire.fills_checksums() {
            header.emit_with_checksum(&mut bytes, ours, kernel, &payload.to_vec());
            TxOffload::None
        } else {
            header.emit_partial(&mut bytes, ours, kernel, payload.len());
            if payload.len() <= self.mss() {
                TxOffload::Checksum { start, offset }
            } else {
                TxOffload::Segment {
                    ipv6: false,
                    gso_size: self.mss() as u16,
                    header_len: 0,
                    checksum_start: start,
                    checksum_offset: offset,
                }
            }
        };
        let len = payload.len() as u32;
        self.wire
            .send(self.ends, Protocol::TCP, &bytes, payload, offload);
        self.snd_nxt += len;
    }

    /// The kernel's next segment.
    pub(crate) fn recv(&mut self) -> Segment {
        let (ends, port) = (self.ends, self.port);
        self.wire
            .recv(ends, |received| segment(received, ends, port))
    }

    /// Sends `data` in frames of up to `frame_len` bytes in `pieces` slices each, as far as the kernel's
    /// window allows, waiting for each to be acknowledged.
    pub(crate) fn send_all(&mut self, data: &Bytes, frame_len: usize, pieces: usize) {
        let mut rest = data.clone();
        while !rest.is_empty() {
            while self.snd_wnd < self.mss() {
                self.recv_ack();
            }
            let mut part = rest.split_to(frame_len.min(self.snd_wnd).min(rest.len()));
            let size = part.len().div_ceil(pieces);
            let mut payload = Payload::new();
            while !part.is_empty() {
                payload.push(part.split_to(size.min(part.len())));
            }
            self.send(Flags::ACK | Flags::PSH, payload);
            while self.recv_ack() != self.snd_nxt {}
        }
    }

    fn recv_ack(&mut self) -> Seq {
        let segment = self.recv();
        self.snd_wnd = usize::from(segment.window) << self.snd_wnd_scale;
        segment.ack
    }

    /// Receives until the kernel's FIN, acknowledging everything, and gives the segments in order of
    /// their data. Says how many did not arrive in that order.
    pub(crate) fn recv_all(&mut self) -> (Vec<Segment>, usize) {
        let (mut in_order, mut early, mut disorder) = (Vec::new(), Vec::<Segment>::new(), 0);
        loop {
            let segment = self.recv();
            assert!(
                !segment.flags.contains(Flags::RST),
                "the kernel reset the connection"
            );
            if segment.payload.is_empty() && !segment.flags.contains(Flags::FIN) {
                continue;
            }
            disorder += usize::from(segment.seq != self.rcv_nxt);
            early.push(segment);
            while let Some(at) = early.iter().position(|next| next.seq.le(self.rcv_nxt)) {
                let mut segment = early.swap_remove(at);
                let known = self.rcv_nxt.since(segment.seq) as usize;
                if known > segment.payload.len() {
                    continue;
                }
                segment.payload = segment.payload.slice(known..);
                self.rcv_nxt += segment.payload.len() as u32;
                let fin = segment.flags.contains(Flags::FIN);
                in_order.push(segment);
                if fin {
                    self.rcv_nxt += 1;
                    self.send(Flags::ACK, Payload::new());
                    return (in_order, disorder);
                }
            }
            self.send(Flags::ACK, Payload::new());
        }
    }
}

fn segment(received: &Received, ends: Ends, port: u16) -> Option<Segment> {
    let packet = received.packet();
    if packet.protocol() != Protocol::TCP {
        return None;
    }
    let view = TcpView::new(packet.payload()).unwrap();
    if (view.src_port(), view.dst_port()) != (port, OUR_PORT) {
        return None;
    }
    if received.checksum == RxChecksum::Unverified {
        assert!(
            view.verify_checksum(ends.kernel, ends.ours),
            "a wrong checksum"
        );
    }
    Some(Segment {
        seq: view.seq(),
        ack: view.ack(),
        flags: view.flags(),
        payload: Bytes::copy_from_slice(view.payload()),
        window: view.window(),
        options: view.options().0,
        gso_size: received.gso_size,
        frame_len: received.bytes.len(),
    })
}

/// Bytes of which none look like their neighbours.
pub(crate) fn pattern(len: usize) -> Bytes {
    (0..len).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

/// We send, the kernel reads. Returns nothing: what is read is compared here.
pub(crate) fn kernel_receives(wire: &mut Wire, ends: Ends, frame_len: usize, pieces: usize) {
    let data = pattern(1_000_000);
    let (mut connection, mut stream) = Connection::open(wire, ends, WINDOW);
    let expected = data.clone();
    let reader = thread::spawn(move || {
        let mut read = vec![0; expected.len()];
        stream.read_exact(&mut read).unwrap();
        assert!(read == expected, "the kernel read other bytes");
    });
    let frame_len = if frame_len == 0 {
        connection.mss()
    } else {
        frame_len
    };
    connection.send_all(&data, frame_len, pieces);
    reader.join().unwrap();
}

/// The kernel sends, we read. Returns the segments, and how many did not arrive in order.
pub(crate) fn kernel_sends(wire: &mut Wire, ends: Ends) -> (Vec<Segment>, usize) {
    kernel_sends_much(wire, ends, 4_000_000, WINDOW)
}

/// As [`kernel_sends`], so many bytes, with a window of so many KiB.
pub(crate) fn kernel_sends_much(
    wire: &mut Wire,
    ends: Ends,
    len: usize,
    window: u16,
) -> (Vec<Segment>, usize) {
    let data = pattern(len);
    let (mut connection, mut stream) = Connection::open(wire, ends, window);
    let sent = data.clone();
    let writer = thread::spawn(move || stream.write_all(&sent).unwrap());
    let (segments, disorder) = connection.recv_all();
    writer.join().unwrap();
    let read = segments.iter().map(|segment| &segment.payload[..]);
    let read = read.collect::<Vec<_>>().concat();
    assert!(read == data, "the kernel sent other bytes");
    (segments, disorder)
}
