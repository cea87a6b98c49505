//! What is noted while the program runs, and the thread that turns it into connections.
//!
//! ```text
//! stack (locked) ── Tape ──┐
//! legs, DNS ───────────────┼──▶ bounded channel ──▶ collector thread ──▶ tracker, capture file
//! looker thread ───────────┘         ▲
//!    └── asks the kernel inside (sock_diag) when a leg says that something happened
//! ```
//!
//! When the collector cannot keep up the stack waits for it: nothing seen is lost, and memory stays
//! bounded.

mod collector;
mod looker;
mod tape;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;
use transom_flow::Process;
use transom_stack::{Direction, Discard};
use transom_tcp::State;

pub(crate) use self::collector::{Collected, Collector};
pub(crate) use self::looker::Looker;
pub(crate) use self::tape::Tape;

/// Things noted that wait for the collector. A frame is 64 KiB at most, so this bounds memory
/// to some 64 MiB.
const WAITING: usize = 1024;
/// Sockets that wait to be looked at; more are passed over.
const LOOKS: usize = 256;
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
    Looked { time: Duration, socket: Look },
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
        text: String,
    },
    /// Something that the user should know, besides what is known of connections.
    Notice(String),
    /// What our own connection to the real peer was, when it is over.
    Leg(super::legs::Leg),
    /// No more will come.
    End,
}

/// A packet, as much of it as is needed.
#[derive(Debug)]
pub(crate) enum Packet {
    /// Its start.
    Head { bytes: Vec<u8>, gso_size: u16 },
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
}

/// Where notes go; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    notes: SyncSender<Seen>,
    looks: SyncSender<LookRequest>,
    clock: Arc<OnceLock<Instant>>,
}

impl Observer {
    /// An observer, with what the collector and the looker take from.
    pub(crate) fn new() -> (Self, Receiver<Seen>, Receiver<LookRequest>) {
        let (notes, collected) = sync_channel(WAITING);
        let (looks, looked) = sync_channel(LOOKS);
        (
            Self {
                notes,
                looks,
                clock: Arc::default(),
            },
            collected,
            looked,
        )
    }

    /// Time on the stack's clock. Before the stack has said anything, zero.
    pub(crate) fn now(&self) -> Duration {
        self.clock.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Notes something; waits while too much is waiting.
    pub(crate) fn note(&self, seen: Seen) {
        // Without a collector the run is over.
        let _ = self.notes.send(seen);
    }

    /// Asks for a look at the program's socket. When too many are asked for, some are not
    /// looked at.
    pub(crate) fn look(&self, program: SocketAddr, peer: SocketAddr) {
        let done = None;
        let _ = self.looks.try_send(LookRequest::One {
            program,
            peer,
            done,
        });
    }

    /// As [`look`](Self::look), and waits until it has been taken, but not for long.
    pub(crate) async fn look_now(&self, program: SocketAddr, peer: SocketAddr) {
        let (done, taken) = oneshot::channel();
        let done = Some(done);
        let _ = self.looks.try_send(LookRequest::One {
            program,
            peer,
            done,
        });
        // Taken, or passed over.
        let _ = timeout(PATIENCE, taken).await;
    }

    /// Looks at all of the program's sockets; None while too much else is to be looked at.
    pub(crate) async fn look_at_all(&self) -> Option<Vec<Look>> {
        let (show, shown) = oneshot::channel();
        self.looks.try_send(LookRequest::All(show)).ok()?;
        shown.await.ok()
    }

    /// Notes a remark about the connection between the program and `peer`.
    pub(crate) fn remark(&self, local: SocketAddr, peer: SocketAddr, text: String) {
        self.note(Seen::Remark {
            time: self.now(),
            local,
            peer,
            text,
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
