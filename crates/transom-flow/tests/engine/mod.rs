//! Two of our TCP engines on a simulated path, captured at either end; what each segment was sent for,
//! and what held the sender back, is known from the engines themselves.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken world is a broken test"
)]

use bytes::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use transom_flow::wire::ip::{Packet, Protocol, ipv4};
use transom_flow::wire::tcp::{Header, TcpView};
use transom_flow::wire::{Ecn, Medium, Seq};
use transom_flow::{Connection as Flow, Frame, Limits, Tracker};
use transom_sim::{Host, Impairment, Outcome, World};
use transom_tcp::{Config, Connection, Identity, Instant, Path, Segment, Transmit, TransmitKind};

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
const PORTS: [u16; 2] = [40_000, 80];
/// Near the end of the numbers, so that they wrap.
const CLIENT_ISS: u32 = u32::MAX - 9999;
const MTU: usize = 1500;
const PATIENCE: Duration = Duration::from_secs(900);

/// What holds a sender back, as its engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    Application,
    Window,
    Loss,
    Network,
}

/// A packet as one host saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub time: Duration,
    /// Which host sent it.
    pub from: usize,
    pub packet: Vec<u8>,
}

/// What an application does.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Bytes to send.
    pub to_send: usize,
    /// Bytes written at once.
    pub write: usize,
    /// Pause between writes.
    pub pause: Duration,
    /// Bytes read in each `read_every`; everything at once if that is zero.
    pub read: usize,
    pub read_every: Duration,
}

impl Habits {
    pub const fn bulk(to_send: usize) -> Self {
        Self {
            to_send,
            write: 65_536,
            pause: Duration::ZERO,
            read: usize::MAX,
            read_every: Duration::ZERO,
        }
    }
}

/// An engine, its application, and what is known of both.
pub struct Peer {
    index: usize,
    config: Config,
    pub connection: Option<Connection>,
    habits: Habits,
    written: usize,
    next_write: Duration,
    next_read: Duration,
    /// Packets in the order in which this host saw them.
    pub seen: Vec<Seen>,
    /// Why each packet was sent, by its identification.
    pub kinds: HashMap<u16, TransmitKind>,
    next_id: u16,
    /// What held the sender back, and since when.
    held: Option<(Duration, Held)>,
    timeouts: u32,
    /// What was sent when the timer last ran out.
    repairs_until: Option<Seq>,
    /// From, to, and by what.
    pub held_for: Vec<(Duration, Duration, Held)>,
}

fn instant(time: Duration) -> Instant {
    Instant::from_origin(time)
}

impl Peer {
    fn new(index: usize, config: Config, habits: Habits) -> Self {
        let connection = (index == 0).then(|| {
            Connection::connect(
                config.clone(),
                Path::new(MTU, 20),
                Identity::new(Seq::new(CLIENT_ISS), 7),
                instant(Duration::ZERO),
            )
        });
        Self {
            index,
            config,
            connection,
            habits,
            written: 0,
            next_write: Duration::ZERO,
            next_read: Duration::ZERO,
            seen: Vec::new(),
            kinds: HashMap::new(),
            next_id: 1,
            held: None,
            timeouts: 0,
            repairs_until: None,
            held_for: Vec::new(),
        }
    }

    fn act(&mut self, now: Duration) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let at = instant(now);
        while connection.poll_event().is_some() {}
        let slow = !self.habits.read_every.is_zero();
        if !slow || now >= self.next_read {
            self.next_read = now + self.habits.read_every;
            let mut left = self.habits.read;
            while left > 0
                && let Ok(Some(data)) = connection.recv(at, left)
                && !data.is_empty()
            {
                left -= data.len().min(left);
            }
        }
        while self.written < self.habits.to_send && now >= self.next_write {
            let len = self.habits.write.min(self.habits.to_send - self.written);
            match connection.send(at, Bytes::from(vec![0x5a; len])) {
                Ok(0) | Err(_) => break,
                Ok(taken) => self.written += taken,
            }
            if !self.habits.pause.is_zero() {
                self.next_write = now + self.habits.pause;
            }
        }
        self.note_held(now);
    }

    /// Notes what holds the sender back now.
    fn note_held(&mut self, now: Duration) {
        let Some(connection) = &self.connection else {
            return;
        };
        let info = connection.info();
        let in_flight = info.snd_nxt.since(info.snd_una);
        let unsent = info.send_queue.saturating_sub(in_flight as usize);
        let mss = u32::from(info.eff_snd_mss.max(1));
        if info.counters.timeouts > self.timeouts {
            self.timeouts = info.counters.timeouts;
            self.repairs_until = Some(info.snd_nxt);
        }
        self.repairs_until.take_if(|until| until.le(info.snd_una));
        let held = if info.in_recovery || self.repairs_until.is_some() {
            Held::Loss
        } else if unsent == 0 {
            Held::Application
        } else if info.snd_wnd.saturating_sub(in_flight) < mss {
            Held::Window
        } else {
            Held::Network
        };
        if info.counters.bytes_sent == 0 {
            return;
        }
        if let Some((since, before)) = self.held {
            self.held_for.push((since, now, before));
        }
        self.held = Some((now, held));
    }

    fn packet(&mut self, transmit: &Transmit) -> Vec<u8> {
        let (src, dst) = (ADDRESSES[self.index], ADDRESSES[1 - self.index]);
        let header = Header {
            src_port: PORTS[self.index],
            dst_port: PORTS[1 - self.index],
            seq: transmit.seq,
            ack: transmit.ack,
            flags: transmit.flags,
            window: transmit.window,
            urgent: transmit.urgent,
            options: transmit.options,
        };
        let data = transmit.payload.to_vec();
        let header_len = header.header_len();
        let mut packet = vec![0; ipv4::Header::LEN + header_len];
        let mut ip = ipv4::Header::new(src, dst, Protocol::TCP);
        ip.id = self.next_id;
        self.kinds.insert(self.next_id, transmit.kind);
        self.next_id = self.next_id.checked_add(1).unwrap();
        ip.emit(&mut packet, header_len + data.len());
        header.emit_with_checksum(
            &mut packet[ipv4::Header::LEN..],
            IpAddr::V4(src),
            IpAddr::V4(dst),
            &data,
        );
        packet.extend(data);
        packet
    }
}

