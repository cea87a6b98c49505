//! A connection in each state, and what the oracle has to know of it. The numbers come from the
//! dialogue that leads there and from what was seen on the wire, never from inside.

use std::time::Duration;

use bytes::Bytes;
use transom_tcp::{
    Config, Connection, Discard, Event, Identity, Instant, Path, Segment, State, TimeWait,
    TimeWaitReply, Transmit, closed, listen,
};
use transom_wire::tcp::{Flags, Options, Timestamps};
use transom_wire::{Ecn, Seq};

use crate::harness::notation::{at, relative};
use crate::harness::{fold, ms, secs, start, stream};
use crate::oracle::{Model, Out, Outcome, Seg, Signal};
pub use crate::variants::{Fixture, Variant};

/// Both numbers cross 2^32 within the window.
const ISS: Seq = Seq::new(u32::MAX - 150);
const IRS: Seq = Seq::new(u32::MAX - 20);
/// The receive buffer: small enough that its right edge is near.
pub const BUFFER: i64 = 1000;
/// The window that the peer offers: less than it has acknowledged, so that its ACKs can be too old.
pub const PEER_WINDOW: i64 = 2000;
/// The peer's clock at the last segment of the fixture.
pub const RECENT: i64 = 1_000_000;

pub enum Subject {
    Nothing,
    Listener(Box<Config>),
    Connection(Box<Connection>),
    TimeWait(TimeWait),
}

/// A connection in a state and the dialogue so far.
pub struct Stage {
    pub subject: Subject,
    pub model: Model,
    pub now: Instant,
    path: Path,
    /// Our clock, as last seen on the wire.
    our_ts: u32,
    /// The MSS of our SYN, once it was seen.
    pub mss: Option<u16>,
    /// Everything that a SYN must not say outside SYNs was left out.
    pub tidy: bool,
}

/// What a cell's segment brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub out: Vec<Out>,
    pub signals: Vec<Signal>,
    pub discard: Option<Discard>,
    pub restarted: bool,
}

fn config(variant: Variant) -> Config {
    Config::default()
        .timestamps(variant.timestamps)
        .window_scaling(false)
        .sack(false)
        .rack(false)
        .quick_acks(0)
        .recv_buffer(BUFFER as usize)
        // No timer but that of the delayed acknowledgement expires during a cell.
        .rto_initial(secs(30))
        .rto_min(secs(30))
}

impl Stage {
    fn new(subject: Subject, variant: Variant) -> Self {
        Self {
            subject,
            model: Model {
                state: State::Closed,
                passive: false,
                una: 0,
                nxt: 1,
                fin: None,
                snd_wnd: 0,
                wl1: 0,
                wl2: 0,
                max_wnd: PEER_WINDOW,
                rnxt: 0,
                edge: 0,
                consumed: 1,
                recent: variant.timestamps.then_some(RECENT),
                last_ack_sent: 0,
                small: false,
            },
            now: start(),
            path: path(variant),
            our_ts: 0,
            mss: None,
            tidy: true,
        }
    }

    /// The connection in this state.
    pub fn build(fixture: Fixture, variant: Variant) -> Self {
        match fixture {
            Fixture::NoConnection => return Self::new(Subject::Nothing, variant),
            Fixture::Listen => {
                let mut stage = Self::new(Subject::Listener(Box::new(config(variant))), variant);
                stage.model.state = State::Listen;
                stage.model.passive = true;
                return stage;
            }
            Fixture::SynReceivedPassive => return Self::passive(variant),
            _ => {}
        }
        let identity = Identity::new(ISS, 0);
        let connection = Connection::connect(config(variant), path(variant), identity, start());
        let mut stage = Self::new(Subject::Connection(Box::new(connection)), variant);
        stage.model.state = State::SynSent;
        stage.settle(State::SynSent);
        // The window of our SYN counts from wherever the peer begins.
        stage.model.edge += 1;
        match fixture {
            Fixture::SynSent => {}
            Fixture::SynReceivedActive => {
                let syn = stage.peer(|seg| seg.syn = true);
                stage.model.rnxt = 1;
                stage.model.snd_wnd = syn.wnd;
                stage.settle(State::SynReceived);
            }
            _ => stage.beyond(fixture, variant),
        }
        if fixture == Fixture::TimeWaitSmall {
            stage.shrink();
        }
        stage
    }

