//! Dialogues: made from a seed against our stack, so that what the peer sends aims at something.

use std::fmt;

use transom::stack_engine::wire::Seq;
use transom::stack_engine::wire::tcp::{Flags, Options};
use transom_sim::Random;

use crate::ours::Ours;
use crate::packets::{Numbers, Out, Seg};

/// What both hosts are told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// The host listens; otherwise it connects.
    pub(crate) passive: bool,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    /// The peer's initial number.
    pub(crate) irs: Seq,
    pub(crate) port: u16,
}

impl Setup {
    /// The options of the peer's SYN.
    pub(crate) fn syn_options(&self) -> Options {
        Options {
            mss: Some(1000),
            sack_permitted: self.sack,
            ..Options::EMPTY
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            port: self.port,
            irs: self.irs,
            host_port: 7000,
            ..Numbers::default()
        }
    }
}

/// A call of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Connect,
    Accept,
    Send(usize),
    Receive,
    ShutdownWrite,
    Close,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Segment(Seg),
    Call(Call),
}

impl Step {
    /// What kind of step it is, without its numbers.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Segment(seg) => format!("< {} len {}", seg.flags, seg.len.min(1)),
            Self::Call(Call::Send(_)) => "send".to_owned(),
            Self::Call(call) => format!("{call:?}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(seg) => {
                let end = seg.seq.wrapping_add(seg.len as u32);
                write!(
                    f,
                    "< {} {}:{} ack {} win {}",
                    seg.flags, seg.seq as i32, end as i32, seg.ack as i32, seg.window
                )?;
                match seg.ts {
                    Some(ts) => write!(f, " val {ts}"),
                    None => Ok(()),
                }
            }
            Self::Call(call) => write!(f, "{call:?}"),
        }
    }
}

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was done: so many octets, or 0.
    Done(usize),
    EndOfStream,
    WouldBlock,
    Failed,
    /// There was no socket to call.
    Nothing,
}

/// What a host did in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) sent: Vec<Out>,
    pub(crate) state: String,
    pub(crate) answer: Answer,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent: Vec<String> = self.sent.iter().map(Out::to_string).collect();
        let sent = if sent.is_empty() {
            "nothing".to_owned()
        } else {
            sent.join(", ")
        };
        write!(f, "{sent}; {}; {:?}", self.state, self.answer)
    }
}

pub(crate) struct Dialogue {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
    /// What was known before each step.
    pub(crate) contexts: Vec<Context>,
}

/// What the peer knows before a step, and the state of the host.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) state: String,
    /// RCV.NXT of the host.
    pub(crate) expected: u32,
    pub(crate) una: u32,
    /// The application has let go of the connection.
    pub(crate) orphan: bool,
}

/// What the peer knows from the wire, relative.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// RCV.NXT of the host, as it said.
    expected: u32,
    /// The end of what the host has sent, and of what was acknowledged.
    nxt: u32,
    una: u32,
    clock: u32,
}

impl Peer {
    fn learn(&mut self, seen: &Seen) {
        for out in &seen.sent {
            if out.flags.contains(Flags::RST) {
                continue;
            }
            let len = out.len as u32
                + u32::from(out.flags.contains(Flags::SYN))
                + u32::from(out.flags.contains(Flags::FIN));
            let end = out.seq.wrapping_add(len);
            if end.wrapping_sub(self.nxt) < 1 << 31 {
                self.nxt = end;
            }
            if out.flags.contains(Flags::ACK) {
                self.expected = out.ack;
            }
        }
    }
}

