//! What only unusual connections show; the ordinary one does not pay for it.

use super::Milestones;
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::model::{End, Ends};
use crate::step::IcmpKind;
use core::time::Duration;
use std::net::{IpAddr, SocketAddr};
use transom_tcp::State;
use transom_wire::Seq;

/// Facts that most connections lack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    /// The newest long pause of the whole connection.
    pub(crate) pause: Option<Pause>,
    /// Small data that waited for a delayed acknowledgement.
    pub(crate) held: Ends<Episode>,
    pub(crate) causes: Ends<Causes>,
    pub(crate) stuck: Ends<Stuck>,
    pub(crate) restarts: Ends<Restart>,
    pub(crate) reset_clues: Ends<Option<ResetClues>>,
    /// Windows that were open, but for less than a segment.
    pub(crate) small_windows: Ends<SmallWindow>,
    /// SYN,ACKs that the server sent again after it had been acknowledged, and the first one's frame.
    pub(crate) late_syn_acks: u32,
    pub(crate) late_syn_ack_frame: u64,
    /// The first answer to the SYN was an acknowledgement of something else: its frame.
    pub(crate) stale_ack: Option<u64>,
    /// Keep-alives of each end that nothing has answered yet.
    pub(crate) asked: Ends<u32>,
    /// A SYN of a new connection that came while this one stood, and who sent it.
    pub(crate) stray_syn: Option<(End, u64)>,
    pub(crate) alerts: Ends<Option<Alert>>,
    /// The gravest HTTP status, from 400 on, and its frame.
    pub(crate) http: Option<(u16, u64)>,
    /// Data in the SYN.
    pub(crate) syn_data: Option<SynData>,
    /// Segments that told of congestion, and the first one's frame.
    pub(crate) congestion_echoes: Ends<u32>,
    pub(crate) congestion_frame: u64,
    pub(crate) too_big: Option<TooBig>,
    /// The connection before this one between the same two sockets.
    pub(crate) previous: Option<Previous>,
}

/// A pause of the whole connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) length: Duration,
    /// Segments of each end since.
    pub(crate) since: Ends<u32>,
}

/// Something that happened several times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Episode {
    pub(crate) count: u32,
    pub(crate) total: Duration,
    /// The first one's frame.
    pub(crate) frame: u64,
}

/// Segments sent again, by cause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Causes {
    pub(crate) timeouts: u32,
    pub(crate) needless: u32,
    pub(crate) other: u32,
}

/// The same data sent again and again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) seq: Seq,
    pub(crate) len: u32,
    /// How often it was sent again.
    pub(crate) count: u32,
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    pub(crate) frame: u64,
}

/// Runs of retransmissions of one end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stuck {
    /// The newest, with a count of 0 once it was acknowledged.
    pub(crate) now: Run,
    /// The longest.
    pub(crate) worst: Run,
}

/// How a sender took up again after a pause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Restart {
    pub(super) pause: Duration,
    /// The most in flight before the pause; 0 when no restart is watched.
    pub(super) flight: u32,
    pub(super) burst: u32,
    pub(super) later: u32,
    pub(super) frame: u64,
    pub(super) is_first_round: bool,
    /// Restarts that were slow.
    pub(crate) times: u32,
    /// The newest of them: pause, first round, flight before, frame.
    pub(crate) shown: Option<(Duration, u32, u32, u64)>,
}

/// What a reset shows besides itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResetClues {
    pub(crate) hop_limit: u8,
    /// From the segment before it to the reset.
    pub(crate) pause: Duration,
    /// It takes its number from the newest acknowledgement of the other end and has no ACK: the
    /// answer of a TCP that does not know the connection, or has closed it (RFC 9293 §3.5.2).
    pub(crate) answers_segment: bool,
    /// Data of the other end since this end last sent any.
    pub(crate) unanswered: u32,
    /// The other end's retransmissions that were not acknowledged before it.
    pub(crate) repeats: u32,
    /// Segments that this end sent after its own reset, as if it knew nothing of it.
    pub(crate) segments_after: u32,
}

