//! A connection's deadlines: a table, never callbacks.

use crate::time::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Timer {
    /// Something sent was not acknowledged in time (RFC 6298).
    Retransmit,
    /// The peer's window is closed: time to probe it (RFC 9293 §3.8.6.1).
    Persist,
    /// An acknowledgement was delayed long enough (RFC 9293 §3.8.6.3).
    DelayedAck,
    /// The connection was idle for long (RFC 9293 §3.8.4).
    KeepAlive,
    /// A partial segment was held long enough (silly-window avoidance, cork).
    SendOverride,
    /// The application has closed and the peer does not (FIN-WAIT-2).
    FinWait2,
    /// 2 MSL.
    TimeWait,
    /// The application's limit for unacknowledged data.
    User,
    /// The application's limit for closing in the background.
    Linger,
    /// The next burst may go (see `pacing.rs`).
    Pacing,
}

impl Timer {
    /// Every timer, in the order in which expired ones are acted on.
    pub(crate) const ALL: [Self; 10] = [
        Self::Retransmit,
        Self::Persist,
        Self::DelayedAck,
        Self::KeepAlive,
        Self::SendOverride,
        Self::FinWait2,
        Self::TimeWait,
        Self::User,
        Self::Linger,
        Self::Pacing,
    ];
}

/// One optional deadline for each [`Timer`].
#[derive(Debug)]
pub(crate) struct Timers {
    /// `Instant::NEVER` stands for "not set", which keeps the table at 8 octets an entry.
    deadlines: [Instant; Timer::ALL.len()],
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            deadlines: [Instant::NEVER; Timer::ALL.len()],
        }
    }
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(slot) = self.deadlines.get_mut(timer as usize) {
            *slot = deadline;
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.deadlines
            .get(timer as usize)
            .copied()
            .filter(|at| *at != Instant::NEVER)
    }

    /// Sets the deadline unless one is set already.
    pub(crate) fn start(&mut self, timer: Timer, deadline: Instant) {
        if !self.is_set(timer) {
            self.set(timer, deadline);
        }
    }

    /// Whether the deadline has passed; if so it is no longer set.
    pub(crate) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let expired = self.get(timer).is_some_and(|deadline| deadline <= now);
        if expired {
            self.stop(timer);
        }
        expired
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines
            .iter()
            .copied()
            .min()
            .filter(|at| *at != Instant::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_earliest_deadline_is_next_and_expires_once() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::KeepAlive, at(7));
        timers.set(Timer::Retransmit, at(3));
        assert_eq!(timers.next(), Some(at(3)));
        assert!(!timers.take_expired(Timer::Retransmit, at(2)));
        assert!(timers.take_expired(Timer::Retransmit, at(3)));
        assert!(!timers.take_expired(Timer::Retransmit, at(9)));
        assert_eq!(timers.next(), Some(at(7)));
    }

    #[test]
    fn start_keeps_a_running_timer() {
        let mut timers = Timers::default();
        timers.start(Timer::Persist, at(1));
        timers.start(Timer::Persist, at(5));
        assert_eq!(timers.get(Timer::Persist), Some(at(1)));
    }

    #[test]
    fn every_timer_has_a_slot_of_its_own() {
        for (index, timer) in Timer::ALL.iter().enumerate() {
            assert_eq!(*timer as usize, index);
        }
    }
}
