//! The thread that looks at the program's own sockets, where the kernel inside keeps them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use transom_tcp::State;

use super::super::diag::KernelSocket;
use super::super::spread::Set;
use super::queue::Batch;
use super::{LookRequest, Observer};

/// Between two looks at everything. Changes are looked at when they happen; this one finds what
/// makes no packet, such as data that the program does not read.
const TICK: Duration = Duration::from_secs(1);

/// Sockets shown to whoever asks for all of them.
const MAX_SHOWN: usize = 8192;

/// Looks at sockets until there is nothing more to see.
pub(crate) struct Looker {
    observer: Observer,
}

impl Looker {
    /// With the observer's eyes.
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer }
    }

    /// Answers the requests for a look, and looks at everything now and then; until it is told
    /// that the run is over.
    pub(crate) fn run(self) {
        let _closes = self.observer.looks.closes();
        let mut next = Instant::now() + TICK;
        let mut requests = Batch::default();
        let mut looked = Set::default();
        loop {
            self.observer.looks.take(&mut requests, Some(next));
            if self.answer(&mut requests.items, &mut looked) {
                return;
            }
            if next <= Instant::now() {
                self.look_at_all();
                next = Instant::now() + TICK;
            }
        }
    }

    /// Does what was asked for; whether that was all.
    fn answer(
        &self,
        requests: &mut Vec<LookRequest>,
        looked: &mut Set<(SocketAddr, SocketAddr)>,
    ) -> bool {
        // What changed twice is looked at once, after the last change.
        looked.clear();
        let mut over = false;
        for request in requests.drain(..).rev() {
            match request {
                // Whoever asked has gone on without.
                LookRequest::One {
                    done: Some(done), ..
                } if done.is_closed() => {}
                LookRequest::One {
                    program,
                    peer,
                    done,
                } => {
                    let eyes = &self.observer.eyes;
                    let is_first = looked.insert((program, peer));
                    let look = match done {
                        Some(_) => eyes.look_closely(program, peer),
                        None if is_first => eyes.look_at(program, peer),
                        None => None,
                    };
                    look.into_iter().for_each(|look| self.observer.looked(look));
                    if let Some(done) = done {
                        // Nobody waits that long.
                        let _ = done.send(());
                    }
                }
                LookRequest::All(show) => {
                    let _ = show.send(self.observer.eyes.look_at_all(MAX_SHOWN, |_| true));
                }
                LookRequest::End => over = true,
            }
        }
        over
    }

    fn look_at_all(&self) {
        let is_connected =
            |socket: &KernelSocket| socket.state != State::Listen && socket.peer.port() != 0;
        for look in self.observer.eyes.look_at_all(usize::MAX, is_connected) {
            self.observer.looked(look);
        }
    }
}
