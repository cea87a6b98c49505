//! TCP and UDP sockets as `sock_diag` gives them (include/uapi/linux/inet_diag.h).
//!
//! Answers are read where they lie: a machine may have a million sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::netlink::{Conversation, NLM_F_ACK, NLM_F_DUMP, attributes};

/// SOCK_DIAG_BY_FAMILY
const BY_FAMILY: u16 = 20;
/// SOCK_DESTROY
const DESTROY: u16 = 21;
/// Length of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// INET_DIAG_REQ_BYTECODE
const REQ_BYTECODE: u16 = 1;

/// INET_DIAG_NOCOOKIE: whatever socket has the addresses.
const NO_COOKIE: u64 = u64::MAX;

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    fn number(self) -> u8 {
        // AF_INET and AF_INET6
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// A state as the kernel numbers them (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KernelState(pub(crate) u8);

impl KernelState {
    pub(crate) const ESTABLISHED: Self = Self(1);
    pub(crate) const SYN_SENT: Self = Self(2);
    pub(crate) const SYN_RECV: Self = Self(3);
    pub(crate) const FIN_WAIT_1: Self = Self(4);
    pub(crate) const FIN_WAIT_2: Self = Self(5);
    pub(crate) const TIME_WAIT: Self = Self(6);
    pub(crate) const CLOSE: Self = Self(7);
    pub(crate) const CLOSE_WAIT: Self = Self(8);
    pub(crate) const LAST_ACK: Self = Self(9);
    pub(crate) const LISTEN: Self = Self(10);
    pub(crate) const CLOSING: Self = Self(11);
    /// A connection request that has no socket yet; shown as SYN-RECV.
    const NEW_SYN_RECV: Self = Self(12);

    /// As a mask of states has it.
    pub(crate) const fn bit(self) -> u32 {
        1_u32.wrapping_shl(self.0 as u32)
    }

    /// The state of RFC 9293, where it is one.
    pub(crate) fn tcp(self) -> Option<transom_tcp::State> {
        use transom_tcp::State;
        Some(match self {
            Self::ESTABLISHED => State::Established,
            Self::SYN_SENT => State::SynSent,
            Self::SYN_RECV | Self::NEW_SYN_RECV => State::SynReceived,
            Self::FIN_WAIT_1 => State::FinWait1,
            Self::FIN_WAIT_2 => State::FinWait2,
            Self::TIME_WAIT => State::TimeWait,
            Self::CLOSE => State::Closed,
            Self::CLOSE_WAIT => State::CloseWait,
            Self::LAST_ACK => State::LastAck,
            Self::LISTEN => State::Listen,
            Self::CLOSING => State::Closing,
            _ => return None,
        })
    }
}

/// Which attributes an answer shall have besides those that it always has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extensions(pub(crate) u8);

impl Extensions {
    /// tcp_info, the congestion control's name and its own numbers.
    pub(crate) const INFO: Self = Self(1 << (INFO - 1) | 1 << (VEGAS - 1) | 1 << (CONGESTION - 1));
    /// tcp_info alone.
    pub(crate) const INFO_ONLY: Self = Self(1 << (INFO - 1));
    /// Memory.
    pub(crate) const MEMORY: Self = Self(1 << (MEMINFO - 1) | 1 << (SKMEMINFO - 1));
    /// Type of service, traffic class, priority.
    pub(crate) const TOS: Self = Self(1 << (4) | 1 << 5);

    /// Both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

const MEMINFO: u16 = 1;
const INFO: u16 = 2;
const VEGAS: u16 = 3;
const CONGESTION: u16 = 4;
const SKMEMINFO: u16 = 7;

/// What to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// Of which protocol.
    pub(crate) protocol: Protocol,
    /// Of which family; IPv4 connections of IPv6 sockets are among the latter.
    pub(crate) family: Family,
    /// In which states: [`KernelState::bit`]s.
    pub(crate) states: u32,
    /// With which attributes.
    pub(crate) extensions: Extensions,
    /// A program for the kernel that says which sockets are wanted; none wants all.
    pub(crate) bytecode: &'a [u8],
}

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Our address.
    pub(crate) local: SocketAddr,
    /// The other end's.
    pub(crate) peer: SocketAddr,
    /// The device that the socket is bound to; 0 is none.
    pub(crate) interface: u32,
    /// The kernel's own number for the socket.
    pub(crate) cookie: u64,
}

