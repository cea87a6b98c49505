//! Acknowledgements travel with answers.
//!
//! Who has received little, so that somebody is to act on it, leaves what the stack owes for the driver's next turn, which is
//! due at once, behind those who act. Reading does not send meanwhile either, and who writes
//! sends for his own connection only, not for those of the others who were woken. So an answer takes the acknowledgement
//! of the question along, and a FIN that of the peer's FIN: of the five frames of a short connection two are never sent.
//! Nothing waits for longer than one turn.

use transom_stack::tcp::Instant;
use transom_stack::wire::RxFrame;

use crate::mutex::MutexGuard;
use crate::shared::{Inner, Shared};

/// What a turn may have received, in bytes, for what is owed to be left to those who act on it: more than that is no
/// dialogue, and its sender should go on while it is read.
const LITTLE: usize = 16 << 10;

impl Inner {
    /// Gives the stack what was received. Says whether that is little.
    pub(crate) fn take_in(&mut self, now: Instant, frames: &mut Vec<RxFrame>) -> bool {
        let size: usize = frames.iter().map(|frame| frame.data.len()).sum();
        self.stack.handle_frames(now, frames);
        0 < size && size < LITTLE
    }

    /// Leaves what is owed to the next turn of the driver, which has to come at once, if somebody is to act on what came:
    /// who asks, or who is woken. Says whether it did.
    pub(crate) fn defer(&mut self, asker_acts: bool) -> bool {
        self.dispatch_events();
        if asker_acts || !self.woken.is_empty() {
            self.stack.hold_owed();
            self.deferring = true;
        }
        self.deferring
    }
}

impl Shared {
    /// Wakes those who waited for what has happened, and leaves what is owed to the next turn of the driver, which has to
    /// come at once. Gives the lock back if there is nobody to wait for.
    pub(crate) fn settle_later<'a>(
        &self,
        mut inner: MutexGuard<'a, Inner>,
    ) -> Option<MutexGuard<'a, Inner>> {
        if !inner.defer(false) {
            return Some(inner);
        }
        let woken = inner.take_woken();
        drop(inner);
        woken.wake();
        None
    }
}
