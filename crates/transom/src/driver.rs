//! The task that carries frames between the device and the stack.

use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use transom_stack::tcp::Instant;
use transom_stack::wire::RxFrame;

use crate::busy_poll::{BusyPoll, LOOKS};
use crate::clock::Alarm;
use crate::inbox::Part;
use crate::port::{Held, Readable, recv_now};
use crate::shared::{Caller, Shared};

/// While the device is full the stack's deadlines that are due cannot be told from what it owes;
/// they are looked at this often.
const BLOCKED_TICK: Duration = Duration::from_millis(10);

/// One per device. Sockets send for themselves; the driver receives, keeps time, and sends what a
/// socket had to leave behind.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    readable: Readable,
    alarm: Alarm,
    busy_poll: BusyPoll,
    /// The part in a host with several queues.
    part: Option<Part>,
    /// Whether the runtime has one thread for everything.
    alone: bool,
}

/// What one turn is to do.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Look at the device whatever the kernel says of it, and come back.
    looks: bool,
    /// Leave that to a task that waits.
    lends: bool,
    /// To be answered if the device is empty.
    question: Option<u64>,
}

/// What one turn came to.
enum Turn {
    /// There may be more to do at once.
    Again,
    /// Nothing until the device or the alarm says so. The time of the turn.
    Sleep(Instant),
    /// The device is gone.
    Failed(ErrorKind),
}

