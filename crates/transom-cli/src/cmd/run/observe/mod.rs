//! What is noted while the program runs, and the thread that turns it into connections.
//!
//! ```text
//! stack (locked) ── Tape ──┐
//! legs, DNS ───────────────┼──▶ bounded queue ──▶ collector thread ──▶ tracker, capture file
//! looker thread ───────────┘
//!    └── asks the kernel inside (sock_diag) when somebody says that something happened
//! ```
//!
//! When the collector cannot keep up the stack waits for it: nothing seen is lost, and memory stays
//! bounded. (Signals and the program's end do not wait: see [`carrier`](super::carrier).) Both threads let things gather for some milliseconds (see [`queue`]), so that the program's
//! data does not wait for them.

mod collector;
mod eyes;
mod looker;
mod queue;
mod tape;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;
use transom_flow::Process;
use transom_stack::{Direction, Discard};
use transom_tcp::State;

use super::diag::Diag;
use super::leg_b::{Opening, Over};
use super::processes::Inside;

pub(crate) use self::collector::{Collected, Collector};
use self::eyes::Eyes;
pub(crate) use self::looker::Looker;
use self::queue::{Limits, Queue};
pub(crate) use self::tape::Tape;

/// Notes that wait for the collector, in bytes.
const NOTES: Limits = Limits {
    most: 32 << 20,
    much: 512 << 10,
    pause: Duration::from_millis(5),
};
/// Sockets that wait to be looked at; more are passed over.
const LOOKS: Limits = Limits {
    most: 256,
    much: 128,
    pause: Duration::from_millis(2),
};
/// How long a connection is held up so that its owner is found while it surely lives.
const PATIENCE: Duration = Duration::from_millis(20);

/// Something noted.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A packet of the program's network.
    Packet {
        time: Duration,
        direction: Direction,
        packet: Packet,
    },
    /// Our end of a connection changed its state.
    State {
        time: Duration,
        local: SocketAddr,
        peer: SocketAddr,
        from: State,
        to: State,
    },
    /// The stack did not process something to its end.
    Discard {
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        reason: Discard,
    },
    /// A look at the kernel's socket of the program.
    Looked { time: Duration, look: Box<Look> },
    /// DNS said that these addresses belong to this name.
    Names {
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// What happened on our own connection to the real peer.
    Remark {
        time: Duration,
        local: SocketAddr,
        peer: SocketAddr,
        text: Words,
    },
    /// Something that the user should know, besides what is known of connections.
    Notice(String),
    /// What our own connection to the real peer was, when it is over.
    Leg(Box<Over>),
    /// No more will come.
    End,
}

impl Seen {
    /// The memory that it takes while it waits.
    fn weight(&self) -> usize {
        let more = match self {
            Self::Packet {
                packet: Packet::Whole { bytes, .. },
                ..
            } => bytes.capacity(),
            Self::Looked { .. } => size_of::<Look>(),
            Self::Names { name, addresses } => {
                name.capacity() + addresses.capacity() * size_of::<IpAddr>()
            }
            Self::Remark { text, .. } => text.weight(),
            Self::Notice(text) => text.capacity(),
            Self::Leg(over) => over.weight(),
            Self::Packet { .. } | Self::State { .. } | Self::Discard { .. } | Self::End => 0,
        };
        size_of::<Self>() + more
    }
}

/// What a remark says.
#[derive(Debug)]
pub(crate) enum Words {
    /// These words.
    Said(String),
    /// That leg B is open; most connections have this one and no other.
    Opened(Box<Opening>),
}

impl Words {
    fn weight(&self) -> usize {
        match self {
            Self::Said(text) => text.capacity(),
            Self::Opened(_) => size_of::<Opening>(),
        }
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

impl From<Opening> for Words {
    fn from(opening: Opening) -> Self {
        Self::Opened(Box::new(opening))
    }
}

/// A packet, as much of it as is needed.
#[derive(Debug)]
pub(crate) enum Packet {
    /// Its start: so many of the batch's bytes, from there on.
    Head {
        at: usize,
        length: usize,
        gso_size: u16,
    },
    /// All of it; `fill` says that its transport checksum is still to be computed.
    Whole {
        bytes: Vec<u8>,
        gso_size: u16,
        fill: bool,
    },
}

/// What a look at one of the program's sockets showed.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// The socket.
    pub(crate) socket: super::diag::KernelSocket,
    /// Who owns it, if that could be found.
    pub(crate) process: Option<Process>,
}

/// A wish for a look at the program's sockets.
#[derive(Debug)]
pub(crate) enum LookRequest {
    /// At one of them.
    One {
        program: SocketAddr,
        peer: SocketAddr,
        /// Told when the look has been taken.
        done: Option<oneshot::Sender<()>>,
    },
    /// At all of them, for somebody who shows them.
    All(oneshot::Sender<Vec<Look>>),
    /// No more will be asked for.
    End,
}

/// Where notes go; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    notes: Arc<Queue<Seen>>,
    looks: Arc<Queue<LookRequest>>,
    eyes: Arc<Eyes>,
    clock: Arc<OnceLock<Instant>>,
}

