//! A queue whose reader is seldom woken.
//!
//! To wake a thread costs more than most of what is handed over here, and on a small machine it takes
//! the processor from who has work to do. So a reader that has just taken what there was does not look
//! again for a while. Whoever adds something wakes it only if it had nothing to do for longer than that, if
//! much is waiting, or if somebody waits for the answer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Things that an empty queue has room for without asking for memory, beyond what it had the time before.
const KEPT: usize = 1024;

/// The same of bytes that belong to things.
const KEPT_BYTES: usize = 256 << 10;

/// How much may wait, in units of the caller's choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Who adds more than this waits, or is refused.
    pub(crate) most: usize,
    /// From this on the reader is woken.
    pub(crate) much: usize,
    /// How long the reader does not look after it has taken something.
    pub(crate) pause: Duration,
}

/// What the reader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// It is going to look by itself.
    Awake,
    /// It lets things gather.
    Pausing,
    /// It has nothing to do.
    Asleep,
}

/// Things in their order, and bytes that some of them have: together, as an allocation for each would cost both threads
/// more than the copy.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<T>,
    pub(crate) bytes: Vec<u8>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct State<T> {
    batch: Batch<T>,
    weight: usize,
    reader: Reader,
    /// Somebody waits for an answer.
    urgent: bool,
    /// Nobody reads any more.
    is_closed: bool,
}

/// Says that nobody reads any more, when the reader ends, however it does: nobody waits for it then.
#[derive(Debug)]
pub(crate) struct Closes<'a, T>(&'a Queue<T>);

impl<T> Drop for Closes<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        // Who waits for an answer to one of these learns that there is none.
        let left = std::mem::take(&mut state.batch);
        drop(state);
        drop(left);
        self.0.room.notify_all();
    }
}

