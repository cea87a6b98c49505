//! The handle of a running stack.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use transom_stack::tcp::State;
use transom_stack::wire::Cidr;
use transom_stack::{ConnId, Counters, RouteTarget};

use crate::builder::Builder;
use crate::echo::EchoRequests;
use crate::error;
use crate::inbox::Inbox;
use crate::shared::{Place, Shared};
use crate::tcp::IncomingStream;
use crate::udp::UdpFlows;
use crate::waiters::Interest;

/// A host of its own: addresses, routes and connections behind one device.
///
/// Made by [`Stack::builder`]. A `Stack` is a handle, cheap to clone; every socket holds one. When the
/// last is dropped, the stack delivers what its connections still have to send, closes them, and
/// gives the device back.
///
/// A host with several queues ([`Builder::devices`]) is several stacks inside, one for each; see there.
#[derive(Clone, Debug)]
pub struct Stack {
    handle: Arc<Handle>,
    /// Which of the stacks is meant by [`Stack::shared`]. A socket's is that of its connection; what has no
    /// connection lives in the first.
    shard: usize,
}

/// Its drop says that nobody uses the stack any more.
#[derive(Debug)]
struct Handle {
    first: Arc<Shared>,
    /// The stacks of a host with several queues, but the first.
    others: Vec<Arc<Shared>>,
    inboxes: Arc<[Inbox]>,
    /// Connections opened, so that each stack gets its turn.
    turns: AtomicUsize,
}

impl Handle {
    fn shards(&self) -> impl Iterator<Item = &Shared> {
        std::iter::once(&*self.first).chain(self.others.iter().map(|shared| &**shared))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        for shared in self.shards() {
            shared.act("abandon", |inner, _| {
                inner.abandoned = true;
                inner.wake_driver();
            });
        }
    }
}

impl Stack {
    /// Begins to describe a stack.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(first: Arc<Shared>, others: Vec<Arc<Shared>>, inboxes: Arc<[Inbox]>) -> Self {
        Self {
            handle: Arc::new(Handle {
                first,
                others,
                inboxes,
                turns: AtomicUsize::new(0),
            }),
            shard: 0,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.shard(self.shard)
    }

    /// One of the stacks; the first for a number that none has.
    pub(crate) fn shard(&self, number: usize) -> &Shared {
        let other = number
            .checked_sub(1)
            .and_then(|at| self.handle.others.get(at));
        other.unwrap_or(&self.handle.first)
    }

    /// A handle that means the stack of this number.
    pub(crate) fn of_shard(&self, number: usize) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            shard: number,
        }
    }

    /// Whose turn it is.
    pub(crate) fn next_shard(&self) -> usize {
        match self.shards() {
            1 => 0,
            count => self.handle.turns.fetch_add(1, Ordering::Relaxed) % count,
        }
    }

    /// Of how many stacks the host is made: the number of devices it was built with.
    #[must_use]
    pub fn shards(&self) -> usize {
        1 + self.handle.others.len()
    }

    /// Frames that came in on one queue of several and belonged to another, so far.
    #[must_use]
    pub fn handed_over(&self) -> HandedOver {
        let mut sum = HandedOver::default();
        for inbox in &*self.handle.inboxes {
            let (frames, lost) = inbox.counts();
            sum.frames += frames;
            sum.lost += lost;
        }
        sum
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
        let list = |(shard, shared): (usize, &Shared)| {
            shared.look("list connections", |inner| list(shard, &inner.stack))
        };
        self.handle.shards().enumerate().flat_map(list).collect()
    }

    /// What was counted since the stack was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let of = |shared: &Shared| shared.look("counters", |inner| inner.stack.counters().clone());
        let mut sum = of(&self.handle.first);
        for shared in &self.handle.others {
            sum.add(&of(shared));
        }
        sum
    }

    /// Gives the host another address. Its prefix is on the link.
    pub fn add_address(&self, address: Cidr) {
        for shared in self.handle.shards() {
            shared.act("add address", |inner, _| inner.stack.add_address(address));
        }
    }

    /// Adds a route, or replaces the one for the same prefix.
    pub fn add_route(&self, prefix: Cidr, target: RouteTarget) {
        for shared in self.handle.shards() {
            shared.act("add route", |inner, _| {
                inner.stack.add_route(prefix, target)
            });
        }
    }

    /// The MTU of the device has changed. Units: bytes of IP packet.
    pub fn set_mtu(&self, mtu: usize) {
        for shared in self.handle.shards() {
            shared.act("set the MTU", |inner, _| inner.stack.set_mtu(mtu));
        }
    }

    /// Waits until no connection has anything left to do: each is closed or in TIME-WAIT. Cancel safe.
    ///
    /// A program that ends right after dropping its streams awaits this first, or what they still had to
    /// deliver is lost; the kernel's connections outlive their program, these do not.
    pub async fn idle(&self) {
        for shared in self.handle.shards() {
            let wait = shared.wait("wait for idle", Place::Idle, Interest::ALL, |inner, _| {
                if inner.is_idle() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            });
            // If the device is gone, there is nothing left to do either.
            let _ = wait.await;
        }
    }

    /// Waits until everything that the device held at the time of this call has been received, so that
    /// it is with the connections and sockets that it is for. Frames that the device delays are waited
    /// for as well. Cancel safe.
    ///
    /// Who ends when the other side of the device has ended awaits this first: what it sent at the last
    /// moment may still be in the device.
    pub async fn caught_up(&self) {
        // What one of several has received may be another's, who gets it before the second question.
        let times = if self.shards() > 1 { 2 } else { 1 };
        for _ in 0..times {
            for shared in self.handle.shards() {
                caught_up(shared).await;
            }
        }
    }

    /// Why the stack does not work any more, once it does not.
    ///
    /// # Errors
    /// `NetworkDown` when the device has failed or the runtime stopped the driver.
    pub fn check(&self) -> io::Result<()> {
        let gone = |shared: &Shared| shared.look("check", |inner| inner.gone);
        match self.handle.shards().find_map(gone) {
            Some(kind) => Err(error::device_gone(kind)),
            None => Ok(()),
        }
    }
}

async fn caught_up(shared: &Shared) {
    let question = shared.act("ask the driver", |inner, _| {
        inner.wake_driver();
        inner.catch_up.ask()
    });
    let wait = shared.wait(
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

fn list(shard: usize, stack: &transom_stack::Stack) -> Vec<ConnectionEntry> {
    let entry = |(id, local, peer, state): (Option<ConnId>, _, _, _)| {
        let connection = id.and_then(|id| stack.tcp_connection(id));
        let connection = connection.as_deref();
        ConnectionEntry {
            id,
            shard,
            local,
            peer,
            state,
            recv_queue: connection.map_or(0, |it| it.recv_queue()),
            send_queue: connection.map_or(0, |it| it.send_queue()),
        }
    };
    stack.connections().map(entry).collect()
}

/// What [`Stack::handed_over`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandedOver {
    /// Frames that were handed over.
    pub frames: u64,
    /// Frames that were lost instead, because too many waited already.
    pub lost: u64,
}

/// One line of [`Stack::connections`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEntry {
    /// That stack's name for it; none for a TIME-WAIT that no application holds.
    pub id: Option<ConnId>,
    /// Which of the host's stacks has it; 0 where there is one only.
    pub shard: usize,
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
