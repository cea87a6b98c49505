//! Turns of looking at the device that the driver lends to a task that waits for what it would find.
//!
//! Between a frame that the driver finds and the task that it is for lie the rest of the driver's turn, a waker, the queue
//! of the runtime and a second lock. So a driver that looks at the device again and again ([`crate::busy_poll`]) on a runtime
//! of one thread lends its looks: the last task that found nothing to read is woken instead, looks in its own call, handles
//! what comes, and has its data when the call returns.
//!
//! Nobody else gets less than if the driver looked. A turn is lent once everything else has run, because so long the
//! driver yields; it is as many looks as the driver's, ends with the first frames, and is lent once. Who waits for other
//! frames among them is woken. Timers, and what is owed in between, stay the driver's, which comes back behind the task.

use std::io;
use std::task::{Context, Poll, Waker};

use transom_stack::tcp::Instant;

use crate::busy_poll::LOOKS;
use crate::mutex::MutexGuard;
use crate::port::recv_now;
use crate::shared::{Inner, Shared};
use crate::wait::WaitFor;

/// Whether turns are lent, and to whom.
#[derive(Debug, Default)]
pub(crate) struct Lending {
    is_open: bool,
    /// The last task that found nothing to read.
    looker: Option<Waker>,
    /// The driver's present turn may be taken.
    is_lent: bool,
    /// Borrowers have received something since the driver asked.
    found: bool,
}

impl Lending {
    /// A turn of the driver begins: what it lent is its own again. Says whether frames were received meanwhile.
    pub(crate) fn take_back(&mut self) -> bool {
        self.is_lent = false;
        std::mem::take(&mut self.found)
    }

    /// Whether turns will be lent. Says whether there is somebody to lend one to.
    pub(crate) fn open(&mut self, open: bool) -> bool {
        self.is_open = open;
        if !open {
            self.looker = None;
        }
        self.looker.is_some()
    }

    /// Lends the turn to whom this wakes, if there still is somebody.
    pub(crate) fn lend(&mut self) -> Option<Waker> {
        let looker = self.looker.take();
        self.is_lent = looker.is_some();
        looker
    }

    /// A task has found nothing to read.
    pub(crate) fn note(&mut self, looker: &Waker) {
        if self.is_open {
            self.looker = Some(looker.clone());
        }
    }

    pub(crate) const fn borrow(&mut self) -> bool {
        std::mem::replace(&mut self.is_lent, false)
    }
}

impl Shared {
    /// Takes the driver's turn of receiving, and acts on what came. `inner` has been acted on in vain.
    pub(crate) fn borrow_turn<R>(
        &self,
        cx: &Context<'_>,
        purpose: &'static str,
        wait: WaitFor,
        mut inner: MutexGuard<'_, Inner>,
        mut act: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        // It need not be woken by what it is about to take.
        if let Some(waiters) = inner.waiters(wait.place) {
            waiters.remove(wait.key);
        }
        drop(inner);
        // Nobody has it, unless the driver is on another thread and did not wait for this one.
        let mut intake = self.intake.try_lock("receive in the driver's place");
        let looked = match &mut intake {
            // What comes while somebody looks comes alone; it would take another look to know, before the answer.
            // If there was more, the next turn finds it at once, and takes all.
            Some(frames) => recv_now(&self.port, frames, self.batch, 1, LOOKS).err(),
            None => None,
        };
        let now = self.clock.now();
        let mut inner = self.lock(purpose);
        let mut is_little = false;
        if let Some(frames) = &mut intake {
            inner.lending.found |= !frames.is_empty();
            is_little = inner.take_in(now, frames);
        }
        if let Some(error) = looked {
            inner.fail(error.kind());
        }
        drop(intake);
        let result = act(&mut inner, now);
        if is_little {
            inner.defer(result.is_ready());
        }
        self.conclude(cx, wait, inner, now, result)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use transom_device::{Device, Readiness, memory};
    use transom_stack::wire::{Capabilities, RxFrame, TxFrame};

    use super::*;
    use crate::waiters::tests::Count;
    use crate::{Stack, TcpListener, TcpStream};

    /// What became of a device.
    #[derive(Default)]
    struct Report {
        looks: AtomicUsize,
        is_gone: AtomicBool,
    }

    struct Watched(memory::MemoryDevice, Arc<Report>);

    impl Device for Watched {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
            self.1.looks.fetch_add(1, Ordering::SeqCst);
            if self.1.is_gone.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.0.recv(out, max)
        }

        fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
            self.0.send(frames)
        }

