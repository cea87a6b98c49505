//! The thread that makes connections of what was noted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use transom_flow::{Application, Frame, Limits, Process, Tracker, Truth, TruthEvent};
use transom_stack::Direction;
use transom_tcp::State;
use transom_wire::Medium;

use super::super::capture::Capture;
use super::super::control::Ours;
use super::super::diag::KernelSocket;
use super::super::legs::Leg;
use super::super::spread::Table;
use super::queue::Batch;
use super::{Look, Observer, Packet, Seen, Words};

/// Connections of which the ends' details are kept; as many as the tracker keeps after their end.
const MAX_DETAILS: usize = 16_384;

/// Memory that the allocator is made to fetch at once: less than what it gives back to the kernel.
const AHEAD: usize = 60 << 10;

/// Notes of as many connections as fit into it.
const NOTES_AHEAD: usize = 128;

/// Notices kept.
const MAX_NOTICES: usize = 16;

/// The program's socket and its peer: what names a connection here.
pub(crate) type Key = (SocketAddr, SocketAddr);

/// What the run has shown.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// The connections.
    pub(crate) tracker: Tracker,
    /// The last look at the program's own end of each.
    pub(crate) sockets: Table<Key, KernelSocket>,
    /// Our own connection to the real peer of each.
    pub(crate) legs: Table<Key, Leg>,
    /// How often the stack discarded something, by reason.
    pub(crate) discards: HashMap<&'static str, u64>,
    /// What the user should know besides.
    pub(crate) notices: Vec<String>,
    /// Why the capture file is not complete, if it is not.
    pub(crate) capture_error: Option<String>,
}

/// Takes what is noted until the end.
pub(crate) struct Collector {
    collected: Collected,
    capture: Option<Capture>,
    ours: Ours,
    last: Duration,
}

/// A thread that is not the first gets its memory page by page from glibc, with a call to the kernel for each, and each
/// connection takes two. What was given back just now is used first.
fn fetch_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(AHEAD)));
}

impl Collector {
    /// `capture`: the file for every packet; `ours`: where our ends' states are told.
    pub(crate) fn new(capture: Option<Capture>, ours: Ours) -> Self {
        let tracker = Tracker::new(Limits::default());
        Self {
            collected: Collected {
                tracker,
                ..Collected::default()
            },
            capture,
            ours,
            last: Duration::ZERO,
        }
    }

    /// Works until [`Seen::End`].
    pub(crate) fn run(mut self, observer: &Observer) -> Collected {
        let _closes = observer.notes.closes();
        let mut batch = Batch::default();
        let mut over = false;
        while !over {
            observer.notes.take(&mut batch, None);
            let Batch { items, bytes } = &mut batch;
            for (number, seen) in items.drain(..).enumerate() {
                if number % NOTES_AHEAD == 0 {
                    fetch_memory();
                }
                // What was noted before the end may have arrived behind it.
                over |= matches!(seen, Seen::End);
                self.take(seen, bytes);
            }
        }
        self.collected.tracker.finish();
        if let Some(capture) = self.capture {
            let mut connections = self.collected.tracker.connections();
            let encrypted = connections.any(|connection| {
                matches!(connection.application(), Some(Application::Tls { .. }))
            });
            let finished = capture.finish(encrypted);
            self.collected.capture_error = finished.error;
            self.collected.notices.extend(finished.notices);
        }
        self.collected
    }