    fn passive(variant: Variant) -> Self {
        let mut stage = Self::build(Fixture::Listen, variant);
        let syn = Seg {
            syn: true,
            ..stage.segment()
        };
        let mut outcome = Outcome::default();
        stage.deliver(&syn, &mut outcome);
        stage.model.rnxt = 1;
        stage.model.snd_wnd = syn.wnd;
        stage.settle(State::SynReceived);
        stage
    }

    /// Everything from ESTABLISHED on: 2300 octets were sent, 2100 of them acknowledged; some were
    /// received, and read unless the window is to be full.
    fn beyond(&mut self, fixture: Fixture, variant: Variant) {
        self.peer(|seg| {
            seg.syn = true;
            seg.has_ack = true;
            seg.ack = 1;
        });
        (self.model.una, self.model.rnxt) = (1, 1);
        self.settle(State::Established);
        let connection = self.connection();
        connection.send(start(), stream(0, 2000)).unwrap();
        self.settle(State::Established);
        self.peer_acks(2001);
        let now = self.now;
        let connection = self.connection();
        connection.send(now, stream(2000, 300)).unwrap();
        self.model.nxt = 2301;
        self.settle(State::Established);
        self.peer_acks(2101);
        let closes_first = matches!(fixture, Fixture::CloseWait | Fixture::LastAck);
        let finishes = closes_first
            || matches!(
                fixture,
                Fixture::Closing | Fixture::TimeWait | Fixture::TimeWaitSmall
            );
        // A FIN takes a number, and the edge must be reached exactly.
        let text = match (variant.full, finishes) {
            (false, _) => 10,
            (true, false) => BUFFER,
            (true, true) => BUFFER - 1,
        };
        self.peer(|seg| {
            seg.has_ack = true;
            seg.ack = 2101;
            seg.text = text;
        });
        self.model.rnxt += text;
        self.settle(State::Established);
        if !variant.full {
            let now = self.now;
            let data = self.connection().recv(now, 100).unwrap().unwrap();
            assert_eq!(data, stream(0, 10));
            self.model.consumed = self.model.rnxt;
            self.settle(State::Established);
        }
        if closes_first {
            self.peer_finishes(State::CloseWait);
        }
        if fixture == Fixture::LastAck {
            self.finish(State::LastAck);
        } else if fixture > Fixture::Established && !closes_first {
            self.finish(State::FinWait1);
            self.after_our_fin(fixture);
        }
        if fixture == Fixture::Dead {
            self.peer(|seg| seg.rst = true);
            self.model.state = State::Closed;
            self.settle(State::Closed);
        }
    }

    fn after_our_fin(&mut self, fixture: Fixture) {
        match fixture {
            Fixture::FinWait2 | Fixture::TimeWait | Fixture::TimeWaitSmall => {
                self.peer_acks(2302);
                self.settle(State::FinWait2);
                if fixture != Fixture::FinWait2 {
                    self.peer_finishes(State::TimeWait);
                }
            }
            Fixture::Closing => self.peer_finishes(State::Closing),
            _ => {}
        }
    }

    fn peer_acks(&mut self, ack: i64) {
        self.peer(|seg| {
            seg.has_ack = true;
            seg.ack = ack;
        });
        self.model.una = ack;
    }

    fn peer_finishes(&mut self, state: State) {
        let una = self.model.una;
        self.peer(|seg| {
            seg.has_ack = true;
            seg.ack = una;
            seg.fin = true;
        });
        self.model.rnxt += 1;
        self.settle(state);
    }

    fn finish(&mut self, state: State) {
        let now = self.now;
        self.connection().shutdown_write(now).unwrap();
        self.model.fin = Some(2301);
        self.model.nxt = 2302;
        self.settle(state);
    }

    fn shrink(&mut self) {
        let subject = std::mem::replace(&mut self.subject, Subject::Nothing);
        let Subject::Connection(connection) = subject else {
            unreachable!("a connection")
        };
        self.subject = match connection.into_time_wait() {
            Ok(small) => Subject::TimeWait(small),
            Err(connection) => panic!("{} is not done", connection.state()),
        };
        self.model.small = true;
    }

    pub fn connection(&mut self) -> &mut Connection {
        match &mut self.subject {
            Subject::Connection(connection) => connection,
            _ => panic!("a connection"),
        }
    }

    /// A bare segment at RCV.NXT.
    fn segment(&self) -> Seg {
        Seg {
            fin: false,
            syn: false,
            rst: false,
            has_ack: false,
            urg: false,
            seq: self.model.rnxt,
            ack: 0,
            text: 0,
            wnd: PEER_WINDOW,
            up: 0,
            ts: self.model.recent,
        }
    }

