//! Accepting connections on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use transom_stack::{FastOpenListen, ListenError, ListenOn, ListenOptions, ListenerId};

use super::TcpStream;
use crate::address::ToSocketAddr;
use crate::error;
use crate::shared::{Inner, Place, Shared};
use crate::stack::Stack;
use crate::wait::{WaitFor, first_of};
use crate::waiters::{Interest, WaitKey, Waiters};

/// A listening socket, as `tokio::net::TcpListener` is one of the kernel's.
///
/// Dropping it resets the connections that wait to be accepted.
#[derive(Debug)]
pub struct TcpListener {
    stack: Stack,
    /// One in each of the host's stacks.
    ids: Vec<ListenerId>,
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
        let (ids, bound) = listen(stack, options)?;
        let local = match bound {
            ListenOn::Address(address) => address,
            _ => local,
        };
        Ok(Self {
            stack: stack.clone(),
            ids,
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
        for (shard, &id) in self.ids.iter().enumerate() {
            self.stack.shard(shard).act("set fast open", |inner, _| {
                inner.stack.tcp_set_fast_open(id, fast_open);
            });
        }
    }

    /// Waits for a connection whose handshake is complete, or that a SYN with data has opened. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let waits = self.ids.iter().enumerate().map(|(shard, &id)| {
            let place = Place::Listener(id);
            let take = move |inner: &mut Inner, _| self.take(inner, shard, id);
            let shared = self.stack.shard(shard);
            shared.wait("accept", place, Interest::READ, take)
        });
        let stream = first_of(waits, self.stack.next_shard()).await?;
        let peer = stream.peer_addr()?;
        Ok((stream, peer))
    }

    /// As [`accept`](Self::accept); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = poll_each(cx, &self.stack, "accept", &self.ids, |inner, shard, id| {
            self.take(inner, shard, id)
        });
        accepted.map_ok(|stream| {
            let peer = stream.peer;
            (stream, peer)
        })
    }

    fn take(&self, inner: &mut Inner, shard: usize, id: ListenerId) -> Poll<io::Result<TcpStream>> {
        match inner.stack.tcp_accept(id) {
            Some(id) => {
                let stack = self.stack.of_shard(shard);
                Poll::Ready(Ok(TcpStream::adopt(&stack, inner, id)))
            }
            None => Poll::Pending,
        }
    }
}

/// Asks the listener in each of the host's stacks, and notes in each that the task waits.
pub(super) fn poll_each<R>(
    cx: &Context<'_>,
    stack: &Stack,
    purpose: &'static str,
    ids: &[ListenerId],
    mut take: impl FnMut(&mut Inner, usize, ListenerId) -> Poll<io::Result<R>>,
) -> Poll<io::Result<R>> {
    let start = stack.next_shard();
    for turn in 0..ids.len() {
        let shard = (start + turn) % ids.len();
        let Some(&id) = ids.get(shard) else { continue };
        let wait = WaitFor {
            place: Place::Listener(id),
            interest: Interest::READ,
            key: WaitKey::READ,
        };
        let act = |inner: &mut Inner, _| take(inner, shard, id);
        let result = stack.shard(shard).poll_act(cx, purpose, wait, act);
        if result.is_ready() {
            return result;
        }
    }
    Poll::Pending
}

/// Makes a listener in each of the host's stacks, with a place for those who wait for it; also tells what it is bound to.
///
/// The first stack decides who gets an address: what is free there is free in the others too, because they are asked
/// after it and given up before it.
pub(super) fn listen(
    stack: &Stack,
    mut options: ListenOptions,
) -> io::Result<(Vec<ListenerId>, ListenOn)> {
    // The queues together are as long as was asked for.
    options.backlog = options.backlog.div_ceil(stack.shards());
    let mut ids = Vec::with_capacity(stack.shards());
    for shard in 0..stack.shards() {
        match listen_in(stack.shard(shard), options.clone()) {
            Ok((id, bound)) => {
                options.on = bound;
                ids.push(id);
            }
            Err(error) => {
                unlisten(stack, &ids);
                return Err(error);
            }
        }
    }
    Ok((ids, options.on))
}

fn listen_in(shared: &Shared, options: ListenOptions) -> io::Result<(ListenerId, ListenOn)> {
    shared.act("listen", |inner, _| {
        if let Some(kind) = inner.gone {
            return Err(error::device_gone(kind));
        }
        let on = options.on;
        let id = match on {
            ListenOn::Address(address) if address.port() == 0 => {
                listen_somewhere(inner, address.ip(), options)
            }
            _ => inner.stack.tcp_listen(options),
        }
        .map_err(error::from_listen_error)?;
        inner
            .listeners
            .insert((id.index(), id.generation()), Waiters::new());
        let bound = inner
            .stack
            .listeners()
            .find(|(listener, _)| *listener == id);
        Ok((id, bound.map_or(on, |(_, on)| on)))
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

/// Takes a listener away, from the first stack last.
pub(super) fn unlisten(stack: &Stack, ids: &[ListenerId]) {
    for (shard, &id) in ids.iter().enumerate().rev() {
        stack.shard(shard).act("stop listening", |inner, now| {
            inner.listeners.remove((id.index(), id.generation()));
            inner.stack.tcp_close_listener(now, id);
        });
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        unlisten(&self.stack, &self.ids);
    }
}
