//! What all sockets of one stack share, and the way in which they use it.
//!
//! # One lock, three steps
//!
//! Every call on a socket locks the stack, acts, and *settles*: it hands the stack's events to those
//! who wait for them, and gives the device what the stack owes to the network. So a write is on the
//! wire when it returns, without waiting for the driver to be scheduled.
//!
//! What is owed for little that came in may wait for an answer: [`crate::defer`].
//!
//! # Two locks, one order
//!
//! The device has a lock of its own, so that its system calls do not hold up the stack. The order:
//! who holds the stack may *try* to lock the device, never wait for it; who holds the device alone
//! may do as it likes. Frames leave the stack only while both are held, so they reach the device in
//! the order in which the stack made them. Who finds the device locked leaves a note
//! ([`Shared::missed`]), and its holder looks at the note after it has let go.
//!
//! # Why no wake-up is lost
//!
//! See [`crate::waiters`] for the tasks. For the driver: it sleeps until the device is readable or
//! [`Inner::armed`]; whoever makes the stack want an earlier deadline wakes it.

use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use transom_stack::tcp::{Event, Instant, State};
use transom_stack::wire::RxFrame;
use transom_stack::{ConnId, IncomingId, ListenerId, StackEvent, UdpId};

use crate::catch_up::CatchUp;
use crate::clock::Clock;
use crate::echo::EchoQueue;
use crate::error::device_gone;
use crate::lend::Lending;
use crate::mutex::{Mutex, MutexGuard};
use crate::port::Port;
use crate::table::Table;
use crate::wait::WaitFor;
use crate::waiters::{Interest, WaitKeys, Waiters, Woken};

/// Frames taken from the stack at a time.
const BATCH: usize = 32;
/// Batches that one call sends before it leaves the rest to the driver.
const ROUNDS: usize = 8;

/// A thing of the stack that tasks wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Connection(ConnId),
    Listener(ListenerId),
    Incoming(IncomingId),
    Udp(UdpId),
    Echo,
    /// The stack as a whole.
    Idle,
    /// What the device holds.
    CatchUp,
}

/// The stack and those who wait for it.
pub(crate) struct Inner {
    pub(crate) stack: transom_stack::Stack,
    /// Where a listener that names no port gets one.
    pub(crate) ephemeral_ports: RangeInclusive<u16>,
    pub(crate) connections: Table<Waiters>,
    pub(crate) listeners: Table<Waiters>,
    pub(crate) incomings: Table<Waiters>,
    pub(crate) udp: Table<Waiters>,
    pub(crate) echo: EchoQueue,
    idle: Waiters,
    pub(crate) catch_up: CatchUp,
    /// Connections at which somebody waits for the last acknowledgement.
    unacknowledged: Vec<ConnId>,
    /// Tasks to wake once the lock is released.
    pub(crate) woken: Vec<Waker>,
    pub(crate) driver: Option<Waker>,
    /// The driver is on its way to send what is owed; who only reads leaves it to the driver.
    pub(crate) deferring: bool,
    pub(crate) lending: Lending,
    /// The driver wakes by itself at this time.
    pub(crate) armed: Option<Instant>,
    /// Nobody holds a handle any more.
    pub(crate) abandoned: bool,
    /// The device, or the driver, is gone.
    pub(crate) gone: Option<ErrorKind>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("armed", &self.armed)
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn new(stack: transom_stack::Stack, ephemeral_ports: RangeInclusive<u16>) -> Self {
        Self {
            stack,
            ephemeral_ports,
            connections: Table::new(),
            listeners: Table::new(),
            incomings: Table::new(),
            udp: Table::new(),
            echo: EchoQueue::new(),
            idle: Waiters::new(),
            catch_up: CatchUp::new(),
            unacknowledged: Vec::new(),
            woken: Vec::new(),
            driver: None,
            deferring: false,
            lending: Lending::default(),
            armed: None,
            abandoned: false,
            gone: None,
        }
    }