/// A socket. Its attributes are those of the answer that it was read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket<'a> {
    pub(crate) protocol: Protocol,
    /// The socket's family; an IPv6 socket may have IPv4 addresses in IPv6 form.
    pub(crate) family: Family,
    pub(crate) state: KernelState,
    /// 0 none, 1 retransmission, 2 keep-alive, 3 TIME-WAIT, 4 window probe.
    pub(crate) timer: u8,
    /// Retransmissions (or probes) so far.
    pub(crate) retransmits: u8,
    pub(crate) identity: Identity,
    /// Until the timer expires, ms.
    pub(crate) expires: u32,
    /// Bytes received and not read; of a listener: connections waiting.
    pub(crate) recv_queue: u32,
    /// Bytes written and not acknowledged; of a listener: the backlog.
    pub(crate) send_queue: u32,
    pub(crate) uid: u32,
    /// 0 when no process holds the socket.
    pub(crate) inode: u32,
    /// What else was said.
    pub(crate) attributes: Attributes<'a>,
}

/// How many attributes a Linux of today knows, and a few.
const ATTRIBUTES: usize = 32;

/// The attributes of an answer by number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes<'a> {
    values: [Option<&'a [u8]>; ATTRIBUTES],
}

impl<'a> Attributes<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut all = Self::default();
        for (kind, value) in attributes(bytes) {
            if let Some(place) = all.values.get_mut(usize::from(kind)) {
                *place = Some(value);
            }
        }
        all
    }

    /// Nothing but a `struct tcp_info`.
    #[cfg(test)]
    pub(crate) fn with_info(info: &'a [u8]) -> Self {
        let mut all = Self::default();
        all.values[usize::from(INFO)] = Some(info);
        all
    }

    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.values.get(usize::from(kind)).copied().flatten()
    }

    fn byte(&self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    fn word(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// `struct tcp_info`
    pub(crate) fn info(&self) -> Option<&'a [u8]> {
        self.get(INFO)
    }

    /// The congestion control's name.
    pub(crate) fn congestion(&self) -> Option<&'a str> {
        let bytes = self.get(CONGESTION)?;
        let name = bytes.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(name).ok()
    }

    /// `struct tcpvegas_info`, `tcp_dctcp_info` and `tcp_bbr_info`
    pub(crate) fn vegas(&self) -> Option<&'a [u8]> {
        self.get(VEGAS)
    }

    pub(crate) fn dctcp(&self) -> Option<&'a [u8]> {
        self.get(9)
    }

    pub(crate) fn bbr(&self) -> Option<&'a [u8]> {
        self.get(16)
    }

    /// The nine numbers of SK_MEMINFO.
    pub(crate) fn memory(&self) -> Option<&'a [u8]> {
        self.get(SKMEMINFO)
    }

    pub(crate) fn tos(&self) -> Option<u8> {
        self.byte(5)
    }

    pub(crate) fn traffic_class(&self) -> Option<u8> {
        self.byte(6)
    }

    pub(crate) fn class_id(&self) -> Option<u32> {
        self.word(17)
    }

    /// Bit 0: receives no more; bit 1: sends no more.
    pub(crate) fn shutdown(&self) -> Option<u8> {
        self.byte(8)
    }

    /// Whether an IPv6 socket takes no IPv4; known of listeners and unconnected sockets.
    pub(crate) fn v6_only(&self) -> Option<bool> {
        self.byte(11).map(|value| value != 0)
    }

    /// Only told to whoever may administer the network.
    pub(crate) fn mark(&self) -> Option<u32> {
        self.word(15)
    }

    pub(crate) fn cgroup(&self) -> Option<u64> {
        Some(u64::from_ne_bytes(*self.get(21)?.first_chunk()?))
    }

    /// The name of the protocol above TCP ("tls"), if there is one.
    pub(crate) fn upper(&self) -> Option<&'a str> {
        // INET_ULP_INFO_NAME inside INET_DIAG_ULP_INFO
        let nested = self.get(19)?;
        let (_, name) = attributes(nested).find(|&(kind, _)| kind & 0x3fff == 1)?;
        std::str::from_utf8(name.split(|&byte| byte == 0).next()?).ok()
    }
}

/// sock_diag in one network namespace.
pub(crate) struct Diag {
    talk: Conversation,
}

impl Diag {
    /// The current network namespace's.
    pub(crate) fn open() -> io::Result<Self> {
        Conversation::open(libc::NETLINK_SOCK_DIAG).map(Self::over)
    }

    /// That of the namespace in which the NETLINK_SOCK_DIAG socket was opened.
    pub(crate) fn over(talk: Conversation) -> Self {
        Self { talk }
    }

