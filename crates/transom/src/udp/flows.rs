//! Datagrams to any address and port.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
pub use transom_stack::Datagram;
use transom_stack::{DatagramOptions, UdpId, UdpOn, Unreachable};

use super::socket::{bind, unbind};
use crate::error;
use crate::shared::{Inner, Place};
use crate::stack::Stack;
use crate::wait::WaitFor;
use crate::waiters::{Interest, WaitKey};

/// Datagrams to every address and port for which there is no socket of its own; see
/// [`Stack::udp_flows`].
///
/// It knows datagrams, not flows: which of them belong together, and for how long, is the
/// application's to decide.
#[derive(Debug)]
pub struct UdpFlows {
    stack: Stack,
    id: UdpId,
}

impl UdpFlows {
    pub(crate) fn new(stack: &Stack) -> io::Result<Self> {
        bind(stack, UdpOn::Everything).map(|(id, _)| Self {
            stack: stack.clone(),
            id,
        })
    }

    /// Waits for a datagram. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn recv(&self) -> io::Result<Datagram> {
        self.stack
            .shared()
            .wait(
                "receive a datagram",
                Place::Udp(self.id),
                Interest::READ,
                |inner, _| self.take(inner),
            )
            .await
    }

    /// As [`recv`](Self::recv); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        let wait = WaitFor {
            place: Place::Udp(self.id),
            interest: Interest::READ,
            key: WaitKey::READ,
        };
        self.stack
            .shared()
            .poll_act(cx, "receive a datagram", wait, |inner, _| self.take(inner))
    }

    fn take(&self, inner: &mut Inner) -> Poll<io::Result<Datagram>> {
        match inner.stack.udp_recv(self.id) {
            Some(datagram) => Poll::Ready(Ok(datagram)),
            None => Poll::Pending,
        }
    }

    /// Sends a datagram from any local address and port: the answer to one that came to `local` is sent
    /// from there.
    ///
    /// # Errors
    /// `WouldBlock` when the device is full, `InvalidInput` when it is too large, `AddrNotAvailable`
    /// when the stack may not send from `local`, `NetworkUnreachable` without a route.
    pub fn send(
        &self,
        local: SocketAddr,
        peer: SocketAddr,
        payload: impl Into<Bytes>,
    ) -> io::Result<()> {
        let options = DatagramOptions::from(local);
        self.stack.shared().act("send a datagram", |inner, now| {
            inner
                .stack
                .udp_send(now, self.id, peer, payload.into(), options)
                .map_err(error::from_datagram_error)
        })
    }

    /// Answers a datagram with an ICMP error: the sender sees "connection refused" or the like.
    pub fn unreachable(&self, datagram: &Datagram, code: Unreachable) {
        self.stack.shared().act("unreachable", |inner, now| {
            inner.stack.udp_unreachable(now, datagram, code);
        });
    }
}

impl Drop for UdpFlows {
    fn drop(&mut self) {
        unbind(&self.stack, self.id);
    }
}
