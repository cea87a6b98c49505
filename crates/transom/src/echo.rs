//! Answering pings.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::task::Poll;

use bytes::Bytes;
use transom_stack::EchoRequest as Request;

use crate::Unreachable;
use crate::error;
use crate::shared::Place;
use crate::stack::Stack;
use crate::waiters::{Interest, Waiters};

/// Requests that wait for the application; more are dropped, as a host that is pinged too fast does.
const MOST_WAITING: usize = 256;

/// Requests on their way to the application.
#[derive(Debug)]
pub(crate) struct EchoQueue {
    waiting: VecDeque<Request>,
    pub(crate) waiters: Waiters,
}

impl EchoQueue {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiters: Waiters::new(),
        }
    }

    pub(crate) fn push(&mut self, request: Request) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(request);
        }
    }
}

/// The pings that reach the stack; see [`Stack::echo_requests`].
///
/// When several tasks use it (it can be cloned), each request goes to one of them.
#[derive(Clone, Debug)]
pub struct EchoRequests {
    stack: Stack,
}

impl EchoRequests {
    pub(crate) const fn new(stack: Stack) -> Self {
        Self { stack }
    }

    /// The next request. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn recv(&self) -> io::Result<EchoRequest> {
        let request = self
            .stack
            .shared()
            .wait(
                "echo request",
                Place::Echo,
                Interest::READ,
                |inner, _| match inner.echo.waiting.pop_front() {
                    Some(request) => Poll::Ready(Ok(request)),
                    None => Poll::Pending,
                },
            )
            .await?;
        Ok(EchoRequest {
            stack: self.stack.clone(),
            request,
        })
    }
}

/// Somebody pings. Dropped, it stays unanswered.
#[derive(Debug)]
pub struct EchoRequest {
    stack: Stack,
    request: Request,
}

impl EchoRequest {
    /// The address that is pinged.
    #[must_use]
    pub const fn local_addr(&self) -> IpAddr {
        self.request.local
    }

    /// Who pings.
    #[must_use]
    pub const fn peer_addr(&self) -> IpAddr {
        self.request.peer
    }

    /// The identifier, by which a host tells its ping programs apart.
    #[must_use]
    pub const fn ident(&self) -> u16 {
        self.request.ident
    }

    /// The sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        self.request.sequence
    }

    /// The data that a reply has to bring back.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.request.payload
    }

    /// Sends the reply.
    ///
    /// # Errors
    /// `WouldBlock` when the device is full, `NetworkUnreachable` when no route leads back.
    pub fn reply(self) -> io::Result<()> {
        self.stack
            .shared()
            .act("echo reply", |inner, now| {
                inner.stack.echo_reply(now, &self.request)
            })
            .map_err(error::from_datagram_error)
    }

    /// Sends an ICMP error instead.
    pub fn unreachable(self, code: Unreachable) {
        self.stack.shared().act("echo unreachable", |inner, now| {
            inner.stack.echo_unreachable(now, &self.request, code);
        });
    }
}
