//! What the verdict needs to know of a connection's life, however many steps are folded.

mod ecn;
mod rare;
pub(crate) mod talk;

pub(crate) use rare::{Before, Causes, Content, Rare, ResetClues, Run};
pub(crate) use talk::Talk;

use self::ecn::EcnTalk;
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::model::{End, EndState, Ends, Handshake};
use crate::step::{Fate, IcmpKind, Meaning};
use core::time::Duration;
use std::net::IpAddr;
use transom_tcp::State;
use transom_wire::tcp::Flags;

/// The first FIN of an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinSeen {
    pub(crate) time: Duration,
    pub(crate) frame: u64,
    /// It acknowledged the other end's FIN.
    pub(crate) acknowledges_fin: bool,
    /// When the other end first acknowledged it, and in which frame.
    pub(crate) acknowledged: Option<(Duration, u64)>,
    /// It was sent again this many times.
    pub(crate) repeats: u32,
    /// Bytes of data that the other end sent after it.
    pub(crate) data_after: u64,
}

/// The first reset of an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResetSeen {
    pub(crate) time: Duration,
    pub(crate) frame: u64,
    /// The states before it.
    pub(crate) before: Ends<EndState>,
    /// It had the ACK bit.
    pub(crate) has_ack: bool,
    /// The other end had sent a bare SYN, and this is the answer.
    pub(crate) answers_syn: bool,
    /// Resets of this end that were known to be lost.
    pub(crate) lost: u64,
    /// Whether the receiver had to take it (RFC 9293 §3.10.7, RFC 5961 §3).
    pub(crate) acceptable: bool,
    /// Segments that the other end went on to send.
    pub(crate) ignored: u64,
}

/// Times at which an end's window was closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WindowClosed {
    pub(crate) episodes: u32,
    pub(crate) total: Duration,
    pub(crate) since: Option<Duration>,
    pub(crate) first_frame: u64,
    pub(crate) probes: u32,
}

/// An ICMP error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IcmpSeen {
    pub(crate) frame: u64,
    pub(crate) reporter: IpAddr,
    pub(crate) kind: IcmpKind,
    /// The handshake was not done.
    pub(crate) while_opening: bool,
}

/// An end that went to CLOSED, as its own TCP says, without a segment about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vanished {
    pub(crate) time: Duration,
    pub(crate) from: State,
}

/// The life of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Milestones {
    /// SYNs without ACK.
    pub(crate) syns: Ends<u32>,
    pub(crate) syn_acks: Ends<u32>,
    /// The frame of each end's first SYN,ACK.
    pub(crate) first_syn_acks: Ends<Option<u64>>,
    pub(crate) first_syn: Option<(Duration, u64)>,
    pub(crate) last_syn: Option<Duration>,
    pub(crate) syn_ack: Option<(Duration, u64)>,
    pub(crate) handshake: Option<Handshake>,
    pub(crate) handshake_ack_frame: Option<u64>,
    pub(crate) fins: Ends<Option<FinSeen>>,
    pub(crate) resets: Ends<Option<ResetSeen>>,
    pub(crate) windows: Ends<WindowClosed>,
    pub(crate) icmp: Option<IcmpSeen>,
    pub(crate) vanished: Ends<Option<Vanished>>,
    /// Frames from each end, resets included.
    pub(crate) heard: Ends<u64>,
    /// When data first passed, in each direction.
    pub(crate) first_data: Ends<Option<Duration>>,
    pub(crate) first_retransmission: Option<u64>,
    /// Both ends will tell each other of congestion.
    pub(crate) ecn: EcnTalk,
    pub(crate) talk: Ends<Talk>,
    pub(crate) rare: Option<Box<Rare>>,
}

