//! The program's pings, carried by ping sockets of the host (or raw sockets, for root).

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use transom::{EchoRequest, EchoRequests, Unreachable};
use transom_wire::checksum::Sum;

use super::destination::Destinations;
use super::observe::Observer;

/// Pings at once to different hosts or of different programs.
const MAX_SESSIONS: usize = 256;
/// Requests of one ping that wait for their replies; the oldest is forgotten.
const WAITING: usize = 64;
/// A ping ends after this time without a request or a reply.
const IDLE: Duration = Duration::from_secs(30);
/// Longest message, with an IPv4 header before it.
const LONGEST: usize = 65_535;
/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// What carries pings.
pub(crate) struct Pings {
    requests: EchoRequests,
    destinations: Destinations,
    observer: Observer,
    open: HashMap<(IpAddr, u16), mpsc::Sender<EchoRequest>>,
}

impl Pings {
    /// For all pings of a stack.
    pub(crate) fn new(
        requests: EchoRequests,
        destinations: Destinations,
        observer: Observer,
    ) -> Self {
        Self {
            requests,
            destinations,
            observer,
            open: HashMap::new(),
        }
    }

    /// Carries pings until the stack ends.
    pub(crate) async fn serve(mut self) {
        while let Ok(request) = self.requests.recv().await {
            self.carry(request);
        }
    }

    fn carry(&mut self, request: EchoRequest) {
        let key = (request.local_addr(), request.ident());
        let request = match self.open.get(&key) {
            Some(session) => match session.try_send(request) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(request)) => request,
            },
            None => request,
        };
        self.open.retain(|_, session| !session.is_closed());
        let Some(outside) = self.destinations.outside(SocketAddr::new(key.0, 0)) else {
            request.unreachable(Unreachable::Host);
            return;
        };
        if self.open.len() >= MAX_SESSIONS {
            return;
        }
        let (sender, waiting) = mpsc::channel(WAITING);
        // The new queue has room for its first request.
        let _ = sender.try_send(request);
        self.open.insert(key, sender);
        let observer = self.observer.clone();
        tokio::spawn(async move {
            match Pinger::open(outside.ip()) {
                Ok(pinger) => session(pinger, waiting).await,
                Err(error) => give_up(&error, waiting, &observer),
            }
        });
    }
}

/// No socket: says why, to the program or to the user.
fn give_up(error: &io::Error, mut waiting: mpsc::Receiver<EchoRequest>, observer: &Observer) {
    let code = match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            observer.notice(
                "pings are not carried, because this user may not open ping sockets; allow them \
                 with: sudo sysctl net.ipv4.ping_group_range='0 2147483647'",
            );
            return;
        }
        Some(libc::ENETUNREACH) => Unreachable::Network,
        _ => Unreachable::Host,
    };
    while let Ok(request) = waiting.try_recv() {
        request.unreachable(code);
    }
}

/// A socket that exchanges echo messages with one host.
struct Pinger {
    /// Not UDP, but it sends and receives messages in the same way.
    socket: UdpSocket,
    v4: bool,
    /// A raw socket sees everybody's replies, and ours have this identifier. On a ping socket the
    /// kernel sees to that.
    raw: Option<u16>,
}

/// Identifiers for raw sockets, one after the other.
static NEXT_IDENT: AtomicU16 = AtomicU16::new(0x7472);