    /// Hands over every socket that the query asks for.
    pub(crate) fn list(
        &mut self,
        query: &Query<'_>,
        mut each: impl FnMut(&Socket<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let anywhere = Identity {
            local: unspecified(query.family),
            peer: unspecified(query.family),
            interface: 0,
            cookie: 0,
        };
        let mut request = request(query, &anywhere).to_vec();
        if !query.bytecode.is_empty() {
            let length =
                u16::try_from(query.bytecode.len() + 4).map_err(|_| io::ErrorKind::InvalidInput)?;
            request.extend(length.to_ne_bytes());
            request.extend(REQ_BYTECODE.to_ne_bytes());
            request.extend(query.bytecode);
        }
        self.talk.ask(BY_FAMILY, NLM_F_DUMP, &request, |message| {
            match parse(query.protocol, message.payload) {
                Some(socket) => each(&socket),
                None => Ok(()),
            }
        })
    }

    /// Hands over the socket with this pair of addresses, if there is one.
    pub(crate) fn find(
        &mut self,
        query: &Query<'_>,
        local: SocketAddr,
        peer: SocketAddr,
        mut each: impl FnMut(&Socket<'_>),
    ) -> io::Result<()> {
        let identity = Identity {
            local,
            peer,
            interface: 0,
            cookie: NO_COOKIE,
        };
        let request = request(query, &identity);
        let found = self.talk.ask(BY_FAMILY, 0, &request, |message| {
            if let Some(socket) = parse(query.protocol, message.payload) {
                each(&socket);
            }
            Ok(())
        });
        match found {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// Closes a socket as if its owner had aborted the connection.
    pub(crate) fn destroy(&mut self, query: &Query<'_>, identity: &Identity) -> io::Result<()> {
        let request = request(query, identity);
        self.talk.ask(DESTROY, NLM_F_ACK, &request, |_| Ok(()))
    }
}

fn unspecified(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        Family::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// `struct inet_diag_req_v2`
fn request(query: &Query<'_>, identity: &Identity) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let mut rest = &mut bytes[..];
    // It is as long as all of these together.
    let mut put = |field: &[u8]| {
        if let Some((place, behind)) = std::mem::take(&mut rest).split_at_mut_checked(field.len()) {
            place.copy_from_slice(field);
            rest = behind;
        }
    };
    put(&[
        query.family.number(),
        query.protocol.number(),
        query.extensions.0,
        0,
    ]);
    put(&query.states.to_ne_bytes());
    put(&identity.local.port().to_be_bytes());
    put(&identity.peer.port().to_be_bytes());
    for address in [identity.local.ip(), identity.peer.ip()] {
        match address {
            IpAddr::V4(address) => {
                put(&address.octets());
                put(&[0; 12]);
            }
            IpAddr::V6(address) => put(&address.octets()),
        }
    }
    put(&identity.interface.to_ne_bytes());
    put(&identity.cookie.to_ne_bytes());
    bytes
}

/// `struct inet_diag_msg` and the attributes behind it.
fn parse(protocol: Protocol, bytes: &[u8]) -> Option<Socket<'_>> {
    let (head, rest) = bytes.split_first_chunk::<72>()?;
    let [family, state, timer, retransmits, fields @ ..] = head;
    let family = match family {
        2 => Family::V4,
        10 => Family::V6,
        _ => return None,
    };
    let mut fields = Fields(fields);
    let (local_port, peer_port) = (fields.port()?, fields.port()?);
    let (local, peer) = (fields.address(family)?, fields.address(family)?);
    Some(Socket {
        protocol,
        family,
        state: KernelState(*state),
        timer: *timer,
        retransmits: *retransmits,
        identity: Identity {
            local: SocketAddr::new(local, local_port),
            peer: SocketAddr::new(peer, peer_port),
            interface: fields.word()?,
            cookie: u64::from_ne_bytes(fields.take()?),
        },
        expires: fields.word()?,
        recv_queue: fields.word()?,
        send_queue: fields.word()?,
        uid: fields.word()?,
        inode: fields.word()?,
        attributes: Attributes::read(rest),
    })
}

/// Fields one behind the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn port(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn address(&mut self, family: Family) -> Option<IpAddr> {
        let bytes: [u8; 16] = self.take()?;
        Some(match family {
            Family::V4 => {
                let [a, b, c, d, ..] = bytes;
                Ipv4Addr::new(a, b, c, d).into()
            }
            Family::V6 => Ipv6Addr::from(bytes).into(),
        })
    }
}
