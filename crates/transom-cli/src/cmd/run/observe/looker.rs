//! The thread that looks at the program's own sockets, where the kernel inside keeps them.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use transom_flow::Process;
use transom_tcp::State;

use super::super::diag::{Diag, KernelSocket};
use super::super::processes::Owners;
use super::{Look, LookRequest, Observer, Seen};

/// Between two looks at everything. Changes are looked at when they happen; this one finds what
/// makes no packet, such as data that the program does not read.
const TICK: Duration = Duration::from_secs(1);

/// Sockets shown to whoever asks for all of them.
const MAX_SHOWN: usize = 8192;

/// Looks at sockets until everybody who could ask has gone.
pub(crate) struct Looker {
    diag: Diag,
    owners: Owners,
    observer: Observer,
}

impl Looker {
    /// With a sock_diag socket of the inside.
    pub(crate) fn new(diag: Diag, owners: Owners, observer: Observer) -> Self {
        Self {
            diag,
            owners,
            observer,
        }
    }

    /// Answers the requests for a look, and looks at everything now and then; until `stop` says
    /// that the run is over.
    pub(crate) fn run(mut self, requests: &Receiver<LookRequest>, stop: &dyn Fn() -> bool) {
        let mut next = Instant::now() + TICK;
        while !stop() {
            match requests.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(LookRequest::One {
                    program,
                    peer,
                    done,
                }) => {
                    self.look_at(program, peer);
                    if let Some(done) = done {
                        // Nobody waits that long.
                        let _ = done.send(());
                    }
                }
                Ok(LookRequest::All(show)) => {
                    let looks = self.diag.all().unwrap_or_default();
                    let looks = looks.into_iter().take(MAX_SHOWN);
                    let _ = show.send(looks.map(|socket| self.look(socket)).collect());
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_all();
                    next = Instant::now() + TICK;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look_at(&mut self, program: SocketAddr, peer: SocketAddr) {
        // A look that fails shows nothing; the next one may.
        if let Ok(Some(socket)) = self.diag.one(program, peer) {
            self.report(socket);
        }
    }

    fn look_at_all(&mut self) {
        for socket in self.diag.all().unwrap_or_default() {
            if socket.state != State::Listen && socket.peer.port() != 0 {
                self.report(socket);
            }
        }
    }

    fn report(&mut self, socket: KernelSocket) {
        let time = self.observer.now();
        let socket = self.look(socket);
        self.observer.note(Seen::Looked { time, socket });
    }

    fn look(&mut self, socket: KernelSocket) -> Look {
        let process = self.owners.owner(socket.inode).map(|process| Process {
            name: process.name.into(),
            pid: process.pid,
        });
        Look { socket, process }
    }
}
