//! Leg B of a connection: a socket of the host's kernel, from its opening to its close.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use transom::{RelayEnd, RelayFailure, RelayQueue, Side};

use super::activity::Counted;
use super::legs::Leg;
use super::observe::Observer;
use super::samples::{Sample, Samples};
use crate::kernel::tcp_info::{Raw, TcpInfo};
use crate::sys;

/// A leg B that is open, and what the kernel says of it.
pub(super) type Opened = (TcpStream, Option<TcpInfo>);

/// Opens leg B. The address is the one that answered in the end.
pub(super) async fn connect(outside: SocketAddr) -> (SocketAddr, io::Result<Opened>) {
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
    let said = sys::tcp_info(&socket).ok();
    let stream = TcpStream::from_std(socket.into())?;
    if let Some(said) = said
        && Raw(said.as_ref()).is_open()
    {
        return Ok((stream, Some(TcpInfo::parse(said.as_ref()))));
    }
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let info = look(&stream);
    Ok((stream, info))
}

/// What the kernel says of a socket now.
pub(super) fn look(socket: &impl AsFd) -> Option<TcpInfo> {
    let said = sys::tcp_info(socket).ok()?;
    Some(TcpInfo::parse(said.as_ref()))
}

/// How leg B was opened. It is put into words where somebody keeps them.
#[derive(Debug)]
pub(crate) struct Opening {
    outside: SocketAddr,
    took: Duration,
    /// Round-trip time and largest segment.
    measured: Option<(Duration, u32)>,
}

impl Opening {
    pub(super) fn new(outside: SocketAddr, took: Duration, info: Option<&TcpInfo>) -> Self {
        Self {
            outside,
            took,
            measured: info.map(|info| (info.rtt, info.snd_mss)),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use transom_flow::words;
        let Self { outside, took, .. } = self;
        let took = words::duration(*took);
        write!(f, "leg B: {outside} took the connection after {took}")?;
        if let Some((rtt, mss)) = self.measured {
            let rtt = words::duration(rtt);
            write!(f, " (rtt {rtt}, mss {mss})")?;
        }
        Ok(())
    }
}

/// Sockets that may wait to be closed: the next ones are closed at once.
const MAX_CLOSING: usize = 128;

/// How many sockets wait to be closed; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closings(Arc<AtomicUsize>);

/// A socket that waits to be closed.
#[derive(Debug)]
struct Closing {
    socket: std::net::TcpStream,
    closings: Closings,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.closings.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is over.
#[derive(Debug)]
pub(crate) struct Over {
    leg: Leg,
    /// When, on the stack's clock.
    time: Duration,
    /// How leg B failed.
    failure: Option<String>,
    /// Leg B, where both of its directions have ended in order: who takes this looks at it for the last time, and closes it.
    socket: Option<Closing>,
}

impl Over {
    /// One of which everything is known, and nothing is to be said.
    pub(crate) const fn known(leg: Leg, time: Duration) -> Self {
        Self {
            leg,
            time,
            failure: None,
            socket: None,
        }
    }

    /// One that ended otherwise than by a FIN from both sides. `leg_b` says which of them leg B is.
    pub(super) fn failed(leg: Leg, time: Duration, failure: &RelayFailure, leg_b: Side) -> Self {
        let is_of_leg_b = failure.side == leg_b;
        let failure = is_of_leg_b.then(|| failure.error.to_string());
        Self {
            failure,
            ..Self::known(leg, time)
        }
    }

    /// One that ended by a FIN from both sides.
    pub(super) fn in_order(
        mut leg: Leg,
        time: Duration,
        stream: TcpStream,
        closings: &Closings,
    ) -> Self {
        if closings.0.load(Ordering::Relaxed) >= MAX_CLOSING {
            leg.info = look(&stream);
            return Self::known(leg, time);
        }
        // It cannot fail, and a socket that is lost is closed.
        let socket = stream.into_std().ok().map(|socket| {
            closings.0.fetch_add(1, Ordering::Relaxed);
            let closings = closings.clone();
            Closing { socket, closings }
        });
        Self {
            socket,
            ..Self::known(leg, time)
        }
    }

    /// The memory that it takes.
    pub(crate) fn weight(&self) -> usize {
        let error = self.leg.opened.as_ref().err();
        let samples = self.leg.samples.capacity() * size_of::<Sample>();
        size_of::<Self>() + samples + error.map_or(0, String::capacity)
    }

    /// When it was over.
    pub(crate) const fn time(&self) -> Duration {
        self.time
    }

    /// Everything about it, and what is worth saying of its end; nothing when all went well.
    pub(crate) fn into_leg(self) -> (Leg, Option<String>) {
        let mut leg = self.leg;
        if let Some(closing) = self.socket {
            leg.info = look(&closing.socket);
        }
        let text = match self.failure {
            Some(failure) => Some(format!("leg B: {} ended it: {failure}", leg.outside)),
            None => sent_again_at_all(&leg),
        };
        (leg, text)
    }
}

fn sent_again_at_all(leg: &Leg) -> Option<String> {
    let info = leg.info.filter(|info| info.retransmitted_segs > 0)?;
    Some(format!(
        "leg B: {} sent again on the way to {}",
        transom_flow::words::count(u64::from(info.retransmitted_segs), "segment"),
        leg.outside
    ))
}

/// How often a leg B was written to.
const NO_WRITE: u8 = 0;
const ONE_WRITE: u8 = 1;
const MORE_WRITES: u8 = 2;

/// Leg B, which also notes when everything of the program has been handed on, and is looked at while
/// bytes pass.
pub(super) struct Outer<'a> {
    stream: TcpStream,
    writes: AtomicU8,
    counted: Mutex<Counted>,
    samples: Mutex<Samples>,
    observer: &'a Observer,
    program: SocketAddr,
    peer: SocketAddr,
    outside: SocketAddr,
}

impl<'a> Outer<'a> {
    pub(super) fn new(
        stream: TcpStream,
        counted: Counted,
        observer: &'a Observer,
        leg: &Leg,
    ) -> Self {
        Self {
            stream,
            writes: AtomicU8::new(NO_WRITE),
            counted: Mutex::new(counted),
            samples: Mutex::new(Samples::new(Instant::now())),
            observer,
            program: leg.program,
            peer: leg.peer,
            outside: leg.outside,
        }
    }

    /// The looks taken, and the socket.
    pub(super) fn into_parts(self) -> (Vec<Sample>, TcpStream, Counted) {
        let samples = self.samples.into_inner();
        let samples = samples.unwrap_or_else(PoisonError::into_inner);
        let counted = self.counted.into_inner();
        let counted = counted.unwrap_or_else(PoisonError::into_inner);
        (samples.into_kept(), self.stream, counted)
    }

    /// Our relay decides what is sent when; a second Nagle behind the program's own would only hold segments back.
    /// The first write it lets through, as nothing is on its way yet.
    fn before_write(&self) {
        let seen = self.writes.load(Ordering::Relaxed);
        if seen == ONE_WRITE {
            let _ = self.stream.set_nodelay(true);
        }
        if seen < MORE_WRITES {
            self.writes.store(seen + 1, Ordering::Relaxed);
        }
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
        self.before_write();
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
