//! One connection: a peer that does anything, an application that does anything, and a clock.

use std::time::Duration;

use bytes::Bytes;
use transom_tcp::{
    Config, Connection, EcnUse, Event, Identity, Instant, KeepAlive, Linger, Path, PathError,
    Segment, State, Transmit,
};
use transom_wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom_wire::{Ecn, Seq, SeqRange};

use crate::Input;

/// Most steps of one input.
const MAX_STEPS: usize = 200;
/// Segments that one input may bring about: what the windows hold, and more.
const MAX_ANSWER: usize = 3000;

/// A connection and what must hold from one step to the next.
struct Subject {
    connection: Connection,
    now: Instant,
    state: State,
    /// The right edge of the window, as told.
    edge: Option<Seq>,
    una: Seq,
    rcv_nxt: Option<Seq>,
    /// The largest right edge that the peer has ever offered, as octets beyond SND.UNA.
    max_payload: usize,
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Some(mut subject) = Subject::new(&mut input) else {
        return;
    };
    subject.check();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        subject.step(&mut input);
        subject.check();
    }
    subject.end();
}

fn config(input: &mut Input<'_>) -> Config {
    let bits = input.short();
    let bit = |at: u32| bits >> at & 1 != 0;
    let buffer = input.of(&[1, 100, 2000, 70_000, 1 << 20]);
    let mut config = Config::default()
        .timestamps(bit(0))
        .sack(bit(1))
        .rack(bit(2))
        .window_scaling(bit(3))
        .nodelay(bit(4))
        .quick_acks(if bit(5) { 2 } else { 16 })
        .keep_alive(bit(6).then(KeepAlive::default))
        .user_timeout(bit(7).then_some(Duration::from_secs(30)))
        .recv_buffer(buffer)
        .send_buffer(1 << 18)
        .ecn(match input.below(6) {
            0 => EcnUse::Off,
            1 => EcnUse::Accept,
            2 => EcnUse::AcceptAccurate,
            3 => EcnUse::Accurate,
            _ => EcnUse::Request,
        });
    if bit(8) {
        config = config.congestion(transom_tcp::congestion::Algorithm::Reno);
    }
    if bit(9) {
        config = config.max_segment(Some(100));
    }
    if bit(10) {
        config = config.linger(Linger::Limit(Duration::from_secs(5)));
    }
    config
}

impl Subject {
    fn new(input: &mut Input<'_>) -> Option<Self> {
        let now = Instant::from_origin(Duration::from_secs(1000));
        let config = config(input);
        let bases = [0, 5, u32::MAX - 3, (1 << 31) - 2, u32::MAX / 3];
        let (iss, irs) = (Seq::new(input.of(&bases)), Seq::new(input.of(&bases)));
        let path = Path::new(input.of(&[1500, 9000, 1280, 576, 68]), input.of(&[20, 40]));
        let identity = Identity::new(iss, 0);
        let syn = Segment {
            options: options(input, irs, iss),
            flags: Flags::SYN,
            ..segment(irs, Seq::new(0), input.of(&[0, 1, 1000, 65_535]), now)
        };
        let start = input.below(4);
        let max_payload = input.of(&[0, 3000, 64_000]);
        let connection = if start == 0 {
            Connection::accept(config, path, identity, &syn, now).ok()?
        } else {
            Connection::connect(config, path, identity, now)
        };
        let state = match start {
            0 => State::SynReceived,
            _ => State::SynSent,
        };
        let mut subject = Self {
            una: connection.info().snd_una,
            connection,
            now,
            state: State::Closed,
            edge: None,
            rcv_nxt: None,
            max_payload,
        };
        subject.state = match start {
            0 => State::Listen,
            _ => State::Closed,
        };
        subject.drain();
        subject.events();
        assert_eq!(subject.state, state);
        if start > 1 {
            let syn_ack = Segment {
                flags: Flags::SYN | Flags::ACK,
                ack: iss + 1,
                ..syn
            };
            subject.arrive(&syn_ack);
        }
        Some(subject)
    }

