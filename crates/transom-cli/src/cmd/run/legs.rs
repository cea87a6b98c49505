//! The program's TCP connections: each a leg A, carried by our stack, and a leg B, a socket of the
//! host's kernel to the real peer. What happens on B is made to happen on A, and the other way round.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use transom::{
    Incoming, IncomingStream, RelayCounters, RelayEnd, RelayOutcome, RelayQueue, Side, Unreachable,
};

use super::activity::{Activity, Counted};
use super::destination::Destinations;
use super::observe::{Observer, Seen};
use super::samples::{Sample, Samples};
use crate::kernel::tcp_info::{Raw, TcpInfo};
use crate::sys;

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
}

impl Legs {
    /// Serves every connection attempt of the program, until the stack ends.
    pub(crate) async fn serve(self, mut incoming: IncomingStream) {
        while let Some(attempt) = incoming.next().await {
            let counted = self.activity.begin();
            tokio::spawn(self.clone().carry(attempt, counted));
        }
    }

    async fn carry(self, attempt: Incoming, counted: Counted) {
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
                let text = opened_text(outside, took, info.as_ref());
                self.observer.remark(peer, program, text);
                self.join(attempt, server, leg, counted).await;
            }
            Err(error) => {
                leg.opened = Err(error.to_string());
                let text = format!("leg B: {outside} did not take the connection: {error}");
                self.observer.remark(peer, program, text);
                self.observer.note(Seen::Leg(Box::new(leg)));
                answer_failure(attempt, &error).await;
            }
        }
    }

    /// Leg B is open: opens leg A and joins them.
    async fn join(&self, attempt: Incoming, server: TcpStream, mut leg: Leg, mut counted: Counted) {
        // Our relay decides what is sent when; a second Nagle behind the program's own would
        // only hold segments back.
        let _ = server.set_nodelay(true);
        let Ok(client) = attempt.accept().await else {
            // The program has gone: its kernel would have answered the SYN-ACK with a reset.
            let _ = server.set_zero_linger();
            self.observer.note(Seen::Leg(Box::new(leg)));
            return;
        };
        counted.carries();
        let server = Outer::new(server, counted, &self.observer, &leg);
        let counters = RelayCounters::new();
        let outcome = transom::relay_ends(&client, &server, &counters).await;
        leg.info = look(&server.stream);
        leg.samples = server.samples();
        leg.to_peer = counters.to_server();
        leg.to_program = counters.to_client();
        if let Some(text) = ended_text(&leg, &outcome, Side::Server) {
            self.observer.remark(leg.peer, leg.program, text);
        }
        self.observer.look(leg.program, leg.peer);
        self.observer.note(Seen::Leg(Box::new(leg)));
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
        let _ = client.set_nodelay(true);
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
        leg.info = look(&client.stream);
        leg.samples = client.samples();
        leg.to_peer = counters.to_client();
        leg.to_program = counters.to_server();
        if let Some(text) = ended_text(&leg, &outcome, Side::Client) {
            self.observer.remark(leg.peer, leg.program, text);
        }
        self.observer.look(leg.program, leg.peer);
        self.observer.note(Seen::Leg(Box::new(leg)));
    }
}

/// A leg B that is open, and what the kernel says of it.
type Opened = (TcpStream, Option<TcpInfo>);