/// Windows smaller than a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SmallWindow {
    pub(crate) since: Option<Duration>,
    pub(crate) total: Duration,
    /// Data segments that the other end cut to fit.
    pub(crate) pieces: u32,
    pub(crate) least: u32,
    pub(crate) frame: u64,
}

/// A TLS alert record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alert {
    pub(crate) frame: u64,
    /// Level and description, unless they are encrypted.
    pub(crate) words: Option<(u8, u8)>,
}

/// Data that a reader would want to know of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// A TLS alert: level and description, unless they are encrypted.
    Alert(Option<(u8, u8)>),
    /// An HTTP/1 status from 400 on.
    HttpError(u16),
}

impl Content {
    pub(crate) fn of(data: &[u8]) -> Option<Self> {
        match data {
            // RFC 8446 §5.1, §6: an alert record of version 3.x, two bytes or encrypted.
            [21, 3, 0..=4, high, low, rest @ ..] => {
                match (u16::from_be_bytes([*high, *low]), rest) {
                    (2, [level @ (1 | 2), description, ..]) => {
                        Some(Self::Alert(Some((*level, *description))))
                    }
                    (16..=64, _) => Some(Self::Alert(None)),
                    _ => None,
                }
            }
            [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'1',
                b'.',
                _,
                b' ',
                a @ b'4'..=b'5',
                b @ b'0'..=b'9',
                c @ b'0'..=b'9',
                ..,
            ] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                Some(Self::HttpError(digit(a) * 100 + digit(b) * 10 + digit(c)))
            }
            _ => None,
        }
    }
}

/// Data in the SYN (RFC 7413).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SynData {
    pub(crate) len: u32,
    pub(crate) frame: u64,
    /// Whether the SYN,ACK acknowledged it.
    pub(crate) is_taken: Option<bool>,
}

/// An ICMP error that says that a packet was too big.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooBig {
    pub(crate) reporter: IpAddr,
    pub(crate) to: End,
    pub(crate) mtu: u32,
    pub(crate) frame: u64,
    pub(crate) times: u32,
}

/// A connection that ended, to be told to the next one between the same two sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    client: SocketAddr,
    last_frame: Duration,
    states: Ends<Option<State>>,
}

impl Before {
    pub(crate) fn of(connection: &Connection) -> Self {
        let states = connection.states();
        Self {
            client: connection.endpoints.client.addr,
            last_frame: connection.last_frame,
            states: Ends {
                client: states.client.state,
                server: states.server.state,
            },
        }
    }
}

/// What was before between the same two sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Previous {
    /// From its last segment to the first of this connection.
    pub(crate) ago: Duration,
    /// Its ends' states, as seen from this connection's client and server.
    pub(crate) states: Ends<Option<State>>,
}

impl Milestones {
    /// The rare facts, to note one.
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

impl Connection {
    /// Notes what was before between the same two sockets.
    pub(crate) fn note_before(&mut self, before: &Before) {
        let is_same_client = before.client == self.endpoints.client.addr;
        let (client, server) = (before.states.client, before.states.server);
        self.milestones.rare().previous = Some(Previous {
            ago: self.start.saturating_sub(before.last_frame),
            states: if is_same_client {
                before.states
            } else {
                Ends {
                    client: server,
                    server: client,
                }
            },
        });
    }

    /// What a reset shows. Only the first of each end counts.
    pub(super) fn note_reset_clues(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let peer = from.other();
        let m = &self.milestones;
        let answers_segment =
            segment.ack.is_none() && self.lanes[peer].last_ack == Some(segment.seq);
        let clues = ResetClues {
            hop_limit: segment.hop_limit,
            pause: seen.time.saturating_sub(self.last_frame),
            answers_segment,
            unanswered: m.talk[peer].run_bytes,
            repeats: m.rare.as_ref().map_or(0, |rare| rare.stuck[peer].now.count),
            segments_after: 0,
        };
        self.milestones.rare().reset_clues[from].get_or_insert(clues);
    }

    /// What the data says of itself, where a reader would want to know.
    pub(super) fn note_content(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let frame = seen.frame;
        match Content::of(segment.data) {
            Some(Content::Alert(words)) => {
                let alert = Alert { frame, words };
                self.milestones.rare().alerts[from].get_or_insert(alert);
            }
            Some(Content::HttpError(status)) => {
                let http = &mut self.milestones.rare().http;
                if http.is_none_or(|(gravest, _)| status / 100 > gravest / 100) {
                    *http = Some((status, frame));
                }
            }
            None => {}
        }
    }

