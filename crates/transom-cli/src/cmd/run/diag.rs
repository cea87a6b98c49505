//! The program's own ends of its connections, asked from the kernel (sock_diag) inside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use nix::sys::socket::{MsgFlags, recv, send};

use super::tcp_info::TcpInfo;

/// A kernel state number of include/net/tcp_states.h, as `ss` names it through our own [`State`].
pub(crate) type State = transom_tcp::State;

/// One TCP socket of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelSocket {
    /// The program's address.
    pub(crate) local: SocketAddr,
    /// The other end's address.
    pub(crate) peer: SocketAddr,
    /// Its state.
    pub(crate) state: State,
    /// Bytes received that the program has not read (of a listener: connections waiting).
    pub(crate) recv_queue: u32,
    /// Bytes written that are not acknowledged (of a listener: the backlog).
    pub(crate) send_queue: u32,
    /// Who owns the socket can be found by this; 0 when nobody does.
    pub(crate) inode: u32,
    /// Round-trip time, congestion window and the like; states without a full socket have none.
    pub(crate) info: Option<TcpInfo>,
}

/// The conversation with the kernel.
pub(crate) struct Diag {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// As large as the kernel's largest answer datagram.
const BUFFER: usize = 64 * 1024;

impl Diag {
    /// Takes a NETLINK_SOCK_DIAG socket of the namespace to look at.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER],
        }
    }

    /// Every TCP socket, both families.
    pub(crate) fn all(&mut self) -> io::Result<Vec<KernelSocket>> {
        let mut sockets = Vec::new();
        for id in [SocketId::new_v4(), SocketId::new_v6()] {
            sockets.extend(self.ask(id, NLM_F_DUMP)?);
        }
        Ok(sockets)
    }

    /// The socket with this pair of addresses; None when there is none.
    pub(crate) fn one(
        &mut self,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<Option<KernelSocket>> {
        let id = SocketId {
            source_port: local.port(),
            destination_port: peer.port(),
            source_address: local.ip(),
            destination_address: peer.ip(),
            interface_id: 0,
            // INET_DIAG_NOCOOKIE
            cookie: [0xff; 8],
        };
        match self.ask(id, 0) {
            Ok(sockets) => Ok(sockets.into_iter().next()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ask(&mut self, socket_id: SocketId, flags: u16) -> io::Result<Vec<KernelSocket>> {
        self.sequence += 1;
        let family = if socket_id.source_address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let protocol = u8::try_from(libc::IPPROTO_TCP).unwrap_or(6);
        let request = InetRequest {
            family: u8::try_from(family).unwrap_or_default(),
            protocol,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id,
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let payload = NetlinkPayload::from(SockDiagMessage::InetRequest(request));
        let mut packet = NetlinkMessage::new(header, payload);
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut sockets = Vec::new();
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                let answer = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                    .map_err(io::Error::other)?;
                let length = usize::try_from(answer.header.length)
                    .unwrap_or(0)
                    .next_multiple_of(4);
                rest = rest.get(length.max(4)..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(sockets),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                        sockets.extend(kernel_socket(&response));
                        if flags & NLM_F_DUMP == 0 {
                            return Ok(sockets);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn kernel_socket(response: &InetResponse) -> Option<KernelSocket> {
    let header = &response.header;
    // A socket of both families shows IPv4 addresses in IPv6 form.
    let plain = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
    Some(KernelSocket {
        local: plain(
            header.socket_id.source_address,
            header.socket_id.source_port,
        ),
        peer: plain(
            header.socket_id.destination_address,
            header.socket_id.destination_port,
        ),
        state: state_of(header.state)?,
        recv_queue: header.recv_queue,
        send_queue: header.send_queue,
        inode: header.inode,
        info: response.nlas.iter().find_map(|nla| match nla {
            Nla::TcpInfo(bytes) => Some(TcpInfo::parse(bytes)),
            _ => None,
        }),
    })
}

/// include/net/tcp_states.h
fn state_of(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        // TCP_SYN_RECV and TCP_NEW_SYN_RECV
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Closed,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn diag() -> Diag {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::DGRAM.cloexec(),
            Some(Protocol::from(libc::NETLINK_SOCK_DIAG)),
        );
        Diag::new(socket.unwrap().into())
    }

    #[test]
    fn both_ends_of_a_connection_are_seen_with_their_queues() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        io::Write::write_all(&mut client, &[7; 100]).unwrap();
        let mut diag = diag();
        let (local, peer) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
        let seen = diag.one(local, peer).unwrap().unwrap();
        assert_eq!(
            (seen.state, seen.recv_queue, seen.local, seen.peer),
            (State::Established, 100, local, peer)
        );
        assert!(seen.info.unwrap().rtt > std::time::Duration::ZERO);
        assert!(seen.info.unwrap().snd_mss > 500);
        let client = diag.one(peer, local).unwrap().unwrap();
        assert!(client.info.unwrap().bytes_acked >= 100);
        assert!(
            diag.all()
                .unwrap()
                .iter()
                .any(|socket| socket.state == State::Listen)
        );
    }

    #[test]
    fn a_connection_that_is_not_there_is_none() {
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(diag().one(nobody, nobody).unwrap(), None);
    }

    #[test]
    fn an_ipv4_connection_of_an_ipv6_socket_has_ipv4_addresses() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let server_side = SocketAddr::from(([127, 0, 0, 1], port));
        let sockets = diag().all().unwrap();
        assert!(sockets.iter().any(
            |socket| socket.local == server_side && socket.peer == client.local_addr().unwrap()
        ));
    }
}