    /// Takes something; heads of packets lie in `heads`.
    fn take(&mut self, seen: Seen, heads: &[u8]) {
        match seen {
            Seen::Packet {
                time,
                direction,
                packet,
            } => {
                self.last = time;
                self.packet(time, direction, packet, heads);
            }
            Seen::State {
                time,
                local,
                peer,
                from,
                to,
            } => {
                self.last = time;
                self.ours.note(peer, local, to);
                let event = TruthEvent::State { from, to };
                self.collected.tracker.truth(Truth {
                    time,
                    local,
                    peer,
                    event,
                });
                self.comment_state(local, peer, from, to);
            }
            Seen::Looked { time, look } => self.looked(time, *look),
            Seen::Names { name, addresses } => {
                for address in addresses {
                    self.collected.tracker.label(address, &name);
                    if let Some(capture) = &mut self.capture {
                        capture.name(address, &name);
                    }
                }
            }
            Seen::Remark {
                time,
                local,
                peer,
                text,
            } => {
                let text = match text {
                    Words::Said(text) => text,
                    Words::Opened(opening) => opening.to_string(),
                };
                self.remark(time, local, peer, text);
            }
            Seen::Leg(over) => {
                let time = over.time();
                let (leg, text) = over.into_leg();
                if let Some(text) = text {
                    self.remark(time, leg.peer, leg.program, text);
                }
                if self.collected.legs.len() < MAX_DETAILS {
                    self.collected.legs.insert((leg.program, leg.peer), leg);
                }
            }
            Seen::Notice(text) => {
                let notices = &mut self.collected.notices;
                if notices.len() < MAX_NOTICES && !notices.contains(&text) {
                    notices.push(text);
                }
            }
            Seen::Discard {
                local,
                peer,
                reason,
            } => {
                *self.collected.discards.entry(reason.name()).or_default() += 1;
                if let (Some(capture), Some(local), Some(peer)) = (&mut self.capture, local, peer) {
                    let reason = reason.name();
                    capture.say(format!(
                        "transom discarded it ({peer} to {local}): {reason}"
                    ));
                }
            }
            Seen::End => {}
        }
    }

    fn packet(&mut self, time: Duration, direction: Direction, packet: Packet, heads: &[u8]) {
        let (bytes, gso_size) = match &packet {
            Packet::Head {
                at,
                length,
                gso_size,
            } => (heads.get(*at..at + length).unwrap_or_default(), *gso_size),
            Packet::Whole {
                bytes, gso_size, ..
            } => (bytes.as_slice(), *gso_size),
        };
        let mut frame = Frame::new(time, Medium::Ip, bytes);
        frame.gso_size = gso_size;
        // What is no TCP is not followed; the tracker counts it.
        let _ = self.collected.tracker.frame(&frame);
        if let (Some(capture), Packet::Whole { bytes, fill, .. }) = (&mut self.capture, packet) {
            capture.packet(time, direction, bytes, fill);
        }
    }

    fn remark(&mut self, time: Duration, local: SocketAddr, peer: SocketAddr, text: String) {
        if let Some(capture) = &mut self.capture {
            capture.say(text.clone());
        }
        self.truth(time, local, peer, TruthEvent::Note(text.into()));
    }

    fn looked(&mut self, time: Duration, look: Look) {
        let Look { socket, process } = look;
        let (local, peer) = (socket.local, socket.peer);
        // Connections inside the program's own network are none of ours.
        if self.collected.tracker.connection(local, peer).is_none() {
            return;
        }
        if let Some(process) = process {
            self.process(local, peer, process);
        }
        self.truth(time, local, peer, TruthEvent::Sample(socket.state));
        let sockets = &mut self.collected.sockets;
        let mut socket = socket;
        if let Some(before) = sockets.get(&(local, peer)) {
            // In TIME-WAIT the kernel has forgotten; what it last knew still holds.
            socket.info = socket.info.or(before.info);
        } else if sockets.len() >= MAX_DETAILS {
            return;
        }
        sockets.insert((local, peer), socket);
    }

    /// The state in the capture, and at the end what has become of the connection.
    fn comment_state(&mut self, local: SocketAddr, peer: SocketAddr, from: State, to: State) {
        let Some(capture) = &mut self.capture else {
            return;
        };
        capture.state(local, from, to);
        if matches!(to, State::Closed | State::TimeWait)
            && from != State::TimeWait
            && let Some(connection) = self.collected.tracker.connection(local, peer)
        {
            capture.say(connection.verdict().text());
        }
    }

    fn process(&mut self, local: SocketAddr, peer: SocketAddr, process: Process) {
        if let Some(capture) = &mut self.capture {
            capture.process(local, peer, &process);
        }
        self.truth(self.last, local, peer, TruthEvent::Process(process));
    }

    /// Something that another thread than the stack's saw.
    fn truth(&mut self, time: Duration, local: SocketAddr, peer: SocketAddr, event: TruthEvent) {
        // The threads share a clock, but what the stack said in the meantime came first.
        let time = time.max(self.last);
        self.collected.tracker.truth(Truth {
            time,
            local,
            peer,
            event,
        });
    }
}
