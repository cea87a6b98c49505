//! Deciding about connections before they are made.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use transom_stack::{IncomingId, ListenOn, ListenOptions, ListenerId, SynInfo, Unreachable, tcp};

use super::TcpStream;
use super::listener::{listen, poll_each, unlisten};
use crate::error;
use crate::shared::{Inner, Place};
use crate::stack::Stack;
use crate::wait::first_of;
use crate::waiters::{Interest, Waiters};

/// Connection attempts, each with its SYN-ACK withheld; see [`Stack::incoming`].
///
/// Dropping it forgets the attempts that are not decided, also those that were taken from it; what comes
/// afterwards the stack refuses.
#[derive(Debug)]
pub struct IncomingStream {
    stack: Stack,
    /// One in each of the host's stacks.
    ids: Vec<ListenerId>,
}

impl IncomingStream {
    pub(crate) fn new(stack: &Stack) -> io::Result<Self> {
        Self::with(stack, ListenOptions::new(ListenOn::Everything))
    }

    /// Connection attempts to one address or port only, or with choices of their own.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there.
    pub fn with(stack: &Stack, options: ListenOptions) -> io::Result<Self> {
        let (ids, _) = listen(stack, options.manual(true))?;
        Ok(Self {
            stack: stack.clone(),
            ids,
        })
    }

    /// Waits for the next attempt; none comes any more when the device is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        let waits = self.ids.iter().enumerate().map(|(shard, &id)| {
            let place = Place::Listener(id);
            let stack = &self.stack;
            let take = move |inner: &mut Inner, _| take(stack, inner, shard, id);
            let shared = stack.shard(shard);
            shared.wait("incoming", place, Interest::READ, take)
        });
        first_of(waits, self.stack.next_shard()).await.ok()
    }

    /// As [`next`](Self::next), for implementations of `Stream`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let stack = &self.stack;
        poll_each(cx, stack, "incoming", &self.ids, |inner, shard, id| {
            take(stack, inner, shard, id)
        })
        .map(Result::ok)
    }
}

fn take(
    stack: &Stack,
    inner: &mut Inner,
    shard: usize,
    id: ListenerId,
) -> Poll<io::Result<Incoming>> {
    let Some(incoming) = inner.stack.tcp_incoming(id) else {
        return Poll::Pending;
    };
    let id = incoming.id;
    inner
        .incomings
        .insert((id.index(), id.generation()), Waiters::new());
    Poll::Ready(Ok(Incoming {
        stack: stack.of_shard(shard),
        id: Some(id),
        local: incoming.local,
        peer: incoming.peer,
        syn: incoming.syn,
    }))
}

impl Drop for IncomingStream {
    fn drop(&mut self) {
        unlisten(&self.stack, &self.ids);
    }
}

/// A connection attempt: a SYN that has not been answered.
///
/// The peer goes on waiting, and sends its SYN again, until it is [accepted](Self::accept),
/// [refused](Self::refuse), told that the host is [unreachable](Self::unreachable), or gives up.
///
/// Dropping it refuses it: a handler that fails leaves no peer in the dark. To leave it in the
/// dark on purpose, [`ignore`](Self::ignore) it.
#[derive(Debug)]
pub struct Incoming {
    stack: Stack,
    /// Taken once it is decided.
    id: Option<IncomingId>,
    local: SocketAddr,
    peer: SocketAddr,
    syn: SynInfo,
}

impl Incoming {
    /// The address and port that the peer wants to reach.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Who wants to connect.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// What the SYN offers.
    #[must_use]
    pub const fn syn(&self) -> &SynInfo {
        &self.syn
    }

    /// Sends the SYN-ACK and waits for the end of the handshake.
    ///
    /// Cancelled, it resets the connection.
    ///
    /// # Errors
    /// `ConnectionAborted` when the peer has given up before; `ConnectionReset` or `TimedOut` when the
    /// handshake fails.
    pub async fn accept(self) -> io::Result<TcpStream> {
        self.accept_inner(None).await
    }

    /// As [`accept`](Self::accept), with choices for this connection.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn accept_with(self, config: tcp::Config) -> io::Result<TcpStream> {
        self.accept_inner(Some(config)).await
    }

    async fn accept_inner(mut self, config: Option<tcp::Config>) -> io::Result<TcpStream> {
        let stack = self.stack.clone();
        let Some(id) = self.id.take() else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        let stream = stack.shared().act("accept an incoming", |inner, now| {
            inner.incomings.remove((id.index(), id.generation()));
            let id = inner
                .stack
                .incoming_accept(now, id, config)
                .map_err(error::from_incoming_error)?;
            Ok::<_, io::Error>(TcpStream::adopt(&stack, inner, id))
        })?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Answers with a reset: the peer sees "connection refused".
    pub fn refuse(mut self) {
        self.refuse_now();
    }

    /// Answers with an ICMP error: the peer sees "no route to host" or the like.
    pub fn unreachable(mut self, code: Unreachable) {
        self.decide("unreachable", |inner, now, id| {
            inner.stack.incoming_unreachable(now, id, code);
        });
    }

    /// Forgets the attempt without an answer. When the peer sends its SYN again, that is a new attempt; one
    /// that is always ignored ends in a timeout.
    pub fn ignore(mut self) {
        self.decide("ignore", |inner, _, id| {
            inner.stack.incoming_ignore(id);
        });
    }

    /// Waits until the peer has given up, so that the work for it can be stopped. Cancel safe.
    pub async fn gone(&self) {
        let Some(id) = self.id else { return };
        let wait = self.stack.shared().wait(
            "wait until an incoming is gone",
            Place::Incoming(id),
            Interest::CLOSED,
            |inner, _| {
                let handle = (id.index(), id.generation());
                if inner.incomings.get_mut(handle).is_some() {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                }
            },
        );
        // With the device gone, so is the peer.
        let _ = wait.await;
    }

    fn refuse_now(&mut self) {
        self.decide("refuse", |inner, now, id| {
            inner.stack.incoming_refuse(now, id);
        });
    }

    fn decide(
        &mut self,
        purpose: &'static str,
        decide: impl FnOnce(&mut Inner, tcp::Instant, IncomingId),
    ) {
        if let Some(id) = self.id.take() {
            self.stack.shared().act(purpose, |inner, now| {
                inner.incomings.remove((id.index(), id.generation()));
                decide(inner, now, id);
            });
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.refuse_now();
    }
}