    /// The peer sends something in order.
    fn peer(&mut self, change: impl FnOnce(&mut Seg)) -> Seg {
        let mut seg = self.segment();
        change(&mut seg);
        let segment = self.absolute(&seg);
        let now = self.now;
        self.connection().handle_segment(now, &segment).unwrap();
        self.model.snd_wnd = seg.wnd;
        (self.model.wl1, self.model.wl2) = (seg.seq, seg.ack);
        seg
    }

    /// Lets the delayed acknowledgement come and forgets what was said; checks the state.
    fn settle(&mut self, state: State) {
        self.collect();
        self.signals();
        if let Subject::Connection(connection) = &self.subject {
            assert_eq!(connection.state(), state, "the fixture");
        }
        self.model.state = state;
    }

    /// What comes out within the half second that an acknowledgement may be delayed.
    fn collect(&mut self) -> Vec<Out> {
        self.collect_within(ms(100))
    }

    /// What a call or the clock brings about.
    pub fn outputs(&mut self) -> (Vec<Out>, Vec<Signal>) {
        self.outputs_within(ms(100))
    }

    pub fn outputs_within(&mut self, wait: Duration) -> (Vec<Out>, Vec<Signal>) {
        let out = self.collect_within(wait);
        (out, self.signals())
    }

    fn collect_within(&mut self, wait: Duration) -> Vec<Out> {
        let mut out = Vec::new();
        let end = self.now + wait;
        loop {
            while let Some(transmit) = self.poll() {
                out.push(self.note(&transmit));
            }
            let Subject::Connection(connection) = &mut self.subject else {
                return out;
            };
            match connection.poll_timeout() {
                Some(deadline) if deadline <= end => {
                    self.now = self.now.max(deadline);
                    connection.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
        out
    }

    fn poll(&mut self) -> Option<Transmit> {
        match &mut self.subject {
            Subject::Connection(connection) => {
                let transmit = connection.poll_transmit(self.now, 0);
                if transmit.is_none() {
                    fold(connection);
                }
                transmit
            }
            _ => None,
        }
    }

    /// Notes what a segment of ours says, and gives it in the oracle's terms.
    fn note(&mut self, transmit: &Transmit) -> Out {
        let has = |flag| transmit.flags.contains(flag);
        let ack = has(Flags::ACK).then(|| relative(IRS, transmit.ack));
        let (syn, rst) = (has(Flags::SYN), has(Flags::RST));
        if let Some(ts) = transmit.options.timestamps {
            self.our_ts = ts.val;
        }
        let acknowledged = ack.unwrap_or(0);
        if !rst {
            self.model.edge = self
                .model
                .edge
                .max(acknowledged + i64::from(transmit.window));
            self.model.last_ack_sent = acknowledged;
        }
        if syn {
            self.mss = transmit.options.mss;
        } else {
            let options = &transmit.options;
            self.tidy &=
                options.mss.is_none() && options.window_scale.is_none() && !options.sack_permitted;
        }
        Out {
            syn,
            fin: has(Flags::FIN),
            rst,
            seq: relative(ISS, transmit.seq),
            ack,
            ecr: transmit
                .options
                .timestamps
                .filter(|_| !(rst || syn && ack.is_none()))
                .map(|ts| i64::from(ts.ecr)),
        }
    }

    fn signals(&mut self) -> Vec<Signal> {
        let Subject::Connection(connection) = &mut self.subject else {
            return Vec::new();
        };
        std::iter::from_fn(|| connection.poll_event())
            .map(|event| match event {
                Event::State { from, to } => Signal::State(from, to),
                Event::Connected => Signal::Connected,
                Event::PeerFinished => Signal::PeerFinished,
                Event::Closed(reason) => Signal::Closed(reason),
                Event::Urgent => Signal::Urgent,
                Event::Readable => Signal::Readable,
                Event::RetransmittingExcessively => Signal::Retransmitting,
                other => panic!("nothing here brings {other:?}"),
            })
            .collect()
    }

    /// A segment as it comes in.
    fn absolute(&self, seg: &Seg) -> Segment {
        let mut flags = Flags::EMPTY;
        for (set, flag) in [
            (seg.fin, Flags::FIN),
            (seg.syn, Flags::SYN),
            (seg.rst, Flags::RST),
            (seg.has_ack, Flags::ACK),
            (seg.urg, Flags::URG),
        ] {
            if set {
                flags |= flag;
            }
        }
        let text = usize::try_from(seg.text).unwrap();
        let payload: Bytes = stream(seg.seq.max(1) as u64 - 1, text);
        Segment {
            seq: at(IRS, seg.seq),
            ack: at(ISS, seg.ack),
            flags,
            window: u16::try_from(seg.wnd).unwrap(),
            urgent: u16::try_from(seg.up).unwrap(),
            options: Options {
                mss: seg.syn.then_some(1000),
                timestamps: seg.ts.map(|val| Timestamps {
                    val: val as u32,
                    ecr: self.our_ts,
                }),
                ..Options::EMPTY
            },
            payload,
            ecn: Ecn::NotEct,
            received: self.now,
            gso_size: 0,
        }
    }

    /// Hands the segment over, without what comes out.
    fn deliver(&mut self, seg: &Seg, outcome: &mut Outcome) {
        let segment = self.absolute(seg);
        let now = self.now;
        match &mut self.subject {
            Subject::Nothing => match closed::reply(&segment) {
                Ok(reset) => outcome.out.push(self.note(&reset)),
                Err(discard) => outcome.discard = Some(discard),
            },
            Subject::Listener(config) => match listen::verdict(&segment) {
                listen::Verdict::Open => {
                    let identity = Identity::new(ISS, 0);
                    let config = (**config).clone();
                    let made = Connection::accept(config, self.path, identity, &segment, now);
                    self.subject = Subject::Connection(Box::new(made.unwrap()));
                }
                listen::Verdict::Reset(discard, reset) => {
                    outcome.discard = Some(discard);
                    outcome.out.push(self.note(&reset));
                }
                listen::Verdict::Drop(discard) => outcome.discard = Some(discard),
            },
            Subject::Connection(connection) => {
                outcome.discard = connection.handle_segment(now, &segment).err();
            }
            Subject::TimeWait(small) => {
                let deadline = small.deadline();
                let reply = small.handle_segment(now, &segment);
                outcome.restarted = small.deadline() != deadline;
                match reply {
                    TimeWaitReply::Drop(discard) => outcome.discard = Some(discard),
                    TimeWaitReply::Ack(discard, ack) => {
                        outcome.discard = Some(discard);
                        outcome.out.push(self.note(&ack));
                    }
                    TimeWaitReply::Reopen { .. } => self.subject = Subject::Nothing,
                }
            }
        }
    }

    /// The cell: one segment, and everything that follows within half a second.
    pub fn play(&mut self, seg: &Seg) -> Seen {
        let deadline = |subject: &Subject| match subject {
            Subject::Connection(connection) => connection.poll_timeout(),
            _ => None,
        };
        let before = deadline(&self.subject);
        let mut outcome = Outcome::default();
        self.deliver(seg, &mut outcome);
        outcome.out.extend(self.collect());
        outcome.signals = self.signals();
        if self.model.state == State::TimeWait && deadline(&self.subject).is_some() {
            outcome.restarted |= deadline(&self.subject) != before;
        }
        Seen {
            out: outcome.out,
            signals: outcome.signals,
            discard: outcome.discard,
            restarted: outcome.restarted,
        }
    }

    /// The state as it is now.
    pub fn state(&self) -> Option<State> {
        match &self.subject {
            Subject::Nothing => None,
            Subject::Listener(_) => Some(State::Listen),
            Subject::Connection(connection) => Some(connection.state()),
            Subject::TimeWait(_) => Some(State::TimeWait),
        }
    }

    /// SND.UNA, SND.NXT, SND.WND, RCV.NXT of a connection that is not over.
    pub fn variables(&self) -> Option<(i64, i64, i64, i64)> {
        let Subject::Connection(connection) = &self.subject else {
            return None;
        };
        let info = connection.info();
        (info.state != State::Closed && info.state != State::SynSent).then(|| {
            (
                relative(ISS, info.snd_una),
                relative(ISS, info.snd_nxt),
                i64::from(info.snd_wnd),
                relative(IRS, info.rcv_nxt),
            )
        })
    }

    /// How the number 0 looks among our relative ones.
    pub fn raw_zero() -> i64 {
        relative(ISS, Seq::new(0))
    }
}

fn path(variant: Variant) -> Path {
    Path::new(1500, if variant.v6 { 40 } else { 20 })
}