impl Pinger {
    fn open(host: IpAddr) -> io::Result<Self> {
        let (domain, protocol) = match host {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let ping = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(protocol));
        let (socket, raw) = match ping {
            Ok(socket) => (socket, None),
            Err(refused) => {
                let kind = Type::RAW.nonblocking().cloexec();
                let socket = Socket::new(domain, kind, Some(protocol)).map_err(|_| refused)?;
                (socket, Some(NEXT_IDENT.fetch_add(1, Ordering::Relaxed)))
            }
        };
        // Without these a router's "host unreachable" is nothing that a socket hears of.
        if host.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        }
        socket.connect(&SocketAddr::new(host, 0).into())?;
        let socket = std::net::UdpSocket::from(OwnedFd::from(socket));
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            v4: host.is_ipv4(),
            raw,
        })
    }

    async fn send(&self, request: &EchoRequest) -> io::Result<()> {
        let ident = self.raw.unwrap_or_else(|| request.ident());
        let message = echo_request(self.v4, ident, request.sequence(), request.payload());
        self.socket.send(&message).await.map(drop)
    }

    /// The next ICMP error that came back: the sequence number of the request, and what it says.
    fn error(&self) -> Option<(u16, Unreachable)> {
        let mut message = [0; HEADER];
        let mut beside = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let mut parts = [IoSliceMut::new(&mut message)];
        let got = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut beside),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )
        .ok()?;
        let errno = got.cmsgs().ok()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error.ee_errno),
            _ => None,
        });
        let reason = match errno.map(u32::cast_signed) {
            Some(libc::ENETUNREACH) => Unreachable::Network,
            Some(libc::EACCES | libc::EPERM) => Unreachable::Prohibited,
            _ => Unreachable::Host,
        };
        // The quoted request: type, code, checksum, identifier, sequence number.
        let [.., high, low] = message;
        Some((u16::from_be_bytes([high, low]), reason))
    }

    /// The sequence number of an echo reply to us, if `message` is one.
    fn reply(&self, message: &[u8]) -> Option<u16> {
        // A raw IPv4 socket also gives the IP header.
        let at = match self.raw {
            Some(_) if self.v4 => usize::from(message.first()? & 0x0f) * 4,
            _ => 0,
        };
        let header: &[u8; HEADER] = message.get(at..)?.first_chunk()?;
        let [kind, _, _, _, ident @ .., high, low] = header;
        let is_reply = *kind == if self.v4 { 0 } else { 129 };
        let is_ours = self.raw.is_none_or(|ours| ours.to_be_bytes()[..] == *ident);
        (is_reply && is_ours).then_some(u16::from_be_bytes([*high, *low]))
    }
}

/// An ICMP or ICMPv6 echo request.
fn echo_request(v4: bool, ident: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + data.len());
    message.extend_from_slice(&[if v4 { 8 } else { 128 }, 0, 0, 0]);
    message.extend_from_slice(&ident.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(data);
    if v4 {
        // RFC 792; the kernel fills in ICMPv6's, which also covers addresses.
        let mut sum = Sum::ZERO;
        sum.add_bytes(&message);
        message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    }
    message
}

/// Carries the requests of one ping program to one host, and the replies back.
async fn session(pinger: Pinger, mut waiting: mpsc::Receiver<EchoRequest>) {
    let mut pending: VecDeque<EchoRequest> = VecDeque::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let event = timeout(IDLE, async {
            tokio::select! {
                request = waiting.recv() => Event::Request(request),
                received = pinger.socket.recv(&mut buffer) => Event::Received(received),
            }
        });
        match event.await {
            Err(_idle) => return,
            Ok(Event::Request(None)) => return,
            Ok(Event::Request(Some(request))) => {
                if pinger.send(&request).await.is_err() {
                    request.unreachable(Unreachable::Host);
                } else {
                    if pending.len() >= WAITING {
                        pending.pop_front();
                    }
                    pending.push_back(request);
                }
            }
            Ok(Event::Received(Ok(length))) => {
                let sequence = pinger.reply(buffer.get(..length).unwrap_or_default());
                let place = sequence
                    .and_then(|number| pending.iter().position(|one| one.sequence() == number));
                if let Some(request) = place.and_then(|place| pending.remove(place)) {
                    // Without room in the device the reply is lost, as on any full wire.
                    let _ = request.reply();
                }
            }
            Ok(Event::Received(Err(_))) => {
                while let Some((sequence, reason)) = pinger.error() {
                    let place = pending.iter().position(|one| one.sequence() == sequence);
                    if let Some(request) = place.and_then(|place| pending.remove(place)) {
                        request.unreachable(reason);
                    }
                }
            }
        }
    }
}

enum Event {
    Request(Option<EchoRequest>),
    Received(io::Result<usize>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_sums_to_nothing() {
        let message = echo_request(true, 0x1234, 7, b"odd");
        assert_eq!(message[..2], [8, 0]);
        assert_eq!(message[4..8], [0x12, 0x34, 0, 7]);
        let mut sum = Sum::ZERO;
        sum.add_bytes(&message);
        assert_eq!(sum.finish(), 0);
    }
}
