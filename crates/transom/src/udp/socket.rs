//! A UDP socket.

use std::io;
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::ReadBuf;
use transom_stack::{DatagramOptions, UdpId, UdpOn};

use crate::address::ToSocketAddr;
use crate::error;
use crate::shared::{Inner, Place};
use crate::stack::Stack;
use crate::wait::WaitFor;
use crate::waiters::{Interest, WaitKey, Waiters};

/// A UDP socket, as `tokio::net::UdpSocket` is one of the kernel's.
///
/// Sending never waits for the network: a datagram goes out at once, or, while the device is full, is
/// refused with `WouldBlock` by `try_send` and dropped by `send`, as UDP may drop it anywhere.
#[derive(Debug)]
pub struct UdpSocket {
    stack: Stack,
    id: UdpId,
    local: SocketAddr,
    /// The only peer, once connected.
    peer: RwLock<Option<SocketAddr>>,
}

/// Data and where it came from.
type Received = (Bytes, SocketAddr);

impl UdpSocket {
    /// Binds a socket. The unspecified address means every address of its family; port 0 lets the
    /// stack choose.
    ///
    /// # Errors
    /// `AddrInUse`, or `AddrNotAvailable` when the address is not one of the stack's.
    pub async fn bind(stack: &Stack, addr: impl ToSocketAddr) -> io::Result<Self> {
        let address = addr.to_socket_addr()?;
        bind(stack, UdpOn::Address(address)).map(|(id, local)| Self {
            stack: stack.clone(),
            id,
            local: local.unwrap_or(address),
            peer: RwLock::new(None),
        })
    }