impl Host for Peer {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        let ip = Packet::lax(&frame).unwrap();
        let view = TcpView::new(ip.payload()).unwrap();
        let segment = Segment {
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            options: view.options().0,
            payload: Bytes::copy_from_slice(view.payload()),
            ecn: Ecn::NotEct,
            received: instant(now),
            gso_size: 0,
        };
        match &mut self.connection {
            Some(connection) => {
                // What an engine discards, it counts; the capture shows it all the same.
                let _ = connection.handle_segment(instant(now), &segment);
            }
            empty => {
                let identity = Identity::new(Seq::new(0x7fff_f000), 9);
                let path = Path::new(MTU, 20);
                *empty =
                    Connection::accept(self.config.clone(), path, identity, &segment, instant(now))
                        .ok();
            }
        }
        self.seen.push(Seen {
            time: now,
            from: 1 - self.index,
            packet: frame,
        });
        self.act(now);
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let transmit = self.connection.as_mut()?.poll_transmit(instant(now), 0)?;
        let packet = self.packet(&transmit);
        self.note_held(now);
        self.seen.push(Seen {
            time: now,
            from: self.index,
            packet: packet.clone(),
        });
        Some(packet)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let connection = self.connection.as_ref()?;
        let engine = connection.poll_timeout().map(Instant::since_origin);
        let write = (self.written < self.habits.to_send && !self.habits.pause.is_zero())
            .then_some(self.next_write);
        let read = (!self.habits.read_every.is_zero() && connection.recv_queue() > 0)
            .then_some(self.next_read);
        [engine, write, read].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Duration) {
        if let Some(connection) = &mut self.connection
            && connection
                .poll_timeout()
                .is_some_and(|due| due <= instant(now))
        {
            connection.handle_timeout(instant(now));
        }
        self.act(now);
    }
}

/// Plays a transfer until all is sent and acknowledged, and returns both hosts' knowledge.
pub fn play(
    config: &Config,
    habits: [Habits; 2],
    there: Impairment,
    back: Impairment,
) -> [Peer; 2] {
    let [client, server] = habits;
    let mut world = World::new();
    let a = world.add_host(Peer::new(0, config.clone(), client));
    let b = world.add_host(Peer::new(1, config.clone(), server));
    world.connect(a, b, there, back);
    let outcome = world.run_bounded(3_000_000, PATIENCE);
    assert_ne!(outcome, Outcome::StepsExhausted);
    [a, b].map(|host| {
        let empty = Peer::new(1, config.clone(), Habits::bulk(0));
        std::mem::replace(world.host_mut(host), empty)
    })
}

/// What a capture at one host shows. Frames are numbered as in `seen`, from 1.
pub fn capture(peer: &Peer) -> Flow {
    let mut limits = Limits::default();
    limits.first_steps = peer.seen.len() * 2 + 64;
    let mut tracker = Tracker::new(limits);
    for seen in &peer.seen {
        let frame = Frame::new(seen.time, Medium::Ip, &seen.packet);
        tracker.frame(&frame).unwrap();
    }
    tracker.finish();
    tracker.take_all().next().unwrap()
}

/// Why the packet that a host saw was sent.
pub fn kind_of(peers: &[Peer; 2], seen: &Seen) -> TransmitKind {
    peers[seen.from].kinds[&identification(&seen.packet)]
}

/// The identification of a packet, which no other packet of its sender has.
pub fn identification(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[4], packet[5]])
}

/// The data that a packet holds, counted from the client's first byte.
pub fn data_range(packet: &[u8]) -> (u32, u32) {
    let ip = Packet::lax(packet).unwrap();
    let view = TcpView::new(ip.payload()).unwrap();
    let start = view.seq().since(Seq::new(CLIENT_ISS) + 1);
    (start, start + view.payload().len() as u32)
}
