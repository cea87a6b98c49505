//! The program's TCP connections: each a leg A, carried by our stack, and a leg B, a socket of the
//! host's kernel to the real peer. What happens on B is made to happen on A, and the other way round.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use transom::{Incoming, IncomingStream, RelayCounters, RelayOutcome, Side, Unreachable};

use super::activity::{Activity, Counted};
use super::crew;
use super::destination::Destinations;
use super::leg_b::{Closings, Opening, Outer, Over, connect, look};
use super::observe::{Observer, Seen};
use super::samples::Sample;
use crate::kernel::tcp_info::TcpInfo;

/// What leg B of a connection was.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    /// The program's socket.
    pub(crate) program: SocketAddr,
    /// The peer as the program knows it.
    pub(crate) peer: SocketAddr,
    /// The peer as the host knows it.
    pub(crate) outside: SocketAddr,
    /// How long the kernel took to open it, or why it could not.
    pub(crate) opened: Result<Duration, String>,
    /// What the kernel says of it at the end.
    pub(crate) info: Option<TcpInfo>,
    /// What it said while bytes passed.
    pub(crate) samples: Vec<Sample>,
    /// Bytes from the program to the peer.
    pub(crate) to_peer: u64,
    /// Bytes from the peer to the program.
    pub(crate) to_program: u64,
}

/// What every leg needs.
#[derive(Debug, Clone)]
pub(crate) struct Legs {
    /// Where addresses lie.
    pub(crate) destinations: Destinations,
    /// Who is told.
    pub(crate) observer: Observer,
    /// Who counts.
    pub(crate) activity: Activity,
    /// Sockets that wait to be closed.
    pub(crate) closings: Closings,
}

impl Legs {
    /// Serves every connection attempt of the program, until the stack ends.
    pub(crate) async fn serve(self, incoming: IncomingStream) {
        crew::serve(self, incoming).await;
    }

    /// Carries one connection from its beginning to its end.
    pub(super) async fn carry(&self, attempt: Incoming, counted: Counted) {
        let (program, peer) = (attempt.peer_addr(), attempt.local_addr());
        let Some(outside) = self.destinations.outside(peer) else {
            attempt.unreachable(Unreachable::Host);
            return;
        };
        let begun = Instant::now();
        // A program that gives up before there is an answer needs none.
        let both = async {
            // While it waits for an answer the program lives, and its socket can be found.
            let look = self.observer.look_now(program, peer);
            let timed = async { (connect(outside).await, begun.elapsed()) };
            tokio::join!(timed, look).0
        };
        let ((outside, connected), took) = tokio::select! {
            // A server that is near has answered by now.
            biased;
            connected = both => connected,
            () = attempt.gone() => return,
        };
        let mut leg = Leg {
            program,
            peer,
            outside,
            opened: Ok(took),
            info: None,
            samples: Vec::new(),
            to_peer: 0,
            to_program: 0,
        };
        match connected {
            Ok((server, info)) => {
                let opening = Opening::new(outside, took, info.as_ref());
                self.observer.remark(peer, program, opening);
                self.join(attempt, server, leg, counted).await;
            }
            Err(error) => {
                leg.opened = Err(error.to_string());
                let text = format!("leg B: {outside} did not take the connection: {error}");
                self.observer.remark(peer, program, text);
                self.note(Over::known(leg, self.observer.now()));
                answer_failure(attempt, &error).await;
            }
        }
    }

    /// Leg B is open: opens leg A and joins them.
    async fn join(&self, attempt: Incoming, server: TcpStream, mut leg: Leg, mut counted: Counted) {
        let Ok(client) = attempt.accept().await else {
            // The program has gone: its kernel would have answered the SYN-ACK with a reset.
            let _ = server.set_zero_linger();
            self.note(Over::known(leg, self.observer.now()));
            return;
        };
        counted.carries();
        let server = Outer::new(server, counted, &self.observer, &leg);
        let counters = RelayCounters::new();
        let outcome = transom::relay_ends(&client, &server, &counters).await;
        leg.to_peer = counters.to_server();
        leg.to_program = counters.to_client();
        self.part(leg, server, &outcome, Side::Server);
    }

    /// A client of the host and the program's published port: here leg B is the client's.
    pub(crate) async fn join_published(
        &self,
        client: TcpStream,
        server: transom::TcpStream,
        from: SocketAddr,
        mut counted: Counted,
    ) {
        let (Ok(seen_from), Ok(program)) = (server.local_addr(), server.peer_addr()) else {
            return;
        };
        let info = look(&client);
        let mut leg = Leg {
            program,
            peer: seen_from,
            outside: from,
            opened: Ok(Duration::ZERO),
            info,
            samples: Vec::new(),
            to_peer: 0,
            to_program: 0,
        };
        let text = format!("leg B: {from} connected to the published port");
        self.observer.remark(seen_from, program, text);
        counted.carries();
        let client = Outer::new(client, counted, &self.observer, &leg);
        let counters = RelayCounters::new();
        let outcome = transom::relay_ends(&client, &server, &counters).await;
        leg.to_peer = counters.to_client();
        leg.to_program = counters.to_server();
        self.part(leg, client, &outcome, Side::Client);
    }

    /// Tells what a connection was that is over. One that ended in order leaves the last look at its leg B, and its close,
    /// to who takes what is told: neither is waited for by anybody.
    fn part(&self, mut leg: Leg, leg_b: Outer<'_>, outcome: &RelayOutcome, side: Side) {
        let (samples, stream, counted) = leg_b.into_parts();
        leg.samples = samples;
        self.observer.look(leg.program, leg.peer);
        let time = self.observer.now();
        let over = match &outcome.failure {
            None => Over::in_order(leg, time, stream, &self.closings),
            Some(failure) => {
                leg.info = look(&stream);
                Over::failed(leg, time, failure, side)
            }
        };
        self.note(over);
        drop(counted);
    }

    fn note(&self, over: Over) {
        self.observer.note(Seen::Leg(Box::new(over)));
    }
}

/// Lets the program see what the host's kernel saw.
async fn answer_failure(attempt: Incoming, error: &io::Error) {
    match error.raw_os_error() {
        // Silence was the answer, so silence it stays: the program's own attempts run out as they
        // would have without us.
        Some(libc::ETIMEDOUT) => {
            attempt.gone().await;
            attempt.ignore();
        }
        Some(libc::EHOSTUNREACH | libc::EHOSTDOWN) => attempt.unreachable(Unreachable::Host),
        Some(libc::ENETUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => {
            attempt.unreachable(Unreachable::Network);
        }
        Some(libc::EACCES | libc::EPERM) => attempt.unreachable(Unreachable::Prohibited),
        // The peer took the connection and reset it before we could look.
        Some(libc::ECONNRESET) => {
            if let Ok(client) = attempt.accept().await {
                client.abort();
            }
        }
        _ => attempt.refuse(),
    }
}
