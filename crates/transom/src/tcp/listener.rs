//! Accepting connections on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use transom_stack::{FastOpenListen, ListenError, ListenOn, ListenOptions, ListenerId};

use super::TcpStream;
use crate::address::ToSocketAddr;
use crate::error;
use crate::shared::{Inner, Place};
use crate::stack::Stack;
use crate::wait::WaitFor;
use crate::waiters::{Interest, WaitKey, Waiters};

/// A listening socket, as `tokio::net::TcpListener` is one of the kernel's.
///
/// Dropping it resets the connections that wait to be accepted.
#[derive(Debug)]
pub struct TcpListener {
    stack: Stack,
    id: ListenerId,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens on an address and port. The unspecified address means every address of its family;
    /// port 0 lets the stack choose.
    ///
    /// # Errors
    /// `AddrInUse`, or `AddrNotAvailable` when the address is not one of the stack's.
    pub async fn bind(stack: &Stack, addr: impl ToSocketAddr) -> io::Result<Self> {
        Self::bind_with(
            stack,
            ListenOptions::new(ListenOn::Address(addr.to_socket_addr()?)),
        )
    }

    /// Listens with options: a backlog, choices for the connections, a port of every address.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and `InvalidInput` for what is to be had from [`Stack::incoming`]:
    /// every port, or a withheld SYN-ACK.
    pub fn bind_with(stack: &Stack, options: ListenOptions) -> io::Result<Self> {
        let local = match options.on {
            ListenOn::Address(address) => address,
            ListenOn::AnyAddress(port) => SocketAddr::from(([0; 16], port)),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        if options.manual {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let id = listen(stack, options)?;
        let bound = stack.shared().look("bound to", |inner| {
            inner
                .stack
                .listeners()
                .find(|(listener, _)| *listener == id)
        });
        let local = match bound {
            Some((_, ListenOn::Address(address))) => address,
            _ => local,
        };
        Ok(Self {
            stack: stack.clone(),
            id,
            local,
        })
    }

    /// The address and port.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Takes data of SYNs before the handshake is complete (TCP Fast Open, RFC 7413), or no longer.
    /// [`ListenOptions::fast_open`] does so from the beginning.
    ///
    /// A client that has been given a cookie gets its answer a round trip earlier: [`accept`](Self::accept) gives its
    /// connection in SYN-RECEIVED, to be read and written as any other. **What it sends may come twice**, see
    /// [`FastOpenListen`].
    pub fn set_fastopen(&self, fast_open: Option<FastOpenListen>) {
        self.stack.shared().act("set fast open", |inner, _| {
            inner.stack.tcp_set_fast_open(self.id, fast_open);
        });
    }

    /// Waits for a connection whose handshake is complete, or that a SYN with data has opened. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = self
            .stack
            .shared()
            .wait(
                "accept",
                Place::Listener(self.id),
                Interest::READ,
                |inner, _| self.take(inner),
            )
            .await?;
        let peer = stream.peer_addr()?;
        Ok((stream, peer))
    }

    /// As [`accept`](Self::accept); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let wait = WaitFor {
            place: Place::Listener(self.id),
            interest: Interest::READ,
            key: WaitKey::READ,
        };
        self.stack
            .shared()
            .poll_act(cx, "accept", wait, |inner, _| self.take(inner))
            .map_ok(|stream| {
                let peer = stream.peer;
                (stream, peer)
            })
    }

    fn take(&self, inner: &mut Inner) -> Poll<io::Result<TcpStream>> {
        match inner.stack.tcp_accept(self.id) {
            Some(id) => Poll::Ready(Ok(TcpStream::adopt(&self.stack, inner, id))),
            None => Poll::Pending,
        }
    }
}

/// Makes a listener of the stack, with a place for those who wait for it.
pub(super) fn listen(stack: &Stack, options: ListenOptions) -> io::Result<ListenerId> {
    stack.shared().act("listen", |inner, _| {
        if let Some(kind) = inner.gone {
            return Err(error::device_gone(kind));
        }
        let id = match options.on {
            ListenOn::Address(address) if address.port() == 0 => {
                listen_somewhere(inner, address.ip(), options)
            }
            _ => inner.stack.tcp_listen(options),
        }
        .map_err(error::from_listen_error)?;
        inner
            .listeners
            .insert((id.index(), id.generation()), Waiters::new());
        Ok(id)
    })
}

/// Listens on a free port. Its number is no secret, so the first free one will do.
fn listen_somewhere(
    inner: &mut Inner,
    ip: IpAddr,
    mut options: ListenOptions,
) -> Result<ListenerId, ListenError> {
    for port in inner.ephemeral_ports.clone() {
        options.on = ListenOn::Address(SocketAddr::new(ip, port));
        match inner.stack.tcp_listen(options.clone()) {
            Err(ListenError::AddressInUse) => {}
            result => return result,
        }
    }
    Err(ListenError::AddressInUse)
}

/// Takes a listener away.
pub(super) fn unlisten(stack: &Stack, id: ListenerId) {
    stack.shared().act("stop listening", |inner, now| {
        inner.listeners.remove((id.index(), id.generation()));
        inner.stack.tcp_close_listener(now, id);
    });
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        unlisten(&self.stack, self.id);
    }
}