    /// A SYN that brings data, repeats an answer already taken, or comes where a connection stands.
    pub(super) fn note_unusual_syn(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let is_answer = segment.ack.is_some();
        let base = self.lanes[from].base;
        let is_done = self.milestones.handshake.is_some();
        let is_acknowledged = self.lanes[End::Client]
            .last_ack
            .zip(self.lanes[End::Server].base)
            .is_some_and(|(ack, base)| ack.gt(base));
        if is_answer && from == End::Server {
            // A server that had taken the acknowledgement would have sent more than its SYN,ACK.
            let m = &self.milestones;
            let is_all = m.heard.server <= u64::from(m.syn_acks.server) + 1;
            if is_acknowledged
                && is_all
                && self.milestones.syns.server == 0
                && base == Some(segment.seq)
            {
                let rare = self.milestones.rare();
                if rare.late_syn_acks == 0 {
                    rare.late_syn_ack_frame = seen.frame;
                }
                rare.late_syn_acks += 1;
            }
            let client = self.lanes[End::Client].base;
            if let (Some(ack), Some(base), Some(rare)) =
                (segment.ack, client, self.milestones.rare.as_mut())
                && let Some(data) = rare.syn_data.as_mut()
            {
                data.is_taken.get_or_insert_with(|| ack.gt(base + 1));
            }
        }
        if !is_answer {
            if is_done && base.is_some_and(|base| base != segment.seq) {
                self.milestones.rare().stray_syn = Some((from, seen.frame));
            } else if segment.len > 0 && from == End::Client {
                let data = SynData {
                    len: segment.len,
                    frame: seen.frame,
                    is_taken: None,
                };
                self.milestones.rare().syn_data.get_or_insert(data);
            }
        }
    }

    /// An ICMP error that says that a packet of `to` was too big.
    pub(crate) fn note_too_big(&mut self, to: End, reporter: IpAddr, kind: IcmpKind, frame: u64) {
        let IcmpKind::PacketTooBig(mtu) = kind else {
            return;
        };
        let too_big = self.milestones.rare().too_big.get_or_insert(TooBig {
            reporter,
            to,
            mtu,
            frame,
            times: 0,
        });
        too_big.times += 1;
        too_big.mtu = mtu.min(too_big.mtu);
    }

    /// A window smaller than this has no room for a segment.
    pub(crate) fn small_window(&self, from: End) -> u32 {
        u32::from(self.milestones.talk[from].mss.unwrap_or(536)).clamp(1, 1460)
    }

    /// Windows that are open, but for less than a segment; and the pieces cut to fit them.
    pub(super) fn note_small_window(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let peer = from.other();
        let m = &self.milestones;
        // RFC 7323 §2.2: without both SYNs the shift is unknown, and a window tells little.
        if m.handshake.is_none() {
            return;
        }
        let full = self.small_window(from);
        let window = self.window_of(from, segment);
        let is_small = window < full && window > 0;
        let peer_window = self.lanes[peer].window;
        let is_open = |rare: &Rare| rare.small_windows[from].since.is_some();
        let was_small = m.rare.as_deref().is_some_and(is_open);
        if is_small || was_small {
            let small = &mut self.milestones.rare().small_windows[from];
            match (is_small, small.since) {
                (true, None) => {
                    if small.frame == 0 {
                        (small.frame, small.least) = (seen.frame, window);
                    }
                    small.since = Some(seen.time);
                }
                (false, Some(since)) => {
                    small.total = small.total.saturating_add(seen.time.saturating_sub(since));
                    small.since = None;
                }
                _ => {}
            }
            small.least = small.least.min(window.max(1));
        }
        if segment.len > 0
            && let Some(rare) = self.milestones.rare.as_mut()
            && rare.small_windows[peer].since.is_some()
            && peer_window.is_some_and(|window| segment.len <= window)
        {
            rare.small_windows[peer].pieces += 1;
        }
    }
}
