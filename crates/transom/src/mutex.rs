//! A mutex whose every lock says what it is for.
//!
//! All sockets of a stack share one lock. When something holds it for too long, the first question
//! is who; with the feature `lock-tracking` each hold that lasts longer than a millisecond is
//! reported through `tracing`, with its purpose. Without the feature the purpose costs nothing.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex as StdMutex, MutexGuard as StdGuard, PoisonError, TryLockError};

/// A mutex that knows why it is held.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(StdMutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(StdMutex::new(value))
    }

    /// Waits for the lock. A panic of an earlier holder does not spread: each operation leaves the
    /// stack consistent before it can unwind, and one broken task must not end all connections.
    pub(crate) fn lock(&self, purpose: &'static str) -> MutexGuard<'_, T> {
        MutexGuard::new(
            self.0.lock().unwrap_or_else(PoisonError::into_inner),
            purpose,
        )
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn try_lock(&self, purpose: &'static str) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard::new(guard, purpose)),
            Err(TryLockError::Poisoned(poisoned)) => {
                Some(MutexGuard::new(poisoned.into_inner(), purpose))
            }
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    guard: StdGuard<'a, T>,
    #[cfg(feature = "lock-tracking")]
    _hold: tracking::Hold,
}

impl<'a, T> MutexGuard<'a, T> {
    #[cfg(feature = "lock-tracking")]
    fn new(guard: StdGuard<'a, T>, purpose: &'static str) -> Self {
        Self {
            guard,
            _hold: tracking::Hold::new(purpose),
        }
    }

    #[cfg(not(feature = "lock-tracking"))]
    #[expect(
        clippy::missing_const_for_fn,
        reason = "the tracked form reads a clock"
    )]
    fn new(guard: StdGuard<'a, T>, _purpose: &'static str) -> Self {
        Self { guard }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(feature = "lock-tracking")]
mod tracking {
    use std::time::{Duration, Instant};

    /// A hold that lasts longer is worth a line in the log.
    pub(super) const LONG_HOLD: Duration = Duration::from_millis(1);

    #[derive(Debug)]
    pub(super) struct Hold {
        purpose: &'static str,
        since: Instant,
    }

    impl Hold {
        pub(super) fn new(purpose: &'static str) -> Self {
            Self {
                purpose,
                since: Instant::now(),
            }
        }
    }

    impl Drop for Hold {
        fn drop(&mut self) {
            let held = self.since.elapsed();
            if held > LONG_HOLD {
                tracing::warn!(
                    purpose = self.purpose,
                    ?held,
                    "the stack was locked for long"
                );
            }
        }
    }
}