    pub(crate) fn waiters(&mut self, place: Place) -> Option<&mut Waiters> {
        match place {
            Place::Connection(id) => self.connections.get_mut((id.index(), id.generation())),
            Place::Listener(id) => self.listeners.get_mut((id.index(), id.generation())),
            Place::Incoming(id) => self.incomings.get_mut((id.index(), id.generation())),
            Place::Udp(id) => self.udp.get_mut((id.index(), id.generation())),
            Place::Echo => Some(&mut self.echo.waiters),
            Place::Idle => Some(&mut self.idle),
            Place::CatchUp => Some(&mut self.catch_up.waiters),
        }
    }

    /// Schedules everybody at `place` who waits for `what`.
    fn wake(&mut self, place: Place, what: Interest) {
        let mut woken = std::mem::take(&mut self.woken);
        if let Some(waiters) = self.waiters(place) {
            waiters.take(what, &mut woken);
        }
        self.woken = woken;
    }

    /// Those who are to be woken, once the lock is released.
    pub(crate) fn take_woken(&mut self) -> Woken {
        Woken::take(&mut self.woken)
    }

    pub(crate) fn wake_driver(&mut self) {
        self.woken.extend(self.driver.clone());
    }

    /// Schedules those who waited for what has happened.
    pub(crate) fn dispatch_events(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                StackEvent::Tcp(id, event) => {
                    if let Some(what) = interest_in(event) {
                        self.wake(Place::Connection(id), what);
                    }
                }
                StackEvent::Acceptable(id) | StackEvent::Incoming(id) => {
                    self.wake(Place::Listener(id), Interest::READ);
                }
                StackEvent::IncomingGone(id) => {
                    self.wake(Place::Incoming(id), Interest::CLOSED);
                    self.incomings.remove((id.index(), id.generation()));
                }
                StackEvent::UdpReadable(id) => self.wake(Place::Udp(id), Interest::READ),
                StackEvent::UdpError(id) => self.wake(Place::Udp(id), Interest::ALL),
                StackEvent::EchoRequest(request) => {
                    self.echo.push(request);
                    self.wake(Place::Echo, Interest::READ);
                }
                _ => {}
            }
        }
        self.dispatch_acknowledged();
    }

    /// There is no event for "the peer has acknowledged everything", because next to nobody wants to
    /// know; the connections of those few are looked at each time.
    fn dispatch_acknowledged(&mut self) {
        let mut at = 0;
        while let Some(&id) = self.unacknowledged.get(at) {
            if self.has_unacknowledged(id) {
                at += 1;
            } else {
                self.unacknowledged.swap_remove(at);
                self.wake(Place::Connection(id), Interest::ACKNOWLEDGED);
            }
        }
    }

    /// Whether the peer still has something to acknowledge, and may yet do so.
    pub(crate) fn has_unacknowledged(&self, id: ConnId) -> bool {
        self.stack
            .tcp_connection(id)
            .is_some_and(|connection| connection.closed().is_none() && connection.send_queue() > 0)
    }

    /// Sees to it that those who wait for acknowledgement at a connection are woken.
    pub(crate) fn watch_acknowledged(&mut self, id: ConnId) {
        if !self.unacknowledged.contains(&id) {
            self.unacknowledged.push(id);
        }
    }

    /// The device or the driver is gone: everything that waits will not come.
    pub(crate) fn fail(&mut self, kind: ErrorKind) {
        self.gone.get_or_insert(kind);
        let everybody = self
            .connections
            .values_mut()
            .chain(self.listeners.values_mut())
            .chain(self.incomings.values_mut())
            .chain(self.udp.values_mut())
            .chain([
                &mut self.echo.waiters,
                &mut self.idle,
                &mut self.catch_up.waiters,
            ]);
        for waiters in everybody {
            waiters.take(Interest::ALL, &mut self.woken);
        }
        self.woken.extend(self.driver.clone());
    }

    /// The device was found empty after this question had been asked.
    pub(crate) fn caught_up(&mut self, question: u64) {
        self.catch_up.answer(question);
        self.wake(Place::CatchUp, Interest::ALL);
    }

    /// Whether no connection is left that still has something to do. TIME-WAIT has not.
    pub(crate) fn is_idle(&self) -> bool {
        self.stack.unfinished() == 0
    }

    pub(crate) const fn has_idle_waiters(&self) -> bool {
        !self.idle.is_empty()
    }

    pub(crate) fn take_idle_waiters(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        self.idle.take(Interest::ALL, &mut woken);
        woken
    }

    /// Wakes the driver if the stack wants to be called before the driver would.
    fn rearm(&mut self, now: Instant) {
        if self.deferring {
            // It is on its way, and sets its alarm.
            return;
        }
        let Some(deadline) = self.stack.poll_timeout(now) else {
            return;
        };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.armed = Some(deadline);
            self.wake_driver();
        }
    }
}

