//! The program's own ends of its connections, asked from the kernel (sock_diag) inside.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::kernel::inet_diag::{self, Extensions, Family, Protocol, Query, Socket};
use crate::kernel::netlink::Conversation;
use crate::kernel::tcp_info::TcpInfo;

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
    kernel: inet_diag::Diag,
}

impl Diag {
    /// Takes a NETLINK_SOCK_DIAG socket of the namespace to look at.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            kernel: inet_diag::Diag::over(Conversation::over(socket)),
        }
    }

    /// Every TCP socket, both families.
    pub(crate) fn all(&mut self) -> io::Result<Vec<KernelSocket>> {
        let mut sockets = Vec::new();
        for family in [Family::V4, Family::V6] {
            self.kernel.list(&query(family), |socket| {
                sockets.extend(kernel_socket(socket));
                Ok(())
            })?;
        }
        Ok(sockets)
    }

    /// The socket with this pair of addresses; None when there is none.
    pub(crate) fn one(
        &mut self,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<Option<KernelSocket>> {
        let mut found = None;
        let query = query(Family::of(local.ip()));
        self.kernel.find(&query, local, peer, |socket| {
            found = kernel_socket(socket);
        })?;
        Ok(found)
    }
}

fn query(family: Family) -> Query<'static> {
    Query {
        protocol: Protocol::Tcp,
        family,
        states: u32::MAX,
        extensions: Extensions::INFO_ONLY,
        bytecode: &[],
    }
}

fn kernel_socket(socket: &Socket<'_>) -> Option<KernelSocket> {
    // A socket of both families shows IPv4 addresses in IPv6 form.
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Some(KernelSocket {
        local: plain(socket.identity.local),
        peer: plain(socket.identity.peer),
        state: socket.state.tcp()?,
        recv_queue: socket.recv_queue,
        send_queue: socket.send_queue,
        inode: socket.inode,
        info: socket.attributes.info().map(TcpInfo::parse),
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