    /// The address and port.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The peer that it is connected to.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the socket has no peer"))
    }

    fn peer(&self) -> Option<SocketAddr> {
        *self.peer.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the only peer: `send` goes there, and what comes from others is dropped.
    ///
    /// # Errors
    /// `InvalidInput` for an address of the other family.
    pub async fn connect(&self, addr: impl ToSocketAddr) -> io::Result<()> {
        let peer = addr.to_socket_addr()?;
        if peer.is_ipv4() != self.local.is_ipv4() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the peer's address is of the other family",
            ));
        }
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = Some(peer);
        Ok(())
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    /// `NotConnected`, or as [`send_to`](Self::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_to(buf, self.peer_addr()?).await
    }

    /// As [`send`](Self::send), or gives `WouldBlock` when the device is full.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `WouldBlock`.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send_to(buf, self.peer_addr()?)
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// `InvalidInput` when it is too large, `NetworkUnreachable` without a route, or what the network
    /// said about an earlier datagram.
    pub async fn send_to(&self, buf: &[u8], target: impl ToSocketAddr) -> io::Result<usize> {
        match self.try_send_to(buf, target.to_socket_addr()?) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(buf.len()),
            other => other,
        }
    }

    /// As [`send_to`](Self::send_to), or gives `WouldBlock` when the device is full.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `WouldBlock`.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.stack.shared().act("send a datagram", |inner, now| {
            self.check(inner)?;
            inner
                .stack
                .udp_send(
                    now,
                    self.id,
                    target,
                    Bytes::copy_from_slice(buf),
                    DatagramOptions::default(),
                )
                .map_err(error::from_datagram_error)
                .map(|()| buf.len())
        })
    }

    /// Waits for a datagram from the connected peer. What does not fit `buf` is lost. Cancel safe.
    ///
    /// # Errors
    /// What the network said about an earlier datagram: `ConnectionRefused` when nobody listens.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).await.map(|(count, _)| count)
    }

    /// As [`recv`](Self::recv), or gives `WouldBlock`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `WouldBlock`.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_recv_from(buf).map(|(count, _)| count)
    }

    /// Waits for a datagram. What does not fit `buf` is lost. Cancel safe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (data, peer) = self.recv_bytes().await?;
        Ok((copy(&data, buf), peer))
    }

    /// As [`recv_from`](Self::recv_from), or gives `WouldBlock`.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self
            .stack
            .shared()
            .act("try to receive a datagram", |inner, _| {
                match (self.take(inner), inner.gone) {
                    (Poll::Ready(result), _) => result,
                    (Poll::Pending, Some(kind)) => Err(error::device_gone(kind)),
                    (Poll::Pending, None) => Err(error::would_block()),
                }
            });
        received.map(|(data, peer)| (copy(&data, buf), peer))
    }

    /// As [`recv_from`](Self::recv_from); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let wait = WaitFor {
            place: Place::Udp(self.id),
            interest: Interest::READ,
            key: WaitKey::READ,
        };
        self.stack
            .shared()
            .poll_act(cx, "receive a datagram", wait, |inner, _| self.take(inner))
            .map_ok(|(data, peer)| {
                let count = data.len().min(buf.remaining());
                buf.put_slice(data.get(..count).unwrap_or_default());
                peer
            })
    }

    /// Waits for a datagram and gives it whole and without a copy. Cancel safe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_bytes(&self) -> io::Result<(Bytes, SocketAddr)> {
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

    /// Copies the next datagram and leaves it to be received. Cancel safe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.stack
            .shared()
            .wait(
                "peek at a datagram",
                Place::Udp(self.id),
                Interest::READ,
                |inner, _| {
                    let found = self.next(inner)?;
                    found.map(|(data, peer)| Ok((copy(&data, buf), peer)))
                },
            )
            .await
    }

    /// Waits until there is a datagram, or an error, to receive. Cancel safe.
    ///
    /// # Errors
    /// What the network said about an earlier datagram.
    pub async fn readable(&self) -> io::Result<()> {
        self.stack
            .shared()
            .wait(
                "readable",
                Place::Udp(self.id),
                Interest::READ,
                |inner, _| self.next(inner)?.map(|_| Ok(())),
            )
            .await
    }

    /// Ready at once: sending never waits.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.stack.check()
    }

    /// The next datagram, left in its place. Those of others than the connected peer are dropped.
    fn next(&self, inner: &mut Inner) -> io::Result<Poll<Received>> {
        self.check(inner)?;
        let peer = self.peer();
        loop {
            let Some(datagram) = inner.stack.udp_peek(self.id) else {
                return Ok(Poll::Pending);
            };
            if peer.is_none_or(|peer| peer == datagram.peer) {
                return Ok(Poll::Ready((datagram.payload.clone(), datagram.peer)));
            }
            inner.stack.udp_recv(self.id);
        }
    }

    fn take(&self, inner: &mut Inner) -> Poll<io::Result<Received>> {
        let found = self.next(inner)?;
        if found.is_ready() {
            inner.stack.udp_recv(self.id);
        }
        found.map(Ok)
    }

    /// What the network said about an earlier datagram, once. Only a connected socket is told, as in
    /// the kernel: on another one nobody could tell which peer is meant.
    fn check(&self, inner: &mut Inner) -> io::Result<()> {
        let Some(peer) = self.peer() else {
            while inner.stack.udp_take_error(self.id).is_some() {}
            return Ok(());
        };
        while let Some(error) = inner.stack.udp_take_error(self.id) {
            if error.peer == peer {
                return Err(error::from_path_error(error.error));
            }
        }
        Ok(())
    }
}

fn copy(data: &Bytes, buf: &mut [u8]) -> usize {
    let count = data.len().min(buf.len());
    if let (Some(to), Some(from)) = (buf.get_mut(..count), data.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}

/// Makes a socket of the stack, with a place for those who wait for it.
pub(super) fn bind(stack: &Stack, on: UdpOn) -> io::Result<(UdpId, Option<SocketAddr>)> {
    stack.shared().act("bind", |inner, _| {
        if let Some(kind) = inner.gone {
            return Err(error::device_gone(kind));
        }
        let id = inner.stack.udp_bind(on).map_err(error::from_bind_error)?;
        inner
            .udp
            .insert((id.index(), id.generation()), Waiters::new());
        let local = match inner.stack.udp_local(id) {
            Some(UdpOn::Address(address)) => Some(address),
            _ => None,
        };
        Ok((id, local))
    })
}

/// Takes a socket away.
pub(super) fn unbind(stack: &Stack, id: UdpId) {
    stack.shared().act("close a UDP socket", |inner, _| {
        inner.udp.remove((id.index(), id.generation()));
        inner.stack.udp_close(id);
    });
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        unbind(&self.stack, self.id);
    }
}
