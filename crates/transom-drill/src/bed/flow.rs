//! One flow: what an application at each end does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{Config, Instant, State};
use transom_stack::{ConnId, ListenerId, Stack};

/// A transfer from one end to the other.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The sender's choices.
    pub sender: Config,
    /// The receiver's choices.
    pub receiver: Config,
    /// How many octets are sent; `None`: as many as pass until the run ends.
    pub bytes: Option<u64>,
    /// When the connection is opened.
    pub starts: Duration,
    /// One-way delay of this flow alone, on top of the bottleneck's; both ways.
    pub delay: Duration,
    /// It goes against the others: its sender is on the right.
    pub reversed: bool,
}

impl Flow {
    /// Endless, from the start, with the defaults and this congestion control.
    #[must_use]
    pub fn new(congestion: Algorithm) -> Self {
        Self {
            sender: Config::default().congestion(congestion),
            receiver: Config::default(),
            bytes: None,
            starts: Duration::ZERO,
            delay: Duration::ZERO,
            reversed: false,
        }
    }

    /// Sets [`Flow::bytes`].
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets [`Flow::starts`].
    #[must_use]
    pub fn starts(mut self, starts: Duration) -> Self {
        self.starts = starts;
        self
    }

    /// Sets [`Flow::delay`].
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`Flow::reversed`].
    #[must_use]
    pub fn reversed(mut self, reversed: bool) -> Self {
        self.reversed = reversed;
        self
    }

    /// Changes [`Flow::sender`].
    #[must_use]
    pub fn with_sender(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.sender = change(self.sender);
        self
    }

    /// Changes [`Flow::receiver`].
    #[must_use]
    pub fn with_receiver(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.receiver = change(self.receiver);
        self
    }
}

/// What the applications of a flow have done; shared between them and the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) connection: Option<ConnId>,
    pub(super) accepted: Option<ConnId>,
    /// Octets that the stack took from the sender.
    pub(super) written: u64,
    pub(super) shut: bool,
    /// Octets that the receiver read.
    pub(super) received: u64,
    /// When the receiver saw the end.
    pub(super) finished: Option<Duration>,
    pub(super) failed: Option<String>,
}

pub(super) type Shared = Arc<Mutex<Progress>>;

pub(super) fn look(shared: &Shared) -> std::sync::MutexGuard<'_, Progress> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sent, again and again.
static CHUNK: [u8; 65_536] = [b'.'; 65_536];

/// Writes as much as the stack takes, and ends what has an end.
pub(super) fn write(stack: &mut Stack, now: Instant, bytes: Option<u64>, progress: &mut Progress) {
    let Some(connection) = progress.connection else {
        return;
    };
    while progress.failed.is_none() && !progress.shut {
        let left = bytes.map_or(u64::MAX, |bytes| bytes - progress.written);
        if left == 0 {
            // A half-close before the handshake would give the connection up.
            if stack.tcp_state(connection) == Some(State::SynSent) {
                break;
            }
            match stack.tcp_shutdown_write(now, connection) {
                Ok(()) => progress.shut = true,
                Err(error) => progress.failed = Some(error.to_string()),
            }
            break;
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK.len());
        match stack.tcp_send(now, connection, Bytes::from_static(&CHUNK[..length])) {
            Ok(0) => break,
            Ok(taken) => progress.written += taken as u64,
            Err(error) => progress.failed = Some(error.to_string()),
        }
    }
    // The receiver has nothing to say; its end of data is still to be read.
    while let Ok(Some(data)) = stack.tcp_recv(now, connection, CHUNK.len()) {
        if data.is_empty() {
            break;
        }
    }
}

/// Reads all there is, and closes after the end.
pub(super) fn read(stack: &mut Stack, now: Instant, listener: ListenerId, progress: &mut Progress) {
    if progress.accepted.is_none() {
        progress.accepted = stack.tcp_accept(listener);
    }
    let Some(connection) = progress.accepted else {
        return;
    };
    while progress.finished.is_none() && progress.failed.is_none() {
        match stack.tcp_recv(now, connection, CHUNK.len()) {
            Ok(Some(data)) if data.is_empty() => {
                progress.finished = Some(now.since_origin());
                stack.tcp_close(now, connection);
            }
            Ok(Some(data)) => {
                progress.received += data.len() as u64;
            }
            Ok(None) => break,
            Err(error) => progress.failed = Some(error.to_string()),
        }
    }
}