        fn readiness(&self) -> Readiness<'_> {
            self.0.readiness()
        }
    }

    /// A server whose device is watched and that polls so long, and a client.
    fn hosts(busy_poll: Duration) -> (Stack, Stack, Arc<Report>) {
        let (left, right) = memory::pair(Capabilities::ip(1500));
        let report = Arc::new(Report::default());
        let server = Stack::builder()
            .address("10.0.0.1/24")
            .device(Watched(left, Arc::clone(&report)))
            .busy_poll(busy_poll)
            .spawn();
        let client = Stack::builder()
            .address("10.0.0.2/24")
            .device(right)
            .spawn();
        (server.unwrap(), client.unwrap(), report)
    }

    /// The client's end and the server's.
    async fn connection(server: &Stack, client: &Stack) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(server, "10.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(client, address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    fn lend(stack: &Stack) {
        let lend = |inner: &mut Inner| inner.lending.is_lent = true;
        stack.shared().look("lend", lend);
    }

    // In these nothing is awaited after the connection is open: no driver has a turn.

    #[tokio::test]
    async fn a_task_that_was_lent_a_turn_has_its_data_in_the_call_that_looks() {
        let (server, client, _) = hosts(Duration::ZERO);
        let (near, far) = connection(&server, &client).await;
        let cx = &mut Context::from_waker(Waker::noop());
        near.try_write(b"?").unwrap();
        assert!(far.poll_recv_chunk(cx, 9).is_pending());
        lend(&server);
        let Poll::Ready(Ok(chunk)) = far.poll_recv_chunk(cx, 9) else {
            panic!("the frame was there");
        };
        assert_eq!(chunk, "?");
        // What is owed for it goes with the answer, or in the driver's next turn.
        assert!(server.shared().look("owed", |inner| inner.deferring));
        near.try_write(b"?").unwrap();
        assert!(
            far.poll_recv_chunk(cx, 9).is_pending(),
            "a turn is lent once"
        );
    }

    #[tokio::test]
    async fn those_for_whom_the_other_frames_are_are_woken() {
        let (server, client, _) = hosts(Duration::ZERO);
        let (_near, far) = connection(&server, &client).await;
        let (other_near, other_far) = connection(&server, &client).await;
        let (own, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (own_waker, other_waker) = (own.clone().into(), other.clone().into());
        let poll = |stream: &TcpStream, waker: &Waker| {
            stream.poll_recv_chunk(&mut Context::from_waker(waker), 9)
        };
        assert!(poll(&other_far, &other_waker).is_pending());
        assert!(poll(&far, &own_waker).is_pending());
        other_near.try_write(b"?").unwrap();
        lend(&server);
        assert!(poll(&far, &own_waker).is_pending());
        assert_eq!(other.0.load(Ordering::SeqCst), 1);
        assert_eq!(own.0.load(Ordering::SeqCst), 0);
        assert!(poll(&other_far, &other_waker).is_ready());
    }

    #[tokio::test]
    async fn a_call_looks_so_often_and_not_at_all_without_a_turn() {
        let (server, client, report) = hosts(Duration::ZERO);
        let (_near, far) = connection(&server, &client).await;
        let cx = &mut Context::from_waker(Waker::noop());
        let before = report.looks.load(Ordering::SeqCst);
        for lent in [false, true, false] {
            if lent {
                lend(&server);
            }
            assert!(far.poll_recv_chunk(cx, 9).is_pending());
        }
        assert_eq!(report.looks.load(Ordering::SeqCst) - before, LOOKS);
    }

    #[tokio::test]
    async fn who_finds_the_device_gone_says_so() {
        let (server, client, report) = hosts(Duration::ZERO);
        let (_near, far) = connection(&server, &client).await;
        report.is_gone.store(true, Ordering::SeqCst);
        lend(&server);
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Err(_)) = far.poll_recv_chunk(cx, 9) else {
            panic!("there is nothing to wait for");
        };
    }

    #[tokio::test]
    async fn a_driver_that_looks_lends_its_turns_to_who_waits() {
        // Longer than any pause: from the second frame on it looks all the time.
        let (server, client, report) = hosts(Duration::from_secs(3600));
        let (near, far) = connection(&server, &client).await;
        let echo = tokio::spawn(async move {
            while let Ok(1..) = near.recv_chunk(9).await.map(|chunk| chunk.len()) {
                near.try_write(b"!").unwrap();
            }
        });
        let mut in_its_own_call = 0;
        for _ in 0..50 {
            far.try_write(b"?").unwrap();
            let answer = poll_fn(|cx| {
                let before = report.looks.load(Ordering::SeqCst);
                let result = far.poll_recv_chunk(cx, 9);
                let looked = report.looks.load(Ordering::SeqCst) > before;
                in_its_own_call += usize::from(looked && result.is_ready());
                result
            });
            assert_eq!(answer.await.unwrap(), "!");
        }
        drop(far);
        echo.await.unwrap();
        assert_ne!(in_its_own_call, 0);
    }
}