impl Connection {
    /// Keeps what the verdict will ask for.
    pub(crate) fn note_milestones(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        let peer = from.other();
        let flags = segment.flags;
        let is_first = self.milestones.heard[from] == 0;
        self.milestones.heard[from] += 1;
        if flags.contains(Flags::RST) {
            let states = self.states();
            let answers_syn = is_first && states[peer].is_any(&[State::SynSent]);
            let m = &mut self.milestones;
            let is_lost = u64::from(seen.fate == Fate::Lost);
            m.resets[from]
                .get_or_insert_with(|| ResetSeen {
                    time: seen.time,
                    frame: seen.frame,
                    before: states,
                    has_ack: segment.ack.is_some(),
                    answers_syn,
                    lost: 0,
                    acceptable: false,
                    ignored: 0,
                })
                .lost += is_lost;
            self.note_reset_clues(from, segment, seen);
            return;
        }
        if let Some(clues) = self
            .milestones
            .rare
            .as_mut()
            .and_then(|r| r.reset_clues[from].as_mut())
        {
            clues.segments_after += 1;
        }
        if let Some(reset) = &mut self.milestones.resets[peer] {
            reset.ignored += 1;
        }
        if flags.contains(Flags::SYN) {
            self.note_unusual_syn(from, segment, seen);
            self.note_syn(from, segment, seen);
        } else {
            self.note_window(from, segment, seen);
            self.note_small_window(from, segment, seen);
            self.note_echo(from, segment, seen);
        }
        if !segment.data.is_empty() {
            self.note_content(from, segment, seen);
        }
        self.note_talk(from, segment, seen, meaning);
        self.note_fin(from, segment, seen, meaning);
        let m = &mut self.milestones;
        if segment.len > 0 {
            m.first_data[from].get_or_insert(seen.time);
        }
        if matches!(meaning, Meaning::WindowProbe) {
            m.windows[peer].probes += 1;
        }
    }

    fn note_fin(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, meaning: Meaning) {
        let peer = from.other();
        let peer_fin = self.lanes[peer].fin;
        let flags = segment.flags;
        let m = &mut self.milestones;
        let covers_fin = segment
            .ack
            .zip(peer_fin)
            .is_some_and(|(ack, fin)| ack.gt(fin));
        if let Some(fin) = &mut m.fins[peer] {
            if covers_fin && fin.acknowledged.is_none() {
                fin.acknowledged = Some((seen.time, seen.frame));
            }
            if !matches!(meaning, Meaning::Retransmission { .. }) {
                fin.data_after += u64::from(segment.len);
            }
        }
        if flags.contains(Flags::FIN) {
            match &mut m.fins[from] {
                Some(fin) => fin.repeats += 1,
                none => {
                    *none = Some(FinSeen {
                        time: seen.time,
                        frame: seen.frame,
                        acknowledges_fin: covers_fin,
                        acknowledged: None,
                        repeats: 0,
                        data_after: 0,
                    });
                }
            }
        }
    }

    fn note_syn(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let m = &mut self.milestones;
        let talk = &mut m.talk[from];
        talk.mss = segment.options.mss;
        talk.sack = Some(segment.options.sack_permitted);
        talk.scale = Some(segment.options.window_scale.is_some());
        talk.timestamps = Some(segment.options.timestamps.is_some());
        m.ecn.note_syn(segment.flags);
        let is_first_of_server =
            from == End::Server && m.syns.server == 0 && m.syn_acks.server == 0;
        if segment.ack.is_some() {
            m.syn_acks[from] += 1;
            m.first_syn_acks[from].get_or_insert(seen.frame);
            // In a simultaneous open the second SYN,ACK ends the handshake.
            let both = m.syns.client > 0 && m.syns.server > 0;
            let is_second = m.syn_acks[from.other()] > 0;
            if both && is_second {
                self.end_handshake(seen);
            }
        } else {
            m.syns[from] += 1;
            m.first_syn.get_or_insert((seen.time, seen.frame));
            m.last_syn = Some(seen.time);
        }
        if is_first_of_server {
            self.milestones.syn_ack = Some((seen.time, seen.frame));
        }
    }

    fn end_handshake(&mut self, seen: Seen) {
        let m = &mut self.milestones;
        if let (Some((syn, _)), Some((syn_ack, _)), None) = (m.first_syn, m.syn_ack, m.handshake) {
            m.handshake = Some(Handshake {
                syn,
                syn_ack,
                ack: seen.time,
            });
            m.handshake_ack_frame = Some(seen.frame);
        }
    }

    fn note_window(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        if from == End::Client && segment.ack.is_some() && seen.fate != Fate::Lost {
            self.end_handshake(seen);
        }
        let closed = &mut self.milestones.windows[from];
        match (segment.window, closed.since) {
            (0, None) => {
                closed.since = Some(seen.time);
                closed.episodes += 1;
                if closed.episodes == 1 {
                    closed.first_frame = seen.frame;
                }
            }
            (1.., Some(since)) => {
                closed.total = closed.total.saturating_add(seen.time.saturating_sub(since));
                closed.since = None;
            }
            _ => {}
        }
    }
}
