//! What a stack tells the application.

use core::net::IpAddr;

use bytes::Bytes;

use crate::handle::{ConnId, IncomingId, ListenerId, UdpId};

/// Something that the application may want to know. Events that can recur are not queued twice, so the queue is
/// bounded by the number of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackEvent {
    /// A connection that the application holds has news. Connections of a listener are silent until they are taken;
    /// ask them for their state then.
    Tcp(ConnId, transom_tcp::Event),
    /// [`Stack::tcp_accept`](crate::Stack::tcp_accept) will give a connection.
    Acceptable(ListenerId),
    /// [`Stack::tcp_incoming`](crate::Stack::tcp_incoming) will give a SYN to decide on.
    Incoming(ListenerId),
    /// A SYN that the application was given, and had not decided on, is no longer of interest: the peer gave up or time
    /// is over.
    IncomingGone(IncomingId),
    /// [`Stack::udp_recv`](crate::Stack::udp_recv) will give a datagram.
    UdpReadable(UdpId),
    /// [`Stack::udp_take_error`](crate::Stack::udp_take_error) will give an error.
    UdpError(UdpId),
    /// An address given to [`Stack::try_address`](crate::Stack::try_address) is ours.
    AddressReady(IpAddr),
    /// Somebody else has an address that was tried, which is not used then, or uses one of ours, which is defended.
    AddressConflict(IpAddr),
    /// Somebody pings, and the application is to answer ([`EchoMode::Deliver`](crate::EchoMode::Deliver)).
    EchoRequest(EchoRequest),
}

/// An ICMP echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoRequest {
    /// The address that is pinged.
    pub local: IpAddr,
    /// Who pings.
    pub peer: IpAddr,
    /// Identifier.
    pub ident: u16,
    /// Sequence number.
    pub sequence: u16,
    /// Data to be sent back.
    pub payload: Bytes,
    /// The start of the IP packet, for an ICMP error about it.
    pub quote: Bytes,
}

/// What an ICMP error that the application orders says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// No route to the network.
    Network,
    /// The host does not answer.
    Host,
    /// Nothing listens at the port.
    Port,
    /// A filter forbids it.
    Prohibited,
}
