//! The stack's clock and its alarm.
//!
//! The stack counts nanoseconds from the moment it was made. The clock is tokio's, so that a
//! program tested under `tokio::time::pause` finds the stack in the same virtual time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant as TokioInstant;
use transom_stack::tcp::Instant;

/// Converts between tokio's instants and the stack's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: TokioInstant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: TokioInstant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    pub(crate) fn convert(&self, at: std::time::Instant) -> Instant {
        let since = TokioInstant::from_std(at).saturating_duration_since(self.origin);
        Instant::from_origin(since)
    }

    fn at(&self, instant: Instant) -> TokioInstant {
        // Beyond what the platform can count lies nothing that anybody waits for.
        self.origin
            .checked_add(instant.since_origin())
            .unwrap_or_else(|| self.origin + Duration::from_secs(86_400 * 365))
    }
}

/// Wakes the driver at the stack's next deadline.
///
/// tokio's timers are a millisecond coarse, and late by up to one. That is good enough for a
/// retransmission timeout and too coarse for a pacing gap or a reordering window on a short path,
/// so a deadline that is near is also given to a timer of the kernel, which is exact.
///
/// Deadlines mostly move away: each acknowledgement postpones the retransmission timer. The alarm
/// is therefore only ever set earlier, never later; when it rings too early, the driver finds
/// nothing due and sets it anew. That costs a few spurious wake-ups a second instead of one timer
/// operation a packet.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Clock,
    armed: Option<Instant>,
    sleep: Pin<Box<tokio::time::Sleep>>,
    precise: Option<precise::Timer>,
    /// It wakes who polled last.
    is_watched: bool,
}

/// Up to this far away, a deadline is worth a precise timer.
const NEAR: Duration = Duration::from_millis(20);

impl Alarm {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            armed: None,
            sleep: Box::pin(tokio::time::sleep_until(clock.origin)),
            precise: precise::Timer::new().ok(),
            is_watched: false,
        }
    }

    /// When it rings, if it is set.
    pub(crate) const fn armed(&self) -> Option<Instant> {
        self.armed
    }

    /// Somebody else polls from now on.
    pub(crate) const fn forget_waker(&mut self) {
        self.is_watched = false;
    }

    /// Makes sure that it rings at `deadline` or before.
    pub(crate) fn ring_by(&mut self, deadline: Instant) {
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        self.armed = Some(deadline);
        self.is_watched = false;
        self.sleep.as_mut().reset(self.clock.at(deadline));
        let wait = deadline.duration_since(self.clock.now());
        if wait <= NEAR
            && let Some(timer) = &self.precise
        {
            timer.set(wait);
        }
    }

    /// Ready when it rings; then it is not set any more.
    pub(crate) fn poll_ring(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(armed) = self.armed else {
            return Poll::Pending;
        };
        // It will wake who asks, and need not be asked with each packet.
        if self.is_watched && now < armed {
            return Poll::Pending;
        }
        let precise = self
            .precise
            .as_ref()
            .is_some_and(|timer| timer.poll_expired(cx).is_ready());
        if precise || self.sleep.as_mut().poll(cx).is_ready() {
            self.armed = None;
            return Poll::Ready(());
        }
        self.is_watched = true;
        Poll::Pending
    }
}

#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel (timerfd).
    #[derive(Debug)]
    pub(super) struct Timer {
        timer: TimerFd,
        /// A duplicate, registered with tokio.
        expired: AsyncFd<OwnedFd>,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            let expired = crate::port::watch(timer.as_fd().try_clone_to_owned()?)?;
            Ok(Self { timer, expired })
        }

        pub(super) fn set(&self, wait: Duration) {
            // Zero would switch it off.
            let wait = wait.max(Duration::from_nanos(1));
            // If it fails, the coarse timer rings all the same.
            let _ = self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(wait)),
                TimerSetTimeFlags::empty(),
            );
        }

        /// Ready if it has expired since it was last asked.
        pub(super) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
            loop {
                let Ok(mut guard) = ready!(self.expired.poll_read_ready(cx)) else {
                    return Poll::Pending;
                };
                let mut count = [0; 8];
                match nix::unistd::read(guard.get_inner(), &mut count) {
                    Ok(_) => return Poll::Ready(()),
                    Err(_) => guard.clear_ready(),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use std::io;
    use std::task::{Context, Poll};
    use std::time::Duration;

    /// There is no such timer here.
    #[derive(Debug)]
    pub(super) struct Timer;

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub(super) fn set(&self, _wait: Duration) {}
        pub(super) fn poll_expired(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiters::tests::Count;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::Waker;

    #[tokio::test]
    async fn an_alarm_rings_at_its_deadline_and_not_before() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        for micros in [50, 300, 2000] {
            let deadline = clock.now() + Duration::from_micros(micros);
            alarm.ring_by(deadline);
            poll_fn(|cx| alarm.poll_ring(clock.now(), cx)).await;
            assert!(clock.now() >= deadline);
            assert_eq!(alarm.armed(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_in_virtual_time() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let deadline = clock.now() + Duration::from_secs(60);
        alarm.ring_by(deadline);
        poll_fn(|cx| alarm.poll_ring(clock.now(), cx)).await;
        assert!(clock.now() >= deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_wins_and_a_later_one_changes_nothing() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let now = clock.now();
        let (first, second) = (now + Duration::from_secs(9), now + Duration::from_secs(5));
        alarm.ring_by(first);
        alarm.ring_by(second);
        alarm.ring_by(now + Duration::from_secs(7));
        assert_eq!(alarm.armed(), Some(second));
        poll_fn(|cx| alarm.poll_ring(clock.now(), cx)).await;
        assert!(clock.now() >= second && clock.now() < first);
    }

    #[tokio::test(start_paused = true)]
    async fn who_polls_last_is_woken_though_it_is_not_asked_again() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let deadline = clock.now() + Duration::from_secs(60);
        let (first, last) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (first_waker, last_waker): (Waker, Waker) = (first.clone().into(), last.clone().into());
        alarm.ring_by(deadline);
        for waker in [&first_waker, &last_waker, &last_waker] {
            if waker.will_wake(&last_waker) {
                alarm.forget_waker();
            }
            let cx = &mut Context::from_waker(waker);
            assert!(alarm.poll_ring(clock.now(), cx).is_pending());
            assert!(alarm.poll_ring(clock.now(), cx).is_pending());
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        assert_eq!(last.0.load(Ordering::SeqCst), 1);
        let cx = &mut Context::from_waker(&last_waker);
        assert!(alarm.poll_ring(clock.now(), cx).is_ready());
    }
}