impl Dialogue {
    /// Makes the dialogue of a seed, and what our stack says in it.
    pub(crate) fn make(seed: u64) -> (Self, Vec<Seen>) {
        let mut random = Random::stream(seed, 2);
        let setup = Setup {
            passive: random.below(2) == 0,
            timestamps: random.below(2) == 0,
            sack: random.below(2) == 0,
            irs: Seq::new(pick(
                &mut random,
                &[0, 1 << 31, u32::MAX, u32::MAX - 60, 77],
            )),
            port: 1024 + (seed % 60_000) as u16,
        };
        let mut ours = Ours::new(&setup);
        let mut dialogue = Self {
            setup,
            steps: Vec::new(),
            contexts: Vec::new(),
        };
        let mut seen: Vec<Seen> = Vec::new();
        let mut orphan = false;
        let mut peer = Peer {
            clock: 1000,
            ..Peer::default()
        };
        let opening = dialogue.opening(&mut random);
        let more = random.below(12) as usize;
        for index in 0..opening.len() + more {
            let step = match opening.get(index) {
                Some(Step::Segment(seg)) => Step::Segment(dialogue.open(seg, &peer)),
                Some(call) => *call,
                None => dialogue.next(&mut random, &mut peer),
            };
            let state = seen.last().map_or("CLOSED", |seen| &seen.state).to_owned();
            // Linux takes no data before the handshake is complete; that is an interface's choice.
            let early = matches!(state.as_str(), "SYN-SENT" | "SYN-RECEIVED");
            if early && matches!(step, Step::Call(Call::Send(_) | Call::ShutdownWrite)) {
                continue;
            }
            dialogue.contexts.push(Context {
                state,
                expected: peer.expected,
                una: peer.una,
                orphan,
            });
            orphan |= matches!(step, Step::Call(Call::Close | Call::Abort));
            let saw = ours.step(&step);
            peer.learn(&saw);
            if let Step::Segment(seg) = step
                && seg.flags.contains(Flags::ACK)
                && seg.ack.wrapping_sub(peer.una) < 1 << 30
                && peer.nxt.wrapping_sub(seg.ack) < 1 << 30
            {
                peer.una = seg.ack;
            }
            dialogue.steps.push(step);
            seen.push(saw);
        }
        (dialogue, seen)
    }

    /// The handshake, sometimes cut short.
    fn opening(&self, random: &mut Random) -> Vec<Step> {
        let seg = |flags, seq| {
            Step::Segment(Seg {
                flags,
                seq,
                ack: 1,
                len: 0,
                window: 60_000,
                urgent: 0,
                ts: None,
            })
        };
        let steps = if self.setup.passive {
            vec![
                seg(Flags::SYN, 0),
                seg(Flags::ACK, 1),
                Step::Call(Call::Accept),
            ]
        } else {
            vec![Step::Call(Call::Connect), seg(Flags::SYN | Flags::ACK, 0)]
        };
        let kept = if random.below(5) == 0 {
            1 + random.below(2) as usize
        } else {
            steps.len()
        };
        steps.into_iter().take(kept).collect()
    }

    /// A segment of the opening, with the peer's clock.
    fn open(&self, seg: &Seg, peer: &Peer) -> Seg {
        Seg {
            ts: self.setup.timestamps.then_some(peer.clock),
            ..*seg
        }
    }

    fn next(&self, random: &mut Random, peer: &mut Peer) -> Step {
        if random.below(3) == 0 {
            return Step::Call(match random.below(12) {
                0..4 => Call::Send(pick(random, &[1, 100, 1000, 3000])),
                4..7 => Call::Receive,
                7 | 8 => Call::ShutdownWrite,
                9 => Call::Close,
                10 => Call::Abort,
                _ => Call::Accept,
            });
        }
        let flags = match random.below(16) {
            0..5 => Flags::ACK,
            5..9 => Flags::ACK | Flags::PSH,
            9 | 10 => Flags::ACK | Flags::FIN,
            11 => Flags::SYN,
            12 => Flags::SYN | Flags::ACK,
            13 => Flags::RST,
            14 => Flags::RST | Flags::ACK,
            _ => pick(
                random,
                &[
                    Flags::EMPTY,
                    Flags::FIN,
                    Flags::PSH,
                    Flags::ACK | Flags::URG,
                ],
            ),
        };
        let offset: i64 = match random.below(12) {
            0..7 => 0,
            7 => -1,
            8 => -10,
            9 => 10,
            10 => 100,
            _ => pick(random, &[1 << 30, -(1 << 30), -1000]),
        };
        let (una, nxt) = (i64::from(peer.una), i64::from(peer.nxt));
        let ack: i64 = match random.below(12) {
            0..6 => nxt,
            6 | 7 => una,
            8 => (una + nxt) / 2,
            9 => una - 1,
            10 => nxt + 1,
            _ => pick(random, &[una - 60_001, una - 59_000, nxt + (1 << 30), 0]),
        };
        // The peer's clock runs on, and sometimes a segment is from the past.
        peer.clock += 1;
        let ts = match random.below(10) {
            0 => None,
            1 => Some(peer.clock - 500),
            _ => Some(peer.clock),
        };
        Step::Segment(Seg {
            flags,
            seq: (i64::from(peer.expected) + offset) as u32,
            ack: ack as u32,
            len: if flags.contains(Flags::PSH) || random.below(8) == 0 {
                pick(random, &[1, 10, 100, 1000])
            } else {
                0
            },
            // Linux takes no smaller window from an equal segment, unless it is closed.
            window: pick(random, &[60_000, 60_000, 60_000, 0]),
            urgent: u16::from(flags.contains(Flags::URG)),
            ts: ts.filter(|_| self.setup.timestamps),
        })
    }
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}
