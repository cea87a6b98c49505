//! Where the capture of `-w` goes, which may be a pipe that nobody reads.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a reader may read nothing once the program has ended.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at whether somebody is still to be waited for, ms.
const LOOK_AGAIN: u8 = 50;

/// How long the reader of a pipe is waited for; cheap to clone.
///
/// While the program runs, as long as it takes: the network waits, too, and nothing is lost. Afterwards only
/// while it goes on reading, and not at all when the user is in a hurry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Haste {
    ended: Arc<OnceLock<Instant>>,
    at_once: Arc<AtomicBool>,
}

impl Haste {
    /// The program, and whatever it started, has ended.
    pub(crate) fn ended(&self) {
        self.ended.get_or_init(Instant::now);
    }

    /// Nobody is waited for any more.
    pub(crate) fn at_once(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }

    /// Whether somebody who has read nothing since then has been waited for long enough.
    fn is_over(&self, since: Instant) -> bool {
        let ended = self.ended.get();
        self.at_once.load(Ordering::Relaxed)
            || ended.is_some_and(|ended| ended.max(&since).elapsed() >= PATIENCE)
    }
}

/// The file, or the pipe.
#[derive(Debug)]
pub(crate) struct Sink {
    file: File,
    haste: Haste,
    /// Nobody read it for too long; what comes now would not fit to what was written.
    is_given_up: bool,
}

impl Sink {
    /// Takes over a file of which nobody else has the open file description.
    pub(crate) fn new(file: File, haste: Haste) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self {
            file,
            haste,
            is_given_up: false,
        })
    }

    /// The file.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let since = Instant::now();
        while !self.is_given_up {
            match self.file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            let mut room = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            // Interrupted, or whatever it is: the next write says.
            let _ = poll(&mut room, PollTimeout::from(LOOK_AGAIN));
            self.is_given_up = self.haste.is_over(since);
        }
        Err(io::Error::new(ErrorKind::TimedOut, "nobody read it"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    fn pipe(haste: &Haste) -> (File, Sink) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let sink = Sink::new(writer.into(), haste.clone()).unwrap();
        (reader.into(), sink)
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        let haste = Haste::default();
        let (mut reader, mut sink) = pipe(&haste);
        haste.ended();
        let read = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all.len()
        });
        sink.write_all(&vec![7; 1 << 20]).unwrap();
        drop(sink);
        assert_eq!(read.join().unwrap(), 1 << 20);
    }

    #[test]
    fn who_reads_nothing_is_waited_for_until_there_is_haste() {
        let haste = Haste::default();
        let (_reader, mut sink) = pipe(&haste);
        let writing = thread::spawn(move || {
            let error = sink.write_all(&vec![7; 1 << 20]).unwrap_err();
            (error.kind(), sink)
        });
        haste.at_once();
        let (kind, mut sink) = writing.join().unwrap();
        assert_eq!(kind, ErrorKind::TimedOut);
        assert_eq!(sink.write(&[1]).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