/// Who has to look again because of an event of a connection.
const fn interest_in(event: Event) -> Option<Interest> {
    match event {
        Event::Readable | Event::PeerFinished | Event::Urgent => Some(Interest::READ),
        Event::Writable => Some(Interest::WRITE),
        Event::Connected => Some(Interest::READ.or(Interest::WRITE)),
        Event::Closed(_) => Some(Interest::ALL),
        Event::State {
            to: State::TimeWait | State::Closed,
            ..
        } => Some(Interest::CLOSED),
        _ => None,
    }
}

/// The stack, the device and the clock.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    pub(crate) port: Mutex<Port>,
    pub(crate) clock: Clock,
    /// Somebody owes frames and found the device locked.
    missed: AtomicBool,
    /// Frames just received; empty between two holds. Who holds it receives, and handles what came before letting go, so
    /// that frames are handled in the order in which they came. It is locked before the stack and the device.
    pub(crate) intake: Mutex<Vec<RxFrame>>,
    /// Frames taken from the device at a time.
    pub(crate) batch: usize,
    pub(crate) keys: WaitKeys,
}

impl Shared {
    pub(crate) fn new(inner: Inner, port: Port, clock: Clock, batch: usize) -> Self {
        Self {
            inner: Mutex::new(inner),
            port: Mutex::new(port),
            intake: Mutex::new(Vec::with_capacity(batch)),
            batch,
            clock,
            missed: AtomicBool::new(false),
            keys: WaitKeys::new(),
        }
    }