    /// One thing that the peer, the application or the clock does.
    fn step(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.below(24) {
            0..11 => {
                let segment = self.aimed(input);
                self.arrive(&segment);
            }
            11 | 12 => {
                let len = input.of(&[1, 100, 1460, 5000, 100_000]);
                self.connection.send(now, Bytes::from(vec![7; len])).ok();
            }
            13 => {
                let max = input.of(&[1, 100, 1000, usize::MAX]);
                self.connection.recv(now, max).ok();
            }
            14 | 15 => {
                // To the next deadline, as far as it is worth waiting for.
                let deadline = self.connection.poll_timeout().unwrap_or(now);
                self.now = deadline.clamp(now, now + Duration::from_secs(120));
                self.connection.handle_timeout(self.now);
            }
            16 => {
                self.now += Duration::from_millis(u64::from(input.short()));
            }
            17 => {
                self.now += Duration::from_secs(u64::from(input.short()) * 60);
                self.connection.handle_timeout(self.now);
            }
            18 | 19 => self.call(input),
            20 => self.router(input),
            21 => {
                // Two segments before anything is sent.
                for _ in 0..2 {
                    let segment = self.aimed(input);
                    self.connection.handle_segment(now, &segment).ok();
                }
            }
            22 => {
                self.connection.handle_timeout(now);
            }
            _ => {
                let mut out = vec![0; input.of(&[0, 1, 100, 70_000])];
                self.connection.peek(&mut out).ok();
                self.connection.recv_into(now, &mut out).ok();
            }
        }
    }

    fn call(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        let connection = &mut self.connection;
        match input.below(20) {
            0 => connection.shutdown_write(now).unwrap_or_default(),
            1 => connection.shutdown_read(now),
            2 => connection.close(now),
            3 => connection.abort(now),
            4 => connection.set_linger(Linger::Limit(Duration::from_secs(1))),
            5 => connection.set_linger(Linger::Reset),
            6 | 7 => connection.set_cork(now, input.flag()),
            8 | 9 => connection.set_nodelay(now, input.flag()),
            10 => connection.set_keep_alive(now, None),
            11 => connection.set_keep_alive(now, Some(KeepAlive::default())),
            12 => connection.set_path_mtu(now, usize::from(input.short())),
            13 => connection.set_user_timeout(now, Some(Duration::from_secs(3))),
            14 => connection.set_dscp(input.byte()),
            15 => drop(connection.send_slice(now, &[1; 3000])),
            _ => drop(connection.send_urgent(now, Bytes::from_static(&[9; 10]))),
        }
    }

    /// A router has something to say.
    fn router(&mut self, input: &mut Input<'_>) {
        let info = self.connection.info();
        let quoted = input.of(&[info.snd_una, info.snd_nxt, info.iss, Seq::new(0)]);
        if input.flag() {
            let mtu = usize::from(input.short());
            self.connection
                .handle_packet_too_big(self.now, mtu, quoted)
                .ok();
        } else {
            let error = input.of(&[
                PathError::NetworkUnreachable,
                PathError::PortUnreachable,
                PathError::TimeExceeded,
                PathError::NoRoute,
            ]);
            self.connection
                .handle_path_error(self.now, error, quoted)
                .ok();
        }
    }

