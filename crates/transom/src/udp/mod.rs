//! UDP sockets.

mod flows;
mod socket;

pub use flows::{Datagram, UdpFlows};
pub use socket::UdpSocket;