    pub(crate) fn lock(&self, purpose: &'static str) -> MutexGuard<'_, Inner> {
        self.inner.lock(purpose)
    }

    /// Looks at the stack without changing it.
    pub(crate) fn look<R>(&self, purpose: &'static str, look: impl FnOnce(&mut Inner) -> R) -> R {
        look(&mut self.inner.lock(purpose))
    }

    /// Acts on the stack and settles.
    pub(crate) fn act<R>(
        &self,
        purpose: &'static str,
        act: impl FnOnce(&mut Inner, Instant) -> R,
    ) -> R {
        let now = self.clock.now();
        let mut inner = self.inner.lock(purpose);
        let result = act(&mut inner, now);
        self.settle(inner, now, Caller::Socket);
        result
    }

    /// Acts on the stack and settles; if it could not act yet, waits for `interest` at `place`.
    pub(crate) fn poll_act<R>(
        &self,
        cx: &Context<'_>,
        purpose: &'static str,
        wait: WaitFor,
        mut act: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let now = self.clock.now();
        let mut inner = self.inner.lock(purpose);
        let result = act(&mut inner, now);
        if result.is_pending() && wait.interest == Interest::READ && inner.lending.borrow() {
            return self.borrow_turn(cx, purpose, wait, inner, act);
        }
        self.conclude(cx, wait, inner, now, result)
    }

    /// Notes who could not act yet, and settles.
    pub(crate) fn conclude<R>(
        &self,
        cx: &Context<'_>,
        wait: WaitFor,
        mut inner: MutexGuard<'_, Inner>,
        now: Instant,
        mut result: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let caller = if wait.interest == Interest::READ {
            Caller::Reader
        } else {
            Caller::Socket
        };
        if result.is_pending() {
            match inner.gone {
                Some(kind) => result = Poll::Ready(Err(device_gone(kind))),
                None => {
                    if let Some(waiters) = inner.waiters(wait.place) {
                        waiters.insert(wait.key, wait.interest, cx.waker());
                    }
                    if caller == Caller::Reader {
                        inner.lending.note(cx.waker());
                    }
                }
            }
        }
        self.settle(inner, now, caller);
        result
    }

    /// Wakes those who waited for what has happened, and gives the device what is owed.
    pub(crate) fn settle<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        now: Instant,
        caller: Caller,
    ) -> Settled {
        let mut blocked = false;
        if caller == Caller::Reader && inner.deferring {
            inner.stack.hold_owed();
            return self.leave(inner, now, caller, false);
        }
        for _ in 0..ROUNDS {
            inner.dispatch_events();
            if caller != Caller::Driver && !inner.stack.may_owe() {
                // Most reads: the device need not be asked for.
                return self.leave(inner, now, caller, false);
            }
            let Some(mut port) = self.port_for_output() else {
                // Its holder sees the note and sends what is owed.
                return self.leave(inner, now, caller, false);
            };
            if port.is_blocked() {
                return self.leave(inner, now, caller, true);
            }
            let more = collect(&mut inner, now, &mut port);
            if port.tx.is_empty() {
                drop(port);
                if self.missed.swap(false, Ordering::SeqCst) {
                    continue;
                }
                return self.leave(inner, now, caller, false);
            }
            if !more && caller != Caller::Driver {
                inner.rearm(now);
            }
            let woken = inner.take_woken();
            drop(inner);
            // First wake, then send: the reader runs on its core while this one is in the kernel.
            woken.wake();
            let sent = port.send();
            blocked = port.is_blocked();
            drop(port);
            let missed = self.missed.swap(false, Ordering::SeqCst);
            if sent.is_ok() && !blocked && !missed && !more {
                return Settled {
                    blocked: false,
                    complete: true,
                };
            }
            inner = self.inner.lock("after sending");
            if let Err(error) = sent {
                inner.fail(error.kind());
            }
            if blocked {
                break;
            }
        }
        // More is owed than one call should send, or the device is full: the driver goes on.
        if caller != Caller::Driver {
            inner.wake_driver();
        }
        let settled = self.leave(inner, now, caller, blocked);
        Settled {
            complete: false,
            ..settled
        }
    }

    fn leave(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        now: Instant,
        caller: Caller,
        blocked: bool,
    ) -> Settled {
        if caller != Caller::Driver && !blocked {
            inner.rearm(now);
        }
        let woken = inner.take_woken();
        drop(inner);
        woken.wake();
        Settled {
            blocked,
            complete: true,
        }
    }

    /// The device, unless somebody is using it, who then finds our note.
    fn port_for_output(&self) -> Option<MutexGuard<'_, Port>> {
        self.port.try_lock("send").or_else(|| {
            self.missed.store(true, Ordering::SeqCst);
            // Whoever held it may have let go, and looked for notes, before this one was written.
            self.port.try_lock("send")
        })
    }
}

/// Moves a batch of frames from the stack to the device's queue. True if there may be more.
fn collect(inner: &mut Inner, now: Instant, port: &mut Port) -> bool {
    for _ in 0..BATCH {
        match inner.stack.poll_transmit(now) {
            Some(frame) => port.tx.push_back(frame),
            None => return false,
        }
    }
    true
}

/// Who settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Socket,
    /// A socket that has nothing to send.
    Reader,
    /// It sets its own alarm afterwards.
    Driver,
}

/// How settling ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// The device is full.
    pub(crate) blocked: bool,
    /// Nothing is owed any more, or somebody else sends it.
    pub(crate) complete: bool,
}