    /// A segment that aims at the places where mistakes are made.
    fn aimed(&self, input: &mut Input<'_>) -> Segment {
        let info = self.connection.info();
        let near = |input: &mut Input<'_>, base: Seq, window: u32| {
            let place = input.byte();
            let anchor = match place >> 5 {
                0 | 1 => base,
                2 => base + window,
                3 => base + window / 2,
                4 => base - 1,
                5 => base + u32::from(input.byte()),
                6 => base - u32::from(input.short()),
                _ => Seq::new(input.word()),
            };
            match place & 3 {
                0 | 1 => anchor,
                2 => anchor + 1,
                _ => anchor - 1,
            }
        };
        let seq = near(input, info.rcv_nxt, info.rcv_wnd);
        let ack = near(input, info.snd_una, info.snd_nxt.since(info.snd_una));
        let window = input.of(&[0, 1, 100, 1000, 30_000, 65_535]);
        let flags = match input.below(8) {
            0..3 => Flags::ACK,
            3 => Flags::ACK | Flags::PSH,
            4 => Flags::ACK | Flags::FIN,
            5 => Flags::ACK | Flags::URG,
            _ => Flags::from_bits(input.short()),
        };
        let len = input.of(&[0, 0, 0, 1, 2, 50, 1000, 9000]);
        Segment {
            flags,
            urgent: input.of(&[0, 1, 10, 65_535]),
            payload: Bytes::from(vec![7; len]),
            gso_size: input.of(&[0, 0, 0, 1, 1000]),
            ecn: Ecn::from_bits(input.byte()),
            options: if input.below(3) == 0 {
                options(input, info.snd_una, info.snd_nxt)
            } else {
                Options::EMPTY
            },
            ..segment(seq, ack, window, self.now)
        }
    }

    fn arrive(&mut self, segment: &Segment) {
        self.connection.handle_segment(self.now, segment).ok();
    }

    /// Takes the output and checks what must hold whatever came in.
    fn check(&mut self) {
        self.drain();
        self.events();
        let info = self.connection.info();
        if info.state == State::Closed {
            // INV-7.
            let left = self.connection.poll_timeout();
            assert_eq!(left, None, "a timer outlives the connection");
            return;
        }
        // INV-2.
        assert!(info.snd_una.ge(self.una), "SND.UNA went back");
        assert!(info.snd_nxt.ge(info.snd_una), "SND.NXT before SND.UNA");
        self.una = info.snd_una;
        if info.state != State::SynSent {
            assert!(
                self.rcv_nxt.is_none_or(|before| info.rcv_nxt.ge(before)),
                "RCV.NXT went back"
            );
            self.rcv_nxt = Some(info.rcv_nxt);
        }
        let held = info.recv_queue + info.recv_out_of_order;
        assert!(held <= 3 << 20, "{held} octets are held");
        // INV-5: whatever waits for the peer has a deadline.
        let waits = info.snd_nxt != info.snd_una || info.send_queue > 0;
        if waits && info.state != State::TimeWait {
            let deadline = self.connection.poll_timeout();
            assert!(deadline.is_some(), "a deadlock in {}", info.state);
        }
    }

    fn drain(&mut self) {
        for _ in 0..MAX_ANSWER {
            let before = self.connection.info();
            let next = self.connection.poll_transmit(self.now, self.max_payload);
            let Some(transmit) = next else {
                return;
            };
            self.sent(&transmit, &before);
        }
        // INV-6.
        panic!("an endless answer in {}", self.connection.state());
    }

    /// INV-1, INV-2, INV-4, INV-9.
    fn sent(&mut self, transmit: &Transmit, before: &transom_tcp::ConnectionInfo) {
        is_well_formed(transmit);
        let info = self.connection.info();
        let has = |flag| transmit.flags.contains(flag);
        if info.state == State::Closed || has(Flags::RST) || has(Flags::SYN) {
            return;
        }
        let end = transmit.seq + transmit.len();
        assert!(end.le(info.snd_nxt + 1), "beyond SND.NXT");
        let is_new = info.snd_nxt.gt(before.snd_nxt) && !transmit.payload.is_empty();
        if is_new {
            // One octet of a probe may lie beyond the window.
            let window = before.snd_wnd.saturating_add(1);
            let beyond = info.snd_nxt.since(info.snd_una);
            assert!(
                beyond <= window.saturating_add(1),
                "{beyond} octets in flight, the window is {}",
                before.snd_wnd
            );
        }
        if has(Flags::ACK) {
            let shift = info.rcv_wind_shift.unwrap_or(0);
            let offered = transmit.ack + (u32::from(transmit.window) << shift);
            assert!(
                self.edge.is_none_or(|edge| offered.ge(edge)),
                "the right edge moved left"
            );
            self.edge = Some(offered);
        }
    }

    /// INV-12, EV-X-22.
    fn events(&mut self) {
        let mut told = 0;
        while let Some(event) = self.connection.poll_event() {
            told += 1;
            assert!(told < 40, "events without end");
            if let Event::State { from, to } = event {
                assert_eq!(from, self.state, "a change of state was not told");
                assert!(from.may_become(to), "{from} became {to}");
                self.state = to;
            }
        }
        assert_eq!(self.connection.state(), self.state);
    }

    /// Left alone, every connection comes to its end, in bounded time.
    fn end(&mut self) {
        self.connection.close(self.now);
        self.check();
        for _ in 0..4000 {
            if self.connection.state() == State::Closed {
                return;
            }
            let Some(deadline) = self.connection.poll_timeout() else {
                panic!("{} for ever", self.connection.state());
            };
            self.now = self.now.max(deadline);
            self.connection.handle_timeout(self.now);
            self.check();
        }
        panic!("{} does not end", self.connection.state());
    }
}