/// Things on their way from many threads to one.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// For the reader.
    news: Condvar,
    /// For those who add.
    room: Condvar,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                batch: Batch::default(),
                weight: 0,
                reader: Reader::Awake,
                urgent: false,
                is_closed: false,
            }),
            news: Condvar::new(),
            room: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something that weighs so much; waits while too much is waiting.
    pub(crate) fn add(&self, item: T, weight: usize) {
        self.push(self.lock_with_room(), item, weight, false);
    }

    /// Adds something that `write` makes when it has appended its bytes to those of the others, and that weighs so much
    /// besides; waits while too much is waiting.
    pub(crate) fn write(&self, weight: usize, write: impl FnOnce(&mut Vec<u8>) -> T) {
        let mut state = self.lock_with_room();
        if state.is_closed {
            return;
        }
        let before = state.batch.bytes.len();
        let item = write(&mut state.batch.bytes);
        let weight = weight + state.batch.bytes.len() - before;
        self.push(state, item, weight, false);
    }

    fn lock_with_room(&self) -> MutexGuard<'_, State<T>> {
        let state = self.lock();
        if state.weight < self.limits.most {
            return state;
        }
        let is_full = |state: &mut State<T>| state.weight >= self.limits.most && !state.is_closed;
        let waited = self.room.wait_while(state, is_full);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something that weighs so much, unless too much is waiting.
    pub(crate) fn offer(&self, item: T, weight: usize) {
        let state = self.lock();
        if state.weight < self.limits.most {
            self.push(state, item, weight, false);
        }
    }

    /// Adds something that weighs so much, however much is waiting.
    pub(crate) fn put(&self, item: T, weight: usize) {
        let state = self.lock();
        self.push(state, item, weight, false);
    }

    /// Adds something that weighs so much and that somebody waits for, however much is waiting.
    pub(crate) fn urge(&self, item: T, weight: usize) {
        let state = self.lock();
        self.push(state, item, weight, true);
    }

    fn push(&self, mut state: MutexGuard<'_, State<T>>, item: T, weight: usize, urgent: bool) {
        if state.is_closed {
            return;
        }
        state.batch.items.push(item);
        state.weight += weight;
        state.urgent |= urgent;
        let wakes = match state.reader {
            Reader::Awake => false,
            Reader::Pausing => urgent || state.weight >= self.limits.much,
            Reader::Asleep => true,
        };
        if wakes {
            state.reader = Reader::Awake;
        }
        drop(state);
        if wakes {
            self.news.notify_one();
        }
    }

    /// The reader: to be held until it ends.
    pub(crate) const fn closes(&self) -> Closes<'_, T> {
        Closes(self)
    }

    /// The reader: takes everything that is waiting, in its order; waits until there is something, or until `end`. Leaves
    /// `into` empty in the latter case.
    pub(crate) fn take(&self, into: &mut Batch<T>, end: Option<Instant>) {
        into.items.clear();
        into.bytes.clear();
        // What it took at a bad time it need not have for ever.
        into.items.shrink_to(KEPT);
        into.bytes.shrink_to(KEPT_BYTES);
        let mut state = self.lock();
        if !state.urgent && state.weight < self.limits.much {
            state.reader = Reader::Pausing;
            state = self.wait(state, self.limits.pause, Reader::Pausing);
        }
        while state.batch.items.is_empty() {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            state.reader = Reader::Asleep;
            state = match left {
                Some(left) => self.wait(state, left, Reader::Asleep),
                None => self
                    .news
                    .wait_while(state, |state| state.reader == Reader::Asleep)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.reader = Reader::Awake;
        state.weight = 0;
        state.urgent = false;
        std::mem::swap(&mut state.batch, into);
        drop(state);
        self.room.notify_all();
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        most: Duration,
        doing: Reader,
    ) -> MutexGuard<'a, State<T>> {
        self.news
            .wait_timeout_while(state, most, |state| state.reader == doing)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const NEVER: Duration = Duration::from_secs(3600);

    fn limits(pause: Duration) -> Limits {
        Limits {
            most: 100,
            much: 10,
            pause,
        }
    }

    #[test]
    fn what_weighs_much_or_is_urgent_ends_the_pause() {
        let queue = Queue::new(limits(NEVER));
        let mut taken = Batch::default();
        queue.add(1, 1);
        queue.urge(2, 1);
        queue.take(&mut taken, None);
        assert_eq!(taken.items, [1, 2]);
        queue.add(3, 10);
        queue.take(&mut taken, None);
        assert_eq!(taken.items, [3]);
    }

    #[test]
    fn what_is_urgent_takes_the_place_of_offers() {
        let queue = Queue::new(limits(NEVER));
        (0..150).for_each(|item| queue.urge(item, 1));
        queue.offer(150, 1);
        let mut taken = Batch::default();
        queue.take(&mut taken, None);
        assert!(taken.items.iter().copied().eq(0..150));
    }

    #[test]
    fn bytes_stay_with_what_they_belong_to() {
        let queue = Queue::new(limits(Duration::ZERO));
        let mut taken = Batch::default();
        for round in 0..3_u8 {
            for text in [&[round, 1][..], &[], &[round, 2, 3]] {
                queue.write(1, |bytes| {
                    let at = bytes.len();
                    bytes.extend_from_slice(text);
                    at..bytes.len()
                });
            }
            // They weigh what they hold.
            assert_eq!(queue.lock().weight, 3 + 5);
            queue.take(&mut taken, None);
            let texts = taken.items.iter().map(|range| &taken.bytes[range.clone()]);
            assert!(texts.eq([&[round, 1][..], &[], &[round, 2, 3]]));
        }
    }

    #[test]
    fn a_bad_time_leaves_no_memory_behind() {
        let queue = Queue::new(limits(Duration::ZERO));
        let mut taken = Batch::default();
        (0..100_000).for_each(|item| queue.urge(item, 1));
        queue.take(&mut taken, None);
        assert_eq!(taken.items.len(), 100_000);
        for item in 0..2 {
            queue.urge(item, 1);
            queue.take(&mut taken, None);
        }
        assert!(taken.items.capacity() <= KEPT && queue.lock().batch.items.capacity() <= KEPT);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_ended() {
        let queue = Arc::new(Queue::new(limits(NEVER)));
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        queue.add(sender.clone(), 100);
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.add(sender, 1)
        });
        drop(queue.closes());
        writer.join().unwrap();
        // All that was added is gone, so that nobody waits for an answer.
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_sleeping_reader_is_woken_by_anything() {
        let queue = Arc::new(Queue::new(limits(Duration::ZERO)));
        let reader = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut taken = Batch::default();
                let mut all = Vec::new();
                while all.last() != Some(&999) {
                    queue.take(&mut taken, None);
                    all.append(&mut taken.items);
                }
                all
            }
        });
        // More than fits: who adds waits for the reader.
        for item in 0..1000 {
            queue.add(item, 1);
        }
        assert!(reader.join().unwrap().into_iter().eq(0..1000));
    }

    #[test]
    fn a_full_queue_refuses_offers_and_an_empty_one_gives_up_in_time() {
        let queue = Queue::new(limits(Duration::ZERO));
        for item in 0..200 {
            queue.offer(item, 1);
        }
        let mut taken = Batch::default();
        queue.take(&mut taken, None);
        assert_eq!(taken.items.len(), 100);
        queue.take(&mut taken, Some(Instant::now()));
        assert!(taken.items.is_empty());
    }
}