impl Observer {
    /// An observer of what goes on inside, with two sockets to ask the kernel there.
    pub(crate) fn new(diags: [Diag; 2], inside: &Inside) -> Self {
        Self {
            notes: Arc::new(Queue::new(NOTES)),
            looks: Arc::new(Queue::new(LOOKS)),
            eyes: Arc::new(Eyes::new(diags, inside)),
            clock: Arc::default(),
        }
    }

    /// Time on the stack's clock. Before the stack has said anything, zero.
    pub(crate) fn now(&self) -> Duration {
        self.clock.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Notes something; waits while too much is waiting.
    pub(crate) fn note(&self, seen: Seen) {
        let weight = seen.weight();
        match seen {
            // Whoever says that this was all waits for what has become of it.
            Seen::End => self.notes.urge(seen, weight),
            // There are few, and who has one to give may have something else to do.
            Seen::Notice(_) => self.notes.put(seen, weight),
            _ => self.notes.add(seen, weight),
        }
    }

    /// Notes something that has bytes, which `write` appends to those of others; waits while too much is waiting.
    fn note_bytes(&self, write: impl FnOnce(&mut Vec<u8>) -> Seen) {
        self.notes.write(size_of::<Seen>(), write);
    }

    /// Asks for a look at the program's socket, soon. When too many are asked for, some are not
    /// looked at.
    pub(crate) fn look(&self, program: SocketAddr, peer: SocketAddr) {
        let done = None;
        let look = LookRequest::One {
            program,
            peer,
            done,
        };
        self.looks.offer(look, 1);
    }

    /// Looks at the program's socket now, and finds its owner while that surely lives. Where that takes
    /// longer than a moment, the looker does it, and this waits, but not for long.
    pub(crate) async fn look_now(&self, program: SocketAddr, peer: SocketAddr) {
        if let Some(look) = self.eyes.glance(program, peer) {
            self.looked(look);
            return;
        }
        let (done, taken) = oneshot::channel();
        let done = Some(done);
        let look = LookRequest::One {
            program,
            peer,
            done,
        };
        self.looks.urge(look, 1);
        // Taken, or passed over.
        let _ = timeout(PATIENCE, taken).await;
    }

    /// Notes what a look showed just now.
    fn looked(&self, look: Look) {
        let time = self.now();
        let look = Box::new(look);
        self.note(Seen::Looked { time, look });
    }

    /// Takes the looks that are still asked for, and no more.
    pub(crate) fn look_no_more(&self) {
        self.looks.urge(LookRequest::End, 1);
    }

    /// Looks at all of the program's sockets; None when the run is over.
    pub(crate) async fn look_at_all(&self) -> Option<Vec<Look>> {
        let (show, shown) = oneshot::channel();
        self.looks.urge(LookRequest::All(show), 1);
        shown.await.ok()
    }

    /// Notes a remark about the connection between the program and `peer`.
    pub(crate) fn remark(&self, local: SocketAddr, peer: SocketAddr, text: impl Into<Words>) {
        self.note(Seen::Remark {
            time: self.now(),
            local,
            peer,
            text: text.into(),
        });
    }

    /// Notes something that the user should know.
    pub(crate) fn notice(&self, text: &str) {
        self.note(Seen::Notice(text.to_owned()));
    }

    /// Learns the stack's clock from a moment that it names.
    fn learn_clock(&self, now: transom_tcp::Instant) {
        self.clock.get_or_init(|| {
            let instant = Instant::now();
            instant.checked_sub(now.since_origin()).unwrap_or(instant)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::legs::Leg;
    use super::super::samples::Sample;
    use super::*;

    #[test]
    fn a_note_weighs_what_it_holds() {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let leg = |samples| Leg {
            program: address,
            peer: address,
            outside: address,
            opened: Err("x".repeat(100)),
            info: None,
            samples,
            to_peer: 0,
            to_program: 0,
        };
        let sample = Sample {
            time: Duration::ZERO,
            info: crate::kernel::tcp_info::TcpInfo::default(),
        };
        let over = |samples| Seen::Leg(Box::new(Over::known(leg(samples), Duration::ZERO)));
        let small = over(Vec::new()).weight();
        let large = over(vec![sample; 64]).weight();
        assert_eq!(large - small, 64 * size_of::<Sample>());
        assert!(small >= size_of::<Seen>() + size_of::<Leg>() + 100);
        let text = "y".repeat(5000);
        assert!(Seen::Notice(text).weight() > 5000);
        // Most notes are small, so that none is moved about at a large one's cost.
        assert!(size_of::<Seen>() <= 128, "{}", size_of::<Seen>());
    }
}