/// Opens leg B. The address is the one that answered in the end.
async fn connect(outside: SocketAddr) -> (SocketAddr, io::Result<Opened>) {
    let first = open(outside).await;
    let refused = matches!(&first, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
    // "The host's loopback" is both of its addresses, as `localhost` is on the host.
    if refused && outside.ip().is_loopback() {
        let other: IpAddr = match outside {
            SocketAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
        };
        let other = SocketAddr::new(other, outside.port());
        if let Ok(opened) = open(other).await {
            return (other, Ok(opened));
        }
    }
    (outside, first)
}

/// Connects to one address. What is said of the connection also tells whether it is open: a server on this machine has
/// answered before the call returns, though the call does not say so, and nobody has to wait to be told.
async fn open(address: SocketAddr) -> io::Result<Opened> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let said = sys::tcp_info(&socket).unwrap_or_default();
    let stream = TcpStream::from_std(socket.into())?;
    if Raw(&said).is_open() {
        return Ok((stream, Some(TcpInfo::parse(&said))));
    }
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let info = look(&stream);
    Ok((stream, info))
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

fn look(stream: &TcpStream) -> Option<TcpInfo> {
    sys::tcp_info(stream)
        .ok()
        .map(|bytes| TcpInfo::parse(&bytes))
}

fn opened_text(outside: SocketAddr, took: Duration, info: Option<&TcpInfo>) -> String {
    use transom_flow::words;
    let took = words::duration(took);
    match info {
        Some(info) => format!(
            "leg B: {outside} took the connection after {took} (rtt {}, mss {})",
            words::duration(info.rtt),
            info.snd_mss
        ),
        None => format!("leg B: {outside} took the connection after {took}"),
    }
}

/// What is worth saying at the end of leg B; nothing when all went well.
fn ended_text(leg: &Leg, outcome: &RelayOutcome, leg_b: Side) -> Option<String> {
    if let Some(failure) = &outcome.failure
        && failure.side == leg_b
    {
        return Some(format!(
            "leg B: {} ended it: {}",
            leg.outside, failure.error
        ));
    }
    let info = leg.info.filter(|info| info.retransmitted_segs > 0)?;
    Some(format!(
        "leg B: {} sent again on the way to {}",
        transom_flow::words::count(u64::from(info.retransmitted_segs), "segment"),
        leg.outside
    ))
}

/// Leg B, which also notes when everything of the program has been handed on, and is looked at while
/// bytes pass.
struct Outer<'a> {
    stream: TcpStream,
    counted: Mutex<Counted>,
    samples: Mutex<Samples>,
    observer: &'a Observer,
    program: SocketAddr,
    peer: SocketAddr,
    outside: SocketAddr,
}

impl<'a> Outer<'a> {
    fn new(stream: TcpStream, counted: Counted, observer: &'a Observer, leg: &Leg) -> Self {
        Self {
            stream,
            counted: Mutex::new(counted),
            samples: Mutex::new(Samples::new(Instant::now())),
            observer,
            program: leg.program,
            peer: leg.peer,
            outside: leg.outside,
        }
    }

    /// The looks taken.
    fn samples(self) -> Vec<Sample> {
        self.samples
            .into_inner()
            .map_or_else(|_| Vec::new(), Samples::into_kept)
    }

    /// Bytes have passed.
    fn moved(&self, now: Instant) {
        let told = {
            let Ok(mut samples) = self.samples.lock() else {
                return;
            };
            let Some(info) = samples.are_due(now).then(|| look(&self.stream)).flatten() else {
                return;
            };
            let time = self.observer.now();
            let sample = Sample { time, info };
            samples.take(now, sample).map(|again| (again, info))
        };
        if let Some((again, info)) = told {
            let text = sent_again_text(again, self.outside, &info);
            self.observer.remark(self.peer, self.program, text);
        }
    }
}

fn sent_again_text(again: u32, outside: SocketAddr, info: &TcpInfo) -> String {
    use transom_flow::words;
    format!(
        "leg B: {} sent again so far on the way to {outside} (rtt {}, congestion window {})",
        words::count(u64::from(again), "segment"),
        words::duration(info.rtt),
        words::count(u64::from(info.cwnd_segs), "segment"),
    )
}

impl RelayEnd for Outer<'_> {
    fn poll_recv(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_recv(cx, queue);
        if let Poll::Ready(Ok(1..)) = polled {
            self.moved(Instant::now());
        }
        polled
    }

    fn poll_send(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_send(cx, queue);
        if let Poll::Ready(Ok(1..)) = polled {
            self.moved(Instant::now());
        }
        polled
    }

    fn finish(&self) -> io::Result<()> {
        if let Ok(mut counted) = self.counted.lock() {
            counted.delivered();
        }
        self.stream.finish()
    }

    fn failed(&self) -> impl Future<Output = io::Error> + Send {
        RelayEnd::failed(&self.stream)
    }

    fn reset(&self) {
        RelayEnd::reset(&self.stream);
    }

    fn poll_acknowledged(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_acknowledged(cx)
    }
}