/// What was seen while the alarm was set.
struct Alarmed {
    /// A deadline has passed.
    rings: bool,
    /// Somebody waits for the end, or for there being nothing to do.
    may_be_finished: bool,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, readable: Readable, busy_poll: BusyPoll) -> Self {
        let alarm = Alarm::new(shared.clock);
        Self {
            shared,
            readable,
            alarm,
            busy_poll,
            part: None,
            alone: false,
        }
    }

    /// Says what will run it.
    pub(crate) fn on(mut self, runtime: &Handle) -> Self {
        self.alone = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        self
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Makes it one of several.
    pub(crate) fn part(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }

    /// Decides what this turn is to do, and leaves the waker.
    fn plan(&mut self, waker: &Waker) -> Plan {
        let mut inner = self.shared.lock("begin a turn");
        let is_known = |known: &Waker| known.will_wake(waker);
        if !inner.driver.as_ref().is_some_and(is_known) {
            inner.driver = Some(waker.clone());
            self.alarm.forget_waker();
        }
        if inner.lending.take_back() {
            self.busy_poll.note_frames();
        }
        let looks = self.busy_poll.goes_on();
        // With several threads nobody knows when the others have had their turn; with several queues there are such.
        let is_wanted = inner
            .lending
            .open(looks && self.alone && self.part.is_none());
        let question = inner.catch_up.question();
        Plan {
            looks,
            lends: is_wanted && question.is_none(),
            question,
        }
    }

    /// Takes a batch of frames from the device, if this turn is not lent. Says whether to come back at once, and which
    /// question is answered by the device being empty.
    fn receive(
        &self,
        cx: &mut Context<'_>,
        plan: Plan,
        frames: &mut Vec<RxFrame>,
    ) -> io::Result<(bool, Option<u64>)> {
        if plan.lends {
            return Ok((true, None));
        }
        let Shared { port, batch, .. } = &*self.shared;
        // Who looks on is not told by the device, and comes back by itself.
        if !plan.looks {
            let received = self.readable.poll_recv(cx, port, frames, *batch);
            if received?.is_ready() {
                return Ok((true, None));
            }
            if plan.question.is_none() {
                return Ok((false, None));
            }
        }
        let looks = if plan.looks { LOOKS } else { 1 };
        match recv_now(port, frames, *batch, *batch, looks)? {
            Held::Frames => Ok((true, None)),
            // The alarm will ring for them.
            Held::Delayed => Ok((plan.looks, None)),
            Held::Nothing => Ok((plan.looks, plan.question)),
        }
    }

    /// Receives a batch, acts on it and on the time, and sends what is owed. Answers the question
    /// whether the device is empty.
    fn turn(&mut self, cx: &mut Context<'_>, plan: Plan) -> Turn {
        let shared = &*self.shared;
        let Some(mut frames) = shared.intake.try_lock("receive") else {
            // Somebody on another thread has not yet done with the turn that was lent.
            return Turn::Again;
        };
        let (mut again, answered) = match self.receive(cx, plan, &mut frames) {
            Ok(received) => received,
            Err(error) => return Turn::Failed(error.kind()),
        };
        if !frames.is_empty() {
            self.busy_poll.note_frames();
        }
        if let Some(part) = &mut self.part {
            again |= part.exchange(&mut frames);
        }
        let now = shared.clock.now();
        let mut inner = shared.lock("handle frames");
        let mut settled = None;
        if inner.deferring {
            // Those who were woken have had their turn.
            inner.deferring = false;
            inner.stack.release_owed();
            settled = Some(shared.settle(inner, now, Caller::Driver));
            inner = shared.lock("handle frames");
        }
        let came = !frames.is_empty();
        let is_little = inner.take_in(now, &mut frames);
        let is_due = inner.stack.poll_timeout(now).is_some_and(|at| at <= now);
        if is_due {
            inner.stack.handle_timeout(now);
        }
        if let Some(question) = answered {
            inner.caught_up(question);
        }
        drop(frames);
        if is_little && !settled.is_some_and(|settled| settled.blocked) {
            match shared.settle_later(inner) {
                None => return Turn::Again,
                Some(lock) => inner = lock,
            }
        }
        let settled = match settled {
            // Nothing has happened since.
            Some(settled) if !came && !is_due && answered.is_none() => {
                drop(inner);
                settled
            }
            _ => shared.settle(inner, now, Caller::Driver),
        };
        again |= !settled.complete;
        if settled.blocked {
            match self.readable.poll_send(cx, &shared.port) {
                // Room again, so the stack may be asked for more.
                Poll::Ready(Ok(())) => again = true,
                Poll::Ready(Err(error)) => return Turn::Failed(error.kind()),
                Poll::Pending => again = false,
            }
        }
        if again { Turn::Again } else { Turn::Sleep(now) }
    }

    /// Sets the alarm for the next deadline of the stack and the device.
    fn set_alarm(&mut self, cx: &mut Context<'_>, now: Instant) -> Alarmed {
        // That it has rung says no more than that the time has come for a turn, which has been.
        let _ = self.alarm.poll_ring(now, cx);
        let (device_deadline, blocked) = {
            let port = self.shared.port.lock("deadline");
            (port.device.next_deadline(), port.is_blocked())
        };
        let mut inner = self.shared.lock("set the alarm");
        let stack_deadline = inner.stack.poll_timeout(now).map(|at| {
            if blocked {
                at.max(now + BLOCKED_TICK)
            } else {
                at
            }
        });
        let device_deadline = device_deadline.map(|at| self.shared.clock.convert(at));
        if let Some(deadline) = earlier(stack_deadline, device_deadline) {
            self.alarm.ring_by(deadline);
        }
        inner.armed = self.alarm.armed();
        let is_overdue = inner.armed.is_some_and(|armed| armed <= now);
        let may_be_finished = inner.abandoned || inner.has_idle_waiters();
        drop(inner);
        Alarmed {
            rings: is_overdue || self.alarm.poll_ring(now, cx).is_ready(),
            may_be_finished,
        }
    }

    /// Whether nobody will ever use the stack again and nothing is left to deliver, here and in the host's other stacks: what
    /// is theirs may come in on this one's queue. Tells those who wait for there being nothing to deliver.
    fn is_finished(&mut self) -> bool {
        let mut inner = self.shared.lock("is anything left");
        let idle = inner.is_idle();
        let woken = if idle {
            inner.take_idle_waiters()
        } else {
            Vec::new()
        };
        let finished = idle && inner.abandoned;
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        finished && self.part.as_mut().is_none_or(Part::finish)
    }

    /// Has itself polled again, after everybody who was woken by this turn.
    fn come_back(&self, cx: &mut Context<'_>) {
        if self.alone {
            // The future of `block_on`, in which many programs accept and connect, is polled only once no task is left to run
            // (or after dozens of them). A task that wakes itself is one that is left; one that yields is not.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        } else {
            cx.waker().wake_by_ref();
        }
    }

    fn fail(&self, kind: ErrorKind) {
        let now = self.shared.clock.now();
        let mut inner = self.shared.lock("fail");
        inner.fail(kind);
        self.shared.settle(inner, now, Caller::Driver);
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let plan = this.plan(cx.waker());
        if let Some(part) = &this.part {
            part.note(cx.waker());
        }
        let now = match this.turn(cx, plan) {
            Turn::Failed(kind) => {
                this.fail(kind);
                return Poll::Ready(());
            }
            Turn::Again => {
                if plan.lends {
                    let looker = this
                        .shared
                        .look("lend a turn", |inner| inner.lending.lend());
                    looker.into_iter().for_each(Waker::wake);
                }
                // One batch a turn: those whose data it brought should get at it before the next.
                this.come_back(cx);
                return Poll::Pending;
            }
            Turn::Sleep(now) => now,
        };
        let alarmed = this.set_alarm(cx, now);
        if alarmed.may_be_finished && this.is_finished() {
            return Poll::Ready(());
        }
        if alarmed.rings {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime shuts down, or the work is done. Whoever still waits would wait for ever.
        self.fail(ErrorKind::Interrupted);
    }
}