/// INV-9: what is to be sent can be written, and reads the same.
fn is_well_formed(transmit: &Transmit) {
    let header = Header {
        src_port: 1,
        dst_port: 2,
        seq: transmit.seq,
        ack: transmit.ack,
        flags: transmit.flags,
        window: transmit.window,
        urgent: transmit.urgent,
        options: transmit.options,
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    let view = TcpView::new(&bytes).expect("what is sent is well formed");
    assert_eq!(Header::from_view(&view), header);
}

fn segment(seq: Seq, ack: Seq, window: u16, now: Instant) -> Segment {
    Segment {
        seq,
        ack,
        flags: Flags::ACK,
        window,
        urgent: 0,
        options: Options::EMPTY,
        payload: Bytes::new(),
        ecn: Ecn::NotEct,
        received: now,
        gso_size: 0,
    }
}

fn options(input: &mut Input<'_>, una: Seq, nxt: Seq) -> Options {
    let bits = input.byte();
    let mut options = Options {
        mss: (bits & 1 != 0).then(|| input.of(&[0, 1, 64, 536, 1460, 65_535])),
        window_scale: (bits & 2 != 0).then(|| input.of(&[0, 1, 7, 14, 15, 255])),
        sack_permitted: bits & 4 != 0,
        ..Options::EMPTY
    };
    if bits & 8 != 0 {
        options.timestamps = Some(Timestamps {
            val: input.word(),
            ecr: input.of(&[0, 1, 1_000_000, 1_000_001, u32::MAX]),
        });
    }
    for _ in 0..bits >> 5 & 3 {
        let base = input.of(&[una, una + 1, nxt]);
        let start = base + u32::from(input.byte()) * 50;
        options.sack.push(SeqRange {
            start,
            end: start + u32::from(input.short()),
        });
    }
    options
}

/// A few dialogues: handshakes, data both ways, closing.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let open = |bits: [u8; 2], start: u8| {
        let mut seed = bits.to_vec();
        seed.extend([2, 1, 2, 2, 0, 0, 15, 2, 2, 2, 0, 0, 0, 1, 3, start, 1]);
        seed
    };
    let mut seeds = Vec::new();
    for bits in [[0, 0], [0, 0x0f], [1, 0x1f], [0xff, 0xff]] {
        for start in 0..4 {
            let mut seed = open(bits, start);
            // Data in, data out, its acknowledgement, the clock, FIN, close.
            seed.extend([0, 0, 0, 5, 0, 6, 0, 0, 0, 1]);
            seed.extend([11, 2, 0, 0, 0x40, 5, 0, 0, 0, 0, 1]);
            seed.extend([14, 14, 13, 3, 0, 0, 0x40, 5, 4, 0, 0, 0, 0, 1]);
            seed.extend([18, 0, 14, 14]);
            seeds.push(seed);
        }
    }
    seeds
}
