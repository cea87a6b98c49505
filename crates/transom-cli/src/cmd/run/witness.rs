//! Whether a signal was sent to us alone, or to our whole process group.
//!
//! The program is in that group too, so in the second case it has the signal already and must not get it from
//! us again. What the kernel tells about a signal (siginfo) does not say to whom it was sent. So a small
//! process of our own stays in the group with every signal blocked: what was sent to the group waits there
//! as well, from the same sender.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpgrp, setpgid};

use super::signals::Arrived;
use crate::sys::{self, Forked};

/// How long an answer may take: it is stopped when the group is, and so are we.
const PATIENCE: Duration = Duration::from_millis(100);

/// A process that gets what the group gets, and does nothing.
pub(crate) struct Witness {
    pid: Pid,
    questions: UnixStream,
    /// It has answered each time so far; an answer that comes too late would be taken for the next.
    answers: Cell<bool>,
}

impl Witness {
    /// Starts it; to be called while this process has a single thread. It ends when this process does.
    pub(crate) fn start() -> io::Result<Self> {
        let (questions, theirs) = UnixStream::pair()?;
        questions.set_read_timeout(Some(PATIENCE))?;
        match sys::fork()? {
            Forked::Caller(pid) => Ok(Self {
                pid,
                questions,
                answers: Cell::new(true),
            }),
            Forked::New => {
                drop(questions);
                testify(theirs)
            }
        }
    }

    /// Whether a signal that arrived here was sent by its sender to the group, and has thereby reached
    /// `program`, too.
    pub(crate) fn was_for_all(&self, arrived: Arrived, program: Pid) -> bool {
        // Always asked: what it does not take away would hide the next signal of that number.
        let sender = self.answers.get().then(|| self.sender_of(arrived.number));
        let Some(Ok(sender)) = sender else {
            self.answers.set(false);
            return false;
        };
        arrived.from_process
            && sender == Some(arrived.sender)
            && getpgid(Some(program)) == Ok(getpgrp())
    }

    /// Takes a signal away that is no longer waiting here, if it came to the group: it would be taken for the
    /// next one from the same sender.
    pub(crate) fn forget(&self, number: i32) {
        if self.answers.get() && self.sender_of(number).is_err() {
            self.answers.set(false);
        }
    }

    /// Who sent the first signal of this number that waits at the witness.
    fn sender_of(&self, number: i32) -> io::Result<Option<Pid>> {
        let mut questions = &self.questions;
        questions.write_all(&number.to_ne_bytes())?;
        let mut answer = [0; 4];
        questions.read_exact(&mut answer)?;
        let sender = i32::from_ne_bytes(answer);
        Ok((sender > 0).then(|| Pid::from_raw(sender)))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = sys::send(self.pid, libc::SIGKILL);
        let _ = nix::sys::wait::waitpid(self.pid, None);
    }
}

/// The witness: answers until the other end is gone.
fn testify(mut questions: UnixStream) -> ! {
    sys::block_all();
    sys::die_with_parent();
    sys::close_all_but(questions.as_raw_fd());
    let mut number = [0; 4];
    while questions.read_exact(&mut number).is_ok() {
        // Who signals a group goes through its members under a lock that whoever changes a group takes
        // alone. When this returns (it changes nothing), a signal that has reached one has reached all.
        let _: Result<(), Errno> = setpgid(Pid::from_raw(0), getpgrp());
        let sender = sys::take_pending(i32::from_ne_bytes(number)).unwrap_or(0);
        if questions.write_all(&sender.to_ne_bytes()).is_err() {
            break;
        }
    }
    sys::leave(0)
}
