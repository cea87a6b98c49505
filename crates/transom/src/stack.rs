//! The handle of a running stack.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use transom_stack::tcp::State;
use transom_stack::wire::Cidr;
use transom_stack::{ConnId, Counters, RouteTarget};

use crate::builder::Builder;
use crate::echo::EchoRequests;
use crate::error;
use crate::shared::{Place, Shared};
use crate::tcp::IncomingStream;
use crate::udp::UdpFlows;
use crate::waiters::Interest;

/// A host of its own: addresses, routes and connections behind one device.
///
/// Made by [`Stack::builder`]. A `Stack` is a handle, cheap to clone; every socket holds one. When the
/// last is dropped, the stack delivers what its connections still have to send, closes them, and
/// gives the device back.
#[derive(Clone, Debug)]
pub struct Stack(Arc<Handle>);

/// Its drop says that nobody uses the stack any more.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.act("abandon", |inner, _| {
            inner.abandoned = true;
            inner.wake_driver();
        });
    }
}

impl Stack {
    /// Begins to describe a stack.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Handle(shared)))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Every connection attempt to every address and port for which there is no listener of its own,
    /// each with its SYN-ACK withheld until it is accepted.
    ///
    /// Which addresses are meant depends on the stack: its own, or with
    /// [`Builder::any_address`] all of them.
    ///
    /// # Errors
    /// `AddrInUse` when somebody holds an [`IncomingStream`] of this stack already.
    pub fn incoming(&self) -> io::Result<IncomingStream> {
        IncomingStream::new(self)
    }

    /// Every datagram to every address and port for which there is no socket of its own.
    ///
    /// # Errors
    /// `AddrInUse` when somebody holds the [`UdpFlows`] of this stack already.
    pub fn udp_flows(&self) -> io::Result<UdpFlows> {
        UdpFlows::new(self)
    }

    /// The pings that reach the stack, if it was built with [`EchoMode::Deliver`](crate::EchoMode::Deliver);
    /// otherwise none ever comes.
    #[must_use]
    pub fn echo_requests(&self) -> EchoRequests {
        EchoRequests::new(self.clone())
    }

    /// Every connection, as `ss` lists them: also those whose application has gone, and TIME-WAIT.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionEntry> {
        self.shared().look("list connections", |inner| {
            let stack = &inner.stack;
            stack
                .connections()
                .map(|(id, local, peer, state)| {
                    let connection = id.and_then(|id| stack.tcp_connection(id));
                    let connection = connection.as_deref();
                    ConnectionEntry {
                        id,
                        local,
                        peer,
                        state,
                        recv_queue: connection.map_or(0, |it| it.recv_queue()),
                        send_queue: connection.map_or(0, |it| it.send_queue()),
                    }
                })
                .collect()
        })
    }

    /// What was counted since the stack was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared()
            .look("counters", |inner| inner.stack.counters().clone())
    }

    /// Gives the host another address. Its prefix is on the link.
    pub fn add_address(&self, address: Cidr) {
        self.shared()
            .act("add address", |inner, _| inner.stack.add_address(address));
    }

    /// Adds a route, or replaces the one for the same prefix.
    pub fn add_route(&self, prefix: Cidr, target: RouteTarget) {
        self.shared().act("add route", |inner, _| {
            inner.stack.add_route(prefix, target)
        });
    }

    /// The MTU of the device has changed. Units: bytes of IP packet.
    pub fn set_mtu(&self, mtu: usize) {
        self.shared()
            .act("set the MTU", |inner, _| inner.stack.set_mtu(mtu));
    }

    /// Waits until no connection has anything left to do: each is closed or in TIME-WAIT. Cancel safe.
    ///
    /// A program that ends right after dropping its streams awaits this first, or what they still had to
    /// deliver is lost; the kernel's connections outlive their program, these do not.
    pub async fn idle(&self) {
        let wait = self
            .shared()
            .wait("wait for idle", Place::Idle, Interest::ALL, |inner, _| {
                if inner.is_idle() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            });
        // If the device is gone, there is nothing left to do either.
        let _ = wait.await;
    }

    /// Waits until everything that the device held at the time of this call has been received, so that
    /// it is with the connections and sockets that it is for. Frames that the device delays are waited
    /// for as well. Cancel safe.
    ///
    /// Who ends when the other side of the device has ended awaits this first: what it sent at the last
    /// moment may still be in the device.
    pub async fn caught_up(&self) {
        let question = self.shared().act("ask the driver", |inner, _| {
            inner.wake_driver();
            inner.catch_up.ask()
        });
        let wait = self.shared().wait(
            "wait for the driver",
            Place::CatchUp,
            Interest::ALL,
            |inner, _| {
                if inner.catch_up.is_answered(question) {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            },
        );
        // A device that is gone holds nothing.
        let _ = wait.await;
    }

    /// Why the stack does not work any more, once it does not.
    ///
    /// # Errors
    /// `NetworkDown` when the device has failed or the runtime stopped the driver.
    pub fn check(&self) -> io::Result<()> {
        match self.shared().look("check", |inner| inner.gone) {
            Some(kind) => Err(error::device_gone(kind)),
            None => Ok(()),
        }
    }
}

/// One line of [`Stack::connections`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEntry {
    /// The stack's name for it; none for a TIME-WAIT that no application holds.
    pub id: Option<ConnId>,
    /// Our socket.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// The state.
    pub state: State,
    /// Bytes received that the application has not read.
    pub recv_queue: usize,
    /// Bytes sent or to be sent that the peer has not acknowledged.
    pub send_queue: usize,
}
