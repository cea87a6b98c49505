//! Frames that came in on one queue of several and belong to another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use transom_device::{Flows, Owner};
use transom_stack::wire::{Medium, RxFrame};

use crate::mutex::Mutex;

/// Frames that wait at most for one driver. They come where the device does not know yet where a connection belongs, so
/// seldom more than one for each new connection.
const CAPACITY: usize = 1024;

/// What other drivers have for one of them. Its lock is taken only when there is something, or the driver's waker changes:
/// nothing on the way of a connection's segments, once the device knows where they belong.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    has_frames: AtomicBool,
    frames: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<RxFrame>,
    driver: Option<Waker>,
    /// The driver has ended.
    closed: bool,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            has_frames: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Frames that were put in, and that did not fit.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.frames), count(&self.lost))
    }

    /// Puts frames in, as many as fit, and wakes the driver.
    fn put(&self, frames: &mut Vec<RxFrame>) {
        let mut queue = self.queue.lock("hand frames over");
        let room = if queue.closed {
            0
        } else {
            CAPACITY.saturating_sub(queue.frames.len())
        };
        let fits = frames.len().min(room);
        self.frames.fetch_add(fits as u64, Ordering::Relaxed);
        let lost = frames.len() - fits;
        self.lost.fetch_add(lost as u64, Ordering::Relaxed);
        queue.frames.extend(frames.drain(..fits));
        frames.clear();
        self.has_frames.store(true, Ordering::SeqCst);
        let driver = queue.driver.clone();
        drop(queue);
        driver.into_iter().for_each(Waker::wake);
    }

    fn wake(&self) {
        let driver = self.queue.lock("wake the driver").driver.clone();
        driver.into_iter().for_each(Waker::wake);
    }

    /// Notes whom to wake. What was put in before is found by [`take`](Self::take).
    fn note(&self, driver: &Waker) {
        let mut queue = self.queue.lock("note the driver");
        match &mut queue.driver {
            Some(waker) => waker.clone_from(driver),
            None => queue.driver = Some(driver.clone()),
        }
    }

    fn take(&self, frames: &mut Vec<RxFrame>) -> bool {
        if !self.has_frames.swap(false, Ordering::SeqCst) {
            return false;
        }
        let mut queue = self.queue.lock("take frames over");
        let any = !queue.frames.is_empty();
        frames.extend(queue.frames.drain(..));
        any
    }

    fn close(&self) {
        let mut queue = self.queue.lock("close");
        queue.closed = true;
        queue.frames.clear();
        queue.driver = None;
    }
}

/// One driver's part in a host with several queues.
#[derive(Debug)]
pub(crate) struct Part {
    flows: Flows,
    medium: Medium,
    number: u32,
    inboxes: Arc<[Inbox]>,
    /// Frames for each of the others; empty between two calls.
    foreign: Vec<Vec<RxFrame>>,
    /// How many drivers have something left to do.
    unfinished: Arc<AtomicUsize>,
    /// This one is not among them any more.
    is_finished: bool,
}

impl Part {
    pub(crate) fn new(
        flows: Flows,
        medium: Medium,
        number: u32,
        inboxes: Arc<[Inbox]>,
        unfinished: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            flows,
            medium,
            number,
            foreign: inboxes.iter().map(|_| Vec::new()).collect(),
            inboxes,
            unfinished,
            is_finished: false,
        }
    }

    fn own(&self) -> Option<&Inbox> {
        self.inboxes.get(self.number as usize)
    }

    pub(crate) fn note(&self, driver: &Waker) {
        if let Some(inbox) = self.own() {
            inbox.note(driver);
        }
    }

    /// Gives others the frames among these that are theirs, and adds what they have for us. True if that was something.
    pub(crate) fn exchange(&mut self, frames: &mut Vec<RxFrame>) -> bool {
        let Self {
            flows,
            medium,
            number,
            foreign,
            ..
        } = self;
        frames.retain_mut(|frame| match flows.of_frame(&frame.data, *medium) {
            Owner::Queue(owner) if owner == *number => true,
            Owner::Queue(owner) => {
                if let Some(theirs) = foreign.get_mut(owner as usize) {
                    theirs.push(std::mem::take(frame));
                }
                false
            }
            Owner::All => {
                for (theirs, at) in foreign.iter_mut().zip(0..) {
                    if at != *number {
                        theirs.push(frame.clone());
                    }
                }
                true
            }
        });
        for (theirs, inbox) in foreign.iter_mut().zip(&*self.inboxes) {
            if !theirs.is_empty() {
                inbox.put(theirs);
            }
        }
        self.own().is_some_and(|inbox| inbox.take(frames))
    }

    /// The driver has nothing left to do for its own stack, now and for ever. True when none has: until then it receives for
    /// the others. It is woken when that changes.
    pub(crate) fn finish(&mut self) -> bool {
        if !std::mem::replace(&mut self.is_finished, true)
            && self.unfinished.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.inboxes.iter().for_each(Inbox::wake);
        }
        self.unfinished.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Also when its device has failed: nobody waits for it.
        self.finish();
        if let Some(inbox) = self.own() {
            inbox.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiters::tests::Count;

    #[test]
    fn nobody_ends_before_all_are_finished_and_the_last_tells_the_others() {
        let inboxes: Arc<[Inbox]> = (0..3).map(|_| Inbox::new()).collect();
        let unfinished = Arc::new(AtomicUsize::new(3));
        let [mut first, mut second, third] = [0, 1, 2].map(|number| {
            let flows = Flows::new([7; 8], 3);
            let inboxes = Arc::clone(&inboxes);
            Part::new(flows, Medium::Ip, number, inboxes, Arc::clone(&unfinished))
        });
        let count = Arc::new(Count::default());
        first.note(&count.clone().into());
        assert!(!first.finish());
        assert!(!first.finish(), "it counts once");
        assert!(!second.finish());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        // Its device has failed.
        drop(third);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(first.finish());
        assert!(second.finish());
    }
}
